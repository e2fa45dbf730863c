"""What an archive may hold, and what becomes of one that holds anything else: nothing."""

import gzip
import hashlib
import io
import re
import tarfile

import pytest
from torchvision import datasets

from mcmi_core.base import archives
from mcmi_core.base.archives import files_in
from mcmi_core.base.errors import DataError, StoreError
from mcmi_core.base.paths import data_root
from mcmi_core.data import load_dataset

NAMES = re.compile(r"run/[a-z]+\.txt")
MOST = 2**16


def member(name, content=b"", **changes):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in changes.items():
        setattr(info, field, value)
    return info, content


def pack(path, *members, mode="w"):
    with tarfile.open(path, mode) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return path


GOOD = member("run/a.txt", b"a"), member("run/b.txt", b"bb")


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_files_of_the_right_names_come_out(mode, tmp_path):
    folder = member("run", type=tarfile.DIRTYPE)
    path = pack(tmp_path / "a.tar", folder, *GOOD, mode=mode)
    assert dict(files_in(path, NAMES, MOST)) == {"run/a.txt": b"a", "run/b.txt": b"bb"}


MALICIOUS = {
    "above": member("../a.txt", b"evil"),
    "above, from within": member("run/../../a.txt", b"evil"),
    "absolute": member("/tmp/a.txt", b"evil"),
    "another name": member("run/a.py", b"evil"),
    "another place": member("else/a.txt", b"evil"),
    "end of line": member("run/a.txt\n", b"evil"),
    "symbolic link": member("run/c.txt", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "hard link": member("run/c.txt", type=tarfile.LNKTYPE, linkname="../../etc/passwd"),
    "pipe": member("run/c.txt", type=tarfile.FIFOTYPE),
    "device": member("run/c.txt", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
    "disk": member("run/c.txt", type=tarfile.BLKTYPE),
    "gaps": member("run/c.txt", type=tarfile.GNUTYPE_SPARSE),
    "gaps, said beside": member("run/c.txt", pax_headers={"GNU.sparse.map": "0,0"}),
    "before its beginning": member("run/c.txt", pax_headers={"size": "-512"}),
    "endless": member("run/c.txt", pax_headers={"size": "9" * 30}),
    "no number": member("run/c.txt", pax_headers={"GNU.sparse.map": "x"}),
    "long": member("run/" + "c" * 3000),
    "unknown": member("run/c.txt", type=b"Z"),
}


@pytest.mark.parametrize("kind", MALICIOUS)
def test_a_single_other_member_keeps_all_of_them_inside(kind, tmp_path):
    path = pack(tmp_path / "a.tar", *GOOD, MALICIOUS[kind])
    taken = []
    with pytest.raises(StoreError, match=f"^cannot unpack {path}: .+"):
        for file in files_in(path, NAMES, MOST):
            taken.append(file)
    assert taken == []


def test_the_message_names_the_first_that_does_not_belong(tmp_path):
    path = pack(tmp_path / "a.tar", *GOOD, MALICIOUS["above"], MALICIOUS["pipe"])
    with pytest.raises(StoreError, match="'../a.txt' is no file that belongs there$"):
        list(files_in(path, NAMES, MOST))


@pytest.mark.parametrize("packed", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_more_bytes_than_allowed_are_refused(packed, tmp_path):
    path = tmp_path / "a.tar"
    pack(path, member("run/a.txt", bytes(MOST)))
    path.write_bytes(packed(path.read_bytes()))
    with pytest.raises(StoreError, match=f"cannot unpack {path}: it holds more than 65,536 bytes"):
        list(files_in(path, NAMES, MOST))


def test_of_a_bomb_no_more_is_unpacked_than_is_allowed(tmp_path, monkeypatch):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(bytes(20_000_000)))
    assert path.stat().st_size < MOST
    sizes, real = [], archives.zlib.decompressobj

    class Watched:
        def __init__(self, *settings):
            self.unzip = real(*settings)

        def decompress(self, content, most):
            sizes.append(len(got := self.unzip.decompress(content, most)))
            return got

        @property
        def eof(self):
            return self.unzip.eof

    monkeypatch.setattr(archives.zlib, "decompressobj", Watched)
    with pytest.raises(StoreError, match="it holds more than 65,536 bytes"):
        list(files_in(path, NAMES, MOST))
    assert sizes == [MOST + 1]


@pytest.mark.parametrize("compression", ["bz2", "xz"])
def test_other_compressions_are_not_unpacked_at_all(compression, tmp_path):
    path = pack(tmp_path / "a.tar", *GOOD, mode=f"w:{compression}")
    with pytest.raises(StoreError, match=f"^cannot unpack {path}: "):
        list(files_in(path, NAMES, MOST))


def test_a_size_that_is_only_said_is_not_believed(tmp_path):
    info, _ = member("run/a.txt")
    info.size = 2**40
    path = tmp_path / "a.tar"
    path.write_bytes(info.tobuf() + bytes(1024))
    with pytest.raises(StoreError, match=f"^cannot unpack {path}: "):
        list(files_in(path, NAMES, MOST))


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_headers_within_headers_are_refused(kind, tmp_path):
    header, _ = member("a", b"abcd\0", type=kind)
    nested = 2000 * (header.tobuf(tarfile.GNU_FORMAT) + b"abcd\0".ljust(512, b"\0"))
    path = tmp_path / "a.tar"
    path.write_bytes(nested + member("run/a.txt")[0].tobuf() + bytes(1024))
    with pytest.raises(StoreError, match=f"^cannot unpack {path}: ") as error:
        list(files_in(path, NAMES, 2**26))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("place", [10, 60, -3])
def test_a_cut_archive_is_refused(place, tmp_path):
    path = pack(tmp_path / "a.tar", *GOOD, mode="w:gz")
    path.write_bytes(path.read_bytes()[:place])
    with pytest.raises(StoreError, match=f"^cannot unpack {path}: it ends before its checksum"):
        list(files_in(path, NAMES, MOST))


# --- CIFAR -----------------------------------------------------------------------------------


@pytest.fixture
def archive(monkeypatch):
    """Put an archive where CIFAR-10's would be; there is no network."""

    def unreachable(*arguments, **settings):
        raise OSError("no network")

    for name in ("_get_redirect_url", "_urlretrieve"):
        monkeypatch.setattr(datasets.utils, name, unreachable)

    def put(*members, trusted):
        data_root().mkdir()
        path = pack(data_root() / datasets.CIFAR10.filename, *members, mode="w:gz")
        if trusted:  # as if torchvision knew its checksum
            digest = hashlib.md5(path.read_bytes()).hexdigest()
            monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", digest)
        return path

    return put


BATCH = member(f"{datasets.CIFAR10.base_folder}/data_batch_1", b"pickle")


def files():
    return sorted(str(p.relative_to(data_root())) for p in data_root().rglob("*") if p.is_file())


def test_an_archive_with_another_checksum_is_not_opened(archive, monkeypatch):
    path = archive(BATCH, trusted=False)
    monkeypatch.setattr(tarfile, "open", None)
    with pytest.raises(DataError, match="no network"):
        load_dataset("cifar10")
    assert set(files()) <= {path.name, ".cifar10.lock"}


def test_even_an_archive_with_the_right_checksum_writes_only_where_it_should(archive, tmp_path):
    evil = member("../evil.txt", b"evil")
    path = archive(BATCH, evil, trusted=True)
    with pytest.raises(DataError, match="'../evil.txt' is no file that belongs there"):
        load_dataset("cifar10")
    assert set(files()) <= {path.name, ".cifar10.lock"}
    assert not (tmp_path / "evil.txt").exists()


def test_a_file_with_another_checksum_is_not_read(archive):
    """It would be unpickled: what is in this one is no pickle."""
    archive(BATCH, trusted=True)
    with pytest.raises(DataError, match="not found or corrupted"):
        load_dataset("cifar10")
    assert BATCH[0].name in files()
