"""A pickle can run any code when it is read. None is run here, wherever such a file is put."""

import os
import sys
import zipfile
from contextlib import suppress

import pytest
import torch
from malicious import BUILDERS, zipped
from small_runs import draw_images, kd_student, mll_teacher
from torchvision import datasets

from mcmi_core import cli
from mcmi_core.base.errors import CompanionError, StoreError
from mcmi_core.base.foreign_files import read_foreign
from mcmi_core.base.paths import cache_root, data_root
from mcmi_core.base.tensor_files import read_metadata, read_tensors
from mcmi_core.data import load_dataset
from mcmi_core.data.image_folder import image_folder
from mcmi_core.models import pretrained
from mcmi_core.runs.records import read_record
from mcmi_core.runs.store import Store
from mcmi_core.runs.trainer import ensure, load_model
from mcmi_core.sprint.luggage import pack, unpack

CPU = torch.device("cpu")


def test_these_files_do_run_code_where_it_is_not_prevented(malicious, canary, tmp_path):
    """Else the tests below would prove nothing."""
    content, _ = malicious
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with suppress(Exception):  # after the code has run, it is no checkpoint
        torch.load(path, weights_only=False)
    if not canary.exists():  # of what is no file of torch.save, the first pickle
        with suppress(Exception):
            torch.serialization.pickle.loads(content)
    assert canary.exists()


@pytest.fixture
def mcmi_import(tmp_path, monkeypatch, capfd):
    """Run ``mcmi import-weights`` on some bytes: its message, and what else it printed."""

    def run(content: bytes) -> tuple[str, str]:
        source = tmp_path / "foreign.pth"
        source.write_bytes(content)
        arguments = ["--model", "resnet8", "--num-classes", "10", "--out", str(tmp_path / "o")]
        arguments[-1] += ".safetensors"
        monkeypatch.setattr(sys, "argv", ["mcmi", "import-weights", str(source), *arguments])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        assert not (tmp_path / "o.safetensors").exists()
        return stopped.value.code, capfd.readouterr()

    return run


def test_import_refuses_with_a_line_that_names_what_is_asked_for(malicious, canary, mcmi_import):
    content, asks_for = malicious
    message, printed = mcmi_import(content)
    assert not canary.exists()
    assert message.startswith("mcmi: ") and "\n" not in message
    assert asks_for in message
    assert "weights_only=False" not in message  # as torch advises
    assert (printed.out, printed.err) == ("", "")


def test_no_environment_variable_turns_the_protection_off(canary, mcmi_import, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    message, _ = mcmi_import(BUILDERS["os.system"][0](canary))
    assert "would have to run 'posix.system'" in message
    assert not canary.exists()


@pytest.mark.parametrize("place", [0, 1, 100, -1])
@pytest.mark.parametrize("old", [False, True])
def test_a_damaged_file_is_said_in_a_line(place, old, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"weight": torch.zeros(3)}, path, _use_new_zipfile_serialization=not old)
    path.write_bytes(path.read_bytes()[:place])
    with pytest.raises(StoreError, match=f"^{path} is no whole file of torch.save \\(.+\\)$"):
        read_foreign(path)


def test_what_torch_advises_instead_is_not_passed_on(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"\x80\x02\x95")
    with pytest.raises(StoreError, match=r"\(Unsupported operand 149\)$"):
        read_foreign(path)


def test_a_file_that_cannot_be_opened_is_said(tmp_path):
    with pytest.raises(StoreError, match="^cannot read .*absent.pth: No such file or directory$"):
        read_foreign(tmp_path / "absent.pth")


def test_a_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "weights.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(50_000_000))
    with pytest.raises(StoreError, match=r"\(it has [\d,]+ bytes, and would be unpacked to 50,000"):
        read_foreign(path)


DOUBLED = b"".join(b"h%c\x86q%c" % (number, number + 1) for number in range(40))
"""Each a tuple of the one before it, twice."""

BOMBS = {
    "a key": b"\x80\x02})q\x00" + DOUBLED + b"K\x01s.",
    "a key among others": b"\x80\x02}()q\x00" + DOUBLED + b"K\x01u.",
    "a key of another dict": b"\x80\x02ccollections\nOrderedDict\n(]q\x64]()q\x00"
    + DOUBLED
    + b"K\x01eatR.",
}


