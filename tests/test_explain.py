"""The page's decoder, under node: token for token what the engines decode."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import wasm2xformer as w2x
from wasm2xformer.compiler.format.sparse import SparseRows
from wasm2xformer.compiler.format.transformer import Layer, Transformer
from wasm2xformer.runtime.explain.bundle import script, web
from wasm2xformer.runtime.explain.data import ShownRun, page_data, weights_data
from wasm2xformer.runtime.explain.matrices import packed, sparse
from wasm2xformer.runtime.torch_engine import TorchEngine

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ROOT / "programs"
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed")


def decoded(data: dict, folder: Path, mode: str = "quick") -> dict:
    """What the page's decoder makes of the recorded prompts."""
    path = folder / "data.json"
    path.write_text(json.dumps(data))
    command = [NODE, ROOT / "tests" / "explain" / "decode.mjs", path, mode]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def data_of(program: str, name: str, *values: int, limit: int | None = None) -> tuple[dict, list[int]]:
    """The page's data for one call, and the tokens that the fast engine decodes."""
    vm = w2x.Instance(w2x.compile(PROGRAMS / program))
    try:
        run = vm.invoke(name, *values)
    except w2x.Trap as trap:
        run = trap.run
    data = page_data(vm.model, [ShownRun("call", name, [], run, "")], title=name, command="", limit=limit)
    shown = len(run.tokens) if limit is None else limit - len(run.prompt)
    return data, run.tokens[:shown].tolist()


@needs_node
@pytest.mark.parametrize(
    "program, call, limit",
    [
        ("i32/gcd.wat", ("gcd", 3528, 3780), None),
        ("i32/fibonacci_recursive.wat", ("fib", 8), None),
        ("i32/crc32.wat", ("crc32", 65536, 1), None),  # traps
        ("i32/sudoku.wasm", ("solve", 1), 2000),
    ],
)
def test_the_page_decodes_what_the_engines_decode(program: str, call: tuple, limit: int | None, tmp_path: Path):
    data, tokens = data_of(program, *call, limit=limit)
    assert decoded(data, tmp_path)["runs"] == [tokens]


@needs_node
def test_looking_at_every_key_changes_nothing(tmp_path: Path):
    data, tokens = data_of("i32/sum.wat", "sum", 40)
    assert len(tokens) + len(data["weights"]["prefix"]["data"]) > 256  # long enough for the index of keys
    every, quick = decoded(data, tmp_path, "all"), decoded(data, tmp_path)
    assert every == quick and every["runs"] == [tokens]


@needs_node
def test_a_spoiled_weight_is_noticed(tmp_path: Path):
    data, tokens = data_of("i32/sum.wat", "sum", 3)
    assert decoded(data, tmp_path, "spoiled")["runs"] != [tokens]


def random_transformer(rng: np.random.Generator, float32_reads: bool) -> Transformer:
    """Every head soft, heads of an odd width, a layer without heads and one without neurons."""
    d, w, vocabulary = 11, 3, 17
    layers = []
    for heads, neurons in ((2, 5), (0, 3), (3, 0)):
        shapes = [(w * heads, d)] * 3 + [(d, w * heads), (neurons, d), (neurons, d), (d, neurons)]
        matrices = [rng.normal(size=s) * (rng.random(s) < 0.6) for s in shapes]
        layers.append(Layer(*matrices, [f"h{i}" for i in range(heads)], [f"n{i}" for i in range(neurons)], [""] * d))
    embed, unembed = (SparseRows.of(rng.normal(size=(vocabulary, d))) for _ in range(2))
    t = Transformer(
        embed, rng.normal(size=(2, d)) * 1e-3, layers, unembed,
        [f"t{i}" for i in range(vocabulary)], np.arange(5, dtype=np.int32), head_dim=w,
    )  # fmt: skip
    if float32_reads:
        t.float32_reads = True  # type: ignore[attr-defined]
    return t


