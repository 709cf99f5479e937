"""verify: decodes, and compares every step with wasmtime."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from ..host import global_types
from .errors import FAILED, refusals
from .host_options import Host, hosted
from .limits import limited
from .numbers import format_call
from .options import (
    Call,
    EngineChoice,
    Invoking,
    compiling_options,
    engine_options,
    exports_option,
    json_option,
    max_tokens_option,
)
from .output import say, to_json
from .programs import (
    compile_model,
    default_calls,
    exported_types,
    in_form,
    is_checkpoint,
    load_libraries,
    load_model,
    load_script,
    load_source,
    parse_calls,
)
from .progress import progress_of, working
from .replaying import margins_json, margins_text, replay_options

if TYPE_CHECKING:
    from ...compiler.format.checkpoint import Model
    from ...compiler.format.types import ValType
    from ...compiler.wasm.source import Source
    from ..allocators import Types
    from ..check.verify import ReplayOptions, Report, Verifier
    from ..results import Run


@click.command("verify", cls=Invoking)
@click.argument("prog")
@click.option("--model", metavar="MODEL", help="Check this checkpoint of PROG instead of compiling it.")
@replay_options
@engine_options
@hosted
@compiling_options
@exports_option
@click.option("--script", metavar="FILE", help="Make the calls that stand in FILE (- for stdin), see docs/scripts.md.")
@max_tokens_option
@limited
@json_option
@click.pass_obj
def verify_command(
    argv: list[str] | None, prog: str, model: str | None, replay: ReplayOptions | None, engine: EngineChoice, host: Host,
    exports: tuple[str, ...], script: str | None, max_tokens: int | None, as_json: bool, calls: list[Call], **compiling: Any,
) -> int:  # fmt: skip
    """Decodes PROG and compares every step with wasmtime running the original program.

    Every value, store, branch, call and output byte is compared. The first difference is shown; exit code 1.
    With --json one object a line for each call.
    """
    if is_checkpoint(prog):
        raise click.UsageError(
            f"{prog} is a checkpoint; verify needs the program (--model {prog} checks that checkpoint)"
        )
    with refusals():
        from ..check.verify import Verifier

        source = load_source(prog)
        made = load_script(script) if script is not None else None
        if calls and made:
            raise click.UsageError("--script and --invoke: the calls stand in one of them")
        calls = calls if calls or made else default_calls(source.module)
        if made and not exports:
            exports = (*made.needed(exported_types(source.module)),)
        if model is None:
            with working(f"compiling {prog}"):
                loaded = compile_model(source, exports or [n for n, _ in calls], engine.wants_stock, **compiling)
        else:
            loaded = load_model(model)
            with working(f"compiling {prog}"):
                difference = _made_from(loaded, source, **compiling)
            if difference:
                say(f"{model} is DIFFERENT from what {prog} compiles to: {difference}")
                return FAILED
            loaded = in_form(loaded, engine.wants_stock)
        verifier = Verifier(
            source,
            engine=engine.for_form(loaded.transformer.float32_reads),
            device=engine.device,
            model=loaded,
            libraries=load_libraries(compiling["libraries"], compiling["aliases"], source),
            unknown_imports_trap=compiling["unknown_imports_trap"],
            max_memory_pages=compiling["max_memory"],
            world=host.world(prog, argv),
            max_tokens=max_tokens,
        )
        reports: list[tuple[str, tuple[str, ...], Report]] = []
        if verifier.started:
            reports.append(("start function", (), verifier.started))
            if not verifier.started.run.returned:
                calls, made = [], None
        if calls or made:
            for address, data in host.data():
                verifier.write_memory(address, data)
        for name, types, values in parse_calls(loaded, calls):
            if not reports or reports[-1][2].ok:
                with progress_of(name) as progress:
                    report = verifier.invoke(
                        name, values, max_tokens=max_tokens, progress=progress.tokens, replay=replay or False
                    )  # fmt: skip
                reports.append((format_call(name, values), types, report))
        if made and (not reports or reports[-1][2].ok):
            with suppress(_Ended):
                made.run(_Comparing(verifier, loaded, reports, max_tokens, replay))
        for title, types, report in reports:
            say(_json(title, types, report, loaded) if as_json else _text(title, types, report, loaded))
            if not report.ok or (report.margins and not report.margins.kept):
                return FAILED
        if as_json:
            return 0
        if len(reports) > 1:
            sums = [sum(getattr(r, k) for _, _, r in reports) for k in ("steps", "tokens", "compared")]
            text = "{:,} steps ({:,} tokens), {:,} records compared, no difference".format(*sums)
            say(f"all {len(reports)} calls: {text}")
        if folded := _folded([report for _, _, report in reports]):
            say(folded)
    return 0


class _Ended(Exception):
    """A call has trapped, or differed: the script goes no further."""


class _Comparing:
    """Both sides as a script drives them. reports: each call's is added."""

    def __init__(
        self, verifier: Verifier, model: Model, reports: list[tuple[str, tuple[str, ...], Report]], max_tokens: int | None,
        replay: ReplayOptions | None,
    ):  # fmt: skip
        self._verifier, self._reports, self._program = verifier, reports, model.program
        self._max_tokens, self._replay = max_tokens, replay
        self.exports: Types = {name: (e.params, e.results) for name, e in model.program.entries.items()}
        self.write_memory = verifier.write_memory

    def invoke(self, name: str, values: Sequence[Any]) -> Run:
        with progress_of(name) as progress:
            report = self._verifier.invoke(
                name, values, max_tokens=self._max_tokens, progress=progress.tokens, replay=self._replay or False
            )
        self._reports.append((format_call(name, values), self._program.entries[name].results, report))
        if not report.ok or report.run.trap is not None:
            raise _Ended
        return report.run

    def read_memory(self, address: int, length: int) -> bytes:
        return self._verifier.read_memory(address, length)[0]

    def read_global(self, name: str) -> tuple[ValType, Any]:
        value = self._verifier.read_global(name)
        return global_types(self._program)[name], value


