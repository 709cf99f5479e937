"""Hosts that modules expect: Emscripten's env, WASI in other shapes, libraries that work on the program's own memory."""

from __future__ import annotations

import struct

import pytest

import wasm2xformer as w2x

LEVELS = pytest.mark.parametrize("level", [0, 1])


def check(text: str, calls: list[tuple], **options) -> None:
    """calls: (name, arguments, results or trap)."""
    verifier = w2x.Verifier(text, **options)
    for name, args, outcome in calls:
        report = verifier.invoke(name, args)
        assert report.ok, (name, args, str(report.divergence))
        assert (report.run.trap or report.run.values) == outcome, (name, args)


EMSCRIPTEN = """(module
  (import "env" "emscripten_memcpy_big" (func $big (param i32 i32 i32) (result i32)))
  (import "env" "_emscripten_memcpy_js" (func $js (param i32 i32 i32)))
  (import "env" "emscripten_resize_heap" (func $resize (param i32) (result i32)))
  (import "env" "emscripten_date_now" (func $date (result f64)))
  (import "env" "emscripten_get_now" (func $now (result f64)))
  (import "env" "setTempRet0" (func $set (param i32))) (import "env" "getTempRet0" (func $get (result i32)))
  (import "env" "abort" (func $abort (param i32)))
  (memory (export "memory") 1 4) (data (i32.const 0) "abcdefgh")
  (func (export "big") (result i32 i64) (call $big (i32.const 100) (i32.const 0) (i32.const 8)) (i64.load (i32.const 100)))
  (func (export "js") (result i64) (call $js (i32.const 1) (i32.const 0) (i32.const 7)) (i64.load (i32.const 0)))
  (func (export "resize") (param i32) (result i32 i32) (call $resize (local.get 0)) (memory.size))
  (func (export "date") (result f64) (call $date)) (func (export "now") (result f64) (call $now))
  (func (export "ret") (param i32) (result i32) (call $set (local.get 0)) (call $get))
  (func (export "abort") (call $abort (i32.const 1))))"""


@LEVELS
def test_emscriptens_env(level: int):
    outside = "out of bounds memory access"
    calls = [
        ("big", [], [100, int.from_bytes(b"abcdefgh", "little")]), ("js", [], [int.from_bytes(b"aabcdefg", "little")]),
        ("resize", [1], [1, 1]), ("resize", [65537], [1, 2]), ("resize", [131072], [1, 2]), ("resize", [262145], [0, 2]),
        ("resize", [262144], [1, 4]), ("resize", [-1], [0, 4]), ("date", [], [1_700_000_000_123.0]),
        ("now", [], [1_700_000_000_123.5]), ("ret", [-7], [-7]), ("abort", [], "wasm `unreachable` instruction executed"),
    ]  # fmt: skip
    check(EMSCRIPTEN, calls, opt_level=level, clock=1_700_000_000.1235)
    far = EMSCRIPTEN.replace("(i32.const 100) (i32.const 0) (i32.const 8)", "(i32.const 65530) (i32.const 0) (i32.const 8)")
    check(far, [("big", [], outside)], opt_level=level)


def test_emscriptens_file_system_is_empty():
    calls = {"ioctl": ("i32 i32 i32", -59), "fcntl64": ("i32 i32 i32", 0), "openat": ("i32 i32 i32 i32", -44),
             "stat64": ("i32 i32", -44), "rmdir": ("i32", -44), "unlinkat": ("i32 i32 i32", -44)}  # fmt: skip
    text = '(module (import "env" "__syscall_getcwd" (func $cwd (param i32 i32) (result i32)))'
    for name, (params, _) in calls.items():
        text += f'(import "env" "__syscall_{name}" (func ${name} (param {params}) (result i32)))'
    text += """(memory (export "memory") 1) (data (i32.const 16) "xyz")
      (func (export "cwd") (param i32) (result i32 i32)
        (call $cwd (i32.const 16) (local.get 0)) (i32.load (i32.const 16)))"""
    for name, (params, _) in calls.items():
        text += f'(func (export "{name}") (result i32) (call ${name} {"(i32.const 1)" * len(params.split())}))'
    wanted = [(name, [], [value]) for name, (_, value) in calls.items()]
    check(f"{text})", [*wanted, ("cwd", [1], [-68, 0x7A7978]), ("cwd", [9], [2, 0x7A002F])])


