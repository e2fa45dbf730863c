"""Every command and every option with something wrong: one line says what, and what would do."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from small_runs import DATA

from mcmi_core import cli
from mcmi_core.base.messages import in_a_line

LONG = "x" * 5000
HUGE = "9" * 400
TEACHER = ["train-teacher", "--data", DATA, "--model", "mlp:width=8", "--epochs", "1"]
TUNE = ["fine-tune", "teacher-oracle", "--epochs", "1"]
DISTILL = ["distill", "teacher-oracle", "--student", "mlp:width=4", "--epochs", "1"]
NOTEBOOK = ["notebook", "run", "00b_quickstart", "--output", "out"]
IMPORT = ["import-weights", "weights.pth", "--model", "resnet8", "--num-classes", "4"]
IMPORT += ["--out", "out.safetensors"]

COMMANDS = [
    (["nonsense"], "No such command 'nonsense'", "choose from list, train-teacher, fine-tune"),
    (["trian"], "No such command 'trian'", "Did you mean 'train'"),
    ([LONG], "No such command"),
    (["\x00"], "No such command"),
    (["\x1b[2J"], "No such command"),
    ([""], "No such command ''"),
    (["--dta"], "No such option", "--dta", "`mcmi --help`"),
    (["-x"], "No such option", "-x"),
    (["runs", "delete"], "No such command 'delete'", "choose from list, show"),
    (["notebook", "exec"], "No such command 'exec'", "choose from run"),
    (["train-teacher"], "Missing option '--data'", "`mcmi train-teacher --help` says more"),
    (["train-teacher", "--data"], "'--data' requires an argument"),
    (["train-teacher", "--data", DATA], "Missing option '--model'"),
    (["fine-tune", "x"], "Missing option '--lam'"),
    (["fine-tune"], "Missing argument 'teacher'"),
    (["distill", "x"], "Missing option '--student'"),
    (["evaluate"], "Missing argument 'run'"),
    (["evaluate", "x", "extra"], "unexpected extra argument", "extra"),
    (["runs", "show"], "Missing argument 'run'"),
    (["runs", "list", "x"], "unexpected extra argument", "x"),
    (["train"], "Missing argument 'experiments'"),
    (["plan"], "Missing argument 'experiments'"),
    (["sprint"], "Missing option '--out'"),
    (["notebook", "run"], "Missing argument 'names'"),
    (["notebook", "run", "00b_quickstart"], "Missing option '--output'"),
    (["check", "x"], "unexpected extra argument"),
    (["publish", "x"], "unexpected extra argument"),
    (["list", "models", "x"], "unexpected extra argument"),
    (["list", "model"], "unknown kind 'model'; choose from data sets, models", "mean models?"),
    (["list", ""], "unknown kind ''; choose from data sets, models"),
    (["list", "\x00"], r"unknown kind '\x00'"),
    (["list", LONG], "unknown kind 'xxx", "..."),
]

NUMBERS = [
    (["--seed", "x"], "'--seed'", "valid integer", "got 'x'"),
    (["--seed", "1.5"], "'--seed'", "valid integer", "got '1.5'"),
    (["--seed", "1e3"], "valid integer", "got '1e3'"),
    (["--seed", ""], "valid integer", "got ''"),
    (["--seed", "-1"], "seed: Input should be greater than or equal to 0, got -1"),
    (["--seed", "9" * 5000], "'--seed'", "got '999", "..."),
    (["--seed", "१"], "valid integer", "got '१'"),
    (["--seed", "0x10"], "valid integer", "got '0x10'"),
    (["--seed", "None"], "valid integer", "got 'None'"),
    (["--epochs", "0"], "epochs: Input should be greater than or equal to 1, got 0"),
    (["--epochs", "-3"], "epochs: Input should be greater than or equal to 1, got -3"),
    (["--epochs", "nan"], "'--epochs'", "got 'nan'"),
    (["--epochs", "2.5"], "'--epochs'", "got '2.5'"),
    (["--epochs", "ten"], "'--epochs'", "got 'ten'"),
    (["--epochs", "1000001"], "epochs: Input should be less than or equal to 1000000, got 1000001"),
    (["--epochs", HUGE], "epochs: Input should be less than or equal to 1000000, got 999"),
    (["--fraction", "nan"], "fraction", "got nan"),
    (["--fraction", "inf"], "fraction", "got inf"),
    (["--fraction", "-inf"], "fraction", "got -inf"),
    (["--fraction", "0"], "fraction: Input should be greater than 0, got 0"),
    (["--fraction", "-0.1"], "fraction: Input should be greater than 0, got -0.1"),
    (["--fraction", "1.0001"], "fraction: Input should be less than or equal to 1, got 1.0001"),
    (["--fraction", "half"], "'--fraction'", "valid number", "got 'half'"),
    (["--fraction", "50%"], "'--fraction'", "valid number", "got '50%'"),
    (["--fraction", "0,5"], "'--fraction'", "valid number", "got '0,5'"),
    (["--omit", "-1"], "cannot omit class -1; there are [0, 1, 2, 3]"),
    (["--omit", "4"], "cannot omit class 4; there are [0, 1, 2, 3]"),
    (["--omit", str(2**70)], f"cannot omit class {2**70}; there are [0, 1, 2, 3]"),
    (["--omit", "0,1"], "'--omit'", "got '0,1'"),
    (["--omit", "cat"], "'--omit'", "got 'cat'"),
    ([each for n in "0123" for each in ("--omit", n)], "omitting classes [0, 1, 2, 3] leaves no"),
]

RECIPES = [
    ("batch_size", "'batch_size' is not of the form key=value"),
    ("=32", "'=32' is not of the form key=value"),
    (",", "',' is not of the form key=value"),
    ("\x00", r"'\x00' is not of the form key=value"),
    (LONG, "is not of the form key=value", "..."),
    ("batch_size=", "batch_size: Input should be a valid integer", "got ''"),
    ("batch_size=32,batch_size=64", "option 'batch_size' is given twice"),
    ("batch_size=1e3", "batch_size: Input should be a valid integer", "got '1e3'"),
    ("batch_size=3.5", "got '3.5'"),
    ("batch_size=1", "batch_size: Input should be greater than or equal to 2, got '1'"),
    ("batch_size=64 images", "got '64 images'"),
    ("learning_rate=nan", "learning_rate: Input should be a finite number, got 'nan'"),
    ("learning_rate=inf", "learning_rate: Input should be a finite number, got 'inf'"),
    ("learning_rate=1e999", "learning_rate: Input should be a finite number, got '1e999'"),
    ("learning_rate=0", "learning_rate: Input should be greater than 0, got '0'"),
    ("learning_rate=0.1s", "valid number", "got '0.1s'"),
    ("learning_rate=0.1;momentum=0.5", "got '0.1;momentum=0.5'"),
    ("momentum=1", "momentum: Input should be less than 1, got '1'"),
    ("momentum=-0.1", "momentum: Input should be greater than or equal to 0, got '-0.1'"),
    ("weight_decay=-1", "weight_decay: Input should be greater than or equal to 0, got '-1'"),
    ("weight_decay=inf", "weight_decay: Input should be a finite number, got 'inf'"),
    ("decay=inf", "decay: Input should be a finite number, got 'inf'"),
    ("decay=0", "decay: Input should be greater than 0, got '0'"),
    ("milestones=x", "milestones.0: Input should be a valid integer", "got 'x'"),
    ("milestones=", "milestones.0", "got ''"),
    ("milestones=-5", "milestones.0: Input should be greater than or equal to 0, got '-5'"),
    ("milestones=1.5", "got '1.5'"),
    ("schedule=linear", "schedule: Input should be 'step' or 'cosine', got 'linear'"),
    ("precision=fp8", "precision: Input should be 'float32' or 'bf16', got 'fp8'"),
    ("threads=0", "threads: Input should be greater than or equal to 1, got '0'"),
    ("threads=100000000", "threads: Input should be less than or equal to 1024, got '100000000'"),
    ("evaluate_every=-1", "evaluate_every: Input should be greater than or equal to 0, got '-1'"),
    ("evaluate_train=maybe", "evaluate_train: Input should be a valid boolean", "got 'maybe'"),
    ("epochs=3", "unknown field 'epochs' of a recipe; choose from batch_size, learning_rate"),
    ("batchsize=3", "unknown field 'batchsize' of a recipe", "did you mean batch_size?"),
    ("lr=3", "unknown field 'lr' of a recipe; choose from batch_size, learning_rate, momentum"),
    ("__class__=3", "unknown field '__class__' of a recipe"),
    ("name=3", "the name comes first, and is no option"),
]

COMPONENTS = [
    (["--data", ""], "unknown data set ''; choose from oracle, digits"),
    (["--data", ":"], "unknown data set ''"),
    (["--data", "Oracle"], "unknown data set 'Oracle'", "did you mean oracle?"),
    (["--data", "oracel"], "unknown data set 'oracel'", "did you mean oracle?"),
    (["--data", "oracle;seed=1"], "unknown data set 'oracle;seed=1'"),
    (["--data", "\u202eoracle"], r"unknown data set '\u202eoracle'"),
    (["--data", "\x1b[31moracle"], r"unknown data set '\x1b[31moracle'"),
    (["--data", LONG], "unknown data set 'xxx", "..."),
    (["--data", "oracle:sede=1"], "unknown option 'sede' of data set 'oracle'", "mean seed?"),
    (["--data", f"oracle:seed={2**64}"], "'seed' of data set 'oracle'", f"64 bits, got {2**64}"),
    (["--data", "oracle:train_size=0"], "sample of each in both splits, got", "train_size=0"),
    (["--data", "oracle:test_size=-1"], "sample of each in both splits, got", "test_size=-1"),
    (["--data", "oracle:classes=1"], "at least 2 classes", "classes=1"),
    (["--data", "oracle:separation=-1"], "separation must be at least 0, got -1.0"),
    (["--data", "oracle:separation=nan"], "'separation'", "finite number, got 'nan'"),
    (["--data", "oracle:dimension=0"], "latent_dimension must be in 1..dimension, got 16 and 0"),
    (["--data", "oracle:dimension=20,images=yes"], "square dimension, such as 256, got 20"),
    (["--data", "oracle:images=perhaps"], "'images'", "valid boolean", "got 'perhaps'"),
    (["--data", f"oracle:train_size={10**15}"], "too large for the memory of this machine"),
    (["--data", "digits:size=8"], "unknown option 'size' of data set 'digits'; it takes no opt"),
    (["--model", ""], "unknown model ''; choose from resnet8"),
    (["--model", "resnet21"], "unknown model 'resnet21'", "did you mean resnet"),
    (["--model", "ResNet20"], "unknown model 'ResNet20'", "did you mean resnet20?"),
    (["--model", "resnet20:depth=3"], "unknown option 'depth' of model 'resnet20'; it takes no"),
    (["--model", "resnet20"], "resnet20 halves its images 2 times and needs image_size ≥ 4, got 1"),
    (["--model", "mlp:width=0"], "mlp needs width ≥ 1 and depth in 1..1000, got width=0"),
    (["--model", "mlp:depth=0"], "mlp needs width ≥ 1 and depth in 1..1000, got", "depth=0"),
    (["--model", "mlp:depth=1000000000"], "depth in 1..1000, got", "depth=1000000000"),
    (["--model", "mlp:width=8.5"], "'width' of model 'mlp'", "valid integer", "got '8.5'"),
    (["--model", f"mlp:width={10**15}"], "too large for the memory of this machine"),
    (["--model", f"mlp:width={10**30}"], "fit into 64 bits, got 1000000"),
    (["--model", "mlp:wdith=8"], "unknown option 'wdith' of model 'mlp'", "did you mean width?"),
    (["--model", "mlp:num_classes=3"], "unknown option 'num_classes' of model 'mlp'; it takes wid"),
    (["--objective", ""], "unknown objective ''; choose from mll, mcmi"),
    (["--objective", "mcmmi"], "unknown objective 'mcmmi'", "did you mean mcmi?"),
    (["--objective", "mcmi"], "option 'lam' of objective 'mcmi': Field required"),
    (["--objective", "mcmi:lam=0.1"], "option 'centroids' of objective 'mcmi': Field required"),
    (["--objective", "mcmi:lam=0.1,centroids=x"], "'fixed' or 'tracked', got 'x'"),
    (["--objective", "mcmi:lam=-1,centroids=fixed"], "finite number of at least 0, got -1.0"),
    (["--objective", "mcmi:lam=inf,centroids=fixed"], "finite number, got 'inf'"),
    (["--objective", "mcmi:lam=0,centroids=fixed,momentum=1"], "momentum must be in [0, 1), got 1"),
    (["--objective", "label_smoothing:share=1"], "share must be in [0, 1), got 1.0"),
    (["--objective", "entropy:weight=-1"], "weight must be a finite number of at least 0, got -1"),
    (["--objective", "mll:lam=1"], "unknown option 'lam' of objective 'mll'; it takes no options"),
]

OF_A_TEACHER = [
    (["fine-tune", "nothing", "--lam", "0"], "no run in", "'nothing'; candidates: teacher-oracle"),
    (["fine-tune", "", "--lam", "0"], "no run in", "match ''; candidates: teacher-oracle"),
    (["fine-tune", "../../etc", "--lam", "0"], "no run in", "match '../../etc'"),
    (["fine-tune", "*", "--lam", "0"], "no run in", "match '*'"),
    (["fine-tune", "\x00", "--lam", "0"], "no run in", r"match '\x00'"),
    (["fine-tune", LONG, "--lam", "0"], "no run in", "..."),
    ([*TUNE, "--lam", "x"], "'--lam'", "valid number", "got 'x'"),
    ([*TUNE, "--lam", "0,1"], "'--lam'", "valid number", "got '0,1'"),
    ([*TUNE, "--lam", "nan"], "'lam' of objective 'mcmi'", "finite number, got nan"),
    ([*TUNE, "--lam", "inf"], "'lam' of objective 'mcmi'", "finite number, got inf"),
    ([*TUNE, "--lam", "-1"], "lam must be a finite number of at least 0, got -1.0"),
    ([*TUNE, "--lam", "0", "--centroids", "moving"], "'fixed' or 'tracked', got 'moving'"),
    ([*TUNE, "--lam", "0", "--centroids", ""], "'fixed' or 'tracked', got ''"),
    ([*TUNE, "--lam", "0", "--epochs", "0"], "epochs", "got 0"),
    ([*TUNE, "--lam", "0", "--recipe", "batch_size=0"], "batch_size", "got '0'"),
    ([*DISTILL, "--student", "x"], "unknown model 'x'; choose from resnet8"),
    ([*DISTILL, "--student", "resnet8"], "needs image_size ≥ 4, got 1"),
    ([*DISTILL, "--seed", "-1"], "seed", "greater than or equal to 0, got -1"),
    ([*DISTILL, "--fraction", "2"], "fraction", "less than or equal to 1, got 2"),
    ([*DISTILL, "--omit", "9"], "cannot omit class 9; there are [0, 1, 2, 3]"),
    ([*DISTILL, "--recipe", "momentum=2"], "momentum", "less than 1, got '2'"),
    ([*DISTILL, "--heads-epochs", "-4"], "epochs", "greater than or equal to 1, got -4"),
    ([*DISTILL, "--heads-epochs", "some"], "'--heads-epochs'", "got 'some'"),
    (["evaluate", "nothing"], "no run in", "match 'nothing'; candidates: teacher-oracle"),
    (["evaluate", ""], "no run in", "match ''"),
    (["evaluate", "teacher", "--temperature", "0"], "temperature must be positive, got 0.0"),
    (["evaluate", "teacher", "--temperature", "-1"], "temperature must be positive, got -1.0"),
    (["evaluate", "teacher", "--temperature", "nan"], "temperature must be positive, got nan"),
    (["evaluate", "teacher", "--temperature", "inf"], "must be positive and finite, got inf"),
    (["evaluate", "teacher", "--temperature", "hot"], "'--temperature'", "got 'hot'"),
    (["evaluate", "teacher", "--temperature", ""], "'--temperature'", "got ''"),
    (["runs", "show", ""], "no run in", "match ''; candidates: teacher-oracle"),
    (["runs", "show", "nope"], "no run in", "match 'nope'"),
    (["runs", "show", "../trained"], "no run in", "match '../trained'"),
]

DISTILLERS = [
    ("", "unknown distiller ''; choose from kd"),
    ("kdd", "unknown distiller 'kdd'", "did you mean kd?"),
    ("kd:temprature=2", "unknown option 'temprature' of distiller 'kd'", "mean temperature?"),
    ("kd:temperature=0", "temperature must be positive, got 0.0"),
    ("kd:temperature=-1", "temperature must be positive, got -1.0"),
    ("kd:temperature=nan", "finite number, got 'nan'"),
    ("kd:weight=-1", "weight must be ≥ 0, got -1.0"),
    ("kd:cross_entropy_weight=-1", "cross_entropy_weight must be ≥ 0, got -1.0"),
    ("dkd:alpha=-1", "alpha must be ≥ 0, got -1.0"),
    ("dkd:beta=-1", "beta must be ≥ 0, got -1.0"),
    ("dist:gamma=-1", "gamma must be ≥ 0, got -1.0"),
    ("lskd:temperature=0", "temperature must be positive, got 0.0"),
    ("rkd:angle_weight=-1", "angle_weight must be ≥ 0, got -1.0"),
    ("masked_kd", "option 'classes' of distiller 'masked_kd': Field required"),
    ("masked_kd:classes=", "masked_kd needs classes to mask, such as classes=9+7"),
    ("masked_kd:classes=9", "cannot mask class 9; there are 0..3"),
    ("masked_kd:classes=-1", "cannot mask class -1; there are 0..3"),
    ("masked_kd:classes=0+1+2+3", "masking classes [0, 1, 2, 3] leaves none of 4"),
    ("semi_kd", "option 'labelled_fraction' of distiller 'semi_kd': Field required"),
    ("semi_kd:labelled_fraction=2", "fraction must be between 0 and 1, got 2.0"),
    ("hsakd", "auxiliary heads need a network of stages, got MLP"),
    ("crd:momentum=2", "momentum must be in [0, 1), got 2.0"),
    ("crd:temperature=0", "temperature must be positive, got 0.0"),
    ("crd:num_negatives=0", "num_negatives must be in 1..1,000,000, got 0"),
    ("crd:num_negatives=99999999999999", "num_negatives must be in 1..1,000,000, got 9999"),
    ("cc:embedding_size=0", "embedding_size must be ≥ 1, got 0"),
    ("reviewkd", "as many stage maps", "from student MLP"),
    ("fitnet:layer=99", "as many stage maps", "from student MLP"),
    ("at", "as many stage maps", "from student MLP"),
]

OTHERS = [
    (["train", ""], "unknown experiment ''; choose from 00_what_is_cmi"),
    (["train", "04_zero_shots"], "unknown experiment '04_zero_shots'", "mean 04_zero_shot?"),
    (["train", "04_zero_shot.ipynb"], "unknown experiment '04_zero_shot.ipynb'"),
    (["train", "all", "nonsense"], "unknown experiment 'nonsense'; choose from 00_what_is_cmi"),
    (["train", "00b_quickstart", "--profile", ""], "unknown profile ''; choose from smoke, cpu"),
    (["train", "00b_quickstart", "--profile", "Smoke"], "unknown profile 'Smoke'", "mean smoke?"),
    (["train", "00b_quickstart", "--profile", "smoke "], "unknown profile 'smoke '"),
    (["train", "00b_quickstart", "--minutes", "-1"], "'--minutes'", "got '-1'"),
    (["train", "00b_quickstart", "--minutes", "nan"], "'--minutes'", "got 'nan'"),
    (["train", "00b_quickstart", "--minutes", "1h"], "'--minutes'", "got '1h'"),
    (["plan", "x"], "unknown experiment 'x'; choose from 00_what_is_cmi"),
    (["plan", "\x1b[2J"], r"unknown experiment '\x1b[2J'"),
    (["plan", "00b_quickstart", "--profile", "\x00"], r"unknown profile '\x00'"),
    (["plan", "00b_quickstart", "--profile", LONG], "unknown profile 'xxx", "..."),
    (["sprint", "--out", "file"], "cannot make the folder file: File exists"),
    (["sprint", "--out", "\x00"], "'--out'", r"got '\x00'"),
    (["sprint", "--out", ""], "'--out': no file or folder has such a name, got ''"),
    (["sprint", "--out", "out", "--resume", ""], "'--resume': no file or folder has such a name"),
    (["sprint", "--out", "out", "--minutes", "-1"], "'--minutes'", "got '-1'"),
    (["sprint", "--out", "out", "--minutes", "nan"], "'--minutes'", "got 'nan'"),
    (["sprint", "--out", "out", "--streams", "-1"], "'--streams'", "got '-1'"),
    (["sprint", "--out", "out", "--streams", "x"], "'--streams'", "got 'x'"),
    (["sprint", "--out", "out", "--resume", "nowhere"], "nowhere holds no records.tar.gz"),
    (["sprint", "--out", "out", "--resume", "file"], "file holds no records.tar.gz"),
    (["sprint", "--out", "out"], "no folder", "cifar10-jpeg", "MCMI_DATA"),
    ([*NOTEBOOK[:2], "00b_quickstarts", "--output", "out"], "did you mean 00b_quickstart?"),
    ([*NOTEBOOK[:2], "00b_quickstart.ipynb", "--output", "out"], "unknown notebook '00b_quick"),
    ([*NOTEBOOK[:2], "../notebooks/12_bayes_oracle", "--output", "out"], "unknown notebook '../"),
    ([*NOTEBOOK[:2], "", "--output", "out"], "unknown notebook ''; choose from 00_what_is_cmi"),
    ([*NOTEBOOK[:3], "--output", "file"], "cannot make the folder", "File exists"),
    ([*NOTEBOOK[:3], "--output", "file", "--train"], "cannot make the folder file: File exists"),
    ([*NOTEBOOK[:3], "--output", "\x00"], "'--output'", r"got '\x00'"),
    ([*NOTEBOOK[:3], "--output", ""], "'--output': no file or folder has such a name, got ''"),
    ([*NOTEBOOK, "--jobs", "0"], "'--jobs'", "greater than or equal to 1, got '0'"),
    ([*NOTEBOOK, "--jobs", "many"], "'--jobs'", "got 'many'"),
    ([*NOTEBOOK, "--profile", "x"], "unknown profile 'x'; choose from smoke, cpu, gpu, paper"),
    ([*NOTEBOOK, "--profile", "stored", "--train"], "--train needs a --profile, not 'stored'"),
    ([*IMPORT, "--num-classes", "1" + 22 * "0"], "num_classes must be at most 100,000, got 10000"),
    ([*IMPORT, "--in-channels", "1" + 23 * "0"], "in_channels must be at most 1,000,000, got 100"),
    ([*IMPORT, "--image-size", "1" + 10 * "0"], "image_size must be at most 10,000, got 10000"),
    ([*IMPORT, "--out", ""], "'--out': no file or folder has such a name, got ''"),
    (["import-weights", "", *IMPORT[2:]], "no file or folder has such a name, got ''"),
    ([*IMPORT, "--num-classes", "1"], "num_classes must be at least 2, got 1"),
    (["check", "--profile", ""], "unknown profile ''; choose from smoke, cpu, gpu, paper"),
    (["check", "--profile", "papr"], "unknown profile 'papr'", "did you mean paper?"),
    (["evidence", "--profile", "x"], "unknown profile 'x'; choose from smoke"),
    (["evidence", "--profile", "smoke"], "'smoke' is no evidence; choose from cpu, gpu, paper"),
    (["evidence", "--only", ""], "unknown notebook ''; choose from 00_what_is_cmi"),
    (["evidence", "--only", "4"], "unknown notebook '4'"),
    (["evidence", "--minutes", "-2"], "'--minutes'", "got '-2'"),
    (["evidence", "--minutes", "soon"], "'--minutes'", "got 'soon'"),
]


def shown(value: object) -> str:
    return str(value)[:60].encode("unicode_escape").decode()


@pytest.mark.parametrize(("arguments", "words"), [(c[0], c[1:]) for c in COMMANDS], ids=shown)
def test_commands_that_are_not_there_or_lack_something(refused, arguments, words):
    refused(arguments, *words)


@pytest.mark.parametrize(("options", "words"), [(c[0], c[1:]) for c in NUMBERS], ids=shown)
def test_numbers_that_cannot_be(refused, options, words):
    refused([*TEACHER, *options], *words)


@pytest.mark.parametrize(("recipe", "words"), [(c[0], c[1:]) for c in RECIPES], ids=shown)
def test_recipes_that_cannot_be(refused, recipe, words):
    refused([*TEACHER, "--recipe", recipe], *words)


@pytest.mark.parametrize(("options", "words"), [(c[0], c[1:]) for c in COMPONENTS], ids=shown)
def test_components_that_cannot_be_trained(refused, options, words):
    refused([*TEACHER, *options], *words)


@pytest.mark.parametrize(("arguments", "words"), [(c[0], c[1:]) for c in OF_A_TEACHER], ids=shown)
def test_what_cannot_be_done_with_a_teacher(refused, teacher, arguments, words):
    refused(arguments, *words)


@pytest.mark.parametrize(("distiller", "words"), [(c[0], c[1:]) for c in DISTILLERS], ids=shown)
def test_distillers_that_cannot_be(refused, teacher, distiller, words):
    refused([*DISTILL, "--distiller", distiller], *words)


@pytest.mark.parametrize(("arguments", "words"), [(c[0], c[1:]) for c in OTHERS], ids=shown)
def test_experiments_notebooks_and_sprints_that_cannot_be(refused, tmp_path, arguments, words):
    (tmp_path / "file").write_text("")
    torch.save({"weight": torch.ones(1)}, tmp_path / "weights.pth")
    refused(arguments, *words)


@pytest.mark.parametrize("value", ["", " ", "0", "-1", "1.5", "two", "9" * 20 + "x", "\n", "1e3"])
def test_cores_that_cannot_be(refused, monkeypatch, value):
    monkeypatch.setenv("MCMI_CORES", value)
    if value:  # "" is as good as none
        refused(["train", "00b_quickstart"], "MCMI_CORES must be a whole number of at least 1")


@pytest.mark.parametrize("variable", ["MCMI_STORE", "MCMI_DATA"])
@pytest.mark.parametrize("place", ["file", "file/below", "/proc/nowhere", "/dev/null"])
def test_folders_that_cannot_be(refused, monkeypatch, tmp_path, variable, place):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(variable, place if place[0] == "/" else str(tmp_path / place))
    data = "digits" if variable == "MCMI_STORE" else "imagefolder:folder=pets"
    refused(["train-teacher", "--data", data, *TEACHER[3:]], place[-50:])


text = st.text(st.characters(codec="utf-8"), max_size=12)


@given(name=text.filter(lambda name: name not in cli.REGISTRIES and not name.startswith("-")))
def test_whatever_is_listed_is_known_or_quoted(name):
    with pytest.raises(cli.CompanionError) as error:
        cli.list_components(name)
    assert str(error.value).startswith(f"unknown kind {name!r}; choose from data sets, models")
    assert str(error.value).isprintable()


@given(changes=text)
def test_whatever_a_recipe_is_changed_by_is_taken_or_refused_in_one_line(changes):
    try:
        recipe = cli._recipe("mlp", 1, changes)
    except ValueError as error:  # pydantic's are of this kind too
        message = error if not isinstance(error, ValidationError) else in_a_line(error)
        assert str(message).isprintable()
    else:
        assert recipe == cli._recipe("mlp", 1, "") or "=" in changes
