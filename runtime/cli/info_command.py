"""info: what a program is and needs, before anything is built from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .errors import refusals, refuse
from .options import compiling_options, exports_option, json_option
from .output import say, to_json
from .programs import compile_options, is_checkpoint, load_source

if TYPE_CHECKING:
    from ...compiler.options import CompileOptions
    from ...compiler.wasm.source import Source


@click.command("info")
@click.argument("prog")
@compiling_options
@exports_option
@json_option
def info_command(prog: str, exports: tuple[str, ...], as_json: bool, **compiling: Any) -> int:
    """Shows the features that PROG uses, its imports and who provides them, its exports, how many steps it becomes, and about how
    large the checkpoint gets.

    Exit code 2 where it is refused; every reason is an error line.
    """
    if is_checkpoint(prog):
        raise click.UsageError(f"{prog} is a checkpoint; `wasm2xformer inspect {prog}` shows what is in it")
    with refusals():
        source = load_source(prog)
        found, reasons = _found(source, compile_options(source, exports, **compiling))
        found = {"program": prog, **found, "refused": reasons}
        say(to_json(found) if as_json else _text(found))
        return refuse(*reasons) if reasons else 0


def _found(source: Source, options: CompileOptions) -> tuple[dict[str, Any], list[str]]:
    """What there is to say, and why it cannot be compiled."""
    from ...compiler.compile import compile_steps
    from ...compiler.format.errors import CompileError
    from ...compiler.wasm.features import features
    from ..estimate import estimate

    module = source.module
    found: dict[str, Any] = {
        "bytes": len(source.wasm), "functions": len(module.functions), "features": features(module),
        "memories": [{"pages": m.minimum, "maximum": m.maximum} for m in module.memories],
        "imports": _imports(source, options),
        "exports": [{"name": e.name, "kind": e.kind, "type": _type(module, e.kind, e.index)} for e in module.exports],
    }  # fmt: skip
    try:
        program, _ = compile_steps(source, options)
    except CompileError as error:
        return found, [str(reason) for reason in error.reasons]
    reached = [f for f in program.functions.values() if not f.internal]
    return {
        **found, "reached": len(reached), "steps": len(program.steps), "estimate": estimate(len(program.steps)),
    }, []  # fmt: skip


def _imports(source: Source, options: CompileOptions) -> list[dict[str, str]]:
    from ...compiler.link.providers import providers
    from ...compiler.wasm.source import load

    libraries = {name: load(text).module for name, text in options.libraries.items()}
    by = providers(source.module, libraries)
    return [
        {"module": i.module, "name": i.name, "kind": i.kind, "type": _shown(i.desc), "provider": provider}
        for i, provider in zip(source.module.imports, by, strict=True)
    ]


def _type(module: Any, kind: str, index: int) -> str:
    entities = {"func": module.functions, "global": module.globals, "table": module.tables, "memory": module.memories}
    found = entities[kind][index] if kind in entities else None
    return _shown(found.type if kind in ("func", "global") and found is not None else found)


def _shown(type_: Any) -> str:
    from ...compiler.link.matching import show
    from ...compiler.wasm.module import FuncType, GlobalType, Limits, TableType

    if isinstance(type_, (FuncType, GlobalType)):
        return show(type_)
    if isinstance(type_, TableType):
        return f"{type_.element}, {_shown(type_.limits)}"
    if isinstance(type_, Limits):
        return f"{type_.minimum} to {'any' if type_.maximum is None else type_.maximum}"
    return ""


def _text(found: dict[str, Any]) -> str:
    lines = [
        f"{found['program']}: {found['bytes']:,} bytes, {found['functions']:,} functions",
        f"features    {', '.join(found['features']) or 'only those of WebAssembly 1.0'}",
    ]
    lines += [
        f"memory      {m['pages']:,} pages of 64 KiB" + ("" if m["maximum"] is None else f", at most {m['maximum']:,}")
        for m in found["memories"]
    ]
    for name in ("imports", "exports"):
        rows = [
            [r.get("module", ""), r["name"], r["type"] if r["kind"] == "func" else f"{r['kind']} {r['type']}".strip()]
            + ([f"from {r['provider']}"] if "provider" in r else [])
            for r in found[name]
        ]
        lines.append(f"{name:<12}{len(rows) or 'none'}")
        lines += ["  " + " ".join(cell for cell in row if cell) for row in rows]
    if "steps" in found:
        about = found["estimate"]
        lines.append(f"steps       {found['steps']:,}, of {found['reached']:,} functions of its own and what they call")
        lines.append(
            f"checkpoint  about {about['checkpoint_mib']} MiB; compiling takes about {about['seconds']} s and "
            f"{about['memory_mib']} MiB"
        )
    return "\n".join(lines)
