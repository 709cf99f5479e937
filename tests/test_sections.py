"""The program in sections: equal rows, or equal parts of rows, share a token, and a row is found by its position."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from fast_models import TOKENS, Features, compare

import wasm2xformer as w2x
from tests.test_engines import CALLS, PROGRAM, tokens
from wasm2xformer.compiler.compile import compile_steps, realise
from wasm2xformer.compiler.format.checkpoint import Model
from wasm2xformer.compiler.format.tokens import head_of
from wasm2xformer.compiler.format.transformer import Transformer
from wasm2xformer.compiler.machine.sections import RowTable, field_of, sections, weight_of
from wasm2xformer.compiler.options import CompileOptions
from wasm2xformer.runtime.check.verify import Verifier
from wasm2xformer.runtime.fast.context import Rewriter, Static
from wasm2xformer.runtime.fast.engine import FastEngine
from wasm2xformer.runtime.fast.lift import lift
from wasm2xformer.runtime.fast.live import live
from wasm2xformer.runtime.fast.specialise import static_stores


def random_rows(seed: int) -> list[dict[str, float]]:
    rng = random.Random(seed)
    sizes = {"flag": 2, "small": 20, "wide": 5000, "address": 2**32, "distance": 2**20}
    rows = []
    for _ in range(rng.randrange(1, 3000)):
        row: dict[str, float] = {n: rng.randrange(size) for n, size in sizes.items() if rng.random() < 0.7}
        rows.append(row | {"distance": row.get("distance", 0) - 2**19, "half": rng.choice((0.5, -0.25))})
    return rows


@pytest.mark.parametrize("seed", range(12))
def test_columns_of_all_sections_are_the_rows(seed: int) -> None:
    rows, most = random_rows(seed), random.Random(seed).choice((0, 900, 2000, 4000, 10**6))
    table = RowTable(rows)
    found = sections(table, most)
    assert sorted({field_of(c) for columns in found for c in columns}) == table.fields
    total, sums = 0, [dict.fromkeys(table.fields, 0.0) for _ in rows]
    for columns in found:
        made, said = table.tokens(columns)
        assert len({tuple(each.values()) for each in made}) == len(made) and len(said) == len(rows)
        total += len(made)
        for place, row in zip(said.tolist(), sums, strict=True):
            for column, value in made[place].items():
                row[field_of(column)] += weight_of(column) * value
    assert sums == [dict.fromkeys(table.fields, 0.0) | row for row in rows]
    if most >= 4000:
        assert total <= most
    if most == 10**6:
        assert len(found) == 1


def in_sections(level: int, single_jumps: int = 2048) -> Model:
    """As few tokens of the program as can be."""
    return realise(*compile_steps(PROGRAM, CompileOptions(level)), single_jumps, tokens_limit=0)


def heads(model: Model) -> set[str]:
    return {head for head in map(head_of, model.transformer.vocabulary) if head[0] == "P"}


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("single_jumps", [0, 2048])
def test_every_step_is_that_of_wasmtime(single_jumps: int, level: int) -> None:
    model = in_sections(level, single_jumps)
    assert len(heads(model)) > 1
    verifier = Verifier(PROGRAM, model=model, opt_level=level)
    for name, *args in CALLS:
        report = verifier.invoke(name, args)
        assert report.ok, f"{name} {args}: {report.divergence}"


def test_dense_and_fast_give_the_same_tokens() -> None:
    model, whole = in_sections(1, 12), w2x.Instance(realise(*compile_steps(PROGRAM, CompileOptions(1)), 12))
    fast, dense = w2x.Instance(model), w2x.Instance(model, engine="torch")
    for call in [("calls", 3), ("table", 21, 0), ("table", 4, 2), ("br_table", 1)]:
        found = tokens(fast, *call)
        np.testing.assert_array_equal(tokens(dense, *call), found, err_msg=f"{call}")
        np.testing.assert_array_equal(tokens(whole, *call)[1:], found[1:])  # the tokens of entries have other ids


def test_a_checkpoint_keeps_sections(tmp_path: Path) -> None:
    made = in_sections(1)
    made.save(tmp_path / "model.safetensors")
    read = w2x.load(tmp_path / "model.safetensors")
    assert heads(read) == heads(made)
    assert w2x.Instance(read).invoke("table", 5, 1).values == [120]


def test_the_vocabulary_stays_below_the_limit() -> None:
    body = " ".join(f"(i32.store offset={k % 997} (i32.const {k % 61}) (local.get {k % 89}))" for k in range(12_000))
    wat = f'(module (memory 1) (func (export "f") (param {"i32 " * 89}) {body}))'
    program, module = compile_steps(wat)
    sizes = {}
    for limit in (20_000, 9_000, 5_000):
        model = realise(program, module, tokens_limit=limit)
        assert len(model.transformer.vocabulary) < limit
        sizes[limit] = len(heads(model)), len(model.transformer.prefix)
    assert sizes[20_000][0] == 1 < sizes[9_000][0] <= sizes[5_000][0]
    assert sizes[5_000][1] - sizes[20_000][1] == (sizes[5_000][0] - 1) * (len(program.steps) + 1)


@pytest.mark.parametrize("level", [0, 1])
def test_constants_and_segments_as_digits(level: int) -> None:
    """Values of all sizes, segments at addresses of one to four digits and in hidden memory."""
    wat = """(module (memory (export "memory") 300) (global $g (mut i64) (i64.const -2)) (global $h (mut i32) (i32.const 0))
      (data (i32.const 3) "abc") (data (i32.const 7) "d") (data (i32.const 255) "ef") (data (i32.const 0x10203) "ghijk")
      (data (i32.const 0x1000000) "l") (data $p "passive")
      (func (export "f") (param i32) (result i64)
        (memory.init $p (i32.const 100) (i32.const 1) (i32.const 3))
        (global.set $h (i32.add (global.get $h) (i32.const 1)))
        (i64.add (i64.add (i64.load (local.get 0)) (i64.load (i32.const 100)))
          (i64.add (global.get $g) (i64.const 0x1234567890abcdef)))))"""
    program, module = compile_steps(wat, CompileOptions(level))
    spelled, own = (realise(program, module, own_tokens=most) for most in (0, 4096))
    assert {"A"} == {head_of(n) for n in spelled.transformer.vocabulary} - {head_of(n) for n in own.transformer.vocabulary}
    assert not {"C.0", "G.0"} & set(spelled.transformer.vocabulary)
    verifier = Verifier(wat, model=spelled, opt_level=level)
    for at in (0, 3, 7, 254, 0x10201, 0xFFFFFF, 0x1000000, 300 * 2**16):
        report = verifier.invoke("f", [at])
        assert report.ok, f"{at}: {report.divergence}"
    fast, dense = w2x.Instance(spelled), w2x.Instance(spelled, engine="torch")
    np.testing.assert_array_equal(tokens(fast, "f", 3), tokens(dense, "f", 3))
    assert fast.invoke("f", 3).values == w2x.Instance(own).invoke("f", 3).values


def statics_of(model: Transformer) -> list[Static]:
    lifted = lift(model)
    reached = live(lifted.graph, lifted.columns, [Rewriter(lifted.graph, {})])
    return list(static_stores(lifted.graph, reached, model.prefix)[0].values())


def test_all_sections_are_one_row_to_the_fast_engine() -> None:
    statics = statics_of(in_sections(1).transformer)
    by_position = [s for s in statics if s.fixed]
    rows = len(in_sections(1).program.step_at) + 1
    assert len(by_position) > 1 and len({s.row for s in by_position}) == 1
    assert all(len(s.keys) == rows for s in by_position)
    assert statics_of(realise(*compile_steps(PROGRAM)).transformer)[0].fixed


def by_position(seed: int, spread: int) -> Transformer:
    """Two sections of 40 rows each; the row is a sum of the tokens' small numbers, which may leave the sections."""
    f = Features(seed)
    g, rng = f.graph, np.random.default_rng(seed)
    off, gate, number = (g.feature(n) for n in ("off", "row.gate", "row.number"))
    for token in range(TOKENS):
        off.embedding[token] = 1.0
    ids = [g.token(f"R{k}", {gate: k % 2, number: rng.integers(-9, 10)}) for k in range(6)]
    g.prefix = [1, *rng.choice(ids, 80).tolist(), 3, 1, 2]
    (s,) = g.cumulative_sum({"s": f.small})
    found = [
        g.at_position(f"fetch.{k}", 20 + 40 * k + spread * s, {"gate": gate, "number": number}, off=off, limit=100)
        for k in (0, 1)
    ]
    (previous,) = g.relative(1, {"previous": f.label})
    total = g.gated("total", (found[0][0], f.label + found[1][1]), (1 - found[0][0], previous + found[0][1] + 9))
    return f.finish(total)


