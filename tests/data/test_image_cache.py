"""Decoded images on the disk: made once, whole or not there, and every way they cannot be made."""

import errno
import os
import re
import shutil
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from image_folders import cache_files, cache_folder, make_folder, random_pixels, write

from mcmi_core.base.errors import DataError, StoreError
from mcmi_core.base.files import locked
from mcmi_core.base.paths import cache_root, data_root
from mcmi_core.data import image_cache
from mcmi_core.data.image_folder import image_folder


def load(**options):
    return image_folder(folder="pets", image_size=4, **options)


def refused(error, message):
    with pytest.raises(error, match=f"^{message}$"):
        load()


@pytest.fixture
def no_decoding(monkeypatch):
    """Returns a switch: from its call on, no image may be decoded."""

    def refuse(path, image_size):
        raise AssertionError(f"decoded {path}")

    return lambda: monkeypatch.setattr(image_cache, "decode", refuse)


def test_a_second_load_decodes_nothing_and_is_equal(no_decoding):
    make_folder()
    first = load()
    assert [name[:5] for name in cache_files()] == ["pets-"] * 3
    no_decoding()
    second = load()
    assert second.fingerprint() == first.fingerprint()
    assert (second.mean, second.std) == (first.mean, first.std)
    assert second.class_names == first.class_names


@pytest.mark.parametrize("chunk", [1, 4, 512])
def test_the_stored_fingerprint_is_what_hashing_would_give(chunk, monkeypatch):
    monkeypatch.setattr(image_cache, "CHUNK", chunk)
    make_folder()
    for _ in range(2):  # decoded, then read from the cache
        dataset = load()
        assert dataset.stored_fingerprint == replace(dataset, stored_fingerprint=None).fingerprint()
        assert dataset.fingerprint() == dataset.stored_fingerprint


def test_another_size_is_decoded_anew():
    make_folder()
    for image_size in (4, 3, 4):
        dataset = image_folder(folder="pets", image_size=image_size)
        assert dataset.image_size == image_size
    assert len(cache_files()) == 2 * 3


def change_pixels(root):
    write(root / "train" / "ant" / "0.png", random_pixels(4, 4, 3, seed=77))


def change_pixels_but_not_the_size(root):
    """As an uncompressed format would: only the time tells."""
    path = root / "train" / "ant" / "0.bmp"
    (root / "train" / "ant" / "0.png").unlink()
    write(path, random_pixels(4, 4, 3, seed=1))
    load()
    before = path.stat()
    write(path, random_pixels(4, 4, 3, seed=77))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert path.stat().st_size == before.st_size


def change_names_and_so_the_order(root):
    """Of images that size and time do not tell apart."""
    shutil.rmtree(root / "train" / "ant")
    for index in range(2):
        path = root / "train" / "ant" / f"{index}.bmp"
        write(path, random_pixels(4, 4, 3, seed=index))
        os.utime(path, ns=(0, 0))
    load()
    path.rename(path.with_name("-1.bmp"))


def add_an_image(root):
    write(root / "train" / "cat" / "9.png", random_pixels(4, 4, 3, seed=77))


def remove_an_image(root):
    (root / "train" / "cat" / "1.png").unlink()


def move_an_image(root):
    (root / "train" / "cat" / "1.png").rename(root / "train" / "ant" / "cat.png")


@pytest.mark.parametrize(
    "change",
    [
        change_pixels,
        change_pixels_but_not_the_size,
        change_names_and_so_the_order,
        add_an_image,
        remove_an_image,
        move_an_image,
    ],
)
def test_a_changed_folder_is_decoded_anew(change):
    root = make_folder()
    before = load()
    change(root)
    after = load()
    assert after.fingerprint() != before.fingerprint()
    shutil.rmtree(cache_root())
    assert load().fingerprint() == after.fingerprint()


def test_a_cache_that_was_deleted_is_made_again():
    make_folder()
    first = load()
    shutil.rmtree(cache_root())
    assert load().fingerprint() == first.fingerprint()


def pixel_files():
    return sorted(path for path in cache_folder().iterdir() if path.suffix in SPLITS)


