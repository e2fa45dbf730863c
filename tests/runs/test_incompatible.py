"""A distiller that cannot compare two networks leaves a record, not a crash."""

import pytest
import torch
from small_runs import mll_teacher

from mcmi_core.base.errors import IncompatibleNetworks, StoreError
from mcmi_core.runs.config import Measurement, Student, TeacherHeads
from mcmi_core.runs.store import Store
from mcmi_core.runs.trainer import ensure, load_model
from mcmi_core.training.recipe import Recipe

VECTORS = "oracle:train_size=40,test_size=20,dimension=16,latent_dimension=4,classes=4"
ONCE = Recipe(epochs=1)


def student(distiller, teacher):
    return Student(
        data=VECTORS, model="mlp:width=4", distiller=distiller, teacher=teacher, recipe=ONCE
    )


TEACHER = mll_teacher(epochs=1, data=VECTORS)
UNABLE = student("at", TEACHER)
HEADS = TeacherHeads(data=VECTORS, teacher=TEACHER, recipe=ONCE)


@pytest.mark.parametrize(
    ("run", "message"), [(UNABLE, "as many stage maps"), (HEADS, "network of stages, got MLP")]
)
def test_the_record_says_why(run, message, tmp_path):
    store = Store(tmp_path)
    record = ensure(run, store)
    assert (record.status, record.metrics, record.history) == ("incompatible", {}, {})
    assert message in record.message
    assert store.record(run) == record
    assert "seconds" not in record.provenance


def test_a_look_at_the_student_says_why(tmp_path):
    measurement = Measurement(of=UNABLE, what="temperature_sweep:temperatures=1")
    with pytest.raises(IncompatibleNetworks, match=f"builds on {UNABLE.id}.*as many stage maps"):
        ensure(measurement, Store(tmp_path))


def test_a_student_of_missing_heads_says_why(tmp_path):
    with pytest.raises(IncompatibleNetworks, match=r"builds on heads-oracle-mlp.*got MLP"):
        ensure(student("hsakd", HEADS), Store(tmp_path))


def test_it_has_no_network(tmp_path):
    ensure(UNABLE, Store(tmp_path))
    with pytest.raises(StoreError, match=f"{UNABLE.id} has no network, .*as many stage maps"):
        load_model(UNABLE, Store(tmp_path), torch.device("cpu"))


def test_other_mistakes_stay_errors(tmp_path):
    with pytest.raises(ValueError, match="temperature must be positive") as error:
        ensure(student("kd:temperature=0", TEACHER), Store(tmp_path))
    assert not isinstance(error.value, IncompatibleNetworks)
