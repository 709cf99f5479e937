"""What all tests run under: a cache of their own, and one thread each."""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Set before the workers of pytest-xdist start and before torch is imported: both inherit it."""
    # The matrices of tests gain little from a second thread, and lose a lot when the processor is busy.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # One for all workers. A folder that is chosen by hand is kept, and is warm the next time.
    if "WASM2XFORMER_CACHE" not in os.environ:
        os.environ["WASM2XFORMER_CACHE"] = folder = tempfile.mkdtemp(prefix="wasm2xformer-tests-")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
