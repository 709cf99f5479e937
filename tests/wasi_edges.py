"""Calls of WASI whose pointers lead out of the memory, are not aligned or lie on each other, and whose paths have zeros or are
too long, model against wasmtime: `python -m tests.wasi_edges`.

Which error ends such a call, and what has been written before, is a matter of the order in which wasmtime looks at things.
poll_oneoff, which in `verify` is not wasmtime's own, is compared with that besides.
"""

from __future__ import annotations

import argparse
import itertools
import random
import struct
import sys
from collections.abc import Iterator, Sequence

import wasmtime

import wasm2xformer as w2x
from wasm2xformer.runtime.check.oracle import Oracle

from . import wasi_files

POINTERS = (8, 3, 65512, 65528, 65529, 65530, 65533, 65535, 65536, 65537, -8, -1)
FEW = (8, 3, 65529, 65533, 65536, -1)
FOLDER, FILES = 3, {"/": {"name": b"abcdefgh"}}
FD = -2  # stands for each of several descriptors
# By function: its parameters (i32, i64), and the arguments of a call without mistakes. Those from 64 on are pointers, but 100
# is a length, as 2 and 4 are where they are i32.
CALLS: dict[str, tuple[str, tuple[int, ...]]] = {
    "args_sizes_get": ("ii", (2048, 3072)), "args_get": ("ii", (2048, 3072)), "environ_sizes_get": ("ii", (2048, 3072)),
    "environ_get": ("ii", (2048, 3072)), "clock_time_get": ("iji", (0, 0, 64)), "clock_res_get": ("ii", (0, 64)),
    "random_get": ("ii", (64, 4)), "fd_read": ("iiii", (FD, 256, 2, 3000)), "fd_write": ("iiii", (FD, 256, 2, 3000)),
    "fd_pread": ("iiiji", (FD, 256, 2, 0, 3000)), "fd_pwrite": ("iiiji", (FD, 256, 2, 0, 3000)),
    "fd_seek": ("ijii", (FD, 0, 0, 3000)), "fd_tell": ("ii", (FD, 3000)), "fd_fdstat_get": ("ii", (FD, 3000)),
    "fd_filestat_get": ("ii", (FD, 3000)), "fd_prestat_get": ("ii", (FD, 3000)), "fd_prestat_dir_name": ("iii", (FD, 3000, 4)),
    "fd_readdir": ("iiiji", (FD, 4000, 100, 0, 3000)), "path_open": ("iiiiijjii", (FD, 0, 400, 4, 0, 2, 0, 0, 3000)),
    "path_filestat_get": ("iiiii", (FD, 0, 400, 4, 3000)), "path_create_directory": ("iii", (FD, 400, 4)),
    "path_remove_directory": ("iii", (FD, 400, 4)), "path_unlink_file": ("iii", (FD, 400, 4)),
    "path_rename": ("iiiiii", (FD, 400, 4, FD, 400, 4)), "path_readlink": ("iiiiii", (FD, 400, 4, 4000, 100, 3000)),
    "sock_accept": ("iii", (FD, 0, 3000)), "sock_recv": ("iiiiii", (FD, 256, 2, 0, 3000, 3100)),
    "sock_send": ("iiiii", (FD, 256, 2, 0, 3000)), "poll_oneoff": ("iiii", (1024, 2048, 1, 3000)),
}  # fmt: skip
DATA = {256: struct.pack("<4I", 512, 5, 768, 9), 400: b"name", 1032: b"\x01"}
WORLD = {"stdin": b"abcdefghijkl", "argv": ["one", "two"], "env": {"A": "b", "LONG": "value"}, "random": bytes(256), "clock": 1.5}


def program(files: bool) -> str:
    """Exports them all; only with path_open there are files."""
    calls = {name: signature for name, (signature, _) in CALLS.items() if files or name != "path_open"}
    imports, functions = wasi_files.forwarding(calls)
    return f'(module {imports} (memory (export "memory") 1) {_data(DATA)} {functions})'


def _data(parts: dict[int, bytes]) -> str:
    return " ".join(f'(data (i32.const {at}) "{"".join(f"{chr(92)}{b:02x}" for b in part)}")' for at, part in parts.items())


def calls(pointers: Sequence[int], together: int) -> Iterator[tuple[str, list[int]]]:
    """Each function with each of these in place of up to so many of its pointers, and with lengths of 0."""
    done = set()
    for name, (_, usual) in CALLS.items():
        for fd in (0, 1, FOLDER) if FD in usual else (0,):
            given = tuple(fd if a == FD else a for a in usual)
            empty = tuple(0 if u in (2, 4, 100) else a for u, a in zip(usual, given, strict=True))
            for args, count in itertools.product((given, empty), range(together + 1)):
                places = [k for k, a in enumerate(args) if a >= 64 and a != 100]
                for which in itertools.combinations(places, count):
                    for values in itertools.product(pointers, repeat=count):
                        chosen = list(args)
                        for place, value in zip(which, values, strict=True):
                            chosen[place] = value
                        if (name, *chosen) not in done:
                            done.add((name, *chosen))
                            yield name, chosen


