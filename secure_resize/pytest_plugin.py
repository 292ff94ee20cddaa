"""The fixture ``assert_robust`` for pytest; loaded by pytest wherever the package is installed, so it imports nothing.

::

    def test_our_transform(assert_robust):
        assert_robust("my_project.data:transform", in_size=(600, 800))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .audit.report import Report


@pytest.fixture
def assert_robust() -> Callable[..., Report]:
    """:func:`secure_resize.audit.assert_robust`: a test that calls it with a pipeline fails unless that is robust."""
    from .audit import assert_robust as check

    return check
