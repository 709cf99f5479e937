"""The mixture of experts decodes what the dense form does, its routers choose the operation under way, each part is needed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("transformers")

import wasm2xformer as w2x
from tests.hf import Stranger, run_of
from tests.mixtures import compare, generated, operations_of, routed
from tests.programs import FOLDER, load_programs
from wasm2xformer.compiler.mixture_form import mixture_form
from wasm2xformer.runtime.cli import main

WAT = str(FOLDER / "i32" / "gcd.wat")
PROGRAMS = {program.id: program for program in load_programs()}


@pytest.fixture(scope="module")
def gcd() -> tuple[w2x.Model, w2x.Run]:
    model = w2x.compile(PROGRAMS["gcd"].module())
    return model, w2x.Instance(model).invoke("lcm", 4, 6)


@pytest.mark.parametrize("name", ["sum", "string_reverse"])
def test_tokens_and_choices_are_those_of_the_program(name: str):
    line, speed, fine = compare(PROGRAMS[name], 0)
    assert fine, (line, speed)


def test_every_expert_is_chosen_by_its_operations_and_works_for_them_alone(gcd: tuple[w2x.Model, w2x.Run]):
    """Without one expert's neurons the first wrong token is that of a step of this expert: lcm divides, then multiplies."""
    model, run = gcd
    stock = w2x.to_hf(model, moe=True)
    m = stock.mixture
    number = {name: e for e, expert in enumerate(m.experts) for name in expert.operations}
    truth = m.steps[operations_of(model, run)[len(run.prompt) :]]
    assert np.array_equal(generated(stock, m.shared.prefix, run), run.tokens)
    for operation in ("i32.mul", "i32.rem_u", "i32.div_u"):
        e = number[operation]
        experts = [layer.mlp.experts for layer in stock.model.layers if hasattr(layer.mlp, "experts")]
        kept = [block.down_proj.data[e].clone() for block in experts]
        for block in experts:
            block.down_proj.data[e] = 0.0
        tokens = generated(stock, m.shared.prefix, run)
        wrong = next(k for k, (a, b) in enumerate(zip(tokens, run.tokens, strict=False)) if a != b)
        assert wrong >= np.flatnonzero(truth == e)[0] and truth[wrong] == e, operation
        for block, weights in zip(experts, kept, strict=True):
            block.down_proj.data[e] = weights


def test_a_router_that_reads_another_flag_is_seen(gcd: tuple[w2x.Model, w2x.Run]):
    model, run = gcd
    stock = w2x.to_hf(model, moe=True)
    m = stock.mixture
    gate = next(layer.mlp.gate for layer in reversed(stock.model.layers) if hasattr(layer.mlp, "experts"))
    gate.weight.data = gate.weight.data.roll(1, 0)
    ids = np.concatenate([m.shared.prefix, run.prompt, run.tokens])[:-1]
    truth = m.steps[operations_of(model, run)[len(run.prompt) :]]
    choices = routed(stock, ids)[:, -len(truth) :]
    assert (choices[:-1] == truth).all() and not (choices[-1] == truth).any()


def test_the_router_has_no_weights_of_its_own():
    """Rows are twice the flags of an expert's operations and, for the constant, how many they are."""
    m = mixture_form(w2x.compile(PROGRAMS["gcd"].module()))
    flags = {"branch", "call", "divide", "if_equal", "if_greater", "if_less", "move", "mul", "remainder", "return", "word"}
    for layer, y in zip(m.shared.layers, m.layers, strict=True):
        if y is None:
            continue
        used = {layer.slot_names[k] for k in np.flatnonzero(y.router.any(0))} - {"one"}
        assert used <= flags
        assert set(np.unique(y.router[:, 1:])) <= {0.0, 2.0}
        assert np.array_equal(y.router[:, 0], -(y.router[:, 1:] > 0).sum(1))


def test_the_folder_runs_without_this_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    program = PROGRAMS["gcd"]
    folder = tmp_path / "model"
    assert main([WAT, "-o", f"{folder}/", "--moe"]) == 0
    assert "9 experts of" in capsys.readouterr().out
    model = w2x.compile(program.module())
    run = run_of(program, model, 0)
    names = model.transformer.vocabulary
    with Stranger() as stranger:
        found = stranger.generate(folder, [" ".join(names[t] for t in run.prompt)])
    assert found["class"] == "Qwen2MoeForCausalLM"
    assert found["tokens"][0][-len(run.tokens) :] == run.tokens.tolist()
    known = json.loads((folder / "wasm2xformer.json").read_text())["mixture"]
    assert ["i32.mul"] in [expert["operations"] for expert in known["experts"]]
    assert main([WAT, "-o", str(tmp_path / "x.safetensors"), "--moe"]) == 2
