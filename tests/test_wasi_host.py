"""What WASI gets from the host at run time: random bytes and the time, in the prompt."""

import pytest
import wasmtime

import wasm2xformer as w2x
from wasm2xformer.runtime.check.oracle import Oracle

PROGRAM = """
(module
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_res_get" (func $resolution (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "random") (param i32 i32) (result i32 i64)
    (call $random (local.get 0) (local.get 1)) (i64.load (i32.and (local.get 0) (i32.const 0xfff8))))
  (func (export "twice") (result i64)
    (drop (call $random (i32.const 0) (i32.const 8))) (drop (call $random (i32.const 4) (i32.const 8)))
    (i64.load (i32.const 0)))
  (func (export "time") (param i32 i32) (result i32 i64)
    (call $time (local.get 0) (i64.const 1) (local.get 1)) (i64.load (i32.and (local.get 1) (i32.const 0xfff8))))
  (func (export "resolution") (param i32 i32) (result i32 i64)
    (call $resolution (local.get 0) (local.get 1)) (i64.load (i32.and (local.get 1) (i32.const 0xfff8)))))
"""
BYTES = bytes(range(1, 256)) + b"\xff"
OUTSIDE, WRONG = "out of bounds memory access", "invalid argument of a host function"


@pytest.mark.parametrize("level", [0, 1])
def test_the_model_and_wasmtime_are_told_the_same(level: int):
    verifier = w2x.Verifier(PROGRAM, opt_level=level, random=BYTES, clock=1.5)
    first, time = int.from_bytes(BYTES[:8], "little"), 1_500_000_000
    for name, args, values in (
        ("random", [8, 8], [0, first]), ("random", [8, 0], [0, first]), ("random", [0, 256], [0, first]),
        ("random", [8, 257], [0, first]), ("random", [8, 2000], [0, first]), ("random", [65528, 8], [0, first]),
        ("twice", [], [int.from_bytes(BYTES[:4] + BYTES[8:12], "little")]), ("random", [65530, 8], OUTSIDE),
        ("time", [0, 16], [0, time]), ("time", [1, 24], [0, time]), ("time", [2, 16], [8, time]),
        ("time", [4, 16], WRONG), ("time", [0, 3], WRONG), ("time", [0, 65536], OUTSIDE),
        ("resolution", [0, 8], [0, 1]), ("resolution", [3, 8], [8, 1]), ("resolution", [5, 8], WRONG),
    ):  # fmt: skip
        report = verifier.invoke(name, args)
        assert report.ok, report.divergence
        assert (report.run.trap or report.run.values) == values, (name, args)


def test_random_bytes_do_not_end_and_clocks_go_on():
    program = """(module
      (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
      (import "env" "emscripten_get_now" (func $now (result f64)))
      (memory (export "memory") 1)
      (func (export "random") (drop (call $random (i32.const 0) (i32.const 250)))
        (drop (call $random (i32.const 250) (i32.const 3000))))
      (func (export "wait") (param $n i64) (result i32) (local $loops i32)
        (loop $again
          (local.set $loops (i32.add (local.get $loops) (i32.const 1)))
          (drop (call $time (i32.const 1) (i64.const 0) (i32.const 0)))
          (br_if $again (i64.lt_u (i64.load (i32.const 0)) (local.get $n)))) (local.get $loops))
      (func (export "now") (result f64) (drop (call $now))
        (drop (call $time (i32.const 1) (i64.const 0) (i32.const 0))) (call $now)))"""
    verifier = w2x.Verifier(program, random=BYTES, clock=1.9985)
    assert verifier.invoke("random").ok
    drawn = verifier.read_memory(0, 3250)[0]
    assert drawn[:256] == BYTES and len({drawn[k : k + 8] for k in range(0, 3248, 8)}) == 406
    report = verifier.invoke("wait", [2_001_000_000])
    assert report.ok and report.run.values == [4]
    report = verifier.invoke("now")
    assert report.ok and report.run.values == [2000.5]


def test_without_being_told_they_are_real():
    model = w2x.compile(PROGRAM, exports=["random", "time"])
    vm, other = w2x.Instance(model), w2x.Instance(model)
    drawn = {vm.invoke("random", 0, 8).values[1] for _ in range(3)} | {other.invoke("random", 0, 8).values[1]}
    assert len(drawn) == 4
    times = [vm.invoke("time", 0, 0).values[1] for _ in range(2)]
    assert 1_700_000_000 * 10**9 < times[0] < times[1]


