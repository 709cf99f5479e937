"""The folder for Hugging Face: what is written is what stock classes load and run; what is not such a folder is refused."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from stock_models import random_weights

import wasm2xformer as w2x
from programs import load_programs
from tests.hf import CASES, Stranger, compare
from wasm2xformer.compiler.format.certificate import HeadBound
from wasm2xformer.compiler.huggingface import folder as folders
from wasm2xformer.compiler.huggingface.config import stock_problem
from wasm2xformer.compiler.huggingface.folder import FILES, write_folder
from wasm2xformer.compiler.huggingface.tensors import byte_count, state
from wasm2xformer.runtime.calls import read_calls
from wasm2xformer.runtime.check.same import differences
from wasm2xformer.runtime.cli import main
from wasm2xformer.runtime.engines import engine_class

WAT = """(module (memory (export "memory") 1)
  (func (export "gcd") (param i32 i32) (result i32) (local.get 0))
  (func (export "wide") (param i64) (result i64) (local.get 0))
  (func (export "float") (param f64) (result f64) (local.get 0))
  (func (export "a \\22quoted\\22 {{ name }}\\u{1F600}") (result i32) (i32.const 1)))"""


@pytest.fixture(scope="module")
def model() -> w2x.Model:
    return random_weights(w2x.compile(WAT))


@pytest.fixture(scope="module")
def made(model: w2x.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("folder") / "model"
    write_folder(model, path)
    return path


@pytest.fixture
def path(made: Path, tmp_path: Path) -> Path:
    """A copy that may be broken."""
    return Path(shutil.copytree(made, tmp_path / "model"))


def as_stored(model: w2x.Model) -> w2x.Model:
    """What a checkpoint keeps of its program."""
    return replace(model, program=replace(model.program, segments=(), **initial_values(model)))


def initial_values(model: w2x.Model) -> dict[str, Any]:
    from wasm2xformer.compiler.format.metadata import program_of, stored_program

    kept = program_of(stored_program(model.program))
    return {name: getattr(kept, name) for name in kept.__dataclass_fields__ if name != "segments"}


def test_round_trip(model: w2x.Model, made: Path):
    assert sorted(p.name for p in made.iterdir()) == sorted(FILES)
    assert list(differences(w2x.load(made), as_stored(model))) == []
    assert (made / "model.safetensors").stat().st_size - byte_count(model.transformer) < 10_000
    assert sum(tensor.nbytes for tensor in state(model.transformer).values()) == byte_count(model.transformer)


def test_the_same_model_gives_the_same_bytes(model: w2x.Model, made: Path, tmp_path: Path):
    write_folder(w2x.load(made), tmp_path / "model")
    for name in FILES:
        assert (tmp_path / "model" / name).read_bytes() == (made / name).read_bytes(), name


# -- what Hugging Face makes of it ----------------------------------------------------------------------------------


def decoded(model: w2x.Model, engine: str, prompt: str, limit: int) -> list[int]:
    """Prefix, prompt, and what the engine decodes up to a stop."""
    names = model.transformer.vocabulary
    ids, stops = [names.index(word) for word in prompt.split()], [n == "H" or n.startswith("T.") for n in names]
    decoder = engine_class(engine)(model.transformer)
    decoder.append(np.array(ids))
    return [*model.transformer.prefix.tolist(), *ids, *decoder.decode(np.array(stops), limit).tolist()]


@pytest.fixture(scope="module")
def stranger() -> Iterator[Stranger]:
    """A process that cannot import this project."""
    pytest.importorskip("transformers")
    with Stranger() as process:
        yield process


def test_a_process_without_this_project_decodes_the_same_tokens(model: w2x.Model, made: Path, stranger: Stranger):
    prompts = ["I.0 D1.3 D0.200 D0.7", "I.1 D0.5"]
    found = stranger.generate(made, prompts, count=40)
    assert (found["class"], found["dtype"]) == ("LlamaForCausalLM", "torch.float64")
    wanted = [decoded(model, "torch", prompt, 40) for prompt in prompts]
    assert wanted == [decoded(model, "hf", prompt, 40) for prompt in prompts]
    for row, text, expected in zip(found["tokens"], found["texts"], wanted, strict=True):
        assert unfilled(model, row, len(expected)) == expected
        assert text.split() == [model.transformer.vocabulary[token] for token in row]
    assert [len(row) for row in found["asked"]] == [len(model.transformer.prefix) + 4] * 2


def unfilled(model: w2x.Model, row: list[int], count: int) -> list[int]:
    """`count` tokens from the first one that begins a sequence on. All around are halts, which fill a batch up."""
    start = row.index(int(model.transformer.prefix[0]))
    around = {*row[:start], *row[start + count :]}
    assert around <= {model.transformer.vocabulary.index("H")}
    return row[start : start + count]


@pytest.mark.parametrize("program", ["gcd", "fnv1a", "dispatch_vm"])
def test_programs_as_folders(program: str, stranger: Stranger):
    """More of them: python -m tests.hf."""
    (case,) = (case for case in load_programs() if case.id == program)
    found = compare(stranger, case, CASES[program], "eager" if program == "gcd" else "sdpa")
    assert found["wrong"] is None and found["tokens"] > 10


def test_a_batch_is_filled_up_on_the_left(stranger: Stranger, tmp_path: Path):
    """Positions come out of attention: what is masked does not count."""
    source = """(module (func (export "sum") (param i32 i32 i32) (result i32)
      (i32.add (local.get 0) (i32.add (local.get 1) (local.get 2)))))"""
    model = w2x.compile(source)
    w2x.save_folder(model, tmp_path / "model")
    calls = [(1, 2, 3), (2**31, 2**20, -7), (300, 0, 0)]
    runs = [w2x.Instance(model).invoke("sum", *call) for call in calls]
    names = model.transformer.vocabulary
    found = stranger.generate(tmp_path / "model", [" ".join(names[t] for t in run.prompt) for run in runs])
    for row, run in zip(found["tokens"], runs, strict=True):
        whole = [*model.transformer.prefix, *run.prompt, *run.tokens]
        assert unfilled(model, row, len(whole)) == whole
        (call,) = read_calls(model, np.array(row, np.int32))
        assert call.run is not None and call.run.values == run.values


def test_the_class_in_memory_is_the_one_from_the_folder(model: w2x.Model, made: Path):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    ours, theirs = w2x.to_hf(model), transformers.AutoModelForCausalLM.from_pretrained(made, dtype=torch.float64)
    weights, expected = ours.state_dict(), theirs.state_dict()
    assert weights.keys() == expected.keys() and all(torch.equal(weights[name], expected[name]) for name in weights)
    buffers, expected = dict(ours.named_buffers()), dict(theirs.named_buffers())
    assert buffers.keys() == expected.keys() and all(torch.equal(buffers[name], expected[name]) for name in buffers)
    assert (
        ours.config.to_dict().items()
        >= {k: v for k, v in json.loads((made / "config.json").read_text()).items() if k != "architectures"}.items()
    )
    assert ours.generation_config.eos_token_id == theirs.generation_config.eos_token_id
    assert ours.generation_config.max_length == theirs.generation_config.max_length == 2**24  # without a certificate


def test_logits_are_those_of_the_definition(model: w2x.Model):
    """To the last bit but one: sums are formed in another order."""
    torch = pytest.importorskip("torch")
    from wasm2xformer.runtime.torch_engine import TorchEngine

    ids = np.concatenate([model.transformer.prefix, [5, 6, 7]])
    reference = TorchEngine(model.transformer, read_prefix=False).forward(ids)
    found = w2x.to_hf(model)(torch.from_numpy(ids.astype(np.int64))[None]).logits[0]
    torch.testing.assert_close(found, reference, rtol=1e-12, atol=1e-12)
    other = replace(model, transformer=replace(model.transformer, float32_reads=False)).transformer
    exact = TorchEngine(other, read_prefix=False).forward(ids)
    assert (found - exact).abs().max() > 1e-9  # the rounding of reads shows


@pytest.mark.parametrize("probe", ["some", "last"])
def test_engines_see_the_same_residual_stream(model: w2x.Model, probe: str):
    pytest.importorskip("transformers")
    seen = []
    for name in ("torch", "hf"):
        engine = engine_class(name)(model.transformer, probe)
        engine.append(np.array([1, 2, 3]))
        engine.decode(np.zeros(len(model.transformer.vocabulary), bool), 5)
        seen.append(np.concatenate(engine.probed))
        assert len(seen[-1]) == engine.position
    np.testing.assert_allclose(seen[0], seen[1], rtol=1e-12, atol=1e-12)


def test_the_certificate_is_kept(model: w2x.Model, made: Path, monkeypatch: pytest.MonkeyPatch):
    for module in ("torch_engine", "hf_engine"):  # random weights have none
        monkeypatch.setattr(f"wasm2xformer.runtime.{module}.check_certificate", lambda model: None)
    short = (HeadBound("short", "uniform", len(model.transformer.prefix) + 10, partial=1.0),)
    bounded = replace(model, transformer=replace(model.transformer, certificate=short))
    for name in ("torch", "hf"):
        engine = engine_class(name)(bounded.transformer)
        with pytest.raises(RuntimeError, match=r"exact only up to .* \(head short\)"):
            engine.decode(np.zeros(len(model.transformer.vocabulary), bool), 11)
    assert w2x.to_hf(bounded).generation_config.max_length == short[0].tokens


# -- the tokenizer ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tokenizer(made: Path) -> Any:
    return pytest.importorskip("transformers").AutoTokenizer.from_pretrained(made)


def test_tokenizer(model: w2x.Model, tokenizer: Any):
    t = model.transformer
    names = ["I.0", "D1.1", "D0.7", "H", "T.unreachable", "BOS"]
    ids = tokenizer("  I.0 D1.1\nD0.7\tH T.unreachable BOS ").input_ids
    assert ids == [*t.prefix, *map(t.vocabulary.index, names)]
    assert tokenizer.decode(ids).split()[len(t.prefix) :] == names
    assert tokenizer.decode(ids, skip_special_tokens=True).split()[-2:] == ["D0.7", "T.unreachable"]
    assert len(tokenizer) == len(t.vocabulary) and tokenizer.model_max_length == 2**24
    for word in ("D0.256", "I.99", "HH", "h", "[UNK]", "D0.1D0.2"):
        with pytest.raises(Exception, match="WordLevel error"):
            tokenizer(word)


def chat(tokenizer: Any, *contents: str) -> str:
    messages = [{"role": "user" if i % 2 == 0 else "assistant", "content": text} for i, text in enumerate(contents)]
    return tokenizer.apply_chat_template(messages, tokenize=False).removeprefix("<prefix> ")


ENTRY = {"gcd": "I.0", "wide": "I.1"}


@pytest.mark.parametrize(
    ("contents", "prompt"),
    [
        (["gcd 3528 3780"], "I.0 D1.13 D0.200 D1.14 D0.196"),
        (["gcd 0 -1"], "I.0 D0.0 D3.255 D2.255 D1.255 D0.255"),
        (["  gcd\n4294967295   -2147483648 "], "I.0 D3.255 D2.255 D1.255 D0.255 D3.128 D2.0 D1.0 D0.0"),
        (["wide -9223372036854775808"], "I.1 D7.128 D6.0 D5.0 D4.0 D3.0 D2.0 D1.0 D0.0"),
        (["wide 18446744073709551615"], "I.1 " + " ".join(f"D{p}.255" for p in range(7, -1, -1))),
        (["gcd 1 2", "N D0.252", "wide 256"], "I.0 D0.1 D0.2 N D0.252 H I.1 D1.1 D0.0"),
        (["gcd 1 2", "N T.unreachable", "wide 7"], "I.0 D0.1 D0.2 N T.unreachable I.1 D0.7"),
        (['a "quoted" {{ name }}\U0001f600'], None),
    ],
)
def test_a_message_is_a_call(model: w2x.Model, tokenizer: Any, contents: list[str], prompt: str | None):
    if prompt is None:  # names with blanks cannot be said in a message
        with pytest.raises(Exception, match='there are: a "quoted" '):
            chat(tokenizer, *contents)
        return
    numbers = {name: f"I.{k}" for k, (name, _) in enumerate(model.entries)}
    for name, written in ENTRY.items():
        prompt = prompt.replace(f"{written} ", f"<{name}> ")
    for name in ENTRY:
        prompt = prompt.replace(f"<{name}>", numbers[name])
    assert chat(tokenizer, *contents) == prompt
    ids = tokenizer.apply_chat_template([{"role": "user", "content": contents[0]}], return_dict=True)["input_ids"]
    assert ids[: len(model.transformer.prefix)] == model.transformer.prefix.tolist()


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("gcd 1", "gcd takes 2 arguments, got 1"), ("gcd 1 x", "gcd: argument 2 is x, expected i32"),
        ("gcd 4294967296 1", "gcd: argument 1 is 4294967296, expected i32"), ("gcd 1 -2147483649", "argument 2 is -2147483649"),
        ("wide 18446744073709551616", "expected i64"), ("gcd 1.0 2", "argument 1 is 1.0"), ("gcd 007 2", "argument 1 is 007"),
        ("gcd \u0661 2", "argument 1 is \u0661"), ("", "a message is a function and its arguments"), ("lcm 1 2", "there are: "),
        ("float 1.5", "float: its arguments are not all integers; `wasm2xformer prompt` writes the tokens of its call"),
    ],
)  # fmt: skip
def test_a_message_that_is_no_call_is_refused(tokenizer: Any, message: str, words: str):
    with pytest.raises(pytest.importorskip("jinja2").TemplateError) as error:
        chat(tokenizer, message)
    assert words in str(error.value)


def test_chats_that_cannot_be(tmp_path: Path):
    transformers = pytest.importorskip("transformers")
    start = '(module (func $s) (start $s) (func (export "f") (result i32) (i32.const 1)))'
    told = """(module (import "wasi_snapshot_preview1" "random_get" (func $r (param i32 i32) (result i32)))
      (memory (export "memory") 1) (func (export "_start") (drop (call $r (i32.const 0) (i32.const 1)))))"""
    for source, call, words in (
        (start, "f", "has a start function"),
        (told, "_start", "_start: it is told what there is to read"),
    ):
        write_folder(random_weights(w2x.compile(source)), tmp_path / "model")
        with pytest.raises(Exception, match=words):
            chat(transformers.AutoTokenizer.from_pretrained(tmp_path / "model"), call)


# -- writing ------------------------------------------------------------------------------------------------------------


def test_what_has_no_stock_form_is_refused(model: w2x.Model, tmp_path: Path):
    t = model.transformer
    layers = [*t.layers[:-1], replace(t.layers[-1], gate=t.layers[-1].gate[:-1])]
    for changed, words in (
        (replace(t, float32_reads=False), "24 bits"), (replace(t, positions=t.positions + 1.0), "positions"),
        (replace(t, layers=layers), "equally many"), (replace(t, layers=[]), "equally many"), (replace(t, head_dim=8), "width 8"),
        (replace(t, vocabulary=["a b", *t.vocabulary[1:]]), "white space"),
    ):  # fmt: skip
        assert words in stock_problem(changed)
        with pytest.raises(w2x.CompileError, match=words):
            write_folder(replace(model, transformer=changed), tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_large_folder_has_to_be_wanted(model: w2x.Model, tmp_path: Path):
    with pytest.raises(w2x.CompileError, match=r"the folder's tensors would be 0\.00 GiB, more than 0\.0001 GiB"):
        write_folder(model, tmp_path / "model", 0.0001)
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_folder_is_replaced_as_a_whole(
    model: w2x.Model, made: Path, path: Path, monkeypatch: pytest.MonkeyPatch
):
    other = random_weights(model, 1)
    monkeypatch.setattr(folders, "card", lambda model, name: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_folder(other, path)
    assert list(path.parent.iterdir()) == [path]
    assert all((path / name).read_bytes() == (made / name).read_bytes() for name in FILES)
    monkeypatch.undo()
    write_folder(other, f"{path}/")
    assert list(path.parent.iterdir()) == [path]
    assert list(differences(w2x.load(path), as_stored(other))) == []
    (path.parent / "empty").mkdir()
    write_folder(model, path.parent / "empty")
    assert w2x.load(path.parent / "empty").entries == model.entries


def add_file(path: Path) -> None:
    (path / "notes").write_text("mine")


def only_config(path: Path) -> None:
    for name in FILES:
        if name != "config.json":
            (path / name).unlink()


def link_inside(path: Path) -> None:
    (path / "README.md").unlink()
    (path / "README.md").symlink_to(path / "config.json")


def folder_inside(path: Path) -> None:
    (path / "README.md").unlink()
    (path / "README.md").mkdir()


def link_to_it(path: Path) -> None:
    path.rename(path.with_name("real"))
    path.symlink_to(path.with_name("real"))


def a_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("mine")


@pytest.mark.parametrize("change", [add_file, only_config, link_inside, folder_inside, link_to_it, a_file])
def test_nothing_else_is_written_over(model: w2x.Model, path: Path, change: Callable[[Path], None]):
    change(path)
    before = sorted(path.parent.rglob("*"))
    with pytest.raises(OSError) as error:
        write_folder(model, path)
    assert error.value.filename == str(path) and error.value.strerror
    assert sorted(path.parent.rglob("*")) == before


# -- reading strangers' folders ------------------------------------------------------------------------------------------


def edit(name: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    """Changes a JSON file."""

    def broken(path: Path) -> None:
        value = json.loads((path / name).read_text())
        (path / name).write_text(json.dumps(change(value)))

    return broken


def tensors(change: Callable[[dict[str, np.ndarray]], Any]) -> Callable[[Path], None]:
    def broken(path: Path) -> None:
        held = load_file(path / "model.safetensors")
        change(held)
        save_file(held, path / "model.safetensors", {"format": "pt"})

    return broken


def remove(name: str) -> Callable[[Path], None]:
    return lambda path: (path / name).unlink()


def instead(name: str, make: Callable[[Path], Any]) -> Callable[[Path], None]:
    def broken(path: Path) -> None:
        (path / name).unlink()
        make(path / name)

    return broken


UP = "model.layers.1.mlp.up_proj.weight"
HOSTILE: list[tuple[str, Callable[[Path], Any], str]] = [
    (
        "no names",
        remove("wasm2xformer.json"),
        "a folder, but not one of wasm2xformer: there is no wasm2xformer.json in it",
    ),
    ("no config", remove("config.json"), "config.json: no such file or directory"),
    ("no weights", remove("model.safetensors"), "model.safetensors: no such file or directory"),
    (
        "a circle of links",
        instead("config.json", lambda p: p.symlink_to(p)),
        "config.json: too many levels of symbolic links",
    ),
    (
        "a link to nothing",
        instead("wasm2xformer.json", lambda p: p.symlink_to("nothing")),
        "wasm2xformer.json: no such file",
    ),
    ("a pipe", instead("wasm2xformer.json", os.mkfifo), "wasm2xformer.json is not a file"),
    ("a pipe for weights", instead("model.safetensors", os.mkfifo), "model.safetensors is not a file"),
    ("a folder", instead("config.json", lambda p: p.mkdir()), "config.json is not a file"),
    ("a device", instead("config.json", lambda p: p.symlink_to("/dev/zero")), "config.json is not a file"),
    ("cut names", lambda p: os.truncate(p / "wasm2xformer.json", 1000), "damaged checkpoint (wasm2xformer.json: "),
    ("cut weights", lambda p: os.truncate(p / "model.safetensors", 9999), "not a safetensors file, or cut short"),
    ("deep", instead("config.json", lambda p: p.write_text("[" * 10**6)), "damaged checkpoint (config.json: "),
    ("no object", instead("config.json", lambda p: p.write_text("[]")), "config.json is no object"),
    (
        "version",
        edit("wasm2xformer.json", lambda v: {**v, "checkpoint": {**v["checkpoint"], "version": 1}}),
        "version 1, this is for",
    ),
    ("more names", edit("wasm2xformer.json", lambda v: {**v, "more": 1}), "contains unknown field `more`"),
    (
        "prefix",
        edit("wasm2xformer.json", lambda v: {**v, "prefix": [10**6, *v["prefix"][1:]]}),
        "prompt.prefix: a token id outside 0 to ",
    ),
    (
        "eps",
        edit("config.json", lambda v: {**v, "rms_norm_eps": 1e-6}),
        "config.json: rms_norm_eps is 1e-06, expected 8.507",
    ),
    (
        "activation",
        edit("config.json", lambda v: {**v, "hidden_act": "silu"}),
        "config.json: hidden_act is silu, expected relu",
    ),
    (
        "rope",
        edit("config.json", lambda v: {**v, "rope_parameters": None}),
        "config.json: rope_parameters is None, expected ",
    ),
    (
        "tied",
        edit("config.json", lambda v: {**v, "tie_word_embeddings": True}),
        "tie_word_embeddings is True, expected False",
    ),
    ("width", edit("config.json", lambda v: {**v, "hidden_size": 25}), "config.json: hidden_size is 25, expected 24"),
    ("missing tensor", tensors(lambda t: t.pop(UP)), f"there is no tensor {UP}"),
    ("another tensor", tensors(lambda t: t.update(x=np.zeros(1))), "a tensor that belongs to nothing: x"),
    ("shape", tensors(lambda t: t.update({UP: t[UP][:-1]})), f"{UP} is F64[6, 24], expected F64[7, 24]"),
    ("type", tensors(lambda t: t.update({UP: t[UP].astype(np.float32)})), f"{UP} is F32[7, 24], expected F64[7, 24]"),
    ("not finite", tensors(lambda t: t[UP].fill(np.nan)), f"{UP} holds values that are not finite"),
    ("norm", tensors(lambda t: t["model.norm.weight"].fill(1.0)), "model.norm.weight is not 2^63 everywhere"),
]


@pytest.mark.skipif(os.name != "posix", reason="pipes and links are POSIX's")
@pytest.mark.parametrize(("breaks", "words"), [h[1:] for h in HOSTILE], ids=[h[0] for h in HOSTILE])
def test_what_is_no_such_folder_is_refused(path: Path, breaks: Callable[[Path], Any], words: str):
    breaks(path)
    with pytest.raises(w2x.CheckpointError) as error:
        w2x.load(path)
    assert words in str(error.value) and "\n" not in str(error.value) and str(error.value).startswith(str(path))


def test_files_may_be_links_as_in_a_cache_of_downloads(model: w2x.Model, path: Path):
    blobs = path.parent / "blobs"
    blobs.mkdir()
    for name in FILES:
        (path / name).rename(blobs / name)
        (path / name).symlink_to(blobs / name)
    assert list(differences(w2x.load(path), as_stored(model))) == []


# -- the command line -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("inspect model", 0, "width of the residual stream"),
        ("prompt model --names --invoke gcd 48 18", 0, "D0.48 D0.18\n"),
        ("decode model/ I.0", 2, "the tokens end before its "),
        ("run model --engine fast --invoke gcd 1 2", 2, "the fast engine refuses this checkpoint: "),
        ("run model --device nothing --invoke gcd 1 2", 2, "device 'nothing': "),
        ("run model --device meta --invoke gcd 1 2", 2, "device 'meta': "),
        ("run model --engine hf --device nothing --invoke gcd 1 2", 2, "device 'nothing': "),
        ("run model --max-tokens 20 --invoke wide 3", 1, "wide: "),
        ("run model --max-tokens 20 --engine hf --invoke wide 3", 1, "wide: "),
        ("run file --engine hf --invoke f", 0, "1\n"),
        ("run f.wat --engine hf --invoke f", 0, "1\n"),
        ("run file --stock --engine torch --invoke f", 0, "1\n"),
        ("trace f.wat --stock --invoke f", 0, "= 1: "),
        ("verify f.wat --model file --stock --engine torch --invoke f", 0, "no difference"),
        ("verify f.wat --stock --replay --invoke f", 2, "reads rounded to float32"),
        ("verify model --invoke f", 2, "model is a checkpoint; verify needs the program"),
        ("run . --invoke f", 2, ": is a directory"),
        ("f.wat -o other", 2, "-o other: the folder is not empty, and holds no wasm2xformer.json; choose another"),
        ("f.wat -o file/", 2, "-o file/: a file, not a folder"),
        ("f.wat -o nowhere/model/", 2, "-o nowhere/model/: nowhere: no such folder"),
        ("f.wat -o file/model/", 2, "-o file/model/: file: no such folder"),
        ("f.wat -o /", 2, "-o /: "),
        ("f.wat -o .", 2, "-o .: "),
        ("f.wat -o new.safetensors --max-size-gib 1", 2, "--max-size-gib is for a folder (-o FOLDER/)"),
        ("f.wat -o new/ --max-size-gib 0", 2, "'0' is no number above 0"),
    ],
)  # fmt: skip
def test_commands(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: str,
    code: int,
    words: str,
):
    monkeypatch.chdir(path.parent)
    Path("f.wat").write_text('(module (func (export "f") (result i32) (i32.const 1)))')
    w2x.compile(Path("f.wat")).save("file")
    Path("other").mkdir()
    Path("other/config.json").write_text("{}")
    capfd.readouterr()
    assert main(arguments.split()) == code
    out, err = capfd.readouterr()
    assert words in out + err and (code == 0 or err.count("\n") == 1), err
    assert Path("file").is_file() and not Path("new").exists()
