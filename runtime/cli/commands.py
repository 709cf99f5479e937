"""The command line: compile, run, verify, trace, inspect, bench.

Exit codes: 0 done; 1 a check failed; 2 wrong use, or an input that is refused; 3 the program trapped. A program that
calls proc_exit decides its code itself. Results and the program's output go to stdout, everything else to stderr.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .host_options import Host, dump, hosted, number, read_stdin, stdin_option

if TYPE_CHECKING:
    from ...compiler.format.checkpoint import Model
    from ...compiler.wasm.module import Module
    from ...compiler.wasm.source import Source
    from ..check.verify import Report
    from ..instance import Instance, Run

FAILED, REFUSED, TRAPPED, INTERRUPTED = 1, 2, 3, 130

# Everything else of the package is imported inside the commands: `--help` and wrong use answer at once.


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line (default: this process's) and returns its exit code. Never raises for what a user does."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started this process
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (open until the end)
    # Nothing here multiplies large matrices with numpy; starting threads for it is a tenth of the start-up time.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    arguments = list(sys.argv[1:] if argv is None else argv)
    own, program = arguments, None
    if "--" in arguments:
        at = arguments.index("--")
        own, program = arguments[:at], arguments[at + 1 :]
    try:
        code = cli.main(own, prog_name="wasm2xformer", standalone_mode=False, obj=program)
        sys.stdout.flush()
        return code or 0
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return REFUSED
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "wasm2xformer"
        return _refuse(f"{error.format_message()} (see {command} --help)")
    except click.ClickException as error:
        return _refuse(error.format_message())
    except (KeyboardInterrupt, click.Abort):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except (BrokenPipeError, SystemExit):
        # Who reads has gone (click makes it a SystemExit). Python would complain once more when it closes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _refuse(f"{error.filename or 'output'}: {error.strerror or error}")
    except MemoryError:
        return _refuse("out of memory")


def _refuse(*lines: object) -> int:
    for line in lines:
        click.echo(f"error: {line}", err=True)
    return REFUSED


# -- parsing ----------------------------------------------------------------------------------------------------------


class _DefaultCompile(click.Group):
    """`wasm2xformer PROG -o MODEL` is `wasm2xformer compile PROG -o MODEL`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in ("--help", "--version") and args[0] not in self.commands:
            if re.fullmatch(r"\w+", args[0]) and not Path(args[0]).exists():
                names = ", ".join(self.commands)
                raise click.UsageError(f"{args[0]} is neither a file nor a command; the commands are {names}", ctx)
            args = ["compile", *args]
        return super().parse_args(ctx, args)


