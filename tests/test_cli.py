"""The command line: what it prints, and its exit codes."""

from __future__ import annotations

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from wasm2xformer import Instance, Trap, Verifier, load, verify
from wasm2xformer.compiler.wasm.source import load as load_source
from wasm2xformer.runtime.cli import main

WAT = """
(module
  (memory 1)
  (global $calls (mut i32) (i32.const 0))
  (func (export "div") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
  (func (export "wide") (param i64) (result i64) (i64.add (local.get 0) (i64.const 1)))
  (func (export "count") (result i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1))) (global.get $calls))
  (func (export "same") (param f32) (result f32) (local.get 0))
  (func (export "pair") (result i32 i64) (i32.const -1) (i64.const -2))
  (func (export "spin") (loop (br 0))))
"""
COUNTS = """(module (import "env" "now" (func $now)) (func (export "f") (param i32 i64) (result i64)
  call $now local.get 0 i32.popcnt drop local.get 1 i64.popcnt i64.popcnt))"""
WASI = """
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\\40\\00\\00\\00\\10\\00\\00\\00")
  (func (export "_start")
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16)))
    (i32.store (i32.const 4) (i32.load (i32.const 16)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
    (drop (call $sizes (i32.const 20) (i32.const 24)))
    (call $exit (i32.load (i32.const 20)))))
"""


class Shell:
    """Runs command lines in this process, in a folder with prog.wat, wasi.wat and the checkpoint of prog.wat."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]):
        self.folder, self._capture = folder, capture

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        self._capture.readouterr()
        code = main(arguments)
        return code, *self._capture.readouterr()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli")
    (path / "prog.wat").write_text(WAT)
    (path / "wasi.wat").write_text(WASI)
    (path / "notes").write_text("notes")
    (path / "cut.wasm").write_bytes(load_source(WAT).wasm[:99])
    (path / "counts.wat").write_text(COUNTS)
    assert main([str(path / "prog.wat"), "-o", str(path / "prog.safetensors")]) == 0
    return path


@pytest.fixture
def shell(folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.chdir(folder)
    return Shell(folder, capfd)


def test_compile_says_what_it_made(shell: Shell):
    code, out, err = shell("prog.wat", "-o", "made.safetensors", "-O0", "--export", "div", "--export", "count")
    assert (code, err) == (0, "")
    assert out.startswith("made.safetensors: 2 functions, ") and "layers" in out
    model = load("made.safetensors")
    assert set(model.program.entries) == {"div", "count"} and model.program.opt_level == 0


def test_the_subcommand_compile_may_be_written_out(shell: Shell):
    assert shell("compile", "prog.wat", "-o", "again.safetensors")[0] == 0
    again, model = load("again.safetensors"), load("prog.safetensors")
    assert np.array_equal(again.transformer.unembed.dense(), model.transformer.unembed.dense())
    assert again.transformer.layers[0].slot_names == model.transformer.layers[0].slot_names


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        ("--invoke div -7 2", "-3\n"),
        ("--invoke=div 0x10 -0x4", "-4\n"),
        ("--invoke div 4294967295 1", "-1\n"),
        ("--invoke wide -9223372036854775808", "-9223372036854775807\n"),
        ("--invoke same -0.1", "-0.1\n"),
        ("--invoke same -inf", "-inf\n"),
        ("--invoke same 1e10", "10000000000\n"),
        ("--invoke pair", "-1\n-2\n"),
        ("--invoke count --invoke count --invoke div 9 3", "1\n2\n3\n"),
        ("--engine torch --invoke div 7 2", "3\n"),
        ("--engine torch --device cpu --invoke div 7 2", "3\n"),
    ],
)
def test_run_prints_one_result_a_line(shell: Shell, arguments: str, printed: str):
    assert shell("run", "prog.safetensors", *arguments.split()) == (0, printed, "")


def test_running_a_checkpoint_loads_no_more_than_that_takes(folder: Path):
    """The compiler, wasmtime and torch would be most of the time it takes."""
    script = """import sys; from wasm2xformer.runtime.cli import main
