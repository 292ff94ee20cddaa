"""An issue manager for cleanvision: pictures that a resize turns into other ones, beside dark and blurry ones.

::

    import secure_resize.integrations.cleanvision  # registers it
    from cleanvision import Imagelab

    lab = Imagelab(data_path="pictures")
    lab.find_issues({"image_scaling_attack": {"size": (224, 224), "scalers": ["opencv:linear"]}})
    lab.issues[lab.issues["is_image_scaling_attack_issue"]]

``size`` (height, width) is what the pipeline resizes to, ``scalers`` how (names in ``secure_resize.SCALERS``); without
them every usual size and each way to sample is tried. ``rate`` is the share of clean pictures that may be found. The
score is the p-value: near 0 is suspicious. Pictures that cannot be looked at have no score, and are no issue here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from cleanvision.issue_managers import register_issue_manager
from cleanvision.utils.base_issue_manager import IssueManager

import secure_resize as sr

__all__ = ["ISSUE", "ScalingAttackIssueManager"]

ISSUE = "image_scaling_attack"


@register_issue_manager(ISSUE)
class ScalingAttackIssueManager(IssueManager):  # type: ignore[misc]  # an untyped class
    """Finds attacked pictures by :func:`secure_resize.scan.scan`."""

    issue_name = ISSUE
    visualization = "individual_images"

    def __init__(self) -> None:
        super().__init__()
        self.params = self.get_default_params()

    def get_default_params(self) -> dict[str, Any]:
        """Any size, each way to sample, the usual rate."""
        return {"size": None, "scalers": (), "rate": None}

    def update_params(self, params: dict[str, Any]) -> None:
        """Take what the user gave; ValueError for a name that is none."""
        unknown = set(params) - set(self.params)
        if unknown:
            raise ValueError(f"unknown parameters {sorted(unknown)}; valid: {', '.join(self.params)}")
        self.params |= params

    def find_issues(
        self,
        *,
        params: dict[str, Any] | None = None,
        dataset: Any = None,
        imagelab_info: dict[str, Any] | None = None,
        n_jobs: int | None = None,
        verbose: bool | None = None,
        **others: Any,
    ) -> None:
        """Score each picture of ``dataset``, in ``n_jobs`` processes (1: in this one)."""
        super().find_issues(**others)
        self.update_params(params or {})
        jobs = n_jobs or 0
        engine: dict[str, Any] = {"engine": "here"} if jobs == 1 else {"engine": "process", "jobs": jobs}
        report = sr.scan.scan(_pictures(dataset), **self.params, **engine)
        known = {int(one["id"]): one for one in report.images}
        scores = [known[k]["p_value"] if k in known else np.nan for k in range(len(dataset.index))]
        found = [k in known and known[k]["suspicious"] for k in range(len(dataset.index))]
        columns = {f"{ISSUE}_score": scores, f"is_{ISSUE}_issue": found}
        self.issues = pd.DataFrame(columns, index=dataset.index)
        self.summary = pd.DataFrame({"issue_type": [ISSUE], "num_images": [sum(found)]})
        self.info = {"statistics": {f"{ISSUE}_score": self.issues[f"{ISSUE}_score"].describe()}}


def _pictures(dataset: Any) -> Iterator[tuple[str, Any]]:
    """Numbers and pictures: files as they are where there are files, what the data set gives where there are none."""
    files = type(dataset).__name__ == "FSDataset"
    for number, index in enumerate(dataset.index):
        if files:
            yield str(number), Path(index)
            continue
        image = dataset[index]
        if image is not None:
            yield str(number), np.asarray(image.convert("RGB"))
