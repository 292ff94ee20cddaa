"""The C core is called from many threads and processes at once: the same bytes, nothing hangs.

Under ThreadSanitizer (a build with -DSECURE_RESIZE_SANITIZE=thread, its library preloaded) this file also says that no
two threads touch the same memory unordered.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from secure_resize import resize
from secure_resize.core.selection import Selection
from secure_resize.core.taps import area_taps

pytest.importorskip("secure_resize.core.native._native", reason="the C extension was not built")
from secure_resize.core import native

pytestmark = pytest.mark.once

Array = np.ndarray[Any, Any]


def large_image() -> Array:
    return np.random.default_rng(0).integers(256, size=(2, 300, 400, 3), dtype=np.uint8)


def at_once(functions: list[Callable[[], None]]) -> None:
    """Run each in a thread of its own, all of them at the same time; what one raises is raised here."""
    raised: list[BaseException] = []
    start = threading.Barrier(len(functions))

    def run(function: Callable[[], None]) -> None:
        start.wait()
        try:
            function()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=[function]) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


def test_threads_of_python_share_the_pool() -> None:
    image = large_image()
    expected = resize(image, (100, 120))

    def many() -> None:
        for threads in (1, 2, 3, 8) * 5:
            np.testing.assert_array_equal(resize(image, (100, 120), num_threads=threads), expected)

    at_once([many] * 6)


def test_threads_make_the_same_plans() -> None:
    """Resizers are made, used by several threads, and dropped by whoever uses them last."""
    image = large_image()[:, :64, :80]
    sizes = [(height, width) for height in (9, 17, 31, 40) for width in (8, 33, 60)]
    expected = {size: resize(image, size, kernel="bicubic") for size in sizes}

    def many(order: int) -> None:
        for turn in range(3 * len(sizes)):
            size = sizes[(turn * order) % len(sizes)]
            result = resize(image, size, kernel="bicubic", num_threads=1 + turn % 3)
            np.testing.assert_array_equal(result, expected[size])
            if turn % 5 == order % 5:
                native._resizer.cache_clear()
            assert min(native.runs().values()) >= 0

    at_once([lambda order=order: many(order) for order in (1, 5, 7, 11)])


def test_threads_filter_the_same_image() -> None:
    image, keys = large_image(), np.arange(64, dtype=np.uint8).reshape(2, 32)
    for half in ((1, 1), (4, 4), (6, 7)):
        selection = Selection((300, 400), *(np.arange(3, n, 9, dtype=np.int32) for n in (300, 400)), half)

        def call(selection: Selection = selection) -> list[Array]:
            median, drawn = image.copy(), image.copy()
            native.select_median(image, median, selection)
            native.select_random(image, drawn, selection, keys)
            return [median, drawn]

        expected = call()

        def many(call: Callable[[], list[Array]] = call, expected: list[Array] = expected) -> None:
            for _ in range(4):
                np.testing.assert_array_equal(call(), expected)

        at_once([many] * 4)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_makes_its_own_pool():
    image = large_image()
    expected = resize(image, (100, 120), num_threads=3)
    stop = threading.Event()

    def keep_busy() -> None:  # the fork finds the pool at work
        while not stop.is_set():
            resize(image, (100, 120), num_threads=3)

    worker = threading.Thread(target=keep_busy)
    worker.start()
    try:
        for _ in range(100):
            assert exit_code(fork_and_resize(image, expected)) == 0
    finally:
        stop.set()
        worker.join()


def fork_and_resize(image: Array, expected: Array) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forking with threads: the point
        child = os.fork()
    if child == 0:
        fine = all(np.array_equal(resize(image, (100, 120), num_threads=n), expected) for n in (1, 2, 4))
        os._exit(0 if fine else 1)
    return child


def exit_code(child: int, seconds: float = 30.0) -> int:
    """The child's exit code, or -1 for one that hangs."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return -1


def sum_of_threaded_resize(threads: int) -> int:
    return int(resize(large_image(), (100, 120), num_threads=threads).sum())


def test_spawned_workers():
    resize(large_image(), (100, 120), num_threads=4)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        sums = pool.map_async(sum_of_threaded_resize, [1, 2, 4]).get(timeout=120)
    assert len(set(sums)) == 1


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity") or not os.path.isdir("/proc/self/task"), reason="Linux's")
def test_a_worker_that_moves_may_run_where_it_might_before():
    """It leaves the caller's processor, where it may: no thread's processors change."""
    image, rows, cols = np.zeros((1, 400, 600, 3), np.uint8), area_taps(400, 40), area_taps(600, 60)
    native.apply_area(image, rows, cols, 2)
    allowed = os.sched_getaffinity(0)
    before = {thread: os.sched_getaffinity(int(thread)) for thread in os.listdir("/proc/self/task")}
    for pinned in (*({one} for one in allowed), allowed):
        os.sched_setaffinity(0, pinned)
        try:
            for _ in range(50):
                native.apply_area(image, rows, cols, 2)
        finally:
            os.sched_setaffinity(0, allowed)
    assert {thread: os.sched_getaffinity(int(thread)) for thread in before} == before
