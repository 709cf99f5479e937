"""The figures as tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .tables import make_console, print_line, print_table

Row = dict[str, Any]


def print_tables(found: dict[str, Any], tokens_only: bool = False) -> None:
    """What `bench` found, on stdout. tokens_only: no time was measured."""
    console = make_console()
    if found["decode"] and tokens_only:
        print_table(
            console, "tokens per WASM instruction",
            ("program", "invocation", "level", "#tokens", "#WASM instr.", "#tokens/instr."),
            map(_token_cells, found["decode"]),
        )  # fmt: skip
    elif found["decode"]:
        print_table(
            console, "decoding, with the code ready that an earlier run of it has left in the cache",
            ("program", "invocation", "level", "engine", "#tokens", "#WASM instr.", "#tokens/instr.", "#tokens/s",
             "#by chains", "#instr./s", "#peak MiB"),
            map(_decode_cells, found["decode"]),
        )  # fmt: skip
    for line in _summaries(found["decode"]):
        print_line(console, line)
    if found["start"]:
        print_table(
            console, "compiling, and the first token (from the start of the process)",
            ("program", "level", "#steps", "#layers", "#heads", "#neurons", "#prefix", "#compile s", "#s/2,000 steps",
             "#first token s", "#cached s"),
            map(_start_cells, found["start"]),
        )  # fmt: skip
    if found["others"]:
        print_table(
            console, "beside others: processor seconds of the call, one after the other and again",
            ("program", "invocation", "#WASM instr.", "#fast s", "#wasm3 s", "#wasmtime s", "#pywasm s", "#fast/wasm3",
             "#pywasm/fast"),
            map(_others_cells, found["others"]),
        )  # fmt: skip
        for row in found["others"]:
            for name, note in row["notes"].items():
                print_line(console, f"{row['program']}: no {name}: {note}")
    if found["checks"]:
        print_table(
            console, "checking every step: processor seconds of the call, alone and verified, one after the other and again",
            ("program", "invocation", "#steps", "#tokens", "#program s", "#invoke s", "#verify s", "#verify/invoke",
             "#bytes/step", "#replayed tokens/s"),
            map(_check_cells, found["checks"]),
        )  # fmt: skip
        for row in found["checks"]:
            if "refused" in row:
                print_line(console, f"{row['program']}: not verified: {row['refused']}")
    if found["scaling"]:
        rows = [
            (r["tokens"], r["refused"], "-")
            if "refused" in r
            else (r["tokens"], f"{r['nanoseconds_per_token']:.0f}", f"{r['peak_mib']:.0f}")
            for r in found["scaling"]
        ]
        print_table(console, "one growing trace", ("#tokens", "#ns/token", "#peak MiB"), rows)
    for program, reason in found["refused"].items():
        print_line(console, f"{program}: refused: {reason}")
    for row in found["decode"]:
        if "refused" in row:
            print_line(console, f"{row['program']} -O{row['level']} {row['engine']}: {row['refused']}")


def _token_cells(row: Row) -> Sequence[Any]:
    return (
        row["program"], row["invocation"], f"-O{row['level']}", row["tokens"], row["instructions"],
        _number(row["tokens_per_instruction"], ".3f"),
    )  # fmt: skip


def _decode_cells(row: Row) -> Sequence[Any]:
    first = (row["program"], row["invocation"], f"-O{row['level']}", row["engine"])
    if "refused" in row:
        return (*first, *("-",) * 7)
    return (
        *first, row["tokens"], row["instructions"], _number(row["tokens_per_instruction"], ".2f"),
        _number(row["tokens_per_second"], ",.0f"),
        _number(row["by_chains"] if row["engine"] == "fast" else None, ".0%"),
        _number(row["instructions_per_second"], ",.0f"),
        _number(row["peak_mib"], ".0f"),
    )  # fmt: skip


def _start_cells(row: Row) -> Sequence[Any]:
    return (
        row["program"], f"-O{row['level']}", row["steps"], row["layers"], row["heads"], row["neurons"], row["prefix"],
        *(_number(row[k], ".2f") for k in (
            "compile_seconds", "compile_seconds_per_2000_steps", "first_token_cold", "first_token_cached")),
    )  # fmt: skip


def _others_cells(row: Row) -> Sequence[Any]:
    fast, interpreted = row["fast_seconds"], row["pywasm_seconds"]
    return (
        row["program"], row["invocation"], row["instructions"], _number(fast, ".4f"), _number(row["wasm3_seconds"], ".6f"),
        _number(row["wasmtime_seconds"], ".6f"), _number(interpreted, ".4f"), _number(row["fast_by_wasm3"], ".1f"),
        _number(interpreted / fast if interpreted is not None and fast else None, ".0f"),
    )  # fmt: skip


def _check_cells(row: Row) -> Sequence[Any]:
    first = (row["program"], row["invocation"])
    if "refused" in row:
        return (*first, *("-",) * 8)
    return (
        *first, row["steps"], row["tokens"], _number(row["program_seconds"], ".3f"),
        *(_number(row[k], ".4f") for k in ("invoke_seconds", "verify_seconds")), _number(row["verify_by_invoke"], ".1f"),
        _number(row["bytes_per_step"], ".0f"), _number(row["replayed_per_second"], ",.0f"),
    )  # fmt: skip


def _summaries(rows: Sequence[Row]) -> list[str]:
    """Tokens per executed WASM instruction by level, over everything decoded to its end."""
    lines = []
    for level in dict.fromkeys(row["level"] for row in rows):
        of_level = [
            r for r in rows if r["level"] == level and r["engine"] == "fast" and r.get("tokens_per_instruction")
        ]
        if len(of_level) > 1:
            ratios = [row["tokens_per_instruction"] for row in of_level]
            worst = max(of_level, key=lambda row: row["tokens_per_instruction"])
            mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
            lines.append(
                f"-O{level}: {mean:.3f} tokens per WASM instruction (geometric mean of {len(ratios)}), "
                f"at most {max(ratios):.2f} ({worst['program']})"
            )
    return lines


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