@pytest.mark.parametrize("packed", [bytes, zipped], ids=["old", "zip"])
@pytest.mark.parametrize("pickled", BOMBS.values(), ids=BOMBS)
def test_what_would_take_for_ever_to_hash_is_not_read(pickled, packed, tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(packed(pickled))
    with pytest.raises(StoreError, match=r"\(it names more than 10,000,000 things again\)$"):
        read_foreign(path)


@pytest.mark.parametrize("old", [False, True])
def test_what_is_named_often_is_read(old, tmp_path):
    """As one tuple of settings in all groups of an optimiser."""
    betas, weight = (0.9, (0.999, "x" * 1000)), torch.ones(3)
    content = {"groups": [{"betas": betas, betas: number} for number in range(20_000)]}
    content |= {str(number): weight for number in range(20_000)}
    path = tmp_path / "weights.pth"
    torch.save(content, path, _use_new_zipfile_serialization=not old)
    read, _ = read_foreign(path)
    assert read["groups"] == content["groups"]
    assert read["19999"].equal(weight)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "weights.pth")
    with pytest.raises(StoreError, match="^cannot read .*weights.pth: it is no file$"):
        read_foreign(tmp_path / "weights.pth")


# --- every other place -----------------------------------------------------------------------


def put(place: str, content: bytes, tmp_path) -> None:
    """Put bytes where the project looks for a file of its own, and let it look."""
    store, run = Store(tmp_path / "store"), mll_teacher(epochs=1)
    ensure(run, store, CPU)
    folder = store.folder(run)
    if place == "weights":
        (folder / "weights.safetensors").write_bytes(content)
        load_model(run, store, CPU)
    elif place == "weights of a student's teacher":
        (folder / "weights.safetensors").write_bytes(content)
        ensure(kd_student(run, epochs=1), store, CPU)
    elif place == "checkpoint":
        (folder / "record.json").unlink()
        (folder / "checkpoint.safetensors").write_bytes(content)
        store.epochs_left(run)
        ensure(run, store, CPU)
    elif place == "record":
        (folder / "record.json").write_bytes(content)
        store.records()
        read_record(folder / "record.json")
    elif place in ("records.tar.gz", "weights-1.tar"):
        pack([run], store, tmp_path / "out")
        (tmp_path / "out" / place).write_bytes(content)
        unpack(tmp_path / "out", Store(tmp_path / "again"))
    elif place == "cache":
        draw_images(data_root() / "pets")
        image_folder(folder="pets", image_size=4)
        [description] = cache_root().rglob("*.safetensors")
        description.write_bytes(content)
        image_folder(folder="pets", image_size=4)
    elif place == "published":
        (tmp_path / "teacher.safetensors").write_bytes(content)
        pretrained.load_pretrained(str(tmp_path / "teacher.safetensors"))
    elif place == "image":
        draw_images(data_root() / "pets")
        (data_root() / "pets" / "train" / "cat" / "0.png").write_bytes(content)
        image_folder(folder="pets", image_size=4)
    elif place == "CIFAR":
        folder = data_root() / datasets.CIFAR10.base_folder
        folder.mkdir(parents=True)
        for name, _ in (*datasets.CIFAR10.train_list, *datasets.CIFAR10.test_list):
            (folder / name).write_bytes(content)
        (folder / datasets.CIFAR10.meta["filename"]).write_bytes(content)
        load_dataset("cifar10")


PLACES = (
    *("weights", "weights of a student's teacher", "checkpoint", "record", "records.tar.gz"),
    *("weights-1.tar", "cache", "published", "image", "CIFAR"),
)


@pytest.mark.parametrize("kind", ["os.system", "old torch.save", "plain pickle", "tar"])
@pytest.mark.parametrize("place", PLACES)
def test_nothing_runs_wherever_such_a_file_is_put(place, kind, canary, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.utils, "download_url", unreachable)
    with suppress(CompanionError):  # or what was damaged is made again
        put(place, BUILDERS[kind][0](canary), tmp_path)
    assert not canary.exists()


def unreachable(*arguments):
    raise OSError("no network")


@pytest.mark.parametrize("read", [read_tensors, read_metadata, pretrained.load_pretrained])
def test_a_file_of_torch_save_is_refused_with_the_way_out(read, malicious, canary, tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(malicious[0])
    with pytest.raises(StoreError, match=f"^{path} is damaged "):
        read(str(path) if read is pretrained.load_pretrained else path)
    assert not canary.exists()