INVOKE = """(module
  (import "env" "invoke_ii" (func $ii (param i32 i32) (result i32)))
  (import "env" "invoke_v" (func $v (param i32)))
  (import "env" "invoke_djfi" (func $djfi (param i32 i64 f32 i32) (result f64)))
  (import "env" "invoke_jji" (func $jji (param i32 i32 i32 i32) (result i32)))
  (import "env" "getTempRet0" (func $upper (result i32)))
  (table (export "__indirect_function_table") 8 funcref) (global $g (mut i32) (i32.const 0))
  (elem (i32.const 1) $inc $set $mix $wide $trap)
  (func $inc (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
  (func $set (global.set $g (i32.const 5)))
  (func $mix (param i64 f32 i32) (result f64)
    (f64.add (f64.convert_i64_s (local.get 0)) (f64.add (f64.promote_f32 (local.get 1)) (f64.convert_i32_s (local.get 2)))))
  (func $wide (param i64 i32) (result i64) (i64.add (local.get 0) (i64.extend_i32_s (local.get 1))))
  (func $trap (param i32) (result i32) (i32.div_s (i32.const 1) (local.get 0)))
  (func (export "ii") (param i32 i32) (result i32) (call $ii (local.get 0) (local.get 1)))
  (func (export "v") (result i32) (call $v (i32.const 2)) (global.get $g))
  (func (export "mix") (result f64) (call $djfi (i32.const 3) (i64.const -3) (f32.const 0.5) (i32.const 7)))
  (func (export "wide") (param i64 i32) (result i64)
    (i64.or
      (i64.extend_i32_u (call $jji (i32.const 4) (i32.wrap_i64 (local.get 0))
        (i32.wrap_i64 (i64.shr_u (local.get 0) (i64.const 32))) (local.get 1)))
      (i64.shl (i64.extend_i32_u (call $upper)) (i64.const 32)))))"""


@LEVELS
def test_invoke_calls_the_table(level: int):
    calls = [
        ("ii", [1, 41], [42]), ("v", [], [5]), ("mix", [], [4.5]), ("wide", [2**40 + 5, -6], [2**40 - 1]),
        ("wide", [-1, 0], [-1]), ("ii", [5, 0], "integer divide by zero"), ("ii", [2, 0], "indirect call type mismatch"),
        ("ii", [6, 0], "uninitialized element"), ("ii", [9, 0], "undefined element: out of bounds table access"),
    ]  # fmt: skip
    check(INVOKE, calls, opt_level=level)


# longjmp as Emscripten compiles it. `deep` throws from several calls down, the stack moved; setThrew leaves what it is told.
JUMPS = """(module
  (import "env" "invoke_iii" (func $invoke (param i32 i32 i32) (result i32)))
  (import "env" "invoke_j" (func $wide (param i32) (result i64)))
  (import "env" "_emscripten_throw_longjmp" (func $jump))
  (memory (export "memory") 1)
  (table (export "__indirect_function_table") 4 funcref) (elem (i32.const 1) $deep $nested $wide_jump)
  (global $stack (mut i32) (i32.const 1024)) (global $calls (mut i32) (i32.const 0))
  (func (export "setThrew") (param i32 i32)
    (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (local.get 0))) (i32.store (i32.const 4) (local.get 1)))
  (func (export "{save}") (result i32) (global.get $stack))
  (func (export "{restore}") (param i32) (global.set $stack (local.get 0)))
  (func $down (param i32) (result i32)
    (global.set $stack (i32.sub (global.get $stack) (i32.const 16)))
    (if (i32.eqz (local.get 0)) (then (call $jump)))
    (i32.add (call $down (i32.sub (local.get 0) (i32.const 1))) (i32.const 1)))
  (func $deep (param i32 i32) (result i32)
    (if (local.get 1) (then (return (i32.div_s (i32.const 100) (local.get 0)))))
    (call $down (local.get 0)))
  (func $nested (param i32 i32) (result i32)
    (drop (call $invoke (i32.const 1) (local.get 0) (i32.const 0)))
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (call $down (local.get 1)))
  (func $wide_jump (result i64) (call $jump) (i64.const 5))
  (func (export "call") (param i32 i32 i32) (result i32 i32 i32 i32)
    (call $invoke (local.get 0) (local.get 1) (local.get 2)) (i32.load (i32.const 0)) (global.get $stack) (global.get $calls))
  (func (export "wide") (result i64) (call $wide (i32.const 3)))
  (func (export "uncaught") (call $jump)))"""