code = main(["run", "prog.safetensors", "--invoke", "count"])
print(code, [m for m in sys.modules if m in ("torch", "wasmtime", "rich") or m.startswith("wasm2xformer.compiler.")])"""
    for _ in range(2):  # the second time what the engine made of it is in the cache
        done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    code, _, modules = done.stdout.splitlines()[-1].partition(" ")
    loaded = {m.removeprefix("wasm2xformer.compiler.").partition(".")[0] for m in ast.literal_eval(modules)}
    assert code == "0" and loaded == {"format", "load"}


def test_run_compiles_a_program_in_memory(shell: Shell):
    assert shell("run", "prog.wat", "-O0", "--invoke", "div", "7", "-2") == (0, "-3\n", "")


def test_a_trap_says_what_wasmtime_says(shell: Shell):
    assert shell("run", "prog.safetensors", "--invoke", "div", "1", "0") == (3, "", "trap: integer divide by zero\n")
    code, out, err = shell("run", "prog.safetensors", "--invoke", "count", "--invoke", "div", "-2147483648", "-1")
    assert (code, out, err) == (3, "1\n", "trap: integer overflow\n")


STARTS = """
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\\08\\00\\00\\00\\03\\00\\00\\00hi\\n")
  (func (export "f") (result i32) (i32.const 7))
  (start $start)
  (func $start (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16))) %s))
"""


def test_a_start_function_that_traps_leaves_no_instance(shell: Shell):
    """As in wasmtime: the instantiation traps. What was written before is out."""
    words = "wasm `unreachable` instruction executed"
    Path("start.wat").write_text(STARTS % "unreachable")
    assert shell("start.wat", "-o", "start.safetensors")[0] == 0
    with pytest.raises(Trap, match=words) as trapped:
        Instance(load("start.safetensors"))
    assert trapped.value.run.stdout == b"hi\n"
    assert shell("run", "start.safetensors", "--invoke", "f") == (3, "hi\n", f"trap: {words}\n")
    code, out, _ = shell("verify", "start.wat", "--invoke", "f")
    assert code == 0 and out.startswith(f"start function = trap: {words}: ") and "f(" not in out
    assert verify(STARTS % "unreachable", "f").run.trap == words
    verifier = Verifier(STARTS % "unreachable")
    assert verifier.started and verifier.started.ok
    with pytest.raises(Trap, match=words):
        verifier.invoke("f")


def test_a_start_function_may_exit(shell: Shell):
    Path("exits.wat").write_text(STARTS % "(call $exit (i32.const 5))")
    assert shell("run", "exits.wat", "--invoke", "f") == (5, "hi\n", "")
    code, out, _ = shell("verify", "exits.wat", "--invoke", "f")
    assert code == 0 and out.startswith("start function = exit code 5: ") and "f(" not in out


def test_a_wasi_program_reads_writes_and_exits(shell: Shell):
    (shell.folder / "input").write_bytes(b"h\xc3\xa9llo\n")
    assert shell("run", "wasi.wat", "--stdin", "input", "--", "a", "-b") == (3, "héllo\n", "")
    assert shell("wasi.wat", "-o", "wasi.safetensors")[0] == 0
    assert shell("run", "wasi.safetensors") == (1, "", "")
    code, out, _ = shell("verify", "wasi.wat", "--stdin", "input")
    assert code == 0 and "exit code 1" in out and "no difference" in out


def test_libraries_are_named(shell: Shell):
    Path("uses.wat").write_text("""(module (import "env" "twice" (func $twice (param i32) (result i32)))
      (import "more" "seven" (global i32))
      (func (export "f") (param i32) (result i32) (i32.add (call $twice (local.get 0)) (global.get 0))))""")
    Path("twice.wat").write_text("""(module (func (export "twice") (param i32) (result i32)
      (i32.shl (local.get 0) (i32.const 1))))""")
    Path("more.wat").write_text('(module (global (export "seven") i32 (i32.const 7)))')
    given = ("--library", "env=twice.wat", "--library=more=more.wat")
    assert shell("uses.wat", "-o", "uses.safetensors", *given)[0] == 0
    assert shell("run", "uses.safetensors", "--invoke", "f", "4") == (0, "15\n", "")
    assert shell("run", "uses.wat", "--invoke", "f", "5", *given) == (0, "17\n", "")
    assert shell("trace", "uses.wat", *given, "--invoke", "f", "5")[1].splitlines()[-1].startswith("= 17")
    for model in ((), ("--model", "uses.safetensors")):
        code, out, err = shell("verify", "uses.wat", *model, *given, "--invoke", "f", "6")
        assert code == 0 and out.startswith("f(6) = 19: ") and "no difference" in out, err
    Path("bad.wat").write_text("(module (func (result i32)))")
    for arguments, message in {
        "": 'the import "env" "twice" (func) is not provided',
        "--library env": "--library env: NAME=FILE expected",
        "--library env=": "--library env=: NAME=FILE expected",
        "--library env=missing.wat": "library env: missing.wat: no such file",
        "--library env=bad.wat": "library env: function func[0], offset 0x18, end: invalid module",
        "--library env=prog.safetensors": "prog.safetensors: neither WAT",
        "--library env=twice.wat --library env=more.wat": "there is another for env already",
    }.items():
        assert message in _refused(shell, "uses.wat", "-o", "x.safetensors", *arguments.split())[0]
    assert "are for programs" in _refused(shell, "run", "uses.safetensors", *given, "--invoke", "f", "1")[0]


def test_memory_grows_up_to_its_maximum(shell: Shell):
    """The user's limit, which a checkpoint keeps; real softmax needs none."""
    Path("grows.wat").write_text("""(module (memory 1) (func (export "grow") (param i32) (result i32)
      (drop (i32.load (i32.const 0))) (memory.grow (local.get 0))))""")
    calls = [part for pages in (7, 1, 16) for part in ("--invoke", "grow", str(pages))]
    assert shell("run", "grows.wat", "--engine", "torch", *calls) == (0, "1\n8\n9\n", "")
    limited = ("--max-memory", "8")
    assert shell("run", "grows.wat", *limited, "--engine", "torch", *calls) == (0, "1\n-1\n-1\n", "")
    assert shell("grows.wat", "-o", "grows.safetensors", "--max-memory", "24")[0] == 0
    assert shell("run", "grows.safetensors", *calls) == (0, "1\n8\n-1\n", "")
    made = ("--model", "grows.safetensors")
    for options in ((), limited, made, (*made, "--max-memory", "24")):  # what was chosen is told to wasmtime too
        code, out, _ = shell("verify", "grows.wat", *options, *calls)
        assert code == 0 and "\nall 3 calls: " in out, out
    text = Path("grows.wat").read_text()
    Path("imports.wat").write_text(text.replace("(memory 1)", '(import "env" "memory" (memory 1))'))
    Path("memory.wat").write_text('(module (memory (export "memory") 1))')
    code, out, _ = shell("verify", "imports.wat", *limited, "--library", "env=memory.wat", *calls)
    assert code == 0 and "\nall 3 calls: " in out, out
    refused = _refused(shell, "grows.wat", "-o", "x", "--max-memory", "70000")[0]
    assert "'70000' is no integer from 1 to 65,536" in refused
    Path("large.wat").write_text('(module (memory 3) (func (export "f") (drop (i32.load (i32.const 0)))))')
    assert "3 pages at first" in _refused(shell, "large.wat", "-o", "x", "--max-memory", "2")[0]


