"""TransformerLens reads the same folder: which position a head attends to, and what the residual stream holds, by hook.

Needs transformer-lens 4: pip install 'wasm2xformer[hf]' 'transformer-lens>=4.3'
"""

import json
import tempfile
from pathlib import Path

import torch
from transformer_lens.model_bridge.sources import build_bridge_from_module
from transformers import AutoModelForCausalLM, AutoTokenizer

import wasm2xformer as w2x

PROGRAM = '(module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))'

folder = Path(tempfile.mkdtemp()) / "add"
w2x.save_folder(w2x.compile(PROGRAM), folder)

tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
tokens = model.generate(**tokenizer("I.0 D0.3 D1.1 D0.5", return_tensors="pt"))

# The bridge replaces parts of the model it is given, so everything else comes before.
bridge = build_bridge_from_module(model, "LlamaForCausalLM", hf_config=model.config, dtype=torch.float64)
with torch.no_grad():
    logits, cache = bridge.run_with_cache(tokens)
names = tokenizer.convert_ids_to_tokens(tokens[0])
decoded = len(names) - len(tokenizer("I.0 D0.3 D1.1 D0.5").input_ids)
same = logits[0, -decoded - 1 : -1].argmax(-1) == tokens[0, -decoded:]
print(f"{' '.join(names[-decoded:])}: each the argmax of TransformerLens' logits: {bool(same.all())}")

# Which token each head looked at, where the model wrote the first digit of the sum. Names come from wasm2xformer.json.
layers = json.loads((folder / "wasm2xformer.json").read_text())["checkpoint"]["names"]["layers"]
position = names.index("I.0") + 4
for index, layer in enumerate(layers):
    pattern = cache[f"blocks.{index}.attn.hook_pattern"][0, :, position]
    for head, name in enumerate(layer["heads"]):
        if "operand" in name:
            at = int(pattern[head].argmax())
            print(
                f"layer {index}, head {head} ({name.split(' -> ')[0]}) looks at {names[at]}: weight {pattern[head, at]:g}"
            )
