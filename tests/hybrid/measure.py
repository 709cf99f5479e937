"""What docs/hybrid.md shows: each function is one table's figures, printed as lines."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers import LogitsProcessorList

from wasm2xformer.runtime import hybrid
from wasm2xformer.runtime.hybrid import Bypass, GrammarRouter, NativeExpert, parse, train_probe
from wasm2xformer.runtime.hybrid.layers import decoder_layers, padded, states

from . import corpus
from .statistics import median, rate
from .texts import free_texts

LOOPS = {
    "sum(1, 10)": 55, "sum(1, 100)": 5050, "sum(5, 50)": 1265, "sum(1, 1000)": 500500, "sum(-10, 10)": 0,
    "sum(1, 100000)": 5000050000, "sum(1, 1000000)": 500000500000, "product(1, 5)": 120, "product(5, 10)": 151200,
    "factorial(5)": 120, "factorial(20)": 2432902008176640000, "fib(10)": 55, "fib(50)": 12586269025,
    "fib(90)": 2880067194370816120,
    "power(2, 10)": 1024, "power(3, 20)": 3486784401, "power(2, 200)": 2**200,
}  # fmt: skip


def rewriting() -> Iterator[str]:
    texts = free_texts()
    groups = {
        "the report's categories": [t for t in texts if t.category.startswith("report")],
        "our own": [t for t in texts if t.form and not t.category.startswith("report")],
        "to be refused": [t for t in texts if not t.form],
    }
    for name, group in groups.items():
        right = 0
        for text in group:
            try:
                right += hybrid.rewrite(text.text).text == text.form
            except hybrid.NotUnderstood:
                right += not text.form
        yield f"{name}: {right} of {len(group)}"


def loops(experts: hybrid.Experts) -> Iterator[str]:
    right = verified = 0
    for form, result in LOOPS.items():
        answer = experts.answer(parse(f"{form} ="))
        verification = answer.verify()
        right += answer.text == str(result)
        verified += verification.ok
        if form == "sum(1, 1000000)":
            yield (
                f"{form}: {answer.steps:,} steps, {answer.tokens:,} tokens in {answer.seconds:.2f} s; verified "
                f"({verification.compared:,} records) in {verification.seconds:.1f} s"
            )
    yield f"right: {right} of {len(LOOPS)}; verified: {verified}"


def router(model: Any, tokenizer: Any) -> Iterator[str]:
    """Probes on every layer, linear and MLP, on text that they were not trained on."""
    chosen = random.Random(11)
    kept: dict[str, str] = {}
    while len(kept) < 6600:
        one = corpus.sample(chosen)
        kept[one.expression if chosen.random() < 0.7 else f"{one.call} ="] = one.name
        kept[corpus.other_equals(chosen).split("|")[0]] = "none"
    texts = list(kept)
    chosen.shuffle(texts)
    layers = range(len(decoder_layers(model)))
    found = states(model, tokenizer, texts, layers)
    labels = [kept[t] for t in texts]
    # The ends of sentences too, where a probe is not asked, but might be.
    plain = list(dict.fromkeys(corpus.plain(chosen) for _ in range(2000)))[:900]
    plain_states = states(model, tokenizer, plain, layers)
    external = GrammarRouter()
    read = [d.name if (d := external.decide(t).call) else "none" for t in texts[6000:]]
    yield f"grammar: {rate(sum(a == b for a, b in zip(read, labels[6000:])), len(read))}"
    for hidden in (0, 64):
        for k in layers:
            learnt = torch.cat([found[k][:6000], plain_states[k][:400]])
            probe = train_probe(learnt, [*labels[:6000], *["none"] * 400], k, hidden=hidden)
            read = [probe.decide(s)[0] or "none" for s in found[k][6000:]]
            right = sum(a == b for a, b in zip(read, labels[6000:]))
            none = [a for a, b in zip(read, labels[6000:]) if b == "none"]
            alarms, elsewhere = (
                sum(a != "none" for a in none),
                sum(probe.decide(s)[0] is not None for s in plain_states[k][400:]),
            )
            yield (
                f"{'MLP of 64' if hidden else 'linear'}, layer {k}: {rate(right, len(read))}; false alarms at other =: "
                f"{alarms} of {len(none)}; at the end of sentences without =: {elsewhere} of {len(plain) - 400}"
            )


def generated(model: Any, tokenizer: Any, prompt: str, processors: list[Any], limit: int = 60) -> tuple[str, int]:
    """What follows, up to the end of the line, and how many tokens."""
    inputs = padded(tokenizer, [prompt], model.device)
    made = model.generate(
        **inputs, max_new_tokens=limit, do_sample=False, logits_processor=LogitsProcessorList(processors), stop_strings=["\n"],
        tokenizer=tokenizer,
    )  # fmt: skip
    new = made[0, inputs["input_ids"].shape[1] :]
    return tokenizer.decode(new, skip_special_tokens=True), len(new)


def bypass(model: Any, tokenizer: Any, experts: hybrid.Experts, count: int = 100) -> Iterator[str]:
    chosen = random.Random(21)
    made = [corpus.sample(chosen) for _ in range(count)]
    alone = right = same = verified = 0
    with_result, with_own = [], []
    inside = Bypass(model, tokenizer, experts)
    for one in made:
        own, _ = generated(model, tokenizer, one.expression, [])
        alone += own.startswith(f" {one.result}.")
        with inside:
            text, _ = generated(model, tokenizer, one.expression, [inside])
        right += text.startswith(f" {one.result}.")
        typed, _ = generated(model, tokenizer, f"{one.expression} {one.result}", [], 60 - len(str(one.result)) - 1)
        same += text == f" {one.result}{typed}"
        start = len(one.expression) + len(str(one.result)) + 1
        with_result.append(loss(model, tokenizer, one.expression + text, start))
        with_own.append(loss(model, tokenizer, f"{one.expression} {one.result}{one.tail}", start))
    for answer in inside.answers:
        verified += answer.verify().ok
    yield f"the model alone, right: {rate(alone, count)}"
    yield f"triggered: {len(inside.answers)} of {count}; right: {rate(right, count)}; verified step by step: {verified}"
    yield f"goes on as behind a typed result, every token: {same} of {count}"
    yield (
        f"loss per token of what follows, nats: {sum(with_result) / count:.3f} of the model's continuation, "
        f"{sum(with_own) / count:.3f} of the corpus's own"
    )


@torch.no_grad()
def loss(model: Any, tokenizer: Any, text: str, start: int) -> float:
    """Mean over the tokens from `start` on."""
    ids = tokenizer(text, return_tensors="pt").input_ids.to(model.device)
    scores = torch.log_softmax(model(input_ids=ids).logits[0, :-1].double(), -1)
    return float(-scores.gather(1, ids[0, 1:, None])[start - 1 :].mean())


def written_out(chosen: random.Random, count: int = 120) -> list[str]:
    """Calls with their results among other text, as `NativeExpert.install` takes them."""
    shown = []
    for _ in range(count):
        one = corpus.sample(chosen)
        shown += [f"{one.expression} {one.result}{one.tail}", f"{one.call} = {one.result}{one.tail}"]
        shown += [corpus.other_equals(chosen).replace("|", ""), corpus.plain(chosen)]
    return shown


def other_lines(chosen: random.Random, count: int = 60) -> list[str]:
    """Texts without calls."""
    return [f"{corpus.plain(chosen)}\n{corpus.other_equals(chosen).replace('|', '')}" for _ in range(count)]


def native(
    model: Any, tokenizer: Any, experts: hybrid.Experts, count: int = 100, rows: Sequence[bool] = (False, True)
) -> Iterator[str]:
    """rows: whether the router's row is trained."""
    chosen = random.Random(31)
    shown = written_out(chosen)
    other = padded(tokenizer, other_lines(chosen), model.device)
    made = [corpus.sample(chosen) for _ in range(count)]
    before, load_before = _others(model, other)
    least = int(load_before.argmin())
    for trained, slot in itertools.product(rows, (None, least)):
        expert = NativeExpert(model, tokenizer, experts, slot=slot)
        began = time.process_time()
        expert.install(shown, trained=trained)
        seconds = time.process_time() - began
        after, load_after = _others(model, other)
        begun = expert.chosen = expert.declined = expert.finished = 0
        right = closed = 0
        for one in made:
            text, _ = generated(model, tokenizer, one.expression, [], 12)
            right += text.startswith(f" {one.result}.")
        chosen_count = (expert.chosen, expert.declined, expert.finished)
        for one in made:
            text, _ = generated(model, tokenizer, one.expression, [expert], 12)
            closed += text.startswith(f" {one.result}.")
        begun = sum(tuple(tokenizer(one.expression).input_ids) in {r.before for r in expert.results} for one in made)
        name = "row trained, " if trained else "row in closed form, "
        name += "a slot added" if slot is None else f"slot {slot} replaced, the least used"
        yield (
            f"{name}: selected at =: {begun} of {count}; right: {rate(right, count)}, with its processor "
            f"{rate(closed, count)}; tokens the router gave it: {chosen_count[0]}, nothing to say at {chosen_count[1]}; written "
            f"because begun: {chosen_count[2]}; set in {seconds:.1f} s of processor time"
        )
        difference = (before["logits"] - after["logits"]).abs()[other["attention_mask"].bool()].max()
        yield (
            f"{name}: other text: greatest difference of a logit {float(difference):.2g}; loss {before['loss']:.4f} before, "
            f"{after['loss']:.4f} after; share of each expert before {_shares(load_before)}, after {_shares(load_after)}"
        )
        expert.remove()
    again, _ = _others(model, other)
    yield f"removed again: logits equal to those before: {bool(torch.equal(again['logits'], before['logits']))}"