def test_verify_reports_every_call(shell: Shell):
    code, out, _ = shell("verify", "prog.wat", "--invoke", "count", "--invoke", "count", "--invoke", "div", "1", "0")
    lines = out.splitlines()
    assert code == 0 and lines[3].startswith("all 3 calls: ")
    assert lines[1].startswith("count() = 2: ") and lines[1].endswith("no difference")
    assert lines[2].startswith("div(1, 0) = trap: integer divide by zero: ")


def test_verify_finds_a_spoiled_weight_in_a_checkpoint(shell: Shell):
    arguments = ("verify", "prog.wat", "--model", "spoiled.safetensors", "--replay", "--invoke", "div", "-600", "7")
    model = load("prog.safetensors")
    model.save("spoiled.safetensors")
    code, out, _ = shell(*arguments)
    assert code == 0 and "no difference" in out
    for layer in model.transformer.layers:
        layer.up[[name == "divisor" for name in layer.neuron_names]] *= 2
    model.save("spoiled.safetensors")
    code, out, _ = shell(*arguments)
    assert code == 1
    assert "spoiled.safetensors is DIFFERENT from what prog.wat compiles to" in out and "up [" in out


def test_verify_wants_the_checkpoint_of_the_program(shell: Shell):
    Path("other.wat").write_text(WAT.replace("i64.const 1)", "i64.const 3)"))
    Path("less.wat").write_text('(module (func (export "wide") (param i64) (result i64) (local.get 0)))')
    for name in ("other.wat", "less.wat"):
        code, out, _ = shell("verify", name, "--model", "prog.safetensors", "--invoke", "wide", "5")
        assert code == 1 and f"prog.safetensors is DIFFERENT from what {name} compiles to: " in out


