"""The rules of the package's structure: who may import whom, and that importing it loads no framework."""

import ast
import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from conftest import mypy_errors

import secure_resize
from secure_resize import attacks, names
from secure_resize.core.kernels import KERNELS
from secure_resize.integration_support import DEFENSES
from secure_resize.measure.blackbox import DTYPES, LAYOUTS
from secure_resize.reconstruction.plan import METHODS
from secure_resize.scaling import PASS_ORDERS

pytestmark = pytest.mark.once

PACKAGE = Path(secure_resize.__file__).parent
# Each module may import those of the lines above it, and those of its own line.
LAYERS = [
    {"registry", "names", "tables", "workers"},
    {"core.kernels"},
    {"core.taps", "core.selection", "core.windows", "core.dct"},
    {"core.operator", "core", "core.reference", "core.native", "core.native.views"},
    {"scaling"},
    {"decoding"},
    {"measure"},
    {"measure.sampling", "measure.solver", "measure.rounding", "measure.quality"},
    {"measure.scalers"},
    {"measure.exposure"},
    {"measure.decoders", "measure.progressive"},
    {"measure.coefficients"},
    {"measure.clipping", "measure.outputs"},
    {"measure.blackbox"},
    {"measure.regions", "measure.recover", "measure.verify"},
    {"measure.probe"},
    {"measure.certificates"},
    {"measure.survey"},
    {"measure.plots"},
    {"front_ends.rows", "front_ends.rules"},
    {"front_ends.services", "front_ends.libraries", "front_ends.processors", "front_ends.read"},
    {"front_ends"},
    {"reconstruction"},
    {"reconstruction.plan"},
    {"reconstruction.keys"},
    {"reconstruction.filters"},
    {"reconstruction.info"},
    {
        "attacks",
        "attacks.craft",
        "attacks.area",
        "attacks.counter",
        "attacks.defended",
        "attacks.replay",
        "attacks.adaptive",
        "attacks.payload",
        "attacks.overshoot",
        "attacks.chroma",
        "attacks.jpeg",
        "attacks.decoders",
        "attacks.inexact",
    },
    {"detect.targets"},
    {"detect.views", "detect.fields"},
    {"detect.phases"},
    {"detect.detectors"},
    {"detect.certificate", "detect.field", "detect.file", "detect.search"},
    {"detect.calibration"},
    {"detect.examining"},
    {"detect.inspecting"},
    {"detect"},
    {
        "audit.report",
        "audit.rules",
        "audit.pages",
        "audit.render",
        "audit.render.words",
        "audit.render.text",
        "audit.render.sarif",
        "audit.render.pictures",
        "audit.render.page",
    },
    {"audit.trace.live", "audit.trace.inject.sitecustomize"},
    {"audit.trace.live.hook", "audit.trace.live.geometry", "audit.trace.live.labels", "audit.trace.live.records"},
    {"audit.trace.live.importlib_bootstrap", "audit.trace.live.imports"},
    {"audit.trace.live.frames"},
    {"audit.trace.live.wrapping", "audit.trace.live.references", "audit.trace.live.recorder"},
    {
        "audit.trace.live.rows_arrays",
        "audit.trace.live.rows_pillow",
        "audit.trace.live.rows_tensorflow",
        "audit.trace.live.rows_torch",
    },
    {"audit.trace.live.start", "audit.trace.live.route"},
    {"audit.trace.hooks"},
    {"audit.trace.calls", "audit.trace.gains"},
    {"audit.trace.findings"},
    {"audit.trace.run", "audit.trace.routing"},
    {"integration_support"},
    {"audit.trace"},
    {
        "audit.lint.calls",
        "audit.lint.changes",
        "audit.lint.config",
        "audit.lint.documents",
        "audit.lint.files",
        "audit.lint.fixes",
        "audit.lint.judge",
        "audit.lint.more_calls",
        "audit.lint.read",
        "audit.lint.roles",
        "audit.lint.rows",
        "audit.lint.sizes",
        "audit.lint.special",
        "audit.lint.suppress",
        "audit.lint.tree",
        "audit.lint.values",
    },
    {"audit.lint"},
    {"audit.pipeline", "audit.pipeline.lossless", "audit.pipeline.seeds"},
    {"audit.pipeline.target", "audit.pipeline.inputs", "audit.pipeline.userpictures"},
    {"audit.pipeline.measure"},
    {"audit.pipeline.attack"},
    {"audit.pipeline.decoding", "audit.pipeline.guilty", "audit.pipeline.fix"},
    {"audit.pipeline.mending"},
    {"audit.pipeline.answer", "audit.pipeline.run"},
    {"audit.pipeline.testing"},
    {"audit"},
    {"pytest_plugin"},
    {"evaluate.pairs", "evaluate.defenses", "evaluate.records", "evaluate.summary"},
    {"evaluate.verdicts", "evaluate.options", "evaluate.classifier", "evaluate.formats", "evaluate.figures"},
    {"evaluate.run"},
    {"evaluate"},
    {"scan.units"},
    {"scan.archives", "scan.tables"},
    {"scan.sources"},
    {"scan.look", "scan.crew"},
    {"inspection.readings", "inspection.text", "inspection.running"},
    {"inspection.look"},
    {"inspection.picture"},
    {"inspection.work"},
    {"inspection"},
    {"scan.reader", "scan.ledger", "scan.move"},
    {"scan.report", "scan.gallery", "scan.engines", "scan.clean"},
    {"scan.run"},
    {"scan"},
    {"cli.outcome", "cli.arguments", "cli.child", "cli.reporting"},
    {
        "cli.demo",
        "cli.audit",
        "cli.harden",
        "cli.probe",
        "cli.survey",
        "cli.lint",
        "cli.trace",
        "cli.run",
        "cli.inspect",
        "cli.scan",
        "cli.evaluate",
    },
    {"cli.app"},
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
            if imported in ("__version__", EXTENSION) or (
                name in ("cli.demo", "cli.harden") and imported.startswith("integrations")
            ):
                continue  # the demo runs our transforms, harden our hardeners; both lazily
            assert ORDER[imported] <= ORDER[name], f"{name} imports {imported}"


def private_uses(source, folders_down=1):
    """What a file of an integration, ``folders_down`` below integrations/, uses of the package's insides."""
    public, beside = {*secure_resize.__all__, "__version__"}, "secure_resize.integration_support"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("secure_resize."))
        elif isinstance(node, ast.ImportFrom) and node.level > folders_down + 1:
            yield "." * node.level + (node.module or "")
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module == "secure_resize":
            yield from (alias.name for alias in node.names if alias.name not in {*public, "integration_support"})
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module.startswith("secure_resize."):
            if node.module != beside and not node.module.startswith("secure_resize.integrations"):
                yield node.module
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "sr":
            yield from {node.attr} - public


