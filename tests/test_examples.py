"""Every script in examples/ runs and prints what it promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"

# Lines, or parts of lines, that the output must hold in this order.
PRINTED = {
    "1_compile_and_run.py": [
        " layers, ",
        "fib(10) = 55: ",
        "D0.55 H",
        "add_to_total(5) = 5\nadd_to_total(7) = 12\nadd_to_total(-2) = 10\n",
        "divide(1, 0) traps: integer divide by zero\n",
    ],
    "2_fibonacci_by_hand.py": [
        "layer 0: heads ['relative.1 -> digit before']",
        "0 1 then 1 2 3 5 8 3 1 4 5 9 4 3 7 0 7 7 4 1 5 6",
        "and again after 60 digits: True\n",
    ],
    "3_associative_memory.py": ["?3 -> v9\n", "?50 -> v1\n", "?99 -> v0\n", "?4 -> none\n"],
    "4_verify_and_corrupt.py": [
        "sum_of_squares(100) = 338350: ",
        "difference: None\n",
        "one product of two bytes",
        "value differs at sum_of_squares+0x38 i32.add\n  expected  10000 (0x2710)\n",
        "  tokens    I.0 D0.100 ",
    ],
    "5_read_the_machine.py": ["uniform -> ip.sum.mean", "I.0 ", "i32.add", "br_if 0", "H "],
    "10_experts.py": [
        "  15 + 7 = 22    ",
        "  sum(1, 1000) = 500500    ",
        "  sort([3, 1, 2]) = [1, 2, 3]    ",
        "  0.1 + 0.2 = 0.30000000000000004    ",
        "difference: None\n",
        "refused: tom has 5 apples",
        "refused: 1 + 2 + 3: 3 numbers",
        "refused: tell me 3 ",
    ],
    "11_circuit_discovery.py": [
        "9 edges differ: input->a8.h0<v>, a8.h0->m8, ",
        "softened: 10 of 10 tokens right, ",
        "as it is, EAP       AUC 0.611",
        "softened, EAP       AUC 1.000",
        "nodes by patching: a8.h0, m8, m9, m14, a16.h0, m16\n",
    ],
    "6_hugging_face.py": [
        "README.md, config.json, generation_config.json, model.safetensors, tokenizer.json, ",
        "LlamaForCausalLM, ",
        " S0.2 D0.12 N S0.1 D0.6 J.2 S0.2 D0.0 J.1 D0.6 J.4 D0.6 H\n",
        " D0.252\n",
    ],
}
# With packages that are not installed for the tests: `make hf` runs these.
ELSEWHERE = {
    "7_transformer_lens.py": [
        "J.1 D1.1 D0.8 J.0 D1.1 D0.8 H: each the argmax of TransformerLens' logits: True\n",
        " looks at D0.3: weight 1\n",
    ],
    "8_nnsight.py": ["J.1 D0.8 J.0 D0.8 H\n", "the same tokens in nnsight: True\n"],
    "9_onnx_runtime.py": [
        "ONNX Runtime, float64: J.1 D1.1 D0.8 J.0 D1.1 D0.8 H\n",
        "torch.float64: J.1 D1.1 D0.8 J.0 D1.1 D0.8 H\n",
    ],
}


@pytest.mark.parametrize("name", PRINTED)
def test_example(name: str, tmp_path: Path):
    run_example(name, tmp_path, PRINTED[name])


def run_example(name: str, tmp_path: Path, parts: list[str]) -> None:
    done = subprocess.run([sys.executable, EXAMPLES / name], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    rest = done.stdout
    for part in parts:
        assert part in rest, f"{part!r} is not in\n{rest}"
        rest = rest[rest.index(part) + len(part) :]


def test_every_example_is_run():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*PRINTED, *ELSEWHERE}
