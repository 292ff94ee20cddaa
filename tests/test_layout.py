"""The rules of the package's structure: who may import whom, and that importing it loads no framework."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import secure_resize

PACKAGE = Path(secure_resize.__file__).parent
# Each module may import those of the lines above it, and those of its own line.
LAYERS = [
    {"registry"},
    {"core.kernels"},
    {"core.operator"},
    {"core", "core.taps", "core.reference", "core.selection", "core.native"},
    {"scaling"},
    {"measure"},
    {"measure.sampling", "measure.solver"},
    {"measure.scalers"},
    {"measure.exposure"},
    {"measure.blackbox"},
    {"measure.regions", "measure.recover", "measure.verify"},
    {"measure.probe"},
    {"measure.certificates"},
    {"measure.survey"},
    {"measure.plots"},
    {"reconstruction"},
    {"reconstruction.filters"},
    {"reconstruction.info"},
    {
        "attacks",
        "attacks.craft",
        "attacks.area",
        "attacks.defended",
        "attacks.replay",
        "attacks.adaptive",
        "attacks.payload",
    },
    {"evaluate.pairs", "evaluate.defenses", "evaluate.summary"},
    {"evaluate.verdicts", "evaluate.options", "evaluate.classifier", "evaluate.formats", "evaluate.figures"},
    {"evaluate.run"},
    {"evaluate"},
    {"cli.demo"},
    {"cli"},
    {"__main__"},
]
EXTENSION = "core.native._native"
ORDER = {module: rank for rank, modules in enumerate(LAYERS) for module in modules}


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name and parts[0] != "integrations":
            yield name, path


def relative_imports(name, path):
    """The package's modules that ``path`` imports, wherever in the file."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
            base = [part for part in base if part]
            for alias in node.names:
                full = ".".join([*base, alias.name])
                yield full if full in ORDER or not base else ".".join(base)


def test_every_module_has_its_place():
    assert {name for name, _ in modules()} == set(ORDER)


def test_dependencies_point_one_way():
    for name, path in modules():
        for imported in relative_imports(name, path):
            if imported in ("__version__", EXTENSION) or (name == "cli.demo" and imported.startswith("integrations")):
                continue  # the demo runs our transforms, lazily
            assert ORDER[imported] <= ORDER[name], f"{name} imports {imported}"


def test_integrations_import_the_public_package_only():
    folder = next(path for path in (PACKAGE / "integrations", PACKAGE.parent / "integrations") if path.is_dir())
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert not node.level or path.parent != folder, f"{path.name}: {node.module}"


def test_importing_the_package_imports_numpy_alone():
    code = (
        "import sys, numpy; before = set(sys.modules); import secure_resize;"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert set(out.split()) <= {"secure_resize", "numpy"}  # numpy loads parts of itself late


@pytest.mark.parametrize(
    ("wanted", "message"), [("fast", "valid: auto, native, reference"), ("Native", "'Native' is not a backend")]
)
def test_unknown_backends_are_refused(wanted, message):
    run = subprocess.run(
        [sys.executable, "-c", "import secure_resize"],
        env={**os.environ, "SECURE_RESIZE_BACKEND": wanted},
        capture_output=True,
        text=True,
    )
    assert run.returncode != 0
    assert message in run.stderr


@pytest.mark.parametrize(("wanted", "expected"), [("auto", "reference"), ("native", "extension is not there")])
def test_without_the_extension(wanted, expected):
    code = "import sys; sys.modules['secure_resize.core.native._native'] = None; import secure_resize as sr"
    run = subprocess.run(
        [sys.executable, "-c", code + "; print(sr.backend())"],
        env={**os.environ, "SECURE_RESIZE_BACKEND": wanted},
        capture_output=True,
        text=True,
    )
    assert expected in run.stdout + run.stderr


def test_the_reference_can_be_asked_for():
    code = "import secure_resize; print(secure_resize.backend())"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "SECURE_RESIZE_BACKEND": "reference"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == "reference"


def test_the_first_image_imports_nothing():
    """A worker that is forked while another thread imports a module waits for that module forever."""
    pytest.importorskip("cv2")  # whose reads are reconstructed
    code = """
import sys, numpy as np, secure_resize as sr
before = set(sys.modules)
for dtype in (np.uint8, np.uint16, np.float32):
    image = np.zeros((40, 50, 3), dtype)
    for kernel in sr.KERNELS:
        sr.resize(image, (9, 11), kernel=kernel, num_threads=2)
    for method in ("median", "random"):
        sr.reconstruct(image, (9, 11), scaler="opencv:linear", method=method)
print(sorted(set(sys.modules) - before))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_every_cache_is_bounded_and_threads_may_share_it():
    """Of the core: no cache grows with the number of sizes, and results do not depend on who filled it."""
    pytest.importorskip("cv2")  # whose reads are reconstructed
    code = """
import sys, numpy as np, secure_resize as sr
from concurrent.futures import ThreadPoolExecutor
caches = {id(value): value for name, module in list(sys.modules.items()) if name.startswith("secure_resize")
          for value in vars(module).values() if hasattr(value, "cache_parameters")}.values()
assert len(caches) >= 10, len(caches)
image = np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8)
sizes = [(5 + k % 60, 7 + k // 3) for k in range(300)]
def work(size):
    return (sr.resize(image, size).tobytes(), sr.resize(image, size, kernel="bicubic").tobytes(),
            sr.reconstruct(image, size, scaler="opencv:linear").tobytes())
with ThreadPoolExecutor(8) as pool:
    results = list(pool.map(work, sizes * 2))
assert results[:300] == results[300:]
full = 0
for cache in caches:
    most = cache.cache_parameters()["maxsize"]
    assert most is not None and cache.cache_info().currsize <= most <= 4096, cache
    full += cache.cache_info().currsize == most
    cache.cache_clear()
assert full >= 3, full
assert results[:300] == list(map(work, sizes))
"""
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)
