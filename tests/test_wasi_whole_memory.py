"""WASI at the end of a memory of 65,536 pages, behind which addresses begin again: traps and results as in wasmtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import wasmtime

import wasm2xformer as w2x
from wasm2xformer.compiler.format.isa import TRAPS
from wasm2xformer.runtime.check.oracle.wasi import host_trap

END = 2**32
FUNCTIONS = {
    "fd_write": "i32 i32 i32 i32", "fd_read": "i32 i32 i32 i32", "args_get": "i32 i32", "environ_get": "i32 i32",
    "poll_oneoff": "i32 i32 i32 i32", "fd_fdstat_get": "i32 i32", "fd_filestat_get": "i32 i32",
}  # fmt: skip
FILES = {"fd_prestat_get": "i32 i32", "fd_readdir": "i32 i32 i32 i64 i32", "path_open": "i32 i32 i32 i32 i32 i64 i64 i32 i32"}
Calls = list[tuple[Any, ...]]


def module(functions: dict[str, str]) -> str:
    """All functions are exported under their names, "put" writes a word and "get" reads one."""
    imports = "".join(
        f'(import "wasi_snapshot_preview1" "{n}" (func ${n} (param {p}) (result i32)))' for n, p in functions.items()
    )
    exports = "".join(
        f'(func (export "{n}") (param {p}) (result i32) (call ${n} {_locals(p)}))' for n, p in functions.items()
    )
    return f"""(module {imports} (memory (export "memory") 65536) {exports}
      (func (export "put") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
      (func (export "get") (param i32) (result i32) (i32.load (local.get 0))))"""


def _locals(params: str) -> str:
    return " ".join(f"(local.get {k})" for k in range(len(params.split())))


class Original:
    """wasmtime's instance."""

    def __init__(self, text: str, folder: Path):
        (folder / "in").write_bytes(b"hello world")
        (folder / "d").mkdir()
        (folder / "d" / "abc").write_bytes(b"x")
        config = wasmtime.WasiConfig()
        config.argv, config.env, config.stdin_file = ["ab", "c"], [("K", "v")], str(folder / "in")
        config.stdout_file = str(folder / "out")
        config.preopen_dir(str(folder / "d"), "d")
        engine = wasmtime.Engine()
        self.store, linker = wasmtime.Store(engine), wasmtime.Linker(engine)
        self.store.set_wasi(config)
        linker.define_wasi()
        self.exports = linker.instantiate(self.store, wasmtime.Module(engine, text)).exports(self.store)

    def __call__(self, name: str, *args: int) -> list[int] | str:
        try:
            result = self.exports[name](self.store, *((a + 2**31) % END - 2**31 for a in args))
        except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
            return TRAPS[host_trap(str(error)) or "memory_out_of_bounds"]
        return [] if result is None else [result % END]


def check(text: str, level: int, calls: Calls, folder: Path) -> None:
    original, folders = Original(text, folder), {"d": {"abc": b"x"}} if "path_open" in text else {}
    vm = w2x.Instance(
        w2x.compile(text, level), stdin=b"hello world", args=["ab", "c"], env={"K": "v"}, folders=folders
    )
    trapped = 0  # calls
    for name, *args in calls:
        try:
            found: list[int] | str = [value % END for value in vm.invoke(name, *args).values]
        except w2x.Trap as trap:
            found, trapped = str(trap), trapped + 1
        assert found == original(name, *args), (name, args)
    assert trapped >= 4


def put(at: int, *words: int) -> Calls:
    return [("put", at + 4 * k, word) for k, word in enumerate(words)]


def get(*places: int) -> Calls:
    return [("get", place) for place in places]


# The last buffer of a list of them, empty; behind it nothing, above all not what is at address 0.
BUFFERS: Calls = [
    *put(END - 8, 0, 0), *put(0, 100, 3), *put(100, 0x7A7978), ("fd_write", 1, END - 8, 1, 200), ("fd_write", 1, END - 8, 2, 200),
    ("fd_read", 0, END - 8, 2, 200), ("fd_write", 1, END - 4, 1, 200), *put(END - 16, 0, 0), ("fd_write", 1, END - 16, 2, 200),
    ("fd_write", 1, END - 16, 3, 200),
]  # fmt: skip
# Buffers that end where the memory does, and one byte later.
ENDS: Calls = [
    *put(0, END - 4, 4), *put(END - 4, 0x64636261), ("fd_write", 1, 0, 1, 200), *get(200), ("fd_read", 0, 0, 1, 200),
    *get(END - 4), *put(0, END - 4, 5), ("fd_write", 1, 0, 1, 200), ("fd_write", 2, 0, 1, 200),
]  # fmt: skip
# wasmtime wants the address behind what it wrote, too.
STRINGS: Calls = [
    ("args_get", END - 12, 0), *get(END - 12, END - 8, 0), ("args_get", END - 8, 16), ("args_get", END - 4, 16),
    ("args_get", 16, END - 6), ("args_get", 16, END - 5), ("args_get", 16, END - 2), ("args_get", 17, END - 2),
    ("environ_get", 16, END - 5), ("environ_get", 16, END - 4), *get(0),
]  # fmt: skip
NUMBERS: Calls = [
    ("fd_fdstat_get", 0, END - 24), *get(END - 24, END - 16), ("fd_fdstat_get", 0, END - 16), ("fd_fdstat_get", 0, END - 8),
    ("fd_filestat_get", 0, END - 64), ("fd_filestat_get", 0, END - 56), ("fd_filestat_get", 0, END - 8), *get(0, 4, 8),
]  # fmt: skip


@pytest.mark.parametrize("level", [0, 1])
def test_streams_and_strings(level: int, tmp_path: Path) -> None:
    check(module(FUNCTIONS), level, [*BUFFERS, *ENDS, *STRINGS, *NUMBERS], tmp_path)


def test_folders(tmp_path: Path) -> None:
    """Entries have 24 bytes and the name: 25 of ".", 26 of "..", 27 of "abc"."""
    numbers: Calls = [
        ("fd_fdstat_get", 3, END - 24), *(("fd_fdstat_get", fd, END - back) for fd in (0, 3) for back in (16, 8, 4, 2, 1)),
        *((f"fd_{what}stat_get", 3, END - back) for what in ("file", "pre") for back in (64, 56, 8, 4, 1)),
        *get(0, 4, 8),
    ]  # fmt: skip
    entries: Calls = [
        ("fd_readdir", 3, END - back, room, 0, 200)
        for room, back in (
            (24, 25), (24, 24), (25, 25), (25, 26), (51, 52), (51, 51), (52, 52), (78, 79), (90, 79), (90, 78), (11, 10),
            (100, 24), (100, 25),
        )
    ]  # fmt: skip
    check(module(FUNCTIONS | FILES), 1, [*BUFFERS, *numbers, *entries, *get(0, 4)], tmp_path)


def test_subscriptions(tmp_path: Path) -> None:
    """48 bytes each: clocks with nothing to wait for, at the end of memory and at its beginning; events of 32 bytes."""
    calls: Calls = []
    for where, events, count in (
        (END - 48, 256, 1), (END - 96, 256, 2), (END - 48, 256, 2), (END - 96, 256, 3), (0, END - 32, 1), (0, END - 64, 2),
        (0, END - 32, 2), (0, END - 24, 1),
    ):  # fmt: skip
        calls += [("poll_oneoff", where, events, count, 200), *get(200), *put(END - 100, *[0] * 25), *put(0, *[0] * 25)]
    check(module(FUNCTIONS), 1, calls, tmp_path)