def differences(files: bool, level: int, pointers: Sequence[int], together: int) -> tuple[int, list[str]]:
    """How many calls there were, and those that the model answers otherwise than wasmtime."""
    wat = program(files)
    model = w2x.compile(wat, opt_level=level)
    world = {**WORLD, "folders": FILES} if files else WORLD
    made = [call for call in calls(pointers, together) if call[0] in model.program.entries]
    found, verifier = [], w2x.Verifier(wat, model=model, **world)
    for name, args in made:
        report = verifier.invoke(name, args)
        if not report.ok:
            found.append(f"{name}{tuple(args)}: {report.divergence}")
            verifier = w2x.Verifier(wat, model=model, **world)
    return len(made), found


# Paths

PATHS = (
    b"\0", b"a\0", b"a\0/", b"b/\0", b"b/\0/", b"b/\0//", b"b/\0/x", b"nope/\0", b"nope/\0/", b"nope/\0//", b"a/\0", b"/\0",
    b"../\0", b"b/../..\0",
    b"b/../../\0", b"..\0", b"./\0", b"b/..\0", b"b/d/../\0", b"\0/..", b"b/c/\0", b"b/" + b"n" * 256 + b"/\0",
    b"\0" * 256, b"b\0/" + b"n" * 256, b"n" * 256 + b"/\0", b"b/d/\0/.", b"b/\0/..", b"/\0/x", b"n" * 255 + b"\0", b"n" * 256,
    b"n" * 256 + b"/", b"n" * 256 + b"/x",
)  # fmt: skip
OTHERS = (b"new", b"a", b"b", b"b/c", b".", b"..", b"b/..", b"nope/x", b"a/x", b"/a", b"", b"b/nope", b"b/nope/", b"a/", b"b/")
_FOLDERS = {"/data": {"a": b"hello", "b/c": b"0123", "b/d": None}}
_FIRST, _SECOND = 20000, 24000


def path_calls(partners: int) -> Iterator[tuple[list[bytes], str, list[int]]]:
    """Paths, which stand at _FIRST and _SECOND, and a call. partners: so many second paths for each that is renamed."""
    for number, path in enumerate((*PATHS, *OTHERS)):
        n = len(path)
        for name, arguments in (
            ("path_open", [3, 0, _FIRST, n, 0, 2, 0, 0, 256]), ("path_open", [3, 1, _FIRST, n, 1, 64, 0, 0, 256]),
            ("path_open", [0, 0, _FIRST, n, 0, 2, 0, 0, 256]), ("path_create_directory", [3, _FIRST, n]),
            ("path_create_directory", [0, _FIRST, n]), ("path_remove_directory", [3, _FIRST, n]),
            ("path_unlink_file", [3, _FIRST, n]), ("path_filestat_get", [3, 1, _FIRST, n, 256]),
            ("path_readlink", [3, _FIRST, n, 16384, 100, 256]),
            *(("path_filestat_set_times", [3, follow, _FIRST, n, 5, 7, flags]) for follow in (0, 1) for flags in (0, 3, 5, 10)),
        ):  # fmt: skip
            yield [path], name, arguments
        every = (*OTHERS, *PATHS)
        for k in range(partners):
            other = every[(number * 5 + k * 7) % len(every)] if partners < len(every) else every[k]
            yield [path, other], "path_rename", [3, _FIRST, n, 3, _SECOND, len(other)]
            yield [path, other], "path_rename", [3, _SECOND, len(other), 3, _FIRST, n]


def path_differences(level: int, partners: int) -> tuple[int, list[str]]:
    """How many calls there were, and those that the model answers otherwise than wasmtime. What a call changed is undone."""
    wat, _ = wasi_files.program()
    model = w2x.compile(wat, opt_level=level)
    count, found, verifier = 0, [], None
    for paths, name, arguments in path_calls(partners):
        if verifier is None:
            verifier = w2x.Verifier(wat, model=model, folders=_FOLDERS, random=bytes(256), clock=1.5)
        for at, path in zip((_FIRST, _SECOND), paths, strict=False):
            verifier.write_memory(at, path)
        report = verifier.invoke(name, arguments)
        count += 1
        if not report.ok:
            found.append(f"{name}{tuple(arguments)} of {paths}: {report.divergence}")
        if not report.ok or report.run.values == [0]:
            verifier = None
    return count, found


# poll_oneoff

