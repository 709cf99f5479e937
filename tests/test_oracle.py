"""The oracle's records, against what is known of small WAT functions."""

from __future__ import annotations

import gc
import struct
import subprocess
import sys
import warnings
import weakref
from dataclasses import replace

import numpy as np
import pytest
import wasmtime

import wasm2xformer as w2x
from wasm2xformer.compiler.format.isa import TRAPS, Site
from wasm2xformer.compiler.wasm.decode import decode
from wasm2xformer.compiler.wasm.opcodes import STORES
from wasm2xformer.runtime.check.oracle import NOTHING, NULL, Oracle, OracleRun, count_instructions, engine, record

RECORDS = {
    "br_if": "branch", "if": "branch", "br_table": "br_table", "br": "control", "return": "control", "else": "control",
    "call": "control", "call_indirect": "control", "unreachable": "control", "memory.fill": "bulk",
    "memory.copy": "bulk", "memory.init": "bulk", "table.fill": "bulk", "table.copy": "bulk", "table.init": "bulk",
    "table.set": "store", "block": "", "loop": "", "end": "", "drop": "", "nop": "", "data.drop": "bulk",
    "elem.drop": "bulk",
    **dict.fromkeys(STORES, "store"),
}  # fmt: skip


def every_site(wasm: bytes) -> list[Site]:
    """A site for every instruction that does anything."""
    return [
        Site(f, i, record)
        for f, function in enumerate(decode(wasm).functions)
        for i, instr in enumerate(function.body)
        if (record := RECORDS.get(instr.name, "value"))
    ]


def oracle(wat: str, **options) -> Oracle:
    wasm = bytes(wasmtime.wat2wasm(wat))
    return Oracle(wasm, every_site(wasm), **options)


def events(run: OracleRun, o: Oracle) -> list[tuple]:
    """Records as (instruction name, value), and (name, value, address) for stores and bulk operations."""
    out = []
    for site, address, value in run.records.tolist():
        s = run.sites[site]
        name = o.module.functions[s.function].body[s.instruction].name
        out.append((name, value, address) if s.record in ("store", "bulk") else (name, value))
    return out


def names_of(o: Oracle, run: OracleRun) -> list[str]:
    return [o.module.functions[s.function].body[s.instruction].name for s in run.sites]


def test_values_branches_and_transfers_in_program_order():
    o = oracle("""(module
      (global $g (mut i64) (i64.const 5))
      (func (export "f") (param i32) (result i32) (local i32)
        block
          local.get 0
          i32.eqz
          br_if 0
          i64.const -1
          global.set $g
          i32.const 7
          return
        end
        i32.const 3
        local.tee 1
        local.set 0
        i32.const 10 i32.const 20 local.get 1 select
        drop
        i32.const 9))""")
    run = o.invoke("f", [1])
    assert (run.outcome, run.results, run.trap_site) == ("ok", [7], None)
    assert events(run, o) == [
        ("local.get", 1), ("i32.eqz", 0), ("br_if", 0), ("i64.const", 2**64 - 1), ("global.set", 2**64 - 1),
        ("i32.const", 7), ("return", 0),
    ]  # fmt: skip
    run = o.invoke("f", [0])
    assert run.results == [9]
    assert run.executed == 11
    assert events(run, o) == [
        ("local.get", 0), ("i32.eqz", 1), ("br_if", 1), ("i32.const", 3), ("local.tee", 3), ("local.set", 3),
        ("i32.const", 10), ("i32.const", 20), ("local.get", 3), ("select", 10), ("i32.const", 9),
    ]  # fmt: skip


def test_only_the_sites_asked_for_are_recorded():
    wasm = bytes(wasmtime.wat2wasm('(module (func (export "f") (result i32) i32.const 2 i32.const 3 i32.add))'))
    run = Oracle(wasm, [Site(0, 2, "value")]).invoke("f")
    assert run.records.tolist() == [(0, 0, 5)]
    assert Oracle(wasm, []).invoke("f").executed == 0


