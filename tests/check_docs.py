"""The commands and scripts in README.md and docs/ do what is printed there.

Blocks marked `console` hold commands after "$ " and, below each, everything that it prints. To write anew what they
print: python -m tests.check_docs
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)


def commands(block: str) -> Iterator[tuple[str, str]]:
    """(command, what is printed below it)"""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, printed = part.partition("\n")
        yield command, printed


def output(command: str, folder: Path) -> str:
    """Of both streams, as a terminal shows them."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )  # fmt: skip
    return "".join(line.rstrip() + "\n" for line in done.stdout.splitlines())


def prepare(folder: Path) -> Path:
    """The folder that the pages' commands run in: a checkout, as far as they read it."""
    for name in ("programs", "tests", "examples", "docs"):
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_print_what_the_page_says(page: Path, tmp_path: Path):
    prepare(tmp_path)
    for block in BLOCK.findall(page.read_text(encoding="utf-8")):
        for command, printed in commands(block):
            assert output(command, tmp_path) == printed, f"{command}: if that is right, run python -m tests.check_docs"


def test_python_of_the_readme_runs(tmp_path: Path):
    blocks = re.findall(r"```python\n(.*?)```", PAGES[0].read_text(encoding="utf-8"), re.DOTALL)  # one goes on with the other
    assert len(blocks) == 2
    done = subprocess.run([sys.executable, "-c", "".join(blocks)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_links_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def renew() -> None:
    for page in PAGES:
        with tempfile.TemporaryDirectory() as name:
            folder = prepare(Path(name))
            text = page.read_text(encoding="utf-8")

            def block(match: re.Match[str], folder: Path = folder) -> str:
                found = "".join(f"$ {c}\n{output(c, folder)}" for c, _ in commands(match[1]))
                return f"```console\n{found}```"

            page.write_text(BLOCK.sub(block, text), encoding="utf-8")


if __name__ == "__main__":
    renew()
