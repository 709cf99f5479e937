"""compiler.link: linked modules, run by wasmtime with the intrinsics as Python functions, behave as the originals."""

from __future__ import annotations

import itertools
import random
import struct
from dataclasses import replace

import pytest
import wasmtime

from wasm2xformer.compiler.compile import compile_steps
from wasm2xformer.compiler.format.errors import CompileError
from wasm2xformer.compiler.format.isa import TRAPS
from wasm2xformer.compiler.format.limits import pages_of
from wasm2xformer.compiler.link.libraries import provided_imports
from wasm2xformer.compiler.link.link import link
from wasm2xformer.compiler.options import CompileOptions
from wasm2xformer.compiler.wasm.decode import decode
from wasm2xformer.compiler.wasm.encode import encode
from wasm2xformer.compiler.wasm.module import Export, Function, FuncType, GlobalType, Import, Instr, Limits


class Trapped(Exception):
    """A trap, by wasmtime's words."""


class Exited(Exception):
    pass


ENGINE = wasmtime.Engine()
REFERENCES = ("funcref", "externref")


class LinkedInstance:
    """A linked module in wasmtime. Tables live in hidden memory, so instructions on them become host calls too."""

    def __init__(self, linked, stdin=b"", args=(), environ=()):
        self.linked = linked
        self.store = wasmtime.Store(ENGINE)
        self.hidden = bytearray(linked.hidden_bytes)
        self.output = {"stdout": bytearray(), "stderr": bytearray()}
        i32 = wasmtime.GlobalType(wasmtime.ValType.i32(), True)
        registers = {**linked.registers, **self._fill_inputs(stdin, args, environ)}
        self.registers = {name: wasmtime.Global(self.store, i32, _signed(v)) for name, v in registers.items()}
        self.host: list[tuple[FuncType, object]] = []
        binary = encode(self._runnable())
        imports = [self._provide(i) for i in self.imports]
        self.instance = wasmtime.Instance(self.store, wasmtime.Module(ENGINE, binary), imports)
        self.exports = self.instance.exports(self.store)
        self.memory = self.exports["memory"]
        for segment in linked.segments:
            if segment.hidden:
                self.hidden[segment.address : segment.address + len(segment.bytes)] = segment.bytes
            else:
                self.memory.write(self.store, segment.bytes, segment.address)
        for function in linked.start:
            self.call(f"f{function}")

    def _fill_inputs(self, stdin, args, environ):
        strings = {"args": [a.encode() for a in args], "environ": [f"{k}={v}".encode() for k, v in environ]}
        areas = {"stdin": stdin, "clock": b"", "files": b"", **{k: b"".join(s + b"\0" for s in v) for k, v in strings.items()}}
        for name, (offset, capacity) in self.linked.inputs.items():
            assert len(areas[name]) <= capacity
            self.hidden[offset : offset + len(areas[name])] = areas[name]
        values = {"stdin_length": len(stdin), "files_bytes": 0, "clock_seconds": 1_700_000_000, "clock_nanoseconds": 0}
        for name, items in strings.items():
            values |= {f"{name}_count": len(items), f"{name}_bytes": len(areas[name])}
        return {name: values[name] for name in self.linked.input_registers(range(len(self.linked.module.functions)))}

    def invoke(self, name, *args):
        return self.call(f"f{self.linked.exports[name]}", *args)

    def call(self, name, *args):
        try:
            result = self.exports[name](self.store, *args)
        except wasmtime.Trap as trap:
            raise Trapped(trap_text(trap)) from None
        return result if isinstance(result, list) else [] if result is None else [result]

    def register(self, name):
        return self.registers[name].value(self.store) & 0xFFFFFFFF

    # The linked module in valid WASM: references are i32, and what is left of tables is done by the host.

    def _runnable(self):
        module = self.linked.module
        self.imports = [replace(i, desc=_types(i.desc)) for i in module.imports]
        globals_ = list(module.globals)
        bodies = [f.body and tuple(self._body(f.body)) for f in module.functions]
        first = sum(f.imported is not None for f in module.functions)
        added = [Import("host", str(i), "func", type) for i, (type, _) in enumerate(self.host)]
        shift = len(added)

        def moved(instruction):
            if instruction.name == "call":
                index = instruction.args[0]
                # host functions are numbered from -1 downwards until their number is known
                index = first - 1 - index if index < 0 else index + shift * (index >= first)
                return Instr("call", (index,))
            return instruction

        functions = [
            replace(f, type=_types(f.type), locals=tuple(map(_type, f.locals)), body=tuple(map(moved, body)))
            for f, body in zip(module.functions, bodies, strict=True)
        ]
        functions[first:first] = [Function(i.desc, imported=i) for i in added]
        self.imports += added
        exports = [Export("memory", "memory", 0)]
        exports += [Export(f"f{i}", "func", i) for i in range(first)]
        exports += [Export(f"f{i - shift}", "func", i) for i in range(first + shift, len(functions))]
        for index, entry in enumerate(globals_):
            type = GlobalType(_type(entry.type.type), entry.type.mutable)
            init = tuple(map(self._reference, entry.init))
            globals_[index] = replace(entry, type=type, init=init)
        exports += [Export(f"g{i}", "global", i) for i in range(len(globals_))]
        return replace(
            module,
            types=tuple(map(_types, module.types)),
            functions=tuple(functions),
            tables=(),
            memories=(Limits(self.linked.memory_pages, max(1, self.linked.memory_maximum)),),
            globals=tuple(globals_),
            exports=tuple(exports),
            elements=(),
            imports=tuple(self.imports),
        )

    def _host(self, type, function):
        """A call of a Python function."""
        self.host.append((type, function))
        return Instr("call", (-len(self.host),))

    def _reference(self, instruction):
        if instruction.name == "ref.func":
            values = {f: value for value, f in self.linked.references.items()}
            return Instr("i32.const", (values[instruction.args[0]],))
        if instruction.name == "ref.null":
            return Instr("i32.const", (0,))
        return Instr("i32.eqz") if instruction.name == "ref.is_null" else instruction

    def _body(self, body):
        i32 = ("i32",)
        module = self.linked.module
        for instruction in body:
            name, args = instruction.name, instruction.args
            if name == "table.get":
                yield self._host(FuncType(i32, i32), lambda i, t=args[0]: self._element(t, i))
            elif name == "table.set":
                yield self._host(FuncType(("i32", "i32")), lambda i, v, t=args[0]: self._set_element(t, i, v))
            elif name == "table.size":
                register = self.linked.tables[args[0]].size_register
                yield self._host(FuncType((), i32), lambda r=register: self.register(r))
            elif name == "memory.size":
                yield self._host(FuncType((), i32), lambda: pages_of(self.register("memory_bytes")))
            elif name == "call_indirect":
                type = _types(module.types[args[0]])
                yield self._host(
                    FuncType((*type.params, "i32"), type.results),
                    lambda *a, t=args[1], wanted=module.types[args[0]]: self._call_indirect(t, wanted, a),
                )
            elif name in ("block", "loop", "if"):
                yield Instr(name, (_types(args[0]),))
            elif name == "select":
                yield Instr(name, tuple(map(_type, args)))
            else:
                yield self._reference(instruction)
            if name == "global.set" and self.linked.register_globals.get(args[0]) == "memory_bytes":
                yield self._host(FuncType(), self._resize)

    def _provide(self, entry):
        if entry.kind == "global":
            return self.registers[entry.name]
        type = wasmtime.FuncType(
            [getattr(wasmtime.ValType, t)() for t in entry.desc.params],
            [getattr(wasmtime.ValType, t)() for t in entry.desc.results],
        )
        if entry.module == "host":
            return wasmtime.Func(self.store, type, self.host[int(entry.name)][1])
        return wasmtime.Func(self.store, type, self._intrinsic(entry.name))

    def _intrinsic(self, name):
        hidden = self.hidden

        def load(size):
            return lambda a: _signed(int.from_bytes(hidden[a & 0xFFFFFFFF : (a & 0xFFFFFFFF) + size], "little"))

        def store(size):
            def write(a, v):
                hidden[a & 0xFFFFFFFF : (a & 0xFFFFFFFF) + size] = (v & (1 << 8 * size) - 1).to_bytes(size, "little")

            return write

        if name.startswith("trap_"):
            return lambda: self._trap(name[5:])
        if name == "exit":
            return self._exit
        if name in self.output:
            return lambda byte: self.output[name].append(byte & 0xFF)
        return {
            "hidden_load8": load(1), "hidden_load32": load(4), "hidden_store8": store(1), "hidden_store32": store(4),
        }[name]  # fmt: skip

    def _trap(self, kind):
        raise Trapped(TRAPS[kind])

    def _exit(self, status):
        raise Exited(status)

    def _resize(self):
        pages = pages_of(self.register("memory_bytes")) - self.memory.size(self.store)
        if pages:
            self.memory.grow(self.store, pages)

    def _address(self, table, index):
        layout = self.linked.tables[table]
        if index & 0xFFFFFFFF >= self.register(layout.size_register):
            self._trap("table_out_of_bounds")
        return layout.offset + 4 * (index & 0xFFFFFFFF)

    def _element(self, table, index):
        address = self._address(table, index)
        return int.from_bytes(self.hidden[address : address + 4], "little")

    def _set_element(self, table, index, value):
        address = self._address(table, index)
        self.hidden[address : address + 4] = value.to_bytes(4, "little")

    def _call_indirect(self, table, wanted, args):
        reference = self._element(table, args[-1])
        if not reference:
            self._trap("null_reference")
        function = self.linked.references[reference]
        if self.linked.module.functions[function].type != wanted:
            self._trap("type_mismatch")
        result = self.call(f"f{function}", *args[:-1])
        return result if len(result) > 1 else result[0] if result else None


