"""Runs the measurements, one process each, and puts the figures together."""

from __future__ import annotations

import json
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .cases import BenchCase
from .checks import LONG
from .request import Request

# The dense engines take milliseconds for a token; so many are enough to see how many.
TORCH_TOKENS = 200
# An interpreter in Python is given up after so many seconds.
PYWASM_SECONDS = 120.0
# Steps from which on compile time is mostly the program's.
LONG_PROGRAM = 500
# Where this environment variable is set, Python compiles its sources at each start.
NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
# How the reason begins when a measurement ended with an error of ours.
FAILURE = "failed: "

Row = dict[str, Any]


@dataclass(frozen=True)
class BenchOptions:
    """levels, engines: what is measured. repeat: medians of so many. longest: tokens of the trace on which scaling is
    measured, 0 for none. others: measure wasmtime, wasm3 and pywasm too. max_tokens: of an invocation, None for all. device: of
    torch. memory_mib: at which a measurement is given up. tokens_only: no time is measured, so that a program is compiled and run
    once at each level, by the fast engine; engines, repeat, longest and others say nothing then. checks: measure what verifying
    and replaying take, too."""

    levels: Sequence[int] = (0, 1)
    engines: Sequence[str] = ("fast", "torch")
    repeat: int = 3
    longest: int = 10_000_000
    others: bool = True
    max_tokens: int | None = None
    device: str | None = None
    memory_mib: int | None = None
    tokens_only: bool = False
    checks: bool = False


def failures(found: dict[str, Any]) -> list[str]:
    """Reasons of the measurements that ended with an error."""
    rows = [row for part in ("decode", "start", "others", "checks", "scaling") for row in found[part]]
    reasons = [*(row.get("refused", "") for row in rows), *found["refused"].values()]
    return [reason for reason in reasons if reason.startswith(FAILURE)]


def bench(
    cases: Sequence[BenchCase], options: BenchOptions, progress: Callable[[str], None] = lambda text: None
) -> dict[str, Any]:
    """All figures: {"decode": rows, "start": rows, "others": rows, "checks": rows, "scaling": rows, "refused": {...}}.

    progress: called with what is measured next.
    """
    found: dict[str, Any] = {"decode": [], "start": [], "others": [], "checks": [], "scaling": [], "refused": {}}
    for case in cases:
        measured = _case(case, options, progress)
        if isinstance(measured, str):
            found["refused"][case.id] = measured
            continue
        for part, rows in measured.items():
            found[part] += rows
    if options.longest and not options.tokens_only:
        progress(f"scaling up to {options.longest:,} tokens")
        found["scaling"] = _scaling(options.longest)
    return found


def _case(case: BenchCase, options: BenchOptions, progress: Callable[[str], None]) -> dict[str, list[Row]] | str:
    """The rows of one case, or why there are none."""
    if options.tokens_only:
        return _counted(case, options, progress)
    request = Request(
        str(case.program), case.export, case.args, case.world, case.writes, case.options, options.repeat,
        limit=options.max_tokens, memory_mib=options.memory_mib,
    )  # fmt: skip
    name: Row = {"program": case.id, "invocation": case.invocation}
    decoded, started, others, checks = [], [], [], []
    instructions = None
    with tempfile.TemporaryDirectory() as folder:
        for level in options.levels:
            progress(f"{case.id}: compiling at -O{level}")
            chosen = replace(case.options, opt_level=level, exports=[case.export])
            run = replace(request, model=str(Path(folder) / f"{level}.safetensors"), options=chosen)
            compiled = _measure("compile", run)
            if "refused" in compiled:
                return compiled["refused"]
            if instructions is None:
                instructions = case.instructions()
            for engine in options.engines:
                progress(f"{case.id}: {engine} at -O{level}")
                device = None if engine == "fast" else options.device
                row = _decode(replace(run, engine=engine, device=device), instructions)
                decoded.append(name | {"level": level, "engine": engine} | row)
            progress(f"{case.id}: first token at -O{level}")
            started.append(name | {"level": level} | _start(run, compiled))
        if options.others:
            progress(f"{case.id}: wasm3, wasmtime and pywasm")
            others.append(name | {"level": level} | _others(run, instructions or 0))
        if options.checks:
            progress(f"{case.id}: verify and --replay")
            checks.append(name | {"level": level} | _checks(run))
    return {"decode": decoded, "start": started, "others": others, "checks": checks}


