"""The checkpoint: one safetensors file with the transformer, its prompt prefix, and the map from steps to WASM.

Tensors (float64): model.embed_tokens.weight [V, d], model.embed_positions.weight [2, d], lm_head.weight [V, d], and per layer N
model.layers.N.self_attn.{q,k,v}_proj.weight [2H, d], .self_attn.o_proj.weight [d, 2H],
model.layers.N.mlp.{gate,up}_proj.weight [F, d], .mlp.down_proj.weight [d, F]; prompt.prefix [n] (int32).
Metadata: format, version, config, vocabulary, names (slots, heads, neurons), program. Loading only reads: nothing in the
file is executed. The same program gives the same file, byte for byte.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from .isa import Entry, Program, Site, Slot, Step, StepFunction
from .transformer import HEAD_DIM, Layer, Transformer
from .types import FuncType

FORMAT = "wasm2xformer"
VERSION = 1


class CheckpointError(Exception):
    """The file cannot be used as a checkpoint; the message says why and what to do."""


@dataclass
class Model:
    """A compiled program.

    transformer: the weights. program: the step program they hold, for display and checking only (none: a transformer
    that was built by hand).
    jumps: (ip delta, frame delta) of each token that jumps (J, X, Y, Z, F), in the order of ids.
    entries: (name, first step) of each token I.{k}.
    segments: token number s of G.{s} for each named input area.
    texts: for each step with a site: "function+offset instruction" as people read it.
    """

    transformer: Transformer
    program: Program = field(default_factory=lambda: Program((), {}, {}))
    jumps: list[tuple[int, int]] = field(default_factory=list)
    entries: list[tuple[str, int]] = field(default_factory=list)
    inputs: dict[str, int] = field(default_factory=dict)
    texts: dict[int, str] = field(default_factory=dict)

    def save(self, path: str | Path) -> None:
        """Writes the checkpoint; an existing file is replaced only when all of it has been written."""
        save(self, path)


_ATTENTION = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "o_proj"}
_DTYPES = {"float64": "F64", "int32": "I32"}
_MLP = {"gate": "gate_proj", "up": "up_proj", "down": "down_proj"}


def _tensor_names(layer: int) -> dict[str, str]:
    names = {a: f"model.layers.{layer}.self_attn.{n}.weight" for a, n in _ATTENTION.items()}
    return names | {a: f"model.layers.{layer}.mlp.{n}.weight" for a, n in _MLP.items()}


def save(model: Model, path: str | Path) -> None:
    """Writes `model` as a safetensors file."""
    t = model.transformer
    tensors = {
        "model.embed_tokens.weight": t.embed,
        "model.embed_positions.weight": t.positions,
        "lm_head.weight": t.unembed,
        "prompt.prefix": t.prefix.astype(np.int32),
    }
    for index, layer in enumerate(t.layers):
        tensors |= {name: getattr(layer, attribute) for attribute, name in _tensor_names(index).items()}
    config = {
        "architectures": ["Wasm2XformerForCausalLM"],
        "hidden_size": t.width,
        "head_dim": HEAD_DIM,
        "num_hidden_layers": len(t.layers),
        "num_attention_heads": [len(y.q) // HEAD_DIM for y in t.layers],
        "intermediate_size": [len(y.gate) for y in t.layers],
        "vocab_size": len(t.vocabulary),
        "hidden_act": "relu",
        "torch_dtype": "float64",
        "softmax_envelope": t.envelope,
        "probes": t.probes,
    }
    names = {
        "slots": t.slot_names,
        "layers": [{"slots": y.slot_names, "heads": y.head_names, "neurons": y.neuron_names} for y in t.layers],
    }
    program = {
        "program": _plain(model.program),
        "jumps": model.jumps,
        "entries": model.entries,
        "inputs": model.inputs,
        "texts": {str(k): v for k, v in model.texts.items()},
    }
    parts = {"config": config, "vocabulary": t.vocabulary, "names": names, "program": program}
    metadata = {"format": FORMAT, "version": str(VERSION)}
    metadata |= {name: json.dumps(part, separators=(",", ":")) for name, part in parts.items()}
    _write(Path(path), tensors, metadata)


def _write(path: Path, tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
    """Writes a safetensors file, in the order of the dicts (the library's own writer leaves the metadata's to chance)."""
    header: dict[str, Any] = {"__metadata__": metadata}
    arrays, end = [], 0
    for name, tensor in sorted(tensors.items(), key=lambda item: -item[1].itemsize):  # so that all are aligned
        array = np.ascontiguousarray(tensor, dtype=tensor.dtype.newbyteorder("<"))
        start, end = end, end + array.nbytes
        header[name] = {"dtype": _DTYPES[array.dtype.name], "shape": array.shape, "data_offsets": [start, end]}
        arrays.append(array)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    special = path.exists() and not path.is_file()  # a device is written to, not replaced; a folder is an error
    path = path if special else path.resolve()  # a link stays one
    partial = path if special else path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for array in arrays:
                file.write(array.data)
        if not special:
            partial.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        if not special:
            partial.unlink(missing_ok=True)


def load(path: str | Path) -> Model:
    """Reads a checkpoint. Raises CheckpointError for anything that is not one of this version, whole and consistent."""
    path = Path(path)
    try:
        path.open("rb").close()  # safe_open would say of a file that may not be read that it does not exist
    except OSError as error:
        raise CheckpointError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            _check_format(path, metadata)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except SafetensorError as error:
        raise CheckpointError(f"{path}: not a safetensors file, or cut short ({error})") from None
    try:
        parts = {name: json.loads(metadata[name]) for name in ("config", "vocabulary", "names", "program")}
        model = _model(tensors, parts)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise CheckpointError(
            f"{path}: damaged checkpoint ({type(error).__name__}: {error}); compile it again"
        ) from None
    return model


def _check_format(path: Path, metadata: dict[str, str]) -> None:
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path}: a safetensors file, but not a {FORMAT} checkpoint")
    if metadata.get("version") != str(VERSION):
        raise CheckpointError(
            f"{path}: checkpoint version {metadata.get('version')}, this is {FORMAT} for version {VERSION}; "
            "compile the program again, or use the release that wrote it"
        )


def _model(tensors: dict[str, np.ndarray], parts: dict[str, Any]) -> Model:
    config, names, stored = parts["config"], parts["names"], parts["program"]
    vocab, width = config["vocab_size"], config["hidden_size"]

    def take(name: str, shape: tuple[int, ...], dtype: type = np.float64) -> np.ndarray:
        tensor = tensors[name]
        if tensor.shape != shape or tensor.dtype != dtype:
            raise ValueError(f"{name} is {tensor.dtype}{list(tensor.shape)}, expected {np.dtype(dtype)}{list(shape)}")
        if dtype is np.float64 and not np.isfinite(tensor).all():
            raise ValueError(f"{name} holds values that are not finite")
        return tensor

    layers = []
    for index in range(config["num_hidden_layers"]):
        h, f = config["num_attention_heads"][index] * HEAD_DIM, config["intermediate_size"][index]
        shapes = {"q": (h, width), "k": (h, width), "v": (h, width), "o": (width, h)}
        shapes |= {"gate": (f, width), "up": (f, width), "down": (width, f)}
        weights = {a: take(n, shapes[a]) for a, n in _tensor_names(index).items()}
        named = names["layers"][index]
        layers.append(
            Layer(**weights, head_names=named["heads"], neuron_names=named["neurons"], slot_names=named["slots"])
        )
    prefix = tensors["prompt.prefix"]
    prefix = take("prompt.prefix", prefix.shape, np.int32)
    if prefix.ndim != 1 or (len(prefix) and (prefix.min() < 0 or prefix.max() >= vocab)):
        raise ValueError("prompt.prefix is not a list of token ids")
    vocabulary = parts["vocabulary"]
    if len(vocabulary) != vocab:
        raise ValueError(f"{len(vocabulary)} token names for {vocab} tokens")
    transformer = Transformer(
        take("model.embed_tokens.weight", (vocab, width)),
        take("model.embed_positions.weight", (2, width)),
        layers,
        take("lm_head.weight", (vocab, width)),
        vocabulary,
        prefix,
        int(config["softmax_envelope"]),
        names["slots"],
        {name: (int(layer), int(slot)) for name, (layer, slot) in config["probes"].items()},
    )
    return Model(
        transformer,
        _program(stored["program"]),
        [(int(d), int(f)) for d, f in stored["jumps"]],
        [(str(n), int(e)) for n, e in stored["entries"]],
        {str(n): int(s) for n, s in stored["inputs"].items()},
        {int(k): str(v) for k, v in stored["texts"].items()},
    )


# What the prompt's prefix holds, and what only those that made the program need.
_NOT_STORED = ("segments", "initial", "limits", "folded")


def _plain(value: Any) -> Any:
    """Dataclasses as JSON lists and dicts: fields at their default are left out."""
    if isinstance(value, (Slot, Site, FuncType)):
        return [_plain(getattr(value, f.name)) for f in fields(value)]
    if hasattr(value, "__dataclass_fields__"):
        items = {f.name: getattr(value, f.name) for f in fields(value)}
        return {k: _plain(v) for k, v in items.items() if v not in (None, (), "", {}) and k not in _NOT_STORED}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    return value


def _program(plain: dict[str, Any]) -> Program:
    """The inverse of `_plain` for a program (without segments and initial values, which the prompt's prefix holds)."""
    slots = {"a", "b", "c", "dest"}

    def func_type(p: list) -> FuncType:
        return FuncType(tuple(p[0]), tuple(p[1]))

    def step(p: dict[str, Any]) -> Step:
        made: dict[str, Any] = {k: Slot(*v) if k in slots else v for k, v in p.items()}
        if "site" in p:
            made["site"] = Site(*p["site"])
        if "type" in p:
            made["type"] = func_type(p["type"])
        made["targets"] = tuple(p.get("targets", ()))
        return Step(**made)

    def entry(p: dict[str, Any]) -> Entry:
        return Entry(
            p.get("name", ""),
            p["entry"],
            *(tuple(p.get(k, ())) for k in ("params", "results", "registers")),
        )

    def function(p: dict[str, Any]) -> StepFunction:
        return StepFunction(**(p | {"type": func_type(p["type"]), "name": p.get("name", "")}))

    return Program(
        steps=tuple(step(p) for p in plain.get("steps", ())),
        functions={int(k): function(p) for k, p in plain.get("functions", {}).items()},
        entries={k: entry(p) for k, p in plain.get("entries", {}).items()},
        start=entry(plain["start"]) if "start" in plain else None,
        host={k: entry(p) for k, p in plain.get("host", {}).items()},
        references={int(k): v for k, v in plain.get("references", {}).items()},
        function_references={int(k): v for k, v in plain.get("function_references", {}).items()},
        table_capacity={int(k): v for k, v in plain.get("table_capacity", {}).items()},
        inputs={k: (v[0], v[1]) for k, v in plain.get("inputs", {}).items()},
        exported_globals={k: (Slot(*v[0]), v[1]) for k, v in plain.get("exported_globals", {}).items()},
        **{k: plain.get(k, 0) for k in ("hidden_bytes", "memory_pages", "memory_maximum", "opt_level")},
    )
