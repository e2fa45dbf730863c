#!/usr/bin/env bash
# On real digits, through the command line: what docs/use.md shows, a kill, a mistake.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export MCMI_STORE="$folder/store" MCMI_OUTPUT="$folder/output"

echo "-- the command lines of docs/use.md"
awk '/tests\/end_to_end.sh runs these/ { shown = 1 } /^```$/ { shown = 0 } shown && /^mcmi / ' \
    docs/use.md > "$folder/commands.sh"
test "$(wc -l < "$folder/commands.sh")" = 5
bash -euxo pipefail "$folder/commands.sh"

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

echo "-- an experiment without its notebook: planned, begun, stopped when its time is over"
mcmi plan 04_zero_shot | tail -n 1 | tee "$folder/plan.txt"
grep -q "^0 of .* runs done; " "$folder/plan.txt"
code=0
mcmi train 04_zero_shot --minutes 0.3 2> "$folder/message.txt" || code=$?
test $code = 75
grep -q "runs done; the same command goes on" "$folder/message.txt"

echo "-- a mistake is one line and a failure"
if mcmi train-teacher --data digits --model resnet9 2> "$folder/message.txt"; then
    echo "an unknown model was accepted"; exit 1
fi
cat "$folder/message.txt"
test "$(wc -l < "$folder/message.txt")" = 1
grep -q "unknown model 'resnet9'; choose from" "$folder/message.txt"
echo "-- end to end: passed"