class _Invoking(click.Command):
    """Takes `--invoke NAME ARG...` out of the arguments, any number of times, before click sees them.

    An ARG ends at the next option; a minus sign before a number is none.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest, calls = [], []
        args = [part for a in args for part in (a.split("=", 1) if a.startswith("--invoke=") else (a,))]
        while args:
            argument = args.pop(0)
            if argument != "--invoke":
                rest.append(argument)
                continue
            if not args or args[0].startswith("--"):
                raise click.UsageError("--invoke needs the name of an exported function", ctx)
            call = [args.pop(0)]
            while args and not re.match(r"--|-O", args[0]):
                call.append(args.pop(0))
            calls.append((call[0], call[1:]))
        left = super().parse_args(ctx, rest)
        ctx.params["calls"] = calls
        return left

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        what = "Call this exported function. Repeatable: one instance, one call after the other."
        rows = [("--invoke NAME ARG...", what)]
        rows += [record for p in self.get_params(ctx) if (record := p.get_help_record(ctx))]
        rows.append(("-- ARG...", "What follows are the program's own arguments (argv)."))
        with formatter.section("Options"):
            formatter.write_dl(rows)


_Command = TypeVar("_Command", bound=Callable[..., Any])


def _compiling(command: _Command) -> _Command:
    """The options of `_compile_model`."""
    level = click.option(
        "-O", "opt_level", type=click.Choice(["0", "1"]), default="1", help="Optimisation level.", show_default=True
    )
    library = click.option("--library", "libraries", multiple=True, metavar="NAME=FILE",
                           help="A module (.wat, .wasm, .c) that provides the imports from NAME. Repeatable.")  # fmt: skip
    memory = click.option("--max-memory", type=click.IntRange(1, 1024), metavar="PAGES",
                          help="How far memory may grow, in pages of 64 KiB. The torch engine is exact for longer "
                          "sequences where it is less.  [default: 1024]")  # fmt: skip
    unknown = click.option("--unknown-imports-trap", is_flag=True,
                           help="Compile although nobody provides an imported function; calling it traps.")  # fmt: skip
    return level(library(memory(unknown(command))))


_exports = click.option(
    "--export", "exports", multiple=True, metavar="NAME", help="Compile only what this reaches. Repeatable."
)
_engine = click.option("--engine", type=click.Choice(["fast", "torch"]), default="fast", show_default=True,
                       help="fast: compiled from the weights; torch: dense matrices, real softmax.")  # fmt: skip
_json = click.option("--json", "as_json", is_flag=True, help="For machines.")
_max_tokens = click.option("--max-tokens", type=click.IntRange(1), metavar="N", help="Give up after N tokens.")


@click.group(cls=_DefaultCompile, context_settings={"help_option_names": ["--help"]})
@click.version_option(package_name="wasm2xformer")
def cli() -> None:
    """Compiles WebAssembly into the weights of a transformer, and runs it by decoding tokens.

    \b
      wasm2xformer PROG -o MODEL                 compile PROG (.wat, .wasm, .c)
      wasm2xformer run MODEL --invoke fib 10     run it
      wasm2xformer verify PROG --invoke fib 10   check every step against wasmtime
    """


# -- commands ---------------------------------------------------------------------------------------------------------


@cli.command("compile")
@click.argument("prog")
@click.option("-o", "output", required=True, metavar="MODEL", help="The checkpoint to write (.safetensors).")
@_compiling
@_exports
@click.pass_obj
def _compile(
    program_arguments: list[str] | None, prog: str, output: str, exports: tuple[str, ...], **compiling: Any
) -> int:
    """Compiles PROG (.wat, .wasm or .c) into a checkpoint. `wasm2xformer PROG -o MODEL` is short for it."""
    if program_arguments:
        raise click.UsageError("arguments behind -- are for a program that runs")
    folder = Path(output).absolute().parent
    if not folder.is_dir():
        return _refuse(f"{folder}: no such folder")
    if Path(output).is_dir():
        return _refuse(f"-o {output}: a folder, not a file")
    with _refusals():
        with _working(f"compiling {prog}"):
            model = _compile_model(_source(prog), exports, **compiling)
            model.save(output)
        t = model.transformer
        heads, neurons = sum(len(y.head_names) for y in t.layers), sum(len(y.neuron_names) for y in t.layers)
        size = Path(output).stat().st_size / 2**20
        click.echo(
            f"{output}: {_counted(len(model.program.functions), 'function')}, {len(model.program.steps):,} steps; "
            f"{len(t.layers)} layers, {heads} heads, {neurons} neurons, width {t.width}, "
            f"vocabulary {len(t.vocabulary):,}; {size:.1f} MiB"
        )
    return 0


@cli.command("run", cls=_Invoking)
@click.argument("model")
@_engine
@hosted
@_compiling
@_max_tokens
@click.option("--read", "reads", multiple=True, metavar="ADDRESS:LENGTH",
              help="Show bytes of the program's exported memory after the calls. Repeatable.")  # fmt: skip
@click.pass_obj
def _run(
    argv: list[str] | None, model: str, engine: str, host: Host, max_tokens: int | None, reads: tuple[str, ...],
    calls: list[tuple[str, list[str]]], **compiling: Any,
) -> int:  # fmt: skip
    """Runs MODEL, or compiles and runs a program, by decoding; prints the results, one a line.

    Without --invoke it calls `_start`, the main function of a WASI program.
    """
    with _refusals():
        ranges = [_range(text) for text in reads]
        loaded, calls = _model(model, calls, **compiling)
        vm = _instance(loaded, engine, host, model, argv)
        for name, types, values in _parsed(loaded, calls):
            with _progress(name) as progress:
                run = vm.invoke(name, *values, max_tokens=max_tokens, progress=progress.tokens, output=progress.output)
            if run.exit_code is not None:
                return run.exit_code
            _print_results(types, run)
        for address, length in ranges:
            click.echo(dump(vm.read_memory(address, length), address))
    return 0


@cli.command("verify", cls=_Invoking)
@click.argument("prog")
@click.option("--model", metavar="MODEL", help="Check this checkpoint of PROG instead of compiling it.")
@click.option("--replay", is_flag=True, help="Also check every token against the dense matrices, in blocks.")
@_engine
@hosted
@_compiling
@_exports
@_max_tokens
@click.pass_obj
def _verify(
    argv: list[str] | None, prog: str, model: str | None, replay: bool, engine: str, host: Host,
    exports: tuple[str, ...], max_tokens: int | None, calls: list[tuple[str, list[str]]], **compiling: Any,
) -> int:  # fmt: skip
    """Decodes PROG and compares every step with wasmtime running the original program.

    Every value, store, branch, call and output byte is compared. The first difference is shown; exit code 1.
    """
    if _is_checkpoint(prog):
        raise click.UsageError(
            f"{prog} is a checkpoint; verify needs the program (--model {prog} checks that checkpoint)"
        )
    with _refusals():
        from ..check.verify import Verifier

        source = _source(prog)
        calls = calls or _default_calls(source.module)
        if model is None:
            with _working(f"compiling {prog}"):
                loaded = _compile_model(source, exports or [n for n, _ in calls], **compiling)
        else:
            loaded = _load(model)
            if not _made_from(loaded, source, **compiling):
                click.echo(f"{model} was not compiled from {prog}, or by another version: its steps are DIFFERENT")
                return FAILED
        verifier = Verifier(
            source,
            engine=engine,
            model=loaded,
            libraries=_libraries(compiling["libraries"]),
            unknown_imports_trap=compiling["unknown_imports_trap"],
            world=host.world(prog, argv),
        )
        reports: list[tuple[str, tuple[str, ...], Report]] = []
        if verifier.started:
            reports.append(("start function", (), verifier.started))
            if not verifier.started.run.returned:
                calls = []
        if calls:
            for address, data in host.data():
                verifier.write_memory(address, data)
        for name, types, values in _parsed(loaded, calls):
            if not reports or reports[-1][2].ok:
                with _progress(name) as progress:
                    report = verifier.invoke(
                        name, values, max_tokens=max_tokens, progress=progress.tokens, replay=replay
                    )  # fmt: skip
                reports.append((f"{name}({', '.join(map(str, values))})", types, report))
        for title, types, report in reports:
            if not report.ok:
                click.echo(f"{title}: DIFFERENT from wasmtime")
                click.echo(str(report.divergence or _mismatch(report, loaded)))
                return FAILED
            click.echo(
                f"{title} = {_outcome(types, report.run)}: {report.steps:,} steps ({report.tokens:,} tokens), "
                f"{report.compared:,} records of wasmtime compared, no difference"
            )
        if len(reports) > 1:
            sums = [sum(getattr(r, k) for _, _, r in reports) for k in ("steps", "tokens", "compared")]
            text = "{:,} steps ({:,} tokens), {:,} records compared, no difference".format(*sums)
            click.echo(f"all {len(reports)} calls: {text}")
    return 0


@cli.command("trace", cls=_Invoking)
@click.argument("model")
@_json
@click.option("--limit", type=click.IntRange(0), metavar="N", help="Show only the first N steps of each call.")
@_engine
@hosted
@_compiling
@_max_tokens
@click.pass_obj
def _trace(
    argv: list[str] | None, model: str, as_json: bool, limit: int | None, engine: str, host: Host,
    max_tokens: int | None, calls: list[tuple[str, list[str]]], **compiling: Any,
) -> int:  # fmt: skip
    """Runs MODEL (or a program) and shows the decoded trace, step by step, with the tokens of each.

    With --json one object a line: a line for each step, and one for the end of each call.
    """
    with _refusals():
        from ..errors import Trap
        from .listing import json_lines, text_lines

        loaded, calls = _model(model, calls, **compiling)
        vm = _instance(loaded, engine, host, model, argv)
        for name, _, values in _parsed(loaded, calls):
            trap = None
            try:
                with _progress(name) as progress:
                    run = vm.invoke(name, *values, max_tokens=max_tokens, progress=progress.tokens)
            except Trap as trapped:
                trap, run = trapped, trapped.run
            lines = json_lines if as_json else text_lines
            for line in lines(loaded, name, values, run, limit):
                click.echo(line)
            if trap:
                raise trap
            if run.exit_code is not None:
                return run.exit_code
    return 0


@cli.command("inspect")
@click.argument("model")
@_json
@click.option("--heads", is_flag=True, help="Every head of every layer.")
@click.option("--neurons", is_flag=True, help="Every neuron of every layer.")
@click.option("--slots", is_flag=True, help="What each residual slot holds, layer by layer.")
@click.option("--vocabulary", is_flag=True, help="Every token.")
@click.option("--steps", is_flag=True, help="The step program, with the WASM instructions.")
@click.option("--weights", is_flag=True, help="With --heads or --neurons: as formulas over named slots.")
@click.option("--layer", "layers", type=click.IntRange(0), multiple=True, metavar="N", help="Only these. Repeatable.")
def _inspect(model: str, as_json: bool, layers: tuple[int, ...], weights: bool, **parts: bool) -> int:
    """Shows what is in a checkpoint, all of it by name. Without a choice of parts: an overview."""
    with _refusals():
        from .inspect import show, to_json

        loaded = _load(model)
        count = len(loaded.transformer.layers)
        if any(layer >= count for layer in layers):
            raise click.UsageError(f"{model} has layers 0 to {count - 1}")
        if as_json:
            click.echo(to_json(loaded))
        else:
            show(loaded, model, {name for name, chosen in parts.items() if chosen}, layers or range(count), weights)
    return 0


@cli.command("bench", cls=_Invoking)
@click.argument("prog", required=False)
@click.option("--only", multiple=True, metavar="ID", help="Only this program of the collection. Repeatable.")
@click.option("-O", "levels", type=click.Choice(["0", "1"]), multiple=True, help="Repeatable; both if not given.")
@click.option("--engine", "engines", type=click.Choice(["fast", "torch"]), multiple=True, help="Repeatable, likewise.")
@click.option("--repeat", type=click.IntRange(1), default=3, show_default=True, help="Medians of so many repetitions.")
@click.option("--longest", type=click.IntRange(0), metavar="N", help="Tokens of the trace for scaling; 0 for none.")
@click.option("--native/--no-native", default=True, help="Measure wasmtime and pywasm too.")
@stdin_option
@_json
@click.pass_obj
def _bench(
    argv: list[str] | None, prog: str | None, only: tuple[str, ...], levels: tuple[str, ...], engines: tuple[str, ...],
    repeat: int, longest: int | None, native: bool, stdin: str | None, as_json: bool,
    calls: list[tuple[str, list[str]]],
) -> int:  # fmt: skip
    """Measures speed and memory, of PROG or of the collection in programs/, each figure in a process of its own.

    Tokens and WASM instructions per second, tokens per instruction, memory, compile time, time to the first token, time
    per token against the length of the trace; beside wasmtime and pywasm on the same invocations.
    """
    from ..bench import Case, Options, bench, collection, failures
    from .bench_report import print_tables
    from .values import parse_arguments

    with _refusals():
        if prog:
            source = _source(prog)
            calls = calls or _default_calls(source.module)
            types = {e.name: source.module.functions[e.index].type for e in source.module.exports if e.kind == "func"}
            data, cases = read_stdin(stdin), []
            for name, texts in calls:
                if name not in types:
                    raise click.UsageError(f"no exported function {name!r}; there are: {', '.join(types) or 'none'}")
                values = parse_arguments(name, types[name].params, texts)
                cases.append(Case(Path(prog).stem, Path(prog), name, tuple(values), data, tuple(argv or ())))
        else:
            try:
                cases = collection(only)
            except ValueError as error:
                raise click.UsageError(str(error)) from None
            if not cases:
                raise click.UsageError("there is no programs/ here; name a program: bench PROG --invoke NAME ARG...")
        if longest is None:
            longest = 0 if prog or only else 10_000_000
        chosen = [int(level) for level in levels] or [0, 1]
        options = Options(chosen, engines or ("fast", "torch"), repeat, longest, native)
        with _working("measuring") as status:
            found = bench(cases, options, status)
        if as_json:
            click.echo(json.dumps(found))
        else:
            print_tables(found)
    return FAILED if failures(found) else 0


# -- what the commands share ------------------------------------------------------------------------------------------


@contextmanager
def _refusals() -> Iterator[None]:
    """Errors that the library raises for its user's input, as lines on stderr and an exit code."""
    from ...compiler.format.checkpoint import CheckpointError
    from ...compiler.format.errors import CompileError, EnvelopeError
    from ..errors import ArgumentError, Trap, Unfinished

    try:
        yield
    except CompileError as error:
        raise click.exceptions.Exit(_refuse(*error.reasons)) from None
    except (CheckpointError, ArgumentError, EnvelopeError, NotImplementedError) as error:
        raise click.exceptions.Exit(_refuse(error)) from None
    except Unfinished as error:
        click.echo(f"error: {error}", err=True)
        raise click.exceptions.Exit(FAILED) from None
    except Trap as trap:
        click.echo(f"trap: {trap}", err=True)
        raise click.exceptions.Exit(TRAPPED) from None


