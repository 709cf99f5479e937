"""What a GPU is to compute as a CPU does: python -m tests.gpu [--device cuda] [--quick] [PART ...]

    replay      real softmax over whole traces: tests/gpu/replays.py
    engines     the engines torch and hf on the GPU, token for token beside `fast`; tokens/s
    generate    the stock class on the GPU in a process without this project: one sequence, batches, a static cache
    language    larger language models than a CPU trains: bypass, native expert and probes, as docs/hybrid.md has them

It needs a machine with a GPU and takes five minutes. --quick: each part in small, which the suite runs on the CPU.
Exit code 1 when a result differs. Timings are told, not judged.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Sequence

from . import engines, language, replays

PARTS = {"replay": replays.replays, "engines": engines.engines, "generate": engines.generate, "language": language.language}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.gpu")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all if none is named")
    parser.add_argument("--device", default="cuda", help="as torch names it (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="each part in small")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part {sorted(unknown)[0]!r}; there are: {', '.join(PARTS)}")
    failed = total = 0
    for name in options.parts or PARTS:
        began = time.perf_counter()
        try:
            for right, text in PARTS[name](options.device, options.quick):
                total, failed = total + 1, failed + (not right)
                print(f"{name}: {text}{'' if right else '  DIFFERENT'}", flush=True)
        except Exception:  # the other parts are tried all the same
            total, failed = total + 1, failed + 1
            traceback.print_exc(file=sys.stdout)
        print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)
    print(f"{total} results, {failed} different")
    return 1 if failed or not total else 0


if __name__ == "__main__":
    sys.exit(main())