def _signed(value):
    return value - (1 << 32) if value >> 31 & 1 else value


def _type(name):
    return "i32" if name in REFERENCES else name


def _types(type):
    if isinstance(type, FuncType):
        return FuncType(tuple(map(_type, type.params)), tuple(map(_type, type.results)))
    return type


def trap_text(trap):
    text = str(trap).split("wasm trap: ")[-1].split("\n")[0].strip()
    return "undefined element: out of bounds table access" if text == "out of bounds table access" else text


def compile_wat(text):
    return decode(bytes(wasmtime.wat2wasm(text)))


class Original:
    """The module as it is, in wasmtime."""

    def __init__(self, text):
        self.store = wasmtime.Store(ENGINE)
        self.exports = wasmtime.Instance(self.store, wasmtime.Module(ENGINE, text), []).exports(self.store)

    def invoke(self, name, *args):
        try:
            result = self.exports[name](self.store, *args)
        except wasmtime.Trap as trap:
            raise Trapped(trap_text(trap)) from None
        return result if isinstance(result, list) else [] if result is None else [result]


def outcome(instance, name, *args):
    try:
        return instance.invoke(name, *args)
    except Trapped as trap:
        return str(trap)


def both(text, **options):
    return Original(text), LinkedInstance(link(compile_wat(text), **options))


