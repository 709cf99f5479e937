"""A readable listing of a step program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from .isa import Entry, Program, Slot, Step
from .printable import printable


def show(program: Program, texts: Mapping[int, str] | None = None) -> str:
    """One line per step: number, operation, operands, destination, targets, and what it stands for. "else": in the row of the
    branch before it.

    Operands: s3 frame slot, g0 global, #42 constant, others are hidden registers. texts: by step, the WASM instruction
    that it stands for; without it the indices of function and instruction must do.
    """
    return "\n".join(printable(line) for line in _lines(program, texts or {})) + "\n"


def _lines(program: Program, texts: Mapping[int, str]) -> Iterator[str]:
    headings: dict[int, list[str]] = {}
    names = {index: function.name for index, function in program.functions.items()}
    for function in program.functions.values():
        kind = "routine" if function.internal else "function"
        signature = f"({' '.join(function.type.params)}) -> ({' '.join(function.type.results)})"
        heading = f"{kind} {function.name} {signature}, {function.frame_size} slots"
        headings.setdefault(function.entry, []).append(heading)
    for entry in program.entries.values():
        headings.setdefault(entry.entry, []).append(_entry_heading("entry", entry))
    if program.start is not None:
        headings.setdefault(program.start.entry, []).append(_entry_heading("start", program.start))
    for entry in program.host.values():
        headings.setdefault(entry.entry, []).append(_entry_heading("host", entry))
    targets = {target for step in program.steps for target in (step.target, *step.targets) if target is not None}

    for at, step in enumerate(program.steps):
        for heading in headings.get(at, ()):
            if at:
                yield ""
            yield heading
        mark = ">" if at in targets else " "
        line = f"{mark}{at:6}  {_text(step, names)}"
        note = texts.get(at) or _note(step)
        yield f"{line:<56}; {note}" if note else line


def show_steps(steps: Sequence[Step], labels: Mapping[int, int], names: Mapping[int, str]) -> Iterator[str]:
    """One line per step of a function whose targets are labels. labels: label -> index of the step it marks."""
    marks: dict[int, list[int]] = {}
    for label in {label for step in steps for label in (step.target, *step.targets) if label is not None}:
        marks.setdefault(labels[label], []).append(label)
    for at, step in enumerate(steps):
        mark = ",".join(f"L{label}" for label in sorted(marks.get(at, ())))
        line = f"{mark:>6}{at:6}  {_text(step, names, 'L')}"
        note = _note(step)
        yield f"{line:<62}; {note}" if note else line


def _entry_heading(kind: str, entry: Entry) -> str:
    registers = "".join(f" {register}" for register in entry.registers)
    return f"{kind} {entry.name} ({' '.join(entry.params)}) -> ({' '.join(entry.results)}){registers}"


def slot_text(slot: Slot) -> str:
    """s3, g0, #42 or a hidden register's name."""
    prefix = {"frame": "s", "global": "g", "const": "#", "hidden": ""}[slot.kind]
    return f"{prefix}{slot.index}"


def _text(step: Step, names: Mapping[int, str], prefix: str = "") -> str:
    operands = [slot_text(slot) for slot in (step.a, step.b, step.c, step.d) if slot is not None]
    if step.trap:
        operands.append(step.trap)
    if step.callee is not None:
        operands.append(names.get(step.callee, str(step.callee)))
    if step.type is not None:
        operands.append(f"({' '.join(step.type.params)}) -> ({' '.join(step.type.results)})")
    if step.operation.calls:
        operands.append(f"frame+{step.imm}")
    elif step.imm:
        operands.append(f"offset={step.imm}")
    text = f"{step.op} {', '.join(operands)}"
    if step.targets:
        text += f" -> {' '.join(f'{prefix}{target}' for target in step.targets)}"
    if step.target is not None:
        text += f" -> {prefix}{step.target}"
    if step.dest is not None:
        text = f"{slot_text(step.dest)} = {text}"
    return f"else {text}".rstrip() if step.joined else text.rstrip()


def _note(step: Step) -> str:
    site = step.site
    return f"{site.function}:{site.instruction} {site.record}" if site else ""
