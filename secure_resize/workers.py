"""Processes that work for this one: started afresh, and ended with it, however it ends."""

from __future__ import annotations

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor

__all__ = ["pool"]


def pool(processes: int) -> ProcessPoolExecutor:
    """Workers in newly started interpreters (forked ones would share what libraries hold open)."""
    return ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"), initializer=end_with_parent)


def end_with_parent() -> None:
    """In a process that multiprocessing started: end it as soon as its parent has ended, be it by SIGKILL."""
    parent = multiprocessing.parent_process()
    if parent is None:
        raise RuntimeError("this process was not started by multiprocessing")

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="end with parent", daemon=True).start()
