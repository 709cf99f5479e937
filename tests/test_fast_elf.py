"""Object code in memory without LLVM does what it does when LLVM has loaded it; what is not known is refused."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

import wasm2xformer as w2x
from wasm2xformer.runtime.fast import elf, jit

HERE = sys.platform == "linux" and os.uname().machine == "x86_64"
# Constants in a section of their own, a call, a table of jumps, a variable, zeros that are written to.
CODE = """
@count = dso_local global i64 5
@zeros = dso_local global [1000 x i64] zeroinitializer
@table = dso_local constant [4 x i64] [i64 10, i64 20, i64 30, i64 40]

define i64 @half(i64 %n, i64 %which) noinline {
  %x = sitofp i64 %n to double
  %y = fmul double %x, 0.40625
  %z = fadd double %y, 1.0e10
  %i = fptosi double %z to i64
  switch i64 %which, label %other [i64 0, label %a  i64 1, label %b  i64 2, label %c  i64 3, label %d  i64 4, label %e]
a:
  ret i64 %i
b:
  %sub = sub i64 %i, %n
  ret i64 %sub
c:
  %xor = xor i64 %i, 255
  ret i64 %xor
d:
  %mul = mul i64 %i, 7
  ret i64 %mul
e:
  %shl = shl i64 %i, 3
  ret i64 %shl
other:
  ret i64 0
}

define i64 @run(i64 %n, i64 %which) {
  %old = load i64, ptr @count
  %new = add i64 %old, %n
  store i64 %new, ptr @count
  %at = and i64 %n, 3
  %place = getelementptr i64, ptr @table, i64 %at
  %entry = load i64, ptr %place
  %zero = getelementptr i64, ptr @zeros, i64 %n
  %before = load i64, ptr %zero
  store i64 %entry, ptr %zero
  %half = call i64 @half(i64 %n, i64 %which)
  %a = add i64 %half, %entry
  %b = add i64 %a, %before
  ret i64 %b
}
"""
# Functions of the C library, of which one is called twice; and one of nobody.
OTHERS = """
declare double @cbrt(double)
declare i64 @labs(i64)
define i64 @run(i64 %n, i64 %which) {
  %x = sitofp i64 %n to double
  %y = call double @cbrt(double %x)
  %i = fptosi double %y to i64
  %less = sub i64 0, %i
  %more = call i64 @labs(i64 %less)
  %z = call double @cbrt(double %y)
  %j = fptosi double %z to i64
  %shifted = mul i64 %j, 1000
  %sum = add i64 %more, %shifted
  ret i64 %sum
}
"""
NOBODY = """
declare i64 @wasm2xformer_nobody(i64)
define i64 @run(i64 %n, i64 %which) {
  %i = call i64 @wasm2xformer_nobody(i64 %n)
  %j = add i64 %i, 1
  ret i64 %j
}
"""
# What LLVM makes a call of.
ZEROS = """
define i64 @run(ptr %place, i64 %count) {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %at = getelementptr i64, ptr %place, i64 %i
  store i64 0, ptr %at
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %loop, label %end
end:
  ret i64 %next
}
"""
RUN = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
COMPILERS = [
    jit.compile_object,
    jit.compile_lightly,
    jit.compile_optimised,
    lambda text: jit.compile_object(text, quick=True),
]


def results(memory: jit.CodeMemory) -> list[int]:
    run = RUN(memory.function("run"))
    return [run(n, which) for which in range(6) for n in (0, 3, 999)]


@pytest.mark.parametrize("compiler", COMPILERS)
def test_as_llvm_loads_it(monkeypatch: pytest.MonkeyPatch, compiler) -> None:
    own = jit.CodeMemory(compiler(CODE))
    assert isinstance(own._memory, elf.ObjectMemory) == HERE
    with monkeypatch.context() as elsewhere:  # where constants are not taken to be near, either
        elsewhere.setattr(jit, "known_platform", lambda: False)
        other = jit.CodeMemory(compiler(CODE))
    assert not isinstance(other._memory, elf.ObjectMemory)
    assert results(own) == results(other)
    counts = [ctypes.c_int64.from_address(memory.variable("count")).value for memory in (own, other)]
    assert counts == [5 + 6 * 1002] * 2
    assert own.function("nobody") == other.function("nobody") == 0


def test_what_is_executed_is_not_written() -> None:
    memory = jit.CodeMemory(jit.compile_object(CODE))
    if isinstance(memory._memory, elf.ObjectMemory):
        assert _rights(memory.function("run")) == "r-xp" and _rights(memory.variable("count")) == "rw-p"
    assert results(memory)[0] == 10**10 + 10


def _rights(address: int) -> str:
    """Of the page at the address."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        places, rights, *_ = line.split()
        first, last = (int(place, 16) for place in places.split("-"))
        if first <= address < last:
            return rights
    raise AssertionError("no page")