def _counted(case: BenchCase, options: BenchOptions, progress: Callable[[str], None]) -> dict[str, list[Row]] | str:
    """The rows of one case without any time."""
    name: Row = {"program": case.id, "invocation": case.invocation}
    rows = []
    instructions = None
    for level in options.levels:
        progress(f"{case.id}: tokens at -O{level}")
        chosen = replace(case.options, opt_level=level, exports=[case.export])
        request = Request(
            str(case.program), case.export, case.args, case.world, case.writes, chosen,
            limit=options.max_tokens, memory_mib=options.memory_mib,
        )  # fmt: skip
        found = _measure("tokens", request)
        if "refused" in found:
            return found["refused"]
        if instructions is None:
            instructions = case.instructions()
        row: Row = {"tokens": found["tokens"], "seconds": None, "tokens_per_second": None, "peak_mib": found["peak"],
                    "by_chains": None, "instructions_per_second": None}  # fmt: skip
        rows.append(name | {"level": level, "engine": "fast"} | row | _per_instruction(found, instructions))
    return {"decode": rows}


def _per_instruction(found: Row, instructions: int) -> Row:
    whole = found["steps"] > 0  # a part of a trace says nothing about the instructions
    return {
        "steps": found["steps"] if whole else None,
        "instructions": instructions,
        "tokens_per_instruction": found["tokens"] / instructions if whole and instructions else None,
    }


def _decode(request: Request, instructions: int) -> Row:
    if request.engine != "fast":
        request = replace(request, limit=min(request.limit or TORCH_TOKENS, TORCH_TOKENS))
    if request.engine == "fast":
        _measure("warm", request)
    found = _measure("decode", request)
    if "refused" in found:
        return found
    seconds, tokens = statistics.median(found["seconds"]), found["tokens"]
    row: Row = {"tokens": tokens, "seconds": seconds, "tokens_per_second": tokens / seconds, "peak_mib": found["peak"],
                "by_chains": found["by_chains"]}  # fmt: skip
    return row | _per_instruction(found, instructions) | {
        "instructions_per_second": instructions / seconds if found["steps"] else None,
    }


def _start(request: Request, compiled: Row) -> Row:
    """Compilation, and the time from starting a process to its first token: with nothing cached, then again."""
    seconds, steps = statistics.median(compiled["seconds"]), compiled["steps"]
    with _empty_cache() as environment:
        if environment.pop(NO_BYTECODE, ""):  # which an installed package has: made now, by a run that nobody measures
            environment["PYTHONPYCACHEPREFIX"] = environment["WASM2XFORMER_CACHE"] + "/bytecode"
            _first_token(request, environment | {"WASM2XFORMER_CACHE": ""})
        cold, cached = (_first_token(request, environment) for _ in range(2))
    return {
        "steps": steps, "layers": compiled["layers"], "heads": compiled["heads"],
        "neurons": compiled["neurons"], "prefix": compiled["prefix"], "compile_seconds": seconds,
        # Every program pays for the machine; short ones pay for little else.
        "compile_seconds_per_2000_steps": seconds * 2000 / steps if steps >= LONG_PROGRAM else None,
        "first_token_cold": cold, "first_token_cached": cached,
    }  # fmt: skip


