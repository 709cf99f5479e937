"""nnsight reads the same folder: the residual stream looked at, and changed, while the program runs.

Needs nnsight: pip install 'wasm2xformer[hf]' 'nnsight>=0.8'
"""

import json
import tempfile
from pathlib import Path

import torch
from nnsight import TransformersModel
from transformers import AutoModelForCausalLM, AutoTokenizer

import wasm2xformer as w2x

PROGRAM = '(module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))'

folder = Path(tempfile.mkdtemp()) / "add"
w2x.save_folder(w2x.compile(PROGRAM), folder)

tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
prompt = tokenizer("I.0 D0.3 D0.5", return_tensors="pt").input_ids
tokens = model.generate(prompt)[0]
print(tokenizer.decode(tokens[prompt.shape[1] :]))

watched = TransformersModel(model, tokenizer=tokenizer)
layers = json.loads((folder / "wasm2xformer.json").read_text())["checkpoint"]["names"]["layers"]
last = len(layers) - 1
with watched.trace(tokens[None, :-1]):
    stream = watched.model.layers[last].output.save()
    logits = watched.lm_head.output.save()
chosen = logits[0, prompt.shape[1] - 1 :].argmax(-1)
print("the same tokens in nnsight:", bool((chosen == tokens[prompt.shape[1] :]).all()))
for slot, name in enumerate(layers[last]["slots"]):
    if name in ("id", "digit id"):
        print(f"{name}: {stream[0, prompt.shape[1] :, slot].tolist()}")
