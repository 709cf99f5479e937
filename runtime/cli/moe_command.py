"""moe: tools that look into mixtures of experts. One command for each, all made of `TOOLS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from .errors import refusals
from .limits import limited
from .moe_options import OPTIONS, model_option_names
from .options import Call, Invoking, json_option
from .output import say, to_json
from .pictures import check_plot, plot_option, write_picture
from .programs import compile_model, is_checkpoint, load_source, parse_calls
from .progress import working

if TYPE_CHECKING:
    from ..moe import Prompt, ResultTable, RoutedModel


@dataclass(frozen=True)
class Tool:
    """name: of the command. help: its first line. options: of `OPTIONS`, its own. prompts: whether it reads any."""

    name: str
    help: str
    options: tuple[str, ...] = ()
    prompts: bool = True

    @property
    def function(self) -> str:
        return self.name.replace("-", "_")


TOOLS = (
    Tool("analyze", "Which experts compute which categories of tokens, and who is a specialist.", ("layers", "first_only")),
    Tool("weights", "Norms of experts and of rows of the router, from the weights alone.", ("layers",), prompts=False),
    Tool("trace", "The experts of each token at each layer.", ("layers",)),
    Tool("topk", "With more or fewer experts for each token.", ("ks", "benchmark")),
    Tool("ablate", "Without an expert: what is predicted otherwise, and from where on a program goes wrong.",
         ("experts", "layers", "reroute", "together", "benchmark")),
    Tool("force", "One expert alone for every token.", ("expert", "layers")),
    Tool("compare", "Experts side by side, each alone for every token.", ("experts", "layers")),
    Tool("entropy", "How sure routers are, and how much the category says of the expert, by layer.", ("layers",)),
    Tool("divergence", "How differently categories of prompts use the experts.", ("layers", "first_only")),
    Tool("role", "What one expert computes.", ("expert", "layer")),
    Tool("layer-sweep", "How evenly each layer uses its experts.", ("layers", "first_only")),
    Tool("context-test", "The same token in other contexts.", ("token", "layers")),
    Tool("vocab-map", "Whether the token decides on its expert.", ("layers", "vocabulary")),
    Tool("control-tokens", "Whether control tokens have an expert of their own.", ("layers",)),
    Tool("router-probe", "What routers read: the token's embedding, or what attention and MLPs added.", ("layers",)),
    Tool("pattern-discovery", "Experts by what stands before their tokens.", ("layers", "first_only")),
    Tool("full-taxonomy", "How many experts of each layer are for which pattern, if that holds.", ("layers", "first_only")),
    Tool("pattern-track", "Which experts a pattern goes to, layer by layer.", ("pattern", "layers", "first_only")),
)  # fmt: skip


class _ToolCommand(Invoking):
    invoke_help = "Of a compiled program: look at this call. Repeatable, each call on an instance of its own."
    argv_help = ""


@click.group("moe")
@click.pass_obj
def moe_command(program_arguments: list[str] | None) -> None:
    """Looks into mixtures of experts: how routers choose, what experts do, what changes without them.

    MODEL is a language model of transformers (a folder or a name: OLMoE, Mixtral, Qwen-MoE, GPT-OSS), read with prompts of
    built-in categories or of a file; or a program or checkpoint, made a mixture, read with calls (--invoke), whose true
    experts are known. Proportions have intervals of 95 %, over prompts. Needs the extra `llm`.
    """
    if program_arguments:
        raise click.UsageError("arguments behind -- are for a program that runs")


def _made(tool: Tool) -> click.Command:
    names = (*tool.options, *(model_option_names if tool.prompts else ()), "device")

    def run(model: str, calls: list[Call], as_json: bool, plot: str | None, device: str | None, **options: Any) -> int:
        given = {name: options.pop(name) for name in model_option_names if name in options}
        if plot is not None:
            check_plot(plot, [model])
        with refusals():
            table = _find(tool, model, calls, device, given, {k: v for k, v in options.items() if v is not None})
            _tell(table, as_json, plot)
        return 0

    command: Callable[..., Any] = limited(run)
    for option in reversed([*(OPTIONS[name] for name in names), json_option, plot_option]):
        command = option(command)
    return click.command(tool.name, cls=_ToolCommand, help=tool.help)(click.argument("model")(command))


def _find(
    tool: Tool, path: str, calls: list[Call], device: str | None, given: dict[str, Any], options: dict[str, Any]
) -> ResultTable:  # fmt: skip
    from ..errors import needing

    with needing("moe", "torch", "transformers", extra="llm"), working(f"loading {path}") as doing:
        from .. import moe

        model = _open(path, calls, device)
        doing("reading the prompts")
        study = moe.Study(model, _prompts(model, calls, given) if tool.prompts else [])
        doing(tool.name)
        table: ResultTable = getattr(moe, tool.function)(study, **options)
    return table


def _open(path: str, calls: list[Call], device: str | None) -> RoutedModel:
    from .. import moe

    if not is_checkpoint(path) and path.endswith((".wat", ".wasm", ".c")):
        compiling: dict[str, Any] = {"libraries": (), "aliases": (), "max_memory": None, "unknown_imports_trap": False}
        program = compile_model(load_source(path), [name for name, _ in calls], opt_level="1", **compiling)
        return moe.compiled(program, device)
    return moe.open(path, device)


def _prompts(model: RoutedModel, calls: list[Call], given: dict[str, Any]) -> list[Prompt]:
    from .. import moe

    if model.program is not None:
        if not calls:
            names = ", ".join(sorted(model.program.program.entries)) or "none"
            raise click.UsageError(f"say what to call with --invoke NAME ARG...; there are: {names}")
        parsed = [(name, arguments) for name, _, arguments in parse_calls(model.program, calls)]
        return moe.invocations(model, parsed, given["max_tokens"])
    if calls:
        raise click.UsageError("--invoke is for compiled programs; a language model reads --prompts FILE or --category NAME")
    if given["prompts"] is not None:
        return moe.texts(model, moe.read_prompts(given["prompts"]))
    return moe.texts(model, moe.built_in(given["count"], given["seed"], given["categories"]))


def _tell(table: ResultTable, as_json: bool, plot: str | None) -> None:
    if plot is not None:
        from ..errors import needing

        with needing("--plot", "matplotlib", extra="plot"):
            from ..moe.pictures import plot_table
        grid = table.grid
        if grid is None or not grid.values.size:
            raise click.UsageError("--plot: this table is no picture")
        write_picture(lambda: plot_table(table, grid), plot)
    elif as_json:
        say(to_json(table.to_json()))
    else:
        from .tables import make_console, print_line, print_table

        console = make_console()
        print_table(console, table.title, table.columns, table.texts())
        for note in table.notes:
            print_line(console, note)


for tool in TOOLS:
    moe_command.add_command(_made(tool))