SPLITS = (".test", ".train")


def test_images_are_mapped_from_the_cache_and_not_copied():
    make_folder()
    dataset = load()
    for split, path in zip((dataset.test, dataset.train), pixel_files(), strict=True):
        assert path.read_bytes() == split.inputs.numpy().tobytes()
        assert str(path) in mapping_of(split.inputs.data_ptr())
        assert split.to(torch.device("cpu")).inputs.data_ptr() == split.inputs.data_ptr()


def mapping_of(address):
    """The line of this process's memory map that an address belongs to."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, end = (int(part, 16) for part in line.split()[0].split("-"))
        if start <= address < end:
            return line


def cut_pixels(path):
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [Path.unlink, cut_pixels])
@pytest.mark.parametrize("which", ["train", "test", "safetensors"])
def test_an_incomplete_cache_does_not_count(damage, which, no_decoding):
    """As of a process that was killed: the description is written last."""
    make_folder()
    first = load()
    expected, about = first.fingerprint(), (first.mean, first.std)
    [path] = cache_folder().glob(f"*.{which}")
    damage(path)
    again = load()
    assert (again.fingerprint(), (again.mean, again.std)) == (expected, about)
    no_decoding()
    assert load().fingerprint() == expected


@pytest.mark.parametrize("chunk", [1, 4, 6])
def test_decoding_in_parts_is_the_same(monkeypatch, chunk):
    make_folder()
    expected = load().fingerprint()
    shutil.rmtree(cache_root())
    monkeypatch.setattr(image_cache, "CHUNK", chunk)
    assert load().fingerprint() == expected


def test_another_decoding_is_decoded_anew(monkeypatch):
    """As when its meaning changes."""
    make_folder()
    before = load()
    monkeypatch.setattr(image_cache, "DECODING", image_cache.DECODING + 1)
    assert load().fingerprint() == before.fingerprint()
    assert len(cache_files()) == 2 * 3


def test_folders_whose_names_are_written_alike_are_kept_apart():
    """In the names of files, what is not ASCII becomes _; sizes and times are the same here."""
    datasets = {}
    for seed, name in enumerate(("\u732b", "\u72ac")):
        root = make_folder(name)
        for path in root.rglob("0.png"):
            path.unlink()
            write(path.with_suffix(".bmp"), random_pixels(4, 4, 3, seed=seed))
            os.utime(path.with_suffix(".bmp"), ns=(0, 0))
        for path in root.rglob("1.png"):
            path.unlink()
        datasets[name] = image_folder(folder=name, image_size=4)
    assert [name[:2] for name in cache_files()] == ["_-"] * 6
    first, second = (dataset.fingerprint() for dataset in datasets.values())
    assert first != second


def test_while_images_are_decoded_nothing_says_that_they_are_whole(monkeypatch):
    """The size of their file does not tell: the last may be written first."""
    make_folder()
    load()
    [described] = cache_folder().glob("*.safetensors")
    cut_pixels(described.with_suffix(".train"))
    real, seen = image_cache.decode, []

    def watched(path, size):
        seen.append(described.exists())
        return real(path, size)

    monkeypatch.setattr(image_cache, "decode", watched)
    load()
    assert seen == [False] * 9 and described.exists()


# Of those who may only read


@contextmanager
def no_lock(path, *, wait=True):
    raise StoreError(f"cannot lock {path}: Read-only file system")
    yield


def test_a_cache_that_is_whole_is_only_read(monkeypatch):
    """It may be on a disk that cannot be written; so no lock is taken, and none is made."""
    make_folder()
    first = load()
    for path in cache_folder().glob("*.lock"):
        path.unlink()
    before = {path: path.stat().st_mtime_ns for path in (cache_folder(), *cache_folder().iterdir())}
    monkeypatch.setattr(image_cache, "locked", no_lock)
    assert load().fingerprint() == first.fingerprint()
    after = {path: path.stat().st_mtime_ns for path in (cache_folder(), *cache_folder().iterdir())}
    assert after == before and len(after) == 4


def test_a_cache_that_is_not_whole_needs_a_lock(monkeypatch):
    make_folder()
    load()
    for path in cache_folder().glob("*.test"):
        path.unlink()
    monkeypatch.setattr(image_cache, "locked", no_lock)
    refused(
        StoreError,
        f"cannot lock {re.escape(str(cache_folder()))}/pets-[0-9a-f]{{16}}.safetensors.lock: "
        "Read-only file system; MCMI_CACHE names another place",
    )


def test_what_another_process_decodes_meanwhile_is_not_decoded_again(monkeypatch, no_decoding):
    """It had the lock when this one looked first."""
    make_folder()
    first = load()
    shutil.move(cache_folder(), cache_folder().with_name("decoded"))

    @contextmanager
    def waiting(path, *, wait=True):
        shutil.move(cache_folder().with_name("decoded"), cache_folder())
        yield

    monkeypatch.setattr(image_cache, "locked", waiting)
    no_decoding()
    assert load().fingerprint() == first.fingerprint()


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("file", "Not a directory"),
        ("file/cache", "Not a directory"),
        ("/proc/nowhere", "No such file or directory"),
    ],
)
def test_a_cache_that_cannot_be_made_is_said(place, reason, tmp_path, monkeypatch):
    make_folder()
    (tmp_path / "file").write_text("in the way")
    cache = tmp_path / place
    monkeypatch.setenv("MCMI_CACHE", str(cache))
    refused(
        StoreError,
        f"cannot lock {re.escape(str(cache))}/imagefolder/pets-[0-9a-f]{{16}}.safetensors.lock: "
        f"{reason}; MCMI_CACHE names another place",
    )


def test_a_file_that_cannot_be_written_is_said():
    make_folder()
    load()
    for path in cache_folder().iterdir():
        if path.suffix == ".train":
            path.unlink()
            path.mkdir()
    refused(
        StoreError,
        f"cannot write decoded images to {re.escape(str(cache_folder()))}: Is a directory; "
        "MCMI_CACHE names another place",
    )


def test_a_file_that_cannot_be_read_is_said(monkeypatch):
    def refuse(path, dtype, shape):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    make_folder()
    load()
    monkeypatch.setattr(image_cache, "map_tensor", refuse)
    path = rf"{re.escape(str(cache_folder()))}/pets-[0-9a-f]{{16}}\.train"
    refused(StoreError, f"cannot read {path}: Permission denied")


# What killed decodings leave


def kill_while_decoding(monkeypatch):
    """As if killed by the system, which lets nobody clear up."""

    def die(path, size):
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(image_cache, "decode", die)
        killed.setattr(image_cache, "_remove", lambda path: None)
        with pytest.raises(KeyboardInterrupt):
            load()


def test_leftovers_of_a_folder_that_has_changed_are_deleted_by_the_next_decoding(monkeypatch):
    root = make_folder()
    kill_while_decoding(monkeypatch)
    [left] = cache_files()
    assert left.endswith(".train")
    write(root / "train" / "cat" / "9.png", random_pixels(4, 4, 3))
    load()
    assert left not in cache_files() and len(cache_files()) == 3


def leftovers(name):
    """Both files of pixels, without a description."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    files = [cache_folder() / f"{name}.{split}" for split in ("test", "train")]
    for file in files:
        file.write_bytes(b"half")
    return files


