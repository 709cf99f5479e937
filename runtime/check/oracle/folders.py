"""The folders of a program in wasmtime: copies on disk, and what is told of them differently than wasmtime would.

What a machine decides, and no program can count on, is the same on both sides: the number of a file (in the order in which
they came to be), the order of a folder's entries (by name), a folder's size (0), times (as compiler/link/files.wat has them).
There are no links. All else is wasmtime's own.
"""

from __future__ import annotations

import os
import struct
import tempfile
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import wasmtime

from ....compiler.format.isa import TRAPS
from ...folders import Contents, Folders, numbered
from .clock import Clock

WASI = "wasi_snapshot_preview1"
_BAD, _UNSUPPORTED = 8, 58  # WASI's errno
_FOLDER = 3  # WASI's type of a file
_STAT, _ENTRY = struct.Struct("<2QB7x5Q"), struct.Struct("<2Q2I")
_SIGNATURES = {
    "path_open": "iiiiijjii", "path_create_directory": "iii", "path_filestat_get": "iiiii", "fd_filestat_get": "ii",
    "fd_readdir": "iiiji", "path_filestat_set_times": "iiiijji", "fd_filestat_set_times": "ijji", "path_link": "iiiiiii",
    "path_symlink": "iiiii",
}  # fmt: skip
_PATH, _RESULT, _ENTRIES = 0, 8192, 16384  # in the memory of who asks wasmtime