def agree(original, linked, name, *args):
    expected = outcome(original, name, *args)
    assert outcome(linked, name, *args) == expected, (name, args)
    return expected


EDGES = [0, 1, 2, 3, 5, 7, 10, 0xFF, 0xFFFF, 0x10000, 0x10001, 10**9 + 7]
EDGES += [2**k + d for k in (15, 16, 17, 31, 32, 33, 48, 63) for d in (-1, 0, 1)] + [2**64 - 1, 2**64 - 2]


def test_division():
    ops = ("div_u", "div_s", "rem_u", "rem_s")
    functions = "".join(
        f'(func (export "{op}") (param i64 i64) (result i64) (i64.{op} (local.get 0) (local.get 1)))' for op in ops
    )
    original, linked = both(f"(module {functions})", division_routines=True)
    rng = random.Random(1)
    values = [(a, b) for a in EDGES for b in EDGES]
    values += [(rng.getrandbits(rng.randrange(1, 65)), rng.getrandbits(rng.randrange(1, 65))) for _ in range(600)]
    values += [(b * q + d & 2**64 - 1, b) for b in EDGES for q in (1, 3, 2**16, 2**31, 2**32 - 1) for d in (-1, 0, 1)]
    seen = set()
    for a, b in values:
        a, b = (v - (v >> 63 << 64) for v in (a, b))
        for op in ops:
            seen.add(str(agree(original, linked, op, a, b)))
    assert {"integer divide by zero", "integer overflow"} <= seen


MEMORY = """(module (memory (export "memory") 1 3)
  (data $d "\\01\\02\\03the quick brown fox jumps over the lazy dog, twice and thrice and four times")
  (data $active (i32.const 65530) "abcdef")
  (func (export "fill") (param i32 i32 i32) (memory.fill (local.get 0) (local.get 1) (local.get 2)))
  (func (export "copy") (param i32 i32 i32) (memory.copy (local.get 0) (local.get 1) (local.get 2)))
  (func (export "init") (param i32 i32 i32) (memory.init $d (local.get 0) (local.get 1) (local.get 2)))
  (func (export "init_active") (param i32 i32 i32) (memory.init $active (local.get 0) (local.get 1) (local.get 2)))
  (func (export "drop") (data.drop $d))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "size") (result i32) (memory.size))
  (func (export "load") (param i32) (result i64) (i64.load (local.get 0))))"""


def same_memory(original, linked):
    stores = ((original.store, original.exports["memory"]), (linked.store, linked.memory))
    a, b = (bytes(m.read(s, 0, m.data_len(s))) for s, m in stores)
    return a == b


def test_bulk_memory():
    original, linked = both(MEMORY)
    rng = random.Random(2)
    noise = rng.randbytes(400)
    original.exports["memory"].write(original.store, noise, 1000)
    linked.memory.write(linked.store, noise, 1000)
    lengths = [*range(20), 31, 32, 33, 39, 40, 41, 47, 48, 49, 63, 64, 72, 73, 80, 81, 100, 111]
    for n in lengths:
        for distance in {0, 1, 3, 7, 8, 9, 31, 40, n, *(-d for d in (1, 2, 7, 8, 9, 31, 33, 40, n))}:
            at = 1100 + rng.randrange(50)
            agree(original, linked, "copy", at + distance, at, n)
            assert same_memory(original, linked), (n, distance)
        agree(original, linked, "fill", 1500 + n, rng.choice([0, 255, 0x1234, -1]), n)
        agree(original, linked, "init", 2000 + n, rng.randrange(4), n)
        assert same_memory(original, linked), n
    edges = [0, 1, 7, 8, 65535, 65536, 65537, 65529, -1, -8, 2**31 - 1, -(2**31)]
    for _ in range(300):
        name = rng.choice(["fill", "copy", "init", "init_active"])
        agree(original, linked, name, rng.choice(edges), rng.choice(edges), rng.choice(edges))
    assert same_memory(original, linked)
    assert agree(original, linked, "init_active", 0, 0, 1) == "out of bounds memory access"
    agree(original, linked, "drop")
    assert agree(original, linked, "init", 0, 0, 1) == "out of bounds memory access"
    assert agree(original, linked, "init", 65536, 0, 0) == []


def test_memory_grow():
    original, linked = both(MEMORY)
    for pages in (-1, 65536, 3, 0, 1, 2, 0, 1, 1, 0):
        agree(original, linked, "grow", pages)
        agree(original, linked, "size")
        assert linked.register("memory_bytes") == linked.invoke("size")[0] * 65536
        agree(original, linked, "load", 65536)
        agree(original, linked, "load", 2 * 65536 - 8)


@pytest.mark.parametrize(
    ("memory", "given", "maximum"),
    [
        ("0", None, 65536), ("5", None, 65536), ("1 2", None, 2), ("1 500", None, 500), ("1 5000", None, 5000),
        ("0", 1, 1), ("1", 300, 300), ("1 2", 3, 2), ("1 500", 3, 3),
    ],
)  # fmt: skip
def test_how_far_memory_may_grow(memory: str, given: int | None, maximum: int):
    grows = '(func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))'
    linked = link(compile_wat(f"(module (memory {memory}) {grows})"), max_memory_pages=given)
    assert linked.memory_maximum == maximum


