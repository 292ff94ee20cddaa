"""For tests: a pipeline that is not robust fails them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..report import Report
from .run import Size, audit

__all__ = ["assert_robust"]


def assert_robust(
    pipeline: Any, in_size: Size | Sequence[Size] = (), out_size: Size | None = None, **options: Any
) -> Report:
    """Raise AssertionError, with the table of what was measured, unless a pipeline is robust.

    >>> import secure_resize as sr
    >>> report = sr.audit.assert_robust(lambda image: sr.resize(image, (32, 32)), in_size=(96, 128))

    Parameters
    ----------
    pipeline, in_size, out_size
        As for :func:`~secure_resize.audit.audit`.
    options
        Further ones of :func:`~secure_resize.audit.audit`. No attack is made unless ``attack=True``: the measurement
        decides.

    Returns
    -------
    The report of a pipeline that is robust in every way in which it takes a picture, and was measured in each.

    Raises
    ------
    AssertionError
        It is weak, vulnerable or unfaithful, or something of it could not be measured.
    ValueError
        As :func:`~secure_resize.audit.audit`.
    """
    __tracebackhide__ = True
    report = audit(pipeline, in_size, out_size, **{"attack": False, **options})
    if report.facts["verdict"] != "robust" or report.failures:
        raise AssertionError(f"the pipeline is {report.facts['verdict']}\n\n{report!r}")
    return report
