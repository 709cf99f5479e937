"""Engines with chains made for what another engine has decoded, and how much of a sequence they decode."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import wasm2xformer as w2x
from wasm2xformer.compiler.format.checkpoint import Model
from wasm2xformer.runtime.fast import FastEngine, chains
from wasm2xformer.runtime.fast.chained import ALL, Chains, Sample, Wanted
from wasm2xformer.runtime.fast.image import ChainCode
from wasm2xformer.runtime.fast.jit import _SIGNATURE

NEVER = 2**62


class Counted:
    """Counts what `special` of an engine decodes; the rest is decoded by chains."""

    def __init__(self, engine: FastEngine):
        self.tokens = 0
        real = engine._code.special

        def special(*arguments) -> int:
            done = real(*arguments)
            self.tokens += done
            return done

        engine._code.special = _SIGNATURE(special)


def instance(model: Model, code: ChainCode | None, **world) -> tuple[w2x.Instance, Counted]:
    """An instance whose engine has these chains and makes no others."""
    vm = w2x.Instance(model, **world)
    engine = vm._engine
    assert isinstance(engine, FastEngine)
    engine._chains = Chains(lambda samples, wanted: None, lambda: code, lambda code: None)
    engine._chains.shared.due = NEVER
    return vm, Counted(engine)


def chains_for(
    vm: w2x.Instance,
    probe: str | None = None,
    samples: list[Sample] | None = None,
    wanted: Wanted = Wanted(ALL, 1, quick=False, part=0.0),  # noqa: B008 (frozen)
) -> ChainCode | None:
    """Chains for what an instance has decoded so far, or for these samples of it."""
    engine = vm._engine
    assert isinstance(engine, FastEngine)
    kept = engine._chains.samples.kept if samples is None else samples
    return chains.compile_chains(engine.model, probe, True, kept, wanted)


def compared(
    model: Model,
    session: Callable[[w2x.Instance], list[np.ndarray]],
    trained: Callable | None = None,
    quick: bool = False,
) -> tuple[np.ndarray, float]:
    """The tokens of a session, which are the same with chains as without, and the part of them that chains decode.

    trained: the session for which the chains are made, by default the same one.
    """
    plain, _ = instance(model, None)
    expected = np.concatenate(session(plain))
    if trained is not None:
        plain, _ = instance(model, None)
        trained(plain)
    code = chains_for(plain, wanted=Wanted(ALL, 1, quick, part=0.0))
    assert code is not None
    chained, special = instance(model, code)
    got = np.concatenate(session(chained))
    np.testing.assert_array_equal(got, expected)
    assert getattr(chained._engine, "trusted", True) == getattr(plain._engine, "trusted", True)
    return got, 1 - special.tokens / len(got)
