"""Runs and recipes with something wrong, as Python objects and as a record's JSON."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from small_runs import DATA, kd_student, mcmi_teacher, mll_teacher

from mcmi_core.base.errors import StoreError
from mcmi_core.base.messages import in_a_line
from mcmi_core.runs.config import (
    BayesTeacher,
    Measurement,
    Part,
    Student,
    Teacher,
    TeacherHeads,
    parse_run,
)
from mcmi_core.runs.records import Record, read_record
from mcmi_core.runs.students import student_run
from mcmi_core.training.recipe import Recipe

OTHER = DATA + ",seed=1"

RECIPES = [
    ({"epochs": 0}, "epochs", "greater than or equal to 1, got 0"),
    ({"epochs": 10**400}, "epochs", "less than or equal to 1000000, got 1000"),
    ({"epochs": 2.5}, "epochs", "got 2.5"),
    ({"epochs": None}, "epochs", "valid integer, got None"),
    ({"epochs": "many"}, "epochs", "got 'many'"),
    ({"epochs": math.inf}, "epochs", "got inf"),
    ({"batch_size": 1}, "batch_size", "greater than or equal to 2, got 1"),
    ({"batch_size": [64]}, "batch_size", "got [64]"),
    ({"learning_rate": math.inf}, "learning_rate", "finite number, got inf"),
    ({"learning_rate": math.nan}, "learning_rate", "finite number, got nan"),
    ({"learning_rate": -0.1}, "learning_rate", "greater than 0, got -0.1"),
    ({"learning_rate": 1j}, "learning_rate", "got 1j"),
    ({"momentum": 1}, "momentum", "less than 1, got 1"),
    ({"momentum": -1}, "momentum", "got -1"),
    ({"weight_decay": -1}, "weight_decay", "got -1"),
    ({"weight_decay": math.inf}, "weight_decay", "finite number, got inf"),
    ({"decay": math.inf}, "decay", "finite number, got inf"),
    ({"schedule": "linear"}, "schedule", "'step' or 'cosine', got 'linear'"),
    ({"schedule": None}, "schedule", "got None"),
    ({"milestones": 3}, "milestones", "got 3"),
    ({"milestones": "150"}, "milestones", "got '150'"),
    ({"milestones": (1.5,)}, "milestones.0", "got 1.5"),
    ({"milestones": (3, -1)}, "milestones.1", "got -1"),
    ({"evaluate_every": -1}, "evaluate_every", "got -1"),
    ({"evaluate_train": 2}, "evaluate_train", "got 2"),
    ({"precision": "fp16"}, "precision", "'float32' or 'bf16', got 'fp16'"),
    ({"threads": 0}, "threads", "got 0"),
    ({"threads": 10**6}, "threads", "less than or equal to 1024, got 1000000"),
    (
        {"epoch": 3},
        "unknown field 'epoch' of Recipe; choose from epochs, batch_size",
        "mean epochs",
    ),
    ({"lr": 3}, "unknown field 'lr' of Recipe; choose from epochs, batch_size"),
    ({"": 3}, "unknown field '' of Recipe"),
    ({"\x1b": 3}, r"unknown field '\x1b' of Recipe"),
]
PARTS = [
    ({"fraction": 0}, "fraction", "greater than 0, got 0"),
    ({"fraction": 1.5}, "fraction", "less than or equal to 1, got 1.5"),
    ({"fraction": math.nan}, "fraction", "got nan"),
    ({"fraction": "half"}, "fraction", "got 'half'"),
    ({"sampling": "random"}, "sampling", "'stratified' or 'first', got 'random'"),
    ({"omit": 3}, "omit", "got 3"),
    ({"omit": ("cat",)}, "omit.0", "got 'cat'"),
    ({"seed": -1}, "seed", "got -1"),
    ({"seeds": 1}, "unknown field 'seeds' of Part; choose from fraction", "did you mean seed?"),
]
RUNS = [
    (lambda: mll_teacher(seed=1.5), "seed", "got 1.5"),
    (lambda: mll_teacher(seed="0x1"), "seed", "got '0x1'"),
    (lambda: mll_teacher(data=None), "data"),
    (lambda: mll_teacher(data=3), "data", "got 3"),
    (lambda: mll_teacher(data="oracle:seed"), "data", "is not of the form key=value"),
    (lambda: mll_teacher(model="mpl"), "unknown model 'mpl'", "did you mean mlp?"),
    (lambda: mll_teacher(model={"width": 3}), "model.name", "Field required"),
    (lambda: mll_teacher(objective="mcmi"), "'lam' of objective 'mcmi': Field required"),
    (lambda: mll_teacher(recipe=3), "recipe", "got 3"),
    (lambda: mll_teacher(recipe={"lr": 3}), "recipe: unknown field 'lr' of Recipe"),
    (lambda: mll_teacher(part="all"), "part", "got 'all'"),
    (lambda: mll_teacher(part={"fraction": 2}), "part.fraction", "got 2"),
    (lambda: mll_teacher(stage="student"), "stage", "'teacher', got 'student'"),
    (lambda: mll_teacher(start="mll"), "start"),
    (lambda: mll_teacher(start=BayesTeacher(data=DATA)), "start"),
    (lambda: mll_teacher(modle="mlp"), "unknown field 'modle' of Teacher", "did you mean model?"),
    (lambda: Teacher(), "data: Field required", "model: Field required"),
    (lambda: mcmi_teacher(data=OTHER), "is not that of its teacher", "seed=1"),
    (lambda: mcmi_teacher(model="mlp:width=9"), "mlp:width=9,depth=2 cannot start from the weig"),
    (lambda: mcmi_teacher(lam=math.nan), "finite number, got 'nan'"),
    (lambda: mcmi_teacher(centroids="moving"), "'fixed' or 'tracked', got 'moving'"),
    (lambda: kd_student(data=OTHER), "is not that of its teacher", "seed=1"),
    (lambda: kd_student(distiller="hsakd"), "learns from a teacher with auxiliary heads", "'MLL'"),
    (lambda: kd_student(distiller="kd:temprature=1"), "'temprature'", "did you mean temperature?"),
    (lambda: Student(data=DATA, model="mlp", distiller="kd"), "teacher: Field required"),
    (
        lambda: kd_student(teacher={"stage": "school"}),
        "tag 'school'",
        "'teacher', 'bayes', 'heads'",
    ),
    (lambda: kd_student(teacher={"data": DATA}), "teacher", "'stage'"),
    (lambda: kd_student(teacher=3), "teacher", "got 3"),
    (
        lambda: kd_student(teacher=Measurement(of=mll_teacher(), what="network_size")),
        "tag 'measurement'",
    ),
    (lambda: TeacherHeads(data=DATA, teacher=BayesTeacher(data=DATA)), "teacher", "'bayes'"),
    (lambda: TeacherHeads(data=OTHER, teacher=mll_teacher()), "heads: data", "is not that of its"),
    (lambda: BayesTeacher(data="truth"), "unknown data set 'truth'; choose from oracle"),
    (lambda: BayesTeacher(data=DATA, seed=0), "unknown field 'seed' of BayesTeacher; choose from"),
    (lambda: Measurement(of=mll_teacher(), what="size"), "unknown measurement 'size'"),
    (lambda: Measurement(of=mll_teacher(), what="network_size", split="val"), "got 'val'"),
    (lambda: Measurement(of=None, what="network_size"), "of", "got None"),
    (
        lambda: student_run(
            data=DATA, model="mlp", distiller="kd", teacher=mll_teacher(), recipe=Recipe(), sed=1
        ),
        "unknown field 'sed' of Student",
        "did you mean seed?",
    ),
]


def refused(make, *words: str) -> None:
    with pytest.raises(ValidationError) as error:
        make()
    message = in_a_line(error.value)
    assert message.isprintable() and len(message) < 1500
    for word in words:
        assert word in message


def named(value) -> str:
    return "" if callable(value) else repr(value)[:50]


@pytest.mark.parametrize(("fields", "words"), [(c[0], c[1:]) for c in RECIPES], ids=named)
def test_recipes_that_cannot_be_are_refused(fields, words):
    refused(lambda: Recipe(**fields), *words)


@pytest.mark.parametrize(("fields", "words"), [(c[0], c[1:]) for c in PARTS], ids=named)
def test_parts_that_cannot_be_are_refused(fields, words):
    refused(lambda: Part(**fields), *words)


@pytest.mark.parametrize(("make", "words"), [(c[0], c[1:]) for c in RUNS], ids=named)
def test_runs_that_cannot_be_are_refused(make, words):
    refused(make, *words)


@pytest.mark.parametrize("epochs", [0, -1, 2.5, 10**400, "three", None])
def test_recipes_of_no_length_are_refused(epochs):
    refused(lambda: Recipe().shortened(epochs), "epochs")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (None, ["got None"]),
        ([], ["got []"]),
        ({}, ["discriminator 'stage'"]),
        ({"stage": None}, ["None"]),
        ({"stage": "Teacher"}, ["'Teacher'", "'teacher', 'bayes', 'heads', 'student'"]),
        ({"stage": "teacher"}, ["teacher.data: Field required"]),
        ({"stage": "bayes", "data": "truth"}, ["unknown data set 'truth'"]),
    ],
    ids=named,
)
def test_configurations_that_describe_no_run_are_refused(config, words):
    refused(lambda: parse_run(config), *words)


@pytest.fixture(scope="module")
def record():
    run = mll_teacher()
    return json.loads(Record(key=run.key, provenance={}, run=run.model_dump(mode="json")).to_json())


FILES = [
    ("no JSON", lambda record: "{", ""),
    ("nothing", lambda record: "", ""),
    ("a list", lambda record: "[]", "got []"),
    ("a number", lambda record: "3", "got 3"),
    ("null", lambda record: "null", "got None"),
    ("deep", lambda record: "[" * 100_000, ""),
    ("no key", lambda record: {k: v for k, v in record.items() if k != "key"}, "key: Field requ"),
    ("another key", lambda record: record | {"key": "0" * 16}, "says key 0000000000000000, but"),
    ("a number as key", lambda record: record | {"key": 3}, "key: Input should be a valid string"),
    ("an unknown field", lambda record: record | {"colour": "red"}, "colour: Extra inputs"),
    ("another status", lambda record: record | {"status": "lost"}, "got 'lost'"),
    ("no run", lambda record: record | {"run": None}, "run: Input should be"),
    ("an empty run", lambda record: record | {"run": {}}, "discriminator 'stage'"),
    ("metrics", lambda record: record | {"metrics": {"test": 3}}, "metrics.test", "got 3"),
    ("history", lambda record: record | {"history": {"x": ["y"]}}, "history.x.0", "got 'y'"),
    (
        "another field of the run",
        lambda record: record | {"run": record["run"] | {"sed": 3}},
        "unknown field 'sed' of Teacher",
        "did you mean seed?",
    ),
    (
        "another seed",
        lambda record: record | {"run": record["run"] | {"seed": 3}},
        "its configuration has key",
    ),
    (
        "a bad seed",
        lambda record: record | {"run": record["run"] | {"seed": -3}},
        "teacher.seed: Input should be greater than or equal to 0, got -3",
    ),
    (
        "no number",
        lambda record: (
            record
            | {"run": record["run"] | {"recipe": record["run"]["recipe"] | {"decay": "Infinity"}}}
        ),
        "teacher.recipe.decay: Input should be a finite number, got 'Infinity'",
    ),
]


@pytest.mark.parametrize(
    ("change", "words"), [(c[1], c[2:]) for c in FILES], ids=[c[0] for c in FILES]
)
def test_files_that_are_no_record_are_named(record, tmp_path, change, words):
    content, path = change(record), tmp_path / "record.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(StoreError) as error:
        read_record(path)
    message = str(error.value)
    assert message.startswith(str(path)) and message.isprintable() and len(message) < 1000
    for word in words:
        assert word in message


values = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8))


@given(name=st.sampled_from(list(Recipe.model_fields)), value=values)
def test_every_recipe_is_written_and_read_again_or_refused(name, value):
    try:
        recipe = Recipe(**{name: value})
    except ValidationError as error:
        assert name in in_a_line(error)
        assert in_a_line(error).isprintable()
    else:
        assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
        assert math.isfinite(recipe.learning_rate_at(recipe.epochs))