TABLES = """(module
  (type $t (func (result i32)))
  (table $a (export "a") 10 20 funcref) (table $b 6 funcref)
  (func $f0 (result i32) (i32.const 100)) (func $f1 (result i32) (i32.const 101))
  (func $f2 (result i32) (i32.const 102))
  (func $other (param i64) (result i64) (local.get 0))
  (global $g funcref (ref.func $f2))
  (elem $active (table $a) (i32.const 1) func $f0 $f1 $other $f2)
  (elem $passive funcref (ref.func $f2) (ref.null func) (ref.func $f1) (ref.func $other) (ref.func $f0))
  (elem $declared declare func $f0)
  (func $ref (param i32) (result funcref)
    (if (result funcref) (i32.eqz (local.get 0)) (then (ref.null func))
      (else (if (result funcref) (i32.eq (local.get 0) (i32.const 1)) (then (ref.func $f0)) (else (global.get $g))))))
  (func (export "call_a") (param i32) (result i32) (call_indirect $a (type $t) (local.get 0)))
  (func (export "call_b") (param i32) (result i32) (call_indirect $b (type $t) (local.get 0)))
  (func (export "is_null") (param i32) (result i32) (ref.is_null (table.get $a (local.get 0))))
  (func (export "set") (param i32 i32) (table.set $b (local.get 0) (call $ref (local.get 1))))
  (func (export "size") (result i32) (table.size $a))
  (func (export "grow") (param i32 i32) (result i32) (table.grow $a (call $ref (local.get 0)) (local.get 1)))
  (func (export "grow_b") (param i32 i32) (result i32) (table.grow $b (call $ref (local.get 0)) (local.get 1)))
  (func (export "fill") (param i32 i32 i32) (table.fill $a (local.get 0) (call $ref (local.get 1)) (local.get 2)))
  (func (export "copy_aa") (param i32 i32 i32) (table.copy $a $a (local.get 0) (local.get 1) (local.get 2)))
  (func (export "copy_ab") (param i32 i32 i32) (table.copy $a $b (local.get 0) (local.get 1) (local.get 2)))
  (func (export "copy_ba") (param i32 i32 i32) (table.copy $b $a (local.get 0) (local.get 1) (local.get 2)))
  (func (export "init_a") (param i32 i32 i32) (table.init $a $passive (local.get 0) (local.get 1) (local.get 2)))
  (func (export "init_b") (param i32 i32 i32) (table.init $b $passive (local.get 0) (local.get 1) (local.get 2)))
  (func (export "init_active") (param i32 i32 i32) (table.init $b $active (local.get 0) (local.get 1) (local.get 2)))
  (func (export "drop") (elem.drop $passive)))"""


def test_tables():
    original, linked = both(TABLES)
    rng = random.Random(3)
    seen = set()

    def same_tables():
        for i in range(22):
            for name in ("call_a", "call_b", "is_null"):
                seen.add(str(agree(original, linked, name, i)))

    same_tables()
    names = dict.fromkeys(("fill", "copy_aa", "copy_ab", "copy_ba", "init_a", "init_b", "init_active"), 3)
    names |= {"set": 2, "grow": 2, "grow_b": 2}
    for step in range(400):
        name = rng.choice(list(names))
        args = [rng.choice([0, 1, 2, 3, 4, 5, 6, 9, 10, rng.randrange(25)]) for _ in range(names[name])]
        if name.startswith("grow"):
            args = [rng.randrange(3), rng.choice([0, 1, 2, 30, -1])]
        if name == "grow_b" and args[1] == 30:
            args[1] = 3
        seen.add((name, str(agree(original, linked, name, *args))))
        if step % 20 == 0:
            same_tables()
        if step == 300:
            agree(original, linked, "drop")
    same_tables()
    texts = {s if isinstance(s, str) else s[1] for s in seen}
    assert {TRAPS["table_out_of_bounds"], TRAPS["null_reference"], TRAPS["type_mismatch"], "[100]", "[-1]"} <= texts


def test_references_of_one_type_are_consecutive():
    linked = link(compile_wat(TABLES))
    types = [linked.module.functions[f].type for _, f in sorted(linked.references.items())]
    assert sorted(linked.references) == list(range(1, 5))
    assert len([1 for a, b in itertools.pairwise(types) if a != b]) == len(set(types)) - 1


def test_bodies_keep_their_length_and_origin():
    module = compile_wat(MEMORY)
    linked = link(module)
    assert sorted(linked.origin.values()) == list(range(len(module.functions)))
    for index, original in linked.origin.items():
        assert len(linked.module.functions[index].body) == len(module.functions[original].body)
    records = {linked.module.functions[f].name.split()[0]: record for f, record in linked.routines.items()}
    assert records["memory.grow"] == "value"
    assert records["memory.copy"] == records["memory.init"] == records["data.drop"] == "bulk"


