"""Campaigns: every item has one outcome, whatever becomes of the processes that work on them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest
from distributed import LocalCluster

sys.path.append(str(Path(__file__).resolve().parent.parent))

from tests import verify_all
from tests.campaign import CampaignError, Failed, campaign, sources
from tests.campaign.cluster import Cluster
from tests.campaign.perform import OtherSources, perform
from tests.campaign.trial import Trial

ROOT = Path(__file__).resolve().parent.parent
TASK = "tests.campaign.trial:work"


@pytest.fixture(autouse=True)
def paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """New processes inherit them, and in the folder that pytest adds tests/random would be the module random."""
    monkeypatch.setattr(sys, "path", [path for path in sys.path if Path(path) != ROOT / "tests"])


def outcomes(items: list[Trial], *where: object) -> dict[Trial, object]:
    found = list(campaign(TASK, items, *where))  # type: ignore[arg-type]
    assert len(found) == len(items)
    return dict(found)


@pytest.mark.parametrize("where", [("local:2",), ("", 2)], ids=["cluster", "processes"])
def test_whatever_dies_every_item_has_its_own_outcome(where: tuple[object, ...], tmp_path: Path) -> None:
    items = [("", n, "") for n in range(30)]
    items[3:3] = [("fails", 100, ""), ("dies once", 101, str(tmp_path)), ("dies", 102, str(tmp_path))]
    found = outcomes(items, *where)
    assert set(found) == set(items)
    good = {item: result for item, result in found.items() if not isinstance(result, Failed)}
    assert {item: result[0] for item, result in good.items()} == {  # type: ignore[index]
        item: item[1] ** 2 for item in items if item[0] in ("", "dies once")
    }
    assert len({process for _, process in good.values()} - {os.getpid()}) >= 2  # type: ignore[misc]
    failed = {item[0]: result for item, result in found.items() if isinstance(result, Failed)}
    assert set(failed) == {"fails", "dies"} and failed["dies"].died and not failed["fails"].died
    assert "ArithmeticError: of item 100" in failed["fails"].why


def test_in_this_process_too() -> None:
    found = outcomes([("", 3, ""), ("fails", 4, "")])
    assert found["", 3, ""] == (9, os.getpid())
    assert isinstance(found["fails", 4, ""], Failed)


def test_what_the_workers_lose_is_done_again_or_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Should a cluster forget an item, it is missed."""
    calls: list[list[int]] = []

    def run(task: str, items: dict[int, Trial]) -> Iterator[tuple[int, object]]:
        calls.append(list(items))
        yield from ((number, "done") for number in items if number != 1)

    monkeypatch.setattr("tests.campaign.run._workers", lambda *where: _Entered(run))
    found = outcomes([("", n, "") for n in range(3)])
    assert calls == [[0, 1, 2], [1]]
    assert found["", 0, ""] == "done" and isinstance(found["", 1, ""], Failed)


class _Entered:
    def __init__(self, run: Callable[..., object]):
        self.run = run

    def __enter__(self) -> _Entered:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def test_other_sources_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert perform(TASK, ("", 3, ""), sources.AT_START) == (9, os.getpid())
    assert perform(TASK, ("", 3, ""), "another") == OtherSources()
    monkeypatch.setattr(sources, "AT_START", "another")
    with pytest.raises(CampaignError, match=r"worker tcp://\S+ has other sources than this checkout, or had when it began"):
        outcomes([("", 3, "")], "local:1")


def test_a_file_that_changes_while_a_process_runs_is_another_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runtime").mkdir()
    (tmp_path / "runtime" / "a.py").write_text("x = 1")
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    before = sources.digest()
    monkeypatch.setattr(sources, "AT_START", before)
    assert sources.same_as(before)
    (tmp_path / "runtime" / "a.py").write_text("x = 2")
    after = sources.digest()
    assert after != before and not sources.same_as(before) and not sources.same_as(after)
    (tmp_path / "runtime" / "a.py").rename(tmp_path / "runtime" / "b.py")
    assert sources.digest() != after


def test_without_workers_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler and one worker, started as docs/checking.md says but for the nanny, which would start it again."""
    with LocalCluster(n_workers=0, dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        command = [sys.executable, "-m", "dask", "worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny"]
        command += ["--preload", "tests.campaign.sources"]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as worker:
            try:
                assert outcomes([("", 5, "")], address) == {("", 5, ""): (25, worker.pid)}
                monkeypatch.setattr("tests.campaign.run._workers", lambda where, *_: Cluster(where, patience=0.5))
                with pytest.raises(CampaignError, match=f"{address}: no worker left, 2 items without a result"):
                    outcomes([("", 4, ""), ("dies", 5, str(tmp_path)), ("", 6, "")], address)
            finally:
                worker.kill()
        with pytest.raises(CampaignError, match=f"{address}: no scheduler, or none with a worker"):
            outcomes([("", 5, "")], address)
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        under_way = campaign(TASK, [("", n, "") for n in range(500)], cluster.scheduler_address)
        next(under_way)
        cluster.close()
        with pytest.raises(CampaignError, match="the scheduler is gone"):
            list(under_way)
    for nowhere in ("local:", "local:0", "local:x", "tcp://127.0.0.1:9", "nowhere"):
        with pytest.raises(CampaignError) as raised:
            outcomes([("", 5, "")], nowhere)
        assert nowhere in str(raised.value) and len(str(raised.value).splitlines()) == 1


def test_a_cluster_verifies_what_one_process_does(capsys: pytest.CaptureFixture[str]) -> None:
    told = []
    for where in ([], ["--distributed", "local:2"]):
        assert verify_all.main(["gcd", *where]) == 0
        told.append(capsys.readouterr().out.splitlines())
        assert told[-1][-1].startswith("8 of 8 sessions have a result") and "8 invocations" in told[-1][-2]
    for here, there in zip(*[sorted(line.rpartition(" ")[0] for line in lines[1:-2]) for lines in told], strict=True):
        assert here == there


@pytest.mark.parametrize("module", ["tests.verify_all", "tests.replay_all", "tests.mutants.__main__", "tests.random.__main__"])
@pytest.mark.parametrize("ending", ["no worker", "an item failed", "an item is missing"])
def test_what_has_no_result_ends_in_failure(
    module: str, ending: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(task: str, items: list[object], *where: object, **options: object) -> Iterator[tuple[object, object]]:
        if ending == "no worker":
            raise CampaignError("nowhere: no worker left, 2 items without a result")
        if ending == "an item failed":
            yield items[0], Failed("why it did")

    command = import_module(module)
    monkeypatch.setattr(command, "campaign", nothing)
    assert command.main({"tests.random.__main__": ["--count", "1"]}.get(module, ["sudoku"])) == 1
    out = capsys.readouterr().out
    words = {"no worker": "\nerror: nowhere: no worker left, 2 items", "an item failed": "NO RESULT: why it did"}
    assert words.get(ending, "0 of ") in "\n" + out