def _is_checkpoint(path: str) -> bool:
    """By its name or its first bytes: safetensors begins with the length of a JSON header, then the header."""
    if path.endswith(".safetensors"):
        return True
    try:
        with open(path, "rb") as file:
            start = file.read(9)
    except OSError:
        return False
    return len(start) == 9 and start[8:] == b"{" and start[:1] not in b"(; \t\r\n"


def _source(path: str) -> Source:
    """Loads a program; for C the command that compiles it is shown."""
    from ...compiler.wasm.c import compile_c
    from ...compiler.wasm.source import load, load_file

    if not path.endswith(".c") or not Path(path).is_file():
        return load_file(path)
    return load(compile_c(Path(path), lambda command: click.echo(command, err=True)))


def _load(path: str) -> Model:
    from ...compiler.format.checkpoint import load

    if path.endswith((".wat", ".wasm", ".c")):
        raise click.UsageError(f"{path} is a program, not a checkpoint; `wasm2xformer {path} -o MODEL` makes one")
    return load(path)


def _compile_model(
    source: Source, exports: Sequence[str], libraries: Sequence[str], max_memory: int | None, opt_level: str,
    unknown_imports_trap: bool,
) -> Model:  # fmt: skip
    from ...compiler.compile import compile_with
    from ...compiler.options import CompileOptions

    provided = _libraries(libraries)
    options = CompileOptions(int(opt_level), exports or None, provided, max_memory, unknown_imports_trap)
    return compile_with(source, options)


