"""The tools for mixtures of experts: on a compiled program against the truth, on stock classes against what they compute."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("transformers")

import torch
import transformers

import wasm2xformer as w2x
from tests.hybrid import small_models
from tests.programs import FOLDER
from wasm2xformer import moe
from wasm2xformer.runtime.cli import main
from wasm2xformer.runtime.errors import ArgumentError
from wasm2xformer.runtime.moe import estimates, patterns, probing, usage_tools, vocabulary_tools

WAT = str(FOLDER / "i32" / "gcd.wat")
CALLS = [("lcm", (4, 6)), ("gcd", (48, 18))]


@pytest.fixture(scope="module")
def gcd() -> moe.Study:
    model = moe.compiled(w2x.compile(Path(WAT).read_text()))
    return moe.Study(model, moe.invocations(model, CALLS))


@pytest.fixture(scope="module")
def olmoe() -> moe.RoutedModel:
    return moe.RoutedModel(*small_models.trained(small_models.TINY_OLMOE))


@pytest.fixture(scope="module")
def texts(olmoe: moe.RoutedModel) -> moe.Study:
    return moe.Study(olmoe, moe.texts(olmoe, moe.built_in(8)))


def rows(finding: moe.ResultTable) -> list[dict]:
    names = [c.lstrip("#") for c in finding.columns]
    return [dict(zip(names, row)) for row in finding.rows]


# The truth of a compiled program.


def test_what_is_read_is_what_the_program_does(gcd: moe.Study):
    model = gcd.model.program
    vm = w2x.Instance(model)
    for prompt, (name, arguments) in zip(gcd.prompts, CALLS):
        run = vm.invoke(name, *arguments)
        assert np.array_equal(prompt.targets, run.tokens)
        vm = w2x.Instance(model)
    assert np.array_equal(gcd.predictions.best, gcd.target)
    assert (gcd.routing.chosen[:, :, 0] == gcd.truth).all() and (gcd.routing.weights == 1).all()


def test_trace_says_the_operation_and_its_expert(gcd: moe.Study):
    found = moe.trace(gcd)
    names = gcd.model.expert_names
    assert found.column("right") == found.column("chosen") == [names[e] for e in gcd.truth]
    assert found.column("operation")[:2] == ["call", "mov"] and "at 36 of 36 tokens" in found.notes[0]


def test_analyze_finds_each_operation_its_expert_and_admits_that_two_prompts_are_few(gcd: moe.Study):
    found = rows(moe.analyze(gcd, [gcd.model.layers[-1]]))
    for row in found:
        assert row["category"] in gcd.model.mixture.experts[gcd.model.expert(row["expert"])].operations
    multiplier = next(r for r in found if r["expert"] == "i32.mul")
    assert multiplier["of the expert's"].value == 1 and multiplier["specialist"] == "open" and multiplier["tokens"] == 1
    assert "fewer than 30 prompts" in moe.analyze(gcd).notes[0]


def test_ablation_breaks_the_programs_that_need_an_operation_where_they_do(gcd: moe.Study):
    """The multiplier: lcm, at its multiplication; gcd does not multiply, and stays whole."""
    found = rows(moe.ablate(gcd, ["i32.mul", "i32.rem_u", "i32.div_u"]))
    lcm, whole = found[0], found[1]
    at = int(np.flatnonzero(gcd.category[gcd.prompt == 0] == "i32.mul")[0])
    assert (lcm["first wrong"], lcm["operation"], lcm["needed first"]) == (at, "i32.mul", at)
    assert whole["tokens right"] == "15 of 15" and whole["first wrong"] == whole["needed first"] == "-"
    for row in found:
        assert row["first wrong"] == "-" or (row["operation"] == row["off"] and row["first wrong"] >= row["needed first"])
    assert [row["operation"] for row in found[2:]] == ["i32.rem_u", "i32.rem_u", "i32.div_u", "-"]
    # Nothing is left behind.
    assert np.array_equal(gcd.read()[1].best, gcd.target)


def test_ablation_is_seen_by_generation_at_the_same_token(gcd: moe.Study):
    with moe.experts_off(gcd.model, [gcd.model.expert("i32.mul")]):
        broken = moe.invocations(gcd.model, CALLS[:1])[0].targets
    right = gcd.prompts[0].targets
    wrong = np.flatnonzero(broken[: len(right)] != right[: len(broken)])
    assert wrong[0] == rows(moe.ablate(gcd, ["i32.mul"]))[0]["first wrong"]


def test_one_expert_alone_keeps_its_own_tokens_and_two_spoil_all_arithmetic(gcd: moe.Study):
    alone = {row["category"]: row["tokens kept"].value for row in rows(moe.force(gcd, "i32.rem_u"))}
    assert alone["i32.rem_u"] == 1 and alone["br.i32.ne"] == 0 and alone["i32.mul"] == 0
    for row in rows(moe.compare(gcd, ["br.i32.ne", "i32.mul"])):
        assert row["tokens kept"].value < 0.6 and row["of it"].value == 1
    one, two = rows(moe.topk(gcd, [1, 2]))
    assert one["tokens kept"].value == 1 and two["tokens kept"].value < 0.5


def test_entropies_of_a_program(gcd: moe.Study):
    for row in rows(moe.entropy(gcd)):
        assert row["of the weights"].value == 0 and row["of it, given the category"].value == 0
        assert row["of the first choice"].value > 2 and row["of the router"].value > 1
    assert np.isclose(usage_tools.entropy_of(np.array([1.0, 1, 1, 1])), 2)


def test_divergence_of_two_functions(gcd: moe.Study):
    (row,) = rows(moe.divergence(gcd))
    assert 0 < row["mean"] < 1 and row["p"] == 1  # of two prompts there is no other division
    assert usage_tools.jensen_shannon(np.array([1.0, 0]), np.array([0.0, 1])) == 1


def test_role_and_sweep(gcd: moe.Study):
    found = moe.role(gcd, "i32.rem_u", 20)
    assert ("category", "i32.rem_u") in [(r["what"], r["which"]) for r in rows(found)]
    assert "the truth: i32.rem_u; neurons: " in found.notes[0]
    assert {(row["most used"], row["not used"]) for row in rows(moe.layer_sweep(gcd))} == {("i32.rem_u", 0)}
    assert usage_tools.gini(np.array([0.0, 0, 0, 5])) == 0.75 and abs(usage_tools.gini(np.ones(4))) < 1e-12


def test_weights_count_the_neurons_of_each_expert(gcd: moe.Study):
    own = gcd.model.mixture.layers[20]
    for e, row in enumerate(rows(moe.weights(gcd, [20]))):
        assert row["neurons"] == len(own.neuron_names[e])


def test_what_the_router_of_a_program_reads_came_from_attention(gcd: moe.Study):
    """The fetch: an attention head brings the flags of the row. MLPs and embedding have their parts, and cancel."""
    for row in rows(moe.router_probe(gcd)):
        assert abs(row["attention"].value - 1) < 1e-6 and abs(row["embedding"].value) < 1e-6 and abs(row["MLPs"].value) < 1e-6
        assert row["by attention"].value > 0.9
        assert row["first choice by embedding"].value < 0.1 and row["by MLPs"].value < 0.1


def test_a_token_of_a_program_says_little_of_its_expert(gcd: moe.Study):
    found = rows(moe.context_test(gcd, "D0.6"))
    assert len(found) > 3 and all(r["expert"] == r["right"] and r["of them"].value == 1 for r in found)
    for row in rows(moe.vocab_map(gcd)):
        assert row["foreseen by token"].value < 0.7
    kinds = {r["control token"]: r for r in rows(moe.control_tokens(gcd, [20]))}
    # A digit that is taken back is one of a division that goes on.
    assert kinds["scratch"]["expert"] == "i32.rem_u" and kinds["scratch"]["of them"].value == 1
    assert kinds["jump"]["of them"].value <= 0.5


def test_patterns_of_a_program_are_its_operations(gcd: moe.Study):
    for row in rows(moe.pattern_track(gcd)):
        assert row["pattern"] in gcd.model.mixture.experts[gcd.model.expert(row["expert"])].operations
        assert row["of the pattern's"].value == 1
    assert all(r["called"] in (r["pattern"], "open") for r in rows(moe.pattern_discovery(gcd)))
    assert all(r["contrary"] == 0 for r in rows(moe.full_taxonomy(gcd)))
    assert moe.pattern_track(gcd, "AFTER_WORD").notes[0].startswith("no token has the pattern 'AFTER_WORD'")


# Stock classes.

_COMMON = {
    "vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2,
    "num_experts_per_tok": 2, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip
KINDS = {
    "Qwen2Moe": {"num_experts": 6, "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16},
    "Olmoe": {"num_experts": 6, "intermediate_size": 16},
    "Mixtral": {"num_local_experts": 6, "intermediate_size": 16},
    "Qwen3Moe": {"num_experts": 6, "moe_intermediate_size": 16, "head_dim": 16},
    "GptOss": {"num_local_experts": 6, "intermediate_size": 16, "head_dim": 16},
}


def random_model(kind: str) -> moe.RoutedModel:
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**_COMMON, **KINDS[kind])
    model = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    return moe.RoutedModel(model, small_models.tokenizer())


@pytest.mark.parametrize("kind", KINDS)
def test_every_class_is_read_and_changed_where_it_should_be(kind: str):
    model = random_model(kind)
    assert model.layers == [0, 1] and model.experts == 6 and model.top_k == 2
    study = moe.Study(model, moe.texts(model, moe.built_in(2)))
    # Against the class's own router logits.
    prompt = study.prompts[3]
    with torch.no_grad():
        said = model.model(torch.as_tensor(prompt.ids)[None], output_router_logits=True).router_logits
    mine = study.prompt == 3
    for layer in range(2):
        logits = said[layer].double().numpy().reshape(-1, 6)
        assert np.allclose(study.routing.logits[layer][mine], logits, atol=1e-4)
        assert np.array_equal(np.sort(study.routing.chosen[layer][mine]), np.sort(np.argsort(-logits)[:, :2]))
    with moe.experts_off(model, [0, 1], reroute=True):
        assert study.read()[0].chosen.min() == 2
    with moe.experts_off(model, range(6)):
        silent = study.read()[1]
    assert np.array_equal(silent.best, _without_experts(study))
    with moe.forced(model, 4, [1]):
        alone = study.read()[0]
    assert (alone.chosen[1] == [4, -1]).all() and (alone.weights[1] == [1, 0]).all() and (alone.chosen[0] != 4).any()
    with moe.top(model, 6):
        assert study.read()[0].chosen.shape[-1] == 6
    assert np.array_equal(study.read()[1].best, study.predictions.best)
    assert moe.weights(study).column("neurons") == [16] * 12
    _check_parts(study)


def _check_parts(study: moe.Study) -> None:
    """The parts of the probe add up to the router's logits."""
    parts = probing._projected(study).sum(1)
    bias = [0 if b.bias is None else b.bias.detach().double().numpy() for b in study.model.blocks]
    for layer in range(2):
        assert np.allclose(parts[layer] + bias[layer], study.routing.logits[layer], atol=1e-3)


