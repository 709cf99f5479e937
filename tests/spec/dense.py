"""What the fast engine decoded, checked on the dense one: real softmax must choose the same token at every position."""

from __future__ import annotations

import numpy as np
import torch

from wasm2xformer import Model, Run
from wasm2xformer.compiler.format.errors import EnvelopeError
from wasm2xformer.runtime.torch_engine import TorchEngine

BLOCK = 256  # positions in one forward pass


class Skipped(Exception):
    """This run is not checked on the dense engine; the message says why. What the fast engine did still counts."""


class DenseCheck:
    """Follows an instance with the dense engine, teacher-forced: the tokens are given, and compared with the argmax.

    limit: longest run that is followed. writes: runs change state, so that none can be left out.
    """

    def __init__(self, model: Model, limit: int, started: Run | None, writes: bool):
        self.model, self.limit, self.writes = model, limit, writes
        self.engine: TorchEngine | None = None
        self.lost = ""
        if started is not None:
            self._try(started)

    def follow(self, run: Run) -> None:
        """Raises AssertionError at the first position that differs, Skipped."""
        if not self.lost:
            self._try(run)
        if self.lost:
            reason, self.lost = self.lost, self.lost if self.writes else ""
            raise Skipped(reason)

    def _try(self, run: Run) -> None:
        tokens = np.concatenate([run.prompt, run.tokens])
        if len(tokens) > self.limit:
            self.lost = f"a trace of more than {self.limit} tokens"
            return
        try:
            self._check(tokens, len(run.prompt))
        except EnvelopeError:
            # A program that keeps nothing from one call to the next can as well go on in a new sequence.
            self.engine = None
            if self.writes:
                self.lost = "a sequence that is too long for real softmax"
                return
            self._check(tokens, len(run.prompt))

    def _check(self, tokens: np.ndarray, prompt: int) -> None:
        if self.engine is None:
            self.engine = TorchEngine(self.model.transformer)
        for start in range(0, len(tokens), BLOCK):
            part = tokens[start : start + BLOCK + 1]
            chosen = torch.argmax(self.engine.forward(part[:BLOCK]), dim=1).numpy()
            # Position i chooses token i + 1; the prompt's tokens are not the model's choice.
            first = max(0, prompt - 1 - start)
            differs = np.flatnonzero(chosen[first : len(part) - 1] != part[first + 1 :])
            if len(differs):
                at = first + int(differs[0])
                dense, fast = (self.model.transformer.vocabulary[t] for t in (chosen[at], part[at + 1]))
                raise AssertionError(f"token {start + at + 1}: the dense engine says {dense}, the fast one {fast}")