def test_trace_names_instruction_result_and_tokens(shell: Shell):
    code, out, _ = shell("trace", "prog.safetensors", "--invoke", "div", "300", "2")
    assert code == 0
    line = next(line for line in out.splitlines() if "i32.div_s" in line)
    assert "150" in line and line.endswith("D0.150")
    assert out.splitlines()[-1].startswith("= 150: ")
    shortened = shell("trace", "prog.safetensors", "--limit", "1", "--invoke", "div", "300", "2")[1].splitlines()
    assert len(shortened) == 4 and shortened[2].endswith("more steps")


def test_trace_as_json(shell: Shell):
    code, out, err = shell("trace", "prog.safetensors", "--json", "--invoke", "div", "5", "0")
    *steps, end = map(json.loads, out.splitlines())
    assert (code, err) == (3, "trap: integer divide by zero\n")
    assert steps[-1]["value"] == "divide_by_zero" and steps[-1]["instruction"] == "i32.div_s"
    assert (end["outcome"], end["trap"], end["steps"]) == ("trap", "integer divide by zero", len(steps))


def test_inspect_shows_everything_by_name(shell: Shell):
    code, out, _ = shell("inspect", "prog.safetensors")
    assert code == 0
    for text in ("exported functions", "div    i32, i32", "relative.1", "D0.0 ... D0.255", "operand a"):
        assert text in out
    assert "i32.div_s s0, s1" in shell("inspect", "prog.safetensors", "--steps")[1]
    assert "relu(position) * (ip.sum.mean)" in shell("inspect", "prog.safetensors", "--neurons", "--weights")[1]
    heads = shell("inspect", "prog.safetensors", "--heads", "--layer", "0")[1].splitlines()
    assert any("uniform -> ip.sum.mean" in line for line in heads)
    assert "ip.sum" in shell("inspect", "prog.safetensors", "--slots")[1]
    assert "D0.255" in shell("inspect", "prog.safetensors", "--vocabulary")[1]


def test_inspect_as_json_counts_what_the_tensors_hold(shell: Shell):
    found = json.loads(shell("inspect", "prog.safetensors", "--json")[1])
    t = load("prog.safetensors").transformer
    assert [len(y["heads"]) for y in found["layers"]] == [len(y.q) // t.head_dim for y in t.layers]
    assert [len(y["neurons"]) for y in found["layers"]] == [len(y.gate) for y in t.layers]
    assert all(len(y["slots"]) == t.width for y in found["layers"]) and len(found["vocabulary"]) == len(t.embed)


def _refused(shell: Shell, *arguments: str) -> list[str]:
    code, out, err = shell(*arguments)
    assert code == 2 and out == ""
    lines = err.splitlines()
    assert lines and all(line.startswith("error: ") for line in lines)
    return lines


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("prog.wat", "Missing option '-o'"),
        ("prog.wat -o nowhere/x.safetensors", "nowhere: no such folder"),
        ("missing.wat -o x.safetensors", "missing.wat: no such file or directory"),
        ("prog.wat -O2 -o x.safetensors", "'2' is not one of '0', '1'"),
        ("prog.wat -o x.safetensors --export nothing", "no exported function 'nothing'"),
        ("prog.wat -o x.safetensors -- a", "arguments behind --"),
        ("run prog.safetensors", "say what to call with --invoke"),
        ("run prog.safetensors --invoke", "--invoke needs the name"),
        ("run prog.safetensors --invoke nothing", "no exported function 'nothing'; there are: count, div"),
        ("run prog.safetensors --invoke div 1", "div takes 2 arguments (i32, i32), got 1"),
        ("run prog.safetensors --invoke div 1 x", "argument 2 is 'x', expected i32"),
        ("run prog.safetensors --invoke div 1 1.5", "argument 2 is '1.5', expected i32"),
        ("run prog.safetensors --invoke div 4294967296 1", "argument 1 = 4294967296 does not fit into i32"),
        ("run prog.safetensors --invoke wide -9223372036854775809", "does not fit into i64"),
        ("run prog.safetensors --stdin missing --invoke count", "missing: no such file"),
        ("run prog.safetensors --env X --invoke count", "NAME=VALUE expected"),
        ("run prog.safetensors --engine slow --invoke count", "'slow' is not one of"),
        ("run prog.safetensors --device cpu --invoke count", "--device is for --engine torch or hf, not fast"),
        ("run prog.safetensors --engine torch --device no --invoke count", "device 'no': "),
        ("run missing.safetensors --invoke f", "missing.safetensors: no such file"),
        ("verify prog.safetensors --invoke div 1 2", "is a checkpoint; verify needs the program"),
        ("inspect prog.wat", "prog.wat is a program, not a checkpoint"),
        ("inspect notes", "not a safetensors file"),
        ("inspect .", ".: a folder, but not one of wasm2xformer"),
        ("run . --invoke f", ".: is a directory"),
        ("prog.wat -o .", "-o .: the folder that commands run in"),
        ("prog.wat -o prog.wat/x", "prog.wat: no such folder"),
        ("simulate prog.wat", "simulate is neither a file nor a command; the commands are"),
        ("cut.wasm -o x.safetensors", "cut.wasm: offset 0x"),
        ("run notes --invoke f", "notes: neither WAT"),
        ("inspect prog.safetensors --layer 99", "has layers 0 to"),
    ],
)
def test_wrong_use_is_one_clear_line(shell: Shell, arguments: str, message: str):
    (line,) = _refused(shell, *arguments.split())
    assert message in line