def logits_of(t: Transformer, tokens: np.ndarray, float32_reads: bool) -> np.ndarray:
    """The docstring of `Transformer`, in numpy: of the last token."""
    n = np.arange(1, len(tokens) + 1)[:, None]
    x = t.embed.rows(tokens) + n * t.positions[0] + n * n * t.positions[1]
    future = np.triu(np.full((len(tokens), len(tokens)), -np.inf), 1)

    def read() -> np.ndarray:
        return x.astype(np.float32).astype(np.float64) if float32_reads else x

    for y in t.layers:
        q, k, v = (read() @ m.T for m in (y.q, y.k, y.v))
        mixed = np.zeros_like(q)
        for own in (slice(i, i + t.head_dim) for i in range(0, q.shape[1], t.head_dim)):
            scores = q[:, own] @ k[:, own].T + future
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            mixed[:, own] = weights / weights.sum(axis=1, keepdims=True) @ v[:, own]
        x = x + mixed @ y.o.T
        x = x + (np.maximum(read() @ y.gate.T, 0) * (read() @ y.up.T)) @ y.down.T
    return t.unembed.dense() @ read()[-1]


@needs_node
@pytest.mark.parametrize("float32_reads", [False, True])
def test_any_transformer_of_this_form_is_computed(float32_reads: bool, tmp_path: Path):
    t = random_transformer(np.random.default_rng(7), float32_reads)
    tokens = np.random.default_rng(1).integers(0, 17, 300).astype(np.int32)
    expected = logits_of(t, tokens, float32_reads)
    if not float32_reads:
        assert np.allclose(TorchEngine(t, read_prefix=False).forward(tokens)[-1].numpy(), expected, rtol=1e-9)
    weights = weights_data(t) | {"prefix": packed(tokens[:0])}
    data = {"weights": weights, "runs": [{"prompt": packed(tokens), "tokens": packed(tokens[:0])}]}
    assert np.allclose(decoded(data, tmp_path)["logits"], expected, rtol=1e-9)
    if float32_reads:
        assert not np.allclose(logits_of(t, tokens, False), expected, rtol=1e-9)


def test_numbers_are_kept_as_they_are():
    values = np.array([0.0, -3.0, 2.0**-1074, 1 / 3, 2.0**53 + 2, -0.0])
    data = packed(values)
    assert data["type"] == "f8"
    assert np.array_equal(unpacked(data).view(np.uint64), values.view(np.uint64))
    assert [packed(np.array(v))["type"] for v in ([0, 255], [-1, 5], [256], [70000], [-(2**31)], [2**40])] == [
        "u1", "i2", "i2", "i4", "i4", "f8"
    ]  # fmt: skip
    matrix = np.array([[0, 1.5, 0], [0, 0, 0], [2, 0, -7]])
    stored = sparse(matrix)
    assert stored["shape"] == [3, 3] and unpacked(stored["counts"]).tolist() == [1, 0, 2]
    assert unpacked(stored["columns"]).tolist() == [1, 0, 2] and unpacked(stored["values"]).tolist() == [1.5, 2, -7]


def unpacked(data: dict) -> np.ndarray:
    import base64

    return np.frombuffer(base64.b64decode(data["data"]), np.dtype("<" + data["type"]))


def test_the_bundle_refuses_what_it_cannot_join(tmp_path: Path):
    (tmp_path / "main.mjs").write_text('import { a } from "./a.mjs";\nconst b = a;\n')
    (tmp_path / "a.mjs").write_text("export const a = 1;\n")
    assert script(tmp_path).index("const a") < script(tmp_path).index("const b")
    for text, message in (
        ("export const b = 1;\n", "b is a name of"),
        ('import { b } from "./main.mjs";\nexport const a = 1;\n', "circle"),
        ("export default 1;\n", "a form that"),
        ('export const a = "</script>";\n', "ends a script"),
        ('import { c } from "./c.mjs";\nexport const a = 1;\n', "not there"),
    ):
        (tmp_path / "a.mjs").write_text(text)
        with pytest.raises(ValueError, match=message):
            script(tmp_path)
    assert web().joinpath("decoder.mjs").is_file()


