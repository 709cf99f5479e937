"""Public names of a package, each imported when it is first used: what needs torch is then imported by who needs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazily(package: dict[str, Any], modules: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """The package's `__getattr__`. package: its `globals()`. modules: relative name of a module -> names that it provides."""

    def attribute(name: str) -> Any:
        for module, names in modules.items():
            if name in names:
                value = package[name] = getattr(import_module(module, package["__name__"]), name)
                return value
        raise AttributeError(f"module {package['__name__']!r} has no attribute {name!r}")

    return attribute