def _without_experts(study: moe.Study) -> np.ndarray:
    """The same with experts whose weights are 0."""
    kept = [[p.detach().clone() for p in block.experts.parameters()] for block in study.model.blocks]
    with torch.no_grad():
        for block in study.model.blocks:
            for p in block.experts.parameters():
                p.zero_()
        best = study.read()[1].best
        for block, values in zip(study.model.blocks, kept):
            for p, value in zip(block.experts.parameters(), values):
                p.copy_(value)
    return best


def test_a_model_without_experts_is_refused():
    model = small_models.untrained(small_models.TINY_LLAMA)
    with pytest.raises(ArgumentError, match="no mixture of experts"):
        moe.RoutedModel(model, small_models.tokenizer())


# A small trained mixture.


def test_tools_on_a_trained_mixture(texts: moe.Study):
    analysis = rows(moe.analyze(texts))
    assert len(analysis) == 16 and sum(r["tokens"] for r in analysis) == 2 * 2 * len(texts)
    first = rows(moe.analyze(texts, first_only=True))
    assert sum(r["tokens"] for r in first) == 2 * len(texts)
    for row in analysis:
        assert row["of the layer"].low <= row["of the layer"].value <= row["of the layer"].high
    for row in rows(moe.entropy(texts)):
        assert 0 < row["of it, given the category"].value < row["of the first choice"].value < 3
    loss = {row["k"]: row["loss more"] for row in rows(moe.topk(texts, [1, 2, 8], benchmark=0))}
    assert abs(loss["2"].value) < 1e-6 < loss["1"].value
    # A study that has read nothing yet reads the unchanged model first.
    (one,) = rows(moe.topk(moe.Study(texts.model, texts.prompts), [1], benchmark=0))
    assert one["loss more"] == loss["1"] and one["tokens kept"].value < 1
    off = rows(moe.ablate(texts, benchmark=4))
    assert off[0]["off"] == "none" and len(off) == 9 and all(r["tokens kept"].value < 1 for r in off[1:])
    assert all(r["tokens kept"].value < 1 for r in rows(moe.compare(texts)))