LIBRARIES = {
    "env": """(module (import "other" "twice" (func $twice (param i32) (result i32)))
      (memory (export "memory") 1 2) (table (export "table") 4 funcref)
      (global (export "base") i32 (i32.const 7)) (global $count (export "count") (mut i32) (i32.const 0))
      (func (export "next") (result i32)
        (global.set $count (i32.add (global.get $count) (i32.const 1))) (call $twice (global.get $count)))
      (func (export "unused") (result f32) (f32.sqrt (f32.const 1))))""",
    "other": """(module (func (export "twice") (param i32) (result i32) (i32.shl (local.get 0) (i32.const 1)))
      (global $ready (mut i32) (i32.const 0)) (func $start (global.set $ready (i32.const 1))) (start $start)
      (func (export "ready") (result i32) (global.get $ready)))""",
}
IMPORTER = """(module
  (import "env" "next" (func $next (result i32))) (import "env" "memory" (memory 1))
  (import "env" "table" (table 2 funcref)) (import "env" "base" (global $base i32))
  (import "env" "count" (global $count (mut i32))) (import "other" "ready" (func $ready (result i32)))
  (data (global.get $base) "hello")
  (elem (i32.const 3) $next)
  (global $sum (export "sum") (mut i64) (i64.add (i64.const -3) (i64.const 1)))
  (global (export "copy") i32 (global.get $base))
  (func $start (global.set $sum (i64.extend_i32_s (call $ready))))
  (start $start)
  (func (export "run") (result i32 i32 i32)
    (call $next) (call_indirect (result i32) (i32.const 3)) (i32.load8_u (i32.const 7)))
  (export "next" (func $next)))"""


def test_libraries():
    libraries = {name: compile_wat(text) for name, text in LIBRARIES.items()}
    linked = link(compile_wat(IMPORTER), libraries)
    instance = LinkedInstance(linked)
    assert instance.invoke("run") == [2, 4, ord("h")]
    assert instance.invoke("next") == [6]
    assert len(linked.start) == 2 and linked.start[1] in linked.origin
    assert linked.module.functions[linked.exports["next"]].name not in linked.origin
    assert linked.routines[linked.exports["next"]] == "host"
    values = {name: linked.global_values[i] for name, (i, _) in linked.exported_globals.items()}
    assert values == {"sum": 2**64 - 2, "copy": 7}
    assert not any(i.name == "f32.sqrt" for f in linked.module.functions for i in f.body)
    assert not {i.module for i in linked.module.imports} - {"w2x"}


def test_only_what_the_exports_reach_is_linked():
    text = """(module (import "env" "missing" (func $m)) (memory 1)
      (func (export "a") (result i32) (call $c)) (func (export "b") (call $m)) (func $c (result i32) (i32.const 1)))"""
    linked = link(compile_wat(text), exports=["a"])
    assert sorted(linked.origin.values()) == [1, 3] and list(linked.exports) == ["a"]
    with pytest.raises(CompileError, match="no exported function 'x'; there are: a, b"):
        link(compile_wat(text), exports=["x"])
    # A whole program needs all its imports, even those that it never calls.
    assert refused(text.replace("(call $m)", "")) == ['the import "env" "missing" (func) is not provided']


def refused(text, libraries=None):
    with pytest.raises(CompileError) as error:
        link(compile_wat(text), libraries)
    return [str(r) for r in error.value.reasons]


def test_missing_imports_are_all_named():
    text = """(module (import "env" "f" (func $f)) (import "env" "g" (global i32))
      (import "w2x" "exit" (func $exit (param i32)))
      (import "wasi_snapshot_preview1" "sock_connect" (func $r (param i32 i32) (result i32)))
      (func (export "a") (call $f) (drop (call $r (i32.const 0) (i32.const 0))) (call $exit (i32.const 0))))"""
    reasons = refused(text)
    assert len(reasons) == 4
    for name in ('"env" "f" (func)', '"env" "g" (global)', '"sock_connect"', '"w2x" "exit"'):
        assert any(name in reason for reason in reasons)
    assert ("wasi_snapshot_preview1", "fd_write") in provided_imports()
    assert not any(module.startswith("w2x") for module, _ in provided_imports())


@pytest.mark.parametrize(
    "entry, provided",
    [
        ("(func (param i32))", '(func (export "x"))'),
        ("(global (mut i32))", '(global (export "x") i32 (i32.const 0))'),
        ("(memory 2)", '(memory (export "x") 1)'),
        ("(memory 1 2)", '(memory (export "x") 1)'),
        ("(table 1 2 funcref)", '(table (export "x") 1 3 funcref)'),
        ("(table 1 funcref)", '(table (export "x") 1 externref)'),
    ],
)
def test_imports_must_match(entry, provided):
    text = f'(module (import "m" "x" {entry}) (func (export "f")))'.replace(
        "(func (param i32))", "(func $x (param i32))"
    )
    text = text.replace('(func (export "f"))', '(func (export "f") (call $x (i32.const 0)))' if "$x" in text else "")
    reasons = refused(text, {"m": compile_wat(f"(module {provided})")})
    assert reasons[0].startswith('incompatible import type for "m" "x"')


def test_instantiation_that_traps_is_refused():
    assert refused('(module (memory 1) (data (i32.const 65535) "ab"))') == [
        "instantiation traps: out of bounds memory access (data segment 0)"
    ]
    assert (
        "out of bounds table access (element segment 0)"
        in refused("(module (table 1 funcref) (func $f) (elem (i32.const 1) $f))")[0]
    )
    assert "65536" in refused('(module (memory i64 65537) (func (export "f") (drop (i32.load (i64.const 0)))))')[0]


def test_float_globals_are_bit_patterns():
    text = """(module (global (export "a") f64 (f64.const -0.5))
      (global (export "b") (mut f32) (f32.const nan:0x400001)))"""
    linked = link(compile_wat(text))
    assert [linked.global_values[i] for i, _ in linked.exported_globals.values()] == [0xBFE0000000000000, 0x7FC00001]


