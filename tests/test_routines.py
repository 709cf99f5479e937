"""The linked routines as programs of their own: wasmtime runs them beside the instructions that they stand for."""

from __future__ import annotations

import random
import struct
from importlib.resources import files

import pytest
import wasmtime

import wasm2xformer as w2x
from wasm2xformer.compiler.link.routines import ROUTINES
from wasm2xformer.compiler.wasm.opcodes import SIGNATURES
from wasm2xformer.runtime.check.oracle.engine import configuration

FILES = ("division", "f32", "f64", "conversions")
BITS = {"i32": "i32", "i64": "i64", "f32": "i32", "f64": "i64"}
EDGES = {
    32: [0, 1, 2, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7F800000, 0xFF800000, 0x7FC00000, 0x3F800000, 0xBF800000,
         0x00800000, 0x007FFFFF, 0x4F000000, 0x4B800000, 0x3F000000],
    64: [0, 1, 2, 2**63 - 1, 2**63, 2**64 - 1, 0x7FF0000000000000, 0xFFF0000000000000, 0x7FF8000000000000,
         0x3FF0000000000000, 0xBFF0000000000000, 0x0010000000000000, 0x43E0000000000000, 0x41E0000000000000, 2**32],
}  # fmt: skip
RANDOM = 3000


def routines(file: str) -> list[str]:
    return [name for name, routine in ROUTINES.items() if routine.file == file]


def both(file: str) -> wasmtime.Module:
    """One module: the routine file, its traps as `unreachable`, and beside each routine the instruction itself."""
    text = files("wasm2xformer.compiler.link").joinpath(f"{file}.wat").read_text(encoding="utf-8").rstrip()
    lines = [line for line in text.splitlines() if not line.strip().startswith("(import")]
    stubs = [line.split("(func ")[1].rstrip(")") for line in text.splitlines() if line.strip().startswith("(import")]
    body = "\n".join(lines).rstrip()
    assert body.endswith(")")
    more = [f"(func {name} unreachable)" for name in stubs]
    for name in routines(file):
        operands, results = SIGNATURES[name]
        code = []
        for i, type_ in enumerate(operands):
            cast = f"({type_}.reinterpret_{BITS[type_]} (local.get {i}))" if type_[0] == "f" else f"(local.get {i})"
            code.append(cast)
        value = f"({name} {' '.join(code)})"
        if results[0][0] == "f":
            value = f"({BITS[results[0]]}.reinterpret_{results[0]} {value})"
        params = " ".join(f"(param {BITS[t]})" for t in operands)
        more.append(f'(func (export "native {name}") {params} (result {BITS[results[0]]}) {value})')
    return "\n".join([body[:-1], *more, ")"])


def values(bits: int, rng: random.Random) -> int:
    choice = rng.random()
    if choice < 0.3:
        return rng.choice(EDGES[bits])
    if choice < 0.5:
        return (rng.choice(EDGES[bits]) + rng.randrange(-3, 4)) % 2**bits
    if choice < 0.75:
        usual = struct.pack("<f" if bits == 32 else "<d", rng.uniform(-1000, 1000))
        return int.from_bytes(usual, "little")
    return rng.getrandbits(rng.randrange(1, bits + 1))


@pytest.mark.parametrize("file", FILES)
def test_a_routine_gives_what_its_instruction_gives(file: str):
    config = configuration(2**26)
    store = wasmtime.Store(wasmtime.Engine(config))
    store.set_epoch_deadline(1)
    module = wasmtime.Module(store.engine, bytes(wasmtime.wat2wasm(both(file))))
    exports = wasmtime.Instance(store, module, []).exports(store)

    def call(name: str, args: list[int]) -> int | str:
        try:
            return exports[name](store, *args)
        except wasmtime.Trap:
            return "trap"

    rng = random.Random(file)
    for name in routines(file):
        types = [int(BITS[t][1:]) for t in SIGNATURES[name][0]]
        for _ in range(RANDOM // len(types)):
            args = [v - 2**bits if v >= 2 ** (bits - 1) else v for bits in types for v in (values(bits, rng),)]
            assert call(name, args) == call(f"native {name}", args), (name, args)


@pytest.mark.parametrize("file", FILES)
def test_a_routine_is_verified_as_a_program(file: str):
    """Compiled from its text, as user code: every instruction of the calls has a record."""
    text = both(file)
    rng, names = random.Random(f"program {file}"), routines(file)
    for name in rng.sample(names, 3):
        types = [int(BITS[t][1:]) for t in SIGNATURES[name][0]]
        verifier = w2x.Verifier(text, exports=[name])
        for _ in range(5):
            report = verifier.invoke(name, [values(bits, rng) for bits in types])
            assert report.ok and report.compared, report.divergence
