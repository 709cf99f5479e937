"""Experts of one's own: a TOML or JSON file that names programs and the signatures of their exports.

    built_in = true                        # besides, the experts that come along

    [[expert]]
    name = "sort"
    program = "tools.wasm"                 # .wat, .wasm, .c or a checkpoint, beside the file
    export = "sort_numbers"                # the name, where nothing is said
    about = "Sorts integers."
    arguments = [{ name = "numbers", type = "i32[]", at = "allocate" }]
    result = { type = "i32[]", at = "numbers", length = "numbers" }

`signature.Argument` and `signature.Result` say what there is. source: the program that a checkpoint was compiled from.
failures: { "1" = "no solution" }, what the function's value means where there is no result. pure: see `experts.Expert`.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...compiler.format.files import read_file, words
from ...compiler.load import load
from ...compiler.wasm.c import compile_c
from .arithmetic import built_in
from .errors import ExpertError
from .experts import Expert, ExpertProgram, Experts
from .signature import ARGUMENTS, RESULTS, Argument, Result

_FIELDS = {"name", "program", "source", "export", "about", "arguments", "result", "failures", "pure"}


def read_experts(path: str | Path, engine: str = "fast") -> Experts:
    """The experts of a file. Raises ExpertError for one that is wrong, CompileError and CheckpointError for its programs."""
    path = Path(path)
    told = _told(path)
    if set(told) - {"expert", "built_in"} or not isinstance(told.get("expert", []), list):
        raise ExpertError(f"{path}: a file of experts has `built_in` and tables [[expert]], nothing else")
    experts = built_in(engine) if told.get("built_in", True) else Experts()
    programs: dict[tuple[str, str], ExpertProgram] = {}
    for entry in told.get("expert", []):
        where = f"{path}: expert {entry.get('name', '?')!r}" if isinstance(entry, Mapping) else f"{path}: expert"
        try:
            experts.add(_expert(entry, path.parent, programs, engine))
        except (ExpertError, TypeError, ValueError, KeyError, AttributeError) as error:
            reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
            raise ExpertError(f"{where}: {reason}") from None
    return experts


def gathered(path: str | Path) -> tuple[dict[str, Any], dict[str, Path]]:
    """What a file of experts says, with its programs under new names, and the programs by these. Raises ExpertError."""
    path, names = Path(path), dict[Path, str]()
    told = {**_told(path), "expert": [dict(entry) for entry in _told(path).get("expert", [])]}
    for entry in told["expert"]:
        for key in ("program", "source"):
            if key in entry:
                program = path.parent / entry[key]
                if not program.exists():
                    raise ExpertError(f"{program}: no such file")
                entry[key] = names.setdefault(program.resolve(), f"{len(names)}-{program.name}")
    return told, {name: program for program, name in names.items()}


def _told(path: Path) -> Mapping[str, Any]:
    try:
        text = read_file(path).decode()
        told = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ExpertError(f"{path}: {words(error)}") from None
    except ValueError as error:
        raise ExpertError(f"{path}: {error}") from None
    if not isinstance(told, Mapping):
        raise ExpertError(f"{path}: a table is expected")
    return told


def _expert(
    entry: Mapping[str, Any], folder: Path, programs: dict[tuple[str, str], ExpertProgram], engine: str
) -> Expert:
    if unknown := set(entry) - _FIELDS:
        raise ExpertError(f"no field {sorted(unknown)[0]!r}; there are: {', '.join(sorted(_FIELDS))}")
    name, export = entry["name"], entry.get("export", entry["name"])
    if not name.isidentifier():
        raise ExpertError("a name has letters, digits and _")
    arguments = tuple(_argument(told) for told in entry.get("arguments", []))
    result = _result(entry["result"], {a.name for a in arguments if a.in_memory})
    key = entry["program"], entry.get("source", "")
    if key not in programs:
        programs[key] = _program(folder / key[0], folder / key[1] if key[1] else None, engine)
    program = programs[key]
    needed = [export, *(a.at for a in arguments if a.in_memory and isinstance(a.at, str))]
    assert isinstance(program.names, list)
    program.names.extend(needed)
    failures = {int(code): str(text) for code, text in entry.get("failures", {}).items()}
    about, pure = str(entry.get("about", "")), bool(entry.get("pure", False))
    return Expert(name, about, arguments, result, program, export, failures, pure)


def _argument(told: Mapping[str, Any]) -> Argument:
    made = Argument(**{**told, "passed": tuple(told.get("passed", ("pointer", "length")))})
    if made.type not in ARGUMENTS:
        raise ExpertError(f"{made.name}: no type {made.type!r}; there are: {', '.join(ARGUMENTS)}")
    if set(made.passed) - {"pointer", "length"}:
        raise ExpertError(f"{made.name}: passed is made of pointer and length")
    return made


def _result(told: str | Mapping[str, Any], placed: set[str]) -> Result:
    made = Result(told) if isinstance(told, str) else Result(**told)
    if made.type not in RESULTS:
        raise ExpertError(f"result: no type {made.type!r}; there are: {', '.join(RESULTS)}")
    for what in (made.at, made.length):
        if made.in_memory and isinstance(what, str) and what not in placed | {"returned"}:
            raise ExpertError(f"result: {what!r} is no argument in memory")
    return made


def _program(path: Path, source: Path | None, engine: str) -> ExpertProgram:
    if path.is_dir() or path.suffix == ".safetensors":
        if source is None:
            raise ExpertError("a checkpoint needs `source`, the program that it was compiled from, to be verified against")
        return ExpertProgram(_source(source), [], load(path), engine)
    return ExpertProgram(_source(path), [], engine=engine)


def _source(path: Path) -> Path | bytes:
    if not path.is_file():
        raise ExpertError(f"{path}: no such file")
    return compile_c(path) if path.suffix == ".c" else path
