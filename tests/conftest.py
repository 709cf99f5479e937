"""What all tests run under: a cache of their own, one thread each; and in CI nothing is skipped."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator
from importlib import import_module

import pytest

IN_CI = os.environ.get("CI") == "true"


def pytest_configure(config: pytest.Config) -> None:
    """Set before the workers of pytest-xdist start and before torch is imported: both inherit it."""
    # The matrices of tests gain little from a second thread, and lose a lot when the processor is busy.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # Sequences of tests are short, and the code for long ones is what is to be tested.
    os.environ.setdefault("WASM2XFORMER_CODE", "whole")
    # One for all workers. A folder that is chosen by hand is kept, and is warm the next time.
    if "WASM2XFORMER_CACHE" not in os.environ:
        os.environ["WASM2XFORMER_CACHE"] = folder = tempfile.mkdtemp(prefix="wasm2xformer-tests-")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


@pytest.fixture
def loops_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loops stand in programs as the passes before `repeat` leave them."""
    monkeypatch.setattr("wasm2xformer.compiler.optimise.optimise.repeat", lambda code: None)


def refuse_to_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """A tool that is missing where everything has to be there is a failure, and looks like one."""
    if IN_CI and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome, report.longrepr = "failed", f"skipped, where nothing may be: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    refuse_to_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    refuse_to_skip(report)
    return report


@pytest.fixture
def without_popcnt(monkeypatch: pytest.MonkeyPatch) -> None:
    """i32.popcnt and i64.popcnt as instructions that cannot be compiled: of real ones there are none."""
    for name in ("compiler.wasm.check", "runtime.check.oracle.instrument"):
        module = import_module(f"wasm2xformer.{name}")
        monkeypatch.setattr(module, "SUPPORTED_INSTRUCTIONS", module.SUPPORTED_INSTRUCTIONS - {"i32.popcnt", "i64.popcnt"})
