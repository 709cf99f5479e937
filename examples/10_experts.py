"""Free text to a call, a call to its result by a compiled transformer, and every step of it against wasmtime."""

from pathlib import Path

from wasm2xformer.runtime import hybrid

experts = hybrid.read_experts(Path(__file__).parent / "experts" / "experts.toml")

texts = ["Jenny has 15 apples and gets 7 more", "What is the sum of the numbers from 1 to 1000?", "sort([3, 1, 2])", "0.1 + 0.2"]
for text in texts:
    call = hybrid.rewrite(text)
    answer = experts.answer(call)
    print(f"{text}\n  {call.text} {answer.text}    {answer.tokens:,} tokens decoded")

checked = answer.verify()
print(f"verified: {checked.steps:,} steps, {checked.compared:,} records of wasmtime, difference: {checked.difference or None}")

for text in ("Tom has 5 apples and Anna has 3 pears", "1 + 2 + 3", "Tell me 3 plus 3!"):
    try:
        hybrid.rewrite(text)
    except hybrid.NotUnderstood as reason:
        print("refused:", reason)
