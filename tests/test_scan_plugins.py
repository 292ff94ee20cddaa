"""The plug-ins for other people's tools, and the callable inside of other engines; those that are installed."""

import os
import subprocess
import sys
import types
import warnings

import numpy as np
import pytest

import secure_resize as sr

PIL = pytest.importorskip("PIL.Image")
pytestmark = pytest.mark.once
SIZE, SCALER = (48, 48), "opencv:nearest"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A clean picture, an attacked one, and one that is broken."""
    data = pytest.importorskip("skimage.data")
    root = tmp_path_factory.mktemp("pictures")
    clean = sr.resize(data.astronaut(), (192, 192))
    attacked = sr.attacks.craft(clean, sr.resize(data.rocket(), SIZE), SCALER, method="nearest").image
    for name, image in {"a.png": clean, "b.png": attacked}.items():
        PIL.fromarray(image).save(root / name)
    (root / "c.png").write_bytes(b"broken")
    return root


@pytest.mark.filterwarnings("ignore")  # of cleanvision's own
def test_cleanvision(folder):
    pytest.importorskip("cleanvision")
    from cleanvision import Imagelab

    from secure_resize.integrations.cleanvision import ISSUE

    lab = Imagelab(data_path=str(folder))
    lab.find_issues({ISSUE: {"size": SIZE, "scalers": [SCALER]}}, n_jobs=1, verbose=False)
    issues = lab.issues.rename(index=os.path.basename)
    assert issues[f"is_{ISSUE}_issue"].to_dict() == {"a.png": False, "b.png": True, "c.png": False}
    scores = issues[f"{ISSUE}_score"]
    assert scores["b.png"] < 0.001 < scores["a.png"]
    assert np.isnan(scores["c.png"])
    assert lab.issue_summary["num_images"].tolist() == [1]
    with pytest.raises(ValueError, match=r"unknown parameters \['sise'\]; valid: size, scalers, rate"):
        lab.find_issues({ISSUE: {"sise": SIZE}}, n_jobs=1, verbose=False)


class Stub(types.ModuleType):
    """What the plugin takes from FiftyOne, where FiftyOne is not installed: records of what it was called with."""

    def __getattr__(self, name):
        if name == "Operator":
            return object
        return lambda *args, **values: types.SimpleNamespace(kind=name, **values)


@pytest.fixture
def plugin(monkeypatch):
    """The plugin with FiftyOne's own classes, or with stubs of them."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import fiftyone.operators
    except ImportError:
        for name in ("fiftyone", "fiftyone.operators", "fiftyone.operators.types"):
            monkeypatch.setitem(sys.modules, name, Stub(name))
        sys.modules["fiftyone"].operators = sys.modules["fiftyone.operators"]
        sys.modules["fiftyone.operators"].types = sys.modules["fiftyone.operators.types"]
    monkeypatch.delitem(sys.modules, "secure_resize.integrations.fiftyone", raising=False)
    from secure_resize.integrations import fiftyone

    yield fiftyone
    sys.modules.pop("secure_resize.integrations.fiftyone", None)


class Sample(dict):
    saved = 0

    def save(self):
        self.saved += 1


class Context(types.SimpleNamespace):
    """As much of FiftyOne's as the operator uses."""

    def target_view(self):
        samples = [Sample() for _ in self.paths]
        for sample, path in zip(samples, self.paths, strict=True):
            sample.filepath = str(path)
        self.samples = samples

        class View(list):
            def iter_samples(self):
                return iter(self)

        return View(samples)

    def set_progress(self, progress, label):
        self.told.append((progress, label))


