"""Call scripts, and what they are made of: the module's own allocator, exported globals, imports under other names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import wasm2xformer as w2x
from wasm2xformer.compiler.link.aliases import aliases
from wasm2xformer.compiler.wasm.source import load
from wasm2xformer.runtime.allocators import allocator, arguments
from wasm2xformer.runtime.cli import main
from wasm2xformer.runtime.cli.script import Script

WORDS = Path(__file__).resolve().parent.parent / "docs" / "languages" / "words.wat"
GLOBALS = """(module (global $a (export "a") (mut i32) (i32.const -7)) (global (export "pi") f64 (f64.const 3.25))
  (global (export "wide") i64 (i64.const -5)) (func (export "set") (param i32) (global.set $a (local.get 0))))"""
SCRIPT = r"""
a = alloc "two words\n\x41"  # 12 bytes
n = call count_words a a.length
print n a.length
call count_words a+4 5
write a "x y z\0"
m =call count_words a 5
print m
string a
text a+2 3
read a 4
b = alloc file {file}
print b.length
end = global end
print end
"""
PRINTED = "3 11\n1\n3\nx y z\ny z\n00000400  78 20 79 20                                      x y \n5\n1064\n"


def test_a_script_is_run_and_verified(tmp_path, capsys):
    (tmp_path / "data").write_bytes(b"a b c")
    script = tmp_path / "calls"
    script.write_text(SCRIPT.replace("{file}", str(tmp_path / "data")))
    assert main(["run", str(WORDS), "--script", str(script)]) == 0
    printed = capsys.readouterr().out.replace("y z00000400", "y z\n00000400")
    assert re.sub(r"\s+", " ", printed) == re.sub(r"\s+", " ", PRINTED)
    assert main(["verify", str(WORDS), "--script", str(script)]) == 0
    assert capsys.readouterr().out.count("no difference") == 6  # two allocations, three calls, all together


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jump 5", "line 1: 'jump' is no statement"), ('\nalloc "abc', "line 2: a string does not end"),
        ('alloc "\\q"', r"\\q is no escape"), ("a, b = alloc 5", "alloc gives 1 value"), ("read 5", "read has 2 arguments"),
        ("call nothing", "line 1: no exported function 'nothing'"), ('call count_words "x" 1', "a string is no argument"),
        ("call count_words p 1", "argument 1 is 'p'"), ("global q", "no exported global 'q'; there are: end"),
        ("text x 1", "'x' is neither a number"),
        ("a = read 5 6", "read gives no values"), ("5 = alloc 3", "names stand before"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_script_is_told_with_its_line(tmp_path, capsys, text: str, message: str):
    (tmp_path / "calls").write_text(text)
    code = main(["run", str(WORDS), "--script", str(tmp_path / "calls"), "--export", "count_words", "--export", "malloc"])
    error = capsys.readouterr().err
    assert code == 2 and re.search(message, error) and "line" in error, error


def test_a_script_says_what_it_calls():
    exports = {"malloc": (("i32",), ("i32",)), "f": ((), ()), "mine": (("i32",), ("i32",))}
    assert Script("s", 'call f\nalloc "a"\ncall f').needed(exports) == ["f", "malloc"]
    assert Script("s", 'allocator mine\nalloc "a"').needed(exports) == ["mine"]
    with pytest.raises(w2x.ArgumentError, match="exports no allocator that is known"):
        Script("s", "alloc 5").needed({"f": ((), ())})


def test_allocators_are_told_from_each_other_by_their_types():
    i32 = "i32"
    for exports, name, given in (
        ({"__new": ((i32, i32), (i32,))}, "__new", [9, 1]),
        ({"__wbindgen_malloc": ((i32, i32), (i32,))}, "__wbindgen_malloc", [9, 1]),
        ({"__wbindgen_malloc": ((i32,), (i32,))}, "__wbindgen_malloc", [9]),
        ({"malloc": (("i64",), ("i64",)), "cabi_realloc": ((i32,) * 4, (i32,))}, "cabi_realloc", [0, 0, 1, 9]),
    ):  # fmt: skip
        assert allocator(exports) == name and arguments(exports, name, 9) == given


@pytest.mark.parametrize("saved", [False, True])
def test_python_has_the_same(tmp_path, saved: bool):
    model = w2x.compile(WORDS)
    if saved:
        model.save(tmp_path / "words.safetensors")
        model = w2x.load(tmp_path / "words.safetensors")
    vm = w2x.Instance(model)
    address = vm.alloc(b"a few words\0")
    assert vm.invoke("count_words", address, 11).values == [3]
    assert vm.read_string(address) == b"a few words" and vm.read_global("end") > address
    with pytest.raises(w2x.ArgumentError, match="no exported global 'x'; there are: end"):
        vm.read_global("x")
    with pytest.raises(w2x.ArgumentError, match="no exported function 'x'"):
        vm.alloc(b"", "x")


@pytest.mark.parametrize("level", [0, 1])
def test_exported_globals_are_read(level: int):
    vm = w2x.Instance(w2x.compile(GLOBALS, opt_level=level))
    assert [vm.read_global(name) for name in ("a", "pi", "wide")] == [-7, 3.25, -5]
    vm.invoke("set", 9)
    assert vm.read_global("a") == 9
    verifier = w2x.Verifier(GLOBALS, opt_level=level)
    assert verifier.invoke("set", [11]).ok and verifier.read_global("a") == 11


MINIFIED = """(module (import "a" "c" (func $w (param i32 i32 i32 i32) (result i32)))
  (import "a" "b" (func $m (param i32 i32 i32) (result i32)))
  (import "a" "s" (func $seek (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "d") 1) (data (i32.const 0) "\\08\\00\\00\\00\\03\\00\\00\\00hi\\n")
  (func (export "f") (result i32 i32)
    (call $seek (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 64))
    (drop (call $m (i32.const 100) (i32.const 0) (i32.const 11))) (i32.store (i32.const 100) (i32.const 108))
    (call $w (i32.const 1) (i32.const 100) (i32.const 1) (i32.const 64))))"""
MEANT = {
    "a.c": "wasi_snapshot_preview1.fd_write", "a.b": "env.emscripten_memcpy_big", "a.s": "wasi_snapshot_preview1.fd_seek",
}  # fmt: skip


def test_imports_under_other_names(tmp_path, capsys):
    report = w2x.verify(MINIFIED, "f", libraries=aliases(load(MINIFIED).module, MEANT))
    assert report.ok and report.run.values == [70, 0] and report.run.stdout == b"hi\n"
    (tmp_path / "m.wat").write_text(MINIFIED)
    options = [part for own, meant in MEANT.items() for part in ("--import", f"{own}={meant}")]
    assert main(["run", str(tmp_path / "m.wat"), *options, "--invoke", "f"]) == 0
    assert capsys.readouterr().out == "hi\n70\n0\n"
    for wrong in ("a.c", "a.q=env.x", "a=b"):
        assert main(["run", str(tmp_path / "m.wat"), "--import", wrong, "--invoke", "f"]) == 2


@pytest.mark.parametrize(
    "table",
    ["{c:_fd_write,b:_emscripten_memcpy_big,s:_fd_seek}", '{"s": _fd_seek,\n "c": _fd_write,\n "b": _emscripten_memcpy_big\n}'],
)  # fmt: skip
def test_the_script_beside_a_module_says_what_shortened_imports_are(tmp_path, capsys, table: str):
    (tmp_path / "m.wat").write_text(MINIFIED)
    (tmp_path / "m.js").write_text(f"var other={{s:_x}};var wasmImports={table};run({{a:wasmImports}})")
    run = ["run", str(tmp_path / "m.wat"), "--invoke", "f", "--import", str(tmp_path / "m.js")]
    assert main(run) == 0 and capsys.readouterr().out == "hi\n70\n0\n"
    assert main([*run, "--import", "a.s=env.abort"]) == 2  # what is said of one comes before the script
    assert '"abort"' in capsys.readouterr().err
    (tmp_path / "m.js").write_text("var a={s:()=>1,b:_x,c:_y}")
    assert main(run) == 2 and "m.js: the script has no table of the names" in capsys.readouterr().err
    assert main([*run[:-1], str(tmp_path / "none.js")]) == 2 and "none.js" in capsys.readouterr().err


def test_a_shortened_import_is_guessed_by_its_type():
    with pytest.raises(w2x.CompileError) as error:
        w2x.compile(MINIFIED.replace('"a" "b"', '"env" "surprise"'))
    text = str(error.value)
    assert "by its type it may be fd_write, fd_read" in text and "--import a.s=wasi_snapshot_preview1.fd_seek" in text
    assert text.count("by its type") == 2