# Each way on which a function comes to another: what it exports says which inputs it needs.
WAYS = """
(module
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args (param i32 i32) (result i32)))
  (type $draws (func (param i32) (result i64))) (type $asks (func (param i32 i32) (result i64)))
  (memory (export "memory") 1) (table $t 4 funcref)
  (elem (table $t) (i32.const 0) func $draw $seconds $twice) (elem declare func $drawn)
  (global $g (ref $draws) (ref.func $drawn))
  (func $draw (type $draws) (drop (call $random (local.get 0) (i32.const 8))) (i64.load (local.get 0)))
  (func $drawn (type $draws) (i64.xor (i64.const 1) (call $draw (local.get 0))))
  (func $twice (type $draws) (i64.extend_i32_u (i32.mul (local.get 0) (i32.const 2))))
  (func $seconds (type $asks) (drop (call $time (i32.const 0) (i64.const 1) (local.get 0))) (i64.load (local.get 0)))
  (func (export "direct") (type $draws) (call $draw (local.get 0)))
  (func (export "tail") (type $draws) (return_call $drawn (local.get 0)))
  (func (export "table") (type $draws) (call_indirect $t (type $draws) (local.get 0) (i32.const 0)))
  (func (export "table tail") (type $draws) (return_call_indirect $t (type $draws) (local.get 0) (i32.const 0)))
  (func (export "reference") (type $draws) (call_ref $draws (local.get 0) (global.get $g)))
  (func (export "reference tail") (type $draws) (return_call_ref $draws (local.get 0) (global.get $g)))
  (func (export "other") (type $draws) (call_indirect $t (type $draws) (local.get 0) (i32.const 2)))
  (func (export "seconds") (param i32) (result i64)
    (call_indirect $t (type $asks) (local.get 0) (i32.const 0) (i32.const 1)))
  (func $both (export "both") (type $draws)
    (if (i32.eqz (local.get 0)) (then (return (call $seconds (i32.const 8) (i32.const 0)))))
    (i64.add (call $draw (i32.const 16)) (call $again (i32.sub (local.get 0) (i32.const 1)))))
  (func $again (type $draws) (call $both (local.get 0)))
  (func (export "args") (param i32) (result i64)
    (drop (call $args (local.get 0) (i32.const 64))) (i64.load32_u (i32.const 64)))
  (func (export "none") (param i32) (result i64)
    (memory.fill (local.get 0) (i32.const 7) (i32.const 3)) (i64.load (local.get 0))))
"""
NEEDED = {
    "direct": ("random",), "tail": ("random",), "table": ("random",), "table tail": ("random",), "reference": ("random",),
    "reference tail": ("random",), "other": ("random",), "seconds": ("clock",), "both": ("random", "clock"), "args": ("args",),
    "none": (),
}  # fmt: skip


@pytest.mark.parametrize("level", [0, 1])
def test_a_call_is_told_what_it_can_ask_for_and_nothing_else(level: int):
    verifier = w2x.Verifier(WAYS, opt_level=level, random=BYTES, clock=1.5, argv=["one", "two"])
    assert {name: entry.inputs for name, entry in verifier.model.program.entries.items()} == NEEDED
    lengths = {}
    for name in [*NEEDED, *reversed(NEEDED), *(n for other in NEEDED for n in ("none", other))]:
        report = verifier.invoke(name, [4])
        assert report.ok, (name, report.divergence)
        lengths[name] = len(report.run.prompt)
    assert lengths["none"] == 2 and lengths["seconds"] < 20 and lengths["args"] < 20 and lengths["direct"] > 256


def test_what_is_exported_of_the_clock_is_told_every_call():
    library = '(module (import "w2x" "clock_seconds" (global $s (mut i32))) (export "seconds" (global $s)))'
    program = """(module (import "clock" "seconds" (global $s (mut i32)))
      (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
      (memory (export "memory") 1) (export "seconds" (global $s))
      (func (export "draw") (result i32) (call $random (i32.const 0) (i32.const 8)))
      (func (export "none")) (func (export "set") (global.set $s (i32.const 7))))"""
    model = w2x.compile(program, libraries={"clock": library})
    needed = {"draw": ("random", "clock"), "none": ("clock",), "set": ("clock",)}
    assert {name: entry.inputs for name, entry in model.program.entries.items()} == needed
    vm = w2x.Instance(model, clock=5.0)
    for name, seconds in (("none", 5), ("set", 7), ("draw", 5)):
        vm.invoke(name)
        assert vm.read_global("seconds") == seconds


