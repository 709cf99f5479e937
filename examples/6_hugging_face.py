"""A program as a folder that the stock classes of transformers load: generate() runs it. Nothing of this project is needed then.

Needs the package transformers: pip install 'wasm2xformer[hf]'
"""

import tempfile
from pathlib import Path

import wasm2xformer as w2x

PROGRAM = """
(module (func (export "gcd") (param $a i32) (param $b i32) (result i32) (local $t i32)
  (block $done (loop $next
    (br_if $done (i32.eqz (local.get $b)))
    (local.set $t (i32.rem_u (local.get $a) (local.get $b)))
    (local.set $a (local.get $b))
    (local.set $b (local.get $t))
    (br $next)))
  (local.get $a)))
"""

folder = Path(tempfile.mkdtemp()) / "gcd"
w2x.save_folder(w2x.compile(PROGRAM), folder)  # as `wasm2xformer gcd.wat -o gcd/` does
print(", ".join(sorted(path.name for path in folder.iterdir())))

# From here on it is transformers alone.
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline  # noqa: E402

tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype="float64")
print(
    f"{type(model).__name__}, {model.config.num_hidden_layers} layers, width {model.config.hidden_size}, {model.dtype}"
)

prompt = tokenizer("I.0 D0.48 D0.18", return_tensors="pt")  # the prefix is put in front
tokens = model.generate(**prompt)[0]
print(tokenizer.decode(tokens[prompt.input_ids.shape[1] :]))

# A message is a call, the answer is what the model decodes: its last value is the result, 252.
chat = pipeline("text-generation", model=model, tokenizer=tokenizer)([{"role": "user", "content": "gcd 3528 3780"}])
print(chat[0]["generated_text"][-1]["content"])
