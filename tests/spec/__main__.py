"""`python -m tests.spec [FOLDER]`: every command of every .wast script of a folder, through compiler and engine.

Exit status: 0 everything passed, or was refused as refused.toml lists for the folder that is taken when none is given (of another
none may be); 1 something failed or the refusals differ;
2 wrong use; 3 the folder is not there.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from .report import as_json, differences, failures, read_refusals, refusals, table, write_refusals
from .run import Outcome, run_script

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "spec"
DENSE_TOKENS = 500
MISSING = 3


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    if not options.folder.is_dir():
        print(f"{options.folder}: no such folder; give the folder of the .wast scripts", file=sys.stderr)
        return MISSING
    scripts = [p for p in sorted(options.folder.glob("*.wast")) if not options.only or p.stem in options.only]
    if not scripts:
        print(f"{options.folder}: no such .wast scripts", file=sys.stderr)
        return MISSING
    dense = options.max_tokens if options.engine == "torch" else 0
    # Those with many modules take longest; they begin first.
    scripts.sort(key=lambda p: -p.read_text(encoding="utf-8", errors="replace").count("(module"))
    results: dict[str, list[Outcome]] = {}
    began = time.monotonic()
    with ProcessPoolExecutor(min(options.jobs, len(scripts))) as pool:
        given = options.opt_level, dense, options.verify
        futures = {pool.submit(run_script, path, *given): path.stem for path in scripts}
        for future in as_completed(futures):
            results[futures[future]] = future.result()
            if options.verbose:
                print(f"{time.monotonic() - began:6.0f} s  {futures[future]}", file=sys.stderr)
    return _report(options, results, time.monotonic() - began)


def _report(options: argparse.Namespace, results: dict[str, list[Outcome]], seconds: float) -> int:
    print(as_json(results) if options.json else table(results))
    if not options.json:
        print(f"\n{len(results)} scripts, engine {options.engine}, -O{options.opt_level}, {seconds:.0f} s")
    found, expected = refusals(results), read_refusals() if options.folder.resolve() == FOLDER.resolve() else {}
    if options.update:
        write_refusals({k: v for k, v in expected.items() if k not in results} | found)
        expected = found
    problems = failures(results) + differences(found, expected, sorted(results))
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.spec", description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER, help="folder of .wast scripts (%(default)s)")
    parser.add_argument("--only", action="append", metavar="SCRIPT", help="only this script (repeatable)")
    parser.add_argument("--engine", choices=("fast", "torch"), default="fast")
    parser.add_argument("--verify", action="store_true", help="every step of every call against wasmtime, too")
    parser.add_argument("--opt-level", type=int, choices=(0, 1), default=1)
    parser.add_argument(
        "--max-tokens", type=int, default=DENSE_TOKENS, help="with torch: longest run that is checked (%(default)s)"
    )
    parser.add_argument("--jobs", type=int, choices=(1, 2), default=2, help="processes (%(default)s)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--update", action="store_true", help="write what is refused to the list of expected refusals")
    parser.add_argument("--verbose", action="store_true", help="tell when a script is done")
    parsed = parser.parse_args(arguments)
    if parsed.update and parsed.folder.resolve() != FOLDER.resolve():
        parser.error(f"--update: the list of expected refusals is that of {FOLDER}")
    return parsed


if __name__ == "__main__":
    sys.exit(main())