def test_if_else_and_values_that_stay_below_a_condition():
    o = oracle("""(module (func (export "f") (param i32) (result i32 i64)
      i32.const 1
      i64.const 2
      local.get 0
      if (param i64) (result i64)
        i64.const 40 i64.add
      else
        i64.const 50 i64.add
      end
      block (param i32 i64) (result i32 i64)
        local.get 0
        br_if 0
        drop drop
        i32.const 6 i64.const 7
      end))""")
    run = o.invoke("f", [8])
    assert run.results == [1, 42]
    names = [e for e in events(run, o) if e[0] in ("if", "else", "br_if", "i64.add")]
    assert names == [("if", 1), ("i64.add", 42), ("else", 0), ("br_if", 1)]
    run = o.invoke("f", [0])
    assert run.results == [6, 7]
    names = [e for e in events(run, o) if e[0] in ("if", "else", "br_if", "i64.add")]
    assert names == [("if", 0), ("i64.add", 52), ("br_if", 0)]


@pytest.mark.parametrize(("index", "case", "result"), [(0, 0, 10), (1, 1, 20), (2, 2, 30), (-1, 2, 30), (7, 2, 30)])
def test_br_table_records_the_case(index, case, result):
    o = oracle("""(module (func (export "f") (param i32) (result i32)
      block block block
        local.get 0
        br_table 0 1 2
      end i32.const 10 return
      end i32.const 20 return
      end i32.const 30))""")
    run = o.invoke("f", [index])
    assert run.results == [result]
    assert ("br_table", case) in events(run, o)


def test_stores_record_effective_address_and_stored_bytes():
    o = oracle("""(module (memory 1)
      (func (export "f") (param i32 i64)
        local.get 0 i32.const -2 i32.store8 offset=5
        local.get 0 i32.const -2 i32.store16
        local.get 0 i32.const -2 i32.store
        local.get 0 local.get 1 i64.store8
        local.get 0 local.get 1 i64.store32 offset=100
        local.get 0 local.get 1 i64.store
        local.get 0 f32.const -0.0 f32.store
        local.get 0 f64.const 1.0 f64.store
        local.get 0 i32.load8_s drop))""")
    stores = [e for e in events(o.invoke("f", [16, -3]), o) if "store" in e[0]]
    assert stores == [
        ("i32.store8", 0xFE, 21), ("i32.store16", 0xFFFE, 16), ("i32.store", 2**32 - 2, 16), ("i64.store8", 0xFD, 16),
        ("i64.store32", 2**32 - 3, 116), ("i64.store", 2**64 - 3, 16), ("f32.store", 2**31, 16),
        ("f64.store", 0x3FF0000000000000, 16),
    ]  # fmt: skip


def test_memory_ranges_are_read_back_after_the_operation():
    o = oracle("""(module (memory 1) (data $d "hello")
      (func (export "f")
        i32.const 100 i32.const 1 i32.const 3 memory.init $d
        i32.const 101 i32.const 100 i32.const 3 memory.copy
        i32.const 200 i32.const 0x1AB i32.const 2 memory.fill
        i32.const 0 i32.const 0 i32.const 0 memory.fill
        data.drop $d
        i32.const 65535 i32.const 0 i32.const 2 memory.fill))""")
    run = o.invoke("f")
    assert [e for e in events(run, o) if e[0].startswith("memory")] == [
        ("memory.init", 3, 100), ("memory.copy", 3, 101), ("memory.fill", 2, 200), ("memory.fill", 0, 0)
    ]  # fmt: skip
    assert [b.tobytes() for b in run.bulk] == [b"ell", b"ell", b"\xab\xab", b"", b""]
    assert run.outcome == TRAPS["memory_out_of_bounds"]