def jumps(save: str, restore: str) -> str:
    return JUMPS.format(save=save, restore=restore)


@LEVELS
@pytest.mark.parametrize(
    "names", [("stackSave", "stackRestore"), ("emscripten_stack_get_current", "_emscripten_stack_restore")]
)
def test_invoke_catches_what_is_thrown(names: tuple[str, str], level: int):
    calls = [
        ("call", [1, 2, 1], [50, 0, 1024, 0]), ("call", [1, 2, 0], [0, 1, 1024, 0]), ("call", [2, 3, 1], [0, 3, 1024, 1]),
        ("call", [1, 0, 1], "integer divide by zero"), ("wide", [], [0]), ("uncaught", [], "thrown Wasm exception"),
        ("call", [1, 5, 1], [20, 4, 1024, 1]),
    ]  # fmt: skip
    check(jumps(*names), calls, opt_level=level)


def test_a_program_that_throws_has_to_export_what_puts_the_stack_back():
    with pytest.raises(w2x.CompileError) as error:
        w2x.compile(jumps("a", "b"))
    assert '"env" "_emscripten_throw_longjmp" (func) is not provided' in str(error.value)


# C++: `catch` throws an object of a type (an address) and looks for handlers of two; the destructor leaves a mark.
THROWS = """(module
  (import "env" "invoke_vii" (func $invoke (param i32 i32 i32)))
  (import "env" "__cxa_allocate_exception" (func $allocate (param i32) (result i32)))
  (import "env" "__cxa_throw" (func $throw (param i32 i32 i32)))
  (import "env" "__cxa_find_matching_catch_2" (func $any (result i32)))
  (import "env" "__cxa_find_matching_catch_4" (func $find (param i32 i32) (result i32)))
  (import "env" "__cxa_begin_catch" (func $begin (param i32) (result i32)))
  (import "env" "__cxa_end_catch" (func $end)) (import "env" "__cxa_rethrow" (func $again))
  (import "env" "__cxa_uncaught_exceptions" (func $uncaught (result i32)))
  (import "env" "getTempRet0" (func $type (result i32)))
  (memory (export "memory") 1)
  (table (export "__indirect_function_table") 4 funcref) (elem (i32.const 1) $thrower $destroy $rethrower)
  (global $heap (mut i32) (i32.const 4096)) (global $balance (mut i32) (i32.const 0)) (global $gone (mut i32) (i32.const 0))
  (func (export "setThrew") (param i32 i32)) (func (export "stackSave") (result i32) (i32.const 0))
  (func (export "stackRestore") (param i32))
  (func (export "malloc") (param i32) (result i32)
    (global.set $balance (i32.add (global.get $balance) (i32.const 1)))
    (global.get $heap) (global.set $heap (i32.add (global.get $heap) (local.get 0))))
  (func (export "free") (param i32) (global.set $balance (i32.sub (global.get $balance) (i32.const 1))))
  (func (export "__cxa_is_pointer_type") (param i32) (result i32) (i32.eq (local.get 0) (i32.const 300)))
  ;; Type 200 catches 100, whose part at 4 it is.
  (func (export "__cxa_can_catch") (param $wanted i32) (param $thrown i32) (param $at i32) (result i32)
    (i32.and (i32.eq (local.get $wanted) (i32.const 200)) (i32.eq (local.get $thrown) (i32.const 100)))
    (if (i32.eq (local.get $wanted) (i32.const 200))
      (then (i32.store (local.get $at) (i32.add (i32.load (local.get $at)) (i32.const 4))))))
  (func $destroy (param i32) (result i32) (global.set $gone (i32.load (local.get 0))) (local.get 0))
  (func $thrower (param $type i32) (param $value i32) (local $object i32)
    (local.set $object (call $allocate (i32.const 8)))
    (i32.store (local.get $object) (local.get $value))
    (i32.store offset=4 (local.get $object) (i32.add (local.get $value) (i32.const 1)))
    (call $throw (local.get $object) (local.get $type) (i32.const 2)))
  (func $rethrower (param $type i32) (param $value i32)
    (call $invoke (i32.const 1) (local.get $type) (local.get $value))
    (drop (call $begin (call $any)))
    (call $again))
  ;; The type of the handler, what it gets (of an object the number there), how many are in flight in it, what was destroyed
  ;; at its end, and blocks that are still allocated.
  (func (export "catch") (param $function i32) (param $thrown i32) (param $a i32) (param $b i32)
      (result i32 i32 i32 i32 i32) (local $got i32)
    (global.set $gone (i32.const 0))
    (call $invoke (local.get $function) (local.get $thrown) (i32.const 42))
    (local.set $got (call $find (local.get $a) (local.get $b)))
    (call $type)
    (local.set $got (call $begin (local.get $got)))
    (if (result i32) (i32.lt_u (local.get $got) (i32.const 4096)) (then (local.get $got)) (else (i32.load (local.get $got))))
    (call $uncaught)
    (call $end)
    (global.get $gone)
    (global.get $balance))
  (func (export "nothing") (result i32 i32) (call $any) (call $type))
  (func (export "outside") (call $again)))"""