def test_segments_leave_out_zeros_and_keep_the_order():
    text = """(module (memory 1) (data (i32.const 8) "abc\\00\\00\\00\\00\\00\\00\\00\\00\\00d")
      (data (i32.const 9) "\\00x")
      (func (export "f") (result i32) (i32.load (i32.const 8))))"""
    linked = link(compile_wat(text))
    assert [(s.address, s.bytes) for s in linked.segments] == [(8, b"a\0x"), (20, b"d")]


def test_segments_may_lie_far_apart():
    text = """(module (memory 65000) (data (i32.const -400000000) "high") (data (i32.const 65534) "across")
      (data (i32.const 16) "low") (data (i32.const 65536) "Ross") (func (export "f") (drop (i32.load (i32.const 0)))))"""
    linked = link(compile_wat(text))
    assert [(s.address, s.bytes) for s in linked.segments] == [
        (16, b"low"), (65534, b"acRoss"), (2**32 - 400000000, b"high")
    ]  # fmt: skip



WASI = {
    "fd_write": "i32 i32 i32 i32",
    "fd_read": "i32 i32 i32 i32",
    "args_sizes_get": "i32 i32",
    "args_get": "i32 i32",
    "environ_sizes_get": "i32 i32",
    "environ_get": "i32 i32",
    "fd_close": "i32",
    "fd_seek": "i32 i64 i32 i32",
    "fd_tell": "i32 i32",
    "fd_fdstat_get": "i32 i32",
    "fd_fdstat_set_flags": "i32 i32",
    "fd_fdstat_set_rights": "i32 i64 i64",
    "fd_filestat_get": "i32 i32",
    "fd_filestat_set_size": "i32 i64",
    "fd_prestat_get": "i32 i32",
    "fd_prestat_dir_name": "i32 i32 i32",
    "fd_sync": "i32",
    "fd_datasync": "i32",
    "fd_advise": "i32 i64 i64 i32",
    "fd_allocate": "i32 i64 i64",
    "fd_readdir": "i32 i32 i32 i64 i32",
    "path_open": "i32 i32 i32 i32 i32 i64 i64 i32 i32",
    "path_filestat_get": "i32 i32 i32 i32 i32",
    "path_unlink_file": "i32 i32 i32",
    "path_rename": "i32 i32 i32 i32 i32 i32",
    "sched_yield": "",
    "poll_oneoff": "i32 i32 i32 i32",
}
STDIN = bytes(range(1, 251)) * 300  # longer than 64 KiB
ARGS = ("prog", "", "a b", "umlaut äö")
ENVIRON = (("A", "1"), ("LONG", "x" * 50), ("EMPTY", ""))


def wasi_program(opens):
    """Every function under its own name, as a module calls it (a host function is no caller with a memory). opens: also the
    one for which there are more descriptors than the three streams."""
    imports, functions = "", ""
    for name, params in WASI.items():
        if name == "path_open" and not opens:
            continue
        imports += f'(import "wasi_snapshot_preview1" "{name}" (func ${name} (param {params}) (result i32)))'
        args = " ".join(f"(local.get {i})" for i in range(len(params.split())))
        functions += f'(func (export "{name}") (param {params}) (result i32) (call ${name} {args}))'
    imports += '(import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))'
    functions += '(func (export "proc_exit") (param i32) (call $proc_exit (local.get 0)))'
    return f'(module {imports} (memory (export "memory") 2) {functions})'


class WasmtimeWasi:
    """wasmtime's own WASI, with stdin from a file and stdout and stderr captured."""

    def __init__(self, binary, directory):
        self.store = wasmtime.Store(ENGINE)
        linker = wasmtime.Linker(ENGINE)
        linker.define_wasi()
        config = wasmtime.WasiConfig()
        config.argv, config.env = ARGS, ENVIRON
        (directory / "stdin").write_bytes(STDIN)
        config.stdin_file = directory / "stdin"
        self.output = {"stdout": bytearray(), "stderr": bytearray()}
        config.stdout_custom = lambda data: self.output["stdout"].extend(data)
        config.stderr_custom = lambda data: self.output["stderr"].extend(data)
        self.store.set_wasi(config)
        self.exports = linker.instantiate(self.store, wasmtime.Module(ENGINE, binary)).exports(self.store)
        self.memory = self.exports["memory"]

    def invoke(self, name, *args):
        try:
            result = self.exports[name](self.store, *args)
        except wasmtime.ExitTrap as trap:
            raise Exited(trap.code) from None
        except wasmtime.WasmtimeError as error:
            # Not a trap of WASM but an error of the host; these texts are its own.
            text = str(error)
            kind = "memory_out_of_bounds" if "Pointer out of bounds" in text else "host_error"
            raise Trapped(TRAPS[kind]) from None
        return [] if result is None else [result]


class WasiPair:
    def __init__(self, directory, opens):
        text = wasi_program(opens)
        self.opens = opens
        self.ours = LinkedInstance(link(compile_wat(text)), STDIN, ARGS, ENVIRON)
        self.theirs = WasmtimeWasi(text, directory)

    def write(self, address, data):
        for instance in (self.ours, self.theirs):
            instance.memory.write(instance.store, data, address)

    def __call__(self, name, *args):
        if name == "path_open" and not self.opens:
            return 8
        expected = outcome(self.theirs, name, *args)
        assert outcome(self.ours, name, *args) == expected, (name, args)
        assert self.ours.output == self.theirs.output
        assert same_memory(self.theirs, self.ours), (name, args)
        return expected if isinstance(expected, str) else expected[0]


