"""Every recipe run in its own library, on files: what comes out is ``secure_resize.decode``'s, and robust."""

import io
import json
import os
import pickle
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL")

from PIL import Image

import secure_resize as sr
from secure_resize.integrations import recipes

pytestmark = pytest.mark.once
SIZE = (20, 30)


@pytest.fixture(name="folder", scope="module")
def folder_fixture(photos, tmp_path_factory):
    """Six pictures as JPEG and PNG files, one of them lying on its side."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(6):
        crop = Image.fromarray(photos["coffee.png"][number * 20 :][:160, :240])
        exif = crop.getexif()
        if number == 2:
            exif[0x0112] = 6
        crop.save(folder / f"{number}.{'png' if number % 2 else 'jpg'}", exif=exif)
    return folder


@pytest.fixture(name="paths", scope="module")
def paths_fixture(folder):
    return sorted(map(str, folder.iterdir()))


@pytest.fixture(name="pictures", scope="module")
def pictures_fixture(paths):
    """What each is to become."""
    made = [sr.decode(path, SIZE) for path in paths]
    assert len({picture.tobytes() for picture in made}) == 6
    return made


def write_shards(paths, folder):
    """Two shards of three samples each, as webdataset reads them."""
    for shard in range(2):
        with tarfile.open(folder / f"shard-{shard}.tar", "w") as tar:
            for number in range(3 * shard, 3 * shard + 3):
                for name, data in ((paths[number][-3:], Path(paths[number]).read_bytes()), ("cls", b"%d" % number)):
                    member = tarfile.TarInfo(f"{number}.{name}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
    return [str(folder / f"shard-{shard}.tar") for shard in range(2)]


def test_a_row(paths, pictures):
    data = Path(paths[0]).read_bytes()
    decode = pickle.loads(pickle.dumps(recipes.Decode(SIZE, "jpg", "image")))
    for file in (paths[0], data, {"bytes": data, "path": None}, {"bytes": None, "path": paths[0]}):
        row = {"label": 3, "image": file}
        got = decode(row)
        assert np.array_equal(got.pop("image"), pictures[0])
        assert got == {"label": 3}
        assert row["image"] is file
    assert set(recipes.Decode(SIZE, "image", to="pixels", mode="L")({"image": data})) == {"pixels"}
    with pytest.raises(KeyError, match="a row has none of jpg, image, only picture"):
        decode({"picture": data})
    with pytest.raises(sr.DecodeError):
        decode({"image": data[:300]})
    with pytest.raises(ValueError, match="height must lie between"):
        recipes.Decode((0, 3), "image")
    with pytest.raises(TypeError, match="antialias"):
        recipes.Decode(SIZE, "image", antialias=False)({"image": data})


# webdataset leaves its shards for the garbage collector to close.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("workers", [0, 2])
def test_webdataset(paths, pictures, tmp_path, workers):
    webdataset = pytest.importorskip("webdataset")
    samples = recipes.webdataset_pictures(write_shards(paths, tmp_path), SIZE)
    loader = webdataset.WebLoader(samples.to_tuple("image", "cls"), batch_size=None, num_workers=workers)
    got = {int(label): np.asarray(image) for image, label in loader}
    assert sorted(got) == list(range(6))
    assert all(np.array_equal(got[number], pictures[number]) for number in got)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", ["on disk", "two processes", "iterable", "dictionary", "grey"])
def test_huggingface(paths, pictures, monkeypatch, tmp_path, kind):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    images = datasets.Dataset.from_dict({"img": paths, "label": list(range(6))})
    images = images.cast_column("img", datasets.Image())
    if kind == "iterable":
        images = images.to_iterable_dataset()
    if kind == "dictionary":
        images = datasets.DatasetDict({"train": images})
    options = {"mode": "L"} if kind == "grey" else {"num_proc": 2} if kind == "two processes" else {}
    made = recipes.huggingface_pictures(images, SIZE, "img", **options)
    if kind == "dictionary":
        made = made["train"]
    wanted = [sr.decode(path, SIZE, mode="L") for path in paths] if kind == "grey" else pictures
    assert type(made) is type(images["train"] if kind == "dictionary" else images)
    rows = list(made)
    assert [int(row["label"]) for row in rows] == list(range(6))
    assert all(isinstance(row["img"], Image.Image) for row in rows)
    assert all(np.array_equal(row["img"], picture) for row, picture in zip(rows, wanted, strict=True))
    if kind == "on disk":
        formatted = made.with_format("numpy")[0]["img"]
        assert formatted.dtype == np.uint8
        assert np.array_equal(formatted, pictures[0])


RAY = """
import os, sys, json, numpy as np, ray
ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
         object_store_memory=100 * 2**20, _temp_dir=sys.argv[2])
ray.data.DataContext.get_current().enable_progress_bars = False
from secure_resize.integrations import recipes
rows = recipes.ray_pictures(sys.argv[1], (20, 30)).take_all()
print("ROWS", json.dumps([[row["path"], row["image"].tolist()] for row in rows]))
ray.shutdown()
"""


@pytest.mark.slow
def test_ray(folder, paths, pictures):
    """On a local cluster, in a process of its own that is not told of pytest's settings."""
    pytest.importorskip("ray.data")
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    # Not pytest's folder: the name of a Unix socket, which Ray makes deep below its own, has 107 bytes at most.
    with tempfile.TemporaryDirectory() as temporary:
        command = [sys.executable, "-W", "ignore", "-c", RAY, str(folder), temporary]
        run = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, cwd=temporary)
    assert run.returncode == 0, run.stderr[-3000:]
    rows = dict(json.loads(next(line for line in run.stdout.splitlines() if line.startswith("ROWS "))[5:]))
    assert sorted(rows) == paths
    assert all(np.array_equal(rows[path], picture) for path, picture in zip(paths, pictures, strict=True))


@pytest.mark.parametrize("workers", [0, 2])
def test_grain(paths, pictures, workers):
    grain = pytest.importorskip("grain")
    rows = [{"image": path, "label": number} for number, path in enumerate(paths)]
    batches = recipes.grain_pictures(rows, SIZE).to_iter_dataset().batch(3)
    if workers:
        batches = batches.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers))
    got = {int(n): image for batch in batches for n, image in zip(batch["label"], batch["image"], strict=True)}
    assert sorted(got) == list(range(6))
    assert all(np.array_equal(got[number], pictures[number]) for number in got)


def test_what_they_do_is_robust(photos):
    """A recipe's picture, of an image that was written to a file without loss."""

    def through_a_file(image):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG", compress_level=1)
        return recipes.Decode(SIZE, "png")({"png": file.getvalue()})["png"]

    assert sr.exposure(sr.probe(through_a_file, (90, 127), SIZE, layout="HWC", dtype="uint8")).verdict == "robust"
