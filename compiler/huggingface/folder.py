"""The folder: what stock Hugging Face classes load, and beside it what they do not ask for, as `wasm2xformer.json`.

    config.json, generation_config.json    see `config`
    model.safetensors                      see `tensors`
    tokenizer.json, tokenizer_config.json  see `tokenizer`, `chat`
    README.md                              see `card`
    wasm2xformer.json                      {"checkpoint": the metadata of a one-file checkpoint, "prefix": token ids}

A folder with experts is `mixture_folder`'s.

`load_folder` reads config.json, model.safetensors and wasm2xformer.json; like a one-file checkpoint they come from strangers.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from ..format import metadata as stored
from ..format.checkpoint import CheckpointError, Model, check_sizes, checkpoint_errors, metadata_of, model_of
from ..format.consistency import check
from ..format.errors import CompileError
from ..format.files import read_file
from ..format.output_folder import replace_folder
from ..format.tensors import Tensors, open_tensors, write_tensors
from .card import card
from .config import config, generation_config, stock_problem
from .tensors import byte_count, read_transformer, state
from .tokenizer import tokenizer, tokenizer_config

CONFIG, WEIGHTS, NAMES = "config.json", "model.safetensors", "wasm2xformer.json"
_TEXTS: dict[str, Callable[[Model], Any]] = {
    CONFIG: lambda model: config(model.transformer),
    "generation_config.json": lambda model: generation_config(model.transformer),
    "tokenizer.json": tokenizer,
    "tokenizer_config.json": tokenizer_config,
    NAMES: lambda model: FolderMetadata(metadata_of(model), tuple(model.transformer.prefix.tolist())),
}
FILES = (NAMES, *(name for name in _TEXTS if name != NAMES), WEIGHTS, "README.md")
# The tensors of a folder are dense. Larger ones are refused unless the caller says that they are wanted.
MAX_GIB = 2.0
_JSON_LIMIT = 512 << 20  # bytes of a JSON file that is read


_Names = TypeVar("_Names")


class FolderMetadata(msgspec.Struct, forbid_unknown_fields=True):
    """wasm2xformer.json."""

    checkpoint: stored.Metadata
    prefix: tuple[stored.Natural, ...]


class _FolderVersion(msgspec.Struct):
    checkpoint: stored.VersionOnly


class _FolderKind(msgspec.Struct):
    mixture: object = None


def folder_gib(model: Model) -> float:
    """How large the tensors of the folder will be, in GiB."""
    return byte_count(model.transformer) / 2**30


def write_folder(model: Model, path: str | os.PathLike[str], max_gib: float = MAX_GIB) -> None:
    """Writes a model in the stock form as a folder that `AutoModelForCausalLM.from_pretrained` loads.

    A new folder, or one in the place of an earlier one that holds nothing else; whole or not at all. max_gib: how large its
    tensors may be. Raises CompileError for a model that has no such form, or is larger; OSError.
    """
    if problem := stock_problem(model.transformer):
        raise CompileError(f"no folder for the stock class: {problem}")
    if folder_gib(model) > max_gib:
        raise CompileError(
            f"the folder's tensors would be {folder_gib(model):,.2f} GiB, more than {max_gib:g} GiB (--max-size-gib)"
        )
    replace_folder(path, FILES, lambda folder: _fill(model, Path(folder), Path(path).absolute().name))


def _fill(model: Model, folder: Path, name: str) -> None:
    write_tensors(folder / WEIGHTS, state(model.transformer), "format", "pt")
    for file, make in _TEXTS.items():
        _write(folder / file, _json(make(model)))
    _write(folder / "README.md", card(model, name))


def _json(value: Any) -> str:
    if isinstance(value, msgspec.Struct):
        return msgspec.json.encode(value).decode() + "\n"
    return json.dumps(value, indent=None if "model" in value else 2) + "\n"


def _write(path: Path, text: str) -> None:
    with open(path, "x", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def load_folder(path: str | os.PathLike[str]) -> Model:
    """Reads such a folder. Raises CheckpointError for anything that is not one of this version, whole and consistent."""
    folder = Path(path)
    with checkpoint_errors(folder):
        found = read_names(folder, FolderMetadata)
        prefix = prefix_of(found.prefix)
        check_sizes(found.checkpoint, prefix.shape)
        with folder_tensors(folder) as tensors:
            model = model_of(found.checkpoint, read_transformer(found.checkpoint, tensors, prefix))
        check_folder(folder, model, lambda: config(model.transformer))
    return model


def has_experts(path: str | os.PathLike[str]) -> bool:
    """Whether a folder says that it is a mixture of experts; False where it cannot be read."""
    try:
        return msgspec.json.decode(_read(Path(path), NAMES), type=_FolderKind).mixture is not None
    except (OSError, ValueError, MemoryError, RecursionError, msgspec.MsgspecError):
        return False


def read_names(folder: Path, kind: type[_Names]) -> _Names:
    """wasm2xformer.json, which has a field `checkpoint`. Raises CheckpointError, ValueError, OSError."""
    if not (folder / NAMES).exists() and not (folder / NAMES).is_symlink():
        raise CheckpointError(f"{folder}: a folder, but not one of wasm2xformer: there is no {NAMES} in it")
    data = _read(folder, NAMES)
    try:
        version = msgspec.json.decode(data, type=_FolderVersion).checkpoint.version
        if version != stored.VERSION:
            raise ValueError(f"version {version}, this is for version {stored.VERSION}; compile the program again")
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ValueError(f"{NAMES}: {error}") from None


def prefix_of(ids: tuple[int, ...]) -> np.ndarray:
    return np.array(ids, dtype=np.int64).astype(np.int32)


def folder_tensors(folder: Path) -> AbstractContextManager[Tensors]:
    """model.safetensors, open. Raises ValueError, SafetensorError, OSError."""
    _require_file(folder, WEIGHTS)
    return open_tensors(folder / WEIGHTS)


def check_folder(folder: Path, model: Model, settings: Callable[[], Mapping[str, Any]]) -> None:
    """That the parts of a model fit together, and that config.json says what the stock class needs, `settings`. Raises
    ValueError."""
    check(model)
    if problem := stock_problem(model.transformer):
        raise ValueError(problem)
    _check_config(_read(folder, CONFIG), settings())


def _check_config(data: bytes, expected: Mapping[str, Any]) -> None:
    """The stock class computes what config.json says: each of our settings has to be there as it was written."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{CONFIG}: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{CONFIG} is no object")
    for key, value in expected.items():
        if found.get(key) != value:
            raise ValueError(f"{CONFIG}: {key} is {str(found.get(key))[:60]}, expected {value}")


def _read(folder: Path, name: str) -> bytes:
    _require_file(folder, name)
    return read_file(folder / name, _JSON_LIMIT)


def _require_file(folder: Path, name: str) -> None:
    """A pipe or device would never end. A link to a file is one: that is how downloaded models are kept."""
    try:
        mode = os.stat(folder / name).st_mode
    except OSError as error:
        raise OSError(error.errno, f"{name}: {error.strerror}") from None
    if not stat.S_ISREG(mode):
        raise ValueError(f"{name} is not a file")
