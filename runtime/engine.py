"""What an engine is: it continues a token sequence greedily, and nothing else."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Engine(Protocol):
    """Decodes one growing sequence. `Engine(transformer, probe)`, a new one, has already read the checkpoint's prefix.

    position: number of tokens in the sequence so far.
    probed: values of the probe of that name (`Transformer.probes`) at the positions read so far, float64, in parts; whoever
        takes parts out of the list has them for himself. Empty without a probe.
    append(tokens): the prompt: int32 [k] token ids, read as they are.
    decode(stop, limit): emits argmax tokens (ties: lowest id) one at a time, each appended to the sequence, until one
        with stop[token] (bool [V]) has been emitted or `limit` tokens were; returns them, int32 or unsigned [m].
    total(table, tokens): some engines have it: the sum of table[token] over tokens, for an int64 table [V].
    """

    @property
    def position(self) -> int: ...

    @property
    def probed(self) -> list[np.ndarray]: ...

    def append(self, tokens: np.ndarray) -> None: ...

    def decode(self, stop: np.ndarray, limit: int) -> np.ndarray: ...
