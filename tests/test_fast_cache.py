"""The cache of compiled programs."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from fast_models import Features

from wasm2xformer.compiler.format.transformer import Transformer
from wasm2xformer.runtime.fast import FastEngine, cache, counting, sealed


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("WASM2XFORMER_CACHE", str(tmp_path))
    return tmp_path / "fast"


def programs(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.bin"))


@pytest.fixture
def compiled(monkeypatch):
    """Counts the compilations."""
    calls = []
    real = cache._compile
    monkeypatch.setattr(cache, "_compile", lambda *args: calls.append(args) or real(*args))
    return calls


def model(seed: int = 0) -> Transformer:
    f = Features(seed)
    (s,) = f.graph.cumulative_sum({"s": f.small})
    (x,) = f.graph.lookup("near", f.label, s, {"x": f.label}, key_bits=10)
    return f.finish(x + f.small)


def decoded(which: Transformer, probe: str | None = None) -> list[int]:
    engine = FastEngine(which, probe)
    engine.append(np.array([5, 7, 9]))
    return engine.decode(np.zeros(len(which.vocabulary), dtype=bool), 40).tolist()


def test_second_time_from_disk(folder, compiled):
    first = decoded(model())
    assert len(compiled) == 1
    assert decoded(model()) == first
    assert len(compiled) == 1
    assert len(programs(folder)) == 1
    assert sorted(p.suffix for p in folder.iterdir()) == ["", ".bin"]  # and the key, nothing temporary


def test_everything_counts(folder, compiled):
    """A changed tensor, prefix or probe is another program."""
    one = model()
    decoded(one)
    one.layers[0].k[0] += 0.0  # no change
    decoded(one)
    assert len(compiled) == 1
    one.unembed = one.unembed.changed(3, 0, 1.5)
    decoded(one)
    one.prefix = np.array([1], dtype=np.int32)
    decoded(one)
    decoded(one, "index")
    assert len(compiled) == 4


def test_what_was_proved_is_not_proved_again(folder, monkeypatch):
    """Nor in another process. Of what is damaged, of something else and of what failed nothing is known."""
    calls = []

    def found(key: tuple, result: float | None) -> float | None:
        monkeypatch.setattr(counting, "_PROVED", {})  # as in another process
        return counting._proved(key, lambda: calls.append(key) or result)

    assert [found(("digit", 0.5), 3.0) for _ in range(3)] == [3.0] * 3 and len(calls) == 1
    assert found(("digit", 0.25), 2.0) == 2.0 and len(calls) == 2
    assert [found(("none",), None) for _ in range(2)] == [None] * 2 and len(calls) == 4
    for path in programs(folder):
        path.write_bytes(flipped(path.read_bytes(), -1 % path.stat().st_size))
    assert found(("digit", 0.5), 4.0) == 4.0 == found(("digit", 0.5), 5.0) and len(calls) == 5
    decoded(model())  # its files are beside the others
    assert len(programs(folder)) == 3


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[: len(b) // 2],
        lambda b: b"",
        *(lambda b, at=at: flipped(b, at % len(b)) for at in (0, 20, 40, 300, -1)),
    ],
)
def test_damaged_files_do_not_exist(folder, compiled, damage):
    first = decoded(model())
    (file,) = programs(folder)
    file.write_bytes(damage(file.read_bytes()))
    assert decoded(model()) == first
    assert len(compiled) == 2
    assert decoded(model()) == first
    assert len(compiled) == 2


def test_off_and_unwritable(tmp_path, monkeypatch, compiled):
    monkeypatch.setenv("WASM2XFORMER_CACHE", "")
    decoded(model())
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WASM2XFORMER_CACHE", str(tmp_path / "file"))
    decoded(model())
    assert len(compiled) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_oldest_go_first(folder, compiled, monkeypatch):
    decoded(model(0))
    (first,) = programs(folder)
    os.utime(first, (1, 1))
    monkeypatch.setattr(sealed, "CAPACITY", int(1.5 * first.stat().st_size))
    decoded(model(1))
    assert len(programs(folder)) == 1
    assert not first.exists()


def again(compiled, seed: int = 0) -> int:
    """How many compilations it takes to decode twice more."""
    before = len(compiled)
    assert decoded(model(seed)) == decoded(model(seed))
    return len(compiled) - before


def test_private(folder):
    decoded(model())
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(p.stat().st_mode & 0o777 == 0o600 for p in folder.iterdir())


@pytest.mark.parametrize("name", ["program", "key"])
@pytest.mark.parametrize("mode", [0o666, 0o644, 0o620])
def test_files_that_others_may_touch(folder, compiled, name, mode):
    """As one that another user has put there would be: the modes stand for the owner, whom a test cannot change."""
    decoded(model())
    path = folder / "key" if name == "key" else programs(folder)[0]
    path.chmod(mode)
    # A program is replaced by the next one; a key is not, and there is no cache.
    assert again(compiled) == (2 if name == "key" else 1)


def test_files_of_another_user(folder, compiled, monkeypatch):
    decoded(model())
    user = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: user + 1)
    assert again(compiled) == 2


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_folder_that_others_may_write_to(folder, compiled, mode):
    folder.mkdir()
    folder.chmod(mode)
    assert again(compiled) == 2
    assert not list(folder.iterdir())


def test_links_are_not_followed(folder, compiled, tmp_path):
    decoded(model())
    (program,) = programs(folder)
    elsewhere = tmp_path / "elsewhere"
    program.rename(elsewhere)
    program.symlink_to(elsewhere)
    before = elsewhere.read_bytes()
    assert again(compiled) == 1  # the link has been replaced, not what it names
    assert elsewhere.read_bytes() == before
    assert not program.is_symlink()
    folder.rename(tmp_path / "folder")
    folder.symlink_to(tmp_path / "folder")
    assert again(compiled) == 2


def test_pipes_are_not_waited_for(folder, compiled):
    decoded(model())
    (program,) = programs(folder)
    program.unlink()
    os.mkfifo(program)
    assert again(compiled) == 1


def test_another_key(folder, compiled):
    decoded(model())
    (folder / "key").write_bytes(bytes(32))
    assert again(compiled) == 1
    (folder / "key").write_bytes(b"short")
    assert again(compiled) == 2


def test_another_name(folder, compiled):
    """A whole file of this cache, of another program."""
    decoded(model(0))
    (one,) = programs(folder)
    decoded(model(1))
    (other,) = set(programs(folder)) - {one}
    one.write_bytes(other.read_bytes())
    assert again(compiled, 0) == 1


def test_stale_temporary_files_go(folder, compiled):
    folder.mkdir(mode=0o700)
    old, new = folder / "old.tmp", folder / "new.tmp"
    for path in (old, new):
        path.write_bytes(b"")
    os.utime(old, (1, 1))
    decoded(model())
    assert not old.exists()
    assert new.exists()


def test_failed_writes_leave_nothing(folder, compiled, monkeypatch):
    def full(handle: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    assert again(compiled) == 2
    assert not list(folder.iterdir())


def test_relative_place_is_no_place(tmp_path, monkeypatch, compiled):
    """It would be another folder in each folder that a program is started from, also one that others write to."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WASM2XFORMER_CACHE", "here")
    assert again(compiled) == 2
    assert not list(tmp_path.iterdir())


def test_the_users_cache_is_not_the_tests_own():
    """tests/conftest.py chose another."""
    assert sealed.cache_folder() == Path(os.environ["WASM2XFORMER_CACHE"]) / "fast"