@pytest.mark.parametrize("level", [0, 1])
def test_folders_are_told_to_the_first_that_needs_them(level: int):
    program = """(module
      (import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
      (memory (export "memory") 1) (data (i32.const 0) "name") (data (i32.const 8) "\\20\\00\\00\\00\\04\\00\\00\\00")
      (func (export "none") (result i32) (i32.load (i32.const 32)))
      (func (export "draw") (result i32) (drop (call $random (i32.const 64) (i32.const 4))) (i32.load (i32.const 64)))
      (func (export "open") (result i32)
        (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 4) (i32.const 0) (i64.const 2) (i64.const 0)
          (i32.const 0) (i32.const 16)))
      (func (export "read") (result i32)
        (drop (call $read (i32.load (i32.const 16)) (i32.const 8) (i32.const 1) (i32.const 24))) (i32.load (i32.const 32))))"""
    verifier = w2x.Verifier(program, opt_level=level, random=BYTES, clock=1.5, folders={"/": {"name": b"abcdefgh"}})
    entries = verifier.model.program.entries
    assert "files" not in entries["none"].inputs + entries["draw"].inputs
    assert all("files" in entries[name].inputs for name in ("open", "read"))
    values = []
    for name in ("none", "draw", "open", "none", "read", "draw", "read"):
        report = verifier.invoke(name)
        assert report.ok, (name, report.divergence)
        values.append(report.run.values[0])
    word = [int.from_bytes(text, "little") for text in (b"abcd", b"efgh")]
    assert values[2:5] == [0, 0, word[0]] and values[6] == word[1]


@pytest.mark.parametrize("level", [0, 1])
def test_streams_have_no_offsets(level: int):
    program = """(module
      (import "wasi_snapshot_preview1" "fd_pread" (func $read (param i32 i32 i32 i64 i32) (result i32)))
      (import "wasi_snapshot_preview1" "fd_pwrite" (func $write (param i32 i32 i32 i64 i32) (result i32)))
      (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
      (memory (export "memory") 1) (data (i32.const 0) "\\10\\00\\00\\00\\04\\00\\00\\00")
      (func (export "read") (param i32) (result i32)
        (call $read (local.get 0) (i32.const 0) (i32.const 1) (i64.const 0) (i32.const 8)))
      (func (export "write") (param i32) (result i32)
        (call $write (local.get 0) (i32.const 0) (i32.const 1) (i64.const 0) (i32.const 8)))
      (func (export "close_and_write") (param i32) (result i32)
        (drop (call $close (local.get 0)))
        (call $write (local.get 0) (i32.const 0) (i32.const 1) (i64.const 0) (i32.const 8))))"""
    verifier = w2x.Verifier(program, opt_level=level)
    calls = [(name, fd) for name in ("read", "write") for fd in range(4)]
    calls.append(("close_and_write", 1))
    reports = [verifier.invoke(name, [fd]) for name, fd in calls]
    assert all(report.ok for report in reports)
    assert [report.run.values[0] for report in reports] == [70, 8, 8, 8, 8, 70, 70, 8, 8]


def test_a_start_function_reads_stdin_on_both_sides():
    program = """(module
      (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1) (data (i32.const 0) "\\10\\00\\00\\00\\04\\00\\00\\00")
      (func $start (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8))))
      (func (export "f") (result i32) (i32.load (i32.const 16)))
      (start $start))"""
    verifier = w2x.Verifier(program, stdin=b"wxyz")
    assert verifier.started is not None and verifier.started.ok, verifier.started.divergence
    assert verifier.invoke("f").run.values == [int.from_bytes(b"wxyz", "little")]


STREAMS = """(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (memory (export "memory") 1) {}
  (func $read_to (export "read_to") (param $p i32) (param $n i32) (result i32 i32)
    (i32.store (i32.const 0) (local.get $p)) (i32.store (i32.const 4) (local.get $n)) (i32.store (i32.const 8) (i32.const -1))
    (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (i32.load (i32.const 8)))
  (func (export "write") (param $fd i32) (result i32)
    (call $write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
  (func (export "close") (param $fd i32) (result i32) (call $close (local.get $fd))))"""
