"""What a command is given, a checkpoint or a program, and the calls to make."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...compiler.format.files import read_file
from .options import Call
from .output import complain
from .progress import working
from .streams import decoded

if TYPE_CHECKING:
    from ...compiler.format.checkpoint import Model
    from ...compiler.options import CompileOptions
    from ...compiler.wasm.module import Module
    from ...compiler.wasm.source import Source
    from ..allocators import Types
    from .script import Script


def is_checkpoint(path: str) -> bool:
    """By its name or its first bytes: safetensors begins with the length of a JSON header, then the header. A folder by what is
    in it."""
    if os.path.isfile(os.path.join(path, "wasm2xformer.json")):
        return True
    if path.endswith(".safetensors"):
        return True
    if not os.path.isfile(path):  # what is read from a pipe is gone
        return False
    try:
        with open(path, "rb") as file:
            start = file.read(9)
    except OSError:
        return False
    return len(start) == 9 and start[8:] == b"{" and start[:1] not in b"(; \t\r\n"


def load_source(path: str) -> Source:
    """Loads a program; for C the command that compiles it is shown."""
    _check_name(path)
    from ...compiler.wasm.c import compile_c
    from ...compiler.wasm.source import load, load_file

    if not path.endswith(".c") or not os.path.isfile(path):
        return load_file(path)
    return load(compile_c(Path(path), complain))


def _check_name(path: str) -> None:
    if not path:
        raise click.UsageError("the name of the file is empty")


def load_model(path: str) -> Model:
    from ..loading import load

    _check_name(path)
    if path.endswith((".wat", ".wasm", ".c")):
        raise click.UsageError(f"{path} is a program, not a checkpoint; `wasm2xformer {path} -o MODEL` makes one")
    return load(path)


def compile_model(source: Source, exports: Sequence[str], stock: bool = False, **compiling: Any) -> Model:
    """stock: in the form of a folder."""
    from ...compiler.compile import compile_with

    return in_form(compile_with(source, compile_options(source, exports, **compiling)), stock)


def in_form(model: Model, stock: bool) -> Model:
    """As it is, or in the form of a folder."""
    if not stock:
        return model
    from ...compiler.stock import in_stock_form

    return in_stock_form(model)


def compile_options(
    source: Source, exports: Sequence[str], libraries: Sequence[str], aliases: Sequence[str], max_memory: int | None,
    opt_level: str, unknown_imports_trap: bool, float_routines: bool | None = None,
    division_routines: bool | None = None,
) -> CompileOptions:  # fmt: skip
    """The options of the command line as one value; libraries are loaded."""
    from ...compiler.options import CompileOptions

    provided = load_libraries(libraries, aliases, source)
    return CompileOptions(
        int(opt_level), exports or None, provided, max_memory, unknown_imports_trap, float_routines, division_routines
    )


def load_libraries(pairs: Sequence[str], aliases: Sequence[str], source: Source) -> dict[str, str | bytes]:
    """The modules of --library NAME=FILE, by name, and those that --import asks for."""
    from ...compiler.format.errors import CompileError, Reason
    from ...compiler.link.aliases import aliases as passing_on

    names = _names_of_imports(aliases, source.module)
    modules: dict[str, str | bytes] = {**passing_on(source.module, names)}
    for pair in pairs:
        name, _, path = pair.partition("=")
        name = decoded(name)
        if not path:
            raise click.UsageError(f"--library {pair}: NAME=FILE expected")
        if name in modules:
            raise click.UsageError(f"--library {pair}: there is another for {name} already, or --import names it")
        try:
            modules[name] = load_source(path).wasm
        except CompileError as error:
            raise CompileError([Reason(f"library {name}: {reason}") for reason in error.reasons]) from None
    return modules


def _names_of_imports(texts: Sequence[str], module: Module) -> dict[str, str]:
    """What --import M.N=MODULE.NAME and --import SCRIPT say, by M.N; single names before the script's."""
    found: dict[str, str] = {}
    for text in texts:
        if text.endswith((".js", ".mjs", ".cjs")) and "=" not in text:
            found = _imports_in_script(text, module) | found
        elif re.fullmatch(r"[^=]+\.[^=]+=[^=]+\.[^=]+", text):
            own, _, meant = text.partition("=")
            found[decoded(own)] = decoded(meant)
        else:
            raise click.UsageError(f"--import {text}: M.N=MODULE.NAME, or a script of Emscripten (.js), expected")
    return found


