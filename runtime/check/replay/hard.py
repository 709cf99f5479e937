"""Replay with hard attention: each lookup is one search in a hash table, a stripe of positions at a time (`hard_pass`).

A decoder needs token t before it can make token t + 1; a checker has them all. So each layer's matrices are applied to
many positions at once. Hard attention equals real softmax within the checkpoint's certificate; this shares no code with the fast
engine but what makes machine code of text.

Lookups must have the forms of `compiler.graph`: uniform; the latest, k = eps n - penalty; integer parabola keys
k = (2a, -a^2 + eps n - penalty); digits on a paraboloid with a floor. The key and the query of every position are checked to
have them.
"""

from __future__ import annotations

import numpy as np

from ....compiler.format.transformer import Transformer
from ...errors import ReplayError
from ...fast.certified import check_sums
from ..diff.native import NativeFunction
from . import hard_pass as p
from .choices import Choices
from .hard_code import Written

BLOCK = 1 << 14  # positions between two looks at what was chosen
BUCKETS, GROWTH = 1 << 10, 4  # of a store, at first, and how many times as many when it is full
MEMO = 1 << 17  # buckets of the memo, which is emptied when it is half full
FAULTS = {
    p.MIDDLE: "a query is in the middle between two integers",
    p.NO_PARABOLA: "keys are not on a parabola",
    p.NO_INTEGER: "a key or a digit is no integer",
    p.OUT_OF_RANGE: "a digit is out of range",
    p.NO_OWN: "what a query has of its own is not that of a paraboloid",
    p.NO_FLOOR: "the floor is not the first position",
    p.BAD_FLOOR: "the first position is no floor",
    p.NO_PARABOLOID: "keys are not on a paraboloid",
}


