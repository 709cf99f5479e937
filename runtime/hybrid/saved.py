"""A folder with a language model and its compiled experts, whose `generate` calls them: `transformers serve` too.

    hybrid.save("folder/", model, tokenizer, experts_file="experts.toml")
    model = AutoModelForCausalLM.from_pretrained("folder/", trust_remote_code=True)
    model.generate(**inputs)                                   # 15 + 7 = 22
    hybrid.answers(model)[0].verify().ok

Besides what the stock class loads there are `experts/` (the file of experts with its programs, the probe, the router's row of
a native expert) and `custom_generate/generate.py`, which transformers takes in place of `generate` if the caller trusts the
folder's code; it does nothing but call `generate` here. Without that trust the folder is the model without experts. Needs torch.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .arithmetic import built_in
from .bypass import Bypass
from .errors import ExpertError
from .experts import Answer, Experts
from .experts_file import gathered, read_experts
from .native import NativeExpert
from .probe import load_probe
from .routers import ProbeRouter, Router

EXPERTS, GENERATION = "experts", "custom_generate"  # folders
FILE, PROBE, NATIVE = "experts.json", "probe.safetensors", "native.safetensors"
FORMAT = "wasm2xformer-native-1"
_KEPT = "_compiled_experts"  # attribute of a model whose experts have been opened
_GENERATE = '''"""Generation with compiled experts: pip install 'wasm2xformer[llm]'."""


def generate(model, *arguments, **options):
    from wasm2xformer import hybrid

    return hybrid.generate(model, *arguments, **options)
'''


def save(
    folder: str | Path, model: Any, tokenizer: Any, *, experts_file: str | Path | None = None, router: Router | None = None,
    native: NativeExpert | None = None,
) -> None:  # fmt: skip
    """Writes the folder. experts_file: as for `read_experts`; None for the experts that come along. router: the grammar, or a
    probe. native: installed in `model`; the model is saved without it, with the row of its router beside. Raises ExpertError."""
    folder = Path(folder)
    if native is not None and router is not None and router.layer is not None:
        raise ExpertError("a native expert is chosen by the model's own router; a probe besides has nothing to decide")
    told, programs = gathered(experts_file) if experts_file else ({}, {})
    if native is not None:
        native.remove()
    try:
        model.save_pretrained(folder)
    finally:
        if native is not None:
            native.install_row(native.row, native.bias)
    tokenizer.save_pretrained(folder)
    for name in (EXPERTS, GENERATION):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir()
    if experts_file:
        (folder / EXPERTS / FILE).write_text(json.dumps(told, indent=1) + "\n")
    for name, path in programs.items():
        if path.is_dir():
            shutil.copytree(path, folder / EXPERTS / name)
        else:
            shutil.copyfile(path, folder / EXPERTS / name)
    if isinstance(router, ProbeRouter):
        router.probe.save(folder / EXPERTS / PROBE)
    if native is not None:
        _save_native(native, folder / EXPERTS / NATIVE)
    (folder / GENERATION / "generate.py").write_text(_GENERATE)
    (folder / GENERATION / "requirements.txt").write_text("wasm2xformer\n")


def has_experts(folder: str | Path) -> bool:
    """Whether `save` wrote it."""
    return (Path(folder) / EXPERTS).is_dir() and (Path(folder) / GENERATION / "generate.py").is_file()


def saved_file(folder: str | Path) -> Path | None:
    """The file of experts in a folder that `save` wrote; None for those that come along."""
    path = Path(folder) / EXPERTS / FILE
    return path if path.exists() else None


def saved_router(folder: str | Path) -> Router | None:
    """The probe of such a folder, None where the grammar decides. Raises ExpertError."""
    path = Path(folder) / EXPERTS / PROBE
    return ProbeRouter(load_probe(path)) if path.exists() else None


def saved_native(folder: str | Path, model: Any, tokenizer: Any, experts: Experts) -> NativeExpert | None:
    """The native expert of such a folder, installed in `model`; None where it has none. Raises ExpertError."""
    path = Path(folder) / EXPERTS / NATIVE
    if not path.exists():
        return None
    try:
        with safe_open(str(path), "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise ExpertError(f"{path}: no native expert of this version")
            row, bias = file.get_tensor("row"), float(file.get_tensor("bias"))
        told = json.loads(metadata["native"])
        native = NativeExpert(model, tokenizer, experts, layer=told["layer"], slot=told["slot"], alpha=told["alpha"])
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ExpertError(f"{path}: no native expert: {error}") from None
    native.install_row(row, bias)
    return native


def _save_native(native: NativeExpert, path: Path) -> None:
    told = {"layer": native.layer, "slot": native.replaced, "alpha": native.alpha}
    tensors = {"row": native.row.contiguous(), "bias": torch.tensor(native.bias, dtype=torch.float64)}
    save_file(tensors, str(path), {"format": FORMAT, "native": json.dumps(told)})


@dataclass
class _Opened:
    """Of one model. last: the bypass of the last call of `generate`; begun: results of `native` before it."""

    tokenizer: Any
    experts: Experts
    router: Router | None
    native: NativeExpert | None
    last: Bypass | None = None
    begun: int = 0


def _opened(model: Any) -> _Opened:
    kept: _Opened | None = model.__dict__.get(_KEPT)
    if kept is None:
        from transformers import AutoTokenizer

        folder = _local(model.name_or_path)
        tokenizer, file = AutoTokenizer.from_pretrained(folder), saved_file(folder)
        experts = read_experts(file) if file else built_in()
        native = saved_native(folder, model, tokenizer, experts)
        kept = model.__dict__[_KEPT] = _Opened(tokenizer, experts, saved_router(folder), native)
    return kept


def answers(model: Any) -> list[Answer]:
    """What the experts were called for by the last `generate` of a model from such a folder, in order."""
    kept = _opened(model)
    if kept.native is not None:
        return [r.answer for r in kept.native.results[kept.begun :] if r.answer is not None]
    return kept.last.answers if kept.last else []


def _local(name: str) -> Path:
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(name, allow_patterns=[f"{EXPERTS}/*", "*.json", "tokenizer*"]))


def generate(model: Any, *arguments: Any, logits_processor: Any = None, **options: Any) -> Any:
    """The stock `generate` of the model's class with its folder's experts. Raises ExpertError besides what that raises."""
    kept = _opened(model)
    if kept.native is not None:
        kept.begun = len(kept.native.results)
        processors = [*(logits_processor or []), kept.native]
        return type(model).generate(model, *arguments, logits_processor=processors, **options)
    with Bypass(model, kept.tokenizer, kept.experts, kept.router) as kept.last:
        processors = [*(logits_processor or []), kept.last]
        return type(model).generate(model, *arguments, logits_processor=processors, **options)


__all__ = ["answers", "generate", "has_experts", "save", "saved_file", "saved_native", "saved_router"]
