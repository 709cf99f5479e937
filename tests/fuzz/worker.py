"""python -m tests.fuzz.worker DOOR: runs inputs, one after the other, for the process that watches over it.

On stdin each input as four bytes of length and the bytes; on stdout, for each, a line of JSON: {"outcome": ..., "message": ...}.
What an input prints goes to stderr.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import traceback

from .doors import ALL

# Address space in bytes: what asks for more gets MemoryError, and no machine is brought to its knees.
ADDRESS_SPACE = 12 << 30


def main(name: str) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, resource.getrlimit(resource.RLIMIT_AS)[1]))
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    inputs = os.fdopen(os.dup(0), "rb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # an input that reads stdin gets nothing
    door = ALL[name]()
    while header := inputs.read(4):
        data = inputs.read(int.from_bytes(header, "little"))
        print(json.dumps(_answer(door, data)), file=answers, flush=True)


def _answer(door: object, data: bytes) -> dict[str, str]:
    try:
        return {"outcome": door.run(data), "message": ""}  # type: ignore[attr-defined]
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        told = f"{type(error).__name__}: {error}"[:2000]
        frames = "".join(traceback.format_tb(error.__traceback__)[-6:])
        return {"outcome": "failed", "message": f"{where.filename}:{where.lineno}: {told}", "traceback": frames}


if __name__ == "__main__":
    main(sys.argv[1])
