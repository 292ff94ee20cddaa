"""What every test may use: scikit-image's photographs."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import secure_resize
from secure_resize import pytest_plugin

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# A shell lets what it runs in the background ignore interrupts, and the processes that tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
# The processes that tests start import the package that is under test, installed or not, and not what lies in the
# current folder.
os.environ["PYTHONSAFEPATH"] = "1"
os.environ["PYTHONPATH"] = str(Path(secure_resize.__file__).parent.parent)
# Loaded after TensorFlow, torchvision (through triton) ends the process: both register the same LLVM options.
with contextlib.suppress(ImportError):
    import torchvision  # noqa: F401


MYPY = """
[mypy]
strict = True
[mypy-PIL.*,cv2.*,keras.*,skimage.*,tensorflow.*,torch.*,torchvision.*]
ignore_missing_imports = True
follow_imports = skip
"""


def mypy_errors(source: str, folder: Path) -> list[tuple[int, str]]:
    """(line, code) of what mypy finds in ``source``, with the package installed and the other libraries untyped."""
    pytest.importorskip("mypy")
    package = Path(secure_resize.__file__).parent
    installed = folder / "path" / "secure_resize"
    installed.mkdir(parents=True)
    for path in {*package.iterdir(), *package.parent.glob("integrations")}:
        (installed / path.name).symlink_to(path)
    (folder / "snippet.py").write_text(source)
    (folder / "mypy.ini").write_text(MYPY)
    command = [sys.executable, "-m", "mypy", "--no-error-summary", "--cache-dir", "cache", "snippet.py"]
    environment = {**os.environ, "MYPYPATH": str(installed.parent)}
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert not run.stderr
    lines = [line for line in run.stdout.splitlines() if line.startswith("snippet.py:") and ": error: " in line]
    return [(int(line.split(":")[1]), line.rpartition("[")[2][:-1]) for line in lines]


def pytest_configure(config: pytest.Config) -> None:
    """Where the package is not installed, nothing has registered its own plugin."""
    if not config.pluginmanager.has_plugin("secure-resize"):
        config.pluginmanager.register(pytest_plugin, "secure-resize")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever asks for the numpy reference has run the suite on the native core, or can."""
    if os.environ.get("SECURE_RESIZE_BACKEND") == "reference":
        for item in items:
            if item.get_closest_marker("once"):
                item.add_marker(pytest.mark.skip(reason="does not depend on the core: run once, on the native one"))


@pytest.fixture(autouse=True)
def _import_path():
    """The command line puts the current folder on the path, for its users' own callables; not for the next test."""
    before = list(sys.path)
    yield
    sys.path[:] = before


@pytest.fixture(scope="session")
def photos() -> dict[str, np.ndarray]:
    """Every photograph that scikit-image ships, as RGB, grey or grey-alpha uint8 arrays by file name."""
    skimage = pytest.importorskip("skimage")
    from PIL import Image

    folder = Path(skimage.__file__).parent / "data"
    photos = {}
    for path in sorted([*folder.glob("*.png"), *folder.glob("*.jpg")]):
        with Image.open(path) as image:
            if image.mode in ("L", "LA", "RGB", "RGBA"):
                photos[path.name] = np.asarray(image.convert("RGB") if image.mode == "RGBA" else image)
    assert len(photos) >= 20
    return photos
