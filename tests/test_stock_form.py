"""The stock form: the same tokens as the fast engine's, and as unmodified transformers classes compute them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

import wasm2xformer as w2x
from tests.programs import load_programs
from tests.stock_ranges import Recorder, parts, violations
from wasm2xformer.compiler.compile import compile_steps, realise
from wasm2xformer.compiler.format.checkpoint import CheckpointError, Model, load
from wasm2xformer.compiler.format.errors import CompileError
from wasm2xformer.compiler.format.transformer import Transformer
from wasm2xformer.compiler.graph import Graph, build
from wasm2xformer.compiler.graph.ranges import Range
from wasm2xformer.compiler.graph.stock import LAST, StockGraph
from wasm2xformer.compiler.machine.assemble import assemble
from wasm2xformer.compiler.machine.machine import machine
from wasm2xformer.compiler.machine.tokens import fill
from wasm2xformer.compiler.options import CompileOptions
from wasm2xformer.compiler.stock_form import stock_form
from wasm2xformer.runtime.check.replay import ReplayError, replay
from wasm2xformer.runtime.check.verify import Verifier
from wasm2xformer.runtime.fast.engine import FastEngine
from wasm2xformer.runtime.torch_engine import TorchEngine

BINARY = '(module (func (export "f") (param {t} {t}) (result {t}) (local.get 0) (local.get 1) ({op})))'
GROW = """(module (memory 1 3) (func (export "f") (param i32 i32) (result i32)
  (i32.store offset=65532 (i32.const 0) (local.get 0)) (drop (memory.grow (local.get 1)))
  (i32.store8 offset=65536 (i32.const 4) (i32.const 258))
  (i32.add (i32.load16_s offset=65540 (i32.const 0)) (i32.load offset=65530 (i32.const 2)))))"""
UNWRITTEN = """(module (memory 1) (func (export "f") (param i32) (result i32) (i32.load8_u (local.get 0))))"""
TABLE = """(module (table funcref (elem $a $b)) (type $t (func (param i32) (result i32)))
  (func $a (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
  (func $b (param i32) (result i32) (i32.rotl (local.get 0) (i32.const 9)))
  (func (export "f") (param i32 i32) (result i32)
    (block $x (block $y (block $z (br_table $z $y $x (local.get 0)))
      (local.set 1 (call_indirect (type $t) (local.get 1) (i32.const 0))))
      (local.set 1 (call_indirect (type $t) (local.get 1) (i32.const 1))))
    (local.get 1)))"""
CASES = {
    "i32.mul": (BINARY.format(t="i32", op="i32.mul"), [(0x89ABCDEF, 0xFEDCBA98), (0, 7)]),
    "i32.rem_s": (BINARY.format(t="i32", op="i32.rem_s"), [(-(2**31), 7), (1000, -3), (5, 0)]),
    "i32.div_u": (BINARY.format(t="i32", op="i32.div_u"), [(2**32 - 1, 2**31), (2**32 - 1, 257), (7, 1)]),
    "i64.mul": (BINARY.format(t="i64", op="i64.mul"), [(-1, -1), (0x123456789ABCDEF, 0xFEDCBA987654321)]),
    "i64.div_s": (BINARY.format(t="i64", op="i64.div_s"), [(-(10**15), 10**4), (-(2**63), -1), (2**63 - 1, 2**32 - 1)]),
    "i64.div_u": (BINARY.format(t="i64", op="i64.div_u"), [(-1, 255), (2**63, 2**32 + 1), (5, 0)]),
    "i64.rem_s": (BINARY.format(t="i64", op="i64.rem_s"), [(-(2**63), 2**31), (-1 << 40, 3), (2**62, -(2**31 - 1))]),
    "i64.shr_s": (BINARY.format(t="i64", op="i64.shr_s"), [(-(10**15), 13), (2**63 - 1, 62)]),
    "i32.xor": (BINARY.format(t="i32", op="i32.xor"), [(0x0F0F1234, 0x33335555)]),
    "f32.add": (BINARY.format(t="f32", op="f32.add"), [(1.5, -0.125)]),
    "memory": (GROW, [(0x01020384, 1), (-1, 0)]),
    "unwritten": (UNWRITTEN, [(0,), (1,)]),
    "table": (TABLE, [(0, 1), (1, 0x80000001), (9, 5)]),
}


def stock(model: w2x.Model) -> Transformer:
    return stock_form(model)


def calls(model: w2x.Model, calls: list[tuple], limit: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """All tokens of these calls of f, the prefix included, from the fast engine; and where the model chose them."""
    vm = w2x.Instance(model)
    tokens, chosen = [model.transformer.prefix], [np.zeros(len(model.transformer.prefix), dtype=bool)]
    for arguments in calls:
        try:
            run = vm.invoke("f", *arguments, max_tokens=limit)
        except w2x.Trap as trap:
            run = trap.run
        tokens += [run.prompt, run.tokens]
        chosen += [np.zeros(len(run.prompt), dtype=bool), np.ones(len(run.tokens), dtype=bool)]
    return np.concatenate(tokens), np.concatenate(chosen)


def wrong(logits: torch.Tensor, tokens: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Positions of tokens that the model chose and these logits, cast to float32 as generate() does, do not."""
    greedy = logits.to(torch.float32).argmax(-1).numpy()
    return np.flatnonzero(chosen[1:] & (greedy[:-1] != tokens[1:])) + 1


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("name", CASES)
def test_it_decodes_what_the_fast_engine_decodes(name: str, level: int) -> None:
    source, arguments = CASES[name]
    model = w2x.compile(source, level)
    form, (tokens, chosen) = stock_form(model), calls(model, arguments)
    assert chosen.sum() >= 2 * len(arguments)
    assert not len(wrong(TorchEngine(form, read_prefix=False).forward(tokens), tokens, chosen))


def test_far_jumps_are_decided_too() -> None:
    model = realise(*compile_steps(TABLE), single_jumps=0)
    form, (tokens, chosen) = stock_form(model), calls(model, CASES["table"][1])
    names = {model.transformer.vocabulary[t].split(".")[0] for t in tokens}
    assert {"X", "Y", "Z", "F"} <= names
    assert not len(wrong(TorchEngine(form, read_prefix=False).forward(tokens), tokens, chosen))


@cache
def gcd() -> w2x.Model:
    (program,) = (p for p in load_programs() if p.id == "gcd")
    return w2x.compile(program.module())


def test_it_has_the_shape_of_a_llama() -> None:
    form = stock_form(gcd())
    assert not form.positions.any() and form.float32_reads and form.head_dim == 16
    shapes = {tuple(getattr(y, m).shape for m in ("q", "k", "v", "o", "gate", "up", "down")) for y in form.layers}
    assert len(shapes) == 1
    assert form.vocabulary == gcd().transformer.vocabulary
    assert np.array_equal(form.prefix, gcd().transformer.prefix)
    assert form.envelope == LAST == 2**24 - 1
    assert form.width % (len(form.layers[0].q) // 16) == 0


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_transformers_own_class_computes_it(attention: str) -> None:
    """Logits equal to the torch engine's at every position behind the byte table; eager attention has a softmax in float32, which
    is exact in these lookups too."""
    pytest.importorskip("transformers")
    from tests.llama import llama

    form = stock_form(gcd())
    vm = w2x.Instance(gcd())
    run = vm.invoke("gcd", 3528, 3780)
    tokens = np.concatenate([form.prefix, run.prompt, run.tokens])
    with torch.no_grad():
        logits = llama(form, attention)(torch.from_numpy(tokens.astype(np.int64))[None]).logits[0]
    assert logits.dtype == torch.float64
    behind = slice(len(form.prefix), None)
    assert torch.equal(logits[behind], TorchEngine(form, read_prefix=False).forward(tokens)[behind])
    chosen = np.arange(len(tokens)) >= len(tokens) - len(run.tokens)
    assert not len(wrong(logits, tokens, chosen))


def test_generate_runs_a_call() -> None:
    pytest.importorskip("transformers")
    from tests.llama import llama

    form = stock_form(gcd())
    run = w2x.Instance(gcd()).invoke("gcd", 48, 18)
    prompt = torch.from_numpy(np.concatenate([form.prefix, run.prompt]).astype(np.int64))[None]
    end = form.vocabulary.index("H")
    made = llama(form).generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=100, do_sample=False, eos_token_id=end,
        pad_token_id=end,
    )  # fmt: skip
    assert made[0, prompt.shape[1] :].tolist() == run.tokens.tolist()


SAVED = """(module (memory 300) (global $g (mut i64) (i64.const -77)) (global $h (mut i32) (i32.const 0))
  (data (i32.const 3) "abc") (data (i32.const 0x1020304) "\\00d") (data $p "passive")
  (func (export "f") (param i32) (result i64)
    (memory.init $p (i32.const 100) (i32.const 1) (i32.const 3)) (global.set $h (i32.const 0x10000))
    (i64.add (i64.add (global.get $g) (i64.load8_u (local.get 0)))
      (i64.add (i64.const 0x1234567890) (i64.extend_i32_u (i32.load16_u (i32.const 100)))))))"""


@pytest.mark.parametrize("own_tokens", [4096, 0], ids=["tokens", "spelled"])
def test_a_saved_model_has_the_same_stock_form(own_tokens: int, tmp_path) -> None:
    """Segments and initial values are read back from the prefix, whether they have tokens or are spelled in digits."""
    model = realise(*compile_steps(SAVED), own_tokens=own_tokens)
    assert ("A.0" in model.transformer.vocabulary) == (not own_tokens)
    model.save(tmp_path / "a.safetensors")
    first, second = stock_form(model), stock_form(load(tmp_path / "a.safetensors"))
    assert np.array_equal(first.embed.dense(), second.embed.dense())
    assert np.array_equal(first.unembed.dense(), second.unembed.dense())
    for a, b in zip(first.layers, second.layers, strict=True):
        assert all(np.array_equal(getattr(a, m), getattr(b, m)) for m in ("q", "k", "v", "o", "gate", "up", "down"))
    if not own_tokens:
        tokens, chosen = calls(model, [(3,), (0x1020305,)])
        assert not len(wrong(TorchEngine(second, read_prefix=False).forward(tokens), tokens, chosen))


def test_it_says_where_stores_go() -> None:
    """As the one-file form does, from the first byte behind the table on: so a folder's stores and memory are compared too."""
    model = w2x.compile(GROW)
    form = replace(model, transformer=stock_form(model))
    fast, dense = w2x.Instance(model, probe="memory.key"), w2x.Instance(form, engine="torch", probe="memory.key")
    np.testing.assert_array_equal(dense.prefix_probed[258:], fast.prefix_probed[258:])
    table = dense.prefix_probed[1:257]
    assert (table < 0).all()  # where the byte table falls is no memory
    first, second = (vm.invoke("f", 0x01020384, 1) for vm in (fast, dense))
    assert first.probed is not None and 65540 in first.probed
    np.testing.assert_array_equal(second.probed, first.probed)


def test_verify_of_the_stock_form_tells_a_store_elsewhere() -> None:
    source = '(module (memory 1) (func (export "f") (i32.store8 (i32.const {}) (i32.const 7))))'
    model = w2x.compile(source.format(5))
    form = replace(model, transformer=stock_form(model))
    assert Verifier(source.format(5), model=form, engine="torch").invoke("f").ok
    other = Verifier(source.format(6), model=form, engine="torch").invoke("f")
    assert str(other.divergence).startswith("address differs")  # from the key, before the steps are looked at


def test_what_was_built_by_hand_or_does_not_fit_is_refused() -> None:
    with pytest.raises(CompileError, match="built by hand"):
        stock_form(Model(copier(1.0)))
    other = w2x.compile(BINARY.format(t="i32", op="i32.sub"))
    with pytest.raises(CompileError, match="do not fit"):
        stock_form(replace(gcd(), transformer=other.transformer))


# -- ranges -----------------------------------------------------------------------------------------------------------


def stock_graph(source: str) -> StockGraph:
    program, _ = compile_steps(source, CompileOptions())
    assembly = assemble(program)
    graph, features = machine(assembly.architecture, StockGraph)
    fill(graph, features, assembly.architecture, assembly.image)
    assert isinstance(graph, StockGraph)
    return graph


@pytest.mark.parametrize("name", ["i32.rem_s", "i64.mul", "memory", "table"])
def test_every_slot_is_within_its_range_whenever_it_is_read(name: str) -> None:
    source, arguments = CASES[name]
    tokens, _ = calls(w2x.compile(source), arguments)
    assert violations(tokens, *parts(stock_graph(source))) == []


@pytest.mark.parametrize(
    ("variable", "wrong_range"),
    [
        ("a.byte0", Range(0.0, 100.0)),  # too narrow
        ("product.low", Range(0.0, 2.0**20)),  # 42 bits in one piece
        ("dividend", Range(0.0, 2.0**32, 10)),  # too coarse
    ],
)
def test_a_wrong_range_is_seen(variable: str, wrong_range: Range) -> None:
    name = "i32.mul" if variable.startswith("product") else "i32.rem_s"
    source, arguments = CASES[name]
    tokens, _ = calls(w2x.compile(source), arguments)
    graph = stock_graph(source)
    (found,) = (v for v in graph.writers if v.name == variable)
    graph.declared[found] = wrong_range
    assert any(v.startswith(variable) for v in violations(tokens, *parts(graph)))


# -- positions --------------------------------------------------------------------------------------------------------


class At(Recorder):
    """Every token asks as if it stood at a given position: the running mean of "is the first" is 1/n of that."""

    def __init__(self, model: Transformer, share: int):
        self.share = share
        self.n: np.ndarray | None = None
        super().__init__(model)

    def _read(self, x: torch.Tensor) -> torch.Tensor:
        if self.n is not None and len(self.reads) == 1:  # behind the first attention
            x[:, self.share] = 1.0 / torch.from_numpy(self.n)
        return super()._read(x)


def test_positions_are_exact_up_to_the_certificate() -> None:
    """The digits of n, from 1/n alone: next to every 256th multiple of 256 and many others, and in between."""
    model, circuit, plan, slots = parts(stock_graph(BINARY.format(t="i32", op="i32.add")))
    slot = {v.name: slots[v] for v in circuit.ranges}
    times = {v.name: t for task, t in plan.times.items() for v in task.writes}
    rng = np.random.default_rng(1)
    near = np.concatenate([np.arange(2**16, 2**24, 2**16), 256 * rng.integers(2, 2**16, 1000)])
    n = np.concatenate([near - 1, near, near + 1, np.arange(256, 1000), rng.integers(256, LAST, 2000), [LAST - 1, LAST]])
    wanted = {f"n/256^{p}": n >> 8 * p & 255 for p in range(3)} | {f"n mod 8 = {i}": (n % 8 == i) * 1 for i in range(8)}
    wanted = {name: digits for name, digits in wanted.items() if name in times}
    assert {"n/256^0", "n/256^1", "n/256^2"} <= set(wanted) and len(wanted) > 5
    depth = max(times[name] for name in wanted) // 2 + 2
    engine = At(replace(model, layers=model.layers[:depth], certificate=()), slot["1/n"])
    engine.forward(model.prefix)
    cached, token = list(engine._cache), model.vocabulary.index("N")
    for i in range(0, len(n), 256):
        engine.n = n[i : i + 256].astype(np.float64)
        engine.reads, engine._cache, engine.position = [], list(cached), len(model.prefix)
        engine.forward(np.full(len(engine.n), token))
        for name, digits in wanted.items():
            found = engine.reads[times[name] + 1][:, slot[name]].numpy()
            assert np.array_equal(found, digits[i : i + 256]), name


# -- reads rounded to float32 -----------------------------------------------------------------------------------------


def copier(value: float) -> Transformer:
    """Token 0 has a feature of this value; a neuron adds the feature to a slot, and the logit of token 1 is what it holds."""
    graph = Graph()
    feature = graph.feature("feature")
    graph.token("a", {feature: value})
    graph.token("b")
    graph.unembed(graph.gated("copy", (1.0, feature)), 0.0)
    return build(graph)


def test_every_read_is_rounded_to_float32() -> None:
    value = float(2**24 + 1)
    exact = copier(value)
    rounded = replace(exact, float32_reads=True)
    logits = [TorchEngine(m).forward(np.array([0]))[0, 1].item() for m in (exact, rounded)]
    assert logits == [2 * value, 2 * (value - 1)]


def test_engines_of_the_one_file_form_refuse_it_and_checkpoints_keep_it(tmp_path) -> None:
    model = replace(copier(1.0), float32_reads=True)
    with pytest.raises(CheckpointError, match="torch engine"):
        FastEngine(model)
    with pytest.raises(ReplayError, match="float32"):
        replay(model, np.array([0, 1], dtype=np.int32))
    Model(model).save(tmp_path / "a.safetensors")
    assert load(tmp_path / "a.safetensors").transformer.float32_reads
