"""Folders that a program is given: their contents as bytes of a prompt, and back from hidden memory.

compiler/link/files.wat works on these bytes, and says how they lie. Bytes are moved here, nothing is computed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ..compiler.format.limits import FILES_GIVEN_BYTES
from .bit_patterns import show
from .errors import ArgumentError

# By the path within the folder, parts joined by "/": the bytes of a file, None for a folder.
Contents: TypeAlias = Mapping[str, bytes | None]
Folders: TypeAlias = Mapping[str, Contents]  # by the path under which the program finds it

_HEAD, _NODE = struct.Struct("<4I"), struct.Struct("<10I2Q")
_FOLDER, _FILE = 3, 4  # types of nodes, WASI's
_LINKED, _CHANGED = 1, 2  # bits of a node's state
_LONGEST = 255  # bytes of a name


def checked(folders: Any) -> dict[str, dict[str, bytes | None]]:
    """The same with every folder in between, in the order of names. Raises ArgumentError for what is no such thing."""
    if not isinstance(folders, Mapping):
        raise ArgumentError(f"folders: {show(folders)} is no mapping of paths to contents")
    found = {}
    for name, contents in folders.items():
        if not isinstance(name, str) or not name or not isinstance(contents, Mapping):
            raise ArgumentError(f"folders: {show(name)}: a path, and a mapping of paths to bytes, are expected")
        _encode(name)
        whole: dict[str, bytes | None] = {}
        for path, data in contents.items():
            parts = _parts(path)
            for k in range(1, len(parts)):
                whole.setdefault("/".join(parts[:k]), None)
            whole["/".join(parts)] = None if data is None else _bytes(path, data)
        for path in whole:
            if whole.get(path.rpartition("/")[0]) is not None:
                raise ArgumentError(f"folders: {show(path)} is in a file")
        found[name] = dict(sorted(whole.items(), key=lambda item: [_encode(p) for p in item[0].split("/")]))
    return found


def _bytes(path: str, data: Any) -> bytes:
    try:
        return memoryview(data).tobytes()
    except TypeError:
        raise ArgumentError(f"folders: {show(path)}: {show(data)} is no bytes") from None


def _parts(path: Any) -> list[str]:
    parts = path.split("/") if isinstance(path, str) else [""]
    if any(p in ("", ".", "..") or len(_encode(p)) > _LONGEST for p in parts):
        raise ArgumentError(f"folders: {show(path)} is no path within a folder")
    return parts


def _encode(name: str) -> bytes:
    try:
        data = name.encode()
    except UnicodeEncodeError:
        data = b"\0"
    if b"\0" in data:
        raise ArgumentError(f"folders: {show(name)} is no name: UTF-8 without zeros is")
    return data


def numbered(folders: Folders) -> Iterator[tuple[str, str]]:
    """(folder, path in it, "" the folder itself) in the order of the files' numbers, which begin at 1."""
    for name, contents in folders.items():
        yield from ((name, path) for path in ("", *contents))


@dataclass
class _Node:
    name: bytes
    data: bytes | None
    place: int  # among all nodes
    parent: int | None
    children: list[_Node] = field(default_factory=list)


def image(folders: Folders, base: int, now: int) -> bytes:
    """What the prompt holds. folders: as `checked` leaves them. base: where it goes in hidden memory. now: nanoseconds, the
    time of everything. Raises ArgumentError where there is no room."""
    nodes: list[_Node] = []
    roots: list[_Node] = []
    for name, contents in folders.items():
        roots.append(_Node(_encode(name), None, len(nodes), None))
        nodes.append(roots[-1])
        by_path = {"": roots[-1]}
        for path, data in contents.items():
            above, _, own = path.rpartition("/")
            node = _Node(_encode(own), data, len(nodes), by_path[above].place)
            by_path[above].children.append(node)
            by_path[path] = node
            nodes.append(node)
    behind = base + _HEAD.size + _NODE.size * len(nodes)
    texts, records = bytearray(), []
    siblings = {n.place: after for row in (roots, *(n.children for n in nodes)) for n, after in zip(row, row[1:])}

    def put(data: bytes) -> int:
        at = behind + len(texts)
        texts.extend(data + bytes(-len(data) % 4))
        return at

    def address(node: _Node | None) -> int:
        return 0 if node is None else base + _HEAD.size + _NODE.size * node.place

    for n in nodes:
        size = 0 if n.data is None else len(n.data)
        first = put(n.data) if n.data is not None else address(n.children[0] if n.children else None)
        parent = 0 if n.parent is None else address(nodes[n.parent])
        room = size + -size % 4
        records.append(_NODE.pack(
            _FOLDER if n.data is None else _FILE, parent, address(siblings.get(n.place)), first, size, room, put(n.name),
            len(n.name), n.place + 1, _LINKED, now, now,
        ))  # fmt: skip
    head = _HEAD.pack(behind + len(texts), address(roots[0] if roots else None), len(nodes) + 1, 0)
    whole = head + b"".join(records) + bytes(texts)
    if len(whole) > FILES_GIVEN_BYTES:
        raise ArgumentError(f"folders: {len(whole):,} bytes, the program has room for {FILES_GIVEN_BYTES:,}")
    return whole


def changes(read: Callable[[int, int], bytes], base: int) -> int:
    """How often something was changed so far. read: bytes of hidden memory, by address and length."""
    return _HEAD.unpack(read(base, _HEAD.size))[3]


def contents(read: Callable[[int, int], bytes], base: int, given: Folders) -> dict[str, dict[str, bytes | None]]:
    """What is in the folders now. given: what `image` was given: of files that did not change, the contents; all of it where
    there is no image, because no call has needed it yet."""
    before = dict(enumerate(numbered(given), 1))
    found: dict[str, dict[str, bytes | None]] = {}
    root = _HEAD.unpack(read(base, _HEAD.size))[1]
    if not root:
        return {name: dict(tree) for name, tree in given.items()}
    for name in given:
        found[name] = {}
        stack = [(_NODE.unpack(read(root, _NODE.size))[3], "")]
        root = _NODE.unpack(read(root, _NODE.size))[2]
        while stack:
            at, above = stack.pop()
            while at:
                kind, _, following, first, size, _, text, length, number, state, *_ = _NODE.unpack(
                    read(at, _NODE.size)
                )
                path = above + read(text, length).decode(errors="surrogateescape")
                if kind == _FOLDER:
                    found[name][path] = None
                    stack.append((first, f"{path}/"))
                elif number in before and not state & _CHANGED:
                    folder, old = before[number]
                    found[name][path] = given[folder][old]
                else:
                    found[name][path] = read(first, size) if size else b""
                at = following
    return {name: dict(sorted(tree.items(), key=lambda item: item[0].split("/"))) for name, tree in found.items()}


def differences(before: Contents, now: Contents) -> Sequence[str]:
    """The paths at which two folders differ, in their order."""
    return sorted(p for p in {*before, *now} if p not in before or p not in now or before[p] != now[p])
