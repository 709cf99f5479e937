"""The engine: generated code, its state in memory, and what happens when an assumption does not hold."""

from __future__ import annotations

import numpy as np

from ...compiler.graph.transformer import Transformer
from ..engine import EnvelopeError
from .compile import compile_model
from .forms import MAX_POSITION
from .image import State
from .jit import Loaded
from .loop import EXHAUSTED, FOREIGN, STOP, UNEXPECTED

# Tokens decoded by one call of generated code.
CHUNK = 1 << 16


class FastEngine:
    """Engine (see runtime/engine.py) that compiles a checkpoint to machine code, with hard attention where that is exact.

    model: any Transformer. probe: name of a probe whose values are collected, one array per block read, in `probed`.
    """

    def __init__(self, model: Transformer, probe: str | None = None):
        self.model = model
        self._probing = probe is not None
        self.probed: list[np.ndarray] = []
        program = compile_model(model, probe)
        self._image = program.image
        self._code = Loaded(program.code)
        self._state = State(self._image)
        self.position = 0
        if len(model.prefix):
            self.append(model.prefix)

    def _run(self, run, tokens: np.ndarray | None, count: int, out: np.ndarray, flags: np.ndarray) -> int:
        if self.position + count > MAX_POSITION:
            raise EnvelopeError(f"the fast engine ends at {MAX_POSITION:,} tokens")
        self._state.reserve(self.position + count)
        values = np.zeros(count if self._probing else 0)
        done = run(
            self._state.address,
            tokens.ctypes.data if tokens is not None else None,
            count,
            out.ctypes.data,
            flags.ctypes.data,
            values.ctypes.data if self._probing else None,
        )
        self.position += done
        if self._probing:
            self.probed.append(values[:done])
        status = self._state.field("status")
        if status == EXHAUSTED:
            raise MemoryError("no memory left for the key index")
        if status == UNEXPECTED:
            raise NotImplementedError("assumption violated")
        return done

    def append(self, tokens: np.ndarray) -> None:
        """Reads a prompt: int [k] token ids."""
        tokens = np.ascontiguousarray(tokens, dtype=np.int32)
        if len(tokens) and not (tokens.min() >= 0 and tokens.max() < len(self.model.vocabulary)):
            raise ValueError("token id outside the vocabulary")
        nothing = np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.uint8)
        for i in range(0, len(tokens), CHUNK):
            part = tokens[i : i + CHUNK]
            self._run(self._code.general, part, len(part), *nothing)

    def decode(self, stop: np.ndarray, limit: int) -> np.ndarray:
        """Emits tokens until one with stop[token], at most `limit`; int32 [m]."""
        stops = np.where(np.asarray(stop, dtype=bool), STOP, 0).astype(np.uint8)
        flags = stops.copy()
        flags[self._image.decodable :] |= FOREIGN
        out = np.empty(min(limit, CHUNK), dtype=np.int32)
        chunks: list[np.ndarray] = []
        total = 0
        while total < limit:
            count = min(limit - total, CHUNK)
            if self.position < self._image.settled or flags[self._state.field("next")] & FOREIGN:
                done = self._run(self._code.general, None, 1, out, stops)
            else:
                done = self._run(self._code.special, None, count, out, flags)
            chunks.append(out[:done].copy())
            total += done
            if done and stop[out[done - 1]]:
                break
        return np.concatenate(chunks) if chunks else np.zeros(0, dtype=np.int32)
