"""Workers of a Dask cluster: one that runs somewhere, or a local one.

Whoever reaches a scheduler or a worker can run code there: a cluster belongs into a network that is trusted.
"""

from __future__ import annotations

import logging
import queue
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import dask
from distributed import Client, Future, KilledWorker, LocalCluster

from . import sources
from .errors import CampaignError
from .perform import Failed, OtherSources, perform

# Seconds: between two looks at who is there, and without any worker before the campaign is given up (a nanny starts a new one
# in the place of one that died).
LOOK, PATIENCE = 1.0, 30.0
# Deaths that a local cluster allows an item before it is set aside; of another one its own setting counts.
ALLOWED = 1


class Cluster:
    """where: "local:N" or a scheduler's address. Raises CampaignError."""

    def __init__(self, where: str, patience: float = PATIENCE):
        self._where, self._patience, self._open = where, patience, ExitStack()

    def __enter__(self) -> Cluster:
        try:
            self._connect()
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def _connect(self) -> None:
        address: Any = self._where
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters is told in one line
        if self._where.startswith("local:"):
            count = self._where.removeprefix("local:")
            if not count.isdecimal() or not 1 <= int(count) <= 256:
                raise CampaignError(f"{self._where}: local:N with N workers expected")
            # No limits of memory: the nanny would kill a worker for its size, and an item would seem to do that.
            self._open.enter_context(dask.config.set({"distributed.scheduler.allowed-failures": ALLOWED}))
            address = self._open.enter_context(
                LocalCluster(int(count), threads_per_worker=1, processes=True, memory_limit=None, dashboard_address=None,
                             silence_logs=logging.CRITICAL)
            )  # fmt: skip
        try:
            self._client = self._open.enter_context(Client(address, timeout=self._patience, set_as_default=False))
            self._client.wait_for_workers(1, timeout=self._patience)
        except (OSError, ValueError) as error:
            raise CampaignError(f"{self._where}: no scheduler, or none with a worker ({_line(error)})") from None
        self._check_workers()

    def _check_workers(self) -> None:
        """Those that are there; of any that come later each item asks."""
        for worker, about in self._workers().items():
            if about["nthreads"] != 1:
                raise CampaignError(f"worker {worker} has {about['nthreads']} threads: start it with --nthreads 1")
        for worker, same in self._client.run(sources.same_as, sources.AT_START, on_error="return").items():
            if isinstance(same, Exception):
                raise CampaignError(f"worker {worker} has not this project: {_line(same)}")
            if not same:
                raise CampaignError(_OTHER.format(worker))

    def run(self, task: str, items: Mapping[int, Any]) -> Iterator[tuple[int, Any]]:
        """See `run.Workers`."""
        done: queue.SimpleQueue[Future] = queue.SimpleQueue()
        name = uuid.uuid4().hex
        keys = {f"{name}-{number}": number for number in items}
        # A reference to each has to be kept, or dask forgets it.
        futures = {key: self._client.submit(perform, task, items[number], sources.AT_START, key=key, pure=False)
                   for key, number in keys.items()}  # fmt: skip
        for future in futures.values():
            future.add_done_callback(done.put)
        alone_since = 0.0
        try:
            while futures:
                try:
                    future = done.get(timeout=LOOK)
                except queue.Empty:
                    alone_since = 0.0 if self._workers() else alone_since or time.monotonic()
                    if alone_since and time.monotonic() - alone_since > self._patience:
                        raise CampaignError(f"{self._where}: no worker left, {len(futures):,} items without a result") from None
                    continue
                try:
                    result = self._result(future)
                except TimeoutError:  # whose worker died with it: it is computed again
                    future.add_done_callback(done.put)
                    continue
                del futures[future.key]
                yield keys[future.key], result
        finally:
            for future in futures.values():
                future.cancel()

    def _result(self, future: Future) -> Any:
        """Raises TimeoutError where it is not there yet, or not any more."""
        if future.status == "finished":
            result = future.result(timeout=LOOK)
            if isinstance(result, OtherSources):
                raise CampaignError(_OTHER.format("that came later"))
            return result
        if future.status != "error":  # cancelled or lost: by nobody but a scheduler that is no longer there
            raise CampaignError(f"{self._where}: the scheduler is gone")
        error = future.exception(timeout=LOOK)
        return Failed(_line(error), died=isinstance(error, KilledWorker))

    def _workers(self) -> dict[str, Any]:
        try:
            return self._client.scheduler_info(n_workers=-1)["workers"]
        except OSError as error:
            raise CampaignError(f"{self._where}: the scheduler is gone ({_line(error)})") from None


_OTHER = "worker {} has other sources than this checkout, or had when it began"


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