@pytest.mark.parametrize("name", ["pets-0123456789abcdef", "other.v2-0123456789abcdef", "[x]*-1"])
def test_leftovers_of_any_folder_are_deleted(name):
    make_folder()
    files = leftovers(name)
    files[0].unlink()
    load()
    assert len(cache_files()) == 3 and not files[1].exists()


def test_whole_caches_stay():
    make_folder()
    load()
    before = cache_files()
    load(images_per_class=1)
    assert len(cache_files()) == 2 * 3 and set(before) < set(cache_files())


def test_what_another_process_is_decoding_stays():
    make_folder()
    name = "pets-0123456789abcdef"
    files = leftovers(name)
    with locked(cache_folder() / f"{name}.safetensors.lock"):
        load()
        assert all(file.read_bytes() == b"half" for file in files)
        load(images_per_class=1)
        assert all(file.exists() for file in files)
    image_folder(folder="pets", image_size=3)
    assert not any(file.exists() for file in files) and len(cache_files()) == 3 * 3


def test_what_another_process_finished_meanwhile_stays(monkeypatch):
    """Between the look for leftovers and the lock of them."""
    make_folder()
    files = leftovers("pets-0123456789abcdef")

    @contextmanager
    def finished(path, *, wait=True):
        files[0].with_suffix(".safetensors").write_bytes(b"whole")
        with locked(path, wait=wait):
            yield

    monkeypatch.setattr(image_cache, "locked", finished)
    load()
    assert all(file.exists() for file in files)


