"""Whether the parts of a checkpoint fit together: whatever reads a loaded `Model` may rely on what is checked here.

All functions raise ValueError with one line: what is wrong, and where.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .certificate import holds
from .isa import INPUTS, IS, SELDOM_TRAPS, Entry, Program
from .limits import FRAME_LIMIT, HIDDEN_LIMIT, HOST_WORDS, MEMORY_PAGES
from .tokens import CLASSES, Token, TokenRun, runs_of
from .transformer import Transformer
from .types import HIGH_HALF, LOW_HALF, is_asked
from .validate import validate

if TYPE_CHECKING:
    from .checkpoint import Model

WIDE = ("i64", "f64", "v128", LOW_HALF, HIGH_HALF)
# Loads and stores with which the host reaches exported memory, and loads of what is written into files, with the types of
# their entries.
GLOBAL = "global "  # stands before the name of an exported global, where the host asks for its value
HOST = {
    "i32.load": (("i32",), ("i32",)), "i32.load8_u": (("i32",), ("i32",)),
    "i32.store": (("i32", "i32"), ()), "i32.store8": (("i32", "i32"), ()),
    "hidden.load32": (("i32",), ("i32",) * HOST_WORDS),
}  # fmt: skip


def check(model: Model) -> None:
    """Everything about a model. A transformer without a program may have tokens and names as it likes."""
    check_transformer(model.transformer)
    program = model.program
    if program == Program((), {}, {}):
        _require(not (model.jumps or model.entries or model.inputs or model.texts), "a program's tokens without one")
        found = {run.first.token_class for run in runs_of(model.transformer.vocabulary) if run.first}
        _require(not any(c.moves or c.name == "I" for c in found), "jump or entry tokens without a program")
        return
    check_program(program)
    _check_vocabulary(model)
    _check_entries(model)
    for step in model.texts:
        _require(0 <= step < len(program.steps), f"text of step {step}: the program has {len(program.steps)} steps")


def _require(condition: object, message: str) -> None:
    if not condition:
        raise ValueError(message)


# -- the transformer --------------------------------------------------------------------------------------------------


def check_transformer(t: Transformer) -> None:
    """Names, prefix and probes fit the matrices, whose shapes fit each other."""
    vocab, width = t.embed.shape
    _require(vocab and width, "an empty embedding")
    _require(len(t.vocabulary) == vocab, f"{len(t.vocabulary)} token names for {vocab} tokens")
    _require(len(set(t.vocabulary)) == vocab, "vocabulary: two tokens of one name")
    _require(t.prefix.ndim == 1, "prompt.prefix is no list of token ids")
    if len(t.prefix):
        _require(t.prefix.min() >= 0 and t.prefix.max() < vocab, f"prompt.prefix: a token id outside 0 to {vocab - 1}")
    _require(len(t.slot_names) in (0, width), f"names.slots: {len(t.slot_names)} names for {width} residual slots")
    for index, y in enumerate(t.layers):
        counts = (("heads", y.head_names, len(y.q) // t.head_dim), ("neurons", y.neuron_names, len(y.gate)),
                  ("slots", y.slot_names, width))  # fmt: skip
        for what, names, count in counts:
            _require(len(names) == count, f"names.layers[{index}].{what}: {len(names)} names for {count}")
    for bound in t.certificate:
        _require(holds(bound), f"certificate: what it says of head {bound.head!r} cannot be")
    for name, (layer, slot) in t.probes.items():
        _require(0 <= layer <= len(t.layers) and 0 <= slot < width, f"probe {name!r}: no layer {layer}, slot {slot}")


# -- the step program -------------------------------------------------------------------------------------------------


def check_program(program: Program) -> None:
    """What `validate` leaves to others: sizes, names, and what the host has to know of entries and input areas."""
    validate(program)
    for function, reference in program.function_references.items():
        _require(reference in program.references, f"function_references: function {function} is {reference}")
    _check_memory(program)
    for name, entry in _all_entries(program):
        _check_entry(program, name, entry)


def _check_memory(program: Program) -> None:
    _require(program.hidden_bytes <= HIDDEN_LIMIT, f"hidden_bytes: {program.hidden_bytes}, at most {HIDDEN_LIMIT}")
    _require(program.memory_pages <= MEMORY_PAGES, f"memory_pages: {program.memory_pages}, at most {MEMORY_PAGES}")
    _require(
        program.memory_maximum <= MEMORY_PAGES, f"memory_maximum: {program.memory_maximum}, at most {MEMORY_PAGES}"
    )
    for name in program.inputs:
        _require(name in INPUTS, f"input {name!r}: there are {', '.join(INPUTS)}")


def _all_entries(program: Program) -> Iterator[tuple[str | None, Entry]]:
    """(name or operation, entry); None: the start function."""
    yield from program.entries.items()
    if program.start is not None:
        yield None, program.start
    yield from program.host.items()


def _check_entry(program: Program, key: str | None, entry: Entry) -> None:
    where = "the start function" if key is None else f"entry {key!r}"
    if key is not None and program.host.get(key) is entry:
        known = HOST.get(key)
        if key.startswith(GLOBAL):
            exported = program.exported_globals.get(key.removeprefix(GLOBAL))
            known = exported and ((), (exported[1],))
        elif key.startswith(IS):
            known = (("i32",), ("i32",))
        _require(known == (entry.params, entry.results), f"host access {key!r}")
    elif key is not None:
        _require(entry.name == key, f"{where}: its name is {entry.name!r}")
    unasked = [t for t in entry.params if is_asked(t) and f"{IS}{t}" not in program.host]
    _require(not unasked, f"{where}: nothing says whether a reference is a {unasked[:1]}")
    registers = {register for name in program.inputs for register in INPUTS[name]}
    _require(set(entry.registers) <= registers, f"{where}: a register that no input fills")


# -- tokens -----------------------------------------------------------------------------------------------------------


def _check_vocabulary(model: Model) -> None:
    """Every token is of a class; the classes stand in the order of the table, each whole and in the order of its numbers."""
    runs = []
    for run in runs_of(model.transformer.vocabulary):
        if run.first is None:
            raise ValueError(f"vocabulary: token {run.at}, {model.transformer.vocabulary[run.at]!r}, is of no class")
        runs.append((run.first, run))
    heads = _heads(runs)
    moving = sum(run.count for first, run in runs if first.token_class.moves)
    _require(moving == len(model.jumps), f"{len(model.jumps)} jumps, for {moving} tokens that jump")
    counts = {"I": len(model.entries)}
    order = [(c.name, place) for c in CLASSES for place in range(max(1, c.places))]
    _require([h for h in order if h in heads] == list(heads), "vocabulary: classes of tokens are not in their order")
    for c in CLASSES:
        if c.numbers is None and c.name in counts:
            found = heads.get((c.name, 0), 0)
            _require(found == counts[c.name], f"vocabulary: {found} tokens {c.name}, expected {counts[c.name]}")
    places = sum(name == "D" for name, _ in heads)
    _require(places in (4, 8), f"vocabulary: digits of {places} places, expected 4 or 8")
    wide = {t for _, e in _all_entries(model.program) for t in (*e.params, *e.results)} & set(WIDE)
    _require(places == 8 or not wide, "vocabulary: no digits for values of 64 bits")
    _check_rows(model, runs)
    for name in ("N", "H", "BOS", "B"):
        _require((name, 0) in heads, f"vocabulary: no tokens {name}")
    for number, (_, frame) in enumerate(model.jumps):
        _require(abs(frame) <= FRAME_LIMIT, f"jumps[{number}]: the frame moves by {frame} slots")


def _check_rows(model: Model, runs: Sequence[tuple[Token, TokenRun]]) -> None:
    """The prefix has the program in whole sections, one behind the other, all of one length: the steps and what is before."""
    places = [first.place if first.token_class.name == "P" else -1 for first, _ in runs]
    section = np.repeat(np.array(places, dtype=np.int64), [run.count for _, run in runs])
    found = section[model.transformer.prefix]
    at, rows = np.flatnonzero(found >= 0), np.count_nonzero(found == 0)
    whole = rows > len(model.program.step_at) and len(at) % rows == 0 and at[-1] - at[0] == len(at) - 1
    _require(
        whole and np.array_equal(found[at], np.repeat(np.arange(len(at) // rows), rows)),
        f"prompt.prefix: no whole sections of tokens P for {len(model.program.step_at)} rows and what stands before",
    )
    _require(set(found[at].tolist()) == set(section[section >= 0].tolist()), "vocabulary: tokens P of no section")


def _heads(runs: Sequence[tuple[Token, TokenRun]]) -> dict[tuple[str, int], int]:
    """(class, place) -> how many tokens, in the order of the ids."""
    heads: dict[tuple[str, int], int] = {}
    previous, behind = None, 0
    for first, run in runs:
        key = (first.token_class.name, first.place)
        _require(key == previous or key not in heads, f"vocabulary: tokens {key[0]} stand in two places")
        behind = behind if key == previous else 0
        in_order = first.number >= behind if first.token_class.whole else first.number == heads.get(key, 0)
        _require(in_order, f"vocabulary: token {run.at} is out of order")
        heads[key], behind = heads.get(key, 0) + run.count, first.number + run.count
        previous = key
    for c in CLASSES:
        whole = len(c.names) or c.numbers
        # Seldom traps have tokens in those programs only that can meet one.
        less = range(whole - len(SELDOM_TRAPS), whole + 1) if c.name == "T" and whole else (whole,)
        for place in range(max(1, c.places)):
            count = heads.get((c.name, place))
            _require(not whole or count is None or count in less, f"vocabulary: {count} tokens {c.name}, expected {whole}")
    return heads


def _check_entries(model: Model) -> None:
    """Each entry has a token, and each token an entry; input areas have theirs."""
    program = model.program
    row = program.row_of
    first = {row[e.entry]: name for name, e in _all_entries(program)}
    _require(len(first) == sum(1 for _ in _all_entries(program)), "two entries begin at one step")
    tokens = {step: name for name, step in model.entries}
    _require(len(tokens) == len(model.entries) and tokens.keys() == first.keys(), "entries: not those of the program")
    for name, entry in program.entries.items():
        found = tokens[row[entry.entry]]
        _require(found == name, f"entries: {found!r} is {name!r} in the program")
    _require(model.inputs.keys() == program.inputs.keys(), "inputs: not those of the program")
    segments = _count("G", model.transformer.vocabulary)
    for name, number in model.inputs.items():
        _require(number < segments, f"input {name!r}: there is no token G.{number}")


def _count(letter: str, vocabulary: Iterable[str]) -> int:
    return sum(name.startswith(f"{letter}.") for name in vocabulary)


__all__ = ["check", "check_program", "check_transformer"]