@pytest.mark.filterwarnings("ignore")  # of FiftyOne's own
def test_fiftyone_operator(folder, plugin):
    operator = plugin.ScanForScalingAttacks()
    config = operator.config
    assert config.name == "scan_for_scaling_attacks"
    assert config.allow_delegated_execution
    ops = types.SimpleNamespace(reload_dataset=lambda: None)
    paths = sorted(folder.iterdir())
    context = Context(params={"size": "48x48", "scaler": SCALER}, paths=paths, told=[], ops=ops)
    *_, last = operator.execute(context)
    clean, attacked, broken = context.samples
    assert last == {"samples": 3, "suspicious": 1}
    assert context.told[-1] == (1.0, "3 of 3, 1 suspicious")
    assert [sample["scaling_attack"] for sample in context.samples] == [False, True, None]
    assert all(sample.saved for sample in context.samples)
    assert clean["scaling_attack_box"] is None
    assert broken["scaling_attack_finding"].startswith("SR402: ")
    (detection,) = attacked["scaling_attack_box"].detections
    left, top, width, height = detection.bounding_box
    assert 0 <= left < left + width <= 1
    assert 0 <= top < top + height <= 1
    assert detection.label == f"{SCALER} 48x48"
    heat = attacked["scaling_attack_difference"].map
    assert (heat.shape, heat.dtype) == (SIZE, np.uint8)
    assert heat.max() > 100
    with pytest.raises(ValueError, match="expected HEIGHTxWIDTH"):
        list(operator.execute(Context(params={"size": "big"}, paths=paths, told=[], ops=ops)))
    registered = []
    plugin.register(types.SimpleNamespace(register=registered.append))
    assert registered == [plugin.ScanForScalingAttacks]


def rows(folder):
    return [{"name": path.name, "image": path.read_bytes()} for path in sorted(folder.iterdir())]


EXPECTED = {"a.png": False, "b.png": True, "c.png": None}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_daft(folder):
    daft = pytest.importorskip("daft")
    look = sr.scan.Look(size=SIZE, scalers=(SCALER,))

    @daft.udf(return_dtype=daft.DataType.bool())
    def suspicious(images):
        return look.columns({"image": images.to_pylist()})["suspicious"]

    frame = daft.from_pylist(rows(folder)).with_column("suspicious", suspicious(daft.col("image")))
    found = frame.to_pydict()
    assert dict(zip(found["name"], found["suspicious"], strict=True)) == EXPECTED


SPARK = """
import sys
import pandas as pd
from pyspark.sql import SparkSession
import secure_resize as sr

look = sr.scan.Look(size=(48, 48), scalers=("opencv:nearest",))

def suspicious(frames):
    for frame in frames:
        found = look.columns({"image": [bytes(one) for one in frame["content"]]})
        yield pd.DataFrame({"path": frame["path"], "suspicious": found["suspicious"]})

spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
files = spark.read.format("binaryFile").load(sys.argv[1])
rows = files.mapInPandas(suspicious, "path string, suspicious boolean").collect()
print({row.path.rpartition("/")[2]: row.suspicious for row in rows})
spark.stop()
"""


@pytest.mark.slow
def test_spark(folder):
    pytest.importorskip("pyspark")
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    run = subprocess.run([sys.executable, "-c", SPARK, str(folder)], capture_output=True, text=True, env=environment)
    if "JAVA_HOME is not set" in run.stderr or "Java gateway process exited" in run.stderr:
        pytest.skip("Spark finds no Java")
    assert run.returncode == 0, run.stderr[-2000:]
    assert eval(run.stdout.strip().splitlines()[-1]) == EXPECTED


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_webdataset(folder, tmp_path):
    """Its own reader hands the bytes on."""
    webdataset = pytest.importorskip("webdataset")
    path = tmp_path / "s-0.tar"
    with webdataset.TarWriter(str(path)) as writer:
        for row in rows(folder):
            writer.write({"__key__": row["name"].partition(".")[0], "png": row["image"], "cls": b"1"})
    pairs = ((sample["__key__"], sample["png"]) for sample in webdataset.WebDataset(str(path), shardshuffle=False))
    report = sr.scan.scan(pairs, size=SIZE, scalers=[SCALER], engine="here")
    assert {one["id"]: one["suspicious"] for one in report.images} == {"a": False, "b": True}
    streamed = sr.scan.scan(path, size=SIZE, scalers=[SCALER], engine="here")
    assert [one["suspicious"] for one in streamed.images] == [False, True]
    assert streamed.facts["other_files"] == 3