@LEVELS
def test_cpp_exceptions_of_emscripten(level: int):
    calls = [
        ("nothing", [], [0, 0]), ("catch", [1, 100, 100, 5], [100, 42, 0, 42, 0]),
        ("catch", [1, 100, 5, 200], [200, 43, 0, 42, 0]), ("catch", [1, 300, 5, 300], [300, 42, 0, 42, 0]),
        ("catch", [1, 100, 5, 0], [100, 42, 0, 42, 0]), ("nothing", [], [0, 0]),
        ("outside", [], "wasm `unreachable` instruction executed"),
        # Its own handler is still open when the object is thrown again.
        ("catch", [3, 100, 100, 5], [100, 42, 0, 0, 2]),
    ]  # fmt: skip
    check(THROWS, calls, opt_level=level)


def test_what_the_pack_does_not_fit_is_refused():
    for name, type, message in (
        ("invoke_ii", "(param i32 f32) (result i32)", "is not provided"),
        ("invoke_x", "(param i32)", "is not provided"),
        ("emscripten_get_now", "(result i32)", "imported as () -> (i32), env has () -> (f64)"),
        ("emscripten_resize_heap", "(param i32) (result i32)", "the program has no memory"),
        ("invoke_v", "(param i32)", "the program has no table"),
    ):
        text = f'(module (import "env" "{name}" (func $f {type})) (func (export "f") (unreachable) (call $f) (unreachable)))'
        with pytest.raises(w2x.CompileError) as error:
            w2x.compile(text)
        assert message in str(error.value)


LEGALISED = """(module
  (import "wasi_snapshot_preview1" "fd_seek" (func $seek (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_pread" (func $pread (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1) (data (i32.const 0) "\\08\\00\\00\\00\\02\\00\\00\\00hi")
  (func (export "seek") (param i32 i32) (result i32)
    (call $seek (local.get 0) (i32.const 0) (i32.const 0) (local.get 1) (i32.const 64)))
  (func (export "pread") (param i32) (result i32)
    (call $pread (local.get 0) (i32.const 0) (i32.const 1) (i32.const 1) (i32.const 0) (i32.const 64)))
  (func (export "time") (param i32) (result i32 i64)
    (call $time (i32.const 0) (i32.const 1) (i32.const 2) (local.get 0)) (i64.load (i32.const 64)))
  (func (export "write") (result i32) (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64))))"""


@LEVELS
def test_wasi_as_javascript_is_given_it(level: int):
    calls = [
        ("seek", [1, 0], [70]), ("seek", [3, 0], [8]), ("seek", [1, 3], "invalid argument of a host function"),
        ("pread", [0], [70]), ("pread", [1], [8]), ("time", [64], [0, 1_500_000_000]),
        ("time", [65533], "out of bounds memory access"), ("time", [65536], "out of bounds memory access"),
        ("write", [], [0]),
    ]  # fmt: skip
    check(LEGALISED, calls, opt_level=level, clock=1.5)


POLL = """(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (import "env" "emscripten_get_now" (func $now (result f64)))
  (memory (export "memory") 1)
  (func (export "poll") (param i32 i32) (result i32 i32 i64 i64 i64 f64)
    (call $poll (local.get 0) (i32.const 512) (local.get 1) (i32.const 600)) (i32.load (i32.const 600))
    (drop (call $time (i32.const 1) (i64.const 0) (i32.const 608))) (i64.load (i32.const 608))
    (i64.load (i32.const 512)) (i64.load (i32.const 544)) (call $now))
  (func (export "closed") (param i32) (result i32)
    (drop (call $close (local.get 0)))
    (call $poll (i32.const 0) (i32.const 512) (i32.const 1) (i32.const 600))))"""