def _others(request: Request, instructions: int) -> Row:
    """Processor seconds of the call, medians of turns that were taken one after the other; pywasm's once. "notes": why somebody
    has none."""
    turns, interpreted = _measure("compare", request), _measure("interpreted", request, PYWASM_SECONDS)
    notes: dict[str, str] = dict(turns["reasons"]) if "reasons" in turns else {"fast": turns["refused"]}
    if "refused" in interpreted:
        notes["pywasm"] = interpreted["refused"]
    times: dict[str, list[float]] = {**turns.get("seconds", {}), "pywasm": interpreted.get("seconds", [])}
    found: Row = {
        f"{name}_seconds": statistics.median(times[name]) if times.get(name) else None
        for name in ("fast", "wasm3", "wasmtime", "pywasm")
    }
    pairs = list(zip(times.get("fast", ()), times.get("wasm3", ()), strict=False))
    ratio = statistics.median(ours / theirs for ours, theirs in pairs) if all(w for _, w in pairs) and pairs else None
    return {"instructions": instructions, **found, "fast_by_wasm3": ratio, "notes": notes}


def _checks(request: Request) -> Row:
    """Processor seconds of the call alone and verified, medians of turns, and before that of the check of all functions' steps;
    memory that verifying takes; tokens that a replay confirms."""
    _measure("prepare", request)
    found = _measure("check", request)
    if "refused" in found:
        return found
    pairs = list(zip(found["invoke"], found["verify"], strict=True))
    long = found["bytes"] is not None and found["steps"] >= LONG
    return {
        "steps": found["steps"], "tokens": found["tokens"], "program_seconds": statistics.median(found["program"]),
        "invoke_seconds": statistics.median(found["invoke"]), "verify_seconds": statistics.median(found["verify"]),
        "verify_by_invoke": statistics.median(verified / alone for alone, verified in pairs),
        "bytes_per_step": found["bytes"] / found["steps"] if long else None,
        "replayed_per_second": found["tokens"] / found["replay"] if found["replay"] else None,
    }  # fmt: skip


def _scaling(longest: int) -> list[Row]:
    """Time per token in the second half of each trace length 1e4, 1e5, ... of one growing trace."""
    _measure("warm", Request())
    found = _measure("scaling", Request(longest=longest))
    points = [(0, 0.0, 0.0), *(tuple(p) for p in found.get("points", ()))]
    lengths, length = [], 10_000
    while length <= longest:
        lengths.append(length)
        length *= 10
    if lengths and lengths[-1] < longest:
        lengths.append(longest)
    if "refused" in found:
        return [{"tokens": longest, "refused": found["refused"]}]
    return [
        {
            "tokens": length,
            "nanoseconds_per_token": (_at(points, length) - _at(points, length / 2)) / (length / 2) * 1e9,
            "peak_mib": next(memory for tokens, _, memory in points if tokens >= length),
        }
        for length in lengths
    ]


def _at(points: Sequence[tuple[int, float, float]], tokens: float) -> float:
    """Seconds at which so many tokens were there, between two looks in proportion."""
    for (n0, t0, _), (n1, t1, _) in zip(points, points[1:]):
        if n1 >= tokens:
            return t0 + (t1 - t0) * (tokens - n0) / (n1 - n0)
    return points[-1][1]


@contextmanager
def _empty_cache() -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        yield {**os.environ, "WASM2XFORMER_CACHE": folder}


def _first_token(request: Request, environment: dict[str, str]) -> float | None:
    """Seconds from the start of a process to its end, right after the first token."""
    start = time.perf_counter()
    found = _measure("first", request, environment=environment)
    return None if "refused" in found else time.perf_counter() - start


def _measure(
    measure: str, request: Request, timeout: float | None = None, environment: dict[str, str] | None = None
) -> dict[str, Any]:
    """The answer of a fresh process; its last words as the reason of a refusal when it fails."""
    command = [sys.executable, "-m", "wasm2xformer.runtime.bench.measure"]
    # One core: what the dense engine's matrix products would spread over several is not comparable.
    environment = (environment or dict(os.environ)) | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    environment.setdefault("WASM2XFORMER_CHAINS", "ready")  # none are made while something is measured
    data = pickle.dumps((measure, request))
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=timeout, env=environment)
    except subprocess.TimeoutExpired:
        return {"refused": f"more than {timeout:.0f} s"}
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip() or f"ended with code {done.returncode}"
        return {"refused": f"{FAILURE}{words.splitlines()[-1]}"}
    return json.loads(done.stdout)
