"""Components (WASI 0.2): the one core module of a command that was compiled for WASI.

Tools make a component out of a core module by adding modules of their own, named "wit-component:...": an adapter that
implements WASI preview 1 by the interfaces of WASI 0.2, and two that connect the others. They are left out, as WASI is here
itself. Components of anything else (several programs linked together, composed components) are refused.

Source: the Component Model's binary format, sections 1 (core module) and 4 (component).
"""

from __future__ import annotations

from collections.abc import Iterator

from ..format.errors import CompileError
from ..format.printable import printable
from .opcodes import MAGIC
from .reader import Reader

LAYER = b"\x0d\0\1\0"  # behind MAGIC, where a core module has its version
_CORE_MODULE, _COMPONENT = 1, 4
_ADDED = ("wit-component:shim", "wit-component:fixups", "wit-component:adapter:wasi_snapshot_preview1")
# How newer versions of the tools call the first two.
_NEWER = ("wit-component-shim-module", "wit-component-fixup")


def is_component(wasm: bytes) -> bool:
    return wasm[:8] == MAGIC + LAYER


def core_module(wasm: bytes) -> bytes:
    """The program inside of a component. Raises CompileError for a component without one, or with several."""
    modules = list(_modules(wasm))
    own = [module for module in modules if _name(module) not in (*_ADDED, *_NEWER)]
    if not modules:
        raise CompileError("a component without a core module: there is nothing to compile")
    if len(own) != 1:
        names = ", ".join(printable(_name(m)) or "one without a name" for m in own[:8]) or "only adapters"
        more = ", ..." if len(own) > 8 else ""
        raise CompileError(
            f"a component of {len(own)} core modules ({names}{more}): one is supported, with what tools add to it for WASI; "
            "compile the program to a core module (target wasm32-wasip1), or take one out (wasm-tools component unbundle)"
        )
    return own[0]


def _modules(wasm: bytes) -> Iterator[bytes]:
    """The core modules, also those of the components inside."""
    reader = Reader(wasm, len(MAGIC) + len(LAYER))
    while reader.position < reader.end:
        section, part = reader.byte(), reader.part()
        content = wasm[part.position : part.end]
        if section == _CORE_MODULE:
            yield content
        elif section == _COMPONENT:
            yield from _modules(content)


def _name(module: bytes) -> str:
    """What its custom section "name" calls it, "" for nothing."""
    reader = Reader(module, len(MAGIC) + 4)
    while reader.position < reader.end:
        section, part = reader.byte(), reader.part()
        if section == 0 and part.name() == "name" and part.position < part.end and part.byte() == 0:
            return part.part().name()
    return ""
