"""Softmax attention without any pattern: over all positions, in a loop."""

from __future__ import annotations

from collections.abc import Callable

from .code import IrValue, double
from .layout import DOUBLE
from .past import Past


def record(position: Past, store: int) -> str:
    """Writes this position's keys and columns (once) behind those of the earlier positions; returns the first record."""
    code, entry = position.code, position.layout.entries[store]
    base = code.op(f"load ptr, ptr {position.address(position.layout.fields['soft', store])}")
    if store not in position.known.inserted:
        index = code.op(f"sub i64 {position.n}, 1")
        own = code.op(f"getelementptr i8, ptr {base}, i64 {code.op(f'mul i64 {index}, {entry.size}')}")
        for i, form in enumerate(position.graph.stores[store].keys):
            value = position.form(position.context(form))
            position.store(value, code.op(f"getelementptr i8, ptr {own}, i64 {8 * i}"), DOUBLE)
        for column, (at, _) in entry.columns.items():
            value, _ = position.kept(store, column)
            position.store(value, code.op(f"getelementptr i8, ptr {own}, i64 {at}"), DOUBLE)
        position.known.inserted[store] = own
    return base


def average(position: Past, lookup: int, column: int) -> IrValue:
    """A column's average over all positions with weights exp(score): the largest score first, then the sums."""
    if lookup not in position.known.softened:
        position.known.softened[lookup] = _averages(position, lookup)
    return position.known.softened[lookup][column]


def _averages(position: Past, number: int) -> dict[int, IrValue]:
    code, lookup = position.code, position.graph.lookups[number]
    query = [position.as_double(position.form(position.context(f))) for f in lookup.query]
    base = record(position, lookup.store)
    columns = position.layout.entries[lookup.store].columns
    code.intrinsic("double @llvm.exp.f64(double)")

    def larger(score: str, row: str, carried: list[str]) -> list[str]:
        test = code.op(f"fcmp ogt double {score}, {carried[0]}")
        return [code.op(f"select i1 {test}, double {score}, double {carried[0]}")]

    (top,) = _over_positions(position, lookup.store, query, base, [double(float("-inf"))], larger)

    def weigh(score: str, row: str, carried: list[str]) -> list[str]:
        weight = code.op(f"fsub double {score}, {top}")
        weight = code.op(f"call double @llvm.exp.f64(double {weight})")
        result = [code.op(f"fadd double {carried[0]}, {weight}")]
        for (at, _), old in zip(columns.values(), carried[1:]):
            value = code.op(f"load double, ptr {code.op(f'getelementptr i8, ptr {row}, i64 {at}')}")
            result.append(code.op(f"fadd double {old}, {code.op(f'fmul double {weight}, {value}')}"))
        return result

    zeros = [double(0.0)] * (1 + len(columns))
    total, *sums = _over_positions(position, lookup.store, query, base, zeros, weigh)
    return {column: IrValue("f", code.op(f"fdiv double {s}, {total}")) for column, s in zip(columns, sums)}


def _over_positions(
    position: Past,
    store: int,
    query: list[str],
    base: str,
    initial: list[str],
    body: Callable[[str, str, list[str]], list[str]],
) -> list[str]:
    """A loop with doubles carried round: body(score, record, carried) returns the next ones."""
    code, size = position.code, position.layout.entries[store].size
    head, done, before = code.label("position"), code.label("done"), code.block
    code.do(f"br label %{head}")
    code.start(head)
    i, loop = code.open_phi("i64", "0", before)
    carried = [code.open_phi("double", value, before) for value in initial]
    row = code.op(f"getelementptr i8, ptr {base}, i64 {code.op(f'mul i64 {i}, {size}')}")
    score = ""
    for j, part in enumerate(query):
        key = code.op(f"load double, ptr {code.op(f'getelementptr i8, ptr {row}, i64 {8 * j}')}")
        product = code.op(f"fmul double {part}, {key}")
        score = code.op(f"fadd double {score}, {product}") if score else product
    result = body(score, row, [name for name, _ in carried])
    following = code.op(f"add i64 {i}, 1")
    for (_, handle), value in zip(carried, result):
        code.close_phi(handle, value, code.block)
    code.close_phi(loop, following, code.block)
    code.do(f"br i1 {code.op(f'icmp slt i64 {following}, {position.n}')}, label %{head}, label %{done}")
    code.start(done)
    return result