def _imports_in_script(path: str, module: Module) -> dict[str, str]:
    from ...compiler.format.errors import CompileError, Reason
    from ...compiler.link.glue import imports_in

    try:
        return imports_in(read_file(path).decode(errors="replace"), module)
    except CompileError as error:
        raise CompileError([Reason(f"--import {path}: {reason}") for reason in error.reasons]) from None


def default_calls(module: Module) -> list[Call]:
    """`_start` if there is one; otherwise the user must say, and is told what there is."""
    _require_start(exported_types(module))
    return [("_start", [])]


def exported_types(module: Module) -> Types:
    """Parameters and results of the exported functions, by name."""
    functions = {e.name: module.functions[e.index].type for e in module.exports if e.kind == "func"}
    return {name: (t.params, t.results) for name, t in functions.items()}


def _require_start(functions: Types) -> None:
    if "_start" not in functions:
        shown = [f"{name}({', '.join(p)}) -> ({', '.join(r)})" for name, (p, r) in functions.items()]
        there_are = "; ".join(shown) or "no exported functions"
        raise click.UsageError(f"say what to call with --invoke NAME ARG...; there are: {there_are}")


def model_and_calls(
    path: str, calls: list[Call], stock: bool = False, **compiling: Any
) -> tuple[Model, list[Call]]:  # fmt: skip
    """A checkpoint, or a program compiled in memory for these calls; and the calls, `_start` if there are none. stock: in the
    form of a folder."""
    if is_checkpoint(path):
        chosen = ("libraries", "aliases", "max_memory", "unknown_imports_trap")
        either = ("float_routines", "division_routines")
        if any(compiling.get(name) for name in chosen) or any(compiling.get(name) is not None for name in either):
            options = "--library, --import, --max-memory, --unknown-imports-trap, --float-... and --division-routines or -steps"
            raise click.UsageError(f"{path} is compiled already: {options} are for programs")
        model = in_form(load_model(path), stock)
        if not calls:
            _require_start({name: (e.params, e.results) for name, e in model.program.entries.items()})
        return model, calls or [("_start", [])]
    source = load_source(path)
    calls = calls or default_calls(source.module)
    with working(f"compiling {path}"):
        return compile_model(source, [name for name, _ in calls], stock, **compiling), calls


def model_and_script(
    path: str, calls: list[Call], script: str | None, exports: Sequence[str], stock: bool = False, **compiling: Any
) -> tuple[Model, list[Call], Script | None]:
    """As `model_and_calls`, and the script. exports: further functions that a program is compiled for."""
    if script is None and not exports:
        return *model_and_calls(path, calls, stock, **compiling), None
    if calls and script is not None:
        raise click.UsageError("--script and --invoke: the calls stand in one of them")
    made = load_script(script) if script is not None else None
    if is_checkpoint(path):
        if exports:
            raise click.UsageError(f"{path} is compiled already: --export is for programs")
        if made is None:
            return *model_and_calls(path, calls, stock, **compiling), None
        model, _ = model_and_calls(path, [("", [])], stock, **compiling)
        return model, [], made
    source = load_source(path)
    if made is None:
        calls = calls or default_calls(source.module)
        needed = [name for name, _ in calls]
    else:
        needed = made.needed(exported_types(source.module))
    with working(f"compiling {path}"):
        model = compile_model(source, [*dict.fromkeys([*needed, *map(decoded, exports)])], stock, **compiling)
    return model, calls, made


def load_script(name: str) -> Script:
    """name: of a file, - for standard input."""
    from .host_options import read_stdin
    from .script import Script

    return Script("the script" if name == "-" else name, read_stdin(name).decode(errors="surrogateescape"))


def parse_calls(model: Model, calls: list[Call]) -> list[tuple[str, tuple[str, ...], list[Any]]]:
    """(name, result types, argument values) of each call; all are checked before the first one runs."""
    from ..errors import ArgumentError
    from .values import parse_arguments

    parsed = []
    for name, texts in calls:
        entry = model.program.entries.get(name)
        if entry is None:
            names = ", ".join(sorted(model.program.entries)) or "none"
            raise ArgumentError(f"no exported function {name!r}; there are: {names}")
        parsed.append((name, entry.results, parse_arguments(name, entry.params, texts)))
    return parsed