@LEVELS
def test_waiting_passes_time_without_taking_any(level: int):
    def clock(data: int, id: int, timeout: int, flags: int = 0) -> bytes:
        return struct.pack("<QB7xI4xQQH6x", data, 0, id, timeout, 0, flags)

    verifier = w2x.Verifier(POLL, opt_level=level, clock=10.0)
    hour, start, end = 3600 * 10**9, 10 * 10**9, 2**32 * 10**9 - 1
    stdin = struct.pack("<QB7xI28x", 3, 1, 0)
    for subscriptions, errno, count, passed, first in (
        ([clock(1, 0, hour)], 0, 1, hour, 1), ([clock(1, 0, 2 * hour), clock(2, 1, hour)], 0, 1, hour, 2),
        ([clock(1, 0, start + 7, 1)], 0, 1, 7, 1), ([clock(1, 0, 5, 1), clock(2, 0, 0)], 0, 2, 0, 1),
        ([clock(1, 0, hour), stdin], 0, 1, 0, 3), ([clock(1, 2, 0)], 28, None, 0, None),
        ([clock(1, 1, 2**64 - 1)], 0, 1, end - start, 1), ([clock(1, 0, 2**64 - 1, 1)], 0, 1, end - start, 1),
    ):  # fmt: skip
        verifier.write_memory(0, b"".join(subscriptions))
        report = verifier.invoke("poll", [0, len(subscriptions)])
        assert report.ok, report.divergence
        got = report.run.values
        assert got[0] == errno and got[2] == start + passed and (errno or (got[1] == count and got[3] == first))
        assert got[5] == min(start + passed + 10**6, end) / 10**6  # the program has asked for the time before
    verifier.write_memory(0, stdin)
    report = verifier.invoke("closed", [0])
    assert report.ok and report.run.values == [8]


SHARED = {
    "lib": """(module (import "w2x" "memory" (memory 0)) (import "w2x" "table" (table 0 funcref))
      (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (export "memory" (memory 0)) (elem declare func $nine) (func $nine (param i32) (result i32) (i32.const 9))
      (func (export "fill") (param i32 i32) (memory.fill (local.get 0) (i32.const 7) (local.get 1)))
      (func (export "call") (param i32 i32) (result i32)
        (call_indirect (param i32) (result i32) (local.get 1) (local.get 0)))
      (func (export "put") (param i32) (table.set (local.get 0) (ref.func $nine)))
      (func (export "hi") (result i32) (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64))))"""
}
SHARING = """(module {imports}
  (import "lib" "fill" (func $fill (param i32 i32))) (import "lib" "call" (func $call (param i32 i32) (result i32)))
  (import "lib" "put" (func $put (param i32))) (import "lib" "hi" (func $hi (result i32)))
  {own}
  (data (i32.const 0) "\\08\\00\\00\\00\\02\\00\\00\\00hi") (elem (i32.const 2) $double)
  (func $double (param i32) (result i32) (i32.shl (local.get 0) (i32.const 1)))
  (func (export "fill") (param i32 i32) (result i64)
    (call $fill (local.get 0) (local.get 1)) (i64.load (i32.const 100)))
  (func (export "call") (param i32 i32) (result i32) (call $call (local.get 0) (local.get 1)))
  (func (export "put") (result i32) (call $put (i32.const 3))
    (call_indirect (param i32) (result i32) (i32.const 1) (i32.const 3)))
  (func (export "hi") (result i32) (call $hi)))"""
OWN = '(memory 1) (table 5 funcref) (export "mem" (memory 0))'
IMPORTED = '(import "env" "m" (memory 1)) (import "env" "t" (table 5 funcref))'
ENV = '(module (memory (export "m") 1) (table (export "t") 5 funcref))'


@LEVELS
@pytest.mark.parametrize(("imports", "own"), [("", OWN), (IMPORTED, ""), (IMPORTED, '(export "memory" (memory 0))')])
def test_a_library_works_on_the_programs_memory_and_table(imports: str, own: str, level: int):
    calls = [
        ("fill", [101, 5], [0x070707070700]), ("fill", [65535, 2], "out of bounds memory access"), ("call", [2, 21], [42]),
        ("call", [3, 1], "uninitialized element"), ("put", [], [9]), ("call", [3, 1], [9]), ("hi", [], [0]),
    ]  # fmt: skip
    libraries = {**SHARED, "env": ENV}
    check(SHARING.format(imports=imports, own=own), calls, opt_level=level, libraries=libraries)


