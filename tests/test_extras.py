"""What is an extra may be missing: then one line says how to get it, and everything else works."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Stands for an environment without the package: an import of it fails as there.
WITHOUT_TORCH = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, Missing())
from wasm2xformer.runtime.cli import main
sys.exit(main())
"""
ADD = '(module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))'


@pytest.mark.parametrize(
    ("command", "code", "printed"),
    [
        ("run add.wat --invoke add 3 5", 0, "8\n"),
        ("verify add.wat --invoke add 3 5", 0, "add(3, 5) = 8: "),
        ("run add.wat --engine torch --invoke add 3 5", 2,
         "error: the torch engine needs the package torch, which is not installed: pip install 'wasm2xformer[torch]'\n"),
        ("verify add.wat --replay --invoke add 3 5", 0, "add(3, 5) = 8: "),
        ("verify add.wat --replay --attention softmax --invoke add 3 5", 2,
         "error: replay with real softmax needs the package torch, which is not installed: pip install 'wasm2xformer[torch]'\n"),
        ("chat model --prompt x", 2,
         "error: chat needs the package torch, which is not installed: pip install 'wasm2xformer[llm]'\n"),
    ],
)  # fmt: skip
def test_without_torch(tmp_path: Path, command: str, code: int, printed: str):
    (tmp_path / "add.wat").write_text(ADD)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *command.split()], cwd=tmp_path, env=dict(os.environ),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == code and done.stdout.startswith(printed), done.stdout