def test_tools_for_tokens_and_patterns_on_a_trained_mixture(texts: moe.Study):
    in_context = rows(moe.context_test(texts, count=10))
    assert [r["behind"] for r in in_context[:5]] == ["nothing", "a number", "letters", "words", "an operator"]
    assert in_context[0]["prompts"] == 1 and all(r["prompts"] == 10 for r in in_context[1:5])
    for row in rows(moe.vocab_map(texts)):
        assert 1 < row["experts"] <= 8 and row["foreseen by token"].low > row["by none"].high
    control = rows(moe.control_tokens(texts, [0]))
    assert {r["control token"] for r in control} == {"<pad>", "<s>", "</s>", "<unk>", "all"}
    assert all(r["of them"].prompts == len(texts.prompts) for r in control)
    for row in rows(moe.pattern_discovery(texts)):
        assert row["called"] in (row["pattern"], "MIXED", "open", "UNUSED")
    assert all(r["same"] >= 4 and r["contrary"] <= 1 for r in rows(moe.full_taxonomy(texts)))
    tracked = rows(moe.pattern_track(texts, "AFTER_NUMBER"))
    assert len(tracked) == 2 and all(r["times"] > 1 for r in tracked)
    first, second = rows(moe.router_probe(texts))
    assert first["MLPs"].value == 0 < second["MLPs"].value
    for row in (first, second):
        assert abs(row["embedding"].value + row["attention"].value + row["MLPs"].value - 1) < 1e-9


