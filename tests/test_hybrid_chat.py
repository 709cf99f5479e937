"""The command chat, on a small model."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.hybrid import small_models
from tests.test_hybrid_models import lines
from wasm2xformer.runtime import hybrid
from wasm2xformer.runtime.cli import main
from wasm2xformer.runtime.hybrid import InContextRewriter, NotUnderstood


@pytest.fixture(scope="module")
def folder() -> str:
    return str(small_models.folder_of(small_models.TINY_LLAMA))


def test_one_prompt(folder: str, capsys: pytest.CaptureFixture[str]):
    assert main(["chat", folder, "--prompt", "15 + 7 =", "--max-new-tokens", "3", "--verify"]) == 0
    out, err = capsys.readouterr()
    assert out == " 22\n"
    assert err.startswith("15 + 7 = 22: ") and err.endswith("no difference\n") and err.count("\n") == 1


def test_as_json_and_rewritten(folder: str, capsys: pytest.CaptureFixture[str]):
    command = ["chat", folder, "--rewrite", "rules", "--json", "--verify", "--max-new-tokens", "4"]
    assert main([*command, "--prompt", "What is 12 times 12?"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["form"] == "12 * 12 =" and told["text"] == "12 * 12 = 144" and told["tokens"] == 4
    (call,) = told["calls"]
    assert call["result"] == "144" and call["verified"] and call["compared"] > 0 and call["difference"] == ""
    assert main([*command, "--prompt", "What is love?"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["form"] == "" and "no number" in told["not_rewritten"]


def test_prompts_from_a_pipe_with_experts_of_ones_own(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    twice = '(func (export "twice") (param i32) (result i32) (i32.shl (local.get 0) (i32.const 1)))'
    (tmp_path / "p.wat").write_text(f"(module {twice})")
    (tmp_path / "e.toml").write_text(
        '[[expert]]\nname = "twice"\nprogram = "p.wat"\nresult = "i32"\narguments = [{name = "n", type = "i32"}]'
    )
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"twice(21) =\n\n1 + 1 =")))
    assert main(["chat", folder, "--experts", str(tmp_path / "e.toml"), "--max-new-tokens", "3"]) == 0
    out, err = capsys.readouterr()
    first, second = out.splitlines()
    assert first == " 42" and second.startswith(" 2") and err == ""


def served(folder: Path, prompt: str, trust: bool = True) -> tuple[str, Any]:
    """What the stock loader's model of this folder writes, and that model."""
    model: Any = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=trust)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(prompt, return_tensors="pt")
    inputs.pop("token_type_ids", None)
    return tokenizer.decode(model.generate(**inputs, max_new_tokens=10, do_sample=False)[0]), model


def test_a_saved_folder_has_its_experts(folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    experts = Path(__file__).parents[1] / "examples" / "experts" / "experts.toml"
    for source, options in ((folder, ["--experts", str(experts)]), (str(tmp_path / "1"), [])):  # saved, and saved again
        target = tmp_path / str(1 + (source != folder))
        assert main(["chat", source, *options, "--save", str(target)]) == 0
        assert "trust_remote_code=True" in capsys.readouterr().out
        text, model = served(target, "sort([3, 1, 2]) =")
        assert text.startswith("sort([3, 1, 2]) = [1, 2, 3]")
        (answer,) = hybrid.answers(model)
        assert answer.text == "[1, 2, 3]" and answer.verify().ok
    assert "[1, 2, 3]" not in served(target, "sort([3, 1, 2]) =", trust=False)[0]  # the model by itself
    assert main(["chat", str(target), "--prompt", "sort([2, 1]) =", "--max-new-tokens", "7"]) == 0
    assert capsys.readouterr().out.startswith(" [1, 2]")


def test_a_native_expert_in_the_command_and_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder, texts = str(small_models.folder_of(small_models.TINY_OLMOE)), tmp_path / "texts"
    texts.write_text("\n".join(line.rstrip("\n") for line in lines(40, 2)))
    command = ["--prompt", "15 + 7 =", "--json", "--max-new-tokens", "3"]
    assert main(["chat", folder, "--native", str(texts), *command]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["text"] == " 22" and [c["result"] for c in told["calls"]] == ["22"]
    assert main(["chat", folder, "--native", str(texts), "--save", str(tmp_path / "saved")]) == 0
    capsys.readouterr()
    assert main(["chat", str(tmp_path / "saved"), *command]) == 0
    assert json.loads(capsys.readouterr().out)["calls"][0]["result"] == "22"
    text, model = served(tmp_path / "saved", "12 * 12 =")
    assert text.startswith("12 * 12 = 144") and [a.text for a in hybrid.answers(model)] == ["144"]
    assert type(model).__name__ == "OlmoeForCausalLM"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--native", "missing"], "missing: no such file"),
        (["--native", "missing", "--router", "grammar"], "--router is not for it"),
        (["--save", "/dev/null/folder"], "/dev/null/folder"),
        (["--experts", "missing.toml"], "missing.toml: no such file"),
        (["--router", "missing"], "missing: no probe"),
        (["--rewrite", "magic"], "magic"),
    ],
)
def test_what_is_wrong_is_one_line(folder: str, capsys: pytest.CaptureFixture[str], options: list[str], reason: str):
    assert main(["chat", folder, "--prompt", "1 + 1 =", *options]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and reason in err and err.count("\n") == 1


def test_a_folder_that_is_no_language_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["chat", str(tmp_path), "--prompt", "1 + 1 ="]) == 2
    assert "no causal language model" in capsys.readouterr().err


class Writes:
    """In the place of a model that learned from the examples: it writes what it is told to."""

    device = "cpu"

    def __init__(self, text: str):
        self.text = text

    def generate(self, input_ids, **options):
        import torch

        self.asked = small_models.tokenizer().decode(input_ids[0])
        return torch.cat([input_ids, torch.tensor([small_models.tokenizer().encode(self.text)])], 1)


def test_the_in_context_rewriter_believes_only_what_is_canonical_and_in_the_text():
    def rewrite(written: str, text: str) -> str:
        model = Writes(written)
        call = InContextRewriter(model, small_models.tokenizer()).rewrite(text)
        assert model.asked.count("Text: ") == 26 and model.asked.endswith(f"Text: {text}\nForm:")
        return call.text

    assert rewrite(" 15 + 7 =\n", "Jenny has 15 apples and gets seven more") == "15 + 7 ="
    for written, text in ((" 15 + 8 =\n", "15 apples and 7 more"), (" 22\n", "15 plus 7"), (" 1 + 2 + 3 =\n", "1 2 3")):
        with pytest.raises(NotUnderstood):
            rewrite(written, text)
