"""Inputs that once failed: each stands for a kind, and its first lines say what is expected. What an input needs beyond a
table of calls has a test of its own below."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import wasm2xformer as w2x

CASES = Path(__file__).resolve().parent / "cases"

# (file, options, calls: (export, arguments, results or the words of a trap))
RIGHT = [
    ("loop-param-limit", {}, [("f", [1], [9]), ("f", [0], [0])]),
    ("externref-arguments", {}, [("ext", [0], [0]), ("ext", [None], [None]), ("null", [7], [0]), ("null", [None], [1])]),
    ("table-grow", {}, [("s", [], [1]), ("f", [5000], [1]), ("s", [], [5001])]),
    ("verify-false-alarm", {}, [("f", [0], "out of bounds memory access"), ("f", [1], [])]),
    ("verify-exported-tag", {"exports": ["f"]}, [("f", [], [4])]),
    ("exit-status", {}, [("exit", [200], "invalid argument of a host function")]),
    ("valid-unicode", {}, [("a\u202eb", [], [7])]),
    ("verify-in-limited-address-space", {}, [("f", [], [0])]),
    ("poll_oneoff", {}, [("_start", [], [])]),
    ("legalised-fd_seek", {}, [("nine", [], [9])]),
    ("wasi-imported-memory", {"libraries": {"env": '(module (memory (export "memory") 1))'}}, [("hi", [], [0])]),
    ("emscripten-setjmp", {}, [("f", [], [7])]),
    ("callback-into-memory", {}, [("copied", [], [0x6867666564636261])]),
    ("callback-into-memory", {"libraries": {"env": (CASES / "lib.wat").read_text()}}, [("copied", [], [0x6867666564636261])]),
]  # fmt: skip


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize(("name", "options", "calls"), RIGHT, ids=[name for name, _, _ in RIGHT])
def test_gives_what_wasmtime_gives(name: str, options: dict, calls: list, level: int):
    verifier = w2x.Verifier(CASES / f"{name}.wat", opt_level=level, **options)
    for export, arguments, expected in calls:
        report = verifier.invoke(export, arguments)
        assert report.ok, report.divergence
        if isinstance(expected, str):
            assert report.run.trap == expected
        else:
            assert report.run.values == expected
    if name == "wasi-imported-memory":
        assert report.run.stdout == b"hi\n"


REFUSED = [
    ("incompatible-import-message", {"libraries": {"env": """
      (module (func (export "add") (param i32) (result i32) (local.get 0)) (memory (export "memory") 1 10))"""}},
     ["imported as (i32, i32) -> (i32)", "(i32) -> (i32)", "2 pages", "1"]),
    ("proposal-messages", {}, ["not supported"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options", "words"), REFUSED, ids=[name for name, _, _ in REFUSED])
def test_is_refused_in_words_that_help(name: str, options: dict, words: list[str]):
    with pytest.raises(w2x.CompileError) as error:
        w2x.compile(CASES / f"{name}.wat", **options)
    assert all(word in str(error.value) for word in words)
    assert "invalid" not in str(error.value)


@pytest.mark.parametrize("argument", [-1, -5, 2**32, 2**40])
def test_an_externref_that_has_no_place_is_refused(argument: int):
    vm = w2x.Instance(w2x.compile(CASES / "externref-arguments.wat"))
    with pytest.raises(w2x.ArgumentError, match="externref"):
        vm.invoke("ext", argument)


def test_a_missing_import_is_named_when_it_traps():
    """The two imports of which-import-trapped.wat are provided by now; here are others in their place."""
    text = (
        (CASES / "which-import-trapped.wat").read_text().replace("emscripten_date_now", "now").replace("abort", "end")
    )
    vm = w2x.Instance(w2x.compile(text, unknown_imports_trap=True))
    for argument, name in ((0, "now"), (1, "end")):
        with pytest.raises(w2x.Trap, match=f'"env" "{name}" is not provided .*f'):
            vm.invoke("f", argument)


def test_one_instance_in_several_threads():
    vm = w2x.Instance(
        w2x.compile('(module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))')
    )
    found: list[bool | str] = []

    def work(i: int) -> None:
        for _ in range(40):
            try:
                found.append(vm.invoke("add", i, 1000).values == [i + 1000])
            except Exception as error:
                found.append(type(error).__name__)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 240


def calls_of_functions(count: int) -> str:
    """`count` functions, and as many places that call any of them through the table."""
    functions = " ".join(f"(func $f{i} (type $t) (i32.add (local.get 0) (i32.const {i})))" for i in range(count))
    calls = "(local.get 0)" + " ".join(f"(call_indirect (type $t) (i32.const {7 * i % count}))" for i in range(count))
    names = " ".join(f"$f{i}" for i in range(count))
    return f"""(module (type $t (func (param i32) (result i32))) (table {count} funcref) (elem (i32.const 0) {names})
      {functions} (func (export "f") (type $t) {calls}))"""


def state_machine(states: int) -> str:
    """In each state a br_table on the input byte leads to any other state."""
    opens = "".join(f"(block $s{k} " for k in reversed(range(states)))
    bodies = "".join(
        f""") (local.set $i (i32.and (i32.add (local.get $i)
          (i32.load8_u (i32.add (local.get $p) (i32.const {k})))) (i32.const {states - 1})))
        (if (i32.eqz (local.get $i)) (then (return (i32.const {k}))))
        (block $e (br_table {" ".join(["$top", "$e"] * (states // 2))} (local.get $i)))"""
        for k in range(states)
    )
    table = " ".join(f"$s{k}" for k in range(states))
    return f"""(module (memory 1) (func (export "f") (param $p i32) (result i32) (local $i i32)
      (loop $top {opens} (br_table {table} (local.get $i)) {bodies}) (i32.const -1)))"""


@pytest.mark.parametrize("make", [calls_of_functions, state_machine])
def test_the_vocabulary_grows_with_the_program_and_not_with_its_square(make):
    sizes = [len(w2x.compile(make(n)).transformer.vocabulary) for n in (16, 32, 64)]
    assert sizes[2] - sizes[1] <= 2.2 * (sizes[1] - sizes[0])


def test_a_deep_chain_of_calls():
    count = 3000
    functions = " ".join(f"(func $f{i} (result i32) (call $f{i + 1}))" for i in range(count))
    wat = (
        f'(module {functions} (func $f{count} (result i32) (i32.const 7)) (func (export "f") (result i32) (call $f0)))'
    )
    for level in (0, 1):
        assert w2x.verify(wat, "f", opt_level=level).run.values == [7]


def test_verify_in_four_gigabytes_of_address_space():
    command = f"ulimit -v 4000000; {sys.executable} -m wasm2xformer verify {CASES}/verify-in-limited-address-space.wat --invoke f"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=dict(os.environ))
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def test_two_instances_with_a_memory_each():
    library = '(module (memory (export "mem") 1 5) (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0))))'
    program = """(module (func $l (import "Mm" "load") (param i32) (result i32)) (memory 1) (export "Mm.load" (func $l))
      (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0))))"""
    report = w2x.verify(program, "Mm.load", [5], libraries={"Mm": library})
    assert report.ok, report.divergence
