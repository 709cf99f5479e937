"""The key index in generated code, against a dictionary."""

from __future__ import annotations

import ctypes

import llvmlite.binding as llvm
import numpy as np
import pytest
from fast_models import Features, compare, kinds

from wasm2xformer.runtime.fast.image import Image, StateMemory
from wasm2xformer.runtime.fast.index import FIELDS, FOUND, PAGES, PRESENT_SUMMARIES, PRESENT_WORDS, page_size, support
from wasm2xformer.runtime.fast.interface import EXHAUSTED, KEY_LIMIT
from wasm2xformer.runtime.fast.jit import compile_object

STRIDE = 12
_WRAPPERS = """
define ptr @write(ptr %store, i64 %key, ptr %scratch, ptr %status) {
  %e = call ptr @create(ptr %store, i64 %key, ptr %scratch, ptr %status)
  ret ptr %e
}
define ptr @read(ptr %store, double %query, ptr %zero, ptr %status) {
  %e = call ptr @search(ptr %store, double %query, ptr %zero, ptr %status)
  ret ptr %e
}
"""


class Index:
    """One store, by calls of the generated functions."""

    def __init__(self) -> None:
        fields, empty = 8, 64
        directory = empty + page_size(STRIDE) // 8
        present = directory + PAGES
        keyed = [
            {
                "fields": fields,
                "directory": directory,
                "present": present,
                "stride": STRIDE,
                "latest": 1,
                "pages": PAGES,
            }
        ]
        size = present + PRESENT_WORDS + PRESENT_SUMMARIES
        self.state = StateMemory(Image(size, {"status": 0, "next": 1, "n": 2}, [], keyed, [], [], 0, 0, empty))
        self.store = self.state.address + 8 * fields
        self.fields = fields
        declarations = "\n".join(f"declare double @llvm.{n}num.f64(double, double)" for n in ("max", "min"))
        code = compile_object(support() + _WRAPPERS + declarations)
        machine = llvm.Target.from_default_triple().create_target_machine()
        self.engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        self.engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        pointer = ctypes.c_void_p
        address = self.engine.get_function_address
        self._write = ctypes.CFUNCTYPE(pointer, pointer, ctypes.c_int64, pointer, pointer)(address("write"))
        self._read = ctypes.CFUNCTYPE(pointer, pointer, ctypes.c_double, pointer, pointer)(address("read"))

    def write(self, key: int, stamp: int) -> None:
        entry = self._write(self.store, key, 0, self.state.address)
        ctypes.c_uint32.from_address(entry).value = stamp

    def read(self, query: float) -> tuple[int, int]:
        """Key and stamp found; the zero entry is the state's first field."""
        entry = self._read(self.store, query, self.state.address, self.state.address)
        key = int(self.state.words[self.fields + FOUND].view(np.int64))
        return key, ctypes.c_uint32.from_address(entry).value


@pytest.mark.parametrize("spread", [8, 200, 70_000, KEY_LIMIT])
def test_nearest(spread):
    """Hits, misses within a page, in the next page, and in a group of pages far away; equally near: the later one."""
    rng = np.random.default_rng(spread)
    index, keys = Index(), {}
    assert index.read(5.0) == (0, 0)
    assert len(FIELDS) <= 56
    for stamp in range(1, 300):
        if stamp % 3 == 1:
            key = int(rng.choice([-spread, spread - 1, rng.integers(-spread, spread)], p=[0.02, 0.02, 0.96]))
            keys[key] = stamp
            index.write(key, stamp)
        query = float(rng.integers(-2 * spread, 2 * spread)) / int(rng.choice([1, 2, 4]))
        cut = min(max(query, 1 - KEY_LIMIT), KEY_LIMIT - 1)
        best = min(keys, key=lambda k: (abs(k - cut), -keys[k]))
        assert index.read(query) == (best, keys[best])


def test_exhausted():
    index = Index()
    failing = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)(lambda count, size: None)
    index.state.words[index.fields + FIELDS.index("calloc")] = ctypes.cast(failing, ctypes.c_void_p).value
    scratch = np.zeros(STRIDE, dtype=np.uint8)
    assert index._write(index.store, 7, scratch.ctypes.data, index.state.address) == scratch.ctypes.data
    assert index.state.status.value == EXHAUSTED


def test_large_keys():
    """Keys up to 2^26 over many pages, against dense attention."""
    f = Features(11)
    g = f.graph
    (s,) = g.cumulative_sum({"s": 2.0**16 * f.label + f.small + 9})
    (x,) = g.lookup("far", 2.0**20 * f.label + 77, s - 2.0**25, {"x": f.label}, key_bits=26, latest=False)
    model = f.finish(x + f.small)
    assert kinds(model) == ["keyed"]
    compare(model, rounds=2, probe="index")
