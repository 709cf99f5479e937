"""How soft a model may get before its tokens are wrong."""

from __future__ import annotations

from tests.circuits.cases import cases
from wasm2xformer.runtime.circuits.soften import SoftenError, soften, soften_error, soften_for

TEMPERATURES = (1, 16, 64, 128, 256, 512)
ERRORS = (1e-9, 1e-6, 1e-4, 1e-2)


def main() -> None:
    print(f"{'program':<9}{'softened':<20}{'tokens right':>14}{'stream off by':>15}{'logits, relative':>18}")
    for case in cases():
        model = case.model()
        runs = case.runs(model)
        for temperature in TEMPERATURES:
            show(case.name, f"temperature {temperature}", soften_error(model, soften(model, temperature), runs))
        for error in ERRORS:
            show(case.name, f"for these runs {error:g}", soften_error(model, soften_for(model, runs, error), runs))


def show(name: str, how: str, found: SoftenError) -> None:
    right = f"{found.right} of {found.positions}"
    print(f"{name:<9}{how:<20}{right:>14}{found.stream:>15.1e}{found.logits:>18.1e}", flush=True)