def _libraries(pairs: Sequence[str]) -> dict[str, str | bytes]:
    """The modules of --library NAME=FILE, by name."""
    from ...compiler.format.errors import CompileError, Reason

    modules: dict[str, str | bytes] = {}
    for pair in pairs:
        name, _, path = pair.partition("=")
        if not path:
            raise click.UsageError(f"--library {pair}: NAME=FILE expected")
        if name in modules:
            raise click.UsageError(f"--library {pair}: there is another for {name} already")
        try:
            modules[name] = _source(path).wasm
        except CompileError as error:
            raise CompileError([Reason(f"library {name}: {reason}") for reason in error.reasons]) from None
    return modules


def _made_from(model: Model, source: Source, libraries: Sequence[str], unknown_imports_trap: bool, **_: Any) -> bool:
    """Whether the checkpoint says that it holds what compiling `source` in the same way gives."""
    from ...compiler.compile import compile_steps
    from ...compiler.format.errors import CompileError
    from ...compiler.options import CompileOptions

    pages = model.program.memory_maximum or None
    exports = [*model.program.entries]
    provided = _libraries(libraries)
    try:
        level = model.program.opt_level
        program = compile_steps(source, CompileOptions(level, exports, provided, pages, unknown_imports_trap))[0]
    except CompileError:  # it has no such exports
        return False
    return program.steps == model.program.steps