POLL = '(module (import "wasi_snapshot_preview1" "poll_oneoff" (func $p (param i32 i32 i32 i32) (result i32)))\
 (memory (export "memory") 1) {data} (func (export "poll") (param i32 i32 i32 i32) (result i32)\
 (call $p (local.get 0) (local.get 1) (local.get 2) (local.get 3))))'
_NOT_SUPPORTED = 58


def subscriptions(draw: random.Random) -> bytes:
    """Five, most often such as there are."""
    good, made = draw.random() < 0.6, b""
    for _ in range(5):
        kind = draw.choice([0, 0, 1, 2] if good else [0, 1, 2, 3, 200])
        there = [[0, 1], [0], [1, 2]][kind] if good else [0, 1, 2, 3, 4, 2**32 - 1]
        flags = 0 if good else draw.choice([0, 1, 2])
        made += struct.pack("<QB7xI4xQQH6x", draw.getrandbits(64), kind, draw.choice(there), 0, 0, flags)
    return made


def polls(seed: int, count: int) -> Iterator[tuple[tuple[int, bytes], list[int]]]:
    """Where subscriptions are, and a call."""
    draw = random.Random(seed)
    for _ in range(count):
        end = 65536
        late = [end - 48 * draw.randrange(1, 6), end - 8 * draw.randrange(1, 28), end - draw.randrange(1, 60)]
        at = draw.choice([1024, 1024, 1028, *late])
        late = [end - 8 * draw.randrange(28), end - draw.randrange(70)]
        out = draw.choice([2048, 2049, *late, -8, at - 8, at, at + 8, at + 48, at + 96])
        number = draw.choice([3000, 3000, 3001, end - draw.randrange(10), -4, 2048, at])
        where = draw.choice([at] * 8 + [end, -8, -48])
        asked = draw.choice([0, 1, 1, 2, 2, 3, 4, 5, 89478486])
        yield (at, subscriptions(draw)[: end - at]), [where, out, asked, number]


def poll_of_wasmtime(seed: int, count: int) -> list[str]:
    """Calls that `verify`'s poll_oneoff answers otherwise than wasmtime's own, or leaves other memory behind."""
    engine, found = wasmtime.Engine(), []
    for (at, data), args in polls(seed, count):
        wasm = bytes(wasmtime.wat2wasm(POLL.format(data=_data({at: data}))))
        store, linker = wasmtime.Store(engine), wasmtime.Linker(engine)
        store.set_wasi(wasmtime.WasiConfig())
        linker.define_wasi()
        exports = linker.instantiate(store, wasmtime.Module(engine, wasm)).exports(store)
        real: object
        try:
            real = exports["poll"](store, *args)
        except wasmtime.WasmtimeError as error:
            outside = "out of bounds" in str(error) or "overflow" in str(error)
            real = "out of bounds memory access" if outside else "invalid argument of a host function"
        oracle = Oracle(wasm, [])
        told = oracle.invoke("poll", args)
        outcome = told.results[0] if told.outcome == "ok" else told.outcome
        if outcome == _NOT_SUPPORTED and args[0] < args[1] < args[0] + 48 * args[2]:
            continue  # events over subscriptions that are still to be read
        memory = bytes(exports["memory"].read(store, 0, 65536))
        if outcome != real or bytes(oracle.read_memory(0, 65536)) != memory:
            found.append(f"poll{tuple(args)} of {data.hex()} at {at}: {outcome}, wasmtime: {real}")
    return found


def poll_differences(level: int, seed: int, count: int) -> list[str]:
    """Calls that the model answers otherwise than `verify`'s."""
    wat, found = POLL.format(data=""), []
    model = w2x.compile(wat, opt_level=level)
    verifier = w2x.Verifier(wat, model=model, random=bytes(256), clock=1.5)
    for (at, data), args in polls(seed, count):
        verifier.write_memory(at, data)
        report = verifier.invoke("poll", args)
        if not report.ok:
            found.append(f"poll{tuple(args)} of {data.hex()} at {at}: {report.divergence}")
            verifier = w2x.Verifier(wat, model=model, random=bytes(256), clock=1.5)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1500, help="calls of poll_oneoff")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = poll_of_wasmtime(options.seed, options.count)
    print(f"poll_oneoff of verify against wasmtime's: {options.count} calls, {len(found)} different", flush=True)
    for level in (0, 1):
        count, different = path_differences(level, len(PATHS) + len(OTHERS))
        print(f"paths at -O{level}: {count} calls, {len(different)} different", flush=True)
        found += different
        found += poll_differences(level, options.seed, options.count)
        print(f"poll_oneoff at -O{level}: {options.count} calls, {len(found)} different so far", flush=True)
        for files in (False, True):
            count, different = differences(files, level, POINTERS, 2)
            which = f"all functions at -O{level}, {'' if files else 'no '}files"
            print(f"{which}: {count} calls, {len(different)} different", flush=True)
            found += different
    print(*found[:50], sep="\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