def test_references_and_table_ranges():
    o = oracle("""(module (table $t 4 funcref) (elem $e func $a $b)
      (func $a) (func $b)
      (func (export "f") (param externref)
        i32.const 1 i32.const 0 i32.const 2 (table.init $t $e)
        i32.const 0 i32.const 1 i32.const 2 (table.copy $t $t)
        i32.const 3 ref.func $a table.set $t
        i32.const 0 table.get $t drop
        i32.const 2 ref.null func i32.const 1 (table.fill $t)
        i32.const 2 table.get $t drop
        local.get 0 drop)
      (func (export "size") (result i32) ref.null func i32.const 10 table.grow $t))""")
    run = o.invoke("f", [None])
    got = [e for e in events(run, o) if e[0] != "i32.const"]
    assert got == [
        ("table.init", 2, 1), ("table.copy", 2, 0), ("ref.func", 1), ("table.set", 1, 3), ("table.get", 1),
        ("ref.null", 0), ("table.fill", 1, 2), ("table.get", 0), ("local.get", 0),
    ]  # fmt: skip
    assert [b.tolist() for b in run.bulk] == [[0, 1], [0, 1], [NULL]]
    assert events(o.invoke("f", [3]), o)[-1] == ("local.get", 1)
    flagged = {o.module.functions[s.function].body[s.instruction].name for s in run.sites if s.record == "value"}
    flagged -= {name for name, flag in zip(names_of(o, run), run.references, strict=True) if not flag}
    assert flagged == {"ref.func", "table.get", "ref.null", "local.get"}
    assert o.invoke("size").results == [4]


@pytest.mark.parametrize(
    ("name", "trap", "instruction"),
    [
        ("unreachable", "unreachable", "unreachable"),
        ("zero", "divide_by_zero", "i32.div_s"),
        ("overflow", "integer_overflow", "i64.div_s"),
        ("memory", "memory_out_of_bounds", "i32.load"),
        ("table", "table_out_of_bounds", "call_indirect"),
        ("null", "null_reference", "call_indirect"),
        ("type", "type_mismatch", "call_indirect"),
    ],
)
def test_traps_are_values_and_leave_no_record(name, trap, instruction):
    o = oracle("""(module (memory 1) (table 3 funcref) (elem (i32.const 2) $unreachable) (type $i (func (result i32)))
      (func $unreachable (export "unreachable") unreachable)
      (func (export "zero") i32.const 1 i32.const 0 i32.div_s drop)
      (func (export "overflow") i64.const 0x8000000000000000 i64.const -1 i64.div_s drop)
      (func (export "memory") i32.const 65533 i32.load drop)
      (func (export "table") i32.const 3 call_indirect)
      (func (export "null") i32.const 1 call_indirect)
      (func (export "type") i32.const 2 call_indirect (type $i) drop))""")
    run = o.invoke(name)
    assert (run.outcome, run.results) == (TRAPS[trap], [])
    assert all(e[0] != instruction for e in events(run, o))
    function, at = run.trap_site
    assert o.module.functions[function].body[at].name == instruction


def test_state_persists_also_after_traps():
    o = oracle("""(module (memory 1) (global $g (mut i32) (i32.const 0))
      (func (export "f") (result i32)
        global.get $g i32.const 1 i32.add global.set $g
        i32.const 0 i32.const 0 i32.load i32.const 2 i32.add i32.store
        global.get $g i32.const 2 i32.eq if unreachable end
        i32.const 0 i32.load))""")
    assert [o.invoke("f").results for _ in range(3)] == [[2], [], [6]]


def test_indirect_calls_name_their_callee():
    o = oracle("""(module
      (import "lib" "seven" (func $seven (result i32)))
      (type $i (func (result i32)))
      (table funcref (elem $seven $eight))
      (func $eight (result i32) i32.const 8)
      (func (export "f") (param i32) (result i32) local.get 0 call_indirect (type $i)))""",
      libraries=[("lib", bytes(wasmtime.wat2wasm('(module (func (export "seven") (result i32) i32.const 7))')))])  # fmt: skip
    run = o.invoke("f", [1])
    assert events(run, o) == [("local.get", 1), ("call_indirect", 1), ("i32.const", 8)]
    run = o.invoke("f", [0])
    assert run.results == [7]
    assert events(run, o) == [("local.get", 0), ("call_indirect", 0)]


