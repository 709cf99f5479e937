"""Workers that are processes of this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context
from typing import Any

from .perform import Failed, perform

# Items of a process before a new one takes its place: compiled machine code stays in its memory.
ITEMS = 40


class Here:
    """processes: how many; 1 is this one, and what kills it ends everything, visibly. fresh: a new process for each item."""

    def __init__(self, processes: int, fresh: bool = False):
        self._processes, self._fresh = processes, fresh

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def run(self, task: str, items: Mapping[int, Any]) -> Iterator[tuple[int, Any]]:
        """See `run.Workers`. One death breaks a pool: what was not finished by then has died, to be done again."""
        if self._processes == 1 and not self._fresh:
            yield from ((number, perform(task, item, "")) for number, item in items.items())
            return
        left = iter(items.items())
        most = self._processes * (1 if self._fresh else ITEMS)
        while part := [*islice(left, most)]:
            yield from self._pool(task, part[::-1])

    def _pool(self, task: str, part: list[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
        """part: the last one comes first. No more items than processes are under way, so that a death concerns these only."""
        running: dict[Future[Any], int] = {}
        pool = self._new()
        try:
            while part or running:
                while part and len(running) < self._processes:
                    number, item = part.pop()
                    running[_submit(pool, task, item)] = number
                ended = wait(running, return_when=FIRST_COMPLETED).done
                if any(map(_broken, ended)):
                    pool.shutdown()  # no other one can finish
                    pool, ended = self._new(), {*running}
                for future in ended:
                    died = Failed("a process died", died=True)
                    yield running.pop(future), died if _broken(future) else future.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _new(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self._processes, mp_context=get_context("spawn"))


def _submit(pool: ProcessPoolExecutor, task: str, item: Any) -> Future[Any]:
    try:
        return pool.submit(perform, task, item, "")
    except BrokenProcessPool as error:  # by an item that ended just now, or with nothing under way
        future: Future[Any] = Future()
        future.set_exception(error)
        return future


def _broken(future: Future[Any]) -> bool:
    return isinstance(future.exception(), BrokenProcessPool)