@pytest.mark.parametrize("spread", [1, 4])
@pytest.mark.parametrize("seed", range(3))
def test_queries_inside_and_outside_of_the_sections(seed: int, spread: int) -> None:
    """With tokens of rows in prompts, too: outside of the sections it matters where they stand."""
    model = by_position(seed, spread)
    assert [s.fixed for s in statics_of(model)] == [True, True]
    compare(model, seed, rounds=4, probe="index", below=TOKENS)
    compare(model, seed, rounds=4, probe="index")


def test_input_has_its_tokens_also_where_segments_are_spelled():
    text = """(module
      (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1) (data (i32.const 0) "\\10\\00\\00\\00\\04\\00\\00\\00")
      (func (export "f") (result i32)
        (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8))) (i32.load (i32.const 16))))"""
    for most in (0, 4096):
        vm = w2x.Instance(realise(*compile_steps(text), own_tokens=most), stdin=b"wxyz")
        assert vm.invoke("f").values == [int.from_bytes(b"wxyz", "little")]


def test_slots_of_two_digits_in_sections_are_followed() -> None:
    """What is known of a sum of columns reaches beyond its values; code that trusts its guess of where the lower digit of a slot
    lies must not fail at once, else a long program is read as slowly as softmax."""
    adds = " ".join(f"(local.set 0 (i32.xor (local.get 0) (i32.const {k * 2654435761 % 2**32})))" for k in range(1, 4300))
    program = f'(module (func (export "f") (param i32) (result i32) {adds} (local.get 0)))'
    model = realise(*compile_steps(program, CompileOptions(1)), tokens_limit=0)
    assert len(heads(model)) > 1
    engine = FastEngine(model.transformer)
    assert engine.trusted
    assert Verifier(program, model=model).invoke("f", (7,)).ok
