"""The vocabulary, read as runs: the same as name by name, whatever stands in it."""

import random

import numpy as np
import pytest

from wasm2xformer.compiler.format.tokens import Kind, TokenTable, read, runs_of

VOCABULARY = [
    *(f"D{p}.{v}" for p in (7, 0, 3) for v in range(256)), *(f"Q0.{v}" for v in range(1024)), "N", "H", "T.unreachable",
    "T.divide_by_zero", *(f"J.{k}" for k in range(5)), "X.0", "X.1", "BOS", "I.0", "I.1", *(f"P1.{k}" for k in range(9)),
    *(f"A.{v}" for v in range(512)), *(f"B.{v}" for v in range(256)),
]  # fmt: skip
ODD = ["", "D", "D.1", "D8.1", "D0.256", "D0.01", "D0.-1", "D0.1.2", "N.0", "T.nothing", "H.", "B.٣", "Q0.1024", "word",
       "J.1000000000"]  # fmt: skip


def by_name(names: list[str], jumps: list[tuple[int, int]], entries: list[tuple[str, int]]) -> list[tuple]:
    rows, moves = [], iter(jumps)
    for token in map(read, names):
        if token is None:
            rows.append((0, 0, 0, 0, 0, False, False))
            continue
        c = token.token_class
        ip, frame = next(moves) if c.moves else (entries[token.number][1] if c.kind == Kind.ENTRY else token.advance, 0)
        rows.append((int(c.kind), token.place, token.number if c.kind else 0, ip, frame, token.ends, c.stops))
    return rows


@pytest.mark.parametrize("seed", range(6))
def test_runs_are_the_names_one_by_one(seed: int):
    rng = random.Random(seed)
    names = list(VOCABULARY)
    if seed:
        names += ODD
        for _ in range(4 * seed):  # pieces change their places, single names go or come twice
            a, b, to = (rng.randrange(len(names)) for _ in range(3))
            piece = names[min(a, b) : max(a, b)][:300]
            del names[min(a, b) : min(a, b) + len(piece)]
            names[to:to] = piece
            names.pop(rng.randrange(len(names)))
            names.insert(rng.randrange(len(names)), rng.choice(names))
    runs = runs_of(names)
    assert [n for run in runs for n in names[run.at : run.at + run.count]] == names
    assert len(runs) < len(names) / 10
    for run in runs:
        found = [read(name) for name in names[run.at : run.at + run.count]]
        assert found[0] == run.first and (run.first is not None or run.count == 1)
        assert all(t and run.first and t.number == run.first.number + k for k, t in enumerate(found) if run.count > 1)
    moving = sum(bool(t and t.token_class.moves) for t in map(read, names))
    jumps, entries = [(rng.randrange(-99, 99), rng.randrange(9)) for _ in range(moving)], [("f", 7), ("g", 11)]
    table = TokenTable.build(names, jumps, entries)
    columns = (table.kind, table.place, table.value, table.ip_delta, table.frame_delta, table.ends, table.stops)
    assert [tuple(row) for row in np.array(columns, dtype=np.int64).T.tolist()] == [
        tuple(map(int, row)) for row in by_name(names, jumps, entries)
    ]
    with pytest.raises(ValueError, match=r"^fewer jumps than tokens that jump$"):
        TokenTable.build(names, jumps[1:], entries)
    with pytest.raises(ValueError, match=r"^more jumps than tokens that jump$"):
        TokenTable.build(names, [*jumps, (1, 0)], entries)
