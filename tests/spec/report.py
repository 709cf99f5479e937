"""Counts of outcomes: the table, JSON, and the list of expected refusals."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from .run import FAILED, PASSED, REFUSED, SKIPPED, Outcome

Results = Mapping[str, Sequence[Outcome]]  # by script name, without .wast
Refusals = dict[str, dict[str, int]]  # script name -> reason -> number of commands

EXPECTED = Path(__file__).parent / "refused.toml"
_HEADER = """\
# Commands of the specification's scripts that the compiler refuses, by script and reason. `python -m tests.spec` fails
# when what it finds differs from this list either way; `--update` writes it anew.
"""


def refusals(results: Results) -> Refusals:
    """Scripts without refusals are left out."""
    out: Refusals = {}
    for name, outcomes in sorted(results.items()):
        counts = Counter(o.reason for o in outcomes if o.status == REFUSED)
        if counts:
            out[name] = dict(sorted(counts.items()))
    return out


def read_refusals(path: Path = EXPECTED) -> Refusals:
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def write_refusals(found: Refusals, path: Path = EXPECTED) -> None:
    lines = [_HEADER]
    for name, counts in sorted(found.items()):
        lines += [f"[{json.dumps(name)}]", *(f"{json.dumps(r)} = {n}" for r, n in counts.items()), ""]
    path.write_text("\n".join(lines), encoding="utf-8")


def differences(found: Refusals, expected: Refusals, scripts: Sequence[str]) -> list[str]:
    """What of these scripts is refused and should not be, or the other way round."""
    lines = []
    for name in scripts:
        have, want = found.get(name, {}), expected.get(name, {})
        for reason in sorted(have.keys() | want.keys()):
            if have.get(reason, 0) != want.get(reason, 0):
                lines.append(f"{name}: {have.get(reason, 0)} refused, {want.get(reason, 0)} expected: {reason}")
    return lines


def table(results: Results) -> str:
    """One line for each script, the totals, and the reasons for what was refused or skipped."""
    width = max([len(name) for name in results] + [6])
    head = f"{'script':{width}} {PASSED:>8} {FAILED:>8} {REFUSED:>8} {SKIPPED:>8}"
    lines = [head, "-" * len(head)]
    for name, outcomes in sorted(results.items()):
        lines.append(_row(name, width, Counter(o.status for o in outcomes)))
    total = [o for outcomes in results.values() for o in outcomes]
    lines += ["-" * len(head), _row("total", width, Counter(o.status for o in total))]
    for status in (REFUSED, SKIPPED):
        reasons = Counter(o.reason for o in total if o.status == status)
        if reasons:
            lines += ["", f"{status}:", *(f"{n:>8}  {reason}" for reason, n in reasons.most_common())]
    return "\n".join(lines)


def failures(results: Results) -> list[str]:
    return [
        f"{name}.wast:{o.line}: {o.kind}: {o.reason}"
        for name, outcomes in sorted(results.items())
        for o in outcomes
        if o.status == FAILED
    ]


def as_json(results: Results) -> str:
    """By script {status: count, "by_kind": {kind: {status: count}}, "refusals": {reason: count}, "failures": [text]}"""
    out = {}
    for name, outcomes in sorted(results.items()):
        kinds: dict[str, Counter[str]] = {}
        for o in outcomes:
            kinds.setdefault(o.kind, Counter())[o.status] += 1
        out[name] = {
            **{status: sum(k[status] for k in kinds.values()) for status in (PASSED, FAILED, REFUSED, SKIPPED)},
            "by_kind": kinds,
            "refusals": refusals({name: outcomes}).get(name, {}),
            "failures": failures({name: outcomes}),
        }
    return json.dumps(out, indent=1)


def _row(name: str, width: int, counts: Counter[str]) -> str:
    return f"{name:{width}} " + " ".join(f"{counts[s]:>8}" for s in (PASSED, FAILED, REFUSED, SKIPPED))
