"""The same folder, exported to ONNX, decodes the same tokens in ONNX Runtime, in float64.

Needs onnxruntime, onnx and onnxscript: pip install 'wasm2xformer[hf]' onnxruntime onnx onnxscript
"""

import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import wasm2xformer as w2x

PROGRAM = '(module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))'


class Logits(torch.nn.Module):
    """Ids [1, n] -> logits [1, n, V], without a cache."""

    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=ids, use_cache=False).logits


folder = Path(tempfile.mkdtemp()) / "add"
w2x.save_folder(w2x.compile(PROGRAM), folder)
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()
prompt = tokenizer("I.0 D0.3 D1.1 D0.5", return_tensors="pt").input_ids

length = torch.export.Dim("length", min=2, max=2**20)
exported = torch.onnx.export(
    Logits(model), (prompt,), dynamo=True, dynamic_shapes=({1: length},), input_names=["ids"], output_names=["logits"],
    verbose=False,
)  # fmt: skip
exported.save(folder / "model.onnx")

session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
ids = prompt.numpy()
while ids[0, -1] not in model.generation_config.eos_token_id:
    (logits,) = session.run(None, {"ids": ids})
    ids = np.append(ids, logits[:, -1:].argmax(-1), axis=1)
print(f"ONNX Runtime, {logits.dtype}: {tokenizer.decode(ids[0, prompt.shape[1] :])}")
print(f"transformers, {model.dtype}: {tokenizer.decode(model.generate(prompt)[0, prompt.shape[1] :])}")
