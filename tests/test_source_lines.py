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
