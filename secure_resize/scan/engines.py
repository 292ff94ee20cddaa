"""Who calls the callable: this process, a crew of processes, or Ray Data on a cluster; a registry row each."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias

from ..registry import Registry
from .crew import Crew, Failed, Lost
from .look import Look, Row
from .reader import Reader
from .sources import file_item
from .tables import needs
from .units import Item, Trouble, Unit

__all__ = ["ENGINES", "Engine", "Task", "Todo"]


@dataclass(frozen=True)
class Todo:
    """A unit, and the numbers of its items that are known already."""

    unit: Unit
    known: frozenset[int]

    @property
    def start(self) -> int:
        """The first number that is not known."""
        number = 0
        while number in self.known:
            number += 1
        return number


# An item and the name of its unit.
Task: TypeAlias = tuple[str, Item]
# (unit's name, number, row), and the units all of whose rows were given.
Done: TypeAlias = tuple[list[tuple[str, int, Row]], list[Unit]]
Items: TypeAlias = Callable[[Todo], Iterator[list[Item]]]


@dataclass(frozen=True)
class Engine:
    """``run(look, todo, jobs, items)`` yields rows as they come, in any order; ``items`` reads a unit."""

    name: str
    run: Callable[[Look, Iterator[Todo], int, Items | None], Iterator[Done]]
    what: str


ENGINES: Registry[Engine] = Registry("engine")
_BATCH, _BYTES = 32, 4 << 20


@dataclass(frozen=True)
class LookAt:
    """A look at one task, as a crew does it."""

    look: Look

    def __call__(self, task: Task) -> Row:
        """The row of the task's item."""
        return self.look.one(task[1])

    def warm(self) -> None:
        """Load the libraries."""
        self.look.warm()


def row_of(task: Task, result: Row | Lost | Failed) -> Row:
    """The task's row, whatever became of its process."""
    if isinstance(result, Row):
        return result
    item = task[1]
    code = "" if isinstance(result, Failed) else "SR403" if result.limit else "SR405"
    return Row(item.id, None, (*item.troubles, Trouble(code, result.reason)))


class Progress:
    """Which units are complete: all their items were read, and each has its row."""

    def __init__(self) -> None:
        self.waiting: dict[str, int] = {}
        self.read: dict[str, Unit] = {}

    def begun(self, unit: Unit) -> None:
        """The unit's items are going to be read."""
        self.waiting[unit.name] = 0

    def took(self, unit: Unit) -> None:
        """One more item waits for its row."""
        self.waiting[unit.name] += 1

    def all_read(self, unit: Unit) -> None:
        """No more items come."""
        self.read[unit.name] = unit

    def completed(self, names: Sequence[str] = ()) -> list[Unit]:
        """Count rows off, one for each unit named; the units that are complete now."""
        for name in names:
            self.waiting[name] -= 1
        done = [unit for name, unit in self.read.items() if not self.waiting[name]]
        for unit in done:
            del self.read[unit.name], self.waiting[unit.name]
        return done


def _read(todo: Todo, items: Items | None, reader: Reader) -> Iterator[list[Item]]:
    """A unit's items that are not known."""
    if todo.unit.kind == "file" and items is None:
        item = file_item(todo.unit)
        found: Iterator[list[Item]] = iter([[item if item is not None else Item(0, todo.unit.name, declared=False)]])
    else:
        found = items(todo) if items is not None else reader.items(todo.unit, todo.start)
    for some in found:
        yield [item for item in some if item.number not in todo.known]


def _batches(
    todo: Iterator[Todo], items: Items | None, reader: Reader, progress: Progress, aside: list[tuple[str, int, Row]]
) -> Iterator[list[Task]]:
    """Tasks, some at a time; what needs no look goes ``aside``."""
    batch: list[Task] = []
    size = 0
    for one in todo:
        name = one.unit.name
        progress.begun(one.unit)
        for some in _read(one, items, reader):
            for item in some:
                if item.data is None:
                    aside.append((name, item.number, Row(item.id, None, item.troubles)))
                    continue
                progress.took(one.unit)
                batch.append((name, item))
                size += 0 if isinstance(item.data, os.PathLike) else _size(item.data)
                if len(batch) == _BATCH or size > _BYTES:
                    yield batch
                    batch, size = [], 0
        progress.all_read(one.unit)
    if batch:
        yield batch


