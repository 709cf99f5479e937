"""Whole sequences: which calls a list of tokens holds. What `prompt` wrote and a model continued becomes runs again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..compiler.format.checkpoint import Model
from ..compiler.format.isa import Entry
from ..compiler.format.tokens import Kind, TokenTable
from ..compiler.format.types import ValType, halved
from .bit_patterns import decode as value_of
from .bit_patterns import fits, values_of
from .errors import ArgumentError, DecodingError
from .results import Results, Run
from .trace import Trace, decode, table_of

HALT = "H"


@dataclass(frozen=True)
class ReadCall:
    """One call as its tokens tell it.

    name: of the exported function; "start function", or the operation of an access of the host. arguments: as `invoke` takes
    them. results: their types. prompt: how many tokens the host supplied. trace: its executed steps. run: what it did; None
    where the tokens end before the call does, or are no run of the program (`trace.fault`).
    """

    name: str
    arguments: list[Any]
    results: tuple[ValType, ...]
    prompt: int
    trace: Trace
    run: Run | None

    @property
    def decoded(self) -> int:
        """How many tokens the model supplied."""
        return len(self.trace.tokens) - self.prompt


def call_of(model: Model, name: str, arguments: list[Any], run: Run) -> ReadCall:
    """A call of an exported function that an instance has just made."""
    trace = decode(np.concatenate([run.prompt, run.tokens]), table_of(model), model.program)
    return ReadCall(name, arguments, model.program.entries[name].results, len(run.prompt), trace, run)


def token_ids(model: Model, words: Sequence[str]) -> np.ndarray:
    """int32 [n]: each word is the name of a token or its id. Raises ArgumentError for the first that is neither."""
    ids = {name: token for token, name in enumerate(model.transformer.vocabulary)}
    found = np.empty(len(words), np.int32)
    for k, word in enumerate(words):
        token = ids.get(word)
        if token is None and word.isascii() and word.isdigit() and len(word) < 10 and int(word) < len(ids):
            token = int(word)
        if token is None:
            shown = word if len(word) <= 40 else f"{word[:40]}..."
            raise ArgumentError(
                f"token {k + 1}, {shown!r}, is neither the name of a token nor an id below {len(ids):,}"
            )
        found[k] = token
    return found


def read_calls(model: Model, ids: np.ndarray) -> Iterator[ReadCall]:
    """The calls that these tokens are, in their order. ids: int32 [n]; the checkpoint's prefix may stand in front, and what
    fills a batch up (halts) at both ends. Raises ArgumentError where something else stands between calls, or no call does;
    DecodingError where a call halts without its results."""
    table, start = table_of(model), _behind_prefix(model, ids)
    entries = dict(_entries(model))
    found = False
    while start < len(ids):
        if found and (ids[start:] == model.transformer.vocabulary.index(HALT)).all():
            return
        first = _entry_position(table, ids, start)
        stops = np.flatnonzero(table.stops[ids[first:]])
        end = first + int(stops[0]) + 1 if len(stops) else len(ids)
        name, entry = entries[model.entries[table.value[ids[first]]][1]]
        yield _call(model, table, name, entry, ids[start:end], first - start)
        found, start = True, end
    if not found:
        raise ArgumentError("no call: there is no entry token I.k among these tokens")


def _behind_prefix(model: Model, ids: np.ndarray) -> int:
    """Where the first call may begin."""
    names, prefix = model.transformer.vocabulary, model.transformer.prefix
    at = 0
    while at < len(ids) and names[ids[at]] == HALT:
        at += 1
    if at == len(ids) or not len(prefix) or ids[at] != prefix[0]:
        return at
    given = ids[at : at + len(prefix)]
    same = given == prefix[: len(given)]
    if not same.all() or len(given) < len(prefix):
        where = int(np.argmin(same)) if not same.all() else len(given)
        raise ArgumentError(f"token {at + where + 1}: the tokens begin with another prefix than this checkpoint's")
    return at + len(prefix)


def _entries(model: Model) -> Iterator[tuple[int, tuple[str, Entry]]]:
    """(first row, (name, entry))"""
    program = model.program
    row = program.row_of
    yield from ((row[e.entry], (name, e)) for name, e in (*program.entries.items(), *program.host.items()))
    if program.start is not None:
        yield row[program.start.entry], ("start function", program.start)


def _entry_position(table: TokenTable, ids: np.ndarray, start: int) -> int:
    """Of the next call's entry token. Before it stand only input bytes."""
    kinds = table.kind[ids[start:]]
    entry = np.flatnonzero(kinds == Kind.ENTRY)
    first = start + int(entry[0]) if len(entry) else len(ids)
    between = np.flatnonzero(kinds[: first - start] != Kind.NONE)
    if len(between) or first == len(ids):
        at = start + (int(between[0]) if len(between) else 0)
        raise ArgumentError(
            f"token {at + 1}, {table.names[ids[at]]!r}: a call begins with input bytes or its entry token I.k"
        )
    return first


def _call(model: Model, table: TokenTable, name: str, entry: Entry, ids: np.ndarray, first: int) -> ReadCall:
    """ids: of this call alone; first: position of its entry token."""
    count = len(entry.registers) + len(halved(entry.params))
    starts, ends = table.steps(ids[first + 1 :])
    if count and (len(ends) < count or (table.kind[ids[first + 1 :][ends[:count]]] != Kind.DIGIT).any()):
        raise ArgumentError(f"{name}: the tokens end before its {count} arguments and registers do")
    prompt_end = first + 1 + (int(ends[count - 1]) + 1 if count else 0)
    slots = table.values(ids[first + 1 : prompt_end], starts[:count]).tolist()[len(entry.registers) :]
    bits = values_of(entry.params, slots)
    functions = model.program.function_references
    for type_, value in zip(entry.params, bits):
        if not fits(type_, value):
            raise ArgumentError(f"{name}: an argument, {value}, has more digits than {type_}")
    arguments = [value_of(type_, value, functions) for type_, value in zip(entry.params, bits)]
    trace = decode(ids, table, model.program)
    run = None
    if trace.outcome != "unfinished" and trace.fault is None:
        run = Results(model, table).run(entry, name, ids[:prompt_end], [ids[prompt_end:]])
    return ReadCall(name, arguments, entry.results, prompt_end, trace, run)


def fault_of(call: ReadCall) -> DecodingError | None:
    """Why its tokens are no run of the program; None when they are one, or the beginning of one."""
    fault = call.trace.fault
    if fault is None:
        return None
    token = call.trace.table.names[call.trace.tokens[fault.token]]
    return DecodingError(f"{call.name}: token {fault.token + 1} of this call, {token}: {fault.message}")
