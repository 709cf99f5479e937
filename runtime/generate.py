"""Greedy decoding of any transformer of this architecture, by token names."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from ..compiler.format.transformer import Transformer
from .engines import engine_class


def generate(
    transformer: Transformer, prompt: Sequence[str], limit: int, *, stop: Collection[str] = (), engine: str = "fast"
) -> list[str]:
    """The tokens that follow the transformer's prefix and the prompt: at most `limit`, the last one a stop token if
    one was emitted. engine: "fast" or "torch".

    Raises ValueError for a name that is no token, EnvelopeError when the engine is not exact for so long a sequence.
    """
    ids = {name: token for token, name in enumerate(transformer.vocabulary)}
    unknown = [name for name in (*prompt, *stop) if name not in ids]
    if unknown:
        raise ValueError(f"not in the vocabulary: {', '.join(unknown)}")
    decoder = engine_class(engine)(transformer)
    decoder.append(np.array([ids[name] for name in prompt], dtype=np.int32))
    stops = np.zeros(len(ids), dtype=bool)
    stops[[ids[name] for name in stop]] = True
    return [transformer.vocabulary[token] for token in decoder.decode(stops, limit)]
