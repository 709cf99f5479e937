"""The examples with libraries that read the folder, which are not installed for the tests: `make hf` runs them."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_examples import ELSEWHERE, run_example

PACKAGES = {
    "7_transformer_lens.py": "transformer_lens",
    "8_nnsight.py": "nnsight",
    "9_onnx_runtime.py": "onnxruntime",
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_example(name: str, tmp_path: Path):
    pytest.importorskip(PACKAGES[name])
    run_example(name, tmp_path, ELSEWHERE[name])