def test_words_and_numbers_diverge_and_two_halves_of_the_same_do_not(olmoe: moe.RoutedModel):
    def p(pairs: list[tuple[str, str]]) -> float:
        return rows(moe.divergence(moe.Study(olmoe, moe.texts(olmoe, pairs))))[0]["p"]

    assert p(moe.built_in(12, categories=["numbers", "phrases"])) < 0.01
    halves = [(f"half {k % 2}", text) for k, (_, text) in enumerate(moe.built_in(24, categories=["phrases"]))]
    assert p(halves) > 0.05


# Statistics and classes of tokens.


def test_intervals_hold_the_truth_nineteen_times_out_of_twenty():
    """Prompts of 10 tokens that depend on each other: an interval over tokens would be far too narrow."""
    chance = np.random.default_rng(1)
    held = naive = 0
    for _ in range(400):
        rates = chance.beta(1, 3, 60)
        hits, totals = chance.binomial(10, rates), np.full(60, 10)
        found = estimates.proportion(hits, totals)
        held += found.low <= 0.25 <= found.high
        low, high = estimates.wilson(found.value, 600)
        naive += low <= 0.25 <= high
    assert held >= 370 and naive < 330


def test_extreme_proportions_and_means():
    assert estimates.proportion(np.zeros(5), np.full(5, 100)).high > 0.4
    none = estimates.proportion(np.zeros(3), np.zeros(3))
    assert (none.low, none.high, none.prompts) == (0, 1, 0) and str(none) == "-"
    assert estimates.proportion(np.array([90.0] * 50), np.array([100.0] * 50)).exceeds(0.6) == "yes"
    values, prompt = np.array([1.0, 3, np.nan, 2]), np.array([0, 0, 1, 1])
    assert estimates.mean(values, prompt, 2).value == 2