def _others(model: Any, inputs: dict[str, torch.Tensor]) -> tuple[dict[str, Any], torch.Tensor]:
    """Logits and loss on text without calls, and how often each expert of the last layer is chosen."""
    layer = decoder_layers(model)[-1]
    counts: list[torch.Tensor] = []
    mask = inputs["attention_mask"].bool()
    hook = layer.mlp.experts.register_forward_pre_hook(
        lambda module, args: counts.append(args[1][mask.flatten()].flatten().bincount(minlength=module.num_experts))
    )
    labels = inputs["input_ids"].masked_fill(~mask, -100)
    with torch.no_grad():
        made = model(**inputs, labels=labels)
    hook.remove()
    return {"logits": made.logits, "loss": float(made.loss)}, counts[0] / counts[0].sum()


def _shares(load: torch.Tensor) -> str:
    return " ".join(f"{100 * float(x):.1f}" for x in load)


def tools(model: Any, tokenizer: Any, experts: hybrid.Experts, count: int = 100) -> Iterator[str]:
    """The same questions by an ordinary tool call and by the bypass; the same expert computes."""
    chosen = random.Random(41)
    usual = [corpus.sample(chosen) for _ in range(count)]
    longer = [corpus.Sample("add", chosen.randrange(1000, 10**5), chosen.randrange(1000, 10**5)) for _ in range(count)]
    for kind, made in (
        ("as in training", usual),
        ("sums of numbers of 4 and 5 digits, longer than in training", longer),
    ):
        asked = [(one, one.question(chosen)) for one in made]
        yield from _compared(model, tokenizer, experts, kind, asked)


