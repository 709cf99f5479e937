"""Experts inside stock models: bypass, probe and native expert, on small models that are trained when they are first needed."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GptOssConfig,
    GptOssForCausalLM,
    LogitsProcessorList,
    MixtralConfig,
    MixtralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2MoeConfig,
    Qwen2MoeForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
    TextIteratorStreamer,
)

from tests.hybrid import corpus, small_models
from wasm2xformer.runtime import hybrid
from wasm2xformer.runtime.hybrid import Bypass, Call, ExpertError, NativeExpert, ProbeRouter, load_probe, train_probe
from wasm2xformer.runtime.hybrid.forcing import tokens_for
from wasm2xformer.runtime.hybrid.layers import padded, states
from wasm2xformer.runtime.hybrid.router_row import closed_form_row, trained_row

PROMPTS = ["15 + 7 =", "name =", "Q: what is 100 / 8?\nA: 100 / 8 =", "sum(1, 100) =", "So 3 / 0 =", "12 * 12 = "]
RESULTS = ["15 + 7 = 22", None, "100 / 8 = 12.5", "sum(1, 100) = 5050", None, "12 * 12 = 144"]


@pytest.fixture(scope="module")
def experts() -> hybrid.Experts:
    return hybrid.built_in()


@pytest.fixture(scope="module")
def llama() -> tuple[Any, Any]:
    torch.set_num_threads(1)
    return small_models.trained(small_models.TINY_LLAMA)


@pytest.fixture(scope="module")
def olmoe() -> tuple[Any, Any]:
    torch.set_num_threads(1)
    return small_models.trained(small_models.TINY_OLMOE)


def texts_of(model: Any, tokenizer: Any, prompts: list[str], processors: list[Any] = [], **options: Any) -> list[str]:  # noqa: B006
    inputs = {**padded(tokenizer, prompts, model.device), "do_sample": False, **options}
    made = model.generate(**inputs, logits_processor=LogitsProcessorList(processors))
    return tokenizer.batch_decode(made, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def check(texts: list[str]) -> None:
    for text, result in zip(texts, RESULTS):
        assert result is None or result in text, text


@pytest.mark.parametrize("options", [{}, {"do_sample": True, "temperature": 1.5}, {"num_beams": 3}, {"repetition_penalty": 1.3}])
def test_results_are_written_whatever_way_tokens_are_chosen(llama: Any, experts: hybrid.Experts, options: dict[str, Any]):
    torch.manual_seed(1)
    with Bypass(*llama, experts) as bypass:
        check(texts_of(*llama, PROMPTS, [bypass], max_new_tokens=12, **options))
    assert any(e.reason == "div: division by zero" and not e.forced for e in bypass.events)
    assert any("no call before" in e.reason for e in bypass.events)


def test_generation_goes_on_as_behind_a_result_that_was_there(llama: Any, experts: hybrid.Experts):
    with Bypass(*llama, experts) as bypass:
        (with_bypass,) = texts_of(*llama, ["15 + 7 ="], [bypass], max_new_tokens=20)
    (typed,) = texts_of(*llama, ["15 + 7 = 22"], max_new_tokens=17)
    assert with_bypass == typed
    assert len(bypass.events[0].before) == len("15 + 7 =") and bypass.answers[0].verify().ok


def test_a_result_is_not_made_longer(llama: Any, experts: hybrid.Experts):
    """Behind it, and behind a point, there is no digit, however likely the model finds one."""
    model, tokenizer = llama
    digits = tokenizer("0123456789", add_special_tokens=False).input_ids

    def likes_digits(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        scores[:, digits] += 1000.0
        return scores

    (without,) = texts_of(model, tokenizer, ["15 + 7 = 22"], [likes_digits], max_new_tokens=3)
    assert without[len("15 + 7 = 22")].isdigit()
    with Bypass(model, tokenizer, experts) as bypass:
        (text,) = texts_of(model, tokenizer, ["15 + 7 ="], [likes_digits, bypass], max_new_tokens=7)
    assert text.startswith("15 + 7 = 22") and not text[len("15 + 7 = 22")].isdigit()


def test_batches_give_what_single_prompts_give(llama: Any, experts: hybrid.Experts):
    with Bypass(*llama, experts) as bypass:
        together = texts_of(*llama, PROMPTS, [bypass], max_new_tokens=8)
        single = [texts_of(*llama, [p], [bypass], max_new_tokens=8)[0] for p in PROMPTS]
    assert [t[: len(p) + 7] for t, p in zip(together, PROMPTS)] == [t[: len(p) + 7] for t, p in zip(single, PROMPTS)]


def test_streamers_and_stop_strings(llama: Any, experts: hybrid.Experts):
    model, tokenizer = llama
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True)
    with Bypass(model, tokenizer, experts) as bypass:
        inputs = padded(tokenizer, ["12345 * 1001 ="], model.device)
        made = model.generate(
            **inputs, logits_processor=[bypass], max_new_tokens=40, do_sample=False, streamer=streamer,
            stop_strings=["."], tokenizer=tokenizer,
        )  # fmt: skip
    assert "12357345" in tokenizer.decode(made[0]) and "".join(streamer).startswith(" 12357345")
    with Bypass(model, tokenizer, experts) as bypass:
        made = model.generate(
            **inputs, logits_processor=[bypass], max_new_tokens=40, do_sample=False, stop_strings=["573"], tokenizer=tokenizer
        )
    assert tokenizer.decode(made[0]).endswith(" 123573")


def test_a_tokenizer_with_longer_tokens(experts: hybrid.Experts):
    """Byte pairs: numbers of several digits, and = with its space, are tokens."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    chosen = random.Random(1)
    trainer = trainers.BpeTrainer(vocab_size=600, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    made.train_from_iterator([corpus.document(chosen) for _ in range(300)], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made)
    assert len(tokenizer(" 22 =").input_ids) < 5
    for text, result in (("15 + 7 =", " 22"), ("1 + 1 = ", "2"), ("x =", ' "ä\n"'), ("a\n", "5" * 40)):
        before = tokenizer(text).input_ids
        assert tokenizer.decode([*before, *tokens_for(tokenizer, before, result)]) == text + result
    small = small_models.untrained(small_models.TINY_LLAMA)
    small.resize_token_embeddings(len(tokenizer))
    with Bypass(small.eval(), tokenizer, experts) as bypass:
        ids = tokenizer("Well: 17 + 25 =", return_tensors="pt").input_ids
        text = tokenizer.decode(small.generate(ids, logits_processor=[bypass], max_new_tokens=6, do_sample=False)[0])
    assert text.startswith("Well: 17 + 25 = 42") and bypass.answers[0].text == "42"


def examples(count: int, seed: int) -> tuple[list[str], list[str]]:
    """Texts up to =, and what is asked for there."""
    chosen = random.Random(seed)
    made = [corpus.sample(chosen) for _ in range(count)]
    others = [corpus.other_equals(chosen).split("|")[0] for _ in range(count)]
    return [*(m.expression for m in made), *others], [*(m.name for m in made), *["none"] * count]


@pytest.mark.parametrize("hidden", [0, 16])
def test_a_probe_tells_calls_from_other_text(llama: Any, tmp_path: Path, hidden: int):
    texts, labels = examples(200, 3)
    probe = train_probe(states(*llama, texts, [0])[0], labels, 0, hidden=hidden)
    probe.save(tmp_path / "probe.safetensors")
    kept = load_probe(tmp_path / "probe.safetensors")
    texts, labels = examples(60, 4)
    found = states(*llama, texts, [0])[0]
    assert torch.equal(probe.probabilities(found), kept.probabilities(found)) and kept.layer == 0
    read = [kept.decide(state)[0] or "none" for state in found]
    assert sum(a == b for a, b in zip(read, labels)) >= 110
    assert sum(a == b for a, b in zip(read, labels[::-1])) < 80  # and it does look at the state


def test_the_probe_decides_inside_generate(llama: Any, experts: hybrid.Experts):
    texts, labels = examples(200, 3)
    probe = train_probe(states(*llama, texts, [0])[0], labels, 0)
    with Bypass(*llama, experts, ProbeRouter(probe)) as bypass:
        (text,) = texts_of(*llama, ["150 + 17 ="], [bypass], max_new_tokens=5)
    assert "= 167" in text and bypass.events[0].decision.confidence > 0.5
    probe.threshold = 1.1
    with Bypass(*llama, experts, ProbeRouter(probe)) as bypass:
        (text,) = texts_of(*llama, ["150 + 17 ="], [bypass], max_new_tokens=5)
    assert not bypass.answers and "no call" in bypass.events[0].reason
    decided = ProbeRouter(train_probe(states(*llama, texts, [0])[0], ["sub" if x == "add" else x for x in labels], 0))
    decision = decided.decide("150 + 17 =", states(*llama, ["150 + 17 ="], [0])[0][0])
    assert decision.call is None and "the text add" in decision.reason


def test_a_file_that_is_no_probe_is_refused(tmp_path: Path):
    (tmp_path / "probe").write_bytes(b"nothing")
    for path in (tmp_path / "probe", tmp_path / "missing"):
        with pytest.raises(ExpertError):
            load_probe(path)
    with pytest.raises(ExpertError):
        train_probe(torch.zeros(20, 4), ["add"] * 20, 0)


def lines(count: int, seed: int) -> list[str]:
    chosen = random.Random(seed)
    made = []
    for _ in range(count):
        one = corpus.sample(chosen)
        made += [f"{one.expression} {one.result}{one.tail}", corpus.other_equals(chosen).replace("|", ""), corpus.plain(chosen)]
    return made


@pytest.mark.parametrize(("slot", "trained"), [(None, False), (3, False), (None, True), (3, True)])
def test_a_native_expert_writes_the_result(olmoe: Any, experts: hybrid.Experts, slot: int | None, trained: bool):
    model, tokenizer = olmoe
    before = texts_of(*olmoe, PROMPTS, max_new_tokens=12)
    native = NativeExpert(model, tokenizer, experts, slot=slot)
    native.install(lines(40, 2), trained=trained)
    check(texts_of(*olmoe, PROMPTS, max_new_tokens=12))
    assert all(r.answer is not None for r in native.results) and native.chosen > native.declined
    scores, digits = torch.zeros(1, len(tokenizer)), tokenizer("0123456789", add_special_tokens=False).input_ids
    for text, closed in (("15 + 7 = 22", True), ("15 + 7 = 22.", True), ("15 + 7 = 2", False), ("name = 22", False)):
        masked = native(torch.tensor([tokenizer(text).input_ids]), scores)
        assert bool(masked[0, digits].isinf().all()) == closed and int(masked.isinf().sum()) == 10 * closed
    native.remove()
    assert texts_of(*olmoe, PROMPTS, max_new_tokens=12) == before


def test_training_finds_the_row_that_only_wants_the_slot_where_it_is_wanted():
    """Two of three inputs decide; against other experts whose logits it is told. A class that no row tells apart is refused."""
    made = torch.Generator().manual_seed(1)
    states, others = torch.randn(400, 3, generator=made), torch.randn(400, 4, generator=made)
    wanted = states[:, 0] > 0.5 + states[:, 1]
    kept = (states[:, 0] - states[:, 1] - 0.5).abs() > 0.1
    found = trained_row(states[kept], wanted[kept], others[kept], 2, with_bias=True)
    assert found is not None
    score = states[kept] @ found[0] + found[1]
    top, second = others[kept].topk(2).values.unbind(1)
    assert float((score > top + 10)[wanted[kept]].float().mean()) > 0.98
    assert float((score < second)[~wanted[kept]].float().mean()) > 0.9
    assert abs(float(found[0][2])) < 0.1 * abs(float(found[0][0]))
    assert trained_row(states, torch.rand(400, generator=made) > 0.5, others, 2, with_bias=True) is None
    for find in (trained_row, closed_form_row):
        with pytest.raises(ExpertError):
            find(states, torch.zeros(400, dtype=torch.bool), others, 2, False)


def test_an_added_slot_leaves_other_tokens_as_they_were(olmoe: Any, experts: hybrid.Experts):
    model, tokenizer = olmoe
    inputs = padded(tokenizer, ["15 + 7 = 22. So the sum is 22.\nanna has 5 coins.\nname = ben."], model.device)
    before = model(**inputs).logits
    native = NativeExpert(model, tokenizer, experts)
    native.install(lines(40, 2))
    after = model(**inputs).logits
    native.remove()
    text = tokenizer.decode(inputs["input_ids"][0])
    said = [k for k in range(len(text)) if text[: k + 1] in ("15 + 7 =", "15 + 7 = ", "15 + 7 = 2")]
    changed = ((before - after).abs().amax(-1)[0] > 1e-3).nonzero().flatten().tolist()
    assert changed == said and "".join(tokenizer.decode([after[0, k].argmax()]) for k in said) == " 22"


STOCK = {
    "mixtral": (MixtralForCausalLM, MixtralConfig, {"num_local_experts": 4}),
    "qwen2": (Qwen2MoeForCausalLM, Qwen2MoeConfig, {"num_experts": 4, "moe_intermediate_size": 32, "decoder_sparse_step": 1}),
    "qwen3": (Qwen3MoeForCausalLM, Qwen3MoeConfig, {"num_experts": 4, "moe_intermediate_size": 32, "head_dim": 16}),
    "gpt-oss": (GptOssForCausalLM, GptOssConfig, {"num_local_experts": 4, "head_dim": 16}),
}


@pytest.mark.parametrize("kind", STOCK)
@pytest.mark.parametrize("slot", [None, 1])
def test_other_stock_classes(experts: hybrid.Experts, kind: str, slot: int | None):
    """With random weights: what is tested is where the slot goes and what it says, not the model's own text."""
    class_, config, more = STOCK[kind]
    tokenizer = small_models.tokenizer()
    torch.manual_seed(0)
    model = class_(
        config(vocab_size=len(tokenizer), hidden_size=112, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
               num_key_value_heads=2, num_experts_per_tok=2, pad_token_id=0, bos_token_id=1, eos_token_id=2, **more)
    ).eval()  # fmt: skip
    prompt = padded(tokenizer, ["15 + 7 ="], model.device)
    before = model(**prompt).logits
    native = NativeExpert(model, tokenizer, experts, slot=slot)
    native.install(lines(30, 2))
    (text,) = texts_of(model, tokenizer, ["15 + 7 ="], max_new_tokens=3)
    assert text == "15 + 7 = 22"
    native.remove()
    assert torch.equal(model(**prompt).logits, before)


def test_a_model_without_experts_is_refused(llama: Any, experts: hybrid.Experts):
    with pytest.raises(ExpertError) as error:
        NativeExpert(*llama, experts)
    assert "no router" in str(error.value)


def test_the_name_is_reached_from_the_package():
    import wasm2xformer

    assert wasm2xformer.hybrid.parse("1 + 1 =") == Call("add", (1, 1))
