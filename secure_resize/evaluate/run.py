"""The evaluation's loop: pairs × scalers × attacks × defenses, in processes, into a file that a restart continues."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache, partial
from itertools import groupby
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ..attacks import Crafted, craft, craft_adaptive
from ..measure.quality import decibels
from ..measure.scalers import SCALERS, Scaler, load
from ..workers import pool
from .classifier import Network, load_network, train
from .defenses import DEFENSES
from .options import Attack, Job, Options, Settings, jobs_of
from .pairs import Pair, check_pictures, pair_images
from .records import Distance, Made, Record, Seen, read_records
from .verdicts import REACHED_DB, distance, judge, similarity

__all__ = ["described", "evaluate"]

Image = npt.NDArray[np.uint8]

# Of the workers: one thread each, since the processes share the cores, and no log lines from TensorFlow.
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
    >>> [(r.defense, r.verdict.success) for r in records if r.scaler == "opencv:linear"]
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
        A library ended its process, and what was done is kept; or another run is writing into the folder.
    """
    if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 0:
        raise ValueError(f"jobs must be a number of processes, or 0 for this one; got {jobs!r}")
    options = options.resolved()
    work = jobs_of(options)
    check_pictures((job.pair for job in work), options.pictures)
    out.mkdir(parents=True, exist_ok=True)
    with _locked(out / "records.jsonl") as file:
        _same_settings(out / "options.json", Settings.of(options))
        model = _trained(options, out, jobs) if options.classifier else None
        records, done = _kept(out / "records.jsonl", work)
        run = partial(run_job, options, model=model)
        with _bar(len(work), done, progress) as advance:
            for _, group in groupby(work[done:], key=lambda job: SCALERS[job.scaler].module):
                todo = list(group)
                for job, made in zip(todo, _results(run, todo, jobs), strict=True):
                    # All at once, so that a kill leaves whole jobs and at most one cut line.
                    file.write("".join(record.line() for record in made))
                    file.flush()
                    records += made
                    advance(job.scaler)
    return records


def described(options: Options, out: Path) -> Settings:
    """The settings of a finished run in the folder ``out``, and the accuracy of its classifier where it has one."""
    found = Settings.of(options.resolved())
    return replace(found, accuracy=load_network(out / "classifier.npz").accuracy) if options.classifier else found


@contextmanager
def _locked(path: Path) -> Iterator[IO[str]]:
    """``path`` opened for appending, and locked against other runs until this one ends, however it ends."""
    with path.open("a", encoding="ascii") as file:
        try:
            fcntl = load("fcntl")
        except ImportError:  # Windows: two runs in one folder are not noticed
            yield file
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(f"another run is writing into {path.parent}; choose another folder") from None
        yield file


def _same_settings(path: Path, settings: Settings) -> None:
    """Write the settings of a new folder to ``path``; ValueError unless those that are there are the same."""
    wanted = json.loads(json.dumps(settings.plain()))
    if not path.exists():
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(wanted, indent=1) + "\n", encoding="ascii")
        temporary.replace(path)
        return
    try:
        made = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} holds no settings of a run: {error}; choose another folder") from None
    if not isinstance(made, dict):
        raise ValueError(f"{path} holds no settings of a run; choose another folder")
    for name in [*made, *wanted]:
        if made.get(name) != wanted.get(name):
            raise ValueError(
                f"{path.parent} was made with {name} = {made.get(name)}, now it is {wanted.get(name)}; "
                "choose another folder, or the same options to go on"
            )


def _kept(path: Path, work: Sequence[Job]) -> tuple[list[Record], int]:
    """The records of the jobs that were finished, and the number of these; the rest of the file is cut off."""
    found, done, size = read_records(path), 0, 0
    kept: list[Record] = []
    for job in work:
        keys = job.keys()
        part = found[len(kept) : len(kept) + len(keys)]
        if [record.key for record in part] != keys:
            break
        kept, done = kept + part, done + 1
        size += sum(len(record.line()) for record in part)
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


