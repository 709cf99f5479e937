"""The engine: generated code, its state in memory, and what happens when an assumption does not hold."""

from __future__ import annotations

import ctypes
import ctypes.util
import sys

import numpy as np

from ...compiler.graph.transformer import Transformer
from ..engine import EnvelopeError
from .forms import MAX_POSITION
from .index import FIELDS, PAGES, PRESENT_SUMMARIES, PRESENT_WORDS, page_size
from .jit import Loaded, compile_object
from .layout import Layout, live
from .lift import lift
from .loop import EXHAUSTED, OK, STOP, UNEXPECTED, generate

# Tokens decoded by one call of generated code.
CHUNK = 1 << 16

_libc = ctypes.CDLL(ctypes.util.find_library("msvcrt" if sys.platform == "win32" else "c"))
_libc.free.argtypes = [ctypes.c_void_p]
_CALLOC = ctypes.cast(_libc.calloc, ctypes.c_void_p).value


class FastEngine:
    """Engine (see runtime/engine.py) that compiles a checkpoint to machine code. Hard attention where the analysis proves it.

    model: any Transformer. probe: name of a probe whose values are collected, one array per block read, in `probed`.
    """

    def __init__(self, model: Transformer, probe: str | None = None):
        self.model = model
        self._probe = probe
        self.probed: list[np.ndarray] = []
        lifted = lift(model, model.probes[probe] if probe else None)
        roots = [*lifted.columns, *([lifted.probe] if lifted.probe else [])]
        layout = Layout(lifted.graph, live(lifted.graph, roots))
        generated = generate(lifted, layout)
        self._code = Loaded(compile_object(generated.text))
        self._layout = layout
        self._tables = [r.data() for r in generated.rows] + generated.matrices
        self._make_state(generated)
        self.position = 0
        if len(model.prefix):
            self.append(model.prefix)

    def _make_state(self, generated) -> None:
        layout, graph = self._layout, self._layout.graph
        self._state = np.zeros(layout.size, dtype=np.uint64)
        self._directories: dict[int, np.ndarray] = {}
        self._buffers: list[np.ndarray] = []
        self._soft: dict[int, np.ndarray] = {}
        for i, table in enumerate(self._tables):
            count = len(generated.rows)
            name = ("rows", i) if i < count else ("matrix", i - count)
            self._state[layout.fields[name]] = table.ctypes.data
        for store, entry in layout.entries.items():
            if graph.stores[store].kind != "keyed":
                continue
            empty = np.zeros(page_size(entry.size), dtype=np.uint8)
            directory = np.full(PAGES, empty.ctypes.data, dtype=np.uint64)
            present = np.zeros(PRESENT_WORDS + PRESENT_SUMMARIES, dtype=np.uint64)
            self._directories[store] = directory
            self._buffers += [empty, present]
            values = (directory.ctypes.data, present.ctypes.data, empty.ctypes.data, entry.size, _CALLOC)
            assert len(values) == len(FIELDS)
            at = layout.fields["keyed", store]
            self._state[at : at + len(values)] = values

    def __del__(self) -> None:
        for store, directory in getattr(self, "_directories", {}).items():
            empty = self._state[self._layout.fields["keyed", store] + 2]
            for page in directory[directory != empty]:
                _libc.free(int(page))

    def _reserve(self, count: int) -> None:
        """Room for `count` more positions in the stores that keep them all."""
        if self.position + count > MAX_POSITION:
            raise EnvelopeError(f"the fast engine ends at {MAX_POSITION:,} tokens")
        layout = self._layout
        for store, entry in layout.entries.items():
            if layout.graph.stores[store].kind != "soft":
                continue
            needed = (self.position + count) * entry.size
            old = self._soft.get(store, np.zeros(0, dtype=np.uint8))
            if needed > len(old):
                grown = np.zeros(max(needed, 2 * len(old)), dtype=np.uint8)
                grown[: len(old)] = old
                self._soft[store] = grown
                self._state[layout.fields["soft", store]] = grown.ctypes.data

    def _run(self, tokens: np.ndarray | None, count: int, out: np.ndarray, flags: np.ndarray) -> int:
        self._reserve(count)
        values = np.zeros(count if self._probe else 1)
        done = self._code.run(
            self._state.ctypes.data,
            tokens.ctypes.data if tokens is not None else None,
            count,
            out.ctypes.data,
            flags.ctypes.data,
            values.ctypes.data,
        )
        self.position += done
        if self._probe:
            self.probed.append(values[:done])
        status = int(self._state[self._layout.fields["status",]])
        if status == EXHAUSTED:
            raise MemoryError("no memory left for the key index")
        if status == UNEXPECTED:
            raise NotImplementedError("assumption violated")
        assert status == OK
        return done

    def append(self, tokens: np.ndarray) -> None:
        """Reads a prompt."""
        tokens = np.ascontiguousarray(tokens, dtype=np.int32)
        if len(tokens) and not (0 <= tokens.min() and tokens.max() < len(self.model.vocabulary)):
            raise ValueError("token id outside the vocabulary")
        for i in range(0, len(tokens), CHUNK):
            part = tokens[i : i + CHUNK]
            self._run(part, len(part), np.zeros(1, dtype=np.int32), np.zeros(1, dtype=np.uint8))

    def decode(self, stop: np.ndarray, limit: int) -> np.ndarray:
        """Emits tokens until one with stop[token], at most `limit`; int32 [m]."""
        flags = np.where(np.asarray(stop, dtype=bool), STOP, 0).astype(np.uint8)
        chunks = []
        total = 0
        while total < limit:
            count = min(limit - total, CHUNK)
            out = np.empty(count, dtype=np.int32)
            done = self._run(None, count, out, flags)
            chunks.append(out[:done])
            total += done
            if done and stop[out[done - 1]]:
                break
        return np.concatenate(chunks) if chunks else np.zeros(0, dtype=np.int32)
