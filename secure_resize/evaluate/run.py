"""The evaluation's loop: pairs × scalers × attacks × defenses, in processes, into a file that a restart continues."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..attacks import craft, craft_adaptive
from ..measure.scalers import SCALERS, Scaler, load
from .classifier import Network, load_network, train
from .defenses import get_defense
from .options import KNOWS_KEY, Attack, Options, Task, plan, settings
from .pairs import Pair, check_pictures, pair_images
from .verdicts import REACHED_DB, decibels, distance, judge, similarity

__all__ = ["described", "evaluate", "read_records"]

Image = npt.NDArray[np.uint8]
Record = dict[str, Any]

KEY = ("pair", "scaler", "attack", "against", "budget", "defense")  # what Task.keys() holds
# Every library computes on one thread, for the processes share the cores, and TensorFlow keeps its news to itself.
_ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "3"} | dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENCV_FOR_THREADS_NUM",
        "TF_NUM_INTRAOP_THREADS",
        "TF_NUM_INTEROP_THREADS",
    ),
    "1",
)


def evaluate(options: Options, out: Path, *, jobs: int = 1, progress: bool = False) -> list[Record]:
    """Run what ``options`` ask for, or what a run in the folder ``out`` has left to do, and return all records.

    >>> import tempfile
    >>> records = evaluate(Options(pairs=1, size=(16, 16), defenses=("none", "area")), Path(tempfile.mkdtemp()))
    >>> [(r["defense"], r["success"]) for r in records if r["scaler"] == "opencv:linear"]
    [('none', True), ('area', False)]

    Parameters
    ----------
    options
        What to evaluate; see :class:`.Options`.
    out
        Made if need be. ``records.jsonl`` gets a line a record, ``options.json`` what it was made with.
    jobs
        Processes, each with one library and one thread. 0: in this process, which sees scalers and defenses that were
        registered here, and where TensorFlow and torch may get in each other's way.
    progress
        Show a bar on stderr (needs rich).

    Raises
    ------
    TypeError, ValueError
        Unknown names, numbers out of range; a folder that was made with other options, naming those that differ.
    ImportError
        None of the scalers' libraries, or scikit-image where its pictures are needed, is installed.
    RuntimeError
        A library ended its process. What was done is kept.
    """
    if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 0:
        raise ValueError(f"jobs must be a number of processes, or 0 for this one; got {jobs!r}")
    options = options.resolved()
    tasks = plan(options)
    check_pictures((task.pair for task in tasks), options.pictures)
    out.mkdir(parents=True, exist_ok=True)
    _same_options(out / "options.json", settings(options))
    model = _trained(options, out, jobs) if options.classifier else None
    records, done = _kept(out / "records.jsonl", tasks)
    work = partial(run_task, options, model=model)
    with (out / "records.jsonl").open("a", encoding="utf-8") as file, _bar(len(tasks), done, progress) as advance:
        for _, group in groupby(tasks[done:], key=lambda task: SCALERS[task.scaler].module):
            todo = list(group)
            for task, made in zip(todo, _results(work, todo, jobs), strict=True):
                # All at once, so that a kill leaves whole tasks and at most one cut line.
                file.write("".join(_line(record) for record in made))
                file.flush()
                records += made
                advance(task.scaler)
    return records


def described(options: Options, out: Path) -> dict[str, Any]:
    """The settings of a finished run in the folder ``out``, and the accuracy of its classifier where it has one."""
    found = settings(options.resolved())
    return found | {"accuracy": load_network(out / "classifier.npz").accuracy if options.classifier else None}


def _line(record: Record) -> str:
    return json.dumps(record, allow_nan=False) + "\n"


def read_records(path: Path) -> list[Record]:
    """The records of a ``records.jsonl``, without a last line that was cut short."""
    lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else [""]
    found = []
    for number, line in enumerate(lines[:-1], 1):  # what follows the last line feed is not a whole line
        try:
            found.append(json.loads(line))
        except ValueError as error:
            raise ValueError(f"{path}, line {number} is no record: {error}") from None
    return found


def _same_options(path: Path, wanted: dict[str, Any]) -> None:
    wanted = json.loads(json.dumps(wanted))
    if path.exists():
        made = json.loads(path.read_text(encoding="utf-8"))
        for name in [*made, *wanted]:
            if made.get(name) != wanted.get(name):
                raise ValueError(
                    f"{path.parent} was made with {name} = {made.get(name)}, now it is {wanted.get(name)}; "
                    "choose another folder, or the same options to go on"
                )
    else:
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(wanted, indent=1) + "\n", encoding="utf-8")
        temporary.replace(path)


def _kept(path: Path, tasks: Sequence[Task]) -> tuple[list[Record], int]:
    """The records of the tasks that were finished, and the number of these; the rest of the file is cut off."""
    found, done, size = read_records(path), 0, 0
    kept: list[Record] = []
    for task in tasks:
        keys = task.keys()
        part = found[len(kept) : len(kept) + len(keys)]
        if [tuple(record.get(name) for name in KEY) for record in part] != keys:
            break
        kept, done = kept + part, done + 1
        size += sum(len(_line(record).encode()) for record in part)
    if path.exists():
        os.truncate(path, size)
    return kept, done


@contextmanager
def _bar(total: int, done: int, shown: bool) -> Iterator[Callable[[str], None]]:
    """A bar on stderr, and what moves it on by one pair of the scaler named."""
    if not shown:
        yield lambda scaler: None
        return
    rich = load("rich.progress")
    columns = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TimeElapsedColumn(),
        rich.TimeRemainingColumn(),
    )
    with rich.Progress(*columns, console=load("rich.console").Console(stderr=True)) as progress:
        bar = progress.add_task("pairs", total=total, completed=done)
        yield lambda scaler: progress.update(bar, advance=1, description=scaler)


def _results(work: partial[list[Record]], tasks: list[Task], jobs: int) -> Iterator[list[Record]]:
    """``work`` done on the tasks of one library, in their order."""
    if jobs == 0:
        yield from map(work, tasks)
        return
    module = SCALERS[tasks[0].scaler].module
    with _environment(_ENVIRONMENT):
        pool = ProcessPoolExecutor(min(jobs, len(tasks)), mp_context=multiprocessing.get_context("spawn"))
        try:
            yield from pool.map(work, tasks)
        except BrokenProcessPool:
            raise RuntimeError(f"{module} ended its process; what was done before is kept") from None
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _trained(options: Options, out: Path, jobs: int) -> Path:
    """The classifier's file in ``out``; trained in a process of its own, which alone loads torch."""
    path = out / "classifier.npz"
    if not path.exists():
        if jobs == 0:
            train(options.pictures, path, size=options.size, seed=options.seed)
        else:
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
                pool.submit(train, options.pictures, path, size=options.size, seed=options.seed).result()
    return path


