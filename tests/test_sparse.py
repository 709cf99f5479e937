"""Sparse matrices: the same numbers as dense ones, in memory and in a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import wasm2xformer as w2x
from wasm2xformer.compiler.format.sparse import MAX_ELEMENTS, SparseRows
from wasm2xformer.compiler.format.tensors import open_tensors, sparse_parts, write_tensors


def random_dense(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    dense = rng.integers(-3, 4, rng.integers(0, 9, 2)).astype(np.float64)
    return np.where(rng.random(dense.shape) < rng.random(), dense, 0.0)


@pytest.mark.parametrize("seed", range(40))
def test_what_is_read_is_what_a_dense_matrix_has(seed: int) -> None:
    dense = random_dense(seed)
    made = SparseRows.of(dense)
    count, width = dense.shape
    assert made.shape == dense.shape and len(made) == count and made.in_order() and (made.values != 0).all()
    np.testing.assert_array_equal(made.dense(), dense)
    np.testing.assert_array_equal(made.used_columns(), np.flatnonzero(dense.any(axis=0)))
    for column in range(width):
        np.testing.assert_array_equal(made.column(column), dense[:, column])
    chosen = np.random.default_rng(seed).integers(0, count, 20 if count else 0)
    np.testing.assert_array_equal(made.rows(chosen), dense[chosen])
    some = np.arange(0, width, 2)
    np.testing.assert_array_equal(made.dense(some), dense[:, some])
    for row, column, value in ((0, 0, 9.0), (count - 1, width - 1, 0.0)) if dense.size else ():
        np.testing.assert_array_equal(made.row(row), dense[row])
        changed = dense.copy()
        changed[row, column] = value
        np.testing.assert_array_equal(made.changed(row, column, value).dense(), changed)
        np.testing.assert_array_equal(made.dense(), dense)


def test_entries_of_one_place_are_added() -> None:
    made = SparseRows.of_entries(
        (3, 2), *(np.array(a) for a in ([2, 0, 2, 1, 1], [1, 0, 1, 1, 1], [1.5, 4, 2, 1, -1]))
    )
    np.testing.assert_array_equal(made.dense(), [[4, 0], [0, 0], [0, 3.5]])
    assert len(made.values) == 2


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, -128], "int8"), ([128], "int16"), ([2**15], "int32"), ([-(2**31)], "int32"), ([0.5], "float32"),
        ([2.0**31], "float32"), ([2.0**31 + 1], "float64"), ([0.1], "float64"), ([2.0**53 + 2, -1], "float64"),
        ([], "int8"), ([1e300], "float64"), ([5e-324], "float64"),
    ],
)  # fmt: skip
def test_values_are_stored_in_the_smallest_type_that_is_exact(tmp_path: Path, values: list[float], dtype: str) -> None:
    matrix = SparseRows.of(np.array([values, values[::-1]], dtype=np.float64).reshape(2, -1))
    parts = sparse_parts("m", matrix)
    assert parts["m.values"].dtype == dtype and parts["m.at"].dtype == parts["m.columns"].dtype == np.uint8
    write_tensors(tmp_path / "x", parts, "key", "{}")
    with open_tensors(tmp_path / "x") as tensors:
        read = tensors.take_sparse("m", matrix.shape)
        assert not tensors.left
    for one, other in zip(read.parts, matrix.parts, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


def test_a_matrix_of_zeros_may_not_be_of_any_size(tmp_path: Path) -> None:
    """What it would take dense is not in the file."""
    height, width = 2**10, MAX_ELEMENTS // 2**10
    empty = SparseRows.of_entries((height, width), *(np.zeros(0, t) for t in (int, int, float)))
    write_tensors(tmp_path / "x", sparse_parts("m", empty), "key", "{}")
    with open_tensors(tmp_path / "x") as tensors:
        assert tensors.take_sparse("m", (height, width)).shape == (height, width)
    with (
        open_tensors(tmp_path / "x") as tensors,
        pytest.raises(ValueError, match="1,024 rows of 262,145, together more than"),
    ):
        tensors.take_sparse("m", (height, width + 1))


def test_a_file_has_few_bytes_for_each_token(tmp_path: Path) -> None:
    """Rows of more tokens cost what is in them, not the width of the residual stream."""
    sizes = []
    for count in (100, 1100):
        body = "(i32.store (i32.const 0) (local.get 0))" * count
        model = w2x.compile(f'(module (memory 1) (func (export "f") (param i32) {body}))')
        model.save(tmp_path / "x")
        sizes.append((tmp_path / "x").stat().st_size)
        steps = len(model.program.steps)
    assert sizes[1] - sizes[0] < 400 * steps < 8 * model.transformer.width * steps
