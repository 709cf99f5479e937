"""What the host says to a program: the tokens of an invocation's prompt. They are written, nothing is computed."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from ..compiler.format.checkpoint import Model
from ..compiler.format.isa import Entry
from .bit_patterns import Reference, encode, integer_bits, slots_of
from .errors import ArgumentError
from .folders import image
from .world import World

# So many exported functions are looked at before they are called: a short call takes half as long again when it does that itself.
FEW_ENTRIES = 64


class PlainEntry(NamedTuple):
    """An exported function that takes and gives i32 and i64 alone, and is told nothing else. bits: of each parameter. token: its
    entry token."""

    entry: Entry
    token: int
    bits: Sequence[int]


class Prompts:
    """Prompts of one instance of a program, in a world that does not change. Raises ArgumentError for input that the program
    has no room for."""

    def __init__(self, model: Model, world: World):
        self._model, self._world = model, world
        self._ids = {name: token for token, name in enumerate(model.transformer.vocabulary)}
        self._entries = {model.program.step_at[row]: self._ids[f"I.{k}"] for k, (_, row) in enumerate(model.entries)}
        self._zero = [self._ids[name] for name in (f"D{p}.0" for p in range(8)) if name in self._ids]  # behind each, 255 others
        self._inputs, self._registers = _inputs(model, world)
        self._plain: dict[str, PlainEntry | None] = {}
        for name in islice(model.program.entries, FEW_ENTRIES):
            self._look(name)
        self._objects: set[int] = set()  # those that the host has been given
        # Where the folders go, until they have been told.
        self._folders = model.program.inputs["files"][0] if world.folders and "files" in model.program.inputs else None
        if world.folders and "files" not in model.program.inputs:
            raise ArgumentError("folders: the program opens no files (it does not import path_open)")

    @property
    def folders_told(self) -> bool:
        return self._folders is None

    def values(self, name: str, args: Sequence[Any]) -> tuple[Entry, list[int]]:
        """The entry of an exported function, and the arguments (see `Instance.invoke`) as they stand in slots. Raises
        ArgumentError."""
        entries = self._model.program.entries
        if not isinstance(name, str) or name not in entries:
            raise ArgumentError(f"no exported function {name!r}; there are: {', '.join(sorted(entries)) or 'none'}")
        entry = entries[name]
        if len(args) != len(entry.params):
            raise ArgumentError(
                f"{name} takes {len(entry.params)} arguments ({', '.join(entry.params)}), got {len(args)}"
            )
        plain = integer_bits(entry.params, args)
        if plain is not None:
            return entry, plain
        functions = self._model.program.function_references
        patterns = [
            encode(name, i, type_, v, functions, self._objects) for i, (type_, v) in enumerate(zip(entry.params, args))
        ]
        return entry, slots_of(entry.params, patterns)

    def given(self, values: Iterable[Any]) -> None:
        """Objects among these values of the program's may be passed from now on."""
        self._objects.update(v.number for v in values if isinstance(v, Reference) and v.kind == "object")

    def plain(self, name: str, args: Sequence[Any]) -> tuple[Entry, array[int]] | None:
        """The entry and the prompt, [p] C ints, of a call of a `PlainEntry` with integers that fit, as most are; else None."""
        try:
            known = self._plain[name]
        except (KeyError, TypeError):
            known = self._look(name)
        if known is None or len(args) != len(known.bits):
            return None
        prompt, zero = [known.token], self._zero
        for value, bits in zip(args, known.bits):
            if type(value) is not int or not -(1 << bits - 1) <= value < 1 << bits:
                return None
            if 0 <= value < 256:
                prompt.append(zero[0] + value)
            else:
                self._with_digits(prompt, [value & (1 << bits) - 1])
        return known.entry, array("i", prompt)

    def _look(self, name: Any) -> PlainEntry | None:
        entry = self._model.program.entries.get(name) if isinstance(name, str) else None
        if entry is None:
            return None
        plain = not entry.registers and {*entry.params, *entry.results} <= {"i32", "i64"}
        bits = [64 if type_ == "i64" else 32 for type_ in entry.params]
        found = self._plain[name] = PlainEntry(entry, self._entries[entry.entry], bits) if plain else None
        return found

    def short(self, entry: Entry, values: Sequence[int]) -> array[int] | None:
        """[p] C ints: the same as `tokens`, for an entry that is told nothing but arguments; else None."""
        return None if entry.registers else array("i", self._with_digits([self._entries[entry.entry]], values))

    def tokens(self, entry: Entry, values: Sequence[int]) -> np.ndarray:
        """int32 [p]: input bytes, the entry token, then the digits of hidden registers and arguments (unsigned)."""
        prompt = [self._entries[entry.entry]]
        if not entry.registers:
            return np.array(self._with_digits(prompt, values), dtype=np.int32)
        inputs, told = self.told(entry.inputs)
        areas = [self._area(area, data) for area, data in inputs.items()]
        registers = [told[r] for r in entry.registers]
        return np.concatenate([*areas, np.array(self._with_digits(prompt, [*registers, *values]), dtype=np.int32)])

    def _area(self, area: str, data: bytes) -> np.ndarray:
        """int32 [1 + n]: where the bytes go, and the bytes."""
        tokens = np.empty(1 + len(data), dtype=np.int32)
        tokens[0] = self._ids[f"G.{self._model.inputs[area]}"]
        tokens[1:] = np.frombuffer(data, np.uint8)
        tokens[1:] += self._ids["B.0"]
        return tokens

    def told(self, areas: Iterable[str]) -> tuple[dict[str, bytes], dict[str, int]]:
        """The bytes of these input areas, as far as the program has them, and the hidden registers, what the world leaves to
        chance decided now. Folders are told once: what becomes of them stays from one invocation to the next."""
        world = self._world.fixed()
        assert world.random is not None and world.clock is not None
        inputs = {area: world.random if area == "random" else data for area, data in self._inputs.items() if area in areas}
        registers = self._registers | clock_registers(world.clock)
        if self._folders is not None and "files" in areas:
            clock = registers["clock_seconds"] * 10**9 + registers["clock_nanoseconds"]
            inputs["files"] = image(self._world.folders, self._folders, clock)
            registers["files_bytes"] = self._registers["files_bytes"] = len(inputs["files"])
            self._folders = None
        return inputs, registers

    def _with_digits(self, prompt: list[int], values: Sequence[int]) -> list[int]:
        """These tokens, and the digits of the values behind them."""
        for value in values:
            for place in range((value.bit_length() - 1) // 8 if value else 0, -1, -1):
                prompt.append(self._zero[place] + (value >> 8 * place & 255))
        return prompt


def clock_registers(seconds: float) -> dict[str, int]:
    """The hidden registers that tell the program what time it is: seconds since 1970, and nanoseconds."""
    whole, nanoseconds = divmod(round(seconds * 10**9), 10**9)
    return {"clock_seconds": whole, "clock_nanoseconds": nanoseconds}


def _inputs(model: Model, world: World) -> tuple[dict[str, bytes], dict[str, int]]:
    """The bytes of each input area that the program has, and the hidden registers that describe them."""
    argv = [a + b"\0" for a in world.arguments()]
    environ = [e + b"\0" for e in world.environment()]
    data = {"stdin": world.stdin, "args": b"".join(argv), "environ": b"".join(environ), "random": b"", "clock": b""}
    registers = {
        "stdin_length": len(world.stdin), "stdin_position": 0, "args_count": len(argv), "args_bytes": len(data["args"]),
        "environ_count": len(environ), "environ_bytes": len(data["environ"]), "random_position": 0,
        "files_bytes": 0,
    }  # fmt: skip
    areas = {area: place for area, place in model.program.inputs.items() if area != "files"}
    for area, (_, capacity) in areas.items():
        if len(data[area]) > capacity:
            raise ArgumentError(f"{area}: {len(data[area]):,} bytes, the program has room for {capacity:,}")
    return {area: data[area] for area in areas}, registers