RECURSION = """(module (table funcref (elem $f))
  (func $f (export "f") (param i32) (result i32)
    local.get 0 i32.eqz if i32.const 0 return end
    local.get 0 i32.const 1 i32.sub {} i32.const 1 i32.add))"""


@pytest.mark.parametrize("call", ["call $f", "i32.const 0 call_indirect (param i32) (result i32)"])
def test_the_frame_limit_stops_at_the_same_call(call):
    """entry_delta + n calls of 5 slots each: the sum reaches 1,000 with the 199th."""
    wasm = bytes(wasmtime.wat2wasm(RECURSION.format(call)))
    sites = every_site(wasm)
    (call_site,) = [s for s in sites if decode(wasm).functions[0].body[s.instruction].name.startswith("call")]
    deltas = {(0, call_site.instruction): 5}
    o = Oracle(wasm, sites, deltas, frame_limit=1000, entry_delta=5)
    run = o.invoke("f", [198])
    assert (run.outcome, run.results) == ("ok", [198])
    run = o.invoke("f", [199])
    assert run.outcome == TRAPS["stack_exhausted"]
    assert run.trap_site == (0, call_site.instruction)
    assert sum(run.sites[s] == call_site for s in run.records["site"]) == 198
    assert o.invoke("f", [100]).results == [100]  # the sum starts anew


def test_order_of_the_traps_of_an_indirect_call():
    """As in the model: the element is read, then the frame is checked, then the reference."""
    wasm = bytes(
        wasmtime.wat2wasm('(module (table 1 funcref) (func (export "f") (param i32) local.get 0 call_indirect))')
    )
    deltas = {(0, 1): 5}
    for limit, index, trap in ((5, 1, "table_out_of_bounds"), (5, 0, "stack_exhausted"), (6, 0, "null_reference")):
        assert Oracle(wasm, every_site(wasm), deltas, limit).invoke("f", [index]).outcome == TRAPS[trap]


def test_recursion_to_the_model_limit_does_not_meet_wasmtimes():
    wasm = bytes(wasmtime.wat2wasm(RECURSION.format("call $f")))
    (call,) = [i for i, x in enumerate(decode(wasm).functions[0].body) if x.name == "call"]
    o = Oracle(wasm, every_site(wasm), {(0, call): 1})
    assert o.invoke("f", [2**20 - 1]).results == [2**20 - 1]
    assert o.invoke("f", [2**20]).outcome == TRAPS["stack_exhausted"]


def test_memory_and_table_growth_are_limited():
    wat = """(module (memory 1) (table 1 funcref)
      (func (export "m") (param i32) (result i32) local.get 0 memory.grow)
      (func (export "t") (param i32) (result i32) ref.null func local.get 0 table.grow))"""
    o = oracle(wat, memory_maximum=3, table_limits=[5])
    assert [o.invoke("m", [n]).results[0] for n in (1, 2, 1, 1)] == [1, -1, 2, -1]
    assert [o.invoke("t", [n]).results[0] for n in (5, 4, 1)] == [-1, 1, -1]
    with pytest.raises(ValueError, match="minimum"):
        oracle(wat, memory_maximum=0)


def test_float_bits_pass_unchanged():
    o = oracle("""(module
      (func (export "f") (param f32 i32 f64) (result f32 i32 f64) local.get 0 local.get 1 local.get 2))""")
    signalling = [0x7FA00001, -4, 0xFFF4000000000001]
    run = o.invoke("f", signalling)
    assert run.results == signalling
    assert run.records["value"].tolist() == [0x7FA00001, 2**32 - 4, 0xFFF4000000000001]


def test_reference_arguments_and_results():
    o = oracle("""(module (elem declare func $g)
      (func $g)
      (func (export "id") (param funcref externref) (result funcref externref) local.get 0 local.get 1))""")
    assert o.invoke("id", [0, 5]).results == [0, 5]
    assert o.invoke("id", [None, None]).results == [None, None]