def test_what_is_foreseen_comes_from_other_prompts():
    """Two prompts, one token, experts that differ: each prompt foresees the other's, and is wrong."""
    model = random_model("Olmoe")
    study = moe.Study(model, moe.texts(model, [("a", "1"), ("a", "1")]))
    by_token, by_none = vocabulary_tools._foreseen(study, np.array([2, 5]))
    assert by_token.tolist() == by_none.tolist() == [5, 2]


def test_patterns():
    tokens = ["", "for", " x", " =", " 12", "3", ";", " y", "\n", "the", "re"]
    assert patterns.patterns(tokens) == [
        "SEQUENCE_START", "SEQUENCE_START", "AFTER_CODE_KEYWORD", "AFTER_WORD", "AFTER_OPERATOR", "AFTER_NUMBER", "PUNCTUATION",
        "AFTER_PUNCTUATION", "AFTER_WORD", "AFTER_WORD", "AFTER_WORD",
    ]  # fmt: skip


# The command.


def test_the_command_on_a_program(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    wat = tmp_path / "square.wat"
    wat.write_text('(module (func (export "square") (param i32) (result i32) (i32.mul (local.get 0) (local.get 0))))')
    call = ["--invoke", "square", "-12"]
    assert main(["moe", "ablate", str(wat), "--expert", "i32.mul", "--json", *call]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["operation"] == "i32.mul" and row["first wrong"] == row["needed first"]
    assert main(["moe", "analyze", str(wat), "--plot", str(tmp_path / "a.png"), *call]) == 0
    assert (tmp_path / "a.png").stat().st_size > 5000
    capsys.readouterr()
    for wrong, message in (
        (["role", str(wat), "--expert", "i32.add", *call], "no expert 'i32.add'; there are: "),
        (["trace", str(wat)], "say what to call"),
        (["trace", str(wat), "--layer", "0", *call], "layer 0 has no experts"),
        (["trace", str(wat), "--plot", str(tmp_path / "b.png"), *call], "no picture"),
        (["trace", str(wat), *call, "--", "x"], "behind --"),
    ):
        assert main(["moe", *wrong]) == 2
        assert message in capsys.readouterr().err


def test_the_command_on_a_language_model(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    folder = str(small_models.folder_of(small_models.TINY_OLMOE))
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("numbers\t1 2 3\nhello world\n\n")
    assert main(["moe", "layer-sweep", folder, "--prompts", str(prompts)]) == 0
    assert "use of the 8 experts by layer" in capsys.readouterr().out
    assert main(["moe", "analyze", folder, "--category", "numbers", "--count", "3"]) == 0
    assert "3 prompts" in capsys.readouterr().out
    for wrong, message in (
        (["moe", "trace", folder, "--invoke", "f"], "for compiled programs"),
        (["moe", "trace", folder, "--category", "nothing"], "no category 'nothing'"),
        (["moe", "trace", folder, "--prompts", str(tmp_path / "none")], "no such file"),
        (["moe", "trace", str(small_models.folder_of(small_models.TINY_LLAMA))], "no mixture of experts"),
    ):
        assert main(wrong) == 2
        assert message in capsys.readouterr().err