def _mismatch(report: Report, model: Model) -> str:
    """Where the replay of the dense matrices has another token."""
    assert report.mismatch is not None
    names = [model.transformer.vocabulary[t] for t in (report.mismatch.expected, report.mismatch.actual)]
    text = "the dense matrices give another token than the engine at position {:,}: {} instead of {}"
    return text.format(report.mismatch.position, names[1], names[0])


def _default_calls(module: Module) -> list[tuple[str, list[str]]]:
    """`_start` if there is one; otherwise the user must say, and is told what there is."""
    functions = {e.name: module.functions[e.index].type for e in module.exports if e.kind == "func"}
    _require_start({name: (t.params, t.results) for name, t in functions.items()})
    return [("_start", [])]


def _require_start(functions: dict[str, tuple[Sequence[str], Sequence[str]]]) -> None:
    if "_start" not in functions:
        shown = [f"{name}({', '.join(p)}) -> ({', '.join(r)})" for name, (p, r) in functions.items()]
        there_are = "; ".join(shown) or "no exported functions"
        raise click.UsageError(f"say what to call with --invoke NAME ARG...; there are: {there_are}")


def _model(
    path: str, calls: list[tuple[str, list[str]]], **compiling: Any
) -> tuple[Model, list[tuple[str, list[str]]]]:
    """A checkpoint, or a program compiled in memory for these calls; and the calls, `_start` if there are none."""
    if _is_checkpoint(path):
        if compiling["libraries"] or compiling["max_memory"] or compiling["unknown_imports_trap"]:
            options = "--library, --max-memory and --unknown-imports-trap"
            raise click.UsageError(f"{path} is compiled already: {options} are for programs")
        model = _load(path)
        if not calls:
            _require_start({name: (e.params, e.results) for name, e in model.program.entries.items()})
        return model, calls or [("_start", [])]
    source = _source(path)
    calls = calls or _default_calls(source.module)
    with _working(f"compiling {path}"):
        return _compile_model(source, [name for name, _ in calls], **compiling), calls


