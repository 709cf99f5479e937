"""The one pass over tokens and records says what the checks say that it stands for, whatever is changed on either side."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest

import wasm2xformer as w2x
from wasm2xformer.compiler.compile import compile_with, link_source
from wasm2xformer.compiler.format.tokens import Kind, TokenTable
from wasm2xformer.compiler.link.linked import LinkedModule
from wasm2xformer.compiler.options import CompileOptions
from wasm2xformer.compiler.wasm.source import load
from wasm2xformer.runtime.check.diff import Comparison, ModelState
from wasm2xformer.runtime.check.diff import one_pass as p
from wasm2xformer.runtime.check.diff.native import F64, I64, U8, NativeFunction, Placed, poke
from wasm2xformer.runtime.check.diff.tables import _token_rows
from wasm2xformer.runtime.check.diff.translate import translated
from wasm2xformer.runtime.check.oracle import OracleRun, oracle_for
from wasm2xformer.runtime.results import Run, output_bytes
from wasm2xformer.runtime.sparse_values import SparseValues
from wasm2xformer.runtime.trace import decode, table_of

PROGRAM = """
(module
  (type $unary (func (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (table 4 8 funcref)
  (table $objects 2 externref)
  (global $sum (mut i64) (i64.const 3))
  (elem (i32.const 0) $half $three $half)
  (func $half (type $unary) (i32.shr_u (local.get 0) (i32.const 1)))
  (func $three (type $unary) (i32.add (i32.mul (local.get 0) (i32.const 3)) (i32.const 1)))
  (func $tail (type $unary) (return_call_indirect (type $unary) (local.get 0) (i32.and (local.get 0) (i32.const 1))))
  (func (export "collatz") (param $n i32) (result i32) (local $k i32)
    (block $done (loop $next
      (br_if $done (i32.le_u (local.get $n) (i32.const 1)))
      (i64.store32 offset=65528 align=1 (local.get $k) (i64.extend_i32_u (local.get $n)))
      (global.set $sum (i64.mul (global.get $sum) (i64.const -7)))
      (local.set $n (call_indirect (type $unary) (local.get $n) (i32.and (local.get $n) (i32.const 1))))
      (local.set $k (i32.add (local.get $k) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $k) (i32.const 5)))))
    (call $tail (call $switch (local.get $n))))
  (func $switch (param i32) (result i32)
    (block $a (block $b (block $c (br_table $a $b $c (local.get 0))) (return (i32.const 40))) (return (i32.const 50)))
    (i32.const 60))
  (func (export "references") (param externref i32) (result i32)
    (table.set $objects (local.get 1) (local.get 0))
    (drop (table.grow (ref.null func) (i32.const 2)))
    (ref.is_null (table.get $objects (i32.const 1))))
  (func (export "bulk") (param i32) (result i64)
    (memory.fill (local.get 0) (i32.const 5) (i32.const 9))
    (memory.copy (i32.const 3) (local.get 0) (i32.const 4))
    (i64.load (i32.const 2)))
  (func (export "hello") (param i32) (result i32)
    (i32.store (i32.const 8) (i32.const 16)) (i32.store (i32.const 12) (local.get 0))
    (i32.store (i32.const 16) (i32.const 0x6968))
    (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0)))
  (func (export "stops") (param i32) (result i32) (i32.store (i32.const 0) (local.get 0)) (unreachable)))
"""
CALLS = (
    ("collatz", 7), ("collatz", 1), ("collatz", 27), ("references", 1), ("references", 0), ("references", 2), ("hello", 2),
    ("bulk", 20), ("bulk", 65530), ("stops", 1),
)  # fmt: skip
RECORDED = [call for call in CALLS if call not in (("references", 2), ("bulk", 65530))]  # these trap first
DROPPED = [call for call in RECORDED if call[0] != "bulk"]  # records that agree are not kept
CHANGES = 40  # of each kind, of each call


def shown(call: tuple[str, int]) -> str:
    return f"{call[0]}({call[1]})"


@dataclass
class Sides:
    """A program, and what both sides did in one call of it."""

    model: w2x.Model
    linked: LinkedModule
    table: TokenTable
    prefix_keys: np.ndarray
    comparison: Comparison
    run: Run
    oracle: OracleRun

    @property
    def tokens(self) -> np.ndarray:
        return np.concatenate([self.run.prompt, self.run.tokens])

    def with_tokens(self, tokens: np.ndarray, keys: np.ndarray) -> Run:
        prompt, decoded = np.split(tokens.astype(np.int32), [len(self.run.prompt)])
        streams = [output_bytes(self.table, decoded, kind) for kind in (Kind.STDOUT, Kind.STDERR)]
        return Run([], prompt, decoded, 0, *streams, probed=keys)

    def apart(self, tokens: np.ndarray, keys: np.ndarray) -> bool:
        """Whether a store that answers for no instruction has bytes that are not one behind the other."""
        trace = decode(tokens.astype(np.int32), self.table, self.model.program, keys)
        stores = [step.operation.effect == "store" and step.site is None for step in self.model.program.steps]
        assert trace.address is not None
        return bool((np.isnan(trace.address) & np.array(stores)[trace.step]).any())

    def state(self) -> ModelState:
        program, prefix = self.model.program, self.model.transformer.prefix
        return ModelState(program, self.linked, self.table, self.comparison.steps, prefix, self.prefix_keys)

    def verdicts(self, run: Run, oracle: OracleRun, blocks: int = 1) -> tuple[bool, str]:
        """Whether the pass says that they agree, with the records in so many blocks, and what the checks find, which has to be
        the same with the records that the pass has kept. Where they agree, so do the states that both leave behind."""
        state, other = self.state(), self.state()
        sparse = SparseValues()
        sparse.append(run.probed)
        agreement = self.comparison.agreement(replace(run, probed=sparse) if blocks > 1 else run, state)
        parts = np.array_split(oracle.records, blocks)
        left = replace(
            oracle, records=np.concatenate([oracle.records[:0], *(r for r in parts if not agreement.take(r))])
        )
        trace = decode(agreement.tokens, self.table, self.model.program, run.probed)
        agrees = self.comparison.agrees(agreement, left, lambda: trace)
        found = self.comparison.first(trace, oracle)
        assert self.comparison.first(trace, left, compared=agreement.dropped) == found
        if agrees:
            state.end(agreement.values(), lambda: trace)
            other.follow(trace, run.probed)
            assert state.slots == other.slots and state.touched().tolist() == other.touched().tolist()
            for start in (-other.hidden, 0, 65535 - 512):
                assert state.memory.read(start, 512).tolist() == other.memory.read(start, 512).tolist()
            assert agreement.steps == len(trace) and agreement.visited.tolist() == np.unique(trace.step).tolist()
            counts = agreement.counts + np.bincount(left.records["site"], minlength=len(agreement.counts))
            assert counts.tolist() == np.bincount(oracle.records["site"], minlength=len(counts)).tolist()
        return agrees, str(found or "")


@cache
def compiled(name: str) -> w2x.Model:
    return compile_with(load(PROGRAM), CompileOptions(1, [name]))


@pytest.fixture(scope="module", params=CALLS, ids=shown)
def sides(request: pytest.FixtureRequest) -> Sides:
    name, argument = request.param
    source, options = load(PROGRAM), CompileOptions(1, [name])
    model = compiled(name)
    world = w2x.runtime.world.World(random=bytes(256), clock=0.0)
    instance = w2x.Instance(model, world=world, probe="memory.key")
    arguments = [5, argument] if name == "references" else [argument]
    try:
        run = instance.invoke(name, *arguments)
    except w2x.Trap as trap:
        run = trap.run
    oracle, _ = oracle_for(source.wasm, model.program, world=world)
    comparison = Comparison(model.program, source.module, oracle.sites, oracle.references)
    keys, linked = instance.prefix_probed, link_source(source, options)
    return Sides(model, linked, table_of(model), keys, comparison, run, oracle.invoke(name, arguments))


@pytest.mark.parametrize("blocks", [1, 2, 7])
def test_both_sides_as_they_are(sides: Sides, blocks: int):
    assert sides.verdicts(sides.run, sides.oracle, blocks) == (True, "")


def changed_tokens(sides: Sides, rng: random.Random) -> Iterator[np.ndarray]:
    tokens, heads = sides.tokens, np.array([name.partition(".")[0] for name in sides.table.names])
    first = len(sides.run.prompt)
    for _ in range(CHANGES):
        changed, at = tokens.copy(), rng.randrange(first, len(tokens))
        match rng.randrange(4):
            case 0:
                changed[at] = rng.randrange(len(heads))
            case 1:
                changed = np.delete(changed, at)
            case 2:
                changed = np.insert(changed, at, rng.choice(tokens.tolist()))
            case _:  # a digit (or jump, ...) of the same class: such a trace is well formed
                changed[at] = rng.choice(np.flatnonzero(heads == heads[tokens[at]]).tolist())
        yield changed


def test_other_tokens(sides: Sides):
    rng, seen = random.Random("tokens"), set()
    for tokens in changed_tokens(sides, rng):
        keys = np.resize(sides.run.probed, len(tokens))
        agrees, found = sides.verdicts(sides.with_tokens(tokens, keys), sides.oracle, rng.randrange(1, 4))
        # Bytes of a store in a routine that are not adjacent: the pass cannot tell, the checks look at what becomes of them.
        assert agrees == (not found) or (not agrees and sides.apart(tokens, keys)), found
        seen.add(found.partition(":")[0])
    assert len(seen) > 3, seen


def test_nothing_leads_to_what_only_a_prompt_holds(sides: Sides):
    rows = _token_rows(sides.table).reshape(-1, p.TOKEN_WIDTH)
    foreign = (sides.table.kind == Kind.NONE) | (sides.table.kind == Kind.ENTRY)
    assert foreign.any() and set(rows[foreign, p.BEHIND].tolist()) == {2**31 - 1}


@pytest.mark.parametrize("sides", RECORDED, ids=shown, indirect=True)
def test_other_records(sides: Sides):
    rng, seen = random.Random("records"), set()
    for _ in range(CHANGES):
        records = sides.oracle.records.copy()
        at = rng.randrange(len(records))
        match rng.randrange(5):
            case 0:
                records = np.delete(records, at)
            case 1:
                records = np.insert(records, at, records[rng.randrange(len(records))])
            case 2:
                records["site"][at] = rng.randrange(len(sides.oracle.sites))
            case _:
                field = rng.choice(("value", "address"))
                values = (0, 1, 2, 2**31, 2**32 - 1, int(records[field][at]) ^ 1 << rng.randrange(32))
                few = {"branch": 2, "control": 3}.get(sides.oracle.sites[records["site"][at]].record, len(values))
                records[field][at] = rng.choice(values[:few])
        if not sides.oracle.bulk or np.array_equal(
            records["site"], sides.oracle.records["site"]
        ):  # ranges belong to records
            agrees, found = sides.verdicts(sides.run, replace(sides.oracle, records=records), rng.randrange(1, 4))
            assert agrees == (not found), found
            seen.add(bool(found))
    assert True in seen


def test_other_ends_of_the_run(sides: Sides):
    traps = ("wasm `unreachable` instruction executed", "out of bounds memory access", "exit", "ok", "still running")
    ends = itertools.product(traps, ([], [0], [7], list(sides.oracle.results)), (b"", b"hi", b"h"))
    for outcome, results, stdout in random.Random("ends").sample(list(ends), 20):
        oracle = replace(sides.oracle, outcome=outcome, results=results if outcome != "exit" else [3], stdout=stdout)
        agrees, found = sides.verdicts(sides.run, oracle)
        assert agrees == (not found), found


def test_other_addresses(sides: Sides):
    """Of stores inside routines nobody knows where they should be, so the pass may leave it to the comparison of the states."""
    rng = random.Random("keys")
    for _ in range(CHANGES):
        keys = sides.run.probed.copy()
        at = rng.choice(np.flatnonzero(keys).tolist() or [0])
        keys[at] = rng.choice((np.nan, np.inf, -1e30, 2.0**32, keys[at] + 1, keys[at] + 0.5, -(2.0**60)))
        agrees, found = sides.verdicts(sides.with_tokens(sides.tokens, keys), sides.oracle)
        assert not (agrees and found), found


@pytest.mark.parametrize("by", [2.0**45, -(2.0**45)])
def test_all_addresses_elsewhere(sides: Sides, by: float):
    """Where there is no memory, which the pass must not touch."""
    keys = np.where(sides.run.probed != 0, sides.run.probed + by, 0)
    if keys.any():
        assert not sides.verdicts(sides.with_tokens(sides.tokens, keys), sides.oracle)[0]


@pytest.mark.parametrize("sides", [("stops", 1)], ids=shown, indirect=True)
def test_another_trap_on_both_sides(sides: Sides):
    """Than the program's own at that step."""
    others = [k for k, name in enumerate(sides.table.names) if name.startswith("T.") and k != sides.tokens[-1]]
    assert others
    for token in others:
        tokens = np.append(sides.tokens[:-1], token)
        oracle = replace(sides.oracle, outcome=sides.table.traps[int(sides.table.value[token])])
        agrees, found = sides.verdicts(sides.with_tokens(tokens, sides.run.probed), oracle)
        assert not agrees and found


CALLED = np.s_[: p.STACK_WIDTH]  # where the first call on the stack returns to


@pytest.mark.parametrize("sides", [("collatz", 7)], ids=shown, indirect=True)
@pytest.mark.parametrize(
    "changed", ["nothing", "its place", "its frame", "no call", "no room", "no slots", "no such step"]
)
def test_in_the_middle_of_a_call(sides: Sides, changed: str):
    """What the pass knows of where it is, other than what the tokens say next."""
    for many in range(1, len(sides.oracle.records)):
        agreement = sides.comparison.agreement(sides.run, sides.state())
        assert agreement.take(sides.oracle.records[:many])
        stack, state = agreement._room.stack.array, agreement._state
        if state[p.DEPTH] or changed == "no room":
            break
    match changed:
        case "its place":
            stack[0] += 1
        case "its frame":
            stack[1] += 1
        case "no call":  # and before the stack stands what would be right
            state[p.DEPTH], agreement._room.stack = 0, Placed(np.concatenate([stack[CALLED], stack])[p.STACK_WIDTH :])
        case "no room":
            state[p.STACK] = state[p.DEPTH]
        case "no slots":
            state[p.SLOTS] = state[p.FIXED]
        case "no such step":
            state[p.PROGRAM] = state[p.IP]
    assert agreement.take(sides.oracle.records[many:]) == (changed == "nothing")


@pytest.mark.parametrize("sides", DROPPED, ids=shown, indirect=True)
@pytest.mark.parametrize("ended", [False, True])
def test_records_without_end_that_no_step_answers_for(sides: Sides, ended: bool):
    """An endless loop of wasmtime's may leave no others."""
    sites = np.flatnonzero(~sides.comparison.answered)
    agreement = sides.comparison.agreement(sides.run, sides.state())
    if ended:
        assert agreement.take(sides.oracle.records)
    more = np.zeros(len(sides.comparison.answered) // 2 + 1, sides.oracle.records.dtype)
    more["site"] = sites[0]
    assert agreement.take(more) and not agreement.take(more)


def test_sparse_values():
    rng = np.random.default_rng(5)
    values = np.where(rng.random(500) < 0.2, rng.normal(size=500), 0.0)
    values[[3, 77]] = np.nan, -0.0
    sparse = SparseValues()
    assert sparse[:].tolist() == []
    for part in np.split(values, [0, 10, 200, 450]):
        sparse.append(part)
    assert len(sparse) == 500
    for start, stop in ((0, 500), (3, 4), (190, 460), (499, 600), (7, 7), (9, 3), (-20, None)):
        np.testing.assert_array_equal(sparse[start:stop], values[start:stop])
    sparse.append(values)
    np.testing.assert_array_equal(sparse[:], np.concatenate([values, values]))
    with pytest.raises(IndexError, match="step"):
        sparse[::2]


# --- functions as machine code ---


def sums(state: I64, bytes_: U8, numbers: F64) -> int:
    """Of whole numbers, and of bytes twice; pokes."""
    i = 0
    while True:
        if i >= state[0]:
            break
        i += 1
        if not (bytes_[i - 1] > 100 and bytes_[i - 1] != 200) or numbers[i - 1] == -1:
            continue
        if numbers[i - 1] < -(2**62):
            return -i
        state[1] = state[1] + (bytes_[i - 1] << 1) + (numbers[i - 1] >> 1)
    poke(state[2], state[1])
    return state[1] & 0xFFFF


def test_native_functions():
    code = NativeFunction(sums)
    byte = np.zeros(1, np.uint8)

    def call(bytes_: list[int], numbers: list[float]) -> int:
        state = np.array([len(bytes_), 0, byte.ctypes.data], np.int64)
        return code(state, np.array(bytes_, np.uint8), np.array(numbers, np.float64))

    assert call([101, 200, 7, 255, 255], [5.0, 8.0, 8.0, -6.0, -1.0]) == 202 + 2 + 510 - 3
    assert byte[0] == (202 + 2 + 510 - 3) % 256
    for wrong in (np.nan, 0.5, np.inf, -np.inf, 2.0**70):
        assert call([101, 101], [1.0, wrong]) == -2 or wrong == 2.0**70
    with pytest.raises(TypeError, match="an array of int32 in place of int64"):
        code(np.zeros(3, np.int32), np.zeros(1, np.uint8), np.zeros(1))
    with pytest.raises(TypeError, match="not contiguous"):
        code(np.zeros(6, np.int64)[::2], np.zeros(1, np.uint8), np.zeros(1))


def test_native_functions_come_and_go(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WASM2XFORMER_CACHE", "")  # each one is compiled
    byte = np.zeros(1, np.uint8)
    for _ in range(3):
        assert NativeFunction(sums)(np.array([0, 9, byte.ctypes.data], np.int64), byte, np.zeros(1)) == 9


def divides(state: I64) -> int:
    return state[0] // 2


def test_what_is_not_translated_is_refused():
    with pytest.raises(NotImplementedError, match="FloorDiv"):
        translated(divides)


@pytest.mark.parametrize("number", [1, 254, 255])
def test_a_call_knows_nothing_of_slots_that_others_have_written(monkeypatch: pytest.MonkeyPatch, number: int):
    """They share arrays, in which the number of the call stands; it comes again after 255 of them."""
    wat = """(module (global $g (mut i64) (i64.const 5))
      (func (export "f") (param i64) (result i64) (global.get $g) (global.set $g (local.get 0))))"""
    verifier = w2x.Verifier(wat, opt_level=0)
    monkeypatch.setattr(Comparison, "first", None)  # nobody looks again
    assert verifier.invoke("f", [6]).ok
    room = verifier._comparison._room
    assert room is not None
    room.slots.array[:], room.call = -1, number  # what would differ if it were known
    room.known.array[:] = 1 if number == 255 else number
    assert verifier.invoke("f", [7]).ok and room.call == number % 255 + 1
    assert (room.known.array == room.call).any() and (room.slots.array != -1).any()
