"""What an engine is: it continues a token sequence greedily, and nothing else."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Engine(Protocol):
    """Decodes one growing sequence. A new engine has already read the checkpoint's prefix.

    position: number of tokens in the sequence so far.
    append(tokens): the prompt: int32 [k] token ids, read as they are.
    decode(stop, limit): emits argmax tokens (ties: lowest id) one at a time, each appended to the sequence, until one
        with stop[token] (bool [V]) has been emitted or `limit` tokens were; returns them, int32 [m].
    probe(name): float64 [m + k...]: the probe's value at every position since the last call of `probe_start()`.
    """

    position: int

    def append(self, tokens: np.ndarray) -> None: ...

    def decode(self, stop: np.ndarray, limit: int) -> np.ndarray: ...
