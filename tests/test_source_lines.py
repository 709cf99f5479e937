"""Lines of C for instructions: from the compiler's own debug information."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from wasm2xformer.compiler.wasm.c import compile_c
from wasm2xformer.compiler.wasm.source import load
from wasm2xformer.runtime.explain.source_lines import SourceLines, source_lines

needs_c = pytest.mark.skipif(not (importlib.util.find_spec("ziglang") or shutil.which("clang")), reason="no C compiler")
TEXT = """static volatile int cell;

int twice(int n) {
    int sum = n;
    cell = n;
    sum += cell;
    return sum;
}
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "twice.c"
    path.write_text(TEXT)
    return path


@needs_c
@pytest.mark.parametrize("version", [4, 5])
def test_instructions_have_their_lines(version: int, program: Path, monkeypatch: pytest.MonkeyPatch):
    from wasm2xformer.compiler.wasm import c

    monkeypatch.setattr(c, "FLAGS", [*c.FLAGS, f"-gdwarf-{version}"])
    wasm = compile_c(program, debug=True)
    lines, module = source_lines(wasm), load(wasm).module
    (twice,) = [f for f in module.functions if f.name == "twice"]
    at = {instruction.name: lines.at(instruction.offset) for instruction in twice.body}
    assert at["i32.store"] == ("twice.c", 5) and at["i32.load"] == ("twice.c", 6) and at["i32.add"] == ("twice.c", 6)
    assert lines.at(0) is None
    assert source_lines(compile_c(program)) == SourceLines()


def leb(value: int) -> bytes:
    out = bytearray()
    while value >= 128:
        out.append(value % 128 | 128)
        value //= 128
    return bytes([*out, value])


def module_with(table: bytes, strings: bytes = b"") -> bytes:
    """With an empty line program behind the files that the bytes of a header of version 5 tell."""
    header = bytes([1, 1, 1, 251, 14, 13]) + bytes(12) + table
    body = b"\5\0" + b"\4\0" + len(header).to_bytes(4, "little") + header + b"\1"
    sections = {b".debug_line": len(body).to_bytes(4, "little") + body, b".debug_line_str": strings}
    parts = (leb(len(name)) + name + data for name, data in sections.items())
    return b"\0asm\1\0\0\0" + b"".join(b"\0" + leb(len(part)) + part for part in parts)


@pytest.mark.parametrize("forms", [b"\0", b"\1\1\x7f"])
def test_entries_that_take_no_bytes_are_no_table(forms: bytes):
    """Four thousand million of them would take minutes, and all memory."""
    assert source_lines(module_with(forms + leb(2**32 - 1) + b"\0\0")) == SourceLines()


def test_a_long_text_that_many_entries_name_is_no_table():
    entry, count = b"\0\0\0\0", 50_000
    for size, wanted in ((100, 1), (1_000_000, 0)):
        wasm = module_with(b"\0\0" + b"\1\1\x1f" + leb(count) + count * entry, size * b"a" + b"\0")
        assert len(source_lines(wasm).starts) == wanted


@needs_c
def test_damaged_tables_are_no_lines(program: Path):
    wasm = compile_c(program, debug=True)
    start = wasm.index(b".debug_line") + len(".debug_line")
    for i in range(start, start + 200):
        for byte in (0, 1, 127, 255):
            source_lines(wasm[:i] + bytes([byte]) + wasm[i + 1 :])  # raises nothing
    assert source_lines(wasm[: start + 20]) == SourceLines()


@needs_c
def test_the_page_has_the_text(program: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from wasm2xformer.runtime.cli.command_line import main

    page = tmp_path / "page.html"
    assert main(["explain", str(program), "--invoke", "twice", "4", "-o", str(page)]) == 0
    data = json.loads(page.read_text().split('id="data">')[1].split("</script>")[0])
    (file,) = [f for f in data["source"]["files"] if f["name"] == "twice.c"]
    assert "\n".join(file["lines"]) == TEXT
    assert "-g" in capsys.readouterr().err


@needs_c
def test_the_line_about_the_page_tells_what_the_program_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from wasm2xformer.runtime.cli.command_line import main

    (tmp_path / "say.c").write_text('#include <stdio.h>\nint main(void) { puts("say \\33[31m\\xff"); }\n')
    assert main(["explain", str(tmp_path / "say.c"), "-o", str(tmp_path / "say.html")]) == 0
    assert r"_start() = nothing, printed 'say \x1b[31m\\xff\n', " in capsys.readouterr().out