# What C++ with embind does when it is constructed, and a program that calls what it has registered.
EMBIND = """(module
  (import "env" "_embind_register_void" (func $void (param i32 i32)))
  (import "env" "_embind_register_float" (func $float (param i32 i32 i32)))
  (import "env" "_embind_register_function" (func $function (param i32 i32 i32 i32 i32 i32 i32)))
  (import "env" "_embind_register_class_function" (func $method (param i32 i32 i32 i32 i32 i32 i32 i32)))
  (import "env" "_embind_register_class_constructor" (func $constructor (param i32 i32 i32 i32 i32 i32)))
  (memory (export "memory") 1) (data (i32.const 16) "triple\\00")
  (table (export "table") 3 funcref) (elem (i32.const 1) $invoke $triple)
  (func $triple (param i32) (result i32) (i32.mul (local.get 0) (i32.const 3)))
  (func $invoke (param i32 i32) (result i32) (call_indirect (param i32) (result i32) (local.get 1) (local.get 0)))
  (func (export "ctors") (call $void (i32.const 1) (i32.const 2)) (call $float (i32.const 1) (i32.const 2) (i32.const 4))
    (call $function (i32.const 16) (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 2) (i32.const 0))
    (call $method (i32.const 900) (i32.const 20) (i32.const 0) (i32.const 0)
      (i32.const 0) (i32.const 7) (i32.const 8) (i32.const 0))
    (call $constructor (i32.const 900) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 5) (i32.const 6))))"""
EMBIND_DRIVER = """(module (import "it" "memory" (memory 1)) (import "it" "table" (table 3 funcref))
  (import "it" "ctors" (func $ctors))
  (import "env" "embind_count" (func $count (result i32)))
  (import "env" "embind_registered" (func $registered (param i32) (result i32 i32 i32 i32)))
  (func (export "ctors") (result i32) (call $ctors) (call $count))
  (func (export "registered") (param i32) (result i32 i32 i32 i32) (call $registered (local.get 0)))
  (func (export "call") (param i32 i32) (result i32) (local $invoker i32) (local $function i32)
    (call $registered (local.get 0)) (local.set $function) (local.set $invoker) (drop) (drop)
    (call_indirect (param i32 i32) (result i32) (local.get $function) (local.get 1) (local.get $invoker))))"""


@LEVELS
def test_what_embind_registers_can_be_called(level: int):
    calls = [
        ("ctors", [], [3]), ("registered", [0], [0, 16, 1, 2]), ("registered", [1], [900, 20, 7, 8]),
        ("registered", [2], [900, 0, 5, 6]), ("registered", [3], "wasm `unreachable` instruction executed"),
        ("call", [0, 14], [42]),
    ]  # fmt: skip
    check(EMBIND_DRIVER, calls, opt_level=level, libraries={"it": EMBIND})


@LEVELS
def test_the_owner_of_the_programs_memory_may_import_from_a_library_that_works_on_it(level: int):
    """In a circle: the program's memory and table are of "owner", which imports from "hook", which imports the program's."""
    libraries = {
        "owner": """(module (import "hook" "write" (func $write (param i32)))
          (memory (export "m") 1) (table (export "t") 2 funcref) (data (i32.const 8) "\\05")
          (elem (i32.const 1) $five) (func $five (result i32) (i32.load (i32.const 8)))
          (func (export "go") (call $write (i32.const 8))))""",
        "hook": """(module (import "w2x" "memory" (memory 0)) (import "w2x" "table" (table 0 funcref))
          (func (export "write") (param i32) (i32.store (local.get 0)
            (i32.add (i32.const 40) (call_indirect (result i32) (i32.const 1))))))""",
    }
    program = """(module (import "owner" "m" (memory 1)) (import "owner" "t" (table 2 funcref)) (import "owner" "go" (func $go))
      (func (export "f") (result i32) (call $go) (call_indirect (result i32) (i32.const 1))))"""
    check(program, [("f", [], [45]), ("f", [], [85])], opt_level=level, libraries=libraries)


