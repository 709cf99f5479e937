"""The source as the page shows it: WAT, a line for each instruction, and which steps stand for which line."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from ...compiler.format.checkpoint import Model
from ...compiler.format.printable import printable
from ...compiler.wasm.module import BLOCKS, Instr, Module
from ...compiler.wasm.source import Source
from ..trace import location
from .source_lines import SourceLines, source_lines


def listing(model: Model, source: Source | None, texts: Mapping[str, str]) -> dict[str, Any]:
    """functions: those that steps stand for, each with its name, parameters, locals and lines
    [instruction, offset, depth, text, file, line]; file: index in `files` (-1: not known). texts: see `page_data`.

    Without a source (a checkpoint is all there is) the lines are the instructions that steps stand for.
    """
    files: list[str] = []
    functions = _of_texts(model) if source is None else _of_module(model, source, files)
    shown = [{"name": printable(f), "lines": printable(texts.get(f, ""), lines=True).split("\n")} for f in files]
    return {"functions": functions, "files": shown, "whole": source is not None}


def _of_module(model: Model, source: Source, files: list[str]) -> list[dict[str, Any]]:
    used = sorted({step.site.function for step in model.program.steps if step.site is not None})
    places = source_lines(source.wasm)
    return [_function(index, source.module, places, files) for index in used]


def _function(index: int, module: Module, places: SourceLines, files: list[str]) -> dict[str, Any]:
    f = module.functions[index]
    lines, depth, place = [], 1, (-1, 0)
    for number, instruction in enumerate(f.body):
        if instruction.name in ("end", "else"):
            depth -= 1
        if (found := places.at(instruction.offset)) is not None:
            if found[0] not in files:
                files.append(found[0])
            place = files.index(found[0]), found[1]
        if not (instruction.name == "end" and depth == 0):
            lines.append([number, instruction.offset, max(depth, 0), instruction_text(instruction, module), *place])
        if instruction.name in (*BLOCKS, "else"):
            depth += 1
    return {
        "index": index,
        "name": printable(f.name or f"func[{index}]"),
        "params": list(f.type.params),
        "locals": list(f.locals),
        "results": list(f.type.results),
        "lines": lines,
    }


def instruction_text(instruction: Instr, module: Module) -> str:
    """As WAT has it, with the names of functions."""
    name, args = instruction.name, instruction.args
    if name in BLOCKS:
        type_ = args[0]
        parts = [
            f"({word} {' '.join(types)})"
            for word, types in (("param", type_.params), ("result", type_.results))
            if types
        ]
        return " ".join([name, *parts])
    if name in ("call", "ref.func"):
        return printable(f"{name} ${module.functions[args[0]].name or args[0]}")
    if name == "br_table":
        return " ".join([name, *map(str, args[0]), str(args[1])])
    if name in ("f32.const", "f64.const"):
        form, bits = ("<f", "<I") if name == "f32.const" else ("<d", "<Q")
        return f"{name} {struct.unpack(form, struct.pack(bits, args[0]))[0]!r}"
    if ".load" in name or ".store" in name:
        return f"{name} offset={args[1]}" if args[1] else name
    return " ".join([name, *(str(a) for a in args if isinstance(a, (int, str)))])


def _of_texts(model: Model) -> list[dict[str, Any]]:
    found: dict[int, dict[int, list[Any]]] = {}
    names: dict[int, str] = {}
    for index, step in enumerate(model.program.steps):
        if step.site is not None and index in model.texts:
            where = location(model.program, model.texts, index)
            names[step.site.function] = where.function
            line = [step.site.instruction, where.offset or 0, 1, printable(where.instruction), -1, 0]
            found.setdefault(step.site.function, {})[step.site.instruction] = line
    types = {f.index: f.type for f in model.program.functions.values()}
    return [
        {
            "index": f,
            "name": printable(names[f]),
            "params": list(types[f].params) if f in types else [],
            "locals": [],
            "results": list(types[f].results) if f in types else [],
            "lines": [lines[i] for i in sorted(lines)],
        }
        for f, lines in sorted(found.items())
    ]


__all__ = ["instruction_text", "listing"]
