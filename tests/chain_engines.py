"""Engines with chains made for what another engine has decoded, and how much of a sequence they decode."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import pytest

import wasm2xformer as w2x
from wasm2xformer.compiler.format.checkpoint import Model
from wasm2xformer.runtime import instance as instance_module
from wasm2xformer.runtime.fast import FastEngine, chained, chains, loaded_chains
from wasm2xformer.runtime.fast.chained import ALL, Chains, Wanted
from wasm2xformer.runtime.fast.image import ChainCode
from wasm2xformer.runtime.fast.jit import _SIGNATURE
from wasm2xformer.runtime.fast.samples import Sample

NEVER = 2**62


def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chains from the first token, and for what samples were in once; nothing is left of other tests' chains."""
    monkeypatch.setenv("WASM2XFORMER_CHAINS", "1")
    monkeypatch.setattr(chained, "LEAST", 0)
    monkeypatch.setattr(chained, "EARLY", 0)
    monkeypatch.setattr(chained, "OFTEN", 1)
    monkeypatch.setattr(chained, "TRIAL", NEVER)
    monkeypatch.setattr(instance_module, "MORE", 2)  # samples are blocks: many short ones, for chains of short sequences
    monkeypatch.setattr(loaded_chains, "_shared", OrderedDict())


def calls(*invocations: tuple) -> Callable[[w2x.Instance], list[np.ndarray]]:
    """What decodes the tokens of these calls, (name, arguments...), one after the other."""
    return lambda vm: [vm.invoke(name, *args).tokens for name, *args in invocations]


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
    before = engine._chains.samples.before
    engine._chains = Chains(lambda samples, wanted: None, lambda: code, lambda code: None, before=before)
    engine._chains.shared.due, engine._prepared = NEVER, None
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
    return chains.compile_chains(engine.model, probe, True, kept, wanted, engine._state.entries())


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