def test_what_w2x_gives_to_libraries_and_what_not():
    text = '(module (import "lib" "f" (func $f)) (func (export "g") (call $f)) {})'
    library = '(module (import "w2x" {}) (func (export "f") {}))'
    for entry, code, own, message in (
        ('"memory" (memory 2)', "(drop (memory.size))", "(memory 1)", "at least 2 pages wanted, the program has 1"),
        ('"memory" (memory 0)', "(drop (memory.size))", "", "the program has no memory"),
        ('"exit" (func $exit (param i32))', "(call $exit (i32.const 1))", "", '"w2x" "exit" (func) is not provided'),
        ('"memory_bytes" (global $m (mut i32))', "(global.set $m (i32.const 1))", "", "is not provided"),
    ):
        with pytest.raises(w2x.CompileError) as error:
            w2x.compile(text.format(own), libraries={"lib": library.format(entry, code)})
        assert message in str(error.value)


@LEVELS
def test_a_library_calls_the_program(level: int):
    """Also when only one export is compiled, and what it calls."""
    library = """(module (import "w2x.program" "twice" (func $twice (param i32) (result i32)))
      (import "w2x.program" "absent" (func $absent))
      (func (export "f") (param i32) (result i32) (call $twice (i32.add (local.get 0) (i32.const 1))))
      (func (export "g") (call $absent)))"""
    text = """(module (import "lib" "f" (func $f (param i32) (result i32)))
      (func (export "twice") (param i32) (result i32)
        (if (i32.eqz (local.get 0)) (then (unreachable))) (i32.shl (local.get 0) (i32.const 1)))
      (func (export "call") (param i32) (result i32) (call $f (local.get 0))))"""
    calls = [("call", [20], [42]), ("call", [-1], "wasm `unreachable` instruction executed"), ("call", [2], [6])]
    for exports in (None, ["call"]):
        check(text, calls, opt_level=level, libraries={"lib": library}, exports=exports)
    for entry, message in (("", "the program exports no such func"), ('(func (export "absent") (param i32))', "incompatible")):
        with pytest.raises(w2x.CompileError) as error:
            caller = f'(module (import "lib" "g" (func $g)) {entry} (func (export "call") (call $g)))'
            w2x.compile(caller, libraries={"lib": library})
        assert message in str(error.value) and '"w2x.program" "absent"' in str(error.value)


@LEVELS
def test_wasi_works_on_the_memory_there_is(level: int):
    text = """(module {imports}
      (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32))) {own}
      (data (i32.const 0) "\\08\\00\\00\\00\\03\\00\\00\\00hi\\n")
      (func (export "hi") (result i32) (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16))))"""
    for imports, own in (('(import "env" "m" (memory 1))', ""), ("", "(memory 1)"), ("", '(memory (export "m") 1)')):
        verifier = w2x.Verifier(text.format(imports=imports, own=own), opt_level=level, libraries={"env": ENV})
        report = verifier.invoke("hi")
        assert report.ok and report.run.values == [0] and report.run.stdout == b"hi\n"


@LEVELS
def test_a_library_with_a_memory_of_its_own_writes_from_there(level: int):
    libraries = {
        "lib": """(module (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
          (memory 1) (data (i32.const 0) "\\08\\00\\00\\00\\03\\00\\00\\00lib")
          (func (export "say") (result i32) (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16))))"""
    }
    text = '(module (import "lib" "say" (func $say (result i32))) {} (func (export "f") (result i32) (call $say) {}))'
    report = w2x.verify(text.format("", ""), "f", opt_level=level, libraries=libraries)
    assert report.ok and report.run.stdout == b"lib"
    of_its_own = '(memory (export "memory") 1) (data (i32.const 0) "\\05\\00\\00\\00\\04\\00\\00\\00")'
    text = text.format(of_its_own, "(i32.add (i32.load (i32.const 0)))")
    report = w2x.verify(text, "f", opt_level=level, libraries=libraries)
    assert report.ok and report.run.stdout == b"lib" and report.run.values == [5]


@LEVELS
def test_a_given_library_comes_before_the_pack(level: int):
    libraries = {"env": '(module (func (export "emscripten_get_now") (result f64) (f64.const 3.5)))'}
    check(EMSCRIPTEN, [("now", [], [3.5]), ("date", [], [2000.0])], opt_level=level, libraries=libraries, clock=2.0)


def utf16(text: str) -> str:
    data = text.encode("utf-16-le", errors="surrogatepass")
    return "".join(f"\\{byte:02x}" for byte in len(data).to_bytes(4, "little") + data)


