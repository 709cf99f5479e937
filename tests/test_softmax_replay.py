"""Replay with real softmax: against torch's own attention, on compiled traces and on heads where nothing can be left out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

import wasm2xformer as w2x
from wasm2xformer.compiler.format.certificate import HeadBound
from wasm2xformer.compiler.format.errors import EnvelopeError
from wasm2xformer.compiler.format.sparse import SparseRows
from wasm2xformer.compiler.format.transformer import Layer, Transformer
from wasm2xformer.compiler.graph import Graph, build
from wasm2xformer.runtime.check.replay import Mismatch, ReplayError, replay
from wasm2xformer.runtime.check.replay import attention as attention_module
from wasm2xformer.runtime.check.replay.attention import Lead, SoftmaxAttention
from wasm2xformer.runtime.check.replay.margins import HeadMargin, Margins
from wasm2xformer.runtime.check.replay.matrices import Embedding, SparseMatrix
from wasm2xformer.runtime.check.replay.softmax import forward
from wasm2xformer.runtime.check.replay.tree import KeyTree
from wasm2xformer.runtime.cli import main
from wasm2xformer.runtime.torch_engine import TorchEngine

SIEVE = """
(module (memory 1)
  (func (export "primes") (param $n i32) (result i32) (local $i i32) (local $j i32) (local $found i32)
    (local.set $i (i32.const 2))
    (loop $next
      (if (i32.eqz (i32.load8_u (local.get $i)))
        (then
          (local.set $found (i32.add (local.get $found) (i32.const 1)))
          (local.set $j (local.get $i))
          (loop $mark
            (i32.store8 (local.get $j) (i32.const 1))
            (br_if $mark (i32.lt_u (local.tee $j (i32.add (local.get $j) (local.get $i))) (local.get $n))))))
      (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    (local.get $found)))
"""


def dense(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """torch's attention. It scales by the width, so the query is multiplied before."""
    causal = torch.ones(len(query), len(query), dtype=torch.bool).tril()
    return scaled_dot_product_attention(query[None], key[None], value[None], attn_mask=causal, scale=1.0)[0]


def leads(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """What a Lead takes the least of, one query after the other."""
    found = []
    for i in range(len(query)):
        scores = key[: i + 1] @ query[i]
        winner = value[: i + 1][scores == scores.max()][-1]
        others = scores[(value[: i + 1] != winner).any(1)]
        found.append(scores.max() - others.max() if len(others) else torch.tensor(torch.inf, dtype=torch.float64))
    return torch.stack(found)


@pytest.mark.parametrize("size", [1, 48, 49, 1000])
@pytest.mark.parametrize("scale", [0.1, 1.0, 300.0, 1e5])
def test_random_heads_equal_dense_attention(size: int, scale: float) -> None:
    """From nearly uniform weights, where every key counts, to nearly hard ones; signs of all kinds."""
    g = torch.Generator().manual_seed(size)
    draw = lambda width: torch.randn((size, width), dtype=torch.float64, generator=g)  # noqa: E731
    query, key, value = scale * draw(5), draw(5), draw(3)
    for q in (query, query.abs()):  # all components of the latter can be the height
        found = SoftmaxAttention(q, key, value).result()
        torch.testing.assert_close(found, dense(q, key, value), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
def test_the_tree_alone_and_every_key_agree(scale: float, monkeypatch: pytest.MonkeyPatch) -> None:
    g = torch.Generator().manual_seed(1)
    query, key, value = (torch.randn((900, 4), dtype=torch.float64, generator=g) for _ in range(3))
    results = []
    for pairs in (0, 1 << 30):
        monkeypatch.setattr(attention_module, "PAIRS", pairs)
        monkeypatch.setattr(attention_module, "QUERIES", 1 << 12 if pairs == 0 else 1 << 14)
        lead = Lead()
        attention = SoftmaxAttention(scale * query, key, value, lead)
        results.append(attention.result())
        assert attention.pruned == (900 if pairs else 0)
        expected = leads(scale * query, key, value)
        assert lead.least == pytest.approx(float(expected.min()), rel=1e-9)
        assert lead.position == int(expected.argmin())
    torch.testing.assert_close(*results, rtol=1e-9, atol=1e-12)


def test_no_score_is_above_its_bound() -> None:
    """Of every query and node, for keys of every kind: on a paraboloid, nearly on one, random, of very different sizes."""
    g = torch.Generator().manual_seed(2)
    n = 400
    a = torch.randint(-100, 100, (n, 2), generator=g).double()
    on = torch.cat([2 * a, (-(a * a).sum(1) + 2.0**-20 * torch.arange(n))[:, None], torch.ones((n, 1))], 1)
    noise = torch.randn((n, 4), dtype=torch.float64, generator=g)
    b = torch.randint(-100, 100, (n, 2), generator=g).double()
    asks = 2.0**30 * torch.cat([b, torch.ones((n, 1)), -(b * b).sum(1, keepdim=True)], 1)
    for query, key in (
        (asks, on), (asks, on + 1e-9 * noise), (noise, noise.flip(0)), (noise.abs(), 1e-3 * noise.flip(0)),
        (noise * 10.0 ** torch.arange(-8, 8, 4), noise.flip(1) * 1e12), (asks, on + 2.0**40 * (noise > 1)),
        (noise, torch.ones_like(noise)), (asks, torch.cat([on[:, :1], 0 * on[:, :1], on[:, 2:]], 1)),
    ):  # fmt: skip
        tree = KeyTree(query, key)
        for node in range(1, 2 * tree.leaves):
            members = tree.order[leaves_of(node, tree)].flatten()
            scores = query @ key[members].T
            bound = tree.bound(torch.arange(n), torch.full((n,), node))
            assert (scores.amax(1) <= bound).all()


def leaves_of(node: int, tree: KeyTree) -> torch.Tensor:
    low = high = node
    while low < tree.leaves:
        low, high = 2 * low, 2 * high + 1
    return torch.arange(low - tree.leaves, high + 1 - tree.leaves)


def test_a_sparse_matrix_is_the_matrix() -> None:
    rng = np.random.default_rng(0)
    weight = rng.integers(-3, 4, (7, 9)).astype(float) * (rng.random((7, 9)) < 0.2)
    x, y = torch.from_numpy(rng.standard_normal((9, 5))), torch.zeros((7, 5), dtype=torch.float64)
    sparse = SparseMatrix(weight)
    sparse.add(x, y)
    for found in (sparse(x), y):
        torch.testing.assert_close(found, torch.from_numpy(weight) @ x)
    assert SparseMatrix(np.zeros((3, 9)))(x).tolist() == [[0.0] * 5] * 3


@pytest.fixture(scope="module")
def sieve_trace() -> tuple[Transformer, np.ndarray, int]:
    model = w2x.compile(SIEVE)
    run = w2x.Instance(model).invoke("primes", 250)
    sequence = np.concatenate([model.transformer.prefix, run.prompt, run.tokens])
    return model.transformer, sequence, len(sequence) - len(run.tokens) - 1


def test_the_final_residual_is_the_dense_model_s_bit_for_bit(sieve_trace: tuple[Transformer, np.ndarray, int]) -> None:
    """All slots but those that hold sums: logits are compared."""
    model, sequence, _ = sieve_trace
    sequence = sequence[:1500]
    dense_logits = TorchEngine(model, read_prefix=False).forward(sequence)
    final = torch.cat(forward(model, Embedding(model)(sequence, 0), "cpu"), 1)
    assert torch.equal(final.T @ torch.from_numpy(model.unembed.dense()).T, dense_logits)


def test_a_whole_trace_is_confirmed_and_a_wrong_token_found(sieve_trace: tuple[Transformer, np.ndarray, int]) -> None:
    model, sequence, start = sieve_trace
    assert len(sequence) > 2200
    assert replay(model, sequence, start, attention="softmax") is None
    for at in (start + 1, (start + len(sequence)) // 2, len(sequence) - 1):
        spoiled = sequence.copy()
        spoiled[at] = sequence[at] - 1 if sequence[at] else 1
        found = Mismatch(at - 1, int(spoiled[at]), int(sequence[at]))
        assert replay(model, spoiled, start, attention="softmax") == found
        assert replay(model, spoiled, at, attention="softmax") != found


def test_softmax_that_blends_is_seen_where_hard_attention_sees_nothing(
    sieve_trace: tuple[Transformer, np.ndarray, int],
) -> None:
    model, sequence, start = sieve_trace
    colder = replace(model, certificate=(), layers=[replace(layer, q=layer.q * 2.0**-12) for layer in model.layers])
    assert replay(colder, sequence, start) is None
    found = replay(colder, sequence, start, attention="softmax")
    assert found is not None and found.position >= start
    margins = Margins(model.certificate)
    replay(colder, sequence, start, attention="softmax", margins=margins)
    broken = [head for head in margins.heads if not head.kept]
    assert broken and all(head.least < 746 and head.promised == 1024 for head in broken)


def test_the_certificate_is_honoured(sieve_trace: tuple[Transformer, np.ndarray, int]) -> None:
    model, sequence, start = sieve_trace
    short = replace(model, certificate=(HeadBound("slots", "paraboloid", 100, 40, -8, 1024.0),))
    with pytest.raises(EnvelopeError, match="exact only up to 100"):
        replay(short, sequence, start, attention="softmax")


def test_margins_of_a_compiled_trace_are_what_the_certificate_promises(
    sieve_trace: tuple[Transformer, np.ndarray, int],
) -> None:
    model, sequence, start = sieve_trace
    margins = Margins(model.certificate)
    assert replay(model, sequence, start, attention="softmax", margins=margins) is None
    assert margins.kept and all(head.promised == 1024 for head in margins.heads)
    assert min(head.least for head in margins.heads) == 2048.0
    assert all(start <= head.position < len(sequence) for head in margins.heads if head.least < np.inf)


def hand_made() -> Transformer:
    """One head over tokens worth 1, 2, 5 with scores 3 * worth; logits 10 * what is found less what token j costs."""
    g = Graph()
    worth = g.feature("worth")
    for value in (1, 2, 5):
        g.token(f"w{value}", {worth: value})
    g.prefix = [0]
    (found,) = g.lookup("best", 4.0, worth, {"found": worth}, latest=False)
    g.unembed(found)
    return build(g)


def test_margins_of_a_model_with_known_values() -> None:
    """Keys 1, 2, 5 on the plain parabola, query 4, temperature 2048: lead of 5 over 2 is 2048 (2^2 - 1^2), of 2 over 1
    2048 (3^2 - 2^2)."""
    model = hand_made()
    for tokens, least, position in (([0, 1, 0], 5, 1), ([0, 1, 2, 0], 3, 2), ([0, 2, 1, 1], 3, 2), ([0, 0, 0], np.inf, -1)):
        margins = Margins(model.certificate)
        replay(model, np.array(tokens), 0, attention="softmax", margins=margins)
        (head,) = margins.heads
        assert (head.least, head.position) == (2048.0 * least, position)
        assert head.head == "best -> found" and head.promised == 1024.0 and head.kept
    # found = 1, 2, 2: logits 2 id found - id^2 are 0, 1, 0 and 0, 3, 4: leads 1 and 1, the first one counts.
    assert margins.logits is not None and (margins.logits.least, margins.logits.position) == (1.0, 0)


def test_a_tie_has_no_margin() -> None:
    """Query 3 between the keys 1 and 5."""
    model = hand_made()
    (layer,) = (y for y in model.layers if len(y.q))
    layer.q *= np.where(layer.q == 4 * 2048, 0.75, 1.0)
    margins = Margins(model.certificate)
    replay(model, np.array([0, 2, 0]), 0, attention="softmax", margins=margins)
    assert margins.heads[0].least == 0 and not margins.heads[0].kept


def test_reads_are_rounded_to_float32_where_the_model_says_so() -> None:
    """Two worths that float32 cannot tell apart: only the rounding model takes the later token for the better one."""
    g = Graph()
    worth = g.feature("worth")
    for value in (0, 1):
        g.token(f"w{value}", {worth: 2.0**24 + value})
    g.unembed(g.product(1.0, worth) - 2.0**24)
    exact = build(g)
    rounding = replace(exact)
    rounding.float32_reads = True  # type: ignore[attr-defined,unused-ignore]
    sequence = np.array([0, 1, 1])
    assert replay(exact, sequence, 1, attention="softmax") is None
    assert replay(rounding, sequence, 1, attention="softmax") == Mismatch(1, 1, 0)
    with pytest.raises(ReplayError, match="use real softmax"):
        replay(rounding, np.array([0, 1]))


def test_what_is_not_finite_is_refused() -> None:
    layer = Layer(*(np.ones((2, 3)) for _ in range(3)), np.ones((3, 2)), *(np.zeros(s) for s in ((0, 3), (0, 3), (3, 0))))
    embed, unembed = SparseRows.of(np.full((2, 3), 1e300)), SparseRows.of(np.ones((2, 3)))
    model = Transformer(embed, np.zeros((2, 3)), [layer], unembed, ["a", "b"], np.zeros(0), head_dim=2)
    layer.v *= 1e300
    with pytest.raises(ReplayError, match="layer 0, head 0: a query, key or value is not finite"):
        replay(model, np.array([0, 1]), attention="softmax")


def test_verify_shows_margins_and_refuses_what_makes_no_sense(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sieve.wat").write_text(SIEVE)
    call = ["verify", str(tmp_path / "sieve.wat"), "--invoke", "primes", "9"]

    def shell(*options: str) -> tuple[int, str]:
        code = main([*call, *options])
        return code, "".join(capfd.readouterr())

    code, out = shell("--replay", "--attention", "softmax")
    assert code == 0 and out.startswith("primes(9) = 4: ") and "margin" not in out
    code, out = shell("--replay", "--margins", "--json")
    (line,) = out.splitlines()
    found = json.loads(line)
    assert code == 0 and found["ok"] and found["margins"]["kept"] and found["outcome"] == "4"
    assert {h["promised"] for h in found["margins"]["heads"]} == {1024.0}
    code, out = shell("--replay", "--margins")
    lines = out.splitlines()
    assert code == 0 and lines[1].split()[:2] == ["layer", "head"] and "BROKEN" not in out
    assert len(lines) >= 2 + len(found["margins"]["heads"]) + 1
    for options, message in (
        (("--margins",), "add --replay"),
        (("--attention", "softmax"), "add --replay"),
        (("--replay", "--attention", "hard", "--margins"), "need --attention softmax"),
        (("--replay", "--device", "nowhere"), "device nowhere: cpu, cuda or cuda:NUMBER expected"),
        (("--replay", "--device", "cuda:999"), "device cuda:999: "),
    ):
        code, out = shell(*options)
        assert code == 2 and out.startswith("error: ") and message in out and len(out.splitlines()) == 1, out


def test_a_broken_margin_fails_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sieve.wat").write_text(SIEVE)
    monkeypatch.setattr(Margins, "add_head", lambda self, *head: self.heads.append(HeadMargin(*head, 1e20)))
    code = main(["verify", str(tmp_path / "sieve.wat"), "--replay", "--margins", "--invoke", "primes", "9"])
    assert code == 1 and "BROKEN" in capfd.readouterr().out
