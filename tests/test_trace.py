"""Trace decoding and the trace diff, on step programs and token sequences written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import wasmtime

from wasm2xformer.compiler.format.isa import TRAPS, Entry, Program, Site, Slot, Step, StepFunction
from wasm2xformer.compiler.format.tokens import Kind, TokenTable
from wasm2xformer.compiler.wasm.decode import decode as decode_module
from wasm2xformer.compiler.wasm.module import FuncType
from wasm2xformer.runtime.check.diff import Agreement, Comparison, Divergence, compare
from wasm2xformer.runtime.check.diff.copies import SlotTable
from wasm2xformer.runtime.check.diff.memory import SparseMemory
from wasm2xformer.runtime.check.diff.tables import pass_tables
from wasm2xformer.runtime.check.oracle import Oracle, OracleRun, frame_deltas_of
from wasm2xformer.runtime.results import Run, output_bytes
from wasm2xformer.runtime.trace import Trace, decode


def sites_of(program: Program) -> list[Site]:
    return list(dict.fromkeys(step.site for step in program.steps if step.site is not None))


UNARY = FuncType(("i32",), ("i32",))


def table(jumps: Sequence[tuple[int, int]] = (), entries: Sequence[int] = (0,)) -> TokenTable:
    names = [f"D{p}.{v}" for p in range(8) for v in range(256)]
    names += [f"S{p}.{v}" for p in range(4) for v in range(256)] + [f"Q0.{v}" for v in range(1024)]
    names += ["N", "H", *(f"T.{k}" for k in TRAPS)]
    names += [f"{c}.{v}" for c in "OE" for v in range(256)] + [f"J.{j}" for j in range(len(jumps))]
    names += ["BOS", *(f"I.{k}" for k in range(len(entries))), "C.0", "P.0", "G.0", "B.7"]
    return TokenTable.build(names, jumps, [("", first) for first in entries])


def ids(tokens: TokenTable, text: str) -> np.ndarray:
    number = {name: i for i, name in enumerate(tokens.names)}
    return np.array([number[name] for name in text.split()], dtype=np.int32)


def keys(addresses: np.ndarray | None) -> np.ndarray | None:
    """From the address that each digit is written to, to the memory key at each position: that of the next one."""
    return None if addresses is None else np.append(addresses[1:], np.nan)


def slot(index: int) -> Slot:
    return Slot("frame", index)


def const(value: int) -> Slot:
    return Slot("const", value)


class Case:
    """A step program, the module it could have been compiled from, and a run of both."""

    def __init__(
        self, wat: str, program: Program, jumps: Sequence[tuple[int, int]], args: Sequence[int], tokens: str,
        addresses: dict[int, float] | None = None,
    ):  # fmt: skip
        wasm = bytes(wasmtime.wat2wasm(wat))
        self.program, self.module = program, decode_module(wasm)
        self.table = table(jumps, [e.entry for e in program.entries.values()])
        self.run: OracleRun = Oracle(wasm, sites_of(program), frame_deltas_of(program)).invoke("run", args)
        self.tokens = tokens.split()
        self.addresses = np.full(len(self.tokens), np.nan)
        for position, address in (addresses or {}).items():
            self.addresses[position] = address

    def decode(self, tokens: Sequence[str], addresses: np.ndarray | None = None) -> Trace:
        return decode(ids(self.table, " ".join(tokens)), self.table, self.program, keys(addresses))

    def compare(self, tokens: Sequence[str] | None = None, run: OracleRun | None = None) -> Divergence | None:
        """Changed tokens are compared without addresses, which they would shift."""
        trace = self.decode(self.tokens, self.addresses) if tokens is None else self.decode(tokens)
        return self.compare_trace(trace, run or self.run)

    def compare_trace(self, trace: Trace, run: OracleRun) -> Divergence | None:
        """However the trace is cut into windows, the first difference is the same."""
        divergence = compare(self.program, self.module, trace, run)
        assert compare(self.program, self.module, trace, run, window=1) == divergence
        assert compare(self.program, self.module, trace, run, window=5) == divergence
        assert divergence is None or not self.one_pass_agrees(trace, run)
        return divergence

    def one_pass_agrees(self, trace: Trace, run: OracleRun) -> bool:
        prompt, tokens = np.split(trace.tokens, [trace.entry + 1])
        streams = [output_bytes(self.table, tokens, kind) for kind in (Kind.STDOUT, Kind.STDERR)]
        probed = None if trace.address is None else np.full(len(trace.tokens), np.nan)
        for end, length, address in zip(trace.end, trace.length, trace.address if probed is not None else ()):
            probed[end - length : end] = address + np.arange(length)[::-1]
        comparison = Comparison(self.program, self.module, run.sites, run.references)
        tables = pass_tables(self.program, self.module, self.table, comparison.steps, SlotTable(self.program))
        agreement = Agreement(tables, Run([], prompt, tokens, 0, *streams, probed=probed), self.table, SparseMemory(), 2**16)
        agreement.take(run.records)
        return comparison.agrees(agreement, run, lambda: trace)

    def changed(self, old: str, new: str) -> list[str]:
        text = " ".join(self.tokens)
        assert f" {old} " in f" {text} "
        return f" {text} ".replace(f" {old} ", f" {new} ", 1).split()


# --- decoding ---

VALUES = Program(
    steps=(Step("mov"), Step("br.i32.eq", target=0), Step("i64.add"), Step("stdout"), Step("call"), Step("halt")),
    functions={},
    entries={"run": Entry("run", 0, (), ())},
)
# G B I | mov = 0x0102 | N | scratch, i64 = 2^56 + 3 | output | call: to the halt
TOKENS = "G.0 B.7 I.0 D1.1 D0.2 N Q0.1000 S1.7 S0.9 D7.1 D6.0 D5.0 D4.0 D3.0 D2.0 D1.0 D0.3 O.65 J.0 H"


def test_token_table_reads_names():
    t = table([(3, 5)], entries=[7])
    row = {n: i for i, n in enumerate(t.names)}
    wanted = {
        "D2.17": (Kind.DIGIT, 2, 17, 0, 0), "D0.255": (Kind.DIGIT, 0, 255, 1, 0), "S3.4": (Kind.SCRATCH, 3, 4, 0, 0),
        "Q0.1023": (Kind.SCRATCH, 0, 1023, 0, 0), "N": (Kind.NEXT, 0, 0, 1, 0), "J.0": (Kind.JUMP, 0, 0, 3, 5),
        "O.9": (Kind.STDOUT, 0, 9, 1, 0), "E.9": (Kind.STDERR, 0, 9, 1, 0), "H": (Kind.HALT, 0, 0, 0, 0),
        "T.divide_by_zero": (Kind.TRAP, 0, 1, 0, 0), "I.0": (Kind.ENTRY, 0, 0, 7, 0), "BOS": (Kind.NONE, 0, 0, 0, 0),
        "B.7": (Kind.NONE, 0, 0, 0, 0),
    }  # fmt: skip
    for name, values in wanted.items():
        i = row[name]
        assert (t.kind[i], t.place[i], t.value[i], t.ip_delta[i], t.frame_delta[i]) == values, name


@pytest.mark.parametrize("block", [9, 10, 1000])
def test_decoding_gives_steps_values_and_positions(block):
    t = table([(1, 4)])
    trace = decode(ids(t, TOKENS), t, VALUES, block=block)
    assert trace.step.tolist() == [0, 1, 2, 3, 4, 5]
    assert trace.value.tolist() == [0x102, 0, 2**56 + 3, 65, 0, 0]
    assert trace.end.tolist() == [4, 5, 16, 17, 18, 19]
    assert trace.length.tolist() == [2, 1, 11, 1, 1, 1]
    assert trace.kind.tolist() == [Kind.DIGIT, Kind.NEXT, Kind.DIGIT, Kind.STDOUT, Kind.JUMP, Kind.HALT]
    assert trace.frame.tolist() == [0, 0, 0, 0, 0, 4]
    assert (trace.outcome, trace.fault, trace.stdout, trace.stderr) == ("halt", None, b"A", b"")


def test_addresses_are_those_of_the_byte_at_place_0():
    t = table([(1, 4)])
    addresses = np.full(20, np.nan)
    addresses[[3, 4]] = 101, 100
    trace = decode(ids(t, TOKENS), t, VALUES, keys(addresses))
    assert trace.address[0] == 100
    addresses[3] = 102  # bytes that are not adjacent
    assert np.isnan(decode(ids(t, TOKENS), t, VALUES, keys(addresses)).address[0])


@pytest.mark.parametrize(
    ("tokens", "steps", "outcome", "position"),
    [
        ("I.0 D0.1 N D7.0", 2, "unfinished", None),
        ("I.0 D0.1 T.null_reference", 2, "null_reference", None),
        ("I.0 D0.1 N D7.0 D5.0 D0.1", 2, "unfinished", 4),
        ("I.0 D0.1 N D2.0 N", 2, "unfinished", 4),
        ("I.0 D0.1 B.7 N", 1, "unfinished", 2),
        ("I.0 D0.1 N D0.1 I.0", 3, "unfinished", 4),
        ("I.0 D0.1 J.0 D0.0", 2, "unfinished", 3),  # the jump leaves the program
        ("I.0 H N", 1, "halt", 2),
        ("I.0", 0, "unfinished", None),
    ],
)
def test_decoding_stops_where_tokens_are_no_trace(tokens, steps, outcome, position):
    t = table([(100, 0)])
    trace = decode(ids(t, tokens), t, VALUES)
    assert (len(trace), trace.outcome) == (steps, outcome)
    assert (trace.fault.token if trace.fault else None) == position


def test_decoding_needs_an_entry():
    t = table()
    with pytest.raises(ValueError, match="entry token"):
        decode(ids(t, "D0.1 N"), t, VALUES)


# --- the diff: calls, stores, a branch ---

CALLS = Case(
    """(module (memory 1) (table 2 funcref) (elem (i32.const 0) $f $g)
      (func $f (param i32) (result i32) local.get 0 i32.const 1 i32.add)
      (func $g (param i32) (result i32) local.get 0 i32.const 1 i32.sub)
      (func $run (export "run") (param i32) (result i32)
        i32.const 8
        local.get 0
        i32.store offset=2
        local.get 0
        if (result i32)
          i32.const 4
          i32.const 0
          call_indirect (param i32) (result i32)
        else
          i32.const 300
        end))""",
    Program(
        steps=(
            Step("i32.add", slot(0), const(1), dest=slot(0), site=Site(0, 2, "value")),
            Step("return"),
            Step("i32.sub", slot(0), const(1), dest=slot(0), site=Site(1, 2, "value")),
            Step("return"),
            Step("i32.store", const(8), slot(0), Slot("hidden", "memory_bytes"), imm=2, site=Site(2, 2, "store")),
            Step("br.i32.eq", slot(0), const(0), target=10, taken=0, site=Site(2, 4, "branch")),
            Step("mov", const(4), dest=slot(1), site=Site(2, 5, "value")),
            Step("table.ref", const(0), dest=slot(2)),
            Step("call_indirect", slot(2), type=UNARY, imm=1, site=Site(2, 7, "control")),
            Step("jump", target=11, site=Site(2, 8, "control")),
            Step("mov", const(300), dest=slot(1), site=Site(2, 9, "value")),
            Step("mov", slot(1), dest=slot(0)),
            Step("return"),
            Step("param", dest=slot(1)),
            Step("call", callee=2, imm=1),
            Step("result", slot(1)),
            Step("halt"),
        ),
        functions={
            0: StepFunction(0, "f", UNARY, 0, 2, 1),
            1: StepFunction(1, "g", UNARY, 2, 4, 1),
            2: StepFunction(2, "run", UNARY, 4, 13, 3),
        },
        entries={"run": Entry("run", 13, ("i32",), ("i32",))},
    ),
    # call run | else branch | f | g | return from f, from g | over the else branch | return from run | wrong ones
    [(-10, 1), (5, 0), (-8, 1), (-6, 1), (8, -1), (6, -1), (2, 0), (3, -1), (1, 0), (2, 1), (9, -1), (8, 0)],
    [7],
    "I.0 D0.7 J.0 D3.0 D2.0 D1.0 D0.7 N D0.4 D0.1 J.2 D0.5 J.4 J.6 D0.5 J.7 D0.5 H",
    {3: 13, 4: 12, 5: 11, 6: 10},
)  # fmt: skip


def test_a_right_trace_has_no_divergence():
    assert CALLS.run.outcome == "ok"
    assert CALLS.compare() is None
    assert CALLS.decode(CALLS.tokens).results(CALLS.program) == [5]


@pytest.mark.parametrize(
    ("old", "new", "what", "where"),
    [
        ("D0.5 J.4", "D0.6 J.4", "value", "i32.add"),
        ("D0.5 J.4", "D1.1 D0.5 J.4", "value", "i32.add"),
        ("D0.4", "D0.3", "value", "i32.const"),
        ("D1.0 D0.7", "D1.0 D0.9", "stored value", "i32.store"),
        ("D3.0", "D3.1", "stored value", "i32.store"),
        ("D3.0 D2.0 D1.0 D0.7", "D0.7", "number of stored bytes", "i32.store"),
        ("N", "J.1", "branch", "if"),
        ("J.2 D0.5 J.4", "J.3 D0.5 J.5", "callee", "call_indirect"),
        ("J.6", "J.8", "target of a jump", "else"),
        ("J.6", "J.9", "movement of the frame", "else"),
        ("J.4", "J.10", "step after a return", "f"),
        ("J.4", "J.11", "frame after a return", "f"),
        ("D0.4", "N", "kind of token", "i32.const"),
        ("D0.1", "O.1", "kind of token", "run"),
        ("D0.5 J.4", "D0.5 N", "kind of token", "f"),
        ("D0.5 H", "D0.6 H", "result 0", "entry of run"),
        ("D0.5 H", "N H", "kind of token", "entry of run"),
        ("D0.5 J.4 J.6 D0.5 J.7 D0.5 H", "T.integer_overflow", "end of the trace", "i32.add"),
        ("D0.4 D0.1 J.2 D0.5 J.4 J.6 D0.5 J.7 D0.5 H", "H", "kind of token", "i32.const"),
        ("D0.5 H", "D0.5", "outcome", "entry of run"),
        ("D0.5 H", "T.unreachable", "outcome", "entry of run"),
        ("J.2", "J.2 B.7", "form of the trace", "f"),
        ("D2.0 D1.0 D0.7", "D2.0 D0.7", "form of the trace", "i32.store"),
        ("H", "H N", "form of the trace", "halt"),
    ],
)
def test_every_changed_token_is_told(old, new, what, where):
    tokens = CALLS.changed(old, new)
    divergence = CALLS.compare(tokens)
    assert divergence is not None
    assert divergence.what == what
    if what != "form of the trace":
        assert where in str(divergence.where)
        assert divergence.step is not None
    assert f"[{tokens[divergence.token]}]" in str(divergence)


def test_no_single_token_can_be_exchanged_unnoticed():
    """Every token behind the prompt against one of every kind; values of steps without a site are not recorded."""
    others = ["D0.77", "D1.0", "D7.1", "S0.1", "Q0.1", "N", "H", "T.unreachable", "O.1", "E.1", "BOS", "I.0"]
    others += [f"J.{j}" for j in range(12)]
    internal = {i for i, step in enumerate(CALLS.program.steps) if step.site is None and step.dest is not None}
    trace = CALLS.decode(CALLS.tokens)
    step_at = {int(end): int(step) for end, step in zip(trace.end, trace.step, strict=True)}
    for position in range(2, len(CALLS.tokens)):
        for other in others:
            if other == CALLS.tokens[position] or (step_at.get(position) in internal and other == "D0.77"):
                continue
            tokens = [*CALLS.tokens[:position], other, *CALLS.tokens[position + 1 :]]
            changed = compare(CALLS.program, CALLS.module, CALLS.decode(tokens), CALLS.run)
            assert changed is not None, (position, other)


def test_the_first_of_several_differences_is_told():
    tokens = CALLS.changed("D0.4", "D0.3")
    tokens[tokens.index("J.6")] = "J.8"
    divergence = CALLS.compare(tokens)
    assert (divergence.what, divergence.expected, divergence.actual) == ("value", "4", "3")
    assert (divergence.step, divergence.index, divergence.token) == (4, 6, 8)
    assert str(divergence).splitlines()[0].startswith("value differs at run+0x")


def test_addresses_are_compared():
    trace = CALLS.decode(CALLS.tokens, CALLS.addresses + 1)
    divergence = CALLS.compare_trace(trace, CALLS.run)
    assert (divergence.what, divergence.expected, divergence.actual) == ("address", "10", "11")


def without_last_record(run: OracleRun) -> OracleRun:
    return replace(run, records=run.records[:-1])


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (without_last_record, "end of the run"),
        (lambda r: replace(r, records=r.records[[0, 1, 2, 3, 4, 4]]), "instruction reached"),
        (lambda r: replace(r, records=r.records[[0, 1, 2, 3, 4, 5, 5]]), "end of the trace"),
        (lambda r: replace(r, results=[6]), "result 0"),
        (lambda r: replace(r, results=[5, 5]), "number of results"),
        (lambda r: replace(r, stdout=b"x"), "length of stdout"),
        (lambda r: replace(r, stderr=b"x"), "length of stderr"),
        (lambda r: replace(r, outcome="integer overflow", results=[]), "outcome"),
        (lambda r: replace(r, outcome="exit"), "halt"),
    ],
)
def test_every_difference_of_the_run_is_told(change, what):
    divergence = CALLS.compare(run=change(CALLS.run))
    assert divergence is not None
    assert divergence.what == what


def test_a_run_of_another_program_is_refused():
    with pytest.raises(ValueError, match="not recorded"):
        compare(CALLS.program, CALLS.module, CALLS.decode(CALLS.tokens), replace(CALLS.run, sites=CALLS.run.sites[1:]))


# --- traps, output, exits ---

TRAPS_CASE = Case(
    """(module (func $run (export "run") (param i32) (result i32)
        i32.const 9 local.get 0 i32.div_u
        i32.const 8 local.get 0 i32.div_u
        i32.add))""",
    Program(
        steps=(
            Step("i32.div_u", const(9), slot(0), dest=slot(1), site=Site(0, 2, "value")),
            Step("i32.div_u", const(8), slot(0), dest=slot(2), site=Site(0, 5, "value")),
            Step("i32.add", slot(1), slot(2), dest=slot(0), site=Site(0, 6, "value")),
            Step("return"),
            Step("param", dest=slot(1)),
            Step("call", callee=0, imm=1),
            Step("result", slot(1)),
            Step("halt"),
        ),
        functions={0: StepFunction(0, "run", UNARY, 0, 4, 3)},
        entries={"run": Entry("run", 4, ("i32",), ("i32",))},
    ),
    [(-5, 1), (3, -1)],
    [0],
    "I.0 D0.0 J.0 T.divide_by_zero",
)


def test_a_trap_at_its_instruction_is_right():
    assert TRAPS_CASE.run.outcome == TRAPS["divide_by_zero"]
    assert TRAPS_CASE.compare() is None


@pytest.mark.parametrize(
    ("tokens", "what"),
    [
        ("T.integer_overflow", "outcome"),
        ("S0.1 D0.1 T.divide_by_zero", "end of the run"),
        ("D0.0 D0.0 D0.0 J.1 D0.0 H", "end of the run"),
        ("", "outcome"),
    ],
)
def test_other_traps_are_told(tokens, what):
    divergence = TRAPS_CASE.compare(TRAPS_CASE.changed("T.divide_by_zero", tokens))
    assert divergence is not None
    assert divergence.what == what


def test_the_instruction_that_trapped_is_compared():
    divergence = TRAPS_CASE.compare(run=replace(TRAPS_CASE.run, trap_site=(0, 5)))
    assert divergence.what == "trapping instruction"
    assert divergence.expected != divergence.actual


OUTPUT = Case(
    '(module (func (export "run")))',
    Program(
        steps=(
            *(Step(op, const(0)) for op in ("stdout", "stderr", "stdout")),
            Step("result", const(3)),
            Step("halt"),
            Step("call", callee=0, imm=1),
        ),
        functions={0: StepFunction(0, "routine", FuncType(), 0, 5, 1, internal=True)},
        entries={"run": Entry("run", 5, (), ())},
    ),
    [(-5, 1)],
    [],
    "I.0 J.0 O.97 E.33 O.98 D0.3 H",
)
EXIT = replace(OUTPUT.run, outcome="exit", results=[3], stdout=b"ab", stderr=b"!")


@pytest.mark.parametrize(
    ("run", "what"),
    [
        (EXIT, None),
        (replace(EXIT, stdout=b"aa"), "byte 1 of stdout"),
        (replace(EXIT, stdout=b"a"), "length of stdout"),
        (replace(EXIT, stdout=b"abc"), "length of stdout"),
        (replace(EXIT, stderr=b"?"), "byte 0 of stderr"),
        (replace(EXIT, results=[4]), "result 0"),
        (replace(EXIT, outcome="ok"), "halt"),
    ],
)
def test_output_and_exit_codes(run, what):
    divergence = OUTPUT.compare(run=run)
    assert (divergence.what if divergence else None) == what


# --- br_table, i64, references, bulk instructions ---

FILL = FuncType(("i32", "i32", "i32"), ())
RANGES = Case(
    """(module (memory 1) (table 4 funcref) (elem declare func $f)
      (func $f)
      (func (export "run") (param i32)
        block block local.get 0 br_table 0 1 0 end end
        i64.const -2 drop
        i32.const 1 ref.func $f table.set 0
        i32.const 20 i32.const 5 i32.const 3 memory.fill
        i32.const 2 ref.func $f i32.const 1 table.fill 0))""",
    Program(
        steps=(
            # the routine of memory.fill
            Step("i32.store16", const(20), imm=0),
            Step("i32.store8", const(22), imm=0),
            Step("return"),
            # the routine of table.fill
            Step("hidden.store32", const(0), imm=0),
            Step("return"),
            # run
            Step("br_table", slot(0), targets=(6, 7, 6), site=Site(1, 3, "br_table")),
            Step("mov", const(0), dest=slot(1)),
            Step("mov", const(2**64 - 2), dest=slot(1), wide=True, site=Site(1, 6, "value")),
            Step("mov", const(1), dest=slot(2), site=Site(1, 9, "value")),
            Step("table.set", const(1), slot(2), imm=16, site=Site(1, 10, "store")),
            Step("call", callee=2, imm=3, site=Site(1, 14, "bulk")),
            Step("call", callee=3, imm=3, site=Site(1, 18, "bulk")),
            Step("return"),
            Step("param", dest=slot(1)),
            Step("call", callee=1, imm=1),
            Step("halt"),
        ),
        functions={
            2: StepFunction(2, "memory.fill", FILL, 0, 3, 3, internal=True),
            3: StepFunction(3, "table.fill", FILL, 3, 5, 3, internal=True),
            1: StepFunction(1, "run", FuncType(("i32",)), 5, 13, 6),
        },
        entries={"run": Entry("run", 13, ("i32",), ())},
        references={1: 0},
        hidden_bytes=100,
    ),
    # call run | cases | call and return of memory.fill, of table.fill | return from run
    [(-9, 1), (1, 0), (2, 0), (-10, 3), (9, -3), (-8, 3), (8, -3), (3, -1)],
    [1],
    "I.0 D0.1 J.0 J.2 D7.255 D6.255 D5.255 D4.255 D3.255 D2.255 D1.255 D0.254 D0.1"
    " D3.0 D2.0 D1.0 D0.1 J.3 D1.5 D0.5 D0.5 J.4 J.5 D3.0 D2.0 D1.0 D0.1 J.6 J.7 H",
    # table.set 1 at 16 + 4 - 100; bytes 20, 21 and 22; table element 2
    {13: -77, 14: -78, 15: -79, 16: -80, 18: 21, 19: 20, 20: 22, 23: -73, 24: -74, 25: -75, 26: -76},
)  # fmt: skip


def ranges(change: dict[str, str] | None = None, addresses: dict[int, float] | None = None) -> Divergence | None:
    """The run with some tokens replaced one for one, by "position name", and some addresses."""
    tokens = list(RANGES.tokens)
    for position, name in (change or {}).items():
        tokens[int(position)] = name
    moved = RANGES.addresses.copy()
    for position, address in (addresses or {}).items():
        moved[position] = address
    return RANGES.compare_trace(RANGES.decode(tokens, moved), RANGES.run)


@pytest.mark.parametrize(
    ("change", "addresses", "what"),
    [
        ({}, {}, None),
        ({"3": "J.1"}, {}, "br_table"),
        ({"11": "D0.253"}, {}, "value"),
        ({"12": "D0.0"}, {}, "value"),  # a null reference
        ({"16": "D0.0"}, {}, "value"),
        ({}, {13: -76}, "address"),
        ({}, {13: -73, 14: -74, 15: -75, 16: -76}, "address"),
        ({"19": "D0.6"}, {}, "byte at address 20"),
        ({"20": "D0.6"}, {}, "byte at address 22"),
        ({}, {20: 23}, "byte at address 22"),
        ({}, {20: 21}, "byte at address 22"),
        ({}, {18: 22}, f"byte at address {-(2**53)}"),
        ({"26": "D0.0"}, {}, "table element 2"),
        ({}, {23: -69, 24: -70, 25: -71, 26: -72}, "byte at address -76"),
    ],
)
def test_cases_references_and_ranges(change, addresses, what):
    divergence = ranges(change, addresses)
    assert (divergence.what if divergence else None) == what


def test_a_bulk_instruction_that_does_not_return_has_not_completed():
    position = RANGES.tokens.index("D1.5")
    tokens = [*RANGES.tokens[:position], "T.memory_out_of_bounds"]
    run = replace(
        RANGES.run, outcome=TRAPS["memory_out_of_bounds"], trap_site=(1, 14), records=RANGES.run.records[:-2],
        bulk=[],
    )  # fmt: skip
    assert RANGES.compare(tokens, run) is None
    assert RANGES.compare(tokens, replace(run, trap_site=(1, 10))).what == "trapping instruction"
    assert RANGES.compare(tokens).what == "end of the trace"


# --- views ---


def test_a_step_as_text_and_as_json():
    trace = CALLS.decode(CALLS.tokens)
    step = trace.view(7, CALLS.program, CALLS.module)
    assert str(step.where).startswith("f+0x")
    text = str(step)
    assert all(part in text for part in ("i32.add", "frame[0] = i32.add frame[0], 1", "D0.5"))
    view = step.to_json()
    assert view["instruction"] == "i32.add"
    assert (view["function"], view["value"], view["tokens"]) == ("f", 5, ["D0.5"])
    branch = trace.view(3, CALLS.program, CALLS.module)
    assert branch.result == "not taken"