def _size(data: Any) -> int:
    return int(getattr(data, "nbytes", 0)) or len(data)


def _processes(look: Look, todo: Iterator[Todo], jobs: int, items: Items | None) -> Iterator[Done]:
    """A crew of ``jobs`` processes on this machine."""
    progress, aside = Progress(), list[tuple[str, int, Row]]()
    with Reader(look.limits) as reader, Crew(LookAt(look), jobs, look.limits) as crew:
        for results in crew.results(_batches(todo, items, reader, progress, aside)):
            rows = [(task[0], task[1].number, row_of(task, result)) for task, result in results]
            yield aside + rows, progress.completed([task[0] for task, _ in results])
            aside.clear()
        yield list(aside), progress.completed()


def _here(look: Look, todo: Iterator[Todo], jobs: int, items: Items | None) -> Iterator[Done]:
    """This process, without limits of memory; a picture that ends it ends the scan."""
    progress, aside = Progress(), list[tuple[str, int, Row]]()
    with Reader(look.limits) as reader:
        for batch in _batches(todo, items, reader, progress, aside):
            rows = [(name, item.number, _one(look, (name, item))) for name, item in batch]
            yield aside + rows, progress.completed([name for name, _ in batch])
            aside.clear()
        yield list(aside), progress.completed()


def _one(look: Look, task: Task) -> Row:
    try:
        return look.one(task[1])
    except Exception as error:  # of the library whose resize is looked at, or a fault of ours
        return row_of(task, Failed(f"{type(error).__name__}: {error}"))


# Ray.

# Units that are one data set of Ray's: so many rows are known at once to whoever drives it.
_WINDOW = 4096


class RayLook:
    """What Ray Data calls in its workers: batches of units in, their rows out, each look in a process of its own."""

    def __init__(self, look: Look) -> None:
        self.crew = Crew(LookAt(look), 1, look.limits)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[bytes]]:
        """Pickled tasks in column ``task``; pickled rows in column ``row``."""
        tasks = [pickle.loads(one) for one in batch["task"]]
        rows = []
        for results in self.crew.results([tasks] if tasks else []):
            rows += [(task[0], task[1].number, row_of(task, result)) for task, result in results]
        return {"row": [pickle.dumps(row) for row in rows]}


@dataclass(frozen=True)
class RayRead:
    """What Ray Data calls to read units: a pickled unit in, its tasks out."""

    look: Look

    def __call__(self, row: Mapping[str, Any]) -> Iterator[dict[str, bytes]]:
        """Pickled :class:`Todo` in column ``todo``; pickled tasks in column ``task``."""
        todo = pickle.loads(row["todo"])
        with Reader(self.look.limits) as reader:
            for some in _read(todo, None, reader):
                yield from ({"task": pickle.dumps((todo.unit.name, item))} for item in some)


def _ray(look: Look, todo: Iterator[Todo], jobs: int, items: Items | None) -> Iterator[Done]:
    """Ray Data, on the cluster that RAY_ADDRESS names or on this machine; all its machines see the same files."""
    if items is not None:
        raise ValueError("the engine 'ray' reads files; for a data set in memory use its own map with a Look")
    ray = needs("ray", "the engine 'ray'", "ray[data]")
    data = needs("ray.data", "the engine 'ray'", "ray[data]")
    ours = not ray.is_initialized()
    if ours:
        address = os.environ.get("RAY_ADDRESS")
        ray.init(
            **({"address": address} if address else {"num_cpus": jobs + 1}),
            logging_level="warning",
            log_to_driver=False,
        )
    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    try:
        while window := list(islice(todo, _WINDOW)):
            dataset = data.from_items([{"todo": pickle.dumps(one)} for one in window])
            dataset = dataset.flat_map(RayRead(look)).map_batches(
                RayLook, fn_constructor_args=(look,), batch_size=_BATCH, compute=data.ActorPoolStrategy(size=jobs)
            )
            for batch in dataset.iter_batches(batch_size=_BATCH):
                yield [pickle.loads(one) for one in batch["row"]], []
            yield [], [one.unit for one in window]
    finally:
        if ours:
            ray.shutdown()


ENGINES.add(Engine("process", _processes, "processes on this machine, each of which may be lost"))
ENGINES.add(Engine("here", _here, "the calling process: no isolation, for debugging and inside of other engines"))
ENGINES.add(Engine("ray", _ray, "Ray Data, on a cluster or on this machine"))
