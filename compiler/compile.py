"""The compiler: its passes in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from .format.checkpoint import Model
from .format.isa import Program
from .format.records import collecting_later
from .format.validate import validate
from .format.watch import Watch, ignore
from .graph.build import build
from .link.link import link
from .link.linked import LinkedModule
from .lower.lower import lower
from .lower.program import program_of
from .machine.assemble import Assembly, assemble
from .machine.jumps import SINGLE_JUMPS
from .machine.machine import machine
from .machine.sections import OWN_TOKENS, TOKENS_LIMIT
from .machine.tokens import fill
from .optimise.optimise import optimise
from .options import CompileOptions
from .wasm.module import Instr, Module
from .wasm.source import Source, load

DEFAULTS = CompileOptions()


def compile(
    source: str | bytes | Path | Source,
    opt_level: int = 1,
    exports: Sequence[str] | None = None,
    libraries: Mapping[str, str | bytes] | None = None,
    max_memory_pages: int | None = None,
    unknown_imports_trap: bool = False,
    float_routines: bool | None = None,
    division_routines: bool | None = None,
) -> Model:
    """Compiles a WebAssembly module into a transformer that executes it.

    source: WAT text, WASM bytes, or the path of a file with either (or C). opt_level: 0 (one step for each instruction)
    or 1 (operands folded, comparisons fused). exports: only what these exported functions reach is compiled (None: all of
    them). libraries: modules (WAT or WASM) that provide imports, by module name; they are linked in. max_memory_pages:
    memory.grow beyond so many pages of 64 KiB gives -1 (1 to 65,536, the default), as beyond a declared maximum.
    unknown_imports_trap: an imported function that nobody provides is no reason to refuse the module; calling it traps.
    float_routines: sums, products, comparisons and conversions of floats are linked routines of many steps, too, as other
    arithmetic on floats is; the transformer is smaller then. division_routines: 64-bit divisions are calls of a linked routine
    that makes 32-bit divisions, and not one step each; the vocabulary is smaller then. None, for both: where such instructions
    are rare in what is reached (`link.chosen_steps`).

    Raises CompileError with every reason when the module cannot be compiled exactly.
    """
    options = CompileOptions(
        opt_level, exports, libraries or {}, max_memory_pages, unknown_imports_trap, float_routines, division_routines
    )
    return compile_with(source, options)


def compile_with(source: str | bytes | Path | Source, options: CompileOptions) -> Model:
    """`compile`, its options as one value."""
    with collecting_later():
        return realise(*compile_steps(source, options))


@collecting_later()
def compile_steps(
    source: str | bytes | Path | Source, options: CompileOptions = DEFAULTS, watch: Watch = ignore
) -> tuple[Program, Module]:
    """The front half: from the source to the step program, and the decoded module it was made from.

    watch: is shown the result of every pass, under its name (see `show_pass.py`).
    """
    if not isinstance(source, Source):
        source = load(source)
    linked = link_source(source, options)
    watch("linked", linked)
    lowered = lower(linked, options.opt_level)
    watch("lowered", lowered)
    optimise(lowered, {i: f.type for i, f in enumerate(linked.module.functions)}, options.opt_level, watch)
    program = program_of(linked, lowered, options.opt_level)
    validate(program)
    watch("program", program)
    return program, source.module


def link_source(source: Source, options: CompileOptions) -> LinkedModule:
    """The source with its libraries and routines, as one module without vectors."""
    provided = {name: load(text).module for name, text in options.libraries.items()}
    return link(
        source.module, provided, options.exports, options.max_memory_pages, options.unknown_imports_trap, options.float_routines,
        options.division_routines,
    )  # fmt: skip


@collecting_later()
def realise(
    program: Program,
    module: Module,
    single_jumps: int = SINGLE_JUMPS,
    watch: Watch = ignore,
    tokens_limit: int = TOKENS_LIMIT,
    own_tokens: int = OWN_TOKENS,
) -> Model:
    """The back half: from the step program to weights.

    single_jumps: jumps that may have a token of their own. watch: as for `compile_steps`. tokens_limit: what the vocabulary is to
    stay below, if that is possible; the prefix is the longer for it. own_tokens: constants and segments that may have tokens
    of their own.
    """
    assembly: Assembly = assemble(program, single_jumps, tokens_limit, own_tokens)
    watch("assembly", assembly)
    architecture, image = assembly.architecture, assembly.image
    graph, features = machine(architecture)
    fill(graph, features, architecture, image)
    watch("graph", graph)
    transformer = build(graph)
    watch("transformer", transformer)
    first_input = 0 if architecture.spelled else len(image.segments)
    return Model(
        transformer,
        program,
        jumps=[(delta, frame) for _, delta, frame in image.jumps.tokens],
        entries=image.entries,
        inputs={name: first_input + k for k, name in enumerate(image.inputs)},
        texts=texts_of(program, module),
    )


def texts_of(program: Program, module: Module) -> dict[int, str]:
    """What each step stands for, as "function 0xoffset instruction"."""
    texts = {}
    for index, step in enumerate(program.steps):
        if step.site is not None:
            function = module.functions[step.site.function]
            instruction = function.body[step.site.instruction]
            texts[index] = f"{function.name} 0x{instruction.offset:x} {_show(instruction)}"
    return texts


def _show(instruction: Instr) -> str:
    simple = [str(a) for a in instruction.args if isinstance(a, (int, str))]
    return " ".join([instruction.name, *simple])