STREAM_CALLS = (
    (("read_to", 16, 3), [0, 3]), (("write", 1), b"abc"), (("read_to", 16, 2), [0, 2]), (("write", 2), b"de"),
    (("read_to", 65536, 1), OUTSIDE), (("read_to", 65535, 2), OUTSIDE), (("read_to", 16, 0), [27, -1]),
    (("read_to", 16, 1), [0, 1]), (("write", 1), b"i"), (("close", 1), [0]), (("write", 1), [8]), (("close", 1), [8]),
    (("write", 2), b"i"), (("read_to", 16, 9), [0, 1]), (("read_to", 16, 9), [0, 0]), (("close", 0), [0]),
    (("read_to", 16, 1), [8, -1]),
)  # fmt: skip


@pytest.mark.parametrize("level", [0, 1])
def test_how_far_stdin_is_read_and_what_is_closed_lasts_from_call_to_call(level: int):
    verifier = w2x.Verifier(STREAMS.format(""), opt_level=level, stdin=b"abcdefghij")
    for (name, *args), wanted in STREAM_CALLS:
        report = verifier.invoke(name, args)
        assert report.ok, (name, args, report.divergence)
        found = report.run.trap or report.run.stdout or report.run.stderr or report.run.values
        assert found == wanted, (name, args)


@pytest.mark.parametrize("level", [0, 1])
def test_a_librarys_start_function_reads_and_writes_on_both_sides(level: int):
    library = STREAMS.format("""(start $start) (func $start (drop (drop (call $read_to (i32.const 16) (i32.const 3))))
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12))))""")
    for start, first in (("", b"abc"), ("(func $start (drop (call $write (i32.const 1)))) (start $start)", b"abcabc")):
        program = f"""(module (import "l" "read_to" (func $read (param i32 i32) (result i32 i32)))
          (import "l" "write" (func $write (param i32) (result i32))) {start}
          (func (export "f") (result i32 i32)
            (call $read (i32.const 16) (i32.const 4)) (drop (call $write (i32.const 1)))))"""
        verifier = w2x.Verifier(program, opt_level=level, stdin=b"abcdefghij", libraries={"l": library})
        assert verifier.started is not None and verifier.started.ok, verifier.started
        assert verifier.started.run.stdout == first
        for text in (b"defg", b"hijg"):
            report = verifier.invoke("f")
            assert report.ok and report.run.stdout == text, report.divergence


@pytest.mark.parametrize("told", [{"random": b"four"}, {"clock": -1.0}, {"clock": 2.0**32}, {"clock": float("nan")}])
def test_what_the_prompt_cannot_hold_is_refused(told: dict):
    model = w2x.compile(PROGRAM)
    for make in (lambda: w2x.Instance(model, **told), lambda: w2x.Verifier(PROGRAM, model=model, **told)):
        with pytest.raises(w2x.ArgumentError, match=next(iter(told))):
            make()


POINTERS = (8, 0, 4, 3, 65528, 65529, 65533, 65536, 65537, -8, -1)
CASES = (
    *(("random", (p, n)) for p in POINTERS for n in (0, 1, 4, 8)),
    *((name, (clock, p)) for name in ("time", "resolution") for clock in (0, 1, 2, 3, 4, 9, -1) for p in POINTERS),
)


def test_what_is_told_is_told_as_wasmtime_itself_does():
    """errno, and which trap, of the functions that both sides of a comparison have been given, against wasmtime's own."""
    wasm = bytes(wasmtime.wat2wasm(PROGRAM))
    for name, args in CASES:
        store = wasmtime.Store()
        store.set_wasi(wasmtime.WasiConfig())
        linker = wasmtime.Linker(store.engine)
        linker.define_wasi()
        export = linker.instantiate(store, wasmtime.Module(store.engine, wasm)).exports(store)[name]
        try:
            real = export(store, *args)[0]
        except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
            real = OUTSIDE if "out of bounds" in str(error) else WRONG
        run = Oracle(wasm, []).invoke(name, args)
        told = run.results[0] if run.outcome == "ok" else run.outcome
        assert told == real, (name, args)


def test_the_model_does_what_wasmtime_does_at_the_edges():
    verifier = w2x.Verifier(PROGRAM, random=BYTES, clock=1.5)
    for name, args in CASES[::7]:
        assert verifier.invoke(name, args).ok, (name, args)