ASSEMBLYSCRIPT = f"""(module
  (import "env" "console.log" (func $log (param i32))) (import "env" "console.warn" (func $warn (param i32)))
  (import "env" "trace" (func $trace (param i32 i32 f64 f64 f64 f64 f64)))
  (import "env" "abort" (func $abort (param i32 i32 i32 i32)))
  (import "env" "seed" (func $seed (result f64))) (import "env" "Date.now" (func $now (result f64)))
  (memory (export "memory") 1) (data (i32.const 0) "first bytes stay.") (data (i32.const 60) "{utf16("aé€😀z")}")
  (data (i32.const 96) "{utf16(chr(0xD800) + "x" + chr(0xDC01))}") (data (i32.const 116) "{utf16("m.ts")}")
  (func (export "log") (result i64) (call $log (i32.const 64)) (call $log (i32.const 100)) (i64.load (i32.const 8)))
  (func (export "warn") (call $warn (i32.const 64)))
  (func (export "trace") (param i32 f64 f64)
    (call $trace (i32.const 120) (local.get 0) (local.get 1) (local.get 2) (f64.const -7) (f64.const nan) (f64.const 1e18)))
  (func (export "abort") (call $abort (i32.const 64) (i32.const 120) (i32.const 12) (i32.const 345)))
  (func (export "time") (result f64 f64 f64) (call $seed) (call $now) (call $now)))"""


@LEVELS
def test_assemblyscripts_env(level: int):
    verifier = w2x.Verifier(ASSEMBLYSCRIPT, opt_level=level, clock=1_700_000_000.1235)
    fffd = "\ufffd"
    for name, args, values, stdout, stderr in (
        ("log", [], [int.from_bytes(b"tes stay", "little")], f"aé€😀z\n{fffd}x{fffd}\n", ""), ("warn", [], [], "", "aé€😀z\n"),
        ("trace", [0, 0.0, 0.0], [], "", "trace: m.ts\n"),
        ("trace", [5, 0.5, 2.000001], [], "", "trace: m.ts 0.5, 2.000001, -7, NaN, 1000000000000000000\n"),
        ("trace", [2, 1 / 3, -0.0], [], "", "trace: m.ts 0.333333, 0\n"), ("abort", [], [], "", "abort: aé€😀z in m.ts:12:345\n"),
        ("time", [], [1_700_000_000_123_500_000.0, 1_700_000_000_123.0, 1_700_000_000_124.0], "", ""),
    ):  # fmt: skip
        report = verifier.invoke(name, args)
        assert report.ok, (name, str(report.divergence))
        assert (report.run.values, report.run.stdout.decode(), report.run.stderr.decode()) == (values, stdout, stderr)
        assert bool(report.run.trap) == (name == "abort")


@LEVELS
@pytest.mark.parametrize(
    ("module", "name"), [("wbg", "__wbindgen_throw"), ("./x_bg.js", "__wbg___wbindgen_throw_1506f2235d1bdba0")]
)
def test_wasm_bindgens_message_goes_to_standard_error(module: str, name: str, level: int):
    text = f"""(module (import "{module}" "{name}" (func $throw (param i32 i32)))
      (memory (export "memory") 1) (data (i32.const 0) "first bytes stay, and the text is lost")
      (func (export "f") (call $throw (i32.const 18) (i32.const 20)))
      (func (export "g") (result i64) (i64.load (i32.const 0))))"""
    verifier = w2x.Verifier(text, opt_level=level)
    report = verifier.invoke("f")
    assert report.ok and report.run.trap == "wasm `unreachable` instruction executed"
    assert report.run.stderr == b"and the text is lost\n"
    report = verifier.invoke("g")
    assert report.ok and report.run.values == [int.from_bytes(b"first by", "little")]


def test_what_javascript_has_to_do_is_refused_with_advice():
    for name, type, message in (
        ("__wbindgen_throw", "(param i32)", "is not provided; it works on JavaScript objects"),
        ("__wbg_log_f1a1b8cd7d7c3b1f", "(param i32 i32)", "is not provided; it works on JavaScript objects"),
        ("_emval_set_property", "(param i32 i32 i32)", "is not provided; it works on values of JavaScript"),
    ):
        with pytest.raises(w2x.CompileError) as error:
            w2x.compile(f'(module (import "env" "{name}" (func $f {type})) (memory 1) (func (export "f") (return) (call $f)))')
        assert f'"{name}" (func) {message}' in str(error.value), str(error.value)