@pytest.mark.parametrize("compiler", COMPILERS)
def test_functions_of_the_c_library(compiler) -> None:
    memory = jit.CodeMemory(compiler(OTHERS))
    assert [RUN(memory.function("run"))(n, 0) for n in (1001, -1001, 10**9 + 7)] == [2010, -1990, 11000]


def test_loops_that_llvm_makes_calls_of() -> None:
    """Code near its constants that calls what may be far: LLVM would put them anywhere, and end the process where that is
    too far."""
    code = jit.compile_optimised(ZEROS)
    assert not HERE or b"memset" in code
    numbers = (ctypes.c_int64 * 1000)(*range(1000))
    assert RUN(jit.CodeMemory(code).function("run"))(ctypes.addressof(numbers), 990) == 990
    assert list(numbers) == [0] * 990 + list(range(990, 1000))


@pytest.mark.skipif(not HERE, reason="what LLVM loads elsewhere, it looks for itself")
def test_a_function_that_nobody_has() -> None:
    with pytest.raises(elf.Unknown, match="calls 'wasm2xformer_nobody', which nobody has; try the torch engine"):
        jit.CodeMemory(jit.compile_object(NOBODY))


def test_other_files_are_refused() -> None:
    """Also a relocation of another type."""
    code = jit.compile_object(CODE)
    changed = _with_other_relocations(code) if HERE else code
    for file in (b"", b"\x7fELF", code[:18] + b"\xb7\0" + code[20:], b"\xcf\xfa\xed\xfe" + code[4:], changed):
        with pytest.raises(elf.Unknown):
            elf.ObjectMemory(file)


def _with_other_relocations(code: bytes) -> bytes:
    file = elf._File(code)
    changed = bytearray(code)
    for section in file._sections[file._sections["type"] == elf._RELOCATIONS]:
        if int(section["info"]) in file._places:
            at = int(section["offset"]) + 8  # of the first one's type
            changed[at : at + 4] = (37).to_bytes(4, "little")
    return bytes(changed)


FROM_THE_CACHE = """
import sys
import wasm2xformer as w2x
from pathlib import Path
vm = w2x.Instance(w2x.load(sys.argv[1]))
unneeded = ("llvmlite", "platformdirs", "torch", "numpy.ma", "random", "tempfile", "wasm2xformer.runtime.fast.layout")
libraries = [name for name in unneeded if name in sys.modules]
print(vm.invoke("double", 21).values[0], *libraries)
"""


def test_code_from_the_cache_takes_no_llvm(tmp_path: Path) -> None:
    text = '(module (func (export "double") (param i32) (result i32) (i32.add (local.get 0) (local.get 0))))'
    w2x.compile(text).save(tmp_path / "double.safetensors")
    environment = {**os.environ, "WASM2XFORMER_CACHE": str(tmp_path), "WASM2XFORMER_CODE": ""}
    command = [sys.executable, "-c", FROM_THE_CACHE, str(tmp_path / "double.safetensors")]
    first, second = (
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout for _ in range(2)
    )
    assert first.split()[:2] == ["42", "llvmlite"]
    assert second.split() == ["42"] if HERE else second.split()[0] == "42"