def _compared(model: Any, tokenizer: Any, experts: hybrid.Experts, kind: str, asked: list[Any]) -> Iterator[str]:
    """Each question both ways, one behind the other, the first way alternating."""
    ways = {"tool call": _tool, "bypass": _with_bypass}
    found: dict[str, list[tuple[float, int, bool, Any, bool]]] = {name: [] for name in ways}
    for number, (one, question) in enumerate(asked):
        for name in list(ways)[:: -1 if number % 2 else 1]:
            began = time.process_time()
            text, used, call = ways[name](model, tokenizer, experts, question)
            seconds = time.process_time() - began
            wrong = call is not None and (call.name, *call.arguments) != (one.name, one.a, one.b)
            found[name].append((seconds, used, text.startswith(f" {one.result}."), call, wrong))
    count = len(asked)
    for name, rows in found.items():
        seconds, tokens, right, calls, wrong = zip(*rows, strict=True)
        yield (
            f"{kind}: {name}: right {rate(sum(right), count)}; {sum(c is not None for c in calls)} calls, {sum(wrong)} of them "
            f"not what was asked for; generated tokens a question {sum(tokens) / count:.1f}; "
            f"{1000 * sum(seconds) / count:.0f} ms of processor time"
        )
    ratios = [b[0] / a[0] for a, b in zip(found["tool call"], found["bypass"], strict=True)]
    yield f"{kind}: processor time of the bypass beside the tool call, paired: {median(ratios)} times"


def _tool(model: Any, tokenizer: Any, experts: hybrid.Experts, question: str) -> tuple[str, int, Any]:
    asked = f"Q: {question}\nT:"
    call_text, used = generated(model, tokenizer, asked, [])
    try:
        call = parse(f"{call_text.strip()} =")
        result = experts.answer(call).text
    except ValueError:
        return "", used, None
    text, more = generated(model, tokenizer, f"{asked}{call_text.rstrip()}\nR: {result}\nA:", [])
    return text, used + more, call


def _with_bypass(model: Any, tokenizer: Any, experts: hybrid.Experts, question: str) -> tuple[str, int, Any]:
    with Bypass(model, tokenizer, experts) as inside:
        text, used = generated(model, tokenizer, f"Q: {question}\nA:", [inside])
    event = next((e for e in inside.events if e.answer), None)
    return text.partition("=")[2], used, event.decision.call if event else None


def in_context(model: Any, tokenizer: Any) -> Iterator[str]:
    rewriter = hybrid.InContextRewriter(model, tokenizer)
    texts = [t for t in free_texts() if t.category.startswith("report")]
    right = wrong = 0
    for text in texts:
        try:
            form = rewriter.rewrite(text.text).text
        except hybrid.NotUnderstood:
            continue
        right += form == text.form
        wrong += form != text.form
    yield f"right: {right} of {len(texts)}; a wrong call: {wrong}; refused: {len(texts) - right - wrong}"