def vectors(*numbers):
    return struct.pack(f"<{len(numbers)}I", *numbers)


@pytest.fixture(params=[False, True], ids=["streams", "files"])
def wasi(tmp_path, request):
    return WasiPair(tmp_path, request.param)


def test_wasi_write(wasi):
    wasi.write(1000, bytes(range(100, 200)))
    wasi.write(16, vectors(1000, 0, 1000, 3, 1003, 4))
    assert wasi("fd_write", 1, 16, 3, 8) == 0
    assert wasi.ours.output["stdout"] == b"def"
    for n in range(40):
        wasi.write(48, vectors(1001, n))
        assert wasi("fd_write", 1 + n % 2, 48, 1, 8) == 0
    wasi.write(48, vectors(0, 5000))
    assert wasi("fd_write", 1, 48, 1, 8) == 0
    assert wasi("fd_write", 1, 16, 0, 8) == wasi("fd_write", 1, 16, 1, 8) == wasi("fd_write", 1, 0x70001, 0, 8) == 0
    for fd in (0, 3, -1):
        assert wasi("fd_write", fd, 16, 3, 8) == 8
    assert wasi("fd_write", 1, 16, 0x20000000, 8) == 48
    wasi.write(48, vectors(131070, 100, 1000, 2))
    out_of_bounds = TRAPS["memory_out_of_bounds"]
    assert wasi("fd_write", 1, 48, 2, 8) == out_of_bounds
    assert wasi("fd_write", 5, 48, 2, 8) == 8
    assert wasi("fd_write", 5, 131068, 1, 8) == wasi("fd_write", 1, 16, 3, 131072) == out_of_bounds
    assert wasi("fd_write", 1, 17, 3, 8) == wasi("fd_write", 1, 16, 3, 9) == TRAPS["host_error"]


def test_wasi_read(wasi):
    wasi.write(16, vectors(1000, 0, 1000, 5, 1003, 4))
    assert wasi("fd_read", 0, 16, 3, 8) == 0
    assert wasi("fd_read", 0, 16, 1, 8) == wasi("fd_read", 0, 16, 0, 8) == 27
    for n in (1, 2, 15, 16, 17, 100, 60000, 60000, 6000):  # the seventh stops at 64 KiB
        wasi.write(48, vectors(1001, n))
        assert wasi("fd_read", 0, 48, 1, 8) == 0
    wasi.write(48, vectors(131070, 100))
    assert wasi("fd_read", 0, 48, 1, 8) == TRAPS["memory_out_of_bounds"]
    for fd in (1, 2, 3, -1):
        assert wasi("fd_read", fd, 16, 3, 8) == 8
    wasi.write(48, vectors(1001, 100000))
    assert [wasi("fd_read", 0, 48, 1, 8) for _ in range(3)] == [0, 0, 0]
    assert wasi("fd_read", 0, 16, 1, 8) == 0


def test_wasi_args_and_environ(wasi):
    for name in ("args", "environ"):
        assert wasi(f"{name}_sizes_get", 0, 4) == 0
        assert wasi(f"{name}_get", 100, 201) == 0
        assert wasi(f"{name}_get", 101, 200) == wasi(f"{name}_sizes_get", 2, 4) == TRAPS["host_error"]


def test_wasi_descriptors(wasi):
    for fd in (0, 1, 2, 3, -1):
        open_ = 0 <= fd <= 2
        wasi.write(300, b"\xee" * 80)
        assert wasi("fd_fdstat_get", fd, 304) == (0 if open_ else 8)
        assert wasi("fd_filestat_get", fd, 304) == (0 if open_ else 8)
        assert wasi("fd_seek", fd, 0, 0, 8) == wasi("fd_tell", fd, 8) == (70 if open_ else 8)
        assert wasi("fd_seek", fd, 0, 3, 8) == TRAPS["host_error"]
        assert wasi("fd_prestat_get", fd, 8) == 8
        assert wasi("fd_prestat_dir_name", fd, 8, 5) == (54 if open_ else 8)
        assert wasi("fd_fdstat_set_flags", fd, 4) == 8
        assert wasi("path_open", fd, 0, 1000, 3, 0, 0, 0, 0, 8) == 8
        for name in ("fd_sync", "fd_datasync"):
            assert wasi(name, fd) == 8
        for name in ("fd_fdstat_set_rights", "fd_allocate"):
            assert wasi(name, fd, 0, 1) == 8
        assert wasi("fd_advise", fd, 0, 1, 0) == wasi("fd_readdir", fd, 100, 10, 0, 8) == 8
        assert wasi("fd_filestat_set_size", fd, 0) == wasi("path_unlink_file", fd, 1000, 3) == 8
        assert wasi("path_filestat_get", fd, 0, 1000, 3, 8) == wasi("path_rename", fd, 0, 3, fd, 0, 3) == 8
    assert wasi("sched_yield") == 0
    wasi.write(16, vectors(1000, 3))
    assert [wasi("fd_close", fd) for fd in (3, 0, 0, 1, 2, 1)] == [8, 0, 8, 0, 0, 8]
    for fd in (0, 1, 2):
        assert wasi("fd_write", fd, 16, 1, 8) == wasi("fd_read", fd, 16, 1, 8) == wasi("fd_seek", fd, 0, 0, 8) == 8
        assert wasi("fd_fdstat_get", fd, 304) == wasi("fd_prestat_dir_name", fd, 8, 5) == 8


