"""A folder with experts is read back: what it is, what decodes it, and what of a stranger's or a changed one is refused."""

from __future__ import annotations

import copy
import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stock_models import WIDTH, random_weights

import wasm2xformer as w2x
from tests.programs import FOLDER, load_programs
from tests.test_folder import HOSTILE, as_stored, edit, tensors
from wasm2xformer.compiler.format.mixture import NO_NEURON, Mixture, MixtureLayer, OperationExpert
from wasm2xformer.compiler.format.sparse import SparseRows
from wasm2xformer.compiler.huggingface.folder import FILES
from wasm2xformer.compiler.huggingface.mixture_folder import read_mixture, write_mixture
from wasm2xformer.compiler.mixture_form import mixture_form
from wasm2xformer.compiler.stock_form import stock_form
from wasm2xformer.runtime.check.same import differences
from wasm2xformer.runtime.cli import main

WAT = str(FOLDER / "i32" / "gcd.wat")
COUNT, OWN = 3, 4


@pytest.fixture(scope="module")
def gcd() -> w2x.Model:
    return w2x.compile(next(p for p in load_programs() if p.id == "gcd").module())


@pytest.fixture(scope="module")
def made(gcd: w2x.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mixture") / "model"
    w2x.save_folder(gcd, path, moe=True)
    return path


@pytest.fixture(scope="module")
def loaded(made: Path) -> w2x.Model:
    return w2x.load(made)


@pytest.fixture
def path(made: Path, tmp_path: Path) -> Path:
    """A copy that may be changed."""
    return Path(shutil.copytree(made, tmp_path / "model"))


def random_mixture(model: w2x.Model) -> tuple[w2x.Model, Mixture]:
    """Experts, routers and all else at random, but slot 0, which is 1 and stays so; the last layer has no experts."""
    shared, rng = random_weights(model), np.random.default_rng(1)
    t = shared.transformer
    embed = t.embed.dense()
    embed[:, 0] = 1
    shared = replace(shared, transformer=replace(t, embed=SparseRows.of(embed)))
    for y in t.layers:
        y.o[0], y.down[0] = 0, 0

    def layer() -> MixtureLayer:
        shapes = ((COUNT, WIDTH), (COUNT, OWN, WIDTH), (COUNT, OWN, WIDTH), (COUNT, WIDTH, OWN))
        return MixtureLayer(
            *(0.2 * rng.normal(size=s) for s in shapes), [[f"neuron {e}.{i}" for i in range(e)] for e in range(COUNT)]
        )

    layers = [layer() for _ in shared.transformer.layers[1:]]
    for y in layers:
        y.down[:, 0] = 0
    experts = [OperationExpert(f"expert {e}", ("i32.add",) * (e > 0)) for e in range(COUNT)]
    steps = np.arange(len(model.program.steps)) % COUNT
    return shared, Mixture(shared.transformer, [*layers, None], experts, steps)


# -- what is read ----------------------------------------------------------------------------------------------------


def test_what_is_read_is_what_was_written(gcd: w2x.Model, loaded: w2x.Model, made: Path, tmp_path: Path):
    expected = mixture_form(gcd)
    assert list(differences(loaded.mixture, replace(expected, steps=expected.steps.astype(np.int64)))) == []
    assert (
        list(differences(replace(loaded, mixture=None), as_stored(replace(gcd, transformer=expected.joined())))) == []
    )
    w2x.save_folder(loaded, tmp_path / "model", moe=True)
    for name in FILES:
        assert (tmp_path / "model" / name).read_bytes() == (made / name).read_bytes(), name


def test_a_mixture_of_any_weights_is_read_as_it_is(gcd: w2x.Model, tmp_path: Path):
    model, mixture = random_mixture(gcd)
    write_mixture(model, mixture, tmp_path / "model")
    found, again = read_mixture(tmp_path / "model")
    assert list(differences(again, mixture)) == []
    assert list(differences(found, as_stored(model))) == []


def test_joined_experts_are_the_neurons_of_the_dense_form(gcd: w2x.Model, loaded: w2x.Model):
    """Each once, although some stand in several experts; slots are cleared at other places."""

    def named(model: w2x.Model) -> Counter[str]:
        names = Counter(name for y in model.transformer.layers for name in y.neuron_names)
        return Counter({name: n for name, n in names.items() if name != NO_NEURON and not name.startswith("erase ")})

    assert named(loaded) == named(replace(gcd, transformer=stock_form(gcd)))
    own = Counter(name for y in loaded.mixture.layers if y for e in y.neuron_names for name in e)
    assert own.total() > len(own) > 0


def test_joining_adds_up_what_all_experts_do(gcd: w2x.Model):
    _, m = random_mixture(gcd)
    m.layers[0].gate[2, 1], m.layers[0].up[2, 1], m.layers[0].down[2, :, 1] = (
        m.layers[0].gate[1, 3], m.layers[0].up[1, 3], m.layers[0].down[1, :, 3],
    )  # fmt: skip
    t, x = m.joined(), np.random.default_rng(2).normal(size=WIDTH)

    def mlp(gate: np.ndarray, up: np.ndarray, down: np.ndarray) -> np.ndarray:
        return down @ (np.maximum(gate @ x, 0) * (up @ x))

    for index, (y, shared, experts) in enumerate(zip(t.layers, m.shared.layers, m.layers, strict=True)):
        expected = mlp(shared.gate, shared.up, shared.down)
        if experts is not None:
            expected = expected + sum(mlp(experts.gate[e], experts.up[e], experts.down[e]) for e in range(COUNT))
        if index == 0:  # this neuron is of two experts
            expected = expected - mlp(experts.gate[1, 3:], experts.up[1, 3:], experts.down[1, :, 3:])
        assert np.allclose(mlp(y.gate, y.up, y.down), expected, atol=1e-12)
        assert len(y.gate) == len(y.neuron_names) == len(shared.gate) + COUNT * OWN - (index == 0) * (len(y.gate) < 19)


# -- what decodes it -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["fast", "auto", "torch", "hf"])
def test_every_engine_decodes_it(gcd: w2x.Model, loaded: w2x.Model, engine: str):
    if engine in ("torch", "hf"):
        pytest.importorskip("torch" if engine == "torch" else "transformers")
    wanted, vm = w2x.Instance(gcd), w2x.Instance(loaded, engine)
    for call in (("gcd", 48, 18), ("lcm", 4, 6)):
        assert np.array_equal(vm.invoke(*call).tokens, wanted.invoke(*call).tokens)


@pytest.mark.parametrize("engine", ["torch", "hf"])
def test_torch_and_hf_decode_the_mixture_itself(gcd: w2x.Model, loaded: w2x.Model, engine: str):
    """With the multiplier's weights gone, lcm goes wrong at the product, although `transformer` still has them."""
    pytest.importorskip("transformers")
    m = loaded.mixture
    number = next(e for e, expert in enumerate(m.experts) if "i32.mul" in expert.operations)
    layers = [y and replace(y, down=y.down * (np.arange(len(m.experts)) != number)[:, None, None]) for y in m.layers]
    changed = Mixture(replace(m.shared, certificate=()), layers, m.experts, m.steps)  # it promises nothing any more
    vm = w2x.Instance(replace(loaded, mixture=changed), engine)
    assert vm.invoke("gcd", 48, 18).values == [6]
    assert vm.invoke("lcm", 4, 6, max_tokens=100).values != [12]


def test_the_definition_of_a_mixture_computes_what_the_stock_class_does(gcd: w2x.Model):
    pytest.importorskip("transformers")
    import torch

    from wasm2xformer.runtime.hf_engine import qwen
    from wasm2xformer.runtime.mixture_engine import MixtureEngine

    _, m = random_mixture(gcd)
    tokens = np.random.default_rng(3).integers(0, len(m.shared.vocabulary), 40)
    with torch.no_grad():
        expected = qwen(m)(torch.as_tensor(tokens)[None]).logits[0].numpy()
    for sparse in (True, False):
        one, all_ = (MixtureEngine(m, read_prefix=False, sparse=sparse) for _ in range(2))
        single = np.concatenate([one.forward(tokens[k : k + 1]).numpy() for k in range(len(tokens))])
        assert np.allclose(single, expected, atol=1e-9) and np.allclose(
            all_.forward(tokens).numpy(), expected, atol=1e-9
        )


@pytest.mark.parametrize("moe", [False, True])
def test_an_object_of_the_stock_class_has_weights_of_its_own(loaded: w2x.Model, moe: bool):
    pytest.importorskip("transformers")
    kept, stock = copy.deepcopy(loaded), w2x.to_hf(loaded, moe=moe)
    for weights in stock.parameters():
        weights.data.zero_()
    changed = next(differences(loaded, kept), "")
    assert not changed


# -- what is refused -------------------------------------------------------------------------------------------------


def first_expert(kind: str) -> str:
    return f"model.layers.22.mlp.experts.5.{kind}.weight"


def nudge(name: str) -> Callable[[Path], None]:
    def change(held: dict[str, np.ndarray]) -> None:
        held[name] = held[name].copy()
        held[name].flat[held[name].size // 2] += 0.5

    return tensors(change)


def names(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """Changes what wasm2xformer.json says of the experts."""

    def changed(value: dict[str, Any]) -> dict[str, Any]:
        return {**value, "mixture": value["mixture"] | change(value["mixture"])}

    return edit("wasm2xformer.json", changed)


def renamed(mixture: dict[str, Any]) -> dict[str, Any]:
    return {"experts": [{**expert, "name": "x"} for expert in mixture["experts"]]}


def other_step(mixture: dict[str, Any]) -> dict[str, Any]:
    return {"step_experts": [0, *mixture["step_experts"][1:]]}


ROUTER = "model.layers.22.mlp.gate.weight"
CHANGED: list[tuple[str, Callable[[Path], None]]] = [
    (first_expert("gate_proj"), nudge(first_expert("gate_proj"))),
    (first_expert("up_proj"), nudge(first_expert("up_proj"))),
    (first_expert("down_proj"), nudge(first_expert("down_proj"))),
    (ROUTER, nudge(ROUTER)),
    ("model.layers.9.mlp.shared_expert.up_proj.weight", nudge("model.layers.9.mlp.shared_expert.up_proj.weight")),
    ("model.layers.3.self_attn.q_proj.weight", nudge("model.layers.3.self_attn.q_proj.weight")),
    ("lm_head.weight", nudge("lm_head.weight")),
    ("wasm2xformer.json", names(renamed)),
    ("wasm2xformer.json", names(other_step)),
]


@pytest.mark.parametrize(("part", "change"), CHANGED, ids=[f"{k} {part}" for k, (part, _) in enumerate(CHANGED)])
def test_what_is_not_the_compilers_is_not_joined(path: Path, part: str, change: Callable[[Path], None]):
    change(path)
    with pytest.raises(w2x.CheckpointError) as error:
        w2x.load(path)
    assert str(error.value).startswith(f"{path}: {part} is not as the compiler makes it") and "\n" not in str(
        error.value
    )


def test_the_tools_take_a_changed_mixture_as_it_is(path: Path):
    pytest.importorskip("transformers")
    from wasm2xformer.runtime import moe

    def without(held: dict[str, np.ndarray]) -> None:
        held.update({name: 0 * t for name, t in held.items() if name.endswith("experts.5.down_proj.weight")})

    name = moe.open(path).mixture.experts[5].name
    tensors(without)(path)
    model = moe.open(path)
    assert all(not block.experts.down_proj[5].any() for block in model.blocks) and model.mixture.experts[5].name == name


def changed(part: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    """Changes all tensors whose name has this part."""
    return tensors(lambda held: held.update({name: np.array(change(t)) for name, t in held.items() if part in name}))


def one_neuron_less(tensor: np.ndarray) -> np.ndarray:
    return tensor[:, :10] if tensor.shape[1] == 11 else tensor[:10]


# Of the changes that a dense folder is refused for.
ALSO = ("no weights", "a pipe", "cut names", "cut weights", "more names", "prefix", "eps", "another tensor")
HOSTILE_EXPERTS: list[tuple[str, Callable[[Path], Any], str]] = [
    ("no experts", names(lambda m: {"experts": [], "step_experts": []}), "mixture.experts: there is none"),
    ("one step less", names(lambda m: {"step_experts": m["step_experts"][1:]}), "mixture.step_experts: 23 for 24 steps"),
    ("expert 9", names(lambda m: {"step_experts": [9] * 24}), "mixture.step_experts: an expert outside 0 to 8"),
    ("one layer less", names(lambda m: {"layers": m["layers"][1:]}), "mixture.layers: 22 for 23 layers"),
    ("one expert's names less", names(lambda m: {"layers": [y and y[1:] for y in m["layers"]]}), "8 for 9 experts"),
    ("too many names", names(lambda m: {"layers": [y and [["n"] * 99] * 9 for y in m["layers"]]}), "99 names for 11 neurons"),
    ("more experts", names(lambda m: {"experts": m["experts"] * 2, "layers": [y and y * 2 for y in m["layers"]]}),
     "gate.weight is F64[9, 98], expected F64[18, 98]"),
    ("no layer with experts", names(lambda m: {"layers": [None] * 23}), "there is no tensor model.layers.6.mlp.gate_proj.weight"),
    ("more said", names(lambda m: {"more": 1}), "contains unknown field `more`"),
    ("a name that is none", names(lambda m: {"experts": [{"name": 1, "operations": []}] * 9}), "Expected `str`"),
    ("no metadata", edit("wasm2xformer.json", lambda v: {k: x for k, x in v.items() if k != "checkpoint"}), "`checkpoint`"),
    ("top-2", edit("config.json", lambda v: {**v, "num_experts_per_tok": 2}), "num_experts_per_tok is 2, expected 1"),
    ("another implementation", edit("config.json", lambda v: {**v, "experts_implementation": "grouped_mm"}), "expected eager"),
    ("the shared expert's weight", changed("22.mlp.shared_expert_gate.weight", lambda t: t + 1),
     "shared_expert_gate.weight is not 64 at slot 0 alone"),
    ("an expert's shape", changed("22.mlp.experts.5.up_proj.weight", lambda t: t[1:]), "is F64[10, 98], expected F64[11, 98]"),
    ("experts of a layer", changed("22.mlp.experts", one_neuron_less),
     "experts of 10 and of 11 neurons"),
    ("no rows", changed("22.mlp.experts.0.gate_proj.weight", lambda t: t[0, 0]), "is F64[], "),
    ("an expert is not finite", tensors(lambda t: t[first_expert("up_proj")].fill(np.inf)), "holds values that are not finite"),
    ("an expert is missing", tensors(lambda t: t.pop(first_expert("up_proj"))), f"there is no tensor {first_expert('up_proj')}"),
    ("no names", lambda p: (p / "wasm2xformer.json").unlink(), "there is no wasm2xformer.json in it"),
    ("not JSON", lambda p: (p / "wasm2xformer.json").write_bytes(b"\xff"), "wasm2xformer.json: "),
    *(h for h in HOSTILE if h[0] in ALSO),
]  # fmt: skip


@pytest.mark.parametrize(("breaks", "words"), [h[1:] for h in HOSTILE_EXPERTS], ids=[h[0] for h in HOSTILE_EXPERTS])
def test_what_is_no_such_folder_is_refused(path: Path, breaks: Callable[[Path], Any], words: str):
    breaks(path)
    with pytest.raises(w2x.CheckpointError) as error:
        w2x.load(path)
    assert words in str(error.value) and "\n" not in str(error.value) and str(error.value).startswith(str(path))


# -- the command line ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("run model --invoke gcd 48 18 --invoke lcm 4 6", 0, "6\n12\n"),
        ("trace model --invoke gcd 48 18", 0, "i32.rem_u"),
        (f"verify {WAT} --model model --invoke lcm 4 6", 0, "no difference"),
        ("inspect model", 0, "experts in the folder, joined in what is shown"),
        ("prompt model --names --invoke gcd 48 18", 0, "I.0 D0.48 D0.18\n"),
        ("circuits model -o graph.json", 0, "graph.json: 21 layers"),
        ("moe weights model --layer 22", 0, "i32.mul"),
        ("moe ablate model --expert i32.mul --invoke gcd 48 18", 0, "15 of 15"),
    ],
)
def test_commands(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: str,
    code: int,
    words: str,
):
    if arguments.startswith("moe"):
        pytest.importorskip("transformers")
    monkeypatch.chdir(path.parent)
    assert main(arguments.split()) == code
    out, err = capfd.readouterr()
    assert words in out and not err, (out, err)
    if arguments.startswith("circuits"):
        assert "m22" not in json.loads(Path("graph.json").read_text())["nodes"]


def test_verify_says_in_what_a_folder_of_another_program_differs(
    path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(path.parent)
    Path("other.wat").write_text(Path(WAT).read_text().replace("i32.mul", "i32.add"))
    assert main(["verify", "other.wat", "--model", "model", "--invoke", "gcd", "48", "18"]) == 1
    assert "model is DIFFERENT from what other.wat compiles to: " in capfd.readouterr().out
