"""An item with which campaigns are tried: it may fail, or end its process."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

Trial = tuple[str, int, str]  # what to do, a number, a folder for what outlives the process


def work(item: Trial) -> tuple[int, int]:
    """(the number's square, the process). "fails": raises; "dies": kills its process; "dies once": the first time."""
    what, number, folder = item
    time.sleep(0.02)
    if what == "fails":
        raise ArithmeticError(f"of item {number}")
    if what == "dies" or (what == "dies once" and not (Path(folder) / f"{number}").exists()):
        (Path(folder) / f"{number}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number, os.getpid()