def test_a_refused_program_is_told_every_reason(shell: Shell, without_popcnt: None):
    lines = _refused(shell, "counts.wat", "-o", "x.safetensors")
    assert lines[0].endswith('the import "env" "now" (func) is not provided')
    assert [line.split(", ")[2] for line in lines[1:]] == [f"i{n}.popcnt: not supported" for n in (32, 64, 64)]
    assert not Path("x.safetensors").exists()


def test_a_damaged_checkpoint_is_refused(shell: Shell):
    whole = Path("prog.safetensors").read_bytes()
    for name, content in {
        "short": whole[:5000], "empty": b"", "garbage": bytes(range(256)), "text": b"(module)",
        "newer": whole.replace(rb'{\"version\":4', rb'{\"version\":9', 1),
    }.items():  # fmt: skip
        Path(f"{name}.safetensors").write_bytes(content)
        assert f"{name}.safetensors: " in _refused(shell, "run", f"{name}.safetensors", "--invoke", "count")[0]


def test_giving_up_is_no_result(shell: Shell):
    code, out, err = shell("run", "prog.safetensors", "--max-tokens", "1000", "--invoke", "spin")
    assert (code, out) == (1, "") and "not finished after 1,000 tokens" in err


def test_help_and_version(shell: Shell):
    assert "wasm2xformer PROG -o MODEL" in shell("--help")[1]
    assert "--invoke NAME ARG..." in shell("run", "--help")[1]
    assert shell("--version")[1].startswith("wasm2xformer")
    assert shell()[0] == 2


def test_c_needs_one_step(shell: Shell):
    pytest.importorskip("ziglang")
    Path("square.c").write_text("int square(int x) { return x * x; }\n")
    code, out, err = shell("run", "square.c", "--invoke", "square", "-12")
    assert (code, out) == (0, "144\n")
    assert "square.c" in err and "wasm32-wasi" in err  # the exact command


def test_interrupted_it_says_so(folder: Path):
    """Ctrl-C while a program runs: no traceback. The fast engine might come to the end of the certificate before."""
    command = [sys.executable, "-m", "wasm2xformer", "run", "prog.safetensors", "--engine", "torch", "--invoke", "spin"]
    for seconds in (4, 12, 36):  # until it has begun, on a machine that has much to do
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            time.sleep(seconds)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        if process.returncode != -signal.SIGINT:
            break
    assert (process.returncode, out, err.strip()) == (130, "", "interrupted")