def test_wasi_exit(wasi):
    for status in (0, 1, 125):
        for instance in (wasi.ours, wasi.theirs):
            with pytest.raises(Exited, match=f"^{status}$"):
                instance.invoke("proc_exit", status)
    assert wasi("proc_exit", 126) == wasi("proc_exit", -1) == TRAPS["host_error"]


def clock(data, id=0, timeout=0, flags=0):
    return struct.pack("<QB7xI4xQQH6x", data, 0, id, timeout, 0, flags)


def stream(data, kind, fd):
    return struct.pack("<QB7xI28x", data, kind, fd)


def test_wasi_poll(wasi):
    """Against wasmtime's own, which really waits: the times are short."""

    def poll(*subscriptions, count=None, where=0, events=4096, number=8192):
        wasi.write(0, b"".join(subscriptions))
        wasi.write(4096, b"\xee" * 200)
        return wasi("poll_oneoff", where, events, len(subscriptions) if count is None else count, number)

    read, out, error = stream(9, 1, 0), stream(10, 2, 1), stream(11, 2, 2)
    for good in (
        [clock(7)], [clock(7, 1, 1000)], [clock(7, 0, 5, 1)], [clock(7, 1, 5, 1)], [clock(7), clock(8, 1)],
        [clock(7, 0, 10**6), clock(8, 1, 10**9)], [clock(7, 1, 10**9), clock(2**63, 1, 10**6)], [read], [out], [error],
        [clock(1, 0, 10**10), read, out], [read, read], [out, clock(1)], [clock(7, 0, 5, 1), clock(8, 0, 10**10)],
    ):  # fmt: skip
        assert poll(*good) == 0
        assert poll(*good, events=0) == 0  # over the subscriptions
    for errno, bad in (
        (28, [clock(7, 2)]), (28, [clock(7, 9)]), (28, [clock(7, 0, 0, 2)]), (28, [stream(9, 3, 0)]), (28, []),
        (28, [clock(7), clock(8, 3)]), (8, [stream(9, 1, 5)]), (8, [stream(9, 1, 1)]), (8, [stream(9, 2, 0)]),
        (8, [clock(7), stream(9, 2, -1 % 2**32)]),
    ):  # fmt: skip
        assert poll(*bad) == errno
    assert poll(read, count=0x7FFFFFFF) == poll(read, count=89478486) == 48
    wrong, outside = TRAPS["host_error"], TRAPS["memory_out_of_bounds"]
    assert poll(b"1234", clock(7), count=1, where=4) == poll(clock(7), events=4100) == poll(clock(7), number=8194) == wrong
    assert poll(clock(7), where=2**17 - 8) == poll(clock(7), events=2**17) == poll(clock(7), number=2**17) == outside
    assert poll(clock(7), clock(8), events=2**17 - 32) == outside
    assert wasi("fd_close", 0) == 0
    assert poll(read) == poll(clock(7), read) == 8


def test_all_functions_of_wasi_are_provided():
    """There are 46 in preview 1."""
    names = {name for module, name in provided_imports() if module == "wasi_snapshot_preview1"}
    assert len(names) == 46 and {"sock_accept", "sock_recv", "fd_renumber", "proc_raise"} < names


def test_wasi_needs_a_memory():
    text = """(module (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
      (func (export "f") (drop (call $yield))))"""
    assert refused(text) == [
        "wasi_snapshot_preview1 works on the memory of the module that calls it, and the module has none"
    ]


def test_long_chains_of_libraries_and_deep_blocks():
    """Nothing here recurses: each library imports a function and a global from the next one."""
    n = 1500
    libraries = {
        f"l{i}": f"""(module (import "l{i + 1}" "f" (func $f (result i32))) (import "l{i + 1}" "g" (global $g i32))
          (global (export "g") i32 (global.get $g)) (export "f" (func $f)))"""
        for i in range(n)
    }
    libraries[f"l{n}"] = """(module (global (export "g") i32 (i32.const 9))
      (func (export "f") (result i32) (i32.const 4)))"""
    text = """(module (import "l0" "f" (func $f (result i32))) (import "l0" "g" (global $g i32))
      (func (export "f") (result i32) (i32.add (global.get $g) (call $f))))"""
    linked = link(compile_wat(text), {name: compile_wat(library) for name, library in libraries.items()})
    assert LinkedInstance(linked).invoke("f") == [13]
    deep = link(compile_wat(f'(module (func (export "f") {"block " * 5000} {"end " * 5000}))'))
    assert len(deep.module.functions[0].body) == 10001


def test_steps_where_an_instruction_is_not_rare() -> None:
    """One division, or one sum of floats, among so many other instructions."""

    def chosen(others: int, kind: str = "i64.rem_u", **options: bool) -> bool:
        a = f"(local.get {2 if kind.startswith('f') else 0})"
        result = "f64" if kind.startswith("f") else "i64"
        filling = "(local.set 1 (i32.add (local.get 1) (i32.const 1)))" * (others // 4)
        text = f'(module (func (export "f") (param i64 i32 f64) (result {result}) {filling} ({kind} {a} {a})))'
        program, _ = compile_steps(text, CompileOptions(**options))
        return kind in {step.op for step in program.steps}

    assert chosen(1800) and not chosen(2200)
    assert chosen(2200, division_routines=False) and not chosen(4, division_routines=True)
    assert chosen(100, "f64.add") and not chosen(140, "f64.add")
    assert chosen(140, "f64.add", float_routines=False) and not chosen(4, "f64.add", float_routines=True)