def test_to_read_deletes_nothing():
    make_folder()
    load()
    files = leftovers("pets-0123456789abcdef")
    load()
    assert all(file.exists() for file in files)


# Room


def disk_with(monkeypatch, free):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(image_cache.shutil, "disk_usage", lambda path: usage._replace(free=free))


def test_more_images_than_the_disk_has_room_for_are_refused(monkeypatch, no_decoding):
    """9 images of 20,000² pixels, which are stored at 8/7 of it."""
    root = make_folder()
    disk_with(monkeypatch, free=10**9)
    no_decoding()
    message = (
        f"{root}: 9 images of 22857x22857 need {9 * 3 * 22857**2:,} bytes of disk, and "
        f"{cache_folder()} has 1,000,000,000; MCMI_CACHE names another place"
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        image_folder(folder="pets", image_size=20_000)
    assert cache_files() == []


def test_room_that_just_suffices_is_enough(monkeypatch):
    make_folder()
    disk_with(monkeypatch, free=9 * 3 * 4 * 4 - 1)
    refused(DataError, ".*need 432 bytes of disk, and .* has 431; MCMI_CACHE names another place")
    disk_with(monkeypatch, free=9 * 3 * 4 * 4)
    assert len(load().train) == 6
    disk_with(monkeypatch, free=0)
    assert len(load().train) == 6  # decoded already


def no_space(*arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("write", [no_space, lambda file, content, place: 47])
def test_a_disk_that_fills_up_meanwhile_is_said_and_nothing_is_left(monkeypatch, write):
    """Of an image, 47 of its 48 bytes may still have been written."""
    make_folder()
    with monkeypatch.context() as full:
        full.setattr(image_cache.os, "pwrite", write)
        with pytest.raises(StoreError) as caught:
            load()
    folder = cache_folder()
    assert str(caught.value) == (
        f"cannot write decoded images to {folder}: No space left on device; "
        "MCMI_CACHE names another place"
    )
    assert {path.suffix for path in folder.iterdir()} <= {".lock"}
    assert len(load().train) == 6


def test_leftovers_are_deleted_before_room_is_looked_for(monkeypatch):
    make_folder()
    files = leftovers("pets-0123456789abcdef")
    usage = shutil.disk_usage("/")

    def free(path):
        return usage._replace(free=0 if any(file.exists() for file in files) else 10**9)

    monkeypatch.setattr(image_cache.shutil, "disk_usage", free)
    assert len(load().train) == 6


def test_classes_that_are_swapped_are_seen_though_sizes_and_times_agree():
    """As of files without compression that were unpacked from an archive."""
    root = data_root() / "pets"
    for split in ("train", "test"):
        for number, kind in enumerate(("cat", "dog")):
            write(root / split / kind / "0.bmp", random_pixels(4, 4, 3, seed=number))
    for file in root.rglob("*.bmp"):
        os.utime(file, (1, 1))
    before = image_folder(folder="pets", image_size=4)
    for split in ("train", "test"):
        (root / split / "cat").rename(root / split / "x")
        (root / split / "dog").rename(root / split / "cat")
        (root / split / "x").rename(root / split / "dog")
    after = image_folder(folder="pets", image_size=4)
    assert torch.equal(after.train.inputs, before.train.inputs.flip(0))
    assert after.fingerprint() != before.fingerprint()