# One task, in a worker.


@lru_cache(maxsize=1)
def _network(path: Path) -> Network:
    return load_network(path)


def run_task(options: Options, task: Task, *, model: Path | None = None) -> list[Record]:
    """The records of one pair on one scaler, in the order of ``task.keys()``."""
    scaler = SCALERS[task.scaler]
    source, target = pair_images(task.pair, options.pictures)
    key = hashlib.blake2b(f"{options.seed} {task.pair.index} {task.scaler}".encode(), digest_size=32).digest()
    network = _network(model) if model else None
    clean: dict[str, Image] = {}
    records: list[Record] = []
    for attack in task.attacks:
        epsilons = options.epsilons
        if attack.against != "scaler":
            epsilons = _loosest(epsilons)
        crafted, error = _crafted(attack, source, target, scaler, epsilons, key)
        image = {} if crafted is None else _of_image(crafted, source)
        for name in attack.defenses:
            defense = get_defense(name)
            if name not in clean:
                clean[name] = defense(source, task.pair.out_size, scaler, key)
            record = _head(task, attack, name, scaler) | {"error": error} | image
            if crafted is not None:
                seen = defense(crafted.image, task.pair.out_size, scaler, key)
                linear = defense.linear(scaler, task.pair.in_size, task.pair.out_size)
                record |= judge(source, target, crafted.image, clean=clean[name], seen=seen, linear=linear)
                if network is not None:
                    record |= _what_it_sees(network, task.pair, seen=seen, clean=clean[name], target=target)
            else:
                record |= distance(clean[name], target)
            records.append(record)
    return records


def _loosest(epsilons: tuple[float, ...]) -> tuple[float, ...]:
    """From the largest on with which O1 is certain, every output being as near as that; it leaves most room to hide.

    Against a robust scaler the smaller ones are a waste: they succeed where this does, or not at all.
    """
    certain = [epsilon for epsilon in epsilons if decibels(epsilon) >= REACHED_DB]
    return epsilons[max(len(certain) - 1, 0) :]


def _crafted(
    attack: Attack, source: Image, target: Image, scaler: Scaler, epsilons: tuple[float, ...], key: bytes
) -> tuple[Any, str]:
    """What the attack makes, or None and why it makes nothing."""
    method: Any = attack.method
    try:
        if attack.budget is None:
            return craft(source, target, scaler, method=method, epsilon=epsilons), ""
        known = key if attack.against.endswith(KNOWS_KEY) else None
        found = craft_adaptive(source, target, scaler, method=method, budget=attack.budget, guess=known)
        return found, ""
    except (ValueError, NotImplementedError) as error:  # a ratio at which the method is not defined
        return None, str(error)


def _head(task: Task, attack: Attack, defense: str, scaler: Scaler) -> Record:
    pair = task.pair
    return {
        "pair": pair.index,
        "source": pair.source,
        "target": pair.target,
        "ratio": pair.ratio,
        "in_size": list(pair.in_size),
        "out_size": list(pair.out_size),
        "scaler": scaler.name,
        "version": scaler.version,
        "attack": attack.method,
        "against": attack.against,
        "budget": attack.budget,
        "defense": defense,
    }


def _of_image(crafted: Any, source: Image) -> Record:
    return {
        "epsilon": float(crafted.epsilon),
        "iterations": int(crafted.iterations),
        "feasible": bool(crafted.feasible),
        "ssim_source": similarity(crafted.image, source),
    }


def _what_it_sees(network: Network, pair: Pair, *, seen: Image, clean: Image, target: Image) -> Record:
    """Which picture the classifier sees: the target's, the source's or another; and what it sees without an attack."""

    def named(image: Image) -> str:
        name = network.classes[int(network.logits(image[None])[0].argmax())]
        return "target" if name == pair.target else "source" if name == pair.source else "other"

    return {"seen_as": named(seen), "clean_seen_as": named(clean), "target_seen_as": named(target)}
