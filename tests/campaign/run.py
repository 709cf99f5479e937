"""Items in, one outcome for each out, whatever becomes of the processes that work on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from .here import Here
from .perform import Failed


class Workers(Protocol, AbstractContextManager):  # type: ignore[misc]
    """Who works on items. `run` takes some with their numbers and gives numbers and results back, each at most once, in any
    order; `Failed(died=True)` where a process ended while the item, or one beside it, was under way. Raises CampaignError."""

    def run(self, task: str, items: Mapping[int, Any]) -> Iterator[tuple[int, Any]]: ...


def campaign(
    task: str, items: Sequence[Any], distributed: str = "", processes: int = 1, *, fresh: bool = False
) -> Iterator[tuple[Any, Any]]:
    """(item, its result) for each item exactly once, in any order; `Failed` as the result of one that has none.

    task: "module:function", called with one item; items and results are pickled. distributed: "" for that many processes here
    (1: this one; fresh: a new one for each item), "local:N" for a cluster of N workers here, or the address of a Dask scheduler,
    "tcp://host:8786".
    An item during which a process died is done again: with the others, as often as the cluster allows, and then with no other
    item under way, so that only the item itself can be to blame. Raises CampaignError.
    """
    waiting = dict(enumerate(items))
    with _workers(distributed, processes, fresh) as workers:
        for number, result in workers.run(task, dict(waiting)):
            if not (isinstance(result, Failed) and result.died):
                yield waiting.pop(number), result
        for number in [*waiting]:
            yield waiting[number], _alone(workers, task, number, waiting[number])


def _alone(workers: Workers, task: str, number: int, item: Any) -> Any:
    for _, result in workers.run(task, {number: item}):
        if not (isinstance(result, Failed) and result.died):
            return result
    return Failed("the process that works on it dies, also with nothing beside it", died=True)


def _workers(distributed: str, processes: int, fresh: bool) -> Workers:
    if not distributed:
        return Here(processes, fresh)
    from .cluster import Cluster  # dask is an extra

    return Cluster(distributed)