class HardAttention:
    """A model's layers and logits, with their lookups' memory of the sequence so far. Raises ReplayError for a head of another
    form."""

    def __init__(self, model: Transformer):
        if getattr(model, "float32_reads", False):
            raise ReplayError("reads rounded to float32: hard attention takes the one-file form only, use real softmax")
        self._model, self._choices, self._follow = model, Choices(model), NativeFunction(p.follow)
        written = Written(model)
        self._titles, self._arrays = written.titles, written.arrays()
        self._stores = np.array(written.stores, np.int64).reshape(-1, p.STORE_WIDTH)
        self._keys, self._stamps, self._values = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
        self._state = np.zeros(p.STATE_WIDTH, np.int64)
        self._make_room()
        self._extremes, self._embedding = np.zeros(1), _embedding(model)
        heights = model.width, written.height, written.height, 1
        self._x, self._y, self._h, self._z = (_aligned(rows * p.PITCH) for rows in heights)
        self._numbers = np.zeros((1 + len(self._titles)) * p.PITCH, np.int64)
        self._read = self._choices.read.astype(np.int64) * p.PITCH
        self._memo, self._buckets = np.empty((MEMO // 2) * len(self._read)), np.full(MEMO, -1)
        self._ids = np.empty(0, np.int64)
        self._living, self._wanted = np.zeros(written.height + 1, np.int64), np.zeros(len(self._arrays[1]), np.int64)
        self._state[[p.CODE_END, p.SLOTS, p.STORES]] = len(written.code), model.width, len(self._stores)
        self._state[[p.READ, p.MEMO_MASK]] = len(self._read), MEMO - 1

    def choices(self, tokens: np.ndarray, start: int, stop: int, first: int) -> np.ndarray:
        """tokens: int32, the whole sequence; those before `start` have been read. Reads up to `stop` and returns int64: the
        model's choice at each position from `first` on, start <= first <= stop <= start + BLOCK."""
        state, found = self._state, np.empty(stop - first, np.int64)
        if state[p.MEMO_COUNT] + stop - first > MEMO // 2 - 1:
            state[p.MEMO_COUNT], self._ids = 0, self._ids[:0]
            self._buckets.fill(-1)
        state[[p.AT, p.END, p.FROM, p.FIRST]] = start, stop, first, first
        while (ended := self._run(tokens, found)) == p.GROW:
            self._make_room()
        if ended == p.BEYOND:
            raise ReplayError("numbers of 2^300 or more: hard attention takes none, use real softmax")
        if ended != p.DONE:
            raise ReplayError(f"{self._titles[state[p.FAULT_AT]]}: {FAULTS[ended]}")
        check_sums(self._model, stop, float(self._extremes[0]))
        rows = self._memo.reshape(MEMO // 2, -1)[len(self._ids) : state[p.MEMO_COUNT]]
        self._ids = np.concatenate([self._ids, self._choices.of(rows)])
        return self._ids[found]

    def _run(self, tokens: np.ndarray, found: np.ndarray) -> int:
        return self._follow(
            self._state, *self._arrays, self._stores.reshape(-1), self._keys, self._stamps, self._values, self._extremes, tokens,
            *self._embedding, self._x, self._y, self._h, self._z, self._numbers, self._read, self._memo, self._buckets,
            self._living, self._wanted, found,
        )  # fmt: skip

    def _make_room(self) -> None:
        """All stores anew, side by side: those that are half full with more buckets, and those where keys collide more than they
        should with a hash that scatters them (at first neighbours stay neighbours, as programs ask for them)."""
        before, stores = self._stores.copy(), self._stores
        for store in stores:
            self._shape(store)
        sizes = (stores[:, p.MASK] + 1) * (stores[:, p.COMPONENTS] > 0)
        stores[:, p.BASE] = np.cumsum(sizes) - sizes
        widths = np.where(sizes, sizes, 1) * stores[:, p.SIZE]
        stores[:, p.VALUES] = np.cumsum(widths) - widths
        # Zeros that nobody touches take no memory.
        fresh = np.zeros(sizes.sum() + 1, np.int64), np.zeros(sizes.sum() + 1, np.int64), np.zeros(widths.sum() + 1)
        for old, new in zip(before, stores):
            if old[p.LIMIT]:
                self._move(old, new, *fresh)
        self._keys, self._stamps, self._values = fresh

    def _shape(self, store: np.ndarray) -> None:
        """How many buckets it is to have, and its hash."""
        if not store[p.COMPONENTS]:  # running sums
            store[[p.LIMIT, p.FACTOR]] = p.LANES, p.MIX
            return
        buckets = int(store[p.MASK]) + 1 if store[p.LIMIT] else BUCKETS
        if 2 * (store[p.COUNT] + p.LANES) > _limit(buckets, store):
            buckets *= GROWTH
        if not store[p.FACTOR]:
            store[[p.FACTOR, p.SHIFT]] = 1, 0
        elif store[p.FACTOR] == 1 and store[p.STEPS] > p.OFTEN * self._state[p.AT] + p.FEW:
            store[[p.FACTOR, p.SHIFT]] = p.MIX, 32
        store[[p.MASK, p.LIMIT]] = buckets - 1, _limit(buckets, store)

    def _move(self, old: np.ndarray, new: np.ndarray, keys: np.ndarray, stamps: np.ndarray, values: np.ndarray) -> None:
        """What is in a store, to where it is to stand."""
        count, size = (int(old[p.MASK]) + 1 if old[p.COMPONENTS] else 1), int(old[p.SIZE])
        old_values = self._values[old[p.VALUES] :][: count * size].reshape(count, size)
        buckets = int(new[p.MASK]) + 1 if new[p.COMPONENTS] else 1
        new_values = values[new[p.VALUES] :][: buckets * size].reshape(buckets, size)
        if not old[p.COMPONENTS]:
            new_values[:] = old_values
            return
        old_keys, old_stamps = (part[old[p.BASE] :][:count] for part in (self._keys, self._stamps))
        new_keys, new_stamps = (part[new[p.BASE] :][:buckets] for part in (keys, stamps))
        at = np.flatnonzero(old_keys)
        place = _places(((old_keys[at] * new[p.FACTOR]) >> new[p.SHIFT]) & (buckets - 1), buckets)
        all_at_once = slice(0, count)
        source, target = (all_at_once, all_at_once) if np.array_equal(at, place) else (at, place)
        new_keys[target], new_stamps[target], new_values[target] = old_keys[source], old_stamps[source], old_values[source]


def _limit(buckets: int, store: np.ndarray) -> int:
    """Keys for so many buckets. What is asked of a parabola is nearly always there; of digits it often is not, and is found
    missing at the next free bucket only."""
    return buckets * 7 // 8 if store[p.COMPONENTS] <= 2 else buckets // 2


def _aligned(size: int) -> np.ndarray:
    """Zeros, float64, that begin where a cache line does: no vector of eight lies in two."""
    room = np.zeros(size + 8)
    first = -(room.ctypes.data // 8) % 8
    return room[first : first + size]


def _places(wanted: np.ndarray, buckets: int) -> np.ndarray:
    """Where keys that want these buckets of an empty table come to lie: each in the next one that is free."""
    if (wanted[1:] > wanted[:-1]).all():
        return wanted
    place, owner = wanted.copy(), np.full(buckets, -1)
    left = np.arange(len(wanted))
    while len(left):
        free = left[owner[place[left]] < 0]
        owner[place[free]] = free  # the last one of those that want the same
        left = left[owner[place[left]] != left]
        place[left] = (place[left] + 1) & (buckets - 1)
    return place


def _embedding(model: Transformer) -> tuple[np.ndarray, ...]:
    at, columns, values = model.embed.parts
    positions = np.ascontiguousarray(model.positions, np.float64).reshape(-1)
    return at.astype(np.int64), columns.astype(np.int64) * p.PITCH, np.append(values, 0.0), positions
