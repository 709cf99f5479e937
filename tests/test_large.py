"""What `make large` does to a module of a million steps, with one of a thousand."""

from pathlib import Path

import pytest
from large import goes_through, module


def test_a_module_as_large_as_one_likes(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert goes_through(module(14), 30, 1, tmp_path / "large.safetensors")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["compile", "save", "load", "start", "run", "verify"]
    assert int(lines[0].split(" MiB   ")[1].split()[0].replace(",", "")) > 900