def test_integrations_use_the_public_package_and_one_module_beside_it():
    folder = next(path for path in (PACKAGE / "integrations", PACKAGE.parent / "integrations") if path.is_dir())
    paths = list(folder.rglob("*.py"))
    assert len(paths) >= 8
    for path in paths:
        depth = len(path.relative_to(folder).parts) - 1
        assert not list(private_uses(path.read_text(), depth)), path


@pytest.mark.parametrize(
    ("source", "used"),
    [
        ("import secure_resize as sr\nsr.resize", []),
        ("from secure_resize import integration_support", []),
        ("from secure_resize.integration_support import check_size", []),
        ("from . import arguments\nfrom .host import resize\nfrom ..torchvision import v2", []),
        ("import secure_resize.scaling", ["secure_resize.scaling"]),
        ("from secure_resize.core.taps import Taps", ["secure_resize.core.taps"]),
        ("def later():\n    from secure_resize import scaling", ["scaling"]),
        ("from ...secure_resize import scaling", ["...secure_resize"]),
        ("import secure_resize as sr\nsr.core.backend()", ["core"]),
    ],
)
def test_the_rule_about_integrations_can_fail(source, used):
    assert list(private_uses(source)) == used


# The public names.


def test_public_names_are_complete_and_nothing_else_is_visible():
    code = """
import secure_resize as sr
assert "secure_resize.evaluate" not in __import__("sys").modules
assert {name for name in dir(sr) if not name.startswith("__")} == set(sr.__all__), dir(sr)
for name in sr.__all__:
    assert getattr(sr, name) is not None, name
assert callable(sr.probe) and callable(sr.attacks.payload.text_payload) and sr.evaluate.draw_pairs
assert sr.SCALERS["opencv:linear"] and sr.KERNELS["area"] is sr.get_kernel("area")
try:
    sr.rezise
except AttributeError as error:
    assert "no attribute 'rezise'" in str(error)
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_everything_public_is_documented():
    for name in secure_resize.__all__:
        value = getattr(secure_resize, name)
        assert inspect.getdoc(value) != inspect.getdoc(type(value)) or isinstance(value, dict), name


@pytest.mark.parametrize("module", ["attacks", "detect", "evaluate", "scan"])
def test_every_public_name_of_a_room_is_there(module):
    room = getattr(secure_resize, module)
    for name in room.__all__:
        assert getattr(room, name) is not None


# Names that are chosen from a list are types.


@pytest.mark.parametrize(
    ("literal", "registered"),
    [
        (names.KernelName, KERNELS),
        (names.ProbeDtype, ["auto", *DTYPES]),
        (names.ProbeLayout, ["auto", *LAYOUTS]),
        (names.PassOrder, PASS_ORDERS),
        (names.ReconstructionMethod, METHODS),
        (names.Defense, DEFENSES),
        (names.AttackMethod, attacks.METHODS),
        (names.AdaptiveMethod, attacks.ADAPTIVE),
    ],
    ids=str,
)
def test_literal_types_are_what_is_registered(literal, registered):
    assert sorted(get_args(literal)) == sorted(registered)


TYPED = """
import numpy as np
import secure_resize as sr
image = np.zeros((8, 8), np.uint8)
sr.resize(image, [4, 4], kernel="bicubic", pass_order="pillow12")
sr.reconstruct(image, [4, 4], scaler="opencv:linear", method="random")
sr.attacks.craft(image, image, "opencv:linear", method="strong")
sr.resize(image, (4, 4), kernel="bicubc")
sr.resize(image, (4, 4), pass_order="pillow14")
sr.reconstruct(image, (4, 4), scaler="opencv:linear", method="mean")
sr.scaling_operator((8, 8), (4, 4), "nearest")
sr.attacks.craft(image, image, "opencv:linear", method="storng")
sr.rezise
"""


@pytest.mark.slow
def test_a_type_checker_knows_the_names(tmp_path):
    assert mypy_errors(TYPED, tmp_path) == [
        (8, "arg-type"),
        (9, "arg-type"),
        (10, "arg-type"),
        (11, "arg-type"),
        (12, "arg-type"),
        (13, "attr-defined"),
    ]


def test_a_missing_opencv_is_said_in_one_line_with_either_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ImportError, match=r"^the scaler .* pip install opencv-python \(or opencv-python-headless\)$"):
        secure_resize.get_scaler("opencv:linear")


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
    for kernel in ("area", "bilinear", "hamming", "bicubic", "lanczos"):
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
