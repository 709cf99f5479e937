"""Modules with what WebAssembly 3.0 added, by a binaryen that knows it: exceptions, tail calls, references, atomics, vectors.

`make binaryen` installs it from npm; the one of a Linux distribution may be too old. What the modules import is made to measure.
"""

from __future__ import annotations

import random
from pathlib import Path

from wasm2xformer import CompileError
from wasm2xformer.compiler.format.types import ABSTRACT, OBJECTS, RefType, accepts_null, general, is_reference, passed
from wasm2xformer.compiler.link.link import link
from wasm2xformer.compiler.wasm.module import GlobalType, Import, Module
from wasm2xformer.compiler.wasm.source import load

from .case import Call, Case, argument
from .ttf import RESET, run_wasm_opt

PROGRAM = Path(__file__).resolve().parents[2] / "build" / "binaryen" / "node_modules" / ".bin" / "wasm-opt"
FEATURES = (
    "sign-ext threads mutable-globals nontrapping-float-to-int simd bulk-memory bulk-memory-opt call-indirect-overlong "
    "exception-handling tail-call reference-types multivalue extended-const memory64 multimemory relaxed-simd"
)
FLAGS = ["--mvp-features", *(f"--enable-{f}" for f in FEATURES.split())]
SUPPORT, GIVEN = "fuzzing-support", "__fuzz_import"
# A host has these; what it would do with the program's own functions, it does not do.
HOOKS = """
  (tag $w (export "wasmtag") (param i32)) (tag $j (export "jstag") (param externref))
  (func (export "throw") (param i32)
    (if (i32.eqz (local.get 0)) (then (throw $j (ref.null extern)))) (throw $w (local.get 0)))
  (func (export "table-get") (param i32) (result funcref) (ref.null func))
  (func (export "table-set") (param i32 funcref))
  (func (export "call-export") (param i32 i32))
  (func (export "call-export-catch") (param i32) (result i32) (i32.const 1))
  (func (export "call-ref") (param funcref i32))
  (func (export "call-ref-catch") (param funcref) (result i32) (ref.is_null (local.get 0)))
  (func (export "sleep") (param i32 i32) (result i32) (local.get 1))"""
_LOGGED = ("i32", "i64", "f32", "f64", "v128", "funcref", "externref", "exnref")
_OBJECTS = ("anyref", "eqref", "i31ref", "structref", "arrayref", "nullref", "nullfuncref", "nullexternref", "nullexnref")
LOGS = " ".join(f'(func (export "log-{t}") (param {t}))' for t in (*_LOGGED, *_OBJECTS))
CALLS = 2
OUTSIDE = ("i32", "i64", "f32", "f64", "v128", "externref", "funcref", *OBJECTS)  # what a caller can pass and take
SIZES = (600, 1500, 4000)  # of the random bytes


def ttf3(seed: int) -> Case:
    """The exports of one module that take and give what a caller has."""
    return _case(random.Random(f"ttf3 {seed}"), [*FLAGS, *["--enable-gc"] * (seed % 2)])


def ttf_gc(seed: int) -> Case:
    """The same with structs, arrays and casts, every second one without vectors."""
    flags = FLAGS if seed % 2 else [f for f in FLAGS if "simd" not in f]
    return _case(random.Random(f"ttf_gc {seed}"), [*flags, "--enable-gc"])


def _case(rng: random.Random, flags: list[str]) -> Case:
    wasm = run_wasm_opt([str(PROGRAM)], flags, rng, SIZES)
    module = load(wasm).module
    libraries = {SUPPORT: f"(module {HOOKS} {LOGS})"}
    if any(_unknown(i) for i in module.imports if i.module == GIVEN):
        return Case(wasm, (), (), libraries)
    if given := [i for i in module.imports if i.module == GIVEN]:
        libraries[GIVEN] = f"(module {' '.join(map(_global, given, [module] * len(given)))})"
    loaded = {name: load(text).module for name, text in libraries.items()}
    case = Case(wasm, (), (), libraries)
    exports, calls = [], []
    for export in module.exports:
        if export.kind != "func":
            continue
        type_ = module.functions[export.index].type
        params = {general(t) if accepts_null(t) else passed(t) for t in type_.params}
        if {*params, *map(general, type_.results)} - {*OUTSIDE}:
            continue
        try:
            link(module, loaded, [export.name])
        except CompileError as error:
            case.refused[error.reasons[0].message] += 1
            continue
        exports.append(export.name)
        for _ in range(CALLS if type_.params else 1):
            if export.name != RESET:
                calls += [Call(RESET)] if any(e.name == RESET for e in module.exports) else []
                calls.append(Call(export.name, tuple(_argument(rng, t) for t in type_.params)))
    return Case(wasm, tuple(calls), tuple(exports), libraries, case.refused)


def _argument(rng: random.Random, type_: str) -> int | None:
    type_ = general(type_)
    if type_ in ("anyref", "eqref", "i31ref"):
        return rng.choice((None, 0, -1, rng.randrange(1000)))
    if type_ in OBJECTS:
        return None
    if type_ == "externref":
        return rng.choice((None, 0, rng.randrange(1000)))
    return None if type_ == "funcref" else argument(rng, type_)


def _global(given: Import, module: Module) -> str:
    index = [i for i in module.imports if i.kind == "global"].index(given)
    type_ = module.globals[index].type
    zero = {"v128": "(v128.const i64x2 3 4)"}.get(type_.type, f"({type_.type}.const 5)")
    if is_reference(type_.type):
        plain = general(type_.type).removesuffix("ref")
        never = isinstance(type_.type, RefType) and not type_.type.nullable
        zero = _CERTAIN[plain] if never else f"(ref.null {plain})"
    shown = f"(mut {type_.type})" if type_.mutable else type_.type
    return f'(global (export "{given.name}") {shown} {zero})'


_NUMBER = "(ref.i31 (i32.const 7))"
# Values of types without null, as far as there are any without other definitions.
_CERTAIN = {"extern": f"(extern.convert_any {_NUMBER})", "any": _NUMBER, "eq": _NUMBER, "i31": _NUMBER}


def _unknown(given: Import) -> bool:
    """Whether nothing here can be what the import asks for."""
    type_ = given.desc.type if isinstance(given.desc, GlobalType) else ""
    return isinstance(type_, RefType) and (type_.to not in ABSTRACT or not (type_.nullable or type_.to in _CERTAIN))
