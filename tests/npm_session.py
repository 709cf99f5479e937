"""A published module on both sides, as `tests.npm` drives it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import wasm2xformer as w2x
from wasm2xformer.compiler.link.aliases import aliases
from wasm2xformer.compiler.link.glue import imports_in
from wasm2xformer.compiler.wasm.source import load


class Session:
    """A module on both sides. Prints a line when it is done."""

    def __init__(
        self, name: str, wasm: bytes, exports: list[str] | None = None, meant: dict[str, str] | str | None = None,
        libraries: Mapping[str, str | bytes] | None = None, args: Sequence[str] = (),
    ):  # fmt: skip
        """meant: shortened names of imports, see `aliases`; or the script that has them. libraries: WAT. args: of a command."""
        self.name, self.tokens, self.steps, self.problems = name, 0, 0, 0
        self._began, self.printed = time.monotonic(), b""
        module = load(wasm).module
        names = imports_in(meant, module) if isinstance(meant, str) else meant or {}
        libraries = {**aliases(module, names), **(libraries or {})}
        self._verifier = w2x.Verifier(wasm, exports=exports, libraries=libraries, unknown_imports_trap=True, argv=args)

    def call(self, function: str, *args: int | float) -> Any:
        """The only result, or 0."""
        return (self.results(function, *args) or [0])[0]

    def results(self, function: str, *args: int | float) -> list[Any]:
        report = self._verifier.invoke(function, args)
        self.printed += report.run.stdout
        self.tokens, self.steps = self.tokens + report.tokens, self.steps + report.steps
        if not report.ok or report.run.trap:
            self._problem(f"{function}{args}: {report.divergence or report.run.trap}")
        return report.run.values

    def write(self, address: int, data: bytes) -> None:
        self._verifier.write_memory(address, data)

    def read(self, address: int, length: int) -> bytes:
        """The model's memory; a problem where wasmtime's is another."""
        mine, theirs = self._verifier.read_memory(address, length)
        self.expect(f"memory at {address}", mine.hex(), theirs.hex())
        return mine

    def word(self, address: int) -> int:
        return int.from_bytes(self.read(address, 4), "little")

    def expect(self, what: str, actual: object, wanted: object) -> None:
        if actual != wanted:
            self._problem(f"{what}: {actual}, expected {wanted}")

    def expect_bytes(self, address: int, wanted: bytes) -> None:
        for side, data in zip(("model", "wasmtime"), self._verifier.read_memory(address, len(wanted)), strict=True):
            self.expect(side, data.hex(), wanted.hex())

    def done(self) -> int:
        program = len(self._verifier.program.steps)
        seconds = time.monotonic() - self._began
        print(
            f"{self.name:<28}{program:>10,}{self.steps:>12,}{self.tokens:>12,}{seconds:>9.1f}"
            f"   {self.problems or 'no'} difference{'s' * (self.problems > 1)}",
            flush=True,
        )
        return self.problems

    def _problem(self, text: str) -> None:
        self.problems += 1
        print(f"{self.name}: {text}", flush=True)
