"""What has to be the same wherever an item is worked on: the project's files, and the packages whose verdict counts."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDERS = ("compiler", "runtime", "wasm2xformer", "tests", "programs")
PACKAGES = ("numpy", "wasmtime", "llvmlite")


def digest() -> str:
    """Hexadecimal, of the names and contents of all files in FOLDERS and the versions of PACKAGES."""
    found = hashlib.sha256()
    for path in sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            content = path.read_bytes()
            found.update(f"{path.relative_to(ROOT).as_posix()}\0{len(content)}\0".encode() + content)
    for package in PACKAGES:
        found.update(f"{package} {version(package)}\0".encode())
    return found.hexdigest()


# As they were when this process began: what it has imported is that, whatever the files are by now.
AT_START = digest()


def same_as(wanted: str) -> bool:
    """Whether this process began with these sources, and what it may yet import is still the same."""
    return AT_START == wanted == digest()