class OracleFolders:
    """Copies of the world's folders, which go when this does."""

    def __init__(self, folders: Folders, clock: Clock):
        self._given, self._clock = folders, clock
        self._roots: dict[str, Path] = {}
        if folders:
            top = Path(tempfile.mkdtemp(prefix="oracle"))
            weakref.finalize(self, _remove, top)
            for place, (name, contents) in enumerate(folders.items()):
                self._roots[name] = top / str(place)
                _fill(self._roots[name], contents)
        # Numbers of files, and the times of access and modification by number.
        self._numbers: dict[int, int] = {}
        self._gone: dict[int, int] = {}
        self._times: dict[int, list[int]] = {}
        self._next = 1

    def open(self, config: wasmtime.WasiConfig) -> None:
        for name, root in self._roots.items():
            config.preopen_dir(str(root), name)

    def contents(self) -> dict[str, dict[str, bytes | None]]:
        """What is in them now."""
        return {name: dict(_read(root)) for name, root in self._roots.items()}

    def define(self, store: wasmtime.Store, linker: wasmtime.Linker) -> None:
        """The functions whose results are told differently. They ask wasmtime's own, which see another memory."""
        self._real = _asking(store, linker)
        self._outside = _observer(self._roots)
        for name, path in numbered(self._given):
            self._number(self._identity(name, path))
        for name, signature in _SIGNATURES.items():
            types = [{"i": wasmtime.ValType.i32(), "j": wasmtime.ValType.i64()}[c] for c in signature]
            type_ = wasmtime.FuncType(types, [wasmtime.ValType.i32()])
            method = weakref.WeakMethod(getattr(self, f"_{name}"))
            linker.define_func(WASI, name, type_, _unsigned(method, signature), access_caller=True)

    # Numbers

    def _identity(self, name: str, path: str) -> int:
        """What wasmtime calls the file that is there; it is the same wherever the file goes."""
        store, functions = self._outside
        memory, text = functions["memory"], (path or ".").encode()
        memory.write(store, text, _PATH)
        root = 3 + list(self._roots).index(name)
        assert functions["path_filestat_get"](store, root, 0, _PATH, len(text), _RESULT) == 0
        return int(_STAT.unpack(memory.read(store, _RESULT, _RESULT + _STAT.size))[1])

    def _number(self, identity: int) -> int:
        if identity not in self._numbers:
            self._gone.pop(identity, None)
            self._numbers[identity] = self._next
            self._times[self._next] = [self._clock.now, self._clock.now]
            self._next += 1
        return self._numbers[identity]

    def _known(self, identity: int) -> int:
        return self._numbers.get(identity, self._gone.get(identity, 0))

    def _there(self) -> list[int]:
        return [self._identity(name, path) for name, root in self._roots.items() for path in ("", *dict(_read(root, False)))]

    def _creating(self, caller: wasmtime.Caller, call: Callable[[], int]) -> int:
        """A call that may make a file. What has gone before may have left its identity to it."""
        there = {*self._there()}
        self._clock.read(caller)
        self._gone |= {i: n for i, n in self._numbers.items() if i not in there}
        self._numbers = {i: n for i, n in self._numbers.items() if i in there}
        result = call()
        for identity in self._there():
            self._number(identity)
        return result

    # The functions. Arguments are unsigned.

    def _call(self, caller: wasmtime.Caller, name: str, *arguments: int) -> int:
        return int(self._real[name](caller, *(_signed(a, c) for a, c in zip(arguments, _SIGNATURES[name], strict=True))))

    def _put_path(self, caller: wasmtime.Caller, path: int, length: int) -> int:
        """The length, with the path where wasmtime's own functions are told that it is."""
        data = _read_memory(caller, path, length)[: _RESULT - 1]
        self._real["memory"].write(caller, data, _PATH)
        return len(data)

    def _no_folder(self, caller: wasmtime.Caller, fd: int) -> bool:
        return self._call(caller, "path_create_directory", fd, _PATH, 0) == _BAD

    def _path_open(
        self, caller: wasmtime.Caller, fd: int, follow: int, path: int, length: int, flags: int, rights: int, below: int,
        fd_flags: int, to: int,
    ) -> int:  # fmt: skip
        # Flags that are none are found first.
        self._call(caller, "path_open", fd, follow, _PATH, 0, flags, rights, below, fd_flags, _RESULT)
        size = self._put_path(caller, path, length)
        error = self._creating(
            caller,
            lambda: self._call(caller, "path_open", fd, follow, _PATH, size, flags, rights, below, fd_flags, _RESULT)
        )
        if not error:
            _write_memory(caller, to, self._result(caller, 4), 4)
        return error

    def _path_create_directory(self, caller: wasmtime.Caller, fd: int, path: int, length: int) -> int:
        if self._no_folder(caller, fd):
            return _BAD
        size = self._put_path(caller, path, length)
        return self._creating(caller, lambda: self._call(caller, "path_create_directory", fd, _PATH, size))

    def _path_filestat_get(
        self, caller: wasmtime.Caller, fd: int, follow: int, path: int, length: int, to: int
    ) -> int:  # fmt: skip
        if self._no_folder(caller, fd) and follow < 2:
            return _BAD
        size = self._put_path(caller, path, length)
        error = self._call(caller, "path_filestat_get", fd, follow, _PATH, size, _RESULT)
        if not error:
            _write_stat(caller, to, self._told(caller))
        return error

    def _fd_filestat_get(self, caller: wasmtime.Caller, fd: int, to: int) -> int:
        error = self._call(caller, "fd_filestat_get", fd, _RESULT)
        if not error:
            _write_stat(caller, to, self._told(caller))
        return error

    def _told(self, caller: wasmtime.Caller) -> bytes:
        """What wasmtime has just said of a file, as it is told."""
        device, identity, kind, links, size, *_ = _STAT.unpack(self._result(caller, _STAT.size))
        if not device:  # a stream
            return self._result(caller, _STAT.size)
        number = self._known(identity)
        if kind == _FOLDER:
            links, size = min(links, 1), 0
        read, written = self._times.get(number, (0, 0))
        return _STAT.pack(device, number, kind, links, size, read, written, written)

    def _result(self, caller: wasmtime.Caller, size: int) -> bytes:
        return bytes(self._real["memory"].read(caller, _RESULT, _RESULT + size))

    def _fd_readdir(self, caller: wasmtime.Caller, fd: int, to: int, room: int, cookie: int, used: int) -> int:
        memory = self._real["memory"]
        size = memory.data_len(caller) - _ENTRIES
        error = self._call(caller, "fd_readdir", fd, _ENTRIES, size, 0, _RESULT)
        if error:
            return error
        length = int.from_bytes(self._result(caller, 4), "little")
        data = bytes(memory.read(caller, _ENTRIES, _ENTRIES + length))
        own, *others = _entries(data)
        above, rest = others[0], sorted(others[1:])
        left = room
        for place, (name, identity, kind) in enumerate([own, above, *rest]):
            if place < cookie or not left:
                continue
            entry = _ENTRY.pack(place + 1, self._known(identity), len(name), kind)
            for part in (entry, name):
                part = part[:left]
                _write_memory(caller, to + room - left, part, 1)
                left -= len(part)
        _write_memory(caller, used, (room - left).to_bytes(4, "little"), 4)
        return 0

    def _fd_filestat_set_times(self, caller: wasmtime.Caller, fd: int, read: int, written: int, flags: int) -> int:
        error = self._call(caller, "fd_filestat_set_times", fd, read, written, flags)
        if not error and not self._call(caller, "fd_filestat_get", fd, _RESULT):
            self._set_times(caller, read, written, flags)
        return error

    def _path_filestat_set_times(
        self, caller: wasmtime.Caller, fd: int, follow: int, path: int, length: int, read: int, written: int, flags: int
    ) -> int:  # fmt: skip
        size = self._put_path(caller, path, length) if path + length <= _memory(caller).data_len(caller) else 0
        error = self._call(caller, "path_filestat_set_times", fd, follow, _PATH, size, read, written, flags)
        if error != _BAD and error != 28:
            self._put_path(caller, path, length)
        if not error and not self._call(caller, "path_filestat_get", fd, follow, _PATH, size, _RESULT):
            self._set_times(caller, read, written, flags)
        return error

    def _set_times(self, caller: wasmtime.Caller, read: int, written: int, flags: int) -> None:
        times = self._times[self._known(_STAT.unpack(self._result(caller, _STAT.size))[1])]
        for place, value, given, now in ((0, read, 1, 2), (1, written, 4, 8)):
            if flags & given:
                times[place] = value
            elif flags & now:
                times[place] = self._clock.read(caller)

    def _path_link(
        self, caller: wasmtime.Caller, fd: int, follow: int, path: int, length: int, to_fd: int, to: int, to_length: int
    ) -> int:  # fmt: skip
        if follow > 1:
            raise wasmtime.Trap(TRAPS["host_error"])
        return _BAD if self._no_folder(caller, fd) or self._no_folder(caller, to_fd) else _UNSUPPORTED

    def _path_symlink(self, caller: wasmtime.Caller, path: int, length: int, fd: int, to: int, to_length: int) -> int:
        return _BAD if self._no_folder(caller, fd) else _UNSUPPORTED


