"""The tools for mixtures of experts at work: the tables of docs/ground-truth.md. python -m tests.moe_tools [PART ...]

    samples    a small trained mixture read with 50 and with 520 prompts: which conclusions turn around
    probe      where routers' logits come from, of the trained mixture and of compiled programs
    ablation   compiled programs without each of their experts: where they break

Exit code 1 when a compiled program breaks elsewhere than the truth says.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import torch

import wasm2xformer as w2x
from tests.hybrid import small_models
from tests.programs import load_programs
from wasm2xformer import moe
from wasm2xformer.runtime.moe.prompt_sets import CATEGORIES

FEW, MANY = 50, 520
DRAWS = 20
PROGRAMS = ("factorial", "gcd", "power", "sieve", "xorshift")
TOKENS = 120


def rows(table: moe.ResultTable) -> list[dict]:
    names = [c.lstrip("#") for c in table.columns]
    return [dict(zip(names, row)) for row in table.rows]


def show(table: moe.ResultTable) -> None:
    print(f"\n{table.title}\n{' | '.join(table.columns)}")
    for row in table.texts():
        print(" | ".join(map(str, row)))
    print("\n".join(table.notes), flush=True)


def read(model: moe.RoutedModel, count: int, seed: int) -> moe.Study:
    """`count` prompts, the categories in turn."""
    per = -(-count // len(CATEGORIES))
    pairs = moe.built_in(per, seed)
    order = [pairs[c * per + k] for k in range(per) for c in range(len(CATEGORIES))]
    return moe.Study(model, moe.texts(model, order[:count]))


def samples() -> bool:
    """What a reader of values alone would conclude from 50 prompts, and what intervals allow, against 520 prompts."""
    model = moe.RoutedModel(*small_models.trained(small_models.OLMOE, print))
    many, draws = read(model, MANY, 1000), [read(model, FEW, seed) for seed in range(DRAWS)]
    for first_only in (True, False):
        truth = rows(moe.analyze(many, first_only=first_only))
        turned = {"top category": 0, "above 60 %, by value": 0, "above 60 %, by interval": 0, "not used": 0}
        open_ = 0
        for study in draws:
            for few, all_ in zip(rows(moe.analyze(study, first_only=first_only)), truth):
                turned["not used"] += (few["tokens"] == 0) != (all_["tokens"] == 0)
                if "-" in (few["category"], all_["category"]):
                    continue
                turned["top category"] += few["category"] != all_["category"]
                turned["above 60 %, by value"] += (few["of the expert's"].value > 0.6) != (all_["of the expert's"].value > 0.6)
                verdicts = {few["specialist"], all_["specialist"]}
                turned["above 60 %, by interval"] += verdicts == {"yes", "no"}
                open_ += few["specialist"] == "open"
        what = "first choices" if first_only else "all choices"
        print(f"samples: {what}: of {len(truth)} experts, {DRAWS} draws of {FEW} prompts against {MANY} others:")
        for name, count in turned.items():
            print(f"samples:   {name}: {count} of {len(truth) * DRAWS} conclusions turn around")
        print(f"samples:   left open by the interval of {FEW} prompts: {open_}", flush=True)
    show(moe.full_taxonomy(many))
    show(moe.full_taxonomy(draws[0]))
    show(moe.vocab_map(many))
    return True


def probe() -> bool:
    model = moe.RoutedModel(*small_models.trained(small_models.OLMOE, print))
    show(moe.router_probe(read(model, MANY, 0)))
    for name in ("gcd", "sieve"):
        table = moe.router_probe(_study(name))
        found = rows(table)
        print(f"probe: {name}: attention {min(r['attention'].value for r in found):.6f} to "
              f"{max(r['attention'].value for r in found):.6f} of what differs, in {len(found)} layers", flush=True)  # fmt: skip
    return True


def _study(name: str) -> moe.Study:
    program = next(p for p in load_programs() if p.id == name)
    compiled = w2x.compile(program.module())
    model = moe.compiled(compiled)
    call = program.runs[0]
    return moe.Study(model, moe.invocations(model, [(call.export, call.args)], TOKENS))


def ablation() -> bool:
    """Where a program breaks first is a token of the expert that is off, and not before its first one. (A branch that shares
    a row with a step is of that step's expert.)"""
    fine = True
    for name in PROGRAMS:
        study = _study(name)
        if not (study.predictions.best == study.target).all():
            return False
        found = rows(moe.ablate(study))
        broken = [r for r in found if r["first wrong"] != "-"]
        truth = study.prompts[0].truth
        for r in broken:
            fine &= truth[r["first wrong"]] == study.model.expert(r["off"]) and r["first wrong"] >= r["needed first"]
        harmless = [r["off"] for r in found if r["first wrong"] == "-" and r["needed first"] != "-"]
        at_once = sum(r["first wrong"] == r["needed first"] for r in broken)
        print(f"ablation: {name}: {len(study)} tokens, {len(found)} experts: {len(broken)} break it, {at_once} of them at")
        print(f"ablation:   the first token of theirs; needed and harmless: {', '.join(harmless) or 'none'}", flush=True)
    print("ablation: no program breaks elsewhere" if fine else "ablation: WRONG", flush=True)
    return fine


def main(chosen: list[str]) -> int:
    torch.set_num_threads(1)
    parts: dict[str, Callable[[], bool]] = {"samples": samples, "probe": probe, "ablation": ablation}
    fine = True
    for name in chosen or parts:
        began = time.process_time()
        fine &= parts[name]()
        print(f"{name}: {time.process_time() - began:.0f} s of processor time", flush=True)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