def test_the_command_writes_one_file(tmp_path: Path):
    from wasm2xformer.runtime.cli.command_line import main

    program = tmp_path / "add.wat"
    program.write_text(
        '(module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))'
    )
    page = tmp_path / "page.html"
    assert main(["explain", str(program), "--invoke", "add", "3", "5", "-o", str(page)]) == 0
    text = page.read_text()
    data = json.loads(text.split('<script type="application/json" id="data">')[1].split("</script>")[0])
    assert data["title"] == "add(3, 5)" and data["runs"][0]["results"] == "8" and data["left_out"] == 0
    assert data["source"]["functions"][0]["lines"][-1][3] == "i32.add"
    assert main(["explain", str(program), "--recorded", "2", "-o", str(page), "--invoke", "add", "3", "5"]) == 0
    assert json.loads(page.read_text().split('id="data">')[1].split("</script>")[0])["left_out"] > 0
    for wrong in (
        ["-o", "page.txt"],
        ["-o", str(tmp_path / "none" / "page.html")],
        ["-o", str(page), "--write", "0"],
    ):
        assert main(["explain", str(program), *wrong, "--invoke", "add", "3", "5"]) == 2


@needs_node
def test_the_page_is_given_what_the_host_writes(tmp_path: Path):
    """Its decoder makes the same tokens of the writes and of the call that reads them."""
    from wasm2xformer.runtime.cli.command_line import main

    message, page = (tmp_path / "message", tmp_path / "page.html")
    message.write_bytes(b"transformer")
    command = ["explain", str(PROGRAMS / "i32/crc32.wat"), "-o", str(page), "--invoke", "crc32", "512", "11"]
    assert main([*command, "--write", f"512={message}"]) == 0
    data = json.loads(page.read_text().split('id="data">')[1].split("</script>")[0])
    assert [run["kind"] for run in data["runs"]] == ["host"] * 5 + ["call"]
    assert data["runs"][-1]["results"] == "1716427693" and data["runs"][0]["name"] == "i32.store"
    vm = w2x.Instance(w2x.compile(PROGRAMS / "i32/crc32.wat", exports=["crc32"]))
    vm.write_memory(512, message.read_bytes())
    assert decoded(data, tmp_path)["runs"][-1] == vm.invoke("crc32", 512, 11).tokens.tolist()
    assert main([*command, "--write", f"4294967295={message}"]) == 3


def test_what_a_checkpoint_knows_is_enough(tmp_path: Path):
    from wasm2xformer.runtime.cli.command_line import main

    model = tmp_path / "gcd.safetensors"
    w2x.compile(PROGRAMS / "i32/gcd.wat").save(model)
    assert main(["explain", str(model), "--invoke", "gcd", "48", "18", "-o", str(tmp_path / "page.html")]) == 0
    data = json.loads((tmp_path / "page.html").read_text().split('id="data">')[1].split("</script>")[0])
    assert not data["source"]["whole"] and "i32.rem_u" in str(data["source"]["functions"])


def test_texts_of_a_stranger_are_texts():
    vm = w2x.Instance(w2x.compile(PROGRAMS / "i32/gcd.wat"))
    run = vm.invoke("gcd", 4, 6)
    vm.model.texts = dict.fromkeys(vm.model.texts, "no offset here 0x") | {1: "f 0xzz i32.add"}
    data = page_data(vm.model, [ShownRun("call", "gcd", [], run, "2")], title="", command="")
    assert data["source"]["functions"]


def test_names_cannot_end_the_script(tmp_path: Path):
    from wasm2xformer.runtime.explain.bundle import page

    name = "</script><script>alert(1)</script><!--"
    vm = w2x.Instance(w2x.compile(f'(module (func (export "{name}") (result i32) (i32.const 7)))'))
    run = vm.invoke(name)
    text = page(page_data(vm.model, [ShownRun("call", name, [], run, "7")], title=name, command=name))
    assert text.count("<script") == 2 and text.count("</script>") == 2
    data = text.split('id="data">')[1].split("</script>")[0]
    assert json.loads(data)["title"] == name