def _instance(model: Model, engine: str, host: Host, path: str, argv: Sequence[str] | None) -> Instance:
    """A new instance; its start function has run, its output is out, and what --write says is in its memory."""
    from ..errors import Trap
    from ..instance import Instance

    data, world = host.data(), host.world(path, argv)
    with _working("reading the checkpoint"):
        try:
            vm = Instance(model, engine, world=world)
        except Trap as trap:
            _write("stdout", trap.run.stdout)
            _write("stderr", trap.run.stderr)
            raise
    if vm.started:
        _write("stdout", vm.started.stdout)
        _write("stderr", vm.started.stderr)
        if vm.started.exit_code is not None:
            raise click.exceptions.Exit(vm.started.exit_code)
    for address, part in data:
        vm.write_memory(address, part)
    return vm


def _range(text: str) -> tuple[int, int]:
    """ADDRESS:LENGTH"""
    address, separator, length = text.partition(":")
    if not separator:
        raise click.UsageError(f"--read {text}: ADDRESS:LENGTH expected")
    return number(address, f"--read {text}"), number(length, f"--read {text}")


def _parsed(model: Model, calls: list[tuple[str, list[str]]]) -> list[tuple[str, tuple[str, ...], list[Any]]]:
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


def _print_results(types: Sequence[str], run: Run) -> None:
    from .values import format_value

    for type_, value in zip(types, run.values, strict=True):
        click.echo(format_value(type_, value))


def _outcome(types: Sequence[str], run: Run) -> str:
    from .values import format_value

    if run.trap is not None:
        return f"trap: {run.trap}"
    if run.exit_code is not None:
        return f"exit code {run.exit_code}"
    return ", ".join(format_value(t, v) for t, v in zip(types, run.values, strict=True)) or "nothing"


def _write(stream: str, data: bytes) -> None:
    """The program's own bytes, unchanged."""
    if data:
        file = sys.stdout if stream == "stdout" else sys.stderr
        file.flush()
        file.buffer.write(data)
        file.buffer.flush()


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


@contextmanager
def _working(text: str) -> Iterator[Callable[[str], None]]:
    """A spinner on a terminal, nothing in a pipe; the value changes its text."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.console import Console

    with Console(stderr=True).status(text) as status:
        yield status.update


class _Progress:
    """Tokens so far, on a terminal, until the program writes something itself."""

    def __init__(self, name: str):
        self._name = name
        self._display: Any = None
        self._task: Any = None

    def tokens(self, count: int) -> None:
        if self._display is not None:
            self._display.update(self._task, completed=count)

    def output(self, stream: str, data: bytes) -> None:
        self.stop()
        _write(stream, data)

    def start(self) -> None:
        if not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TextColumn("{task.description}: {task.completed:,} tokens"), TimeElapsedColumn())
        self._display = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._display.add_task(self._name, total=None)
        self._display.start()

    def stop(self) -> None:
        if self._display is not None:
            self._display.stop()
            self._display = None


@contextmanager
def _progress(name: str) -> Iterator[_Progress]:
    progress = _Progress(name)
    progress.start()
    try:
        yield progress
    finally:
        progress.stop()


if __name__ == "__main__":
    sys.exit(main())
