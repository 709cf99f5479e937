"""Folders that WASI programs are given: the model against wasmtime, and what is stored of what a program writes."""

from __future__ import annotations

import pytest

import wasm2xformer as w2x
from tests import wasi_files
from wasm2xformer.runtime.check.oracle import Oracle
from wasm2xformer.runtime.cli import main
from wasm2xformer.runtime.folders import checked, contents, image

WRITER = """(module
  (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1) (data (i32.const 0) "in.txtout/new.txt")
  (data (i32.const 64) "\\00\\01\\00\\00\\00\\10\\00\\00")
  (func (export "copy") (result i32) (local $from i32) (local $to i32)
    (drop (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 6) (i32.const 0) (i64.const 2) (i64.const 0)
      (i32.const 0) (i32.const 80)))
    (local.set $from (i32.load (i32.const 80)))
    (drop (call $open (i32.const 3) (i32.const 0) (i32.const 6) (i32.const 11) (i32.const 1) (i64.const 64) (i64.const 0)
      (i32.const 1) (i32.const 80)))
    (local.set $to (i32.load (i32.const 80)))
    (drop (call $read (local.get $from) (i32.const 64) (i32.const 1) (i32.const 84)))
    (i32.store (i32.const 68) (i32.load (i32.const 84)))
    (drop (call $write (local.get $to) (i32.const 64) (i32.const 1) (i32.const 88)))
    (i32.load (i32.const 88)))
  (func (export "remove") (result i32) (call $unlink (i32.const 3) (i32.const 0) (i32.const 6)))
  (func (export "trap") (drop (call $unlink (i32.const 3) (i32.const 0) (i32.const 6))) (unreachable)))"""
GIVEN = {"/data": {"in.txt": b"some text", "out": None, "other": bytes(range(256))}}
COPIED = {**GIVEN["/data"], "out/new.txt": b"some text"}


@pytest.fixture(scope="module")
def writer() -> w2x.Model:
    return w2x.compile(WRITER)


@pytest.mark.parametrize("seed", [1, 2])
def test_random_calls_do_what_wasmtime_does(seed: int):
    """More of them: `python -m tests.wasi_files`."""
    done, difference = wasi_files.check(seed, 60, opt_level=seed % 2)
    assert (done, difference) == (60, "")


def test_what_a_program_writes_is_read_back(writer: w2x.Model):
    vm = w2x.Instance(writer, folders=GIVEN)
    assert vm.read_folders() == GIVEN
    assert vm.invoke("copy").values == [9]
    assert vm.read_folders() == {"/data": COPIED}
    assert vm.invoke("copy").values == [9]  # appends
    assert vm.invoke("remove").values == [0]
    now = vm.read_folders()["/data"]
    assert now["out/new.txt"] == b"some textsome text" and "in.txt" not in now and now["other"] == GIVEN["/data"]["other"]


def test_a_folder_that_differs_is_told(writer: w2x.Model, monkeypatch: pytest.MonkeyPatch):
    verifier = w2x.Verifier(WRITER, model=writer, folders=GIVEN)
    assert verifier.invoke("copy").ok
    real = Oracle.folders
    monkeypatch.setattr(Oracle, "folders", lambda self: {"/data": {**real(self)["/data"], "other": b""}})
    divergence = str(verifier.invoke("remove").divergence)
    assert divergence.startswith("/data/other after the call differs") and "256 bytes" in divergence


def test_run_stores_what_was_written_and_verify_does_not(tmp_path, capsys):
    program, folder = tmp_path / "w.wat", tmp_path / "data"
    program.write_text(WRITER)
    (folder / "out").mkdir(parents=True)
    (folder / "in.txt").write_bytes(b"some text")
    arguments = ["--dir", f"{folder}::/data", str(program)]
    assert main(["verify", *arguments, "--invoke", "copy"]) == 0
    assert not (folder / "out" / "new.txt").exists()
    capsys.readouterr()
    assert (main(["run", *arguments, "--invoke", "copy"]), capsys.readouterr().out) == (0, "9\n")
    assert (folder / "out" / "new.txt").read_bytes() == b"some text"
    assert main(["run", *arguments, "--invoke", "trap"]) == 3
    assert not (folder / "in.txt").exists()


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        ([5], "no mapping"), ({"d": 5}, "mapping of paths"), ({"d": {"../x": b""}}, "no path within"),
        ({"d": {"a": "text"}}, "no bytes"), ({"d": {"a": b"", "a/b": b""}}, "is in a file"), ({"d": {"x" * 256: b""}}, "no path"),
        ({"d": {"a\0": b""}}, "no name"), ({"d": {"big": bytes(2**24)}}, "has room for 16,777,215"),
    ],
)  # fmt: skip
def test_what_is_no_folder_is_refused(writer: w2x.Model, folders, words: str):
    with pytest.raises(w2x.ArgumentError, match=words):
        w2x.Instance(writer, folders=folders).invoke("remove")


def test_a_program_that_opens_nothing_is_given_nothing():
    with pytest.raises(w2x.ArgumentError, match="opens no files"):
        w2x.Instance(w2x.compile('(module (func (export "f")))'), folders=GIVEN)


@pytest.mark.parametrize("option", ["nowhere", "::/data", "{0}::", "{0}::/a --dir {0}::/a"])
def test_an_option_that_names_no_folder_is_refused(tmp_path, capsys, option: str):
    program = tmp_path / "w.wat"
    program.write_text(WRITER)
    assert main(["run", str(program), "--dir", *option.format(tmp_path).split(), "--invoke", "copy"]) == 2
    assert "--dir" in capsys.readouterr().err


def test_an_image_says_what_it_was_made_from():
    folders = checked({"b": {"z": b"1", "a/k": b"22222", "a.b": None}, "/a": {}})
    for base in (0, 4096):
        data = image(folders, base, 5)
        assert contents(lambda at, n, data=data, base=base: data[at - base : at - base + n], base, folders) == folders