def test_dead_code_stays_valid():
    o = oracle("""(module (memory 1) (func (export "f") (result i32)
      block
        br 0
        i32.add drop i32.const 1 if (result i64) i64.const 1 else unreachable i64.const 2 end drop
        i32.store select drop
      end
      block (result i32)
        i32.const 4 br 0
        br_table 0 0
        loop (param i32) (result i32) i32.const 1 br_if 0 end
      end))""")
    run = o.invoke("f")
    assert run.results == [4]
    assert events(run, o) == [("br", 0), ("i32.const", 4), ("br", 0)]


WASI = """(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\\10\\00\\00\\00\\03\\00\\00\\00")
  (func (export "echo") (param i32) (result i32)
    i32.const 0 i32.const 0 i32.const 1 i32.const 8 call $read drop
    local.get 0 i32.const 0 i32.const 1 i32.const 12 call $write)
  (func (export "argc") (result i32) i32.const 8 i32.const 12 call $args drop i32.const 8 i32.load)
  (func (export "exit") i32.const 42 call $exit))"""


def test_wasi_is_captured_call_by_call():
    o = oracle(WASI, world=replace(NOTHING, stdin=b"abcxyzerr", argv=["program", "x"]))
    for text in (b"abc", b"xyz"):
        run = o.invoke("echo", [1])
        assert (run.outcome, run.results, run.stdout, run.stderr) == ("ok", [0], text, b"")
    run = o.invoke("echo", [2])
    assert (run.stdout, run.stderr) == (b"", b"err")
    assert o.invoke("argc").results == [2]
    run = o.invoke("exit")
    assert (run.outcome, run.results) == ("exit", [42])


def test_the_start_function_is_a_run_of_its_own():
    o = oracle("""(module (global $g (mut i32) (i32.const 0)) (func $s i32.const 6 global.set $g) (start $s)
      (func (export "g") (result i32) global.get $g))""")
    assert [e[0] for e in events(o.start, o)] == ["i32.const", "global.set"]
    assert o.invoke("g").results == [6]
    assert oracle("(module)").start is None


def test_more_records_than_the_buffer_holds():
    o = oracle("""(module (func (export "f") (param i32) (result i32) (local i32)
      loop
        local.get 1 i32.const 1 i32.add local.set 1
        local.get 0 i32.const 1 i32.sub local.tee 0
        br_if 0
      end
      local.get 1))""")
    n = 30_000
    run = o.invoke("f", [n])
    assert run.results == [n]
    assert run.executed == 9 * n + 1
    local_set = [i for i, s in enumerate(run.sites) if o.module.functions[0].body[s.instruction].name == "local.set"]
    counted = run.records[run.records["site"] == local_set[0]]["value"]
    assert np.array_equal(counted, np.arange(1, n + 1))


def test_what_cannot_be_recorded_is_refused():
    wasm = bytes(wasmtime.wat2wasm('(module (func (export "f") nop i32.const 1 drop))'))
    for site in (Site(0, 0, "value"), Site(0, 1, "store"), Site(0, 1, "branch"), Site(0, 2, "bulk")):
        with pytest.raises(ValueError, match="cannot be logged"):
            Oracle(wasm, [site])
    with pytest.raises(ValueError, match="no exported function"):
        Oracle(wasm, []).invoke("g")
    with pytest.raises(ValueError, match="arguments"):
        Oracle(wasm, []).invoke("f", [1])


