"""Random calls of WASI's functions on files, model against wasmtime: `python -m tests.wasi_files --count N --seed S`.

Every call is an invocation of its own, so that each errno, each result in memory and all that is in the folder is compared
after each. Some arguments are wrong on purpose.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Mapping

import wasm2xformer as w2x

SIGNATURES = {
    "fd_read": "iiii", "fd_write": "iiii", "fd_pread": "iiiji", "fd_pwrite": "iiiji", "fd_close": "i", "fd_seek": "ijii",
    "fd_tell": "ii", "fd_fdstat_get": "ii", "fd_fdstat_set_flags": "ii", "fd_fdstat_set_rights": "ijj",
    "fd_filestat_get": "ii", "fd_filestat_set_size": "ij", "fd_filestat_set_times": "ijji", "fd_prestat_get": "ii",
    "fd_prestat_dir_name": "iii", "fd_renumber": "ii", "fd_sync": "i", "fd_datasync": "i", "fd_advise": "ijji",
    "fd_allocate": "ijj", "fd_readdir": "iiiji", "path_open": "iiiiijjii", "path_filestat_get": "iiiii",
    "path_filestat_set_times": "iiiijji", "path_create_directory": "iii", "path_remove_directory": "iii",
    "path_unlink_file": "iii", "path_rename": "iiiiii", "path_link": "iiiiiii", "path_symlink": "iiiii",
    "path_readlink": "iiiiii", "sock_accept": "iii", "sock_shutdown": "ii", "proc_raise": "i", "poll_oneoff": "iiii",
}  # fmt: skip
PATHS = (
    b"a", b"a/", b"b", b"b/c", b"b/d", b"b/d/e", b"new", b"new/", b"new/f", b".", b"..", b"b/.", b"b/..", b"b//c", b"./a",
    b"b/../a", b"/a", b"", b"x\xff", b"a\0", b"z\xc3\xa9", b"n" * 256, b"n" * 255, b"a/x", b"b/d/../../../a", b"nope/x",
)  # fmt: skip
FOLDERS = {"/data": {"a": b"hello, world", "b/c": b"0123456789" * 30, "b/d": None, "b/e.txt": b""}, "second": {"s": b"S"}}
TEXT, VECTORS, RESULT, BUFFER = 4096, 64, 256, 16384


def program() -> tuple[str, list[int]]:
    """A module that exports all of them, and where its paths stand."""
    imports, functions = forwarding(SIGNATURES)
    at, places, data = TEXT, [], []
    for path in PATHS:
        places.append(at)
        data.append(f'(data (i32.const {at}) "{"".join(f"{chr(92)}{b:02x}" for b in path)}")')
        at += len(path)
    # Vectors: an empty one before the others, of 5, 100 and 300 bytes, and one out of memory.
    for k, (pointer, length) in enumerate(((BUFFER, 0), (BUFFER, 5), (BUFFER, 100), (BUFFER + 7, 300), (65530, 10))):
        words = b"".join(n.to_bytes(4, "little") for n in (pointer, length))
        data.append(f'(data (i32.const {VECTORS + 8 * k}) "{"".join(f"{chr(92)}{b:02x}" for b in words)}")')
    data.append(f'(data (i32.const {BUFFER}) "The quick brown fox jumps over the lazy dog. 0123456789")')
    return f'(module {imports} (memory (export "memory") 1) {" ".join(data)} {functions})', places


def forwarding(signatures: Mapping[str, str]) -> tuple[str, str]:
    """WAT: imports of these functions of WASI, and for each an exported function that calls it."""
    names = {"i": "i32", "j": "i64"}
    imports, functions = [], []
    for name, signature in signatures.items():
        params = " ".join(names[c] for c in signature)
        given = " ".join(f"(local.get {k})" for k in range(len(signature)))
        imports.append(f'(import "wasi_snapshot_preview1" "{name}" (func ${name} (param {params}) (result i32)))')
        functions.append(f'(func (export "{name}") (param {params}) (result i32) (call ${name} {given}))')
    return " ".join(imports), " ".join(functions)


class Calls:
    """Makes up calls."""

    def __init__(self, seed: int, places: list[int]):
        self.random, self.places = random.Random(seed), places

    def next(self) -> tuple[str, list[int]]:
        name = self.random.choice([*SIGNATURES, *["path_open"] * 6, *["fd_write", "fd_read", "fd_readdir", "path_rename"] * 3])
        return name, getattr(self, f"_{name}", self._plain)(name)

    def fd(self) -> int:
        return self.random.choice([0, 1, 2, 3, 3, 3, 4, 5, 5, 6, 6, 7, 8, 99, -1])

    def folder(self) -> int:
        return self.random.choice([3, 3, 3, 3, 3, 3, 4, 5, 6, 1, 99])

    def path(self) -> list[int]:
        k = self.random.randrange(len(PATHS))
        return [65535, 5] if self.random.random() < 0.02 else [self.places[k], len(PATHS[k])]

    def result(self) -> int:
        return self.random.choice([RESULT] * 20 + [RESULT + 1, RESULT + 4, 65534, 65536, -8])

    def flags(self, most: int) -> int:
        return self.random.choice([0, 0, self.random.randrange(most + 1), self.random.randrange(most + 2)])

    def wide(self) -> int:
        return self.random.choice([0, 0, 1, 5, 12, 40, 300, 301, 1000, -1, -5, 2**62, 2**63 - 1])

    def _plain(self, name: str) -> list[int]:
        """By what the signature and the name say."""
        made: list[int] = []
        for place, c in enumerate(SIGNATURES[name]):
            made.append(self.fd() if place == 0 else self.wide() if c == "j" else self.result())
        return made

    def _vectors(self, name: str) -> list[int]:
        made = [self.fd(), VECTORS + 8 * self.random.randrange(5), self.random.choice([0, 1, 1, 1, 2, 2**29, -1])]
        return [*made, self.wide(), self.result()] if name.startswith("fd_p") else [*made, self.result()]

    _fd_read = _fd_write = _fd_pread = _fd_pwrite = _vectors

    def _fd_seek(self, name: str) -> list[int]:
        return [self.fd(), self.wide(), self.random.choice([0, 1, 2, 2, 3]), self.result()]

    def _fd_fdstat_set_flags(self, name: str) -> list[int]:
        return [self.fd(), self.flags(31)]

    def _fd_fdstat_set_rights(self, name: str) -> list[int]:
        return [self.fd(), *(self.random.choice([0, 2**30 - 1, 2**30, -1]) for _ in "ab")]

    def _fd_filestat_set_times(self, name: str) -> list[int]:
        return [self.fd(), self.wide() & 2**62 - 1, self.wide() & 2**62 - 1, self.flags(15)]

    def _path_filestat_set_times(self, name: str) -> list[int]:
        """Where no time is set it depends on the path's form whether wasmtime looks if it is there."""
        times = [self.wide() & 2**62 - 1 for _ in "ab"]
        return [self.folder(), self.flags(1), *self.path(), *times, self.random.randrange(1, 17)]

    def _fd_filestat_set_size(self, name: str) -> list[int]:
        return [self.fd(), self.random.choice([0, 3, 12, 100, 400, -1])]

    def _fd_prestat_dir_name(self, name: str) -> list[int]:
        return [self.folder(), self.result(), self.random.choice([0, 4, 5, 100])]

    def _fd_renumber(self, name: str) -> list[int]:
        return [self.random.choice([5, 6, 7, 99]), self.random.choice([1, 5, 6, 7, 8, 99])]

    def _fd_close(self, name: str) -> list[int]:
        return [self.random.choice([0, 1, 3, 4, 5, 5, 6, 6, 7, 8, 9])]

    def _fd_advise(self, name: str) -> list[int]:
        return [self.fd(), self.wide(), self.wide(), self.random.randrange(7)]

    def _fd_readdir(self, name: str) -> list[int]:
        cookie = self.random.choice([0, 0, 0, 1, 2, 3, 7, 2**40])
        return [self.folder(), self.random.choice([BUFFER] * 9 + [65500]), self.random.randrange(200), cookie, self.result()]

    def _path_open(self, name: str) -> list[int]:
        rights = self.random.choice([0, 2, 66, 66, 64, 2**30 - 1, 2**30])
        flags = self.random.choice([0, 0, 0, 0, 1, 1, 4, 5, self.flags(31)])
        return [self.folder(), self.flags(1), *self.path(), self.flags(15), rights, 0, flags, self.result()]

    def _path_filestat_get(self, name: str) -> list[int]:
        return [self.folder(), self.flags(1), *self.path(), self.result()]

    def _one(self, name: str) -> list[int]:
        return [self.folder(), *self.path()]

    _path_create_directory = _path_remove_directory = _path_unlink_file = _one

    def _path_rename(self, name: str) -> list[int]:
        """Which of two paths wasmtime looks at first shows with a zero in one of them alone."""
        paths = [self.path() for _ in "ab"]
        zero = self.places[PATHS.index(b"a\0")]
        paths = [[self.places[0], 1] if p[0] == zero else p for p in paths]
        return [self.folder(), *paths[0], self.folder(), *paths[1]]

    def _path_link(self, name: str) -> list[int]:
        return [self.folder(), self.flags(1), *self.path(), self.folder(), *self.path()]

    def _path_symlink(self, name: str) -> list[int]:
        return [*self.path(), self.folder(), *self.path()]

    def _path_readlink(self, name: str) -> list[int]:
        return [self.folder(), *self.path(), RESULT, 10, RESULT]

    def _sock_accept(self, name: str) -> list[int]:
        return [self.fd(), self.flags(31), RESULT]

    def _sock_shutdown(self, name: str) -> list[int]:
        return [self.fd(), self.flags(3)]

    def _proc_raise(self, name: str) -> list[int]:
        return [self.random.randrange(33)]

    def _poll_oneoff(self, name: str) -> list[int]:
        return [BUFFER, RESULT, self.random.choice([0, 2**31]), RESULT]


def check(seed: int, count: int, opt_level: int = 1, model: w2x.Model | None = None) -> tuple[int, str]:
    """How many calls were made, and what differs ("": nothing)."""
    text, places = program()
    verifier = w2x.Verifier(text, opt_level=opt_level, model=model, folders=FOLDERS, stdin=b"input", clock=7.25)
    calls, made = Calls(seed, places), []
    for k in range(count):
        name, args = calls.next()
        report = verifier.invoke(name, args)
        made.append(f"{name}{tuple(args)} = {report.run.trap or report.run.values[0]}")
        if not report.ok:
            return k, "\n".join([*made[-30:], str(report.divergence)])
    return count, ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20, help="sequences of 100 calls")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    model = w2x.compile(program()[0])
    for seed in range(options.seed, options.seed + options.count):
        done, difference = check(seed, 100, model=model)
        if difference:
            print(f"seed {seed}, call {done}:\n{difference}")
            return 1
    print(f"{options.count} sequences of 100 calls: no difference")
    return 0


if __name__ == "__main__":
    sys.exit(main())
