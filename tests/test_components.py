"""Components: the one core module of a command is compiled; every other component is refused."""

from __future__ import annotations

import pytest
import wasmtime

import wasm2xformer as w2x

HELLO = """(core module $main
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1) (data (i32.const 0) "\\08\\00\\00\\00\\03\\00\\00\\00hi\\n")
  (func (export "_start") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))))"""
ADDED = """(core module $wit-component:adapter:wasi_snapshot_preview1 (func (export "fd_write") unreachable))
  (core module $wit-component:shim) (component) (core module $wit-component:fixups)"""


def component(text: str) -> bytes:
    return bytes(wasmtime.wat2wasm(f"(component {text})"))


@pytest.mark.parametrize("text", [HELLO, HELLO + ADDED, ADDED + HELLO, HELLO.replace("$main", "")])
def test_the_core_module_of_a_command_runs(text: str):
    report = w2x.verify(component(text), "_start")
    assert report.ok and report.run.stdout == b"hi\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a component without a core module"),
        (ADDED, "a component of 0 core modules (only adapters)"),
        (HELLO + ADDED + "(core module $other)", "a component of 2 core modules (main, other)"),
        (HELLO + '(component (core module $"in\\1bside"))', "a component of 2 core modules (main, in\\x1bside)"),
        (HELLO + "(core module)", "a component of 2 core modules (main, one without a name)"),
        (HELLO + "(core module $wit-component:adapter:other)", "2 core modules (main, wit-component:adapter:other)"),
        (
            HELLO.replace("wasi_snapshot_preview1", "wasi:cli/stdout@0.2.6"),
            '"wasi:cli/stdout@0.2.6" "fd_write" (func) is not provided; of WASI, preview 1 is provided',
        ),
        (HELLO.replace("fd_write", "fd_print"), '"wasi_snapshot_preview1" "fd_print" (func) is not provided'),
    ],
)
def test_other_components_are_refused(text: str, message: str):
    with pytest.raises(w2x.CompileError) as error:
        w2x.compile(component(text))
    assert message in str(error.value)


def test_a_truncated_component_is_refused():
    whole = component(HELLO)
    for length in (9, len(whole) // 2, len(whole) - 1):
        with pytest.raises(w2x.CompileError):
            w2x.compile(whole[:length])
