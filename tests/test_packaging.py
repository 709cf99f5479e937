"""The wheel holds the whole package and nothing else, and what is installed from it works away from the checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ("compiler", "runtime", "wasm2xformer")
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, without the network: the build leaves files beside the sources."""
    pytest.importorskip("setuptools", minversion="77")
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SHIPPED:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "-w", target, source], check=True)
    (built,) = target.glob("*.whl")
    return built


def test_the_wheel_holds_every_source_file(wheel: Path):
    names = set(zipfile.ZipFile(wheel).namelist())
    prefix = {"compiler": "wasm2xformer/", "runtime": "wasm2xformer/", "wasm2xformer": ""}
    suffixes = (".py", ".wat", ".wasm", ".c", ".jinja", ".mjs", ".css", ".html")
    sources = [p for top in SHIPPED for p in (ROOT / top).rglob("*") if p.suffix in suffixes]
    wanted = {prefix[p.relative_to(ROOT).parts[0]] + p.relative_to(ROOT).as_posix() for p in sources}
    assert wanted - names == set()
    assert {n for n in names if ".dist-info/" not in n} - wanted == set()
    assert any(n.endswith("licenses/LICENSE") for n in names)


def test_the_wheel_works_without_the_checkout(wheel: Path, tmp_path: Path):
    site, work = tmp_path / "site", tmp_path / "work"
    zipfile.ZipFile(wheel).extractall(site)
    work.mkdir()
    (work / "prog.wat").write_text(
        '(module (func (export "f") (param i32) (result i32) (i32.div_u (i32.const 84) (local.get 0))))'
    )
    environment = {**os.environ, "PYTHONPATH": str(site)}

    def python(*arguments: str) -> str:
        done = subprocess.run([sys.executable, *arguments], cwd=work, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert python("-c", "import wasm2xformer.runtime.cli as m; print(m.__file__)").startswith(str(site))
    python("-m", "wasm2xformer", "prog.wat", "-o", "model.safetensors")
    assert python("-m", "wasm2xformer", "run", "model.safetensors", "--invoke", "f", "2") == "42\n"
    assert "no difference" in python("-m", "wasm2xformer", "verify", "prog.wat", "--invoke", "f", "2")


def test_every_requirement_is_pinned_within_its_range():
    """constraints.txt gives one version of everything that pyproject.toml names."""
    pins = dict(
        line.strip().split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    )
    project = CONFIG["project"]
    requirements = [
        *project["dependencies"],
        *(r for extra in project["optional-dependencies"].values() for r in extra if not r.startswith("wasm2xformer[")),
    ]
    for requirement in requirements:
        name, least = re.fullmatch(r"([\w-]+)>=([\d.]+)", requirement).groups()  # type: ignore[union-attr]
        assert name in pins, name
        assert [int(x) for x in pins[name].split(".")] >= [int(x) for x in least.split(".")], name


def test_every_package_is_listed():
    """A new folder of sources has to be named in pyproject.toml."""
    folders = {p.parent.relative_to(ROOT) for top in SHIPPED for p in (ROOT / top).rglob("*.py")}
    names = {
        ".".join(f.parts) if f.parts[0] == "wasm2xformer" else "wasm2xformer." + ".".join(f.parts) for f in folders
    }
    assert set(CONFIG["tool"]["setuptools"]["packages"]) == names


def test_every_public_name_can_be_imported():
    import wasm2xformer

    assert {n for names in wasm2xformer._MODULES.values() for n in names} == set(wasm2xformer.__all__)
    for name in wasm2xformer.__all__:
        assert getattr(wasm2xformer, name).__name__ == name and name in dir(wasm2xformer)
    assert not hasattr(wasm2xformer, "nothing")
