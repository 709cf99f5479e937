"""Checkpoints: what is written is read back, and what is not a whole checkpoint is refused with the reason."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import wasm2xformer as w2x
from programs import FOLDER
from wasm2xformer.compiler.format import checkpoint, tensors
from wasm2xformer.compiler.format.output_file import check_output

SOURCE = """(module (memory 1) (data (i32.const 3) "abc")
  (func $add (export "add") (param i32 i64) (result i64) (i64.add (i64.extend_i32_s (local.get 0)) (local.get 1)))
  (func (export "twice") (param i32) (result i64) (call $add (local.get 0) (i64.extend_i32_u (local.get 0)))))"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "model.safetensors"
    w2x.compile(SOURCE).save(path)
    return path


def parts(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    with safe_open(path, framework="numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


def test_round_trip(path: Path) -> None:
    made, loaded = w2x.compile(SOURCE), w2x.load(path)
    a, b = made.transformer, loaded.transformer
    assert (a.vocabulary, a.envelope, a.probes) == (b.vocabulary, b.envelope, b.probes)
    for x, y in ((a.embed, b.embed), (a.unembed, b.unembed)):
        assert x.shape == y.shape and all(np.array_equal(p, q) for p, q in zip(x.parts, y.parts, strict=True))
    assert np.array_equal(a.prefix, b.prefix)
    for x, y in zip(a.layers, b.layers, strict=True):
        assert all(np.array_equal(getattr(x, n), getattr(y, n)) for n in ("q", "k", "v", "o", "gate", "up", "down"))
        assert (x.head_names, x.neuron_names, x.slot_names) == (y.head_names, y.neuron_names, y.slot_names)
    assert loaded.program.steps == made.program.steps
    assert (loaded.jumps, loaded.entries, loaded.texts) == (made.jumps, made.entries, made.texts)


def test_runs_without_the_source(path: Path) -> None:
    assert w2x.Instance(w2x.load(path), engine="torch").invoke("twice", -5).values == [-5 + 2**32 - 5]


@pytest.mark.parametrize("program", ["i32/sudoku.wasm", "c/word_count.wasm"])
def test_every_process_writes_the_same_bytes(tmp_path: Path, program: str) -> None:
    written = []
    for seed in ("1", "2"):
        command = [sys.executable, "-m", "wasm2xformer", FOLDER / program, "-o", tmp_path / seed]
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, check=True, stdout=subprocess.DEVNULL)
        written.append((tmp_path / seed).read_bytes())
    assert written[0] == written[1]


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_an_existing_file_is_replaced_as_a_whole(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, target = w2x.load(path), tmp_path / "model.safetensors"
    before = os.umask(0o022)
    try:
        model.save(target)
    finally:
        os.umask(before)
    assert target.read_bytes() == path.read_bytes() and target.stat().st_mode & 0o777 == 0o644
    (tmp_path / "link").symlink_to(target)
    model.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and target.read_bytes() == path.read_bytes()
    (tmp_path / "link").unlink()
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit((tmp_path / "pipe").read_bytes)
        model.save(tmp_path / "pipe")
        assert read.result() == path.read_bytes() and (tmp_path / "pipe").is_fifo()
    (tmp_path / "pipe").unlink()
    monkeypatch.setattr(os, "replace", lambda *paths: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        w2x.compile("(module)").save(target)
    assert target.read_bytes() == path.read_bytes() and list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_output_keeps_its_mode_and_is_never_an_input(path: Path, tmp_path: Path, monkeypatch: Any) -> None:
    model, target = w2x.load(path), tmp_path / "model.safetensors"
    for mode in (0o640, 0o600, 0o755):
        target.write_bytes(b"")
        target.chmod(mode)
        model.save(target)
        assert target.stat().st_mode & 0o7777 == mode
    target.chmod(0o444)
    with pytest.raises(PermissionError, match="read-only"):
        model.save(target)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="symbolic links"):
        model.save(tmp_path / "loop")
    (tmp_path / "dangling").symlink_to("new.safetensors")
    model.save(tmp_path / "dangling")
    assert (tmp_path / "dangling").is_symlink() and (tmp_path / "new.safetensors").is_file()
    os.link(tmp_path / "new.safetensors", tmp_path / "hard")
    (tmp_path / "folder").mkdir()
    for name in ("new.safetensors", "dangling", "hard", "folder/../new.safetensors"):
        with pytest.raises(FileExistsError, match="itself"):
            check_output(tmp_path / name, [tmp_path / "nothing", tmp_path / "new.safetensors"])
    # Nobody can put something under the partial file's name beforehand: a name that is taken is an error.
    monkeypatch.setattr("os.urandom", lambda size: b"taken")
    (tmp_path / f".{b'taken'.hex()}.partial").symlink_to("victim")
    with pytest.raises(FileExistsError):
        model.save(tmp_path / "new.safetensors")
    assert not (tmp_path / "victim").exists()


def test_a_full_disk_is_said(path: Path, tmp_path: Path) -> None:
    script = f"""import resource, signal, wasm2xformer as w2x
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
model = w2x.load({str(path)!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    model.save({str(tmp_path / "x")!r})
except OSError as error:
    print(error.filename, error.errno)"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == f"{tmp_path / 'x'} {errno.EFBIG}\n", done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [0, 7, 8, 100, -1, -1000])
def test_truncated(path: Path, tmp_path: Path, size: int) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(path.read_bytes()[:size])
    with pytest.raises(w2x.CheckpointError, match="cut short"):
        w2x.load(cut)


def test_missing_and_foreign_files(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(w2x.CheckpointError, match="no such file"):
        w2x.load(tmp_path / "nowhere")
    with monkeypatch.context() as patch, pytest.raises(w2x.CheckpointError, match=f"{path.name}: permission denied"):
        patch.setattr("builtins.open", mock.Mock(side_effect=PermissionError(errno.EACCES, "Permission denied")))
        w2x.load(path)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"weight": np.zeros(3)}, foreign)
    with pytest.raises(w2x.CheckpointError, match="not a wasm2xformer checkpoint"):
        w2x.load(foreign)


def metadata_of(path: Path) -> dict[str, Any]:
    return json.loads(parts(path)[1]["wasm2xformer"])


def written(path: Path, tensors: dict[str, np.ndarray], metadata: Any) -> Path:
    text = metadata if isinstance(metadata, str) else json.dumps(metadata)
    save_file(tensors, path, {"wasm2xformer": text})
    return path


def test_other_versions(path: Path, tmp_path: Path) -> None:
    tensors, other = parts(path)[0], tmp_path / "other.safetensors"
    with pytest.raises(w2x.CheckpointError, match="version 5, this is wasm2xformer for version 4; compile"):
        w2x.load(written(other, tensors, metadata_of(path) | {"version": 5}))
    save_file(tensors, other, {"format": "wasm2xformer", "version": "1", "config": "{}"})
    with pytest.raises(w2x.CheckpointError, match="version 1, this is wasm2xformer for version 4; compile"):
        w2x.load(other)


def change_tensors(name: str, change: Callable[[np.ndarray], np.ndarray | None]) -> Callable[[dict[str, Any]], None]:
    def changed(tensors: dict[str, Any]) -> None:
        found = change(tensors.pop(name))
        if found is not None:
            tensors[name] = found

    return changed


def with_value(index: Any, value: float) -> Callable[[np.ndarray], np.ndarray]:
    def changed(a: np.ndarray) -> np.ndarray:
        a = a.copy()
        a[index] = value
        return a

    return changed


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("model.layers.1.mlp.up_proj.weight", lambda a: None, "no tensor model.layers.1.mlp.up_proj.weight"),
        ("model.embed_positions.weight", lambda a: a[:, 1:].copy(), "embed_positions.weight is F64"),
        ("model.embed_positions.weight", lambda a: a.astype(np.float32), "embed_positions.weight is F32"),
        ("model.embed_positions.weight", with_value((1, 1), np.nan), "not finite"),
        ("lm_head.weight.at", lambda a: None, "no tensor lm_head.weight.at"),
        ("lm_head.weight.at", lambda a: a[:-1].copy(), "lm_head.weight.at is U"),
        ("lm_head.weight.at", lambda a: a.astype(np.int64), "lm_head.weight.at is I64"),
        ("lm_head.weight.at", lambda a: a[None], "lm_head.weight.at is U"),
        ("lm_head.weight.at", with_value(0, 1), "do not follow"),
        ("lm_head.weight.at", with_value(5, 0), "do not follow"),
        ("lm_head.weight.at", lambda a: with_value(-1, 2**64 - 1)(a.astype(np.uint64)), "lm_head.weight.columns is U8"),
        ("lm_head.weight.columns", lambda a: a[1:].copy(), "lm_head.weight.columns is U8"),
        ("lm_head.weight.columns", with_value(3, 255), "a column outside"),
        ("lm_head.weight.columns", lambda a: a.astype(np.float64), "lm_head.weight.columns is F64"),
        ("model.embed_tokens.weight.columns", lambda a: np.concatenate([a[1::-1], a[2:]]), "do not ascend"),
        ("model.embed_tokens.weight.columns", lambda a: np.concatenate([a[:1], a[:1], a[2:]]), "do not ascend"),
        ("model.embed_tokens.weight.values", lambda a: np.zeros(len(a), np.float16), "embed_tokens.weight.values is F16"),
        ("model.embed_tokens.weight.values", lambda a: a[1:].copy(), "embed_tokens.weight.values is"),
        ("model.embed_tokens.weight.values", lambda a: with_value(3, np.nan)(a.astype(np.float32)), "not finite"),
        ("model.embed_tokens.weight.values", lambda a: with_value(3, -np.inf)(a.astype(np.float64)), "not finite"),
        ("prompt.prefix", with_value(2, 10**6), "a token id outside"),
        ("prompt.prefix", with_value(2, -1), "a token id outside"),
        ("prompt.prefix", lambda a: a[None], "no list of token ids"),
        ("prompt.prefix", lambda a: a[:5].copy(), "17 steps, but only 5 tokens"),
        ("prompt.prefix", lambda a: np.delete(a, 260), "no whole sections of tokens P for 17 rows"),
        ("prompt.prefix", lambda a: np.append(a, a[260]), "no whole sections of tokens P for 17 rows"),
        ("prompt.prefix", lambda a: np.where(np.arange(len(a)) == 260, a[0], a), "no whole sections of tokens P for 17 rows"),
        ("prompt.prefix", lambda a: np.delete(a, slice(257, 275)), "no whole sections of tokens P for 17 rows"),
    ],
)
def test_tensors_are_checked(path: Path, tmp_path: Path, name: str, change: Any, told: str) -> None:
    tensors = parts(path)[0]
    change_tensors(name, change)(tensors)
    with pytest.raises(w2x.CheckpointError, match=f"damaged checkpoint .*{told}.*; compile the program again"):
        w2x.load(written(tmp_path / "bad", tensors, metadata_of(path)))


@pytest.mark.parametrize(
    ("where", "value", "told"),
    [
        ("config.hidden_size", 2**40, r"\$.config.hidden_size"),
        ("config.hidden_size", 1, "a column outside 0 to 0"),
        ("config.hidden_size", 2000, "embed_positions.weight is F64.*, expected"),
        ("config.num_hidden_layers", 1000, "num_attention_heads"),
        ("config.intermediate_size.0", -1, r"intermediate_size\[0\]"),
        ("config.probes", {"memory.key": [10**6, 0]}, "probe"),
        ("config.certificate", "many", "certificate"),
        ("config.certificate.0.2", 2**40, "certificate"),
        *((f"config.certificate.{head}.2", 2**30 + 1, "certificate: what it says of head") for head in (0, 1, 2, 6, 8)),
        ("config.head_dim", 0, "head_dim"),
        ("config.head_dim", 8, "self_attn"),
        ("config.surprise", 1, "unknown field `surprise`"),
        ("vocabulary.0", "D0.1", "two tokens of one name"),
        ("vocabulary.0", "V.1", "of no class"),
        ("vocabulary.0", "D0.00", "of no class"),
        ("vocabulary.0", "\x1b[31m\u202e", r"\\x1b"),
        ("names.slots.0", 5, r"names.slots\[0\]"),
        ("names.layers.0.heads", [], "names"),
        ("program.steps.0.dest", ["frame", "x"], "frame 'x'"),
        ("program.steps.0.dest", ["frame", -1], "frame -1"),
        ("program.steps.0.dest", ["const", 2**64], "const"),
        ("program.steps.0.dest", ["shelf", 1], "shelf"),
        ("program.steps.0.op", "a b", "regex"),
        ("program.steps.0.target", 10**6, "target"),
        ("program.steps.0.targets", [0, 10**6], "takes no `targets`"),
        ("program.steps.5.callee", 77, "function 77"),
        ("program.steps.0.site", [0, -1, "value"], "site"),
        ("program.functions.0.entry", 10**6, "function 0"),
        ("program.functions.0.index", 1, "its index"),
        ("program.functions.0.frame_size", 10**6, "a frame"),
        ("program.references", {"1": 99}, "reference 1"),
        ("program.references", {"0": 0}, "reference 0"),
        ("program.entries.add.entry", 0, "entry 'add'"),
        ("program.entries.add.params", ["v128"], "entry .add.: `wide` is False"),
        ("program.entries.add.results", ["i32"] * 9, "entry 'add'"),
        ("program.entries.add.registers", ["memory_bytes"], "entry 'add'"),
        ("program.entries.add.name", "twice", "its name"),
        ("program.inputs", {"stdin": [0, 10]}, "not in hidden memory"),
        ("program.hidden_bytes", 2**30, "hidden_bytes"),
        ("program.exported_globals", {"g": [["global", -1], "i32"]}, "global"),
        ("jumps", [], "tokens that jump"),
        ("jumps.0", [2**40, 0], r"jumps\[0\]"),
        ("jumps.0", [0, 10**7], r"jumps\[0\]"),
        ("entries", [], "tokens I"),
        ("entries.0", ["add", 1], "entries"),
        ("inputs", {"stdin": 0}, "inputs"),
        ("vocabulary", ["H"], "1 token names for"),
        ("program.steps", [{"op": "halt"}] * 10**5, "100000 steps, but only"),
        ("texts", {str(k): "" for k in range(1000)}, "1000 texts, but only"),
        ("texts", {"1000": "f 0x1 nop"}, "text of step 1000"),
        ("texts", {"1e3": "f 0x1 nop"}, "regex"),
    ],
)
def test_metadata_is_checked(path: Path, tmp_path: Path, where: str, value: Any, told: str) -> None:
    metadata = metadata_of(path)
    *outer, last = [int(key) if key.isdigit() else key for key in where.split(".")]
    part: Any = metadata
    for key in outer:
        part = part[str(key) if isinstance(part, dict) else key]
    part[last] = value
    with pytest.raises(w2x.CheckpointError, match=told) as error:
        w2x.load(written(tmp_path / "bad", parts(path)[0], metadata))
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not a wasm2xformer checkpoint"), ("{", "not a wasm2xformer checkpoint"), ("[" * 10**6, "not a wasm2xformer"),
        ('{"version":4}', "damaged"), ('{"version":4,"config":' + "[" * 10**6, "wasm2xformer"),
        ('{"version":1e999}', "not a wasm2xformer"), ('{"version":"2"}', "not a wasm2xformer"),
        ('{"version":' + "9" * 5000 + "}", "wasm2xformer"), ('{"version":4,"\\ud800":1}', "wasm2xformer"),
    ],
)  # fmt: skip
def test_metadata_that_is_no_metadata(path: Path, tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(w2x.CheckpointError, match=told):
        w2x.load(written(tmp_path / "bad", parts(path)[0], text))


def test_metadata_longer_than_a_header(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands in a tensor, and is checked there as well."""
    model, long = w2x.load(path), tmp_path / "long"
    monkeypatch.setattr(checkpoint, "HEADER_LIMIT", 5000)
    model.save(long)
    tensors, header = parts(long)
    assert header == {"wasm2xformer": '{"version":4}'}
    assert tensors["wasm2xformer.json"].tobytes().decode() == parts(path)[1]["wasm2xformer"]
    again = w2x.load(long)
    assert again.program == model.program and again.texts == model.texts
    again.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == long.read_bytes()
    assert w2x.Instance(again).invoke("add", 3, 5).values == [8]
    data = tensors["wasm2xformer.json"]
    for changed, told in (
        (data[:-1], "metadata: Input data was truncated"),
        (data.astype(np.int8), "wasm2xformer.json is I8"),
        (data.reshape(-1, 1), "wasm2xformer.json is U8"),
        (np.frombuffer(b"\xff" * 9, np.uint8), "metadata: "),
        (np.frombuffer(b'{"version":4}', np.uint8), "metadata: Object missing required field"),
        (data[:0], "metadata: "),
    ):
        with pytest.raises(w2x.CheckpointError, match=told):
            w2x.load(written(tmp_path / "bad", tensors | {"wasm2xformer.json": changed}, header["wasm2xformer"]))


def tensor(name: str, shape: str, end: int, start: int = 0) -> str:
    return f'"{name}":{{"dtype":"F64","shape":{shape},"data_offsets":[{start},{end}]}}'


HEADERS = {
    "a tensor twice": f"{{{tensor('a', '[1]', 8)},{tensor('a', '[1]', 16, 8)}}}",
    "overlapping": f"{{{tensor('a', '[2]', 16)},{tensor('b', '[1]', 16, 8)}}}",
    "less than the file": f"{{{tensor('a', '[1]', 8)}}}",
    "more than the file": f"{{{tensor('a', '[1048576]', 8388608)}}}",
    "no number": f"{{{tensor('a', '[1e999]', 16)}}}",
    "overflow": f"{{{tensor('a', '[18446744073709551615,16]', 16)}}}",
    "deep": '{"__metadata__":' + "[" * 10**5 + "]" * 10**5 + "}",
}


@pytest.mark.parametrize("kind", HEADERS)
def test_headers_are_checked(tmp_path: Path, kind: str) -> None:
    text = HEADERS[kind].encode()
    (tmp_path / "bad").write_bytes(len(text).to_bytes(8, "little") + text + bytes(16))
    with pytest.raises(w2x.CheckpointError, match="not a safetensors file"):
        w2x.load(tmp_path / "bad")


@pytest.mark.parametrize("huge", [2**30, 2**62])
def test_an_empty_tensor_of_any_size_costs_nothing(path: Path, tmp_path: Path, huge: int) -> None:
    header = {
        "__metadata__": {"wasm2xformer": json.dumps(metadata_of(path))},
        "model.embed_tokens.weight.at": {"dtype": "U64", "shape": [0, huge], "data_offsets": [0, 0]},
        "prompt.prefix": {"dtype": "I32", "shape": [100], "data_offsets": [0, 400]},
    }
    text = json.dumps(header).encode()
    (tmp_path / "bad").write_bytes(len(text).to_bytes(8, "little") + text + bytes(400))
    with pytest.raises(w2x.CheckpointError, match="embed_tokens"):
        w2x.load(tmp_path / "bad")


def test_not_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for odd in (tmp_path, tmp_path / "pipe", "/dev/zero", "a\0b"):
        with pytest.raises(w2x.CheckpointError):
            w2x.load(odd)


@pytest.mark.parametrize(
    ("values", "finite"),
    [
        ([1e308] * 3, True), ([-1e308] * 3, True), ([1e308] * 3 + [np.inf], False), ([np.inf, -np.inf], False),
        ([0.0, np.nan], False), ([], True),
    ],
)  # fmt: skip
def test_finite_values_may_have_a_sum_that_is_not(values: list[float], finite: bool) -> None:
    assert tensors._finite(np.array(values)) == finite
