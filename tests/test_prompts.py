"""prompt and decode: what a person needs who runs the model with other software. Tokens out, tokens back."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wasm2xformer as w2x
from wasm2xformer.runtime.calls import fault_of, read_calls, token_ids
from wasm2xformer.runtime.cli import main
from wasm2xformer.runtime.generate import generate
from wasm2xformer.runtime.prompts import Prompts
from wasm2xformer.runtime.trace import table_of
from wasm2xformer.runtime.world import World

WAT = """(module
  (memory (export "memory") 1)
  (global $started (mut i32) (i32.const 0))
  (func $start (global.set $started (i32.const 40)))
  (start $start)
  (func $self (export "func") (param funcref) (result funcref) (local.get 0))
  (elem declare func $self)
  (func (export "keep") (result funcref) (ref.func $self))
  (func (export "i32") (param i32) (result i32) (local.get 0))
  (func (export "i64") (param i64) (result i64) (local.get 0))
  (func (export "f32") (param f32) (result f32) (local.get 0))
  (func (export "f64") (param f64) (result f64) (local.get 0))
  (func (export "extern") (param externref) (result externref) (local.get 0))
  (func (export "all") (param i32 i64 f32 f64) (result f64 i64) (local.get 3) (local.get 1))
  (func (export "load") (param i32) (result i32) (i32.add (i32.load (local.get 0)) (global.get $started)))
  (func (export "div") (param i32) (result i32) (i32.div_s (i32.const 84) (local.get 0))))"""
WASI = """(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\\40\\00\\00\\00\\10\\00\\00\\00")
  (func (export "_start")
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16)))
    (i32.store (i32.const 4) (i32.load (i32.const 16)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
    (call $exit (i32.const 7))))"""


@pytest.fixture(scope="module")
def model() -> w2x.Model:
    return w2x.compile(WAT)


@pytest.fixture
def folder(model: w2x.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    model.save("m.safetensors")
    (tmp_path / "wasi.wat").write_text(WASI)
    return tmp_path


def shell(capture: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capture.readouterr()
    return (main(arguments), *capture.readouterr())


VALUES: list[tuple[str, list[Any]]] = [
    ("i32", [0]), ("i32", [-1]), ("i32", [2**31 - 1]), ("i32", [-(2**31)]), ("i32", [256]),
    ("i64", [0]), ("i64", [-1]), ("i64", [2**63 - 1]), ("i64", [-(2**63)]), ("i64", [2**32]),
    ("f32", [0.5]), ("f32", [-0.0]), ("f32", [math.inf]), ("f64", [0.1]), ("f64", [-math.inf]), ("f64", [5e-324]),
    ("extern", [None]), ("extern", [0]), ("extern", [2**30 - 2]), ("func", [None]), ("func", [1]),
    ("all", [-7, -8, 1.5, -2.25]), ("keep", []),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments"), VALUES)
def test_a_call_comes_back_from_its_tokens(model: w2x.Model, name: str, arguments: list[Any]):
    vm = w2x.Instance(model)
    run = vm.invoke(name, *arguments)
    np.testing.assert_array_equal(
        Prompts(model, World()).tokens(*Prompts(model, World()).values(name, arguments)), run.prompt
    )
    (call,) = read_calls(model, np.concatenate([run.prompt, run.tokens]))
    assert call.name == name and call.run is not None
    # repr: -0.0 is not 0.0
    assert repr((call.arguments, call.run.values)) == repr((arguments, run.values))
    assert (call.run.bits, call.run.steps, call.prompt) == (run.bits, run.steps, len(run.prompt))


def test_a_nan_comes_back_bit_for_bit(model: w2x.Model):
    for name, bits in (("f32", 0x7FA00001), ("f64", 0xFFF0000000000001)):
        run = w2x.Instance(model).invoke(name, bits)
        (call,) = read_calls(model, np.concatenate([run.prompt, run.tokens]))
        assert call.run is not None and call.run.bits == [bits] and math.isnan(call.arguments[0])


def test_all_calls_of_an_instance_come_back(model: w2x.Model):
    """Start function, writes of the host, calls, one of which traps; with the prefix, and filled up at both ends."""
    vm = w2x.Instance(model)
    assert vm.started is not None
    runs = [vm.started, vm.access("i32.store", 64, 2), vm.invoke("load", 64), vm.invoke("i64", -3)]
    with pytest.raises(w2x.Trap) as trap:
        vm.invoke("div", 0)
    runs.append(trap.value.run)
    parts = [part for run in runs for part in (run.prompt, run.tokens)]
    halts = np.full(3, model.transformer.vocabulary.index("H"))
    for ids in (np.concatenate(parts), np.concatenate([halts, model.transformer.prefix, *parts, halts])):
        calls = list(read_calls(model, ids))
        assert [c.name for c in calls] == ["start function", "i32.store", "load", "i64", "div"]
        assert [c.arguments for c in calls] == [[], [64, 2], [64], [-3], [0]]
        assert [c.run and c.run.values for c in calls] == [[], [], [42], [-3], []]
        assert calls[4].run is not None and calls[4].run.trap == "integer divide by zero"
        assert [c.decoded for c in calls] == [len(run.tokens) for run in runs]


@pytest.mark.parametrize("name", ["i32", "f32", "extern", "func"])
def test_values_with_too_many_digits_are_told(model: w2x.Model, name: str):
    """Of an argument and of a result: those of another call, whose values are longer (found by fuzzing)."""
    vm, table = w2x.Instance(model), table_of(model)
    long, short = vm.invoke("i64", 2**40 + 1), vm.invoke(name, None if name == "func" else 7)
    with pytest.raises(w2x.ArgumentError, match=f"{name}: an argument, 1099511627777, has more digits than {name}"):
        list(read_calls(model, np.concatenate([short.prompt[:1], long.prompt[1:], long.tokens])))

    def split(tokens: np.ndarray) -> int:
        return int(table.steps(tokens[:-1])[0][-1])

    tokens = np.concatenate([short.tokens[: split(short.tokens)], long.tokens[split(long.tokens) :]])
    with pytest.raises(w2x.DecodingError, match=f"{name}: a result, 1099511627777, has more digits than {name}"):
        list(read_calls(model, np.concatenate([short.prompt, tokens])))


def test_what_ends_early_is_not_finished(model: w2x.Model):
    run = w2x.Instance(model).invoke("i64", 2**40)
    for cut in range(1, len(run.tokens)):
        (call,) = read_calls(model, np.concatenate([run.prompt, run.tokens[:-cut]]))
        assert call.run is None and fault_of(call) is None and call.decoded == len(run.tokens) - cut


def test_names_and_ids_are_tokens(model: w2x.Model):
    names = model.transformer.vocabulary
    assert token_ids(model, ["I.0", "7", str(len(names) - 1)]).tolist() == [names.index("I.0"), 7, len(names) - 1]
    for word in ("nothing", str(len(names)), "-1", "1.5", "١", "9" * 5000):
        with pytest.raises(w2x.ArgumentError, match="token 2, "):
            token_ids(model, ["H", word])


def test_prompt_goes_into_generate_and_comes_back(folder: Path, model: w2x.Model, capfd: pytest.CaptureFixture[str]):
    code, out, err = shell(capfd, "prompt", "m.safetensors", "--names", "--invoke", "i32", "-5")
    assert (code, err) == (0, "")
    start, prompt = out.splitlines()
    assert prompt.split()[1:] == ["D3.255", "D2.255", "D1.255", "D0.251"]
    stops = ["H", "T.unreachable"]
    first = generate(model.transformer, start.split(), 100, stop=stops)
    then = generate(model.transformer, [*start.split(), *first, *prompt.split()], 100, stop=stops)
    (folder / "tokens").write_text(" ".join([start, *first, prompt, *then]))
    assert shell(capfd, "decode", "m.safetensors", "tokens") == (
        0, f"start function() = nothing: 4 steps, {len(first)} tokens\ni32(-5) = -5: 5 steps, {len(then)} tokens\n", ""
    )  # fmt: skip


def test_forms_of_prompt(folder: Path, model: w2x.Model, capfd: pytest.CaptureFixture[str]):
    code, out, err = shell(capfd, "prompt", "m.safetensors", "--invoke", "i32", "3")
    k = model.transformer.vocabulary.index
    start = next(i for i, (name, _) in enumerate(model.entries) if name not in model.program.entries)
    assert code == 0 and err.startswith("behind the prefix, ")
    assert out.splitlines()[-3:] == [
        "i32(3)",
        f"  names  {names(model, 'i32')} D0.3",
        f"  ids    {k(names(model, 'i32'))}, 3",
    ]
    code, out, _ = shell(capfd, "prompt", "m.safetensors", "--ids", "--prefix", "--invoke", "i32", "3")
    lines = [json.loads(f"[{line}]") for line in out.splitlines()]
    assert lines[0][:-1] == model.transformer.prefix.tolist() and lines[1] == [k(names(model, "i32")), 3]
    code, out, _ = shell(capfd, "prompt", "m.safetensors", "--json", "--invoke", "f64", "inf")
    found = [json.loads(line) for line in out.splitlines()]
    assert found[0]["call"] == "start function" and found[0]["names"] == [f"I.{start}"]
    assert found[1]["arguments"] == ["inf"] and len(found[1]["ids"]) == len(found[1]["names"]) == 9


def names(model: w2x.Model, function: str) -> str:
    """Its entry token."""
    return f"I.{[name for name, _ in model.entries].index(function)}"


def test_prompts_hold_what_the_program_reads(folder: Path, capfd: pytest.CaptureFixture[str]):
    (folder / "in").write_bytes(b"hello")
    world = ["--stdin", "in", "--seed", "1", "--clock", "5"]
    assert main(["wasi.wat", "-o", "wasi.safetensors"]) == 0
    code, out, _ = shell(capfd, "prompt", "wasi.safetensors", "--ids", *world)
    model = w2x.load("wasi.safetensors")
    ids = token_ids(model, out.replace(",", "").split())
    host = World(b"hello", ["wasi.safetensors"], clock=5.0)
    run = w2x.Instance(model, world=host).invoke("_start")
    assert run.stdout == b"hello" and run.exit_code == 7
    assert len(ids) == len(run.prompt) and [model.transformer.vocabulary[i] for i in ids[1:3]] == ["B.104", "B.101"]
    (folder / "ids").write_text(f"tensor([{', '.join(map(str, [*ids, *run.tokens]))}])".removeprefix("tensor"))
    code, out, err = shell(capfd, "decode", "wasi.safetensors", "ids")
    assert (code, err) == (0, "") and out.startswith("hello_start() exit code 7: ")
    code, out, err = shell(capfd, "decode", "wasi.safetensors", "ids", "--json")
    found = json.loads(out)
    assert (found["stdout"], found["exit_code"], found["outcome"]) == ("hello", 7, "exit")


def test_decode_lists_the_steps_as_trace_does(folder: Path, capfd: pytest.CaptureFixture[str]):
    _, listed, _ = shell(capfd, "trace", "m.safetensors", "--invoke", "load", "0")
    vm = w2x.Instance(w2x.load("m.safetensors"))
    run = vm.invoke("load", 0)
    tokens = [str(token) for token in np.concatenate([run.prompt, run.tokens])]
    assert shell(capfd, "decode", "m.safetensors", "--trace", *tokens)[1] == listed
    _, as_json, _ = shell(capfd, "trace", "m.safetensors", "--json", "--invoke", "load", "0")
    assert shell(capfd, "decode", "m.safetensors", "--json", "--trace", *tokens)[1] == as_json
    assert "more steps" in shell(capfd, "decode", "m.safetensors", "--trace", "--limit", "1", *tokens)[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("decode m.safetensors words", "token 1, 'words', is neither the name of a token nor an id below "),
        ("decode m.safetensors D0.1", "token 1, 'D0.1': a call begins with input bytes or its entry token I.k"),
        ("decode m.safetensors B.1", "token 1, 'B.1': a call begins with input bytes or its entry token I.k"),
        ("decode m.safetensors I.2 H", ": the tokens end before its "),
        ("decode m.safetensors BOS I.1", "token 2: the tokens begin with another prefix than this checkpoint's"),
        ("decode m.safetensors H H", "no call: there is no entry token I.k among these tokens"),
        ("decode m.safetensors", "no call: "),
        ("decode m.safetensors --limit 3 H", "--limit is for --trace"),
        ("decode nothing H", "nothing: no such file or directory"),
        ("prompt m.safetensors", "say what to call with --invoke"),
        ("prompt m.safetensors --invoke i32", "i32 takes 1 argument (i32), got 0"),
        ("prompt m.safetensors --invoke i32 4294967296", "i32: argument 1 = 4294967296 does not fit into i32"),
        ("prompt m.safetensors --json --ids --invoke i32 1", "--json has names and ids; it goes without --ids"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(
    folder: Path, capfd: pytest.CaptureFixture[str], arguments: str, message: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sys.stdin", None if "nothing" in arguments else open("/dev/null"))  # noqa: SIM115
    code, out, err = shell(capfd, *arguments.split())
    assert (code, out) == (2, "") and err.startswith("error: ") and err.count("\n") == 1 and message in err


def test_a_wrong_token_is_told_with_its_place(model: w2x.Model, folder: Path, capfd: pytest.CaptureFixture[str]):
    run = w2x.Instance(model).invoke("i64", 2**40)
    tokens = [model.transformer.vocabulary[t] for t in np.concatenate([run.prompt, run.tokens])]
    at = len(run.prompt) + tokens[len(run.prompt) :].index("D4.0")
    code, _, err = shell(capfd, "decode", "m.safetensors", *tokens[:at], "D2.0", *tokens[at + 1 :])
    assert (
        code == 1
        and err == f"error: i64: token {at + 1} of this call, D2.0: a digit of the next lower place must stand here\n"
    )
