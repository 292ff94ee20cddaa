"""Tracing scripts: what is seen, and that nothing of theirs is changed."""

import json
import os
import subprocess
import sys
import textwrap

import pytest

ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("SECURE_RESIZE")},
    "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "CUDA_VISIBLE_DEVICES": "",
}


def run(arguments, folder, **more):
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env={**ENVIRONMENT, **more}, capture_output=True, timeout=300
    )


def traced(source, folder, *arguments, name="script.py", plain=True, options=(), **more):
    """The facts of a script's calls, the run with the trace, and the one without; what they print must be equal."""
    (folder / name).write_text(textwrap.dedent(source), encoding="utf-8")
    report = folder / "report.json"
    command = ["-m", "secure_resize", "trace", "--report", str(report), *options, "--", name, *arguments]
    seen = run(command, folder, **more)
    facts = json.loads(report.read_text())
    assert not facts["failures"], facts["failures"]
    if plain:
        alone = run([name, *arguments], folder, **more)
        assert seen.stdout == alone.stdout
        assert seen.returncode == alone.returncode
        return facts, seen, alone
    return facts, seen


def lines(facts):
    """Calls as (line, call, count), in the script's order."""
    return sorted((one["line"], one["call"], one["count"]) for one in facts["facts"]["calls"])


def test_opencv(tmp_path):
    facts, _, _ = traced(
        """
        import cv2, numpy as np
        from cv2 import resize as shrink
        image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
        for _ in range(7):
            shrink(image, (32, 24))
        cv2.resize(image, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
        cv2.resize(image, (240, 180))  # enlarges
        print(cv2.resize, cv2.resize(image, (9, 9), interpolation=cv2.INTER_NEAREST).sum())
        """,
        tmp_path,
    )
    assert lines(facts) == [(6, "cv2.resize", 7), (7, "cv2.resize", 1), (9, "cv2.resize", 1)]
    found = {(one["line"], one["code"], one["severity"]) for one in facts["findings"]}
    assert found == {(6, "SR101", "high"), (9, "SR101", "high")}


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("sys.exit(3)", 3),
        ("os._exit(5)", 5),
        ("raise SystemExit('bye')", 1),
        ("1 / 0", 1),
        ("os.kill(os.getpid(), signal.SIGINT)", -2),
        ("os.kill(os.getpid(), signal.SIGTERM)", -15),
        ("os.kill(os.getpid(), signal.SIGKILL)", -9),
        ("cv2.resize(1, 2)", 1),
    ],
)
def test_endings(tmp_path, ending, code):
    facts, seen, alone = traced(
        f"""
        import os, signal, sys, cv2, numpy as np
        cv2.resize(np.zeros((64, 64), np.uint8), (16, 16))
        sys.stdout.write("out"), sys.stdout.flush()
        {ending}
        """,
        tmp_path,
    )
    assert seen.returncode == code
    assert lines(facts) == [(3, "cv2.resize", 1)]
    assert facts["facts"]["exit_code"] == code
    assert seen.stderr.startswith(alone.stderr)  # the script's own, tracebacks to the byte, and then the report
