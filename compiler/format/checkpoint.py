"""The checkpoint: one safetensors file with the transformer, its prompt prefix, and the map from steps to WASM.

Tensors (float64): model.embed_positions.weight [2, d], and per layer N
model.layers.N.self_attn.{q,k,v}_proj.weight [w H, d], .self_attn.o_proj.weight [d, w H] (w: head_dim),
model.layers.N.mlp.{gate,up}_proj.weight [F, d], .mlp.down_proj.weight [d, F]; prompt.prefix [n] (int32). Of the two matrices
[V, d] with a row for each token, model.embed_tokens.weight and lm_head.weight, the file has only what is not 0, as
.at [V + 1], .columns [N] and .values [N] (see `sparse` and `tensors`).
One entry of metadata, "wasm2xformer": JSON, see `metadata`; where it is longer than a header may be, it stands in a tensor of its
bytes, wasm2xformer.json [n] (uint8), and the entry says the version alone. The same program gives the same file, byte for byte.

A checkpoint is data from a stranger. Loading executes nothing, checks everything that will be used (`metadata`: types and
bounds; `tensors`: shapes, finite numbers; `consistency`: that it all fits together), takes memory in proportion to the file's
size, and raises nothing but CheckpointError.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from safetensors import SafetensorError

from . import metadata as stored
from .certificate import HeadBound
from .consistency import check
from .isa import Program
from .printable import printable
from .records import collecting_later
from .tensors import HEADER_LIMIT, Tensors, open_tensors, sparse_parts, write_tensors
from .transformer import Layer, Transformer

if TYPE_CHECKING:
    from .mixture import Mixture

FORMAT = "wasm2xformer"
# Bytes of metadata from which on looking up what was found consistent takes less than finding it out.
LARGE = 1 << 18


class CheckpointError(Exception):
    """The file cannot be used as a checkpoint; the message, one line, says why and what to do."""


@dataclass
class Model:
    """A compiled program.

    transformer: the weights. program: the step program they hold, for display and checking only (none: a transformer
    that was built by hand).
    jumps: (ip delta, frame delta) of each token that jumps (J, X, Y, Z, F), in the order of ids.
    entries: (name, first row, see `Program.row_of`) of each token I.{k}.
    inputs: token number s of G.{s} for each named input area.
    texts: for each step with a site: "function 0xoffset instruction" as people read it.
    mixture: of a folder with experts what is in it; `transformer` is then `mixture.joined()`, and has been shown to decode the
        same. A one-file checkpoint keeps `transformer` alone.
    """

    transformer: Transformer
    program: Program = field(default_factory=lambda: Program((), {}, {}))
    jumps: list[tuple[int, int]] = field(default_factory=list)
    entries: list[tuple[str, int]] = field(default_factory=list)
    inputs: dict[str, int] = field(default_factory=dict)
    texts: dict[int, str] = field(default_factory=dict)
    mixture: Mixture | None = None

    def save(self, path: str | Path) -> None:
        """Writes the checkpoint; an existing file is replaced only when all of it has been written, and keeps its mode."""
        save(self, path)


_MATRICES = {
    "q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "o": "self_attn.o_proj",
    "gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj",
}  # fmt: skip
EMBED, UNEMBED = "model.embed_tokens.weight", "lm_head.weight"
_POSITIONS = "model.embed_positions.weight"
_PREFIX = "prompt.prefix"
_METADATA = "wasm2xformer.json"


def _name(layer: int, matrix: str) -> str:
    return f"model.layers.{layer}.{_MATRICES[matrix]}.weight"


def layer_tensors(index: int, layer: Layer) -> dict[str, np.ndarray]:
    """The matrices of a layer, by the names of their tensors."""
    return {_name(index, matrix): getattr(layer, matrix) for matrix in _MATRICES}


def save(model: Model, path: str | Path) -> None:
    """Writes `model` as a safetensors file. Raises OSError."""
    t = model.transformer
    tensors = {_POSITIONS: t.positions, _PREFIX: t.prefix.astype(np.int32)}
    tensors |= sparse_parts(EMBED, t.embed) | sparse_parts(UNEMBED, t.unembed)
    for index, layer in enumerate(t.layers):
        tensors |= layer_tensors(index, layer)
    text = stored.encode(metadata_of(model))
    # Quotation marks are escaped once more in the header, which also lists the tensors.
    if len(text) + text.count('"') + text.count("\\") + 200 * len(tensors) > HEADER_LIMIT:
        tensors[_METADATA] = np.frombuffer(text.encode(), np.uint8)
        text = stored.version_alone()
    write_tensors(path, tensors, FORMAT, text)


def metadata_of(model: Model) -> stored.Metadata:
    """All that there is to a model but its tensors."""
    t = model.transformer
    return stored.Metadata(
        stored.VERSION,
        _config(t),
        tuple(t.vocabulary),
        stored.AllNames(
            tuple(t.slot_names),
            tuple(stored.LayerNames(tuple(y.slot_names), tuple(y.head_names), tuple(y.neuron_names)) for y in t.layers),
        ),
        stored.stored_program(model.program),
        tuple(model.jumps),
        tuple(model.entries),
        model.inputs,
        {str(step): text for step, text in model.texts.items()},
    )


def _config(t: Transformer) -> stored.Config:
    """What the matrices' shapes say, in the words of other libraries."""
    return stored.Config(
        architectures=("Wasm2XformerForCausalLM",),
        hidden_size=t.width,
        head_dim=t.head_dim,
        num_hidden_layers=len(t.layers),
        num_attention_heads=tuple(len(y.q) // t.head_dim for y in t.layers),
        intermediate_size=tuple(len(y.gate) for y in t.layers),
        vocab_size=len(t.vocabulary),
        hidden_act="relu",
        torch_dtype="float64",
        certificate=tuple(stored.StoredBound(*astuple(b)) for b in t.certificate),
        probes={name: (layer, slot) for name, (layer, slot) in t.probes.items()},
        float32_reads=t.float32_reads,
    )


class Proofs(Protocol):
    """Remembers what was found consistent: `contents` is a hash of all that this depends on but the source."""

    def known(self, contents: str) -> bool: ...

    def keep(self, contents: str) -> None: ...


def load(path: str | Path, proofs: Proofs | None = None) -> Model:
    """Reads a checkpoint. Raises CheckpointError for anything that is not one of this version, whole and consistent. proofs: of
    large ones; the tensors themselves are looked at in any case."""
    with checkpoint_errors(path), collecting_later():
        return _load(path, proofs)


@contextmanager
def checkpoint_errors(path: str | Path) -> Iterator[None]:
    """Whatever reading a checkpoint raises, as CheckpointError with its name in front."""
    try:
        yield
        return
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
    except SafetensorError as error:
        reason = f"not a safetensors file, or cut short ({error})"
    except (MemoryError, OverflowError):
        reason = "too large for this machine's memory"
    except ValueError as error:
        reason = f"damaged checkpoint ({error}); compile the program again"
    raise CheckpointError(printable(f"{path}: {reason}"))


def _load(path: str | Path, proofs: Proofs | None) -> Model:
    if not stat.S_ISREG(os.stat(path).st_mode) and not os.path.isdir(path):
        raise ValueError("a pipe or device, not a file")
    open(path, "rb").close()  # the library would say of a file that may not be read that it does not exist
    with open_tensors(path) as tensors:
        text = _whole(_text(path, tensors), tensors)
        metadata = stored.decode(text)
        check_sizes(metadata, tensors.shape(_PREFIX))
        model = model_of(metadata, _transformer(metadata, tensors))
    if proofs is None or len(text) < LARGE:
        check(model)
    elif not proofs.known(contents := _contents(text, model.transformer.prefix)):
        check(model)
        proofs.keep(contents)
    return model


def _contents(text: str | bytes, prefix: np.ndarray) -> str:
    """All that `check` looks at: the metadata, which says what the shapes of tensors have to be, and the prefix."""
    data = text if isinstance(text, bytes) else text.encode()
    digest = hashlib.sha256(len(data).to_bytes(8, "little") + data)
    digest.update(np.ascontiguousarray(prefix, np.int32).data)
    return digest.hexdigest()


def _text(path: str | Path, tensors: Tensors) -> str:
    """The metadata, if the file is a checkpoint of this version."""
    text = tensors.metadata.get(FORMAT, "")
    version = stored.version_of(text) if text else None
    if not text and tensors.metadata.get("format") == FORMAT:  # the form of version 1
        version = 1
    if version is None:
        raise CheckpointError(printable(f"{path}: a safetensors file, but not a {FORMAT} checkpoint"))
    if version != stored.VERSION:
        raise CheckpointError(
            printable(
                f"{path}: checkpoint version {version}, this is {FORMAT} for version {stored.VERSION}; "
                "compile the program again, or use the release that wrote it"
            )
        )
    return text


def _whole(text: str, tensors: Tensors) -> str | bytes:
    """The metadata where it stands."""
    if _METADATA not in tensors.left:
        return text
    return tensors.take(_METADATA, tensors.shape(_METADATA)[:1], "U8").tobytes()


def check_sizes(metadata: stored.Metadata, prefix: tuple[int, ...]) -> None:
    """Before anything is made of them: each step has a token in the prefix, which has this shape."""
    tokens, steps = len(metadata.vocabulary), len(metadata.program.steps)
    if tokens != metadata.config.vocab_size:
        raise ValueError(f"{tokens} token names for {metadata.config.vocab_size} tokens")
    if len(prefix) != 1:
        raise ValueError(f"{_PREFIX} is no list of token ids")
    if steps > prefix[0]:
        raise ValueError(f"{steps} steps, but only {prefix[0]} tokens in {_PREFIX}")
    for what, count in (("functions", len(metadata.program.functions)), ("texts", len(metadata.texts))):
        if count > steps:
            raise ValueError(f"{count} {what}, but only {steps} steps")


def _transformer(metadata: stored.Metadata, tensors: Tensors) -> Transformer:
    """The shapes of three matrices and the numbers of heads and neurons say what all the others have to be."""
    check_layers(metadata)
    config = metadata.config
    vocab, width = config.vocab_size, config.hidden_size
    matrices = {
        "embed": tensors.take_sparse(EMBED, (vocab, width)),
        "positions": tensors.take(_POSITIONS, (2, width), "F64"),
        "unembed": tensors.take_sparse(UNEMBED, (vocab, width)),
    }
    layers = [read_layer(metadata, tensors, index) for index in range(config.num_hidden_layers)]
    transformer = transformer_of(metadata, layers, tensors.take(_PREFIX, tensors.shape(_PREFIX), "I32"), **matrices)
    if tensors.left:
        raise ValueError(f"a tensor that belongs to nothing: {min(tensors.left)}")
    return transformer


def check_layers(metadata: stored.Metadata) -> None:
    """What there is of each layer in the metadata is there for all of them."""
    config, names, count = metadata.config, metadata.names, metadata.config.num_hidden_layers
    if config.hidden_act != "relu" or config.torch_dtype != "float64":
        raise ValueError("config: not the architecture of this version")
    for what, values in (
        ("num_attention_heads", config.num_attention_heads),
        ("intermediate_size", config.intermediate_size),
        ("names.layers", names.layers),
    ):
        if len(values) != count:
            raise ValueError(f"{what}: {len(values)} for {count} layers")


def transformer_of(
    metadata: stored.Metadata, layers: list[Layer], prefix: np.ndarray, **matrices: Any
) -> Transformer:  # fmt: skip
    """matrices: embed, positions, unembed."""
    config = metadata.config
    return Transformer(
        layers=layers,
        vocabulary=list(metadata.vocabulary),
        prefix=prefix,
        certificate=tuple(HeadBound(*(getattr(b, f) for f in b.__struct_fields__)) for b in config.certificate),
        slot_names=list(metadata.names.slots),
        probes=dict(config.probes),
        head_dim=config.head_dim,
        float32_reads=config.float32_reads,
        **matrices,
    )


def read_layer(metadata: stored.Metadata, tensors: Tensors, index: int, mlp: str = "mlp") -> Layer:
    """Takes the matrices of one layer, which have to be of the shapes that the metadata says. mlp: where its MLP's stand."""
    config, names = metadata.config, metadata.names.layers[index]
    d, h, f = config.hidden_size, config.num_attention_heads[index] * config.head_dim, config.intermediate_size[index]
    shapes = {"q": (h, d), "k": (h, d), "v": (h, d), "o": (d, h), "gate": (f, d), "up": (f, d), "down": (d, f)}
    named = {matrix: _name(index, matrix).replace(".mlp.", f".{mlp}.") for matrix in shapes}
    matrices = {matrix: tensors.take(named[matrix], shape, "F64") for matrix, shape in shapes.items()}
    return Layer(
        **matrices, head_names=list(names.heads), neuron_names=list(names.neurons), slot_names=list(names.slots)
    )


def model_of(metadata: stored.Metadata, transformer: Transformer) -> Model:
    """The inverse of `metadata_of`. Whether it all fits together is to be checked (`consistency`)."""
    return Model(
        transformer,
        stored.program_of(metadata.program),
        list(metadata.jumps),
        list(metadata.entries),
        metadata.inputs,
        {int(step): text for step, text in metadata.texts.items()},
    )
