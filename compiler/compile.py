"""The compiler: its passes in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from .checkpoint import Model
from .frontend.check import check, prune
from .frontend.module import Instr, Module
from .frontend.source import Source, load
from .graph.build import build
from .link.layout import MAXIMUM_PAGES
from .link.link import link, provided_imports
from .link.linked import LinkedModule
from .link.routines import standard_libraries
from .link.stubs import extended, trapping
from .machine.assemble import Assembly, assemble
from .machine.machine import machine
from .steps.isa import Program
from .steps.lower import lower


def compile(
    source: str | bytes | Path | Source,
    opt_level: int = 1,
    exports: Sequence[str] | None = None,
    libraries: Mapping[str, str | bytes] | None = None,
    max_memory_pages: int | None = None,
    unknown_imports_trap: bool = False,
) -> Model:
    """Compiles a WebAssembly module into a transformer that executes it.

    source: WAT text, WASM bytes, or the path of a file with either (or C). opt_level: 0 (one step for each instruction)
    or 1 (operands folded, comparisons fused). exports: only what these exported functions reach is compiled (None: all of
    them). libraries: modules (WAT or WASM) that provide imports, by module name; they are linked in. max_memory_pages:
    memory.grow beyond so many pages of 64 KiB gives -1 (1 to 1,024, the default), as beyond a declared maximum. The fewer,
    the longer the sequences for which real softmax is exact. unknown_imports_trap: an imported function that nobody
    provides is no reason to refuse the module; calling it traps.

    Raises CompileError with every reason when the module cannot be compiled exactly.
    """
    program, module = compile_steps(source, opt_level, exports, libraries, max_memory_pages, unknown_imports_trap)
    return realise(program, module)


def compile_steps(
    source: str | bytes | Path | Source,
    opt_level: int = 1,
    exports: Sequence[str] | None = None,
    libraries: Mapping[str, str | bytes] | None = None,
    max_memory_pages: int | None = None,
    unknown_imports_trap: bool = False,
) -> tuple[Program, Module]:
    """The front half: from the source to the step program, and the decoded module it was made from."""
    if opt_level not in (0, 1):
        raise ValueError(f"opt_level is 0 or 1, not {opt_level}")
    if max_memory_pages is not None and not 1 <= max_memory_pages <= MAXIMUM_PAGES:
        raise ValueError(f"max_memory_pages is 1 to {MAXIMUM_PAGES}, not {max_memory_pages}")
    if not isinstance(source, Source):
        source = load(source)
    provided = {name: load(text).module for name, text in (libraries or {}).items()}
    if unknown_imports_trap:
        known = {**standard_libraries(), **provided}
        stubs = trapping(source.module, provided_imports(provided))
        provided |= {name: extended(known.get(name, Module()), stub) for name, stub in stubs.items()}
    selection = check(source.module, exports, provided_imports(provided))
    linked: LinkedModule = link(prune(source.module, selection), provided, exports, max_memory_pages)
    return lower(linked, opt_level), source.module


def realise(program: Program, module: Module) -> Model:
    """The back half: from the step program to weights."""
    assembly: Assembly = assemble(program)
    transformer = build(machine(assembly))
    first_input = len(assembly.segments)
    return Model(
        transformer,
        program,
        jumps=[(jump.delta, jump.frame) for jump in assembly.jumps],
        entries=assembly.entries,
        inputs={name: first_input + k for k, name in enumerate(assembly.inputs)},
        texts=_texts(program, module),
    )


def _texts(program: Program, module: Module) -> dict[int, str]:
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
