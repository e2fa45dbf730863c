#!/usr/bin/env bash
# The commands that the README shows, on real digits: teacher, MCMI teacher, student, interruption.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export MCMI_STORE="$folder/store" MCMI_OUTPUT="$folder/output"

echo "-- teacher, MCMI teacher, student"
teacher=$(mcmi train-teacher --data digits --model resnet8 --epochs 2 | head -1)
tuned=$(mcmi fine-tune "$teacher" --lam 0.15 --epochs 1 | head -1)
student=$(mcmi distill "$tuned" --student resnet8 --epochs 2 --fraction 0.2 | head -1)
mcmi evaluate "$student"
mcmi runs list

echo "-- a killed training goes on where it was and ends with the same numbers"
command=(mcmi train-teacher --data digits --model resnet14 --epochs 4)
MCMI_STORE="$folder/whole" "${command[@]}" > "$folder/whole.txt"
"${command[@]}" &
training=$!
until compgen -G "$folder/store/teacher-digits-resnet14-*/checkpoint.safetensors" > /dev/null; do
    kill -0 $training  # fails if the training ended without a checkpoint
    sleep 0.05
done
kill -KILL $training
wait $training || true
"${command[@]}" > "$folder/resumed.txt"
diff "$folder/whole.txt" "$folder/resumed.txt"

echo "-- a mistake is one line and a failure"
if mcmi train-teacher --data digits --model resnet9 2> "$folder/message.txt"; then
    echo "an unknown model was accepted"; exit 1
fi
cat "$folder/message.txt"
test "$(wc -l < "$folder/message.txt")" = 1
grep -q "unknown model 'resnet9'; choose from" "$folder/message.txt"
echo "-- end to end: passed"
