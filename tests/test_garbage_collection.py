"""Garbage collection: i31, structs, arrays, casts, function types with subtypes; every step against wasmtime."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

import wasm2xformer as w2x
from wasm2xformer.compiler.compile import compile_steps, realise
from wasm2xformer.compiler.format.consistency import check_program
from wasm2xformer.compiler.link.heap import HeapTypes
from wasm2xformer.compiler.options import CompileOptions
from wasm2xformer.compiler.wasm.decode import decode
from wasm2xformer.compiler.wasm.encode import encode
from wasm2xformer.compiler.wasm.source import load
from wasm2xformer.runtime.bit_patterns import Reference
from wasm2xformer.runtime.check.verify import Verifier
from wasm2xformer.runtime.cli import main

MODULES = Path(__file__).parent / "garbage_collection"
SMALL = (MODULES / "i31.wat").read_text()
SMALL_CALLS: list[tuple] = [
    ("new", 5), ("new", -1), ("new", 2**30), ("get_u", -1), ("get_s", -1), ("get_s", 2**30), ("null_u",), ("p", -7), ("p", None),
    ("g", 3), ("g", -1), ("g", 0), ("set", 1, -5), ("get", 1), ("get", 0), ("eq", 1, 1), ("eq", 1, 2), ("eq", None, None),
    ("is", 3), ("is", None), ("isn", 4), ("isn", None), ("iss", 4), ("iss", None), ("cast", 9), ("cast", None), ("castn", 9),
    ("castn", None), ("br", 5), ("br", None), ("brf", 5), ("brf", None),
]  # fmt: skip
OBJECTS = (MODULES / "objects.wat").read_text()
OBJECT_CALLS: list[tuple] = [
    ("list", 5), ("start",), ("setd", -7, 1.25), ("start",), ("arr", 0), ("arr", 1), ("arr", 3), ("arr2", 3), ("arr2", 4),
    *(("kind", i) for i in range(8)), *(("cast", i) for i in range(5)), *(("branch", i) for i in range(7)),
    *(("branchf", i) for i in range(8)), *(("result", i) for i in range(8)),
    ("new", 3, -9, 2), ("new", 3, -9, 3), ("new", 0, 1, 0),
    ("new", 5, 0, 4), ("fill", 0, 5), ("fill", 1, 3), ("fill", 5, 0), ("fill", 5, 1), ("fill", 6, 0), ("fill", -1, 2),
    ("copy", 0, 3, 4), ("copy", 3, 0, 4), ("copy", 2, 2, 3), ("copy", 9, 0, 0), ("copy", 0, 9, 1), ("copy", 8, 0, 2),
    ("data", 0, 1, 0),
    ("data", 1, 1, 0), ("data", 2, 1, 0), ("data", 0, 0, 0), ("data", 10, 0, 0), ("data", 0, 2**29, 0), ("datas", 1, 2, 2, 1),
    ("datas", 0, 1, 4, 3), ("datas", 0, 2, 4, 1), ("datas", 3, 0, 2, 1), ("datas", 4, 9, 0, 1), ("elem", 0, 3, 1),
    ("elem", 0, 3, 0),
    ("elem", 0, 3, 2), ("elem", 1, 3, 0), ("elems", 1, 0, 2, 2), ("elems", 1, 0, 2, 3), ("elems", 1, 0, 2, 1),
    ("elems", 2, 0, 3, 0),
    ("aset", 1, 200, 1), ("aset", 3, 1, 1), ("aset", 0, 1, 0), ("extern", 5), ("extern", None),
    ("out", None), ("out", 7), ("out", Reference("host", 7)), ("in", 7), ("keep", 7), ("certain", 44),
    ("keep", None), ("xi", 0), ("xi", 3), ("xi", 6),
    ("xi", 1), ("drop",), ("elem", 0, 0, 0), ("elem", 0, 1, 0), ("data", 0, 1, 0), ("datas", 0, 0, 0, 0),
]  # fmt: skip
FUNCTIONS = (MODULES / "functions.wat").read_text()
FUNCTION_CALLS: list[tuple] = [
    *((name, i, 5) for name in ("ca", "cb", "cc", "cd", "cp", "ra", "ta", "tb") for i in range(6)),
    *(("test", i) for i in range(5)),
    ("catch", 9), ("catch", 8), ("direct",), ("ca", 2, 9),
]  # fmt: skip
VECTORS = (MODULES / "vectors.wat").read_text()
A, B, ONES = 0x100F0E0D0C0B0A09_0807060504030201, 2**127 + 5, 2**128 - 1
VECTOR_CALLS: list[tuple] = [
    ("v",), ("w",), ("around",), ("set", A), ("set", 0), ("set", B), ("v",), ("w",), ("around",), ("new", A, 7), ("v",), ("w",),
    ("around",), ("null", 0), ("null", 1), ("default",), *(("get", i) for i in (0, 3, 4, -1)),
    *(("constant", i) for i in range(4)), ("table",), ("put", 0, A), ("put", 3, ONES), ("put", 4, A), ("make", A, 3),
    ("make", 0, 2),
    ("make", 2**64, 5), ("fixed", A, 0), ("fixed", A, 1), ("fixed", A, 2), ("empty", 2), ("empty", 1), ("fill", 0, A, 4),
    ("fill", 1, B, 2), ("fill", 3, 0, 1), ("fill", 4, A, 0), ("fill", 4, A, 1), ("fill", 1, A, -1), ("get", 1), ("get", 3),
    ("put", 0, 1), ("put", 1, 2**70), ("put", 2, A), ("copy", 1, 0, 3), ("get", 1), ("get", 3), ("copy", 0, 2, 2), ("get", 0),
    ("copy", 0, 0, 4), ("copy", 0, 4, 1), ("copied", 1, 0, 3), ("get", 2), ("copied", 2, 0, 3), ("copied", 0, 3, 0),
    ("data", 0, 3), ("data", 14, 3), ("data", 15, 3), ("data", 0, 2**28), ("data", 0, -1), ("init", 1, 3, 2), ("get", 2),
    ("init", 0, 0, 3), ("init", 0, 0, 4), ("init", 3, 0, 2), ("init", 0, 63, 0), ("init", 0, 62, 0), ("through", A), ("dead",),
    ("shorts", 0, 0x12345, 6), ("shorts", 0, -3, 3), ("shorts", 6, 0, 0), ("references", 0, 4), ("references", 1, 4),
    ("references", 2, 1), ("references", 0, 5), ("drop",), ("data", 0, 1), ("data", 0, 0),
]  # fmt: skip


def _verified(source: str, calls: list[tuple], level: int, single_jumps: int = 2048) -> None:
    verifier = Verifier(
        source, model=realise(*compile_steps(source, CompileOptions(level)), single_jumps), opt_level=level
    )
    for name, *args in calls:
        report = verifier.invoke(name, args)
        assert report.ok, f"{name} {args}: {report.divergence} {report.limit}"


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize(
    ("source", "calls"),
    [(SMALL, SMALL_CALLS), (OBJECTS, OBJECT_CALLS), (FUNCTIONS, FUNCTION_CALLS), (VECTORS, VECTOR_CALLS)],
    ids=["i31", "objects", "functions", "vectors"],
)
def test_every_step_is_that_of_wasmtime(source: str, calls: list[tuple], level: int) -> None:
    _verified(source, calls, level)


def test_functions_of_subtypes_are_called_over_far_jumps() -> None:
    _verified(FUNCTIONS, FUNCTION_CALLS, 1, single_jumps=0)


def test_a_saved_model_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "functions.safetensors"
    w2x.compile(FUNCTIONS).save(path)
    verifier = Verifier(FUNCTIONS, model=w2x.load(path))
    for name, *args in FUNCTION_CALLS:
        assert verifier.invoke(name, args).ok


@pytest.mark.parametrize("source", [SMALL, OBJECTS, FUNCTIONS, VECTORS], ids=["i31", "objects", "functions", "vectors"])
def test_what_is_decoded_is_encoded_as_it_was(source: str) -> None:
    module = load(source).module
    again = decode(encode(module))
    assert again.types == module.types and again.groups == module.groups
    bodies = [[[(i.name, i.args) for i in f.body] for f in m.functions] for m in (module, again)]
    assert bodies[0] == bodies[1]


def test_types_of_equal_groups_are_one() -> None:
    group = "(rec (type (sub (struct (field (ref null {0})) (field {1})))) (type (struct)))"
    text = (
        "(module"
        + group.format(0, "i32")
        + group.format(2, "i32")
        + group.format(4, "i64")
        + group.format(0, "i32")
        + ")"
    )
    types = [t.name for t in load(text).module.types]
    assert types[:2] == types[2:4] and types[0] != types[4] and types[0] != types[1]
    assert types[6] != types[0]  # its first field is of the group before
    assert [t.name for t in decode(encode(load(text).module)).types] == types


def test_values_of_hosts() -> None:
    instance = w2x.Instance(w2x.compile(OBJECTS))
    (value,) = instance.invoke("result", 3).values
    assert isinstance(value, Reference) and str(value) == "object 1"
    for name, argument in (("extern", 2**30 - 1), ("extern", -1)):
        with pytest.raises(w2x.ArgumentError, match="externref"):
            instance.invoke(name, argument)
    instance = w2x.Instance(w2x.compile(SMALL))
    for wrong in (2**31, -(2**30) - 1, value):
        with pytest.raises(w2x.ArgumentError, match=r"i31ref|no call of this instance"):
            instance.invoke("is", wrong)


def test_a_full_heap_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    for file in ("heap_routines", "array_routines"):
        monkeypatch.setattr(f"wasm2xformer.compiler.link.{file}.HEAP_BYTES", 1200)
    source = """(module (type $a (array (mut i64))) (type $s (struct (field i64)))
      (func (export "array") (param i32) (result i32) (array.len (array.new_default $a (local.get 0))))
      (func (export "struct") (param $n i32) (result i32) (local $s (ref null $s))
        (loop $l (local.set $s (struct.new $s (i64.const 1))) (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (ref.is_null (local.get $s))))"""
    verifier = Verifier(source)
    assert verifier.invoke("array", (100,)).ok and verifier.invoke("struct", (10,)).ok
    for name, argument in (("array", 100), ("array", 2**31 - 1), ("struct", 100)):
        report = verifier.invoke(name, (argument,))
        assert not report.ok and "structs and arrays take" in report.limit


WRITES = """(module (type $s (struct (field (mut v128)))) (type $a (array (mut i32))) (type $r (array (mut anyref)))
  (data $d "0123456789") (elem $e anyref (ref.null any) (ref.i31 (i32.const 5)))
  (func (export "struct.set") (struct.set $s 0 (struct.new_default $s) (v128.const i64x2 5 6)))
  (func (export "array.set") (array.set $a (array.new_default $a (i32.const 3)) (i32.const 1) (i32.const 5)))
  (func (export "array.fill") (array.fill $a (array.new_default $a (i32.const 9)) (i32.const 1) (i32.const 5) (i32.const 7)))
  (func (export "array.copy") (local (ref null $r)) (local.set 0 (array.new $r (ref.i31 (i32.const 6)) (i32.const 5)))
    (array.copy $r $r (local.get 0) (i32.const 1) (local.get 0) (i32.const 2) (i32.const 3)))
  (func (export "array.init_data")
    (array.init_data $a $d (array.new_default $a (i32.const 3)) (i32.const 1) (i32.const 3) (i32.const 1)))
  (func (export "array.init_elem")
    (array.init_elem $r $e (array.new_default $r (i32.const 3)) (i32.const 1) (i32.const 0) (i32.const 2))))"""


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("struct.set", "(local.get $vh)", "(local.get $vl)"),
        ("array.set", "(local.get $v))", "(i32.const 6))"),
        ("array.fill", "(local.get $v))", "(i32.const 6))"),
        ("array.fill", "(i32.shl (local.get $n)", "(i32.shl (i32.const 6)"),  # one element is left out
        ("array.copy", "(call $load32+5 (local.get $s))", "(i32.const 0)"),
        ("array.copy", "(call $load32+5 (local.get $s))", "(i32.const -2147483643)"),  # another i31ref
        ("array.init_data", "(call $load32+0 (local.get $s))", "(i32.const 0)"),
        ("array.init_elem", "(call $load32+0 (local.get $s))", "(i32.const 0)"),
    ],
)
def test_what_is_written_is_compared_at_once(name: str, right: str, wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The routine writes something else than the instruction does, and nobody reads it."""
    from wasm2xformer.compiler.link import heap_routines

    plain, changed = heap_routines.routine_text, []

    def text(routine: str, code: str) -> str:
        if routine == name:
            changed.append(code.replace(right, wrong))
            assert changed[-1] != code
            code = changed[-1]
        return plain(routine, code)

    assert Verifier(WRITES).invoke(name).ok
    monkeypatch.setattr(heap_routines, "routine_text", text)
    report = Verifier(WRITES).invoke(name)
    assert changed and report.divergence is not None and report.divergence.what.startswith(f"value stored by {name}")


@pytest.mark.parametrize(("name", "value"), [("struct.get", 5), ("array.get", 5), ("struct.set", 6), ("ref.test", 1)])
def test_a_wrong_value_is_told(name: str, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The routine computes something else than the instruction does."""
    from wasm2xformer.compiler.link import heap_routines

    source = """(module (type $s (struct (field (mut i32)))) (type $a (array i32))
      (func (export "struct.get") (result i32) (struct.get $s 0 (struct.new $s (i32.const 5))))
      (func (export "array.get") (result i32) (array.get $a (array.new $a (i32.const 5) (i32.const 2)) (i32.const 1)))
      (func (export "struct.set") (local (ref null $s)) (local.set 0 (struct.new_default $s))
        (struct.set $s 0 (local.get 0) (i32.const 6)))
      (func (export "ref.test") (result i32) (ref.test (ref $s) (struct.new_default $s))))"""
    plain = heap_routines.routine_text

    def wrong(routine: str, code: str) -> str:
        if routine == name == "struct.set":
            code = code.replace(
                "(call $store32+1 (local.get $r) (local.get $v))", "(call $store32+1 (local.get $r) (i32.const 7))"
            )
        elif routine == name:
            code += " (drop) (i32.const 0)"
        return plain(routine, code)

    assert Verifier(source).invoke(name).ok
    monkeypatch.setattr(heap_routines, "routine_text", wrong)
    report = Verifier(source).invoke(name)
    assert report.divergence is not None and report.divergence.what in ("value", f"value stored by {name}")


def test_what_objects_cost(loops_once: None) -> None:
    """As docs/machine.md says: tokens of one round of a loop, less those of the loop itself."""
    objects = {
        "struct.get": (6, "(drop (struct.get $s $v (global.get $r)))"),
        "struct.set": (9, "(struct.set $s $v (global.get $r) (i32.const 5))"),
        "array.get": (11, "(drop (array.get $a (global.get $b) (i32.const 3)))"),
        "array.set": (14, "(array.set $a (global.get $b) (i32.const 3) (i32.const 5))"),
        "array.len": (6, "(drop (array.len (global.get $b)))"), "ref.test": (9, "(drop (ref.test (ref $t) (global.get $r)))"),
        "ref.cast": (10, "(drop (ref.cast (ref $t) (global.get $r)))"),
        "br_on_cast": (9, "(block $l (result (ref $s)) (br_on_cast $l (ref $s) (ref $t) (global.get $r))) (drop)"),
        "struct.new": (18, "(drop (struct.new $s (i32.const 5) (ref.null $s)))"),
    }  # fmt: skip
    loop = """(func (export "{0}") (param $n i32)
      (loop $l {1} (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))"""
    functions = "".join(loop.format(name, code) for name, (_, code) in {"": (0, ""), **objects}.items())
    types = """(type $s (sub (struct (field $v (mut i32)) (field (mut (ref null $s))))))
      (type $t (sub $s (struct (field (mut i32)) (field (mut (ref null $s))) (field i64)))) (type $a (array (mut i32)))
      (global $r (ref $s) (struct.new $t (i32.const 7) (ref.null $s) (i64.const 9)))
      (global $b (ref $a) (array.new_default $a (i32.const 10)))"""
    model = w2x.compile(f"(module {types} {functions})")

    def tokens(name: str) -> int:
        """Of ten rounds, references staying below 256."""
        return len(w2x.Instance(model).invoke(name, 12).tokens) - len(w2x.Instance(model).invoke(name, 2).tokens)

    empty = tokens("")
    assert {name: (tokens(name) - empty) / 10 for name in objects} == {name: cost for name, (cost, _) in objects.items()}


def test_a_branch_of_another_cast_is_told() -> None:
    source = """(module (type $a (struct)) (type $b (array i32))
      (func (export "f") (param $r anyref) (result i32)
        (block $x (result anyref) (block $y (result anyref) (br_on_cast $y anyref (ref $a) (local.get $r))
          (br_on_cast $x anyref (ref $b)) (drop) (return (i32.const 0))) (return (ref.is_null))) (ref.is_null)))"""
    program, _ = compile_steps(source)
    first, second = (i for i, s in enumerate(program.steps) if s.op == "call" and s.callee in (1, 2))
    steps = list(program.steps)
    steps[first] = steps[first].but(callee=steps[second].callee)
    changed = realise(replace(program, steps=tuple(steps)), load(source).module)
    report = Verifier(source, model=changed).invoke("f", (None,))
    assert report.divergence is not None and report.divergence.what.startswith("translation")


@pytest.mark.parametrize("level", [0, 1])
def test_objects_go_from_module_to_module(level: int) -> None:
    """Types of two modules are one where their groups are equal, at whatever index."""
    types = "(rec (type $s (sub (struct (field (mut i32)) (field (ref null $s))))) (type $a (array (mut (ref null $s)))))"
    library = f"""(module (type $other (struct (field i64))) {types}
      (global (export "kept") (ref $s) (struct.new $s (i32.const 9) (ref.null $s)))
      (func (export "sum") (param anyref) (result i32) (local $s (ref null $s))
        (local.set $s (ref.cast (ref null $s) (local.get 0)))
        (i32.add (struct.get $s 0 (local.get $s))
          (block $none (result i32)
            (struct.get $s 0 (br_on_null $none (i32.const 100) (struct.get $s 1 (local.get $s)))) (br 1)))))"""
    program = f"""(module {types} (type $alone (struct (field (mut i32))))
      (import "lib" "kept" (global $kept (ref $s))) (import "lib" "sum" (func $sum (param anyref) (result i32)))
      (func (export "own") (param i32) (result i32) (call $sum (struct.new $s (local.get 0) (global.get $kept))))
      (func (export "kept") (result i32) (call $sum (global.get $kept)))
      (func (export "other") (result i32) (call $sum (struct.new $alone (i32.const 1)))))"""
    verifier = Verifier(program, libraries={"lib": library}, opt_level=level)
    for call, *args in (("own", 5), ("kept",), ("other",)):
        report = verifier.invoke(call, args)
        assert report.ok, f"{call}: {report.divergence}"


def test_imports_that_nobody_provides_may_have_such_types() -> None:
    source = """(module (rec (type $s (struct (field (ref null $s)))))
      (import "env" "make" (func $make (param (ref null $s)) (result (ref null $s))))
      (func (export "f") (result i32) (ref.is_null (call $make (ref.null $s)))))"""
    report = Verifier(source, unknown_imports_trap=True).invoke("f")
    assert report.ok and report.run.missing_import


def agreed(verifier: Verifier, name: str, *args: object) -> list:
    """The call's results, which both sides agree on."""
    report = verifier.invoke(name, args)
    assert report.ok, f"{name} {args}: {report.divergence}"
    return report.run.values


HANDLES = (MODULES / "handles.wat").read_text()


@pytest.mark.parametrize("level", [0, 1])
def test_objects_are_passed_again(level: int) -> None:
    verifier = Verifier(HANDLES, opt_level=level)
    call = partial(agreed, verifier)

    (first,), (second,) = call("new", 5), call("new", 6)
    _, array, _ = call("array", 3)
    (outside,) = call("out", 7)
    assert call("get", first) == [5] and call("get", second) == [6] and call("get", outside) == [7] and call("len", array) == [3]
    call("set", first, 9)
    assert call("get", first) == [9] and call("get", second) == [6]
    assert call("in", first) == call("in", outside) == [1]
    assert call("in", 5) == call("in", array) == call("in", None) == [0]
    assert call("same", first, first) == [1] and call("same", first, second) == call("same", array, None) == [0]
    for value in (first, 5, Reference("host", 5), None):
        assert call("again", value) == [value]
    call("keep", second)
    assert verifier.read_global("g") == second
    assert call("get", array) == [] and call("len", first) == []  # traps on both sides


def test_objects_that_cannot_be_passed() -> None:
    """Neither those that nobody was given, nor where the program does not ask what they are."""
    instance = w2x.Instance(w2x.compile(HANDLES))
    (given,) = instance.invoke("new", 5).values
    assert instance.invoke("get", given).values == [5]
    with pytest.raises(w2x.ArgumentError, match="get: argument 1 is object 2: no call of this instance has returned that one"):
        instance.invoke("get", Reference("object", given.number + 1))
    assert instance.invoke("typed", given).values == [0] and instance.invoke("typed", None).values == [1]
    other = w2x.Instance(instance.model)
    with pytest.raises(w2x.ArgumentError, match="no call of this instance"):
        other.invoke("get", given)
    instance.invoke("keep", given)
    assert other.read_global("g") is None and instance.read_global("g") == given


TYPED = """(module
  (type $p (sub (struct (field $x (mut i32))))) (type $q (sub $p (struct (field (mut i32)) (field i32))))
  (type $a (array (mut i8))) (type $f (func (result i32)))
  (func (export "p") (param i32) (result anyref) (struct.new $p (local.get 0)))
  (func (export "q") (param i32) (result (ref $q)) (struct.new $q (local.get 0) (i32.const 9)))
  (func (export "a") (param i32) (result (ref $a)) (array.new_default $a (local.get 0)))
  (func (export "x") (param (ref null $p)) (result i32) (struct.get $p $x (local.get 0)))
  (func (export "q_x") (param i64 v128 (ref $q)) (result i32) (struct.get $q 0 (local.get 2)))
  (func (export "len") (param (ref $a)) (result i32) (array.len (local.get 0)))
  (func (export "struct") (param structref) (result i32) (ref.is_null (local.get 0)))
  (func (export "array") (param (ref array)) (result i32) (array.len (local.get 0)))
  (func (export "i31") (param i31ref))
  (func $seven (result i32) (i32.const 7)) (func $one (param i32) (result i32) (i32.const 1))
  (elem declare func $seven $one)
  (func (export "refer") (drop (ref.func $seven)) (drop (ref.func $one)))
  (func (export "call") (param v128 (ref null $f)) (result i32) (call_ref $f (local.get 1))))"""
SEVEN, ONE = 9, 10


@pytest.mark.parametrize("level", [0, 1])
def test_who_wants_a_certain_type_is_passed_nothing_else(level: int) -> None:
    """The program says which; and wasmtime says the same."""
    verifier = Verifier(TYPED, opt_level=level)
    call = partial(agreed, verifier)

    (p,), (q,), (a,) = call("p", 5), call("q", 6), call("a", 3)
    good = [("x", p, 5), ("x", q, 6), ("len", a, 3), ("struct", p, 0), ("struct", None, 1), ("array", a, 3)]
    for name, value, result in good:
        assert call(name, value) == [result]
    assert call("q_x", 1, 2, q) == [6] and call("call", 1, SEVEN) == [7]
    assert call("x", None) == [] and call("call", 1, None) == []  # traps on both sides
    bad = [("x", (a,)), ("q_x", (1, 2, p)), ("len", (p,)), ("struct", (a,)), ("array", (q,)), ("call", (1, ONE))]
    for name, args in bad:
        with pytest.raises(w2x.ArgumentError, match=f"{name}: argument .* is (object|function) .*, which is no \\(ref "):
            verifier.invoke(name, args)
    for name, value in (("len", None), ("array", None), ("x", 5), ("i31", p)):
        with pytest.raises(w2x.ArgumentError):
            verifier.invoke(name, (value,))
    assert call("x", p) == [5]  # nothing has changed


def test_a_wrong_answer_about_a_type_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HeapTypes, "range_of", lambda self, heap: (1, self.arrays))
    for name in ("x", "len"):
        verifier = Verifier(TYPED)
        (p,), (a,) = verifier.invoke("p", (5,)).run.values, verifier.invoke("a", (3,)).run.values
        with pytest.raises(w2x.DivergenceError, match=f"{name}: argument 1, object .* and is not one for wasmtime"):
            verifier.invoke(name, (a if name == "x" else p,))


def test_typed_references_survive_a_checkpoint(tmp_path: Path) -> None:
    w2x.compile(TYPED).save(tmp_path / "typed.safetensors")
    instance = w2x.Instance(w2x.load(tmp_path / "typed.safetensors"))
    (q,), (a,) = instance.invoke("q", 6).values, instance.invoke("a", 3).values
    assert instance.invoke("x", q).values == [6]
    with pytest.raises(w2x.ArgumentError, match="x: argument 1 is object"):
        instance.invoke("x", a)


def test_a_checkpoint_in_which_nothing_says_what_a_reference_is() -> None:
    model = w2x.compile(TYPED)
    host = {name.replace("is (ref null ", "is (ref "): entry for name, entry in model.program.host.items()}
    with pytest.raises(ValueError, match="nothing says whether a reference is a"):
        check_program(replace(model.program, host=host))
    older = model.program.entries["x"]
    entries = model.program.entries | {"x": replace(older, params=("structref",))}
    instance = w2x.Instance(replace(model, program=replace(model.program, entries=entries)))
    with pytest.raises(w2x.ArgumentError, match="compile the program again"):
        instance.invoke("x", *instance.invoke("p", 5).values)


def test_objects_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "handles.wat").write_text(HANDLES)
    program = str(tmp_path / "handles.wat")
    for command in ("run", "verify"):
        assert main([command, program, "--invoke", "new", "5", "--invoke", "get", "object:1"]) == 0
        assert "5" in capsys.readouterr().out.splitlines()[1]
    (tmp_path / "script").write_text("v = call new 5\nw = call out 6\ncall get v\ncall get w\n")
    assert main(["run", program, "--script", str(tmp_path / "script")]) == 0
    assert capsys.readouterr().out.splitlines() == ["5", "6"]
    assert main(["run", program, "--invoke", "get", "object:1"]) == 2
    assert "no call of this instance has returned that one" in capsys.readouterr().err