@pytest.mark.skipif(os.name != "posix" or not shutil.which("head"), reason="needs a POSIX shell")
def test_a_reader_that_goes_away_is_no_error(folder: Path):
    command = "{ %s -m wasm2xformer trace prog.safetensors --invoke div 1 2; echo code $? >&2; } | head -n 1"
    done = subprocess.run(command % sys.executable, shell=True, cwd=folder, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("div(1, 2)\n", "code 0\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a POSIX shell, and a full device")
@pytest.mark.parametrize(
    ("redirected", "code", "err"),
    [(">&-", 0, ""), (">&- 2>&-", 0, ""), (">/dev/full", 2, "error: standard output: no space left on device\n")],
)
def test_output_that_cannot_be_written(folder: Path, redirected: str, code: int, err: str):
    command = f"{sys.executable} -m wasm2xformer run prog.safetensors --invoke count {redirected}"
    done = subprocess.run(command, shell=True, cwd=folder, stderr=subprocess.PIPE, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (code, err)


def test_without_a_c_compiler(shell: Shell, monkeypatch: pytest.MonkeyPatch):
    Path("f.c").write_text("int f(int x) { return x; }")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'wasm2xformer[c]'" in _refused(shell, "f.c", "-o", "x.safetensors")[0]


MEMORY = """
(module
  (import "env" "elsewhere" (func $abort))
  (memory (export "memory") 1)
  (func (export "sum") (param i32 i32) (result i32) (local $sum i32)
    (if (i32.eqz (local.get 1)) (then (call $abort)))
    (loop $next
      (local.set $sum (i32.add (local.get $sum) (i32.load8_u (local.get 0))))
      (local.set 0 (i32.add (local.get 0) (i32.const 1)))
      (br_if $next (local.tee 1 (i32.sub (local.get 1) (i32.const 1)))))
    (i32.store (i32.const 0) (local.get $sum))
    (local.get $sum)))
"""


def test_bytes_for_a_program_and_imports_that_nobody_provides(shell: Shell):
    Path("sum.wat").write_text(MEMORY)
    Path("data").write_bytes(b"transformer")
    given = ("--unknown-imports-trap", "--write", "0x400=data")
    assert (
        '"env" "elsewhere" (func) is not provided' in _refused(shell, "run", "sum.wat", "--invoke", "sum", "0", "1")[0]
    )
    total = sum(b"transformer")
    code, out, _ = shell(
        "run", "sum.wat", *given, "--read", "0:4", "--read", "1024:17", "--invoke", "sum", "1024", "11"
    )
    assert code == 0
    assert out.splitlines() == [
        str(total),
        f"00000000  {total.to_bytes(4, 'little').hex(' '):<47}  ....",
        "00000400  74 72 61 6e 73 66 6f 72 6d 65 72 00 00 00 00 00  transformer.....",
        "00000410  00                                               .",
    ]
    code, out, _ = shell("verify", "sum.wat", *given, "--invoke", "sum", "1024", "11", "--invoke", "sum", "0", "0")
    assert code == 0 and "unreachable" in out and "2 calls" in out
    code, out, err = shell("run", "sum.wat", *given, "--invoke", "sum", "0", "0")
    assert (code, out) == (3, "") and "is not provided" in err
    for wrong, text in (
        (("--write", "400"), "ADDRESS=FILE"), (("--write", "x=data"), "no number"), (("--write", "0=none"), "none"),
        (("--read", "3"), "ADDRESS:LENGTH"), (("--read", "-1:2"), "no number"),
    ):  # fmt: skip
        assert (
            text in _refused(shell, "run", "sum.wat", *wrong, "--unknown-imports-trap", "--invoke", "sum", "0", "1")[0]
        )
    code, _, err = shell("run", "sum.wat", *given, "--read", "65535:2", "--invoke", "sum", "0", "1")
    assert code == 3 and "out of bounds memory access" in err


def test_random_bytes_and_time_can_be_given(shell: Shell):
    Path("host.wat").write_text("""(module
      (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
      (memory (export "memory") 1)
      (func (export "f") (result i64 i64)
        (drop (call $random (i32.const 0) (i32.const 8))) (drop (call $time (i32.const 0) (i64.const 0) (i32.const 8)))
        (i64.load (i32.const 0)) (i64.load (i32.const 8))))""")
    options = ("--invoke", "f", "--seed", "7", "--clock", "2.5")
    code, out, _ = shell("run", "host.wat", *options)
    assert code == 0 and out.split()[1] == "2500000000"
    assert shell("run", "host.wat", *options)[1] == out
    assert shell("run", "host.wat", "--invoke", "f", "--seed", "8", "--clock", "2.5")[1] != out
    assert shell("verify", "host.wat", *options)[0] == 0


def test_compile_shows_what_a_pass_makes(tmp_path, capsys):
    path = tmp_path / "p.wat"
    path.write_text(WAT)
    assert main(["compile", str(path), "--show", "lowered", "--export", "div"]) == 0
    assert "i32.div_s s0, s1" in capsys.readouterr().out
    assert main(["compile", str(path), "-O", "0", "--show", "coalesce"]) == 2
    assert "no such pass at -O0; there are: linked, lowered, zeroing, jumps, program" in capsys.readouterr().err
    assert main(["compile", str(path), "--show", "lowered", "-o", str(tmp_path / "m.safetensors")]) == 2
    assert main(["compile", str(path)]) == 2