def _fill(root: Path, contents: Contents) -> None:
    root.mkdir()
    for path, data in contents.items():
        if data is None:
            (root / path).mkdir()
        else:
            (root / path).write_bytes(data)


def _read(root: Path, whole: bool = True) -> Iterator[tuple[str, bytes | None]]:
    """In no order; the contents of files only where they are asked for."""
    for where, folders, files in os.walk(root):
        for name in folders:
            yield (Path(where) / name).relative_to(root).as_posix(), None
        for name in files:
            path = Path(where) / name
            yield path.relative_to(root).as_posix(), path.read_bytes() if whole else b""


def _remove(top: Path) -> None:
    for where, folders, files in os.walk(top, topdown=False):
        for name in files:
            os.unlink(os.path.join(where, name))
        for name in folders:
            os.rmdir(os.path.join(where, name))
    os.rmdir(top)


def _asking(store: Any, linker: wasmtime.Linker) -> dict[str, Any]:
    """wasmtime's own functions, as a module with a memory of its own calls them, and that memory."""
    names = {"i": "i32", "j": "i64"}
    imports, functions = [], []
    for name, signature in _SIGNATURES.items():
        params = " ".join(names[c] for c in signature)
        given = " ".join(f"(local.get {k})" for k in range(len(signature)))
        imports.append(f'(import "{WASI}" "{name}" (func ${name} (param {params}) (result i32)))')
        functions.append(f'(func (export "{name}") (param {params}) (result i32) (call ${name} {given}))')
    text = f'(module {" ".join(imports)} (memory (export "memory") 32) {" ".join(functions)})'
    exports = linker.instantiate(store, wasmtime.Module(store.engine, text)).exports(store)
    return {"memory": exports["memory"], **{name: exports[name] for name in _SIGNATURES}}


def _observer(roots: dict[str, Path]) -> tuple[wasmtime.Store, dict[str, Any]]:
    """The same of a store of its own, in which the program does not close the folders."""
    store = wasmtime.Store(wasmtime.Engine())
    config = wasmtime.WasiConfig()
    for name, root in roots.items():
        config.preopen_dir(str(root), name)
    store.set_wasi(config)
    linker = wasmtime.Linker(store.engine)
    linker.define_wasi()
    return store, _asking(store, linker)


def _unsigned(method: weakref.WeakMethod[Any], signature: str) -> Callable[..., int]:
    def function(caller: wasmtime.Caller, *arguments: int) -> int:
        found = method()
        assert found is not None, "the oracle is alive while its module runs"
        return int(found(caller, *(a % 2 ** (64 if c == "j" else 32) for a, c in zip(arguments, signature, strict=True))))

    return function


def _signed(value: int, type_: str) -> int:
    bits = 64 if type_ == "j" else 32
    return value - 2**bits if value >= 2 ** (bits - 1) else value


def _entries(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(name, identity, type)"""
    at = 0
    while at < len(data):
        _, identity, length, kind = _ENTRY.unpack_from(data, at)
        at += _ENTRY.size + length
        yield data[at - length : at], identity, kind & 255


def _memory(caller: wasmtime.Caller) -> wasmtime.Memory:
    memory = caller["memory"]
    assert isinstance(memory, wasmtime.Memory)
    return memory


def _read_memory(caller: wasmtime.Caller, pointer: int, length: int) -> bytes:
    memory = _memory(caller)
    if pointer + length > memory.data_len(caller):
        raise wasmtime.Trap(TRAPS["memory_out_of_bounds"])
    return bytes(memory.read(caller, pointer, pointer + length))


def _write_stat(caller: wasmtime.Caller, to: int, data: bytes) -> None:
    """Field by field; what is between them stays."""
    for at, size in ((0, 8), (8, 8), (16, 1), *((k, 8) for k in range(24, 64, 8))):
        _write_memory(caller, to + at, data[at : at + size], size)


def _write_memory(caller: wasmtime.Caller, pointer: int, data: bytes, aligned: int) -> None:
    memory = _memory(caller)
    if pointer + len(data) > memory.data_len(caller):
        raise wasmtime.Trap(TRAPS["memory_out_of_bounds"])
    if pointer % aligned:
        raise wasmtime.Trap(TRAPS["host_error"])
    if data:  # of nothing the binding says that its place is not there, at the end of a memory
        memory.write(caller, data, pointer)