def _results(run: partial[list[Record]], work: list[Job], jobs: int) -> Iterator[list[Record]]:
    """``run`` on each job of one library, in their order."""
    if jobs == 0:
        yield from map(run, work)
        return
    module = SCALERS[work[0].scaler].module
    with _environment(_ENVIRONMENT):
        workers = pool(min(jobs, len(work)))
        try:
            yield from workers.map(run, work)
        except BrokenProcessPool:
            raise RuntimeError(f"{module} ended its process; what was done before is kept") from None
        finally:
            workers.shutdown(cancel_futures=True)


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
            with pool(1) as workers:
                workers.submit(train, options.pictures, path, size=options.size, seed=options.seed).result()
    return path


# One job, in a worker.


@lru_cache(maxsize=1)
def _network(path: Path) -> Network:
    return load_network(path)


def run_job(options: Options, job: Job, *, model: Path | None = None) -> list[Record]:
    """The records of one pair on one scaler, in the order of ``job.keys()``."""
    scaler, pair = SCALERS[job.scaler], job.pair
    source, target = pair_images(pair, options.pictures)
    key = hashlib.blake2b(f"{options.seed} {pair.index} {job.scaler}".encode(), digest_size=32).digest()
    network = _network(model) if model else None
    clean: dict[str, Image] = {}
    records: list[Record] = []
    for attack in job.attacks:
        epsilons = _loosest(options.epsilons) if attack.knows else options.epsilons
        crafted, error = _crafted(attack, source, target, scaler, epsilons, key)
        made = None if crafted is None else _made(crafted, source)
        for name in attack.defenses:
            defense = DEFENSES[name]
            if name not in clean:
                clean[name] = defense(source, pair.out_size, scaler, key)
            record = _record(job, attack, name, error, distance(clean[name], target))
            if crafted is not None:
                seen = defense(crafted.image, pair.out_size, scaler, key)
                linear = defense.linear(scaler, pair.in_size, pair.out_size)
                verdict = judge(source, target, crafted.image, clean=clean[name], seen=seen, linear=linear)
                asked = _seen(network, pair, seen, clean[name], target) if network is not None else None
                record = replace(record, made=made, verdict=verdict, seen=asked)
            records.append(record)
    return records


def _loosest(epsilons: tuple[float, ...]) -> tuple[float, ...]:
    """From the largest on with which O1 is certain, every output being as near as that; it leaves most room to hide.

    Against a robust scaler the smaller ones need not be tried: whatever succeeds with them succeeds with this one.
    """
    certain = [epsilon for epsilon in epsilons if decibels(epsilon) >= REACHED_DB]
    return epsilons[max(len(certain) - 1, 0) :]


def _crafted(
    attack: Attack, source: Image, target: Image, scaler: Scaler, epsilons: tuple[float, ...], key: bytes
) -> tuple[Crafted | None, str]:
    """What the attack makes, or None and why it makes nothing."""
    method: Any = attack.method  # of either registry
    try:
        if attack.budget is None:
            return craft(source, target, scaler, method=method, epsilon=epsilons), ""
        guess = key if attack.told_key else None
        found = craft_adaptive(source, target, scaler, method=method, budget=attack.budget, guess=guess)
        return found, ""
    except (ValueError, NotImplementedError) as error:  # a ratio at which the method is not defined
        return None, str(error)


def _record(job: Job, attack: Attack, defense: str, error: str, apart: Distance) -> Record:
    pair, scaler = job.pair, SCALERS[job.scaler]
    return Record(
        pair=pair.index,
        source=pair.source,
        target=pair.target,
        ratio=pair.ratio,
        in_size=pair.in_size,
        out_size=pair.out_size,
        scaler=scaler.name,
        version=scaler.version,
        attack=attack.method,
        knows=attack.knows,
        told_key=attack.told_key,
        budget=attack.budget,
        defense=defense,
        error=error,
        distance=apart,
    )


def _made(crafted: Crafted, source: Image) -> Made:
    similar = similarity(crafted.image, source)
    return Made(float(crafted.epsilon), int(crafted.iterations), bool(crafted.feasible), similar)


def _seen(network: Network, pair: Pair, seen: Image, clean: Image, target: Image) -> Seen:
    def named(image: Image) -> str:
        name = network.classes[int(network.logits(image[None])[0].argmax())]
        return "target" if name == pair.target else "source" if name == pair.source else "other"

    return Seen(named(seen), named(clean), named(target))
