"""One function's instructions, copied, with what logs them put around them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from ....compiler.format.isa import Site
from ....compiler.format.types import is_reference
from ....compiler.wasm.check import SUPPORTED_INSTRUCTIONS
from ....compiler.wasm.heap_types import CAST_BRANCHES, HEAP_INSTRUCTIONS, HEAP_WRITES
from ....compiler.wasm.module import BLOCKS, Function, FuncType, Instr, Module, ValType
from ....compiler.wasm.opcodes import ACCESS_WIDTH, ATOMICS, STORES
from ....compiler.wasm.simd import SIMD_ACCESS_WIDTH, SIMD_STORES, V128
from ....compiler.wasm.stack_types import Top
from .object_writes import keep_written, operands_of
from .observed import nullable, reference_bits
from .record import BULK_SLOT, LOG_BYTES, MEMORY_SPACE, NOT_COMPILED, Added

_NOT_A_SITE = 0xFFFFFFFF  # INDIRECT holds 0: no call_indirect in progress; this: one that is not recorded; site + 1
_BULK = frozenset({"memory.copy", "memory.fill", "memory.init", "table.copy", "table.fill", "table.init"})
_DROPS = frozenset({"data.drop", "elem.drop"})
_MAY_TRAP = frozenset(
    name for name in SUPPORTED_INSTRUCTIONS
    if (".div" in name and name[0] == "i") or ".rem" in name or (".trunc_f" in name and name[0] == "i")
) | {*ACCESS_WIDTH, *SIMD_ACCESS_WIDTH} | set(ATOMICS) - {"atomic.fence"} | _BULK | {
    "table.get", "table.set", "unreachable", "call", "call_indirect", "return_call", "return_call_indirect", "call_ref",
    "return_call_ref", "ref.as_non_null", "throw_ref", "ref.cast", "i31.get_s", "i31.get_u",
} | {name for name in HEAP_INSTRUCTIONS if name.startswith(("struct.", "array."))}  # fmt: skip
_LANES = {1: "i8x16.extract_lane_u", 2: "i16x8.extract_lane_u", 4: "i32x4.extract_lane", 8: "i64x2.extract_lane"}
_SAVED = 5  # which scratch local of type i32 holds a function's frame sum
_TRANSFERS = frozenset(
    {"br", "br_if", "br_table", "if", "return", "return_call", "call", "throw", "throw_ref", "block", "loop", "else", "end"}
)


@dataclass(frozen=True)
class Found:
    """What the bodies add up to, see `Instrumented`. names: of all instructions in the module."""

    stops: list[tuple[int, int, str]]
    references: set[int]
    names: Collection[str]


class InstrumentedBody:
    """One function's new body: instructions are copied, and what logs them is put around them."""

    def __init__(self, module: Module, added: Added, index: int, frame_limit: int, found: Found):
        function = module.functions[index]
        self.module, self.added, self.index, self.frame_limit, self.found = module, added, index, frame_limit, found
        self.types = function.type.params + function.locals
        self.locals = function.locals
        self.out: list[Instr] = []
        self.origins: list[int] = []
        self._origin = -1
        self._saved: int | None = None  # the local with the frame sum of this function, in modules that catch exceptions
        self._landings: set[int] = set()  # instructions behind which a handler may have brought an exception
        self._scratch: dict[tuple[ValType, int], int] = {}
        self._tails = "return_call_indirect" in found.names or "return_call_ref" in found.names

    def begin(self, function: Function) -> None:
        """Before the first instruction. What an exception has passed on its way has not taken its frames off the sum."""
        if "try_table" in self.found.names:
            self._saved = self.scratch("i32", _SAVED)
            self._landings = landings(function.body)
            self.emit(("global.get", self.added.frames), ("local.set", self._saved))

    def emit(self, *instrs: tuple | Instr) -> None:
        for i in instrs:
            self.out.append(i if isinstance(i, Instr) else Instr(i[0], i[1:]))
            self.origins.append(self._origin)

    def scratch(self, type_: ValType, which: int = 0) -> int:
        """A fresh local of this type; the same one for the same `which`."""
        if (type_, which) not in self._scratch:
            self._scratch[type_, which] = len(self.types) + len(self._scratch)
            self.locals = (*self.locals, type_)
        return self._scratch[type_, which]

    def log(
        self, site: int, value: Sequence[tuple], type_: ValType, address: Sequence[tuple] = (), half: int = 0
    ) -> None:
        """Logs what the code `value` leaves on the stack. half: which one of a vector, 0 for the low one."""
        self.emit(*(address or [("i32.const", 0)]), *value)
        if type_ == "i32":
            self.emit(("i64.extend_i32_u",))
        elif type_ == "f32":
            self.emit(("i32.reinterpret_f32",), ("i64.extend_i32_u",))
        elif type_ == "f64":
            self.emit(("i64.reinterpret_f64",))
        elif type_ == V128:
            self.emit(("i64x2.extract_lane", half))
        elif is_reference(type_):
            self.found.references.add(site)
            self.emit(*reference_bits(type_, self.scratch(nullable(type_), 8)), ("i64.extend_i32_u",))
        elif type_ != "i64":
            raise ValueError(f"a value of type {type_} cannot be logged")
        self.emit(("i32.const", _signed32(site)), ("call", self.added.log))

    def read_range(self, site: int, space: int, start: Sequence[tuple], length: Sequence[tuple]) -> None:
        """Logs a range that was written; the host reads what stands there now."""
        self.emit(("i32.const", space), *start, *length)
        self.emit(("i32.const", BULK_SLOT), ("call_indirect", self.added.bulk_type, self.added.table))
        self.log(site, length, "i32", start)

    def say_reached(self) -> None:
        """Prologue of a function that a table may hold: a call_indirect in progress has found its callee here."""
        indirect = self.added.indirect
        self.emit(("global.get", indirect), ("if", FuncType()))
        self.emit(("global.get", indirect), ("i32.const", -1), ("i32.ne",), ("if", FuncType()))
        site = [("global.get", indirect), ("i32.const", 1), ("i32.sub",)]
        self.emit(("i32.const", 0), ("i64.const", self.index), *site, ("call", self.added.log), ("end",))
        self.emit(("i32.const", 0), ("global.set", indirect), ("end",))

    def say_unknown(self) -> None:
        """Behind a call: what an indirect call in progress has entered, in tail position or not, was none of the module's."""
        indirect = self.added.indirect
        self.emit(
            ("global.get", indirect),
            ("i32.const", 1),
            ("i32.add",),
            ("i32.const", 1),
            ("i32.gt_u",),
            ("if", FuncType()),
        )
        self.emit(("i32.const", 0), ("i64.const", -2), ("global.get", indirect), ("i32.const", 1), ("i32.sub",))
        self.emit(("call", self.added.log), ("end",), ("i32.const", 0), ("global.set", indirect))

    def check_frames(self, *frames: tuple) -> None:
        self.emit(*frames, ("i32.const", self.frame_limit), ("i32.ge_u",), ("if", FuncType()))
        self.stop("stack_exhausted")
        self.emit(("end",))

    def stop(self, trap: str) -> None:
        self.mark(trap)
        self.emit(("unreachable",))

    def mark(self, trap: str = "") -> None:
        """Says what is about to run."""
        self.found.stops.append((self.index, self._origin, trap))
        self.emit(("i32.const", len(self.found.stops)), ("global.set", self.added.stopped))

    def left_out(self) -> Function:
        """A function that the compiler does not know how to compile, so that nothing compiled calls it."""
        self.stop(NOT_COMPILED)
        function = self.module.functions[self.index]
        return replace(function, locals=(), body=(*self.out, Instr("end")))

    def call_done(self, delta: int) -> None:
        """The frame sum is again what it was before the call."""
        if self._saved is None:
            self.move_frames(-delta)
        else:
            self.emit(("local.get", self._saved), ("global.set", self.added.frames))

    def move_frames(self, delta: int) -> None:
        frames = self.added.frames
        self.emit(("global.get", frames), ("i32.const", delta), ("i32.add",), ("global.set", frames))

    def copy(self, origin: int, instr: Instr, top: Top, sites: list[tuple[int, Site]], delta: int | None) -> None:
        self._copy(origin, instr, top, sites, delta)
        if origin in self._landings:
            self._origin = -1
            self.call_done(0)
            self.say_unknown()

    def _copy(self, origin: int, instr: Instr, top: Top, sites: list[tuple[int, Site]], delta: int | None) -> None:
        self._origin = origin
        if not top.live:  # cannot be executed; and its operands have no types to keep
            self.emit(instr)
            return
        name = instr.name
        if name in ("call_indirect", "return_call_indirect", "call_ref", "return_call_ref"):
            self.mark()
            self._call_indirect(instr, sites, delta)
            return
        if delta is not None:
            if name == "call":
                self.move_frames(delta)
                self.check_frames(("global.get", self.added.frames))
            else:  # one instruction here, a routine of its own in the model
                self.check_frames(("global.get", self.added.frames), ("i32.const", delta), ("i32.add",))
        if name in _MAY_TRAP and name != "unreachable":
            self.mark()
        if name == "throw_ref" and top.before is not None:  # null traps before anything is logged
            value = self.scratch(top.before)
            self.emit(("local.tee", value), ("ref.as_non_null",), ("drop",), ("local.get", value))
        before = [s for s in sites if s[1].record in ("branch", "br_table") or (name in _TRANSFERS and _passing(s[1]))]
        after = [s for s in sites if s not in before]
        for number, site in before:
            self._before(number, site, instr, top)
        if name == "unreachable":
            self.stop("unreachable")
        elif not after:
            self.emit(instr)
        elif name in STORES:
            self._store(instr, after)
        elif name in SIMD_STORES:
            self._store_vector(instr, after)
        elif name in _BULK or name == "table.set":
            self._bulk(instr, after)
        elif ".atomic.store" in name:
            self._atomic_store(instr, after)
        elif name in HEAP_WRITES:
            self._heap_write(instr, after)
        elif name in ("memory.grow", "table.grow") and after[0][1].record == "value":
            type_: ValType = "i64" if self._wide(instr) else "i32"
            delta, value = self.scratch(type_, 4), self.scratch(type_)
            self.emit(("local.tee", delta), instr, ("local.tee", value))
            for number, _ in after:
                self.log(number, [("local.get", value)], type_, self._narrow(delta, type_))
        else:
            self._wait(instr) if ".atomic.wait" in name else self.emit(instr)
            for number, site in after:
                self._value(number, site, instr, top)
        if name == "call":
            if self._tails:
                self.say_unknown()
            if delta is not None:
                self.call_done(delta)

    def _before(self, number: int, site: Site, instr: Instr, top: Top) -> None:
        if site.record == "branch" and instr.name.startswith("br_on") and top.before is not None:
            reference = self.scratch(top.before)
            self.emit(("local.tee", reference))
            null = [("local.get", reference), ("ref.is_null",)]
            if instr.name in CAST_BRANCHES:
                asked = [("local.get", reference), ("ref.test", instr.args[2])]
                self.log(number, asked if instr.name == "br_on_cast" else [*asked, ("i32.eqz",)], "i32")
            else:
                self.log(number, null if instr.name == "br_on_null" else [*null, ("i32.eqz",)], "i32")
            return
        if site.record == "branch" and instr.name in ("br_if", "if"):
            condition = self.scratch("i32")
            self.emit(("local.tee", condition))
            self.log(number, [("local.get", condition), ("i32.const", 0), ("i32.ne",)], "i32")
        elif site.record == "br_table" and instr.name == "br_table":
            index, labels = self.scratch("i32"), len(instr.args[0])
            self.emit(("local.tee", index))
            bound = [("i32.const", labels), ("local.get", index), ("i32.const", labels), ("i32.lt_u",), ("select",)]
            self.log(number, [("local.get", index), *bound], "i32")
        elif _passing(site):
            self.log(number, [("i32.const", 0)], "i32")
        else:
            raise _refusal(site, instr)

    def _value(self, number: int, site: Site, instr: Instr, top: Top) -> None:
        if _passing(site):
            self.log(number, [("i32.const", 0)], "i32")
            return
        if site.record == "bulk" and instr.name in _DROPS:
            self.read_range(number, MEMORY_SPACE, [("i32.const", 0)], [("i32.const", 0)])
            return
        if site.record not in ("value", "high_value") or instr.name in ("end", "else"):
            raise _refusal(site, instr)
        # Of a call's results it is the last value, which is the high half of a vector.
        half = int(site.record == "high_value" or instr.name == "call")
        if instr.name in ("local.get", "local.set", "local.tee"):
            (local,) = instr.args
            self.log(number, [("local.get", local)], self.types[local], half=half)
        elif instr.name in ("global.get", "global.set"):
            (index,) = instr.args
            self.log(number, [("global.get", index)], self.module.globals[index].type.type, half=half)
        elif top.top is not None:
            value = self.scratch(top.top)
            self.emit(("local.tee", value))
            self.log(number, [("local.get", value)], top.top, half=half)
        else:
            raise _refusal(site, instr)

    def _wide(self, instr: Instr, which: int = 0) -> bool:
        """Whether the memory or table of an instruction has 64-bit addresses. which: of a copy, where to and where from."""
        if instr.name.startswith("table."):
            return self.module.tables[instr.args[which + (instr.name == "table.init")]].limits.wide
        first = 2 if instr.name in (*ACCESS_WIDTH, *SIMD_ACCESS_WIDTH, *ATOMICS) else int(instr.name == "memory.init")
        args = instr.args[:-1] if instr.name.endswith("_lane") else instr.args
        index = args[first + which] if len(args) > first + which else 0
        return self.module.memories[index].wide

    @staticmethod
    def _narrow(local: int, type_: ValType) -> list[tuple]:
        """Code for the lower half of an address."""
        return [("local.get", local), *([("i32.wrap_i64",)] if type_ == "i64" else [])]

    def _store(self, instr: Instr, sites: list[tuple[int, Site]]) -> None:
        type_, width = instr.name.split(".")[0], ACCESS_WIDTH[instr.name]
        wide: ValType = "i64" if self._wide(instr) else "i32"
        address, value = self.scratch(wide, 1), self.scratch(type_)
        self.emit(("local.set", value), ("local.tee", address), ("local.get", value), instr)
        effective = [*self._narrow(address, wide), ("i32.const", _signed32(instr.args[1] % 2**32)), ("i32.add",)]
        stored: list[tuple] = [("local.get", value)]
        if width < (8 if type_ in ("i64", "f64") else 4):
            stored += [(f"{type_}.const", 256**width - 1), (f"{type_}.and",)]
        for number, site in sites:
            if _passing(site):
                self.log(number, [("i32.const", 0)], "i32")
            elif site.record == "store":
                self.log(number, stored, type_, effective)
            else:
                raise _refusal(site, instr)

    def _store_vector(self, instr: Instr, sites: list[tuple[int, Site]]) -> None:
        """v128.store, and the stores of a lane."""
        width = SIMD_ACCESS_WIDTH[instr.name]
        wide: ValType = "i64" if self._wide(instr) else "i32"
        address, value = self.scratch(wide, 1), self.scratch(V128)
        self.emit(("local.set", value), ("local.tee", address), ("local.get", value), instr)
        for number, site in sites:
            half = int(site.record == "high_store")
            offset = _signed32((instr.args[1] + 8 * half) % 2**32)
            effective = [*self._narrow(address, wide), ("i32.const", offset), ("i32.add",)]
            stored: list[tuple] = [("local.get", value)]
            if width < 16:
                stored.append((_LANES[width], instr.args[-1]))
            type_ = V128 if width == 16 else "i64" if width == 8 else "i32"
            self.log(number, stored, type_, effective, half=half)

    def _atomic_store(self, instr: Instr, sites: list[tuple[int, Site]]) -> None:
        """As the writing of a range, which its routine does in the model."""
        wide: ValType = "i64" if self._wide(instr) else "i32"
        address, value = self.scratch(wide, 1), self.scratch(instr.name[:3])
        self.emit(("local.set", value), ("local.tee", address), ("local.get", value), instr)
        effective = [*self._narrow(address, wide), ("i32.const", _signed32(instr.args[1] % 2**32)), ("i32.add",)]
        space = MEMORY_SPACE - (instr.args[2] if len(instr.args) > 2 else 0)
        for number, site in sites:
            if site.record != "bulk":
                raise _refusal(site, instr)
            self.read_range(number, space, effective, [("i32.const", ATOMICS[instr.name])])

    def _heap_write(self, instr: Instr, sites: list[tuple[int, Site]]) -> None:
        """Copies the fields or elements that it has written behind the log, where the host reads them."""
        operands = operands_of(self, instr)
        for local in reversed(operands[1:]):
            self.emit(("local.set", local))
        self.emit(("local.tee", operands[0]), *(("local.get", local) for local in operands[1:]), instr)
        for number, site in sites:
            if site.record != "bulk":
                raise _refusal(site, instr)
            length = keep_written(self, instr, operands)
            self.read_range(number, MEMORY_SPACE - self.added.memory, [("i32.const", LOG_BYTES)], [("local.get", length)])

    def _wait(self, instr: Instr) -> None:
        """On a shared memory, which here is none, as one thread sees it; on another the instruction traps by itself."""
        memory = self.module.memories[instr.args[2] if len(instr.args) > 2 else 0]
        if not memory.shared:
            self.emit(instr)
            return
        type_: ValType = f"i{instr.name[-2:]}"
        expected, timeout = self.scratch(type_, 6), self.scratch("i64", 7)
        self.emit(("local.set", timeout), ("local.set", expected), (f"{type_}.atomic.load", *instr.args))
        self.emit(("local.get", expected), (f"{type_}.ne",), ("if", FuncType((), ("i32",))), ("i32.const", 1), ("else",))
        self.emit(("local.get", timeout), ("i64.const", 0), ("i64.lt_s",), ("if", FuncType()))
        self.stop("endless_wait")
        self.emit(("end",), ("i32.const", 2), ("end",))

    def _bulk(self, instr: Instr, sites: list[tuple[int, Site]]) -> None:
        """memory.* and table.* that write a range; table.set writes a range of one."""
        if instr.name in ("table.fill", "table.set"):
            last: ValType = self.module.tables[instr.args[0]].element
        else:
            last = "i32"
        kinds = self._range_types(instr)
        if instr.name not in ("table.fill", "table.set"):
            last = kinds[1]
        start, middle, length = self.scratch(kinds[0], 1), self.scratch(last, 2), self.scratch(kinds[2], 3)
        if instr.name == "table.set":
            self.emit(("i32.const", 1), ("local.set", length), ("local.set", middle), ("local.tee", start))
            self.emit(("local.get", middle), instr)
        else:
            self.emit(("local.set", length), ("local.set", middle), ("local.tee", start))
            self.emit(("local.get", middle), ("local.get", length), instr)
        if instr.name.startswith("memory."):
            place = int(instr.name == "memory.init")  # where it says which memory is written
            space = MEMORY_SPACE - (instr.args[place] if len(instr.args) > place else 0)
        else:
            space = instr.args[1] if instr.name == "table.init" else instr.args[0]
        for number, site in sites:
            if site.record == "bulk":
                self.read_range(number, space, self._narrow(start, kinds[0]), self._narrow(length, kinds[2]))
            elif _passing(site):
                self.log(number, [("i32.const", 0)], "i32")
            elif instr.name == "table.set" and site.record == "value":
                self.log(number, [("local.get", middle)], last)
            elif instr.name == "table.set" and site.record == "store":
                self.log(number, [("local.get", middle)], last, self._narrow(start, kinds[0]))
            else:
                raise _refusal(site, instr)

    def _range_types(self, instr: Instr) -> tuple[ValType, ValType, ValType]:
        """Of the operands of an instruction that writes a range; the second one may be a reference instead."""
        to: ValType = "i64" if self._wide(instr) else "i32"
        if instr.name.endswith(".fill"):
            return to, "i32", to
        if instr.name.endswith((".init", ".set")):
            return to, "i32", "i32"
        from_: ValType = "i64" if self._wide(instr, 1) else "i32"
        return to, from_, "i64" if (to, from_) == ("i64", "i64") else "i32"

    def _call_indirect(self, instr: Instr, sites: list[tuple[int, Site]], delta: int | None) -> None:
        """Which function this is, the callee says (`say_reached`): it is called only when no trap came before."""
        if len(sites) > 1 or (sites and not _passing(sites[0][1])):
            raise _refusal(sites[0][1], instr)
        if delta is not None and instr.name == "call_ref":
            self.move_frames(delta)
            self.check_frames(("global.get", self.added.frames))
        elif delta is not None:
            # In the model the reference is read from the table first, then the frame is checked, then the reference.
            type_: ValType = "i64" if self.module.tables[instr.args[1]].limits.wide else "i32"
            index = self.scratch(type_)
            self.move_frames(delta)
            self.emit(("local.tee", index), ("local.get", index), ("table.size", instr.args[1]), (f"{type_}.lt_u",))
            self.emit(("if", FuncType()))
            self.check_frames(("global.get", self.added.frames))
            self.emit(("end",))
        # The operands are evaluated by now, so nothing else is called before the callee.
        number = sites[0][0] + 1 if sites else _NOT_A_SITE
        self.emit(("i32.const", _signed32(number)), ("global.set", self.added.indirect), instr)
        if instr.name.startswith("return"):
            return
        # A function of another module says nothing (unless it calls back, which then says it): that one is not known.
        if self._tails:
            self.say_unknown()
        elif sites:
            self.emit(("global.get", self.added.indirect), ("if", FuncType()), ("i32.const", 0), ("i64.const", -2))
            self.emit(("i32.const", _signed32(sites[0][0])), ("call", self.added.log), ("end",))
        self.emit(("i32.const", 0), ("global.set", self.added.indirect))
        if delta is not None:
            self.call_done(delta)


def _passing(site: Site) -> bool:
    return site.record in ("control", "host", "throw")


def landings(body: Sequence[Instr]) -> set[int]:
    """Instructions behind which a handler of a try_table may go on: the `end` of a block, or a `loop`. (One that branches to
    the function's end leaves it.)"""
    opened: list[tuple[int, bool]] = [(-1, False)]  # of each open block: its first instruction, whether a handler goes to it
    found: set[int] = set()
    for at, instr in enumerate(body):
        if instr.name in BLOCKS:
            for handler in instr.args[1] if instr.name == "try_table" else ():
                opened[-1 - handler[-1]] = (opened[-1 - handler[-1]][0], True)
            opened.append((at, False))
        elif instr.name == "end":
            first, caught = opened.pop()
            if caught and first >= 0:
                found.add(first if body[first].name == "loop" else at)
    return found


def _refusal(site: Site, instr: Instr) -> ValueError:
    return ValueError(
        f"function {site.function}, instruction {site.instruction}: {instr.name} cannot be logged as {site.record!r}"
    )


def _signed32(value: int) -> int:
    return value - 2**32 if value >= 2**31 else value