def _text(title: str, types: Sequence[str], report: Report, model: Model) -> str:
    """What one call showed, in lines."""
    from .values import format_outcome

    if report.limit and not report.mismatch:
        return (
            f"{title}: limit of wasm2xformer: {report.limit}; no difference up to there: {report.steps:,} steps "
            f"({report.tokens:,} tokens)"
        )
    if not report.ok:
        return f"{title}: DIFFERENT from wasmtime\n{report.divergence or _mismatch(report, model)}"
    text = (
        f"{title} = {format_outcome(types, report.run)}: {report.steps:,} steps ({report.tokens:,} tokens), "
        f"{report.compared:,} records of wasmtime compared, no difference"
    )
    return f"{text}\n{margins_text(report.margins, model.transformer)}" if report.margins else text


def _json(title: str, types: Sequence[str], report: Report, model: Model) -> str:
    """The same as one line of JSON. difference, limit: null where there is none."""
    from .values import format_outcome

    difference = report.divergence if report.divergence and not report.limit else None
    found: dict[str, Any] = {
        "call": title, "outcome": format_outcome(types, report.run), "ok": report.ok, "steps": report.steps,
        "tokens": report.tokens, "compared": report.compared, "folded": report.folded,
        "difference": str(difference or _mismatch(report, model)) if difference or report.mismatch else None,
        "limit": report.limit or None,
    }  # fmt: skip
    if report.margins:
        found["margins"] = margins_json(report.margins, model.transformer)
    return to_json(found)


def _folded(reports: Sequence[Report]) -> str:
    """How many instructions had no step of their own, by rule; "" when all had one."""
    rules: Counter[str] = sum((Counter(report.folded) for report in reports), Counter())
    if not rules:
        return ""
    shown = ", ".join(f"{count:,} by {rule}" for rule, count in rules.most_common())
    return f"besides, {rules.total():,} instructions without a step of their own: {shown}"


def _made_from(
    model: Model, source: Source, libraries: Sequence[str], aliases: Sequence[str], unknown_imports_trap: bool, **_: Any
) -> str:  # fmt: skip
    """What in the checkpoint is not as compiling `source` in the same way makes it; "" for nothing."""
    from ...compiler.options import CompileOptions
    from ..check.same import difference_from_source
    from ..check.verify import options_of

    given = CompileOptions(libraries=load_libraries(libraries, aliases, source), unknown_imports_trap=unknown_imports_trap)
    return difference_from_source(model, source, options_of(model.program, given))


def _mismatch(report: Report, model: Model) -> str:
    """Where the replay of the dense matrices has another token."""
    assert report.mismatch is not None
    names = [model.transformer.vocabulary[t] for t in (report.mismatch.expected, report.mismatch.actual)]
    text = "the dense matrices give another token than the engine at position {:,}: {} instead of {}"
    return text.format(report.mismatch.position, names[1], names[0])
