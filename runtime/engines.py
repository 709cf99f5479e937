"""The engines by their names, and the one that takes another when it has to."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ..compiler.format.transformer import Transformer
from .engine import Engine
from .errors import MissingPackage, needing

if TYPE_CHECKING:
    from ..compiler.format.mixture import Mixture

ENGINES = ("fast", "torch", "hf")


def engine_class(name: str) -> type:
    """The engine of that name. Imported when asked for: torch takes longer to import than most programs take to run."""
    if name == "fast":
        from .fast import FastEngine

        return FastEngine
    if name == "torch":
        with needing("the torch engine", "torch"):
            from .torch_engine import TorchEngine

        return TorchEngine
    if name == "hf":
        with needing("the hf engine", "torch", "transformers", extra="hf"):
            from .hf_engine import HFEngine

        return HFEngine
    raise ValueError(f"no engine {name!r}; there are {', '.join(ENGINES)}")


def new_engine(name: str, transformer: Transformer, mixture: Mixture | None = None, **chosen: Any) -> Engine:
    """An engine that has read the prefix. name: see `Instance`. mixture: what "torch" and "hf" decode instead, as it is;
    `transformer` is then its experts joined."""
    if name == "auto":
        return AutoEngine(transformer, mixture, **chosen)
    if mixture is None or name == "fast":
        return engine_class(name)(transformer, **chosen)
    if name == "torch":
        with needing("the torch engine", "torch"):
            from .mixture_engine import MixtureEngine

        return MixtureEngine(mixture, **chosen)
    return engine_class(name)(mixture, **chosen)


class AutoEngine:
    """Engine: "fast" as long as that can follow a checkpoint. Then "torch", which reads what was read and goes on; where torch is
    not installed, what "fast" raises."""

    def __init__(self, model: Transformer, mixture: Mixture | None = None, **chosen: Any):
        from .fast.interface import Refused

        self._model, self._mixture, self._chosen = model, mixture, chosen
        try:
            self._engine: Engine = engine_class("fast")(model, **chosen)
        except (Refused, NotImplementedError) as refused:
            self._engine = self._torch(refused)

    def _torch(self, refused: Exception) -> Engine:
        try:
            engine_class("torch")
        except MissingPackage:
            raise refused from None
        return new_engine("torch", self._model, self._mixture, **self._chosen)

    @property
    def name(self) -> str:
        return "fast" if isinstance(self._engine, engine_class("fast")) else "torch"

    @property
    def position(self) -> int:
        return self._engine.position

    @property
    def probed(self) -> list[np.ndarray]:
        return self._engine.probed

    def append(self, tokens: np.ndarray) -> None:
        before = self.position
        try:
            self._engine.append(tokens)
        except NotImplementedError as unfollowed:
            done = self._fall_back(unfollowed, before)
            self._engine.append(tokens[len(done) :])

    def decode(self, stop: np.ndarray, limit: int) -> np.ndarray:
        before = self.position
        try:
            return self._engine.decode(stop, limit)
        except NotImplementedError as unfollowed:
            done = self._fall_back(unfollowed, before)
        if len(done) == limit or (len(done) and stop[done[-1]]):
            return done
        return np.concatenate([done, self._engine.decode(stop, limit - len(done))])

    def _fall_back(self, unfollowed: NotImplementedError, before: int) -> np.ndarray:
        """From now on "torch". Returns what "fast" had read or decoded behind the position `before`."""
        from .fast.engine import Unfollowed

        if not isinstance(unfollowed, Unfollowed) or unfollowed.tokens is None:
            raise unfollowed
        read = np.concatenate([np.zeros(0, np.int32), *unfollowed.tokens])
        unread = len(self._model.prefix)
        torch = self._torch(unfollowed)
        warnings.warn(
            f"the fast engine cannot follow this checkpoint at token {unread + len(read):,}; "
            "from there on the torch engine decodes, which is slower",
            FellBack,
            stacklevel=3,
        )
        self._engine = torch
        self._engine.append(read)
        if probed := self._engine.probed:  # what has been taken out by now stays out
            last = np.concatenate(probed)
            probed[:] = [last[len(last) - unfollowed.probed :]]
        return read[before - unread :]


class FellBack(RuntimeWarning):
    """Another engine goes on than the one that began."""
