"""Values that have a token of their own: which they are, that nothing else is said so, that what is read back is the value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import wasm2xformer as w2x
from wasm2xformer.compiler.compile import compile_steps, realise
from wasm2xformer.compiler.format.checkpoint import Model
from wasm2xformer.compiler.format.consistency import check
from wasm2xformer.compiler.format.isa import Program, Segment, Slot, Step
from wasm2xformer.compiler.format.tokens import WHOLE, Kind, TokenTable, read, runs_of
from wasm2xformer.compiler.machine.assemble import assemble
from wasm2xformer.compiler.machine.whole_values import BLOCK, BLOCKS, says_values_whole, whole_values
from wasm2xformer.runtime.calls import call_of
from wasm2xformer.runtime.results import Results
from wasm2xformer.runtime.trace import decode, table_of

PROGRAMS = Path(__file__).resolve().parent.parent / "programs"
# Each way to a value that is words: sums with a carry and a borrow, products with a carry token, remainders behind their
# quotient's digits, loads of each width, selections, extensions, conversions of floats, a branch's other way. And a loop.
TEXT = """(module (memory 1) (global $top (mut i32) (i32.const 70000))
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "sub") (param i32 i32) (result i32) (i32.sub (local.get 0) (local.get 1)))
  (func (export "mul") (param i32 i32) (result i32) (i32.mul (local.get 0) (local.get 1)))
  (func (export "rem") (param i32 i32) (result i32) (i32.rem_s (local.get 0) (local.get 1)))
  (func (export "div") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
  (func (export "load") (param i32 i32) (result i32)
    (i32.store (i32.const 9) (local.get 0)) (i32.load (i32.add (local.get 1) (i32.const 9))))
  (func (export "load16") (param i32 i32) (result i32)
    (i32.store (i32.const 9) (local.get 0)) (i32.load16_s (i32.add (local.get 1) (i32.const 9))))
  (func (export "select") (param i32 i32) (result i32)
    (select (local.get 0) (global.get $top) (i32.eqz (local.get 1))))
  (func (export "and") (param i32 i32) (result i32) (i32.and (local.get 0) (i32.xor (local.get 1) (i32.const -1))))
  (func (export "convert") (param i32 i32) (result i32) (i32.trunc_sat_f64_s (f64.convert_i32_s (local.get 0))))
  (func (export "other") (param i32 i32) (result i32)
    (if (result i32) (local.get 1) (then (i32.const 3)) (else (i32.add (local.get 0) (local.get 1)))))
  (func (export "loop") (param i32) (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
  (func (export "add64") (param i64 i64) (result i64) (i64.add (local.get 0) (local.get 1)))
  (func (export "mul64") (param i64 i64) (result i64) (i64.mul (local.get 0) (local.get 1)))
  (func (export "extend") (param i64 i64) (result i64) (i64.extend_i32_s (i32.wrap_i64 (local.get 0)))))"""
SMALL = TEXT.replace("i64", "i32").replace("i32.extend_i32_s (i32.wrap_i32 (local.get 0))", "i32.clz (local.get 0)")
# Functions that give their first argument where the second one says so.
SAME = {"add": 0, "sub": 0, "mul": 1, "rem": -(2**31), "load": 0, "select": 0, "and": 0, "convert": 0, "other": 0}
SAME64 = {"add64": 0, "mul64": 1}


def borders(whole: tuple[range, ...]) -> list[int]:
    """Values beside the ends of the ranges, and what is far from all of them."""
    found = {v for values in whole for end in (values.start, values.stop) for v in (end - 1, end)}
    return sorted(v for v in found | {0, 255, 256, 65535, 2**31, 2**32 - 257} if v < 2**32)


def said(model: Model, run: w2x.Run) -> list[str]:
    return [model.transformer.vocabulary[token] for token in run.tokens]


def digits(value: int) -> list[str]:
    """A value from its first digit on."""
    return [f"D{p}.{value >> 8 * p & 255}" for p in reversed(range(max(1, (value.bit_length() + 7) // 8)))]


def ranges_of(model: Model) -> tuple[range, ...]:
    runs = [run for run in runs_of(model.transformer.vocabulary) if run.first and run.first.token_class.whole]
    return tuple(range(run.first.number, run.first.number + run.count) for run in runs if run.first)


@pytest.fixture(scope="module")
def models() -> dict[str, Model]:
    return {"both": w2x.compile(TEXT, opt_level=0), "words": w2x.compile(SMALL, opt_level=0)}


@pytest.mark.parametrize(("which", "engine"), [("both", "fast"), ("words", "fast"), ("words", "torch")])
def test_a_value_is_one_token_or_its_digits(models: dict[str, Model], which: str, engine: str) -> None:
    """Of every step that computes a value; but not of what is put together byte by byte, of quotients, and of results."""
    model = models[which]
    whole, vm, seen = ranges_of(model), w2x.Instance(model, engine), set()
    values = borders(whole) if engine == "fast" else [255, 256, whole[0].stop, 2**32 - 1]
    functions = [*SAME.items(), *(SAME64.items() if which == "both" else ())]
    for value in values:
        for name, other in functions:
            arguments = (value, other) if name in SAME64 else (value - 2**32 * (value >= 2**31), other)
            run = vm.invoke(name, *arguments)
            assert run.bits == [value] or (name, value) == ("rem", 2**31)
            trace = call_of(model, name, list(arguments), run).trace
            for k in np.flatnonzero(trace.kind == Kind.DIGIT).tolist():
                view = trace.view(k, model.program, {})
                if view.step.op == "param":
                    continue
                named = any(view.value in each for each in whole) and says_values_whole(view.step)
                wanted = [f"W.{view.value}"] if named else digits(view.value)
                tokens = [token for token in view.tokens if token[0] not in "SQ"]
                assert view.step.operation.effect == "store" or tokens == wanted, (name, value, view)
                seen.add((view.step.op, named))
    words = ("mov", "i32.add", "i32.sub", "i32.mul", "i32.rem_s", "i32.load", "select", "i32.trunc_sat_f64_s")
    assert seen >= {(op, named) for op in words for named in (False, True)} | {("i32.and", False), ("result", False)}
    assert which == "words" or seen >= {("i64.add", True), ("i64.mul", True), ("i64.add", False)}


def test_values_of_64_bits(models: dict[str, Model]) -> None:
    """What is beyond 32 bits is said in digits, whatever its low word is."""
    model = models["both"]
    vm = w2x.Instance(model)
    for value in (2**32 + 300, 2**64 - 1, 2**63 + 2**32 - 1, 2**40 + 2**32 - 5, 2**32 - 1, 300):
        signed = value - 2**64 * (value >= 2**63)
        run = vm.invoke("add64", signed - 1, 1)
        assert run.values == [signed]
        assert (f"W.{value % 2**32}" in said(model, run)) == (value < 2**32), (value, said(model, run))
    assert vm.invoke("extend", 2**32 + 2**31 + 5, 0).values == [5 - 2**31]


@pytest.mark.parametrize("level", [0, 1])
def test_every_step_is_as_wasmtime_has_it(level: int) -> None:
    model = w2x.compile(TEXT, opt_level=level)
    verifier = w2x.Verifier(TEXT, model=model)
    ends = [v for values in ranges_of(model) for v in (values.start, values.stop - 1, values.stop % 2**32)]
    calls = [(name, (v - 2**32 * (v >= 2**31), w)) for v in ends for name in SAME for w in (1, -3, 255)]
    calls += [(name, (v - w, w)) for v in ends for name in ("add64", "mul64", "extend") for w in (1, -5)]
    calls += [(name, (v - 2**32 * (v >= 2**31), 2)) for v in ends for name in ("load16", "div")]
    for name, arguments in calls:
        report = verifier.invoke(name, list(arguments))
        assert report.ok, (name, arguments, report.divergence)


def test_the_stock_form_says_the_same() -> None:
    model = w2x.compile(SMALL)
    stock = w2x.in_stock_form(model)
    calls = (("add", (200, 100)), ("sub", (1, 2)), ("mul", (70000, 70001)), ("load", (70001, 0)), ("rem", (-5, 7)))
    for name, arguments in calls:
        runs = [w2x.Instance(each).invoke(name, *arguments) for each in (model, stock)]
        assert runs[0].tokens.tolist() == runs[1].tokens.tolist() and runs[0].values == runs[1].values
    assert "W.300" in said(stock, w2x.Instance(stock).invoke("add", 200, 100))


def test_blocks_that_a_program_is_likely_to_need() -> None:
    s = [Slot("frame", k) for k in range(2)]
    steps = (Step("i32.add", a=s[0], b=Slot("const", 0x54321), dest=s[1]), Step("jump", target=0))
    plain = Program(steps, {}, {})
    whole = whole_values(plain, 10**6)
    assert sum(map(len, whole)) == BLOCK * BLOCKS and all(v.start % BLOCK == v.stop % BLOCK == 0 for v in whole)
    assert all(a.stop < b.start for a, b in zip(whole, whole[1:])) and whole[0].start == BLOCK and whole[-1].stop == 2**32
    assert any(0x54321 in values for values in whole) and not any(0x65432 in values for values in whole)
    assert whole_values(Program((steps[0], Step("jump", target=2), Step("halt")), {}, {}), 10**6) == ()  # nothing repeats
    # The top of a stack, what is right below it, and data; constants of more than 32 bits are none.
    more = Program(
        (*steps, Step("i64.add", a=s[0], b=Slot("const", 2**40), dest=s[1])), {}, {},
        initial={Slot("global", 0): 0x12345, Slot("global", 1): 2**63}, segments=(Segment(0x8000, b"x"), Segment(5, b"y", True)),
    )  # fmt: skip
    found = whole_values(more, 10**6)
    assert all(any(v in values for values in found) for v in (0x12345, 0x12245, 0x8000, 0x8100, 300, 2**32 - 1))
    assert found[-1].stop == 2**32
    assert [sum(map(len, whole_values(plain, room))) for room in (-5, 0, 255, 256, 700)] == [0, 0, 0, 256, 512]


def test_a_vocabulary_without_room() -> None:
    """Then there are none, no row asks for them, and the program is as it was."""
    steps = compile_steps(SMALL)
    none = realise(*steps, tokens_limit=2000)
    assert not ranges_of(none) and ranges_of(realise(*steps))
    assert assemble(steps[0], tokens_limit=2000).architecture.whole == ()
    run = w2x.Instance(none).invoke("add", 200, 100)
    assert run.values == [300] and digits(300) == said(none, run)[-3:-1] and not any(t.startswith("W") for t in said(none, run))


def test_a_checkpoint_with_more_jumps_than_values_begin_at(tmp_path: Path) -> None:
    """Its classes are in order whatever the numbers of the tokens before are."""
    model = w2x.compile(PROGRAMS / "c/hello.wasm")
    jumps = sum(name.startswith("J.") for name in model.transformer.vocabulary)
    assert jumps > ranges_of(model)[0].start
    check(model)
    model.save(tmp_path / "m.safetensors")
    assert ranges_of(w2x.load(tmp_path / "m.safetensors")) == ranges_of(model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda names: [*names[1:], names[0]], "out of order"),
        (lambda names: [names[0], *names], "two tokens of one name"),
        (lambda names: ["W.4294967296", *names[1:]], "of no class"),
        (lambda names: ["W.0300", *names[1:]], "of no class"),
    ],
)
def test_vocabularies_that_are_refused(models: dict[str, Model], change, message: str) -> None:
    model = models["words"]
    names = list(model.transformer.vocabulary)
    at = [i for i, name in enumerate(names) if name.startswith("W.")]
    changed = change(names[at[0] : at[-1] + 1])[: len(at)]
    broken = w2x.compile(SMALL, opt_level=0)
    broken.transformer.vocabulary = names[: at[0]] + changed + names[at[-1] + 1 :]
    with pytest.raises(ValueError, match=message):
        check(broken)


def test_what_the_tokens_are() -> None:
    names = ["D0.7", "D1.3", "W.256", "W.257", "W.4294967295", "H", "I.0"]
    table = TokenTable.build(names, [], [("f", 0)])
    assert table.kind.tolist()[2:5] == [Kind.DIGIT] * 3 and table.place.tolist()[2:5] == [WHOLE] * 3
    assert table.value.tolist()[2:5] == [256, 257, 2**32 - 1] and table.ends.tolist()[2:5] == [True] * 3
    assert table.contribution.tolist()[:5] == [7, 3 << 8, 256, 257, 2**32 - 1] and table.ip_delta.tolist()[2:5] == [1] * 3
    token = read("W.4294967295")
    assert token is not None and (token.number, token.ends, token.advance) == (2**32 - 1, True, 1)
    assert read("W.4294967296") is None and read("J.4294967295") is None


def test_none_stands_among_digits(models: dict[str, Model]) -> None:
    """A value that has begun with a digit goes on with digits; a store says each of its bytes."""
    model = models["words"]
    names, table = model.transformer.vocabulary, table_of(model)
    run = w2x.Instance(model).invoke("load", 70001, 0)
    tokens = np.concatenate([run.prompt, run.tokens])
    first = said(model, run).index("D3.0")  # of the store
    whole, at = names.index("W.300"), len(run.prompt) + first
    assert decode(tokens, table, model.program).fault is None
    for changed in (at + 1, at + 3):
        other = tokens.copy()
        other[changed] = whole
        fault = decode(other, table, model.program).fault
        assert fault is not None and fault.token == changed and "next lower place" in fault.message
    verifier = w2x.Verifier(SMALL, model=model, keep_records=True)
    report = verifier.invoke("load", [70001, 0])
    assert report.ok


def test_results_of_plain_calls_are_found_at_once(models: dict[str, Model], monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens of whole values are no digits, and no result ends with one; so digits stand one behind the other as ever."""
    vm = w2x.Instance(models["words"])
    expected = [vm.invoke("add", value, 100).values for value in (0, 200, 70000)]

    def other(*rest: object) -> None:
        raise AssertionError("looked at token by token")

    monkeypatch.setattr(Results, "run", other)
    assert [vm.invoke("add", value, 100).values for value in (0, 200, 70000)] == expected == [[100], [300], [70100]]