CERTAIN = {
    "i32.load": "(drop (i32.load offset=65536 (i32.const 0)))",
    "i32.load8_u": "(drop (i32.load8_u (i32.const 65536)))",
    "i64.store": "(i64.store (i32.const -1) (i64.const 1))",
    "i32.div_u": "(drop (i32.div_u (i32.const 5) (i32.const 0)))",
    "i32.rem_s": "(drop (i32.rem_s (local.get 0) (i32.const 0)))",
    "i32.div_s": "(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))",
    "i64.div_u": "(drop (i64.div_u (i64.const 5) (i64.const 0)))",
    "i64.rem_u": "(drop (i64.rem_u (i64.const 5) (i64.const 0)))",
    "i32.trunc_f32_s": "(drop (i32.trunc_f32_s (f32.const nan)))",
    "i64.trunc_f64_u": "(drop (i64.trunc_f64_u (f64.const -2)))",
    "memory.fill": "(memory.fill (i32.const 65536) (i32.const 0) (i32.const 1))",
    "memory.copy": "(memory.copy (i32.const 0) (i32.const 65536) (i32.const 1))",
    "memory.init": "(memory.init 0 (i32.const 0) (i32.const 0) (i32.const 9))",
    "table.get": "(drop (table.get 0 (i32.const 9)))",
    "table.set": "(table.set 0 (i32.const 9) (ref.null func))",
    "table.fill": "(table.fill 0 (i32.const 9) (ref.null func) (i32.const 1))",
    "call_indirect": "(call_indirect (i32.const 0))",
    "unreachable": "(unreachable)",
}


@pytest.mark.parametrize("instruction", CERTAIN)
def test_a_certain_trap_is_where_the_module_has_it(instruction: str):
    """cranelift moves some of them to the branch that leads there."""
    o = oracle(f"""(module (memory 1 1) (table 3 3 funcref) (data "abc")
      (func (export "f") (param i32) (if (local.get 0) (then (nop)) (else {CERTAIN[instruction]})))
      (func (export "g") (param i32)
        (block (br_if 0 (local.get 0)) (i32.store (i32.const 4) (i32.const 1)) {CERTAIN[instruction]}))
      (func (export "h") (param i32) (call 3)) (func {CERTAIN[instruction].replace("local.get 0", "i32.const 1")}))""")
    for name in "fgh":
        run = o.invoke(name, [0])
        assert run.outcome in TRAPS.values()
        function, at = run.trap_site
        assert o.module.functions[function].body[at].name == instruction, name


def test_what_is_not_compiled_is_never_agreed_with():
    wat = """(module (func (export "f") (result i32) i32.const 4) (func (export "other") (call 2)) (func (nop)))"""
    wasm = bytes(wasmtime.wat2wasm(wat))
    o = Oracle(wasm, [Site(0, 0, "value")], functions={0, 1})
    assert o.invoke("f").results == [4]
    with pytest.raises(w2x.OracleError, match="which was not compiled"):
        o.invoke("other")


def test_an_exit_code_that_wasmtime_does_not_allow_is_a_trap():
    o = oracle("""(module (import "wasi_snapshot_preview1" "proc_exit" (func $x (param i32))) (memory (export "memory") 1)
      (func (export "exit") (param i32) (call $x (local.get 0))))""")
    assert (o.invoke("exit", [125]).outcome, o.invoke("exit", [125]).results) == ("exit", [125])
    for code in (126, 200, -1):
        run = o.invoke("exit", [code])
        assert (run.outcome, run.trap_site) == (TRAPS["host_error"], (1, 1))


ENDLESS = """
import signal, threading, time, wasmtime
from wasm2xformer.runtime.check.oracle import Oracle
from wasm2xformer.runtime.check.oracle.engine import BUSY
wat = '(module (func (export "f") (loop (br 0))) (func (export "g") (result i32) (i32.const 7)))'
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started this may have it ignored
oracle = Oracle(bytes(wasmtime.wat2wasm(wat)), [])
print(oracle.invoke("g").results)
def interrupt():
    while all(thread.name != BUSY for thread in threading.enumerate()):
        time.sleep(0.01)
    signal.raise_signal(signal.SIGINT)
threading.Thread(target=interrupt).start()
try:
    oracle.invoke("f")
except KeyboardInterrupt:
    print("interrupted")
oracle.invoke("g")
"""


