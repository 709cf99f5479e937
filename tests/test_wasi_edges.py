"""WASI's errors where pointers are wrong: a part of `python -m tests.wasi_edges`."""

import pytest

import wasm2xformer as w2x
from tests.wasi_edges import FEW, differences, path_differences, poll_differences, poll_of_wasmtime


@pytest.mark.parametrize("files", [False, True])
def test_wrong_pointers_end_calls_as_in_wasmtime(files: bool):
    count, found = differences(files, 1, FEW, 2 if not files else 1)
    assert count > 500 and not found, found[:10]


def test_paths_with_zeros_and_long_names_end_as_in_wasmtime():
    count, found = path_differences(1, 1)
    assert count > 800 and not found, found[:10]


def test_poll_oneoff_of_verify_is_that_of_wasmtime():
    assert poll_of_wasmtime(1, 150) == []


@pytest.mark.parametrize("level", [0, 1])
def test_poll_oneoff_is_that_of_verify(level: int):
    assert poll_differences(level, 2, 150) == []


@pytest.mark.parametrize("level", [0, 1])
def test_what_is_cut_off_by_the_end_of_memory(level: int):
    """Of arguments and variables: addresses come before strings, strings as a whole, a variable's name and value apart."""
    program = """(module
      (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
      (memory (export "memory") 1)
      (func (export "args") (param i32 i32) (result i32) (call $args (local.get 0) (local.get 1)))
      (func (export "environ") (param i32 i32) (result i32) (call $environ (local.get 0) (local.get 1))))"""
    given = {"argv": ["", "a", "long one"], "env": {"A": "b", "EMPTY": "", "LONG": "one=two"}}
    verifier = w2x.Verifier(program, opt_level=level, **given)
    for name in ("args", "environ"):
        for room in range(1, 40):
            verifier.write_memory(65536 - 48, b"\xcc" * 48)
            report = verifier.invoke(name, [1024, 65536 - room])
            assert report.ok, (name, room, report.divergence)
        for pointers in (65536 - 8, 65536 - 4, 65536 - 6, 65536, -4):
            for to in (2048, 65535, 65536 - 16):
                report = verifier.invoke(name, [pointers, to])
                assert report.ok, (name, pointers, to, report.divergence)
