"""`python -m tests.stores [--count N] [--seed S] [--opt-level 0|1|both]`: random instances that share state, against wasmtime.

In each store modules import memories, tables, globals and functions of those before them, which have run; active segments and
start functions may trap. Every step of every call is compared (`VerifiedStore`), and what wasmtime does when it links the modules
itself.
Exit status: 0 no difference, 1 there are some, 2 wrong use.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter

import wasm2xformer as w2x

INSTANCES, ACTIONS = 4, 25
MAX_TOKENS = 20_000
_TYPE = "(param i32) (result i32)"
_SHARED = {"m": "(memory {} 1 3)", "t": "(table {} 6 9 funcref)", "g": "(global $g {} (mut i32) {})"}


def module(rng: random.Random, earlier: list[str]) -> tuple[str, dict[str, str]]:
    """A module's text, and from which of the earlier instances, by name, it imports under which module name.

    All export a memory "m", a table "t" and a global "g", which may be another's, and functions "leaf0" and "leaf1", which may be
    in tables, and "main", which calls through the table."""
    imports, fields, used = [], [], {}
    for name, text in _SHARED.items():
        if earlier and rng.random() < 0.7:
            used[name] = rng.choice(earlier)
            imports.append(text.format(f'(export "{name}") (import "{name}" "{name}")', ""))
        else:
            fields.append(text.format(f'(export "{name}")', f"(i32.const {rng.randrange(100)})"))
    calls = ["leaf0", "leaf1"]
    if earlier and rng.random() < 0.6:
        used["other"] = rng.choice(earlier)
        imports.append(f'(import "other" "leaf{rng.randrange(2)}" (func $other {_TYPE}))')
        calls.append("other")
    for name in ("leaf0", "leaf1"):
        fields.append(f'(func ${name} (export "{name}") {_TYPE} {_statements(rng, [])} {_value(rng)})')
    indirect = f"(call_indirect {_TYPE} {_value(rng)} (i32.const {rng.randrange(7)}))"
    fields.append(f'(func $main (export "main") {_TYPE} {_statements(rng, calls)} {indirect})')
    for _ in range(rng.randrange(3)):
        at = rng.choice((0, 8, 40, 65530, 65536 + 8))
        fields.append(f'(data (i32.const {at}) "{"".join(rng.choice("abcdef") for _ in range(rng.randrange(12)))}")')
    for _ in range(rng.randrange(3)):
        items = " ".join("$" + rng.choice(calls) for _ in range(rng.randrange(1, 4)))
        fields.append(f"(elem (i32.const {rng.choice((0, 1, 3, 4, 6))}) {items})")
    if rng.random() < 0.4:
        fields.append(f"(func $start (drop (call $leaf0 {_value(rng, False)}))) (start $start)")
    rng.shuffle(fields)
    text = " ".join((*imports, '(data $kept "kept")', "(elem declare func $leaf0 $leaf1)", *fields))
    return f"(module {text})", used


def _value(rng: random.Random, inside: bool = True) -> str:
    """An expression of type i32. inside: there is a parameter."""
    leaves = [f"(i32.const {rng.randrange(-3, 70)})", "(global.get $g)", "(memory.size)", "(table.size 0)"]
    leaves += ["(local.get 0)"] * 2 if inside else []
    if rng.random() < 0.5:
        return rng.choice(leaves)
    operation = rng.choice(("add", "sub", "xor", "mul"))
    load = f"(i32.load offset={rng.randrange(60)} (i32.and {rng.choice(leaves)} (i32.const 65535)))"
    return f"(i32.{operation} {rng.choice((*leaves, load))} {rng.choice((*leaves, load))})"


def _statements(rng: random.Random, calls: list[str]) -> str:
    at = f"(i32.const {rng.choice((0, 4, 13, 65531))})"
    possible = [
        lambda: f"(global.set $g {_value(rng)})",
        lambda: f"(i32.store offset={rng.randrange(9)} (i32.and {_value(rng)} (i32.const 255)) {_value(rng)})",
        lambda: f"(i32.store {at} {_value(rng)})",
        lambda: "(drop (memory.grow (i32.const 1)))",
        lambda: "(drop (table.grow (ref.null func) (i32.const 1)))",
        lambda: f"(table.set (i32.const {rng.randrange(7)}) (ref.func $leaf{rng.randrange(2)}))",
        lambda: f"(table.copy (i32.const {rng.randrange(4)}) (i32.const {rng.randrange(4)}) (i32.const 2))",
        lambda: f"(memory.copy {at} (i32.const 2) (i32.const 5))",
        lambda: f"(memory.init $kept {at} (i32.const 0) (i32.const 4))",
        lambda: "(data.drop $kept)",
        lambda: f"(if (i32.eq (local.get 0) (i32.const {rng.randrange(5)})) (then (unreachable)))",
    ]
    possible += [lambda: f"(drop (call ${rng.choice(calls)} {_value(rng)}))"] * 3 if calls else []
    return " ".join(rng.choice(possible)() for _ in range(rng.randrange(1, 4)))


def run(seed: int, opt_level: int, actions: int = ACTIONS) -> Counter[str]:
    """How often what happened in one store. Raises DivergenceError, or whatever else is not to be."""
    rng, store = random.Random(f"stores {seed}"), w2x.VerifiedStore(opt_level=opt_level)
    instances: dict[str, w2x.StoreInstance] = {}
    done: Counter[str] = Counter()
    for number in range(actions):
        new = number == 0 or (rng.random() < 0.25 and len(instances) < INSTANCES)
        what = "instantiations" if new else rng.choice(("calls", "calls", "calls", "writes", "reads"))
        text, used = module(rng, list(instances)) if new or not instances else ("", {})
        try:
            if text:
                made = store.instantiate(text, {k: instances[n] for k, n in used.items()}, max_tokens=MAX_TOKENS)
                instances[f"{number}"] = made
            else:
                _act(rng, what, rng.choice(list(instances.values())))
        except w2x.Trap:
            done["traps"] += 1
        except w2x.Unfinished:
            done["given up"] += 1
        done[what] += 1
    done["steps"] += sum(report.steps for report in store.reports)
    done["shared"] += len({id(store._groups[i.member]) for i in instances.values()}) < len(instances)
    return done


def _act(rng: random.Random, what: str, instance: w2x.StoreInstance) -> None:
    if what == "calls":
        instance.invoke(rng.choice(("leaf0", "leaf1", "main")), rng.randrange(-2, 8), max_tokens=MAX_TOKENS)
    elif what == "writes":
        instance.write_memory(rng.choice((0, 30, 65533)), rng.randbytes(rng.randrange(7)))
    else:
        instance.read_memory(rng.choice((0, 65534)), rng.randrange(5))
        instance.read_global("g")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.stores", description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=10, help="stores (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first (%(default)s)")
    parser.add_argument("--opt-level", choices=("0", "1", "both"), default="both")
    options = parser.parse_args(arguments)
    began, failed, total = time.monotonic(), 0, Counter[str]()
    for seed in range(options.seed, options.seed + options.count):
        for level in (0, 1) if options.opt_level == "both" else (int(options.opt_level),):
            try:
                total += run(seed, level)
            except Exception as error:
                failed += 1
                print(f"seed {seed}, -O{level}: {type(error).__name__}: {error}")
                print(f"repeat with: python -m tests.stores --seed {seed} --count 1 --opt-level {level}")
    print(", ".join(f"{count:,} {what}" for what, count in sorted(total.items())))
    print(f"{failed} stores differ, {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