def test_what_runs_in_wasmtime_can_be_interrupted():
    done = subprocess.run([sys.executable, "-c", ENDLESS], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("[7]\ninterrupted\n"), done.stderr
    assert "InstanceError: g: this oracle stopped in the middle of f; make a new one" in done.stderr


@pytest.mark.parametrize("started", [False, True])
def test_an_interrupt_while_the_call_is_being_started_leaves_nothing_running(monkeypatch, started: bool):
    threads = []

    def cut_off(size, work):
        if started:
            threads.append(start(size, work))
        raise KeyboardInterrupt

    start = engine._thread
    o = oracle('(module (func (export "f") (loop (br 0))))')
    monkeypatch.setattr(engine, "_thread", cut_off)
    monkeypatch.setattr(engine._Worker, "_idle", [])
    with pytest.raises(KeyboardInterrupt):
        o.invoke("f")
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def test_short_calls_have_one_thread(monkeypatch):
    started = []

    def counted(size, work):
        started.append(size)
        return start(size, work)

    start = engine._thread
    o = oracle('(module (func (export "f") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1))))')
    monkeypatch.setattr(engine, "_thread", counted)
    monkeypatch.setattr(engine._Worker, "_idle", [])
    monkeypatch.setattr(engine, "KEPT_SECONDS", 1000.0)
    assert [o.invoke("f", [k]).results for k in range(3)] == [[1], [2], [3]] and len(started) == 1
    (kept,) = engine._Worker._idle
    assert kept._thread.name == engine.IDLE
    monkeypatch.setattr(engine, "KEPT_SECONDS", 0.0)  # much of the stack may have become memory
    assert [o.invoke("f", [k]).results for k in range(3)] == [[1], [2], [3]] and len(started) == 3
    kept._thread.join(30)
    assert engine._Worker._idle == [] and not kept._thread.is_alive()


FORKED = """
import os
import wasm2xformer as w2x
from wasm2xformer.runtime.check.oracle import engine
engine.KEPT_SECONDS = 1000.0
verifier = w2x.Verifier('(module (func (export "f") (result i32) (i32.const 7)))')
assert verifier.invoke("f").ok and len(engine._Worker._idle) == 1
child = os.fork()
if not child:
    os._exit(len(engine._Worker._idle) or not verifier.invoke("f").ok)
print(os.waitpid(child, 0)[1], len(engine._Worker._idle))
"""


def test_a_forked_process_has_no_thread_of_its_parent():
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=60)
    assert done.stdout == "0 1\n", done.stderr


def test_numbers_of_the_instrumented_module():
    o = oracle('(module (func (export "f") (param i32)))')
    for value in (-5, 0, 2**31 - 1, -(2**31)):
        o._frames.set(value)
        assert o._frames.get() == value == o._exports[record.FRAMES].value(o._store)


def test_little_address_space():
    code = """
import resource, sys, wasm2xformer as w2x
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]) * 1000,) * 2)
wat = '(module (memory 1) (func (export "f") (result i32) (i32.load (i32.const 0))))'
print(w2x.verify(wat, "f").ok)
"""
    done = subprocess.run([sys.executable, "-c", code, "4000000"], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "True", done.stderr


def test_an_oracle_goes_with_its_last_reference():
    o = oracle(WASI)
    o.invoke("argc")
    alive = weakref.ref(o)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del o
        gc.collect()
    assert alive() is None
    assert not caught  # of files that nobody closed


def test_instructions_are_counted_as_fuel():
    wat = """(module (func (export "f") (param f64) i32.const 1 drop block local.get 0 drop end call $g) (func $g nop)
      (func (export "t") i32.const 0 i32.load drop unreachable) (memory 1))"""
    wasm = bytes(wasmtime.wat2wasm(wat))
    one = struct.unpack("<Q", struct.pack("<d", 1.0))[0]
    assert count_instructions(wasm, "f", [one]) == 3 + 2
    assert count_instructions(wasm, "t") == 2 + 1
