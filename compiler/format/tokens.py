"""Token classes: what a token's name means, whether the model emits it, and what it does to a running program.

A name is `head` or `head.tail`; the head says the class and the place: `D2.17` is digit 17 at place 2. Everything that reads
or makes tokens reads this table: the assembler, the instance, the trace, `inspect`, and the checkpoint's validation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np

from .isa import TRAPS


class Kind(IntEnum):
    """What a token does; also how an executed step ended, which is the kind of its last token."""

    NONE = 0  # part of a prompt, or of no class
    DIGIT = 1
    SCRATCH = 2
    NEXT = 3
    JUMP = 4
    STDOUT = 5
    STDERR = 6
    HALT = 7
    TRAP = 8
    ENTRY = 9
    FAR = 10  # the digits of a far jump's distance but the last token


@dataclass(frozen=True)
class TokenClass:
    """One class of tokens.

    name: how its heads begin. meaning: for people; {} is the place. kind: what the trace takes it for.
    emitted: the model may emit it; otherwise only a prompt holds it. places: how many heads there are (`D0` ... `D7`), 0 for
    a head without a place. numbers: the tail is a number below this; None: a number, as many as the program has; 0: no
    number. names: the tails when they are words. ends: the token of place 0 (or without a place) ends its step.
    advance: what that token adds to the instruction pointer; entries set it. moves: each token adds deltas of its own to the
    instruction pointer and the frame base. behind: the class of the token that must stand right before it, and behind which
    nothing else may. stops: decoding stops. whole: its number is all of a value, no digit stands before it.
    """

    name: str
    meaning: str
    kind: Kind = Kind.NONE
    emitted: bool = False
    places: int = 0
    numbers: int | None = 0
    names: tuple[str, ...] = ()
    ends: bool = False
    advance: int = 0
    moves: bool = False
    behind: str = ""
    stops: bool = False
    whole: bool = False

    @property
    def heads(self) -> tuple[str, ...]:
        return tuple(f"{self.name}{p}" for p in range(self.places)) or (self.name,)


# In the order of their ids: first what the model may emit, then what only a prompt holds. CARRIES: quotients that a product
# may carry out of its low and its high word: 4 byte columns reach 1019, all 8 of an i64 product 2038.
CARRIES = (1024, 2048)
CLASSES = (
    TokenClass("D", "digit (byte) {} of a value, counted from the least significant; D0 commits it", Kind.DIGIT,
               emitted=True, places=8, numbers=256, ends=True, advance=1),
    TokenClass("S", "scratch digit {}, of a quotient", Kind.SCRATCH, emitted=True, places=8, numbers=256),
    TokenClass("Q0", "scratch: carry out of word 0 of a product", Kind.SCRATCH, emitted=True, numbers=CARRIES[0]),
    TokenClass("Q1", "scratch: carry out of word 1 of a product", Kind.SCRATCH, emitted=True, numbers=CARRIES[1]),
    TokenClass("N", "next: a step without a value", Kind.NEXT, emitted=True, ends=True, advance=1),
    TokenClass("H", "halt", Kind.HALT, emitted=True, ends=True, stops=True),
    TokenClass("T", "trap", Kind.TRAP, emitted=True, names=tuple(TRAPS), ends=True, stops=True),
    TokenClass("O", "byte written to stdout", Kind.STDOUT, emitted=True, numbers=256, ends=True, advance=1),
    TokenClass("E", "byte written to stderr", Kind.STDERR, emitted=True, numbers=256, ends=True, advance=1),
    TokenClass("J", "jump: moves the instruction pointer, and the frame base for calls and returns", Kind.JUMP,
               emitted=True, numbers=None, ends=True, moves=True),
    TokenClass("X", "far jump: the high digit of its distance", Kind.FAR, emitted=True, numbers=None, moves=True),
    TokenClass("Y", "far jump: the low digit of its distance, of a jump or branch", Kind.JUMP,
               emitted=True, numbers=None, ends=True, moves=True, behind="X"),
    TokenClass("Z", "far jump: the low digit of its distance, of a call or return", Kind.FAR,
               emitted=True, numbers=None, moves=True, behind="X"),
    TokenClass("F", "far jump: moves the frame base, of a call or return", Kind.JUMP,
               emitted=True, numbers=None, ends=True, moves=True, behind="Z"),
    TokenClass("W", "a whole value; commits it", Kind.DIGIT, emitted=True, numbers=None, ends=True, advance=1, whole=True),
    TokenClass("BOS", "begin of sequence"),
    TokenClass("I", "invocation of an exported function", Kind.ENTRY, numbers=None),
    TokenClass("P", "the program: section {} of a step, or all of it", places=32, numbers=None),
    TokenClass("C", "a constant, global or hidden register with its initial value", numbers=None),
    TokenClass("G", "begin of a data segment or of input bytes", numbers=None),
    TokenClass("A", "begin of a data segment: the lowest digit of its address, behind the others; from 256 on it is negative",
               numbers=512),
    TokenClass("B", "a byte of data or input", numbers=256),
)  # fmt: skip
# In place of the place of a digit: what the token says is all of a value.
WHOLE = -1
# Classes behind which only certain tokens may stand, numbered from 1.
_LEADS = {name: k for k, name in enumerate(sorted({c.behind for c in CLASSES if c.behind}), 1)}
_BY_HEAD = {head: (c, place) for c in CLASSES for place, head in enumerate(c.heads)}


@dataclass(frozen=True)
class Token:
    """A token's name, read. number: the digit, the value, the byte, the number of a jump, the index among its class's names, else
    0."""

    token_class: TokenClass
    place: int
    number: int

    @property
    def ends(self) -> bool:
        """It ends its step."""
        return self.token_class.ends and self.place == 0

    @property
    def advance(self) -> int:
        """What it adds to the instruction pointer, unless it is a jump or an entry."""
        return self.token_class.advance if self.place == 0 else 0


def head_of(name: str) -> str:
    return name.partition(".")[0]


def meaning(head: str) -> str:
    """What the tokens with this head are, "" when they are of no class."""
    if head not in _BY_HEAD:
        return ""
    token_class, place = _BY_HEAD[head]
    return token_class.meaning.format(place)


def read(name: str) -> Token | None:
    """None when the name belongs to no class: a transformer built by hand may call its tokens as it likes."""
    head, dot, tail = name.partition(".")
    if head not in _BY_HEAD:
        return None
    token_class, place = _BY_HEAD[head]
    if token_class.names:
        return Token(token_class, place, token_class.names.index(tail)) if tail in token_class.names else None
    if token_class.numbers == 0:
        return None if dot else Token(token_class, place, 0)
    # One name for each number: no signs, leading zeros or digits of other scripts; and none that is too long to be one.
    if not (tail.isascii() and tail.isdigit() and len(tail) < 11 and str(int(tail)) == tail):
        return None
    most = 2**32 if token_class.whole else 10**9 if token_class.numbers is None else token_class.numbers
    if int(tail) >= most:
        return None
    return Token(token_class, place, int(tail))


@dataclass(frozen=True)
class TokenRun:
    """Tokens of one head whose numbers follow each other. first: the first one, None where it is of no class (such a run is one
    token); at: its id; count: how many they are."""

    first: Token | None
    at: int
    count: int


def runs_of(names: Sequence[str]) -> list[TokenRun]:
    """A vocabulary as the longest runs there are, in the order of the ids: `read`, for many."""
    runs = []
    at = 0
    while at < len(names):
        first = read(names[at])
        stop = at + 1
        if first is not None:
            c, head, number = first.token_class, head_of(names[at]), first.number - at
            most = at - first.number + (len(c.names) or (2**32 if c.whole else 10**9 if c.numbers is None else c.numbers))
            limit = min(most, len(names))
            if c.names:
                while stop < limit and names[stop] == f"{head}.{c.names[number + stop]}":
                    stop += 1
            else:
                while stop < limit and names[stop] == f"{head}.{number + stop}":
                    stop += 1
        runs.append(TokenRun(first, at, stop - at))
        at = stop
    return runs


@dataclass(frozen=True)
class TokenTable:
    """What each token id means to a decoder; all arrays have one element per id.

    kind: uint8, `Kind`. place: int8, of digits and scratch digits; WHOLE of a whole value. value: int64, the digit, the value,
    the byte, the number of a jump or an entry, the index in `traps`. ip_delta: int64, what the token adds to the instruction
    pointer (ENTRY: what it sets it to). frame_delta: int64, what it adds to the frame base. ends: bool, the token ends its step.
    stops: bool, decoding stops. behind, leads: int8, what must stand right before the token, and what it is to the token behind
    it: the same number, 0 for most. kinds: those that a token is of. traps: names of trap kinds, as in isa.TRAPS. Nobody can
    write to `stops`.
    """

    names: Sequence[str]
    kind: np.ndarray
    place: np.ndarray
    value: np.ndarray
    ip_delta: np.ndarray
    frame_delta: np.ndarray
    ends: np.ndarray
    stops: np.ndarray
    behind: np.ndarray
    leads: np.ndarray
    kinds: frozenset[int]
    traps: tuple[str, ...] = tuple(TRAPS)

    @classmethod
    def build(
        cls, names: Sequence[str], jumps: Sequence[tuple[int, int]], entries: Sequence[tuple[str, int]]
    ) -> TokenTable:
        """names: the vocabulary. jumps: (ip delta, frame delta) of each token that has deltas of its own (J, X, Y, Z, F), in the
        order of ids; entries: (name, first row) of I.0, ... Raises ValueError when they are not as many as those tokens."""
        types = (np.uint8, np.int8, np.int64, np.int64, np.int64, np.bool_, np.bool_, np.int8, np.int8)
        columns = [np.zeros(len(names), dtype=t) for t in types]
        moved = 0
        kinds = set()
        for run in runs_of(names):
            kinds.add(int(run.first.token_class.kind if run.first else Kind.NONE))
            if run.first is None:
                continue
            c = run.first.token_class
            for column, value in zip(columns, _same(run.first), strict=True):
                column[run.at : run.at + run.count] = value
            _, _, values, ip, frame, *_ = (column[run.at : run.at + run.count] for column in columns)
            if c.kind != Kind.NONE:
                values[:] = np.arange(run.first.number, run.first.number + run.count)
            if c.moves:
                of_run = jumps[moved : moved + run.count]
                moved += run.count
                if len(of_run) < run.count:
                    raise ValueError("fewer jumps than tokens that jump")
                ip[:], frame[:] = np.array(of_run, dtype=np.int64).T
            elif c.kind == Kind.ENTRY:
                ip[:] = [entries[number][1] for number in values.tolist()]
        if moved < len(jumps):
            raise ValueError("more jumps than tokens that jump")
        table = cls(names, *columns, frozenset(kinds))  # type: ignore[arg-type, call-arg]
        table.stops.flags.writeable = False  # so an engine that is given it again need not look at it again
        return table

    def steps(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First and last positions of the complete steps that these tokens are."""
        ends = np.flatnonzero(self.ends[ids])
        return np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends, ends

    def values(self, ids: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """uint64: the values of the steps that begin at these positions, the last of which ends with the last token."""
        return np.add.reduceat(self.contribution[ids], starts) if len(starts) else np.zeros(0, np.uint64)

    @cached_property
    def contribution(self) -> np.ndarray:
        """uint64: what the token adds to the value of its step: digit v at place p is v * 256^p, a whole value itself."""
        kinds = (Kind.DIGIT, Kind.STDOUT, Kind.STDERR, Kind.TRAP)
        shift = np.where(self.kind == Kind.DIGIT, np.maximum(self.place, 0), 0).astype(np.uint64) * np.uint64(8)
        return np.where(np.isin(self.kind, kinds), self.value, 0).astype(np.uint64) << shift


def _same(token: Token) -> tuple[int, int, int, int, int, bool, bool, int, int]:
    """kind, place, value, ip delta, frame delta, ends, stops, behind, leads: what all tokens of its head have alike."""
    c, place = token.token_class, WHOLE if token.token_class.whole else token.place
    return (c.kind, place, 0, token.advance, 0, token.ends, c.stops, _LEADS.get(c.behind, 0), _LEADS.get(c.name, 0))
