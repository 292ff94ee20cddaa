"""harden(): every row of the registry on its examples, what stays as it was, and what is said of the rest."""

import functools
import importlib
import pickle
import random
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest

import secure_resize as sr

torch = pytest.importorskip("torch")


def without_addresses(value):
    return re.sub(r" at 0x\w+", "", repr(value))


torchvision = pytest.importorskip("torchvision")
from torchvision import tv_tensors  # noqa: E402
from torchvision.transforms import v2  # noqa: E402

from secure_resize.integrations.harden import HARDENERS, HardenWarning, harden  # noqa: E402
from secure_resize.integrations.harden.walk import Walk  # noqa: E402
from secure_resize.integrations.torchvision import v2 as ours  # noqa: E402

pytestmark = pytest.mark.once

SLOW = {"keras", "keras_hub", "transformers", "ultralytics"}
EXAMPLES = [
    pytest.param(row, source, id=f"{row.name}-{number}", marks=[pytest.mark.slow] if row.name in SLOW else [])
    for row in HARDENERS.values()
    for number, source in enumerate(row.examples)
]
IN_SIZE, OUT_SIZE = (192, 256), (64, 64)


def made(source):
    """The pipeline that a row's example makes."""
    *lines, last = source.rstrip().split("\n")
    names = {}
    exec("\n".join(lines), names)
    return eval(last, names)


def gain(row, pipeline):
    """The stealth gain in dB, in the row's own layout; the same random choices for each picture."""

    def call(picture):
        random.seed(0)
        torch.manual_seed(0)
        if hasattr(pipeline, "set_random_seed"):
            pipeline.set_random_seed(0)
        return row.call(pipeline, picture)

    operator = sr.probe(call, IN_SIZE, OUT_SIZE, dtype="uint8", layout=row.layout)
    return sr.exposure(operator).stealth_gain_db


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def tensor(*shape, seed=0):
    return torch.from_numpy(noise(*shape, seed=seed))


@pytest.mark.parametrize(("row", "source"), EXAMPLES)
def test_examples_sample_before_and_not_after(row, source):
    pytest.importorskip(row.module)
    pipeline = made(source)
    before = repr(pipeline)
    hardened = harden(pipeline)
    assert repr(pipeline) == before
    assert hardened is not pipeline
    assert isinstance(hardened, type(pipeline)) or isinstance(pipeline, functools.partial)
    if row.name != "timm":  # which scales RGB by Pillow, antialiased; see the modes' test
        assert gain(row, pipeline) > 1
    assert gain(row, hardened) < 0.5
    if row.name not in ("keras", "keras_hub"):  # which pickle by their own archives
        again = pickle.loads(pickle.dumps(hardened))
        assert without_addresses(again) == without_addresses(hardened)
        assert gain(row, again) < 0.5


@pytest.mark.parametrize("row", HARDENERS.values(), ids=lambda row: row.name)
def test_rows_say_what_they_do(row):
    assert row.rule in sr.audit.RULES
    assert row.replaces
    assert row.shares
    assert row.examples


# Torchvision: the same results as our drop-ins, nothing of the argument changed.


def nested():
    inner = v2.Compose([v2.RandomHorizontalFlip(), v2.Resize((24, 32), antialias=False)])
    return v2.Compose([v2.RandomApply([inner], p=1.0), v2.RandomChoice([v2.CenterCrop(16)]), v2.ToDtype(torch.float32)])


def test_nested_transforms_are_put_together_again():
    stock = nested()
    hardened = harden(stock)
    inner = hardened.transforms[0].transforms[0].transforms
    assert type(hardened) is v2.Compose
    assert type(inner[1]) is ours.Resize
    assert inner[0] is stock.transforms[0].transforms[0].transforms[0]
    assert hardened.transforms[1] is stock.transforms[1]
    assert type(stock.transforms[0].transforms[0].transforms[1]) is v2.Resize
    picture = tensor(3, 96, 128)
    torch.manual_seed(3)
    made = hardened(picture)
    torch.manual_seed(3)
    flipped = v2.RandomHorizontalFlip()(picture)
    expected = v2.ToDtype(torch.float32)(v2.CenterCrop(16)(ours.Resize((24, 32))(flipped)))
    assert torch.equal(made, expected)


@pytest.mark.parametrize("name", ["Resize", "RandomResizedCrop", "RandomResize", "RandomShortestSize", "ScaleJitter"])
def test_a_retyped_transform_is_what_our_constructor_makes(name):
    arguments = {"RandomResize": (20, 40), "RandomShortestSize": ([20, 30],), "ScaleJitter": ((32, 32),)}.get(
        name, ((32, 32),)
    )
    hardened, constructed = harden(getattr(v2, name)(*arguments)), getattr(ours, name)(*arguments)
    assert type(hardened) is type(constructed)
    assert repr(hardened) == repr(constructed)
    assert {key for key in vars(hardened) if not key.startswith("_")} == {
        key for key in vars(constructed) if not key.startswith("_")
    }
    picture = tensor(3, 64, 96)
    torch.manual_seed(1)
    first = hardened(picture)
    torch.manual_seed(1)
    assert torch.equal(first, constructed(picture))


def test_the_same_seed_draws_the_same_crops():
    stock = v2.RandomResizedCrop((16, 16), antialias=True)
    hardened = harden(stock)
    picture = torchvision.transforms.functional.to_pil_image(tensor(3, 64, 96))
    torch.manual_seed(7)
    first = stock(picture)
    torch.manual_seed(7)
    assert first.tobytes() == hardened(picture).tobytes()


def test_modes_hooks_and_training_stay():
    stock = torch.nn.Sequential(v2.Resize((16, 16), antialias=False), torch.nn.Flatten()).eval()
    calls = []
    stock[0].register_forward_hook(lambda *args: calls.append(1))
    hardened = harden(stock)
    assert not hardened.training
    assert not hardened[0].training
    hardened(tensor(1, 3, 32, 32))
    assert calls == [1]
    hardened[0].register_forward_hook(lambda *args: calls.append(2))
    stock(tensor(1, 3, 32, 32))
    assert calls == [1, 1]


def test_weights_are_shared_and_the_model_is_left_alone():
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale, self.layer = v2.Resize((8, 8), antialias=False), torch.nn.Conv2d(3, 4, 3)

        def forward(self, x):
            return self.layer(self.scale(x))

    model = Model()
    hardened = harden(model)
    assert hardened.layer is model.layer
    assert next(iter(hardened.parameters())) is next(iter(model.parameters()))
    assert type(hardened.scale) is ours.Resize
    assert type(model.scale) is v2.Resize
    picture = torch.rand(1, 3, 32, 32)
    assert torch.equal(hardened(picture), model.layer(ours.Resize((8, 8))(picture)))


def test_presets_and_detection_models():
    models = torchvision.models
    video = models.video.R3D_18_Weights.DEFAULT.transforms()
    hardened = harden(video)
    assert isinstance(hardened, type(video))
    assert repr(hardened) == repr(video)

    def frame(preset):
        return lambda picture: preset(picture[None])[:, 0]

    sizes = (243, 307), (112, 112)
    gains = [
        sr.exposure(sr.probe(frame(preset), *sizes, dtype="uint8", layout="CHW tensor")).stealth_gain_db
        for preset in (video, hardened)
    ]
    assert gains[0] > 3 > 0.5 > gains[1]
    model = models.get_model("ssdlite320_mobilenet_v3_large", weights=None, weights_backbone=None).eval()
    hardened = harden(model)
    assert type(hardened) is type(model)
    assert hardened.backbone is model.backbone
    assert type(model.transform).__module__.startswith("torchvision.")
    picture = torch.rand(3, 480, 640)
    scaled = ours.functional.resize((picture - 0.5) / 0.5, [320, 320])
    assert torch.allclose(hardened.transform([picture])[0].tensors[0], scaled, atol=1e-5)  # float32, in either order


# Nearest.


def test_nearest_on_pictures_averages_and_on_masks_stays():
    hardened = harden(v2.Resize((16, 16), interpolation=v2.InterpolationMode.NEAREST))
    picture, mask = tensor(3, 64, 64), tensor(1, 64, 64) // 64
    assert torch.equal(hardened(picture), ours.Resize((16, 16), kernel="area")(picture))
    stock = v2.Resize((16, 16), interpolation=0)
    assert torch.equal(hardened(tv_tensors.Mask(mask)), stock(tv_tensors.Mask(mask)))


def test_target_transforms_are_left_alone_and_that_is_said():
    labels = v2.Resize(16, interpolation=v2.InterpolationMode.NEAREST)
    data = torchvision.datasets.FakeData(4, (3, 48, 64), transform=v2.Resize(16), target_transform=labels)
    hardened = harden(data)
    assert hardened.target_transform is labels
    assert hardened.transforms.target_transform is labels
    parts = {one["part"]: one for one in harden.report(hardened, probe=False).facts["parts"]}
    assert parts[".target_transform"]["verb"] == "left"
    assert "label maps" in parts[".target_transform"]["why"]


# Data sets and loaders.


def test_datasets_and_loaders_as_they_are_nested(tmp_path):
    from PIL import Image

    for index in range(4):
        folder = tmp_path / f"class{index % 2}"
        folder.mkdir(exist_ok=True)
        Image.fromarray(noise(40, 60, 3, seed=index)).save(folder / f"{index}.png")
    files = torchvision.datasets.ImageFolder(tmp_path, v2.Compose([v2.Resize((16, 16), antialias=False), v2.ToImage()]))
    data = torch.utils.data.Subset(torch.utils.data.ConcatDataset([files, files]), [0, 3, 5])
    loader = torch.utils.data.DataLoader(data, batch_size=3, num_workers=1, multiprocessing_context="fork")
    hardened = harden(loader)
    assert type(hardened) is torch.utils.data.DataLoader
    first, second = hardened.dataset.dataset.datasets
    assert first is second
    assert first.samples is files.samples
    assert first.transforms.transform is first.transform
    assert type(files.transform.transforms[0]) is v2.Resize
    batch, labels = next(iter(hardened))
    resize = ours.Compose([ours.Resize((16, 16)), v2.ToImage()])
    expected = torch.stack([resize(files.loader(files.samples[index % 4][0])) for index in (0, 3, 5)])
    assert torch.equal(batch, expected)
    assert labels.tolist() == [files.samples[index % 4][1] for index in (0, 3, 5)]


def test_nothing_to_replace_gives_the_argument_itself():
    pipeline = v2.Compose([ours.Resize((16, 16)), v2.ToDtype(torch.float32)])
    assert harden(pipeline) is pipeline
    parts = harden.report(pipeline, probe=False).facts["parts"]
    assert [(one["part"], one["verb"], one["why"]) for one in parts] == [
        (".transforms[0]", "left", "it is robust already")
    ]


def test_what_holds_itself_is_put_together_again():
    first, second = v2.Compose([v2.Resize((8, 8), antialias=False)]), v2.Compose([v2.Normalize([0.0], [1.0])])
    first.friend, second.friend = second, first
    hardened = harden(first)
    assert hardened.friend is not second
    assert hardened.friend.friend is hardened
    assert type(hardened.transforms[0]) is ours.Resize


def test_containers_partials_and_methods():
    resize = v2.Resize((8, 8), antialias=False)
    bound = functools.partial(v2.functional.resize, size=[8, 8], antialias=False)
    pipeline = {"train": [resize, resize], "valid": (resize, bound, resize.forward)}
    hardened = harden(pipeline)
    assert type(hardened["train"][0]) is ours.Resize
    assert hardened["train"][0] is hardened["train"][1] is hardened["valid"][0]
    assert hardened["valid"][2].__self__ is hardened["train"][0]
    picture = tensor(3, 32, 32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = [one(picture) for one in (*hardened["train"], *hardened["valid"])]
    assert all(torch.equal(one, results[0]) for one in results)
    assert pipeline["train"][0] is resize


def test_long_lists_of_data_are_not_looked_through():
    class Data:
        def __init__(self):
            self.samples, self.transform = [(f"{k}.png", k) for k in range(300_000)], v2.Resize(8, antialias=False)

    assert type(harden(Data()).transform) is ours.Resize
    assert len(Walk(Data())._alive) < 20


# What is said.


def test_what_cannot_be_replaced_warns_and_is_a_finding():
    augmentation = pytest.importorskip("kornia.augmentation")
    pipeline = v2.Compose([v2.Resize((8, 8), antialias=False), augmentation.RandomPerspective(0.5, p=1.0)])
    with pytest.warns(HardenWarning, match=r"Compose\.transforms\[1\]: .*samples") as caught:
        hardened = harden(pipeline)
    assert caught[0].filename == __file__
    assert [change.path for change in caught[0].message.changes] == [".transforms[1]"]
    assert type(hardened.transforms[0]) is ours.Resize
    report = harden.report(hardened, probe=False, name="here")
    assert [(one.code, str(one.place)) for one in report.findings] == [("SR111", "here.transforms[1]")]
    assert report.exit_code() == 1


def test_kernels():
    hardened = harden(v2.Compose([v2.Resize((8, 8), antialias=False)]), kernel="area")
    assert hardened.transforms[0].kernel == "area"
    with pytest.raises(ValueError, match="valid kernels"):
        harden(v2.Resize(8), kernel="aera")


@pytest.mark.parametrize("what", [v2.Resize, torch, "v2.Resize(8)", None, 3])
def test_what_is_no_pipeline_is_an_error(what):
    with pytest.raises(TypeError, match="expected a pipeline"):
        harden(what)


def test_a_report_measures_before_and_after():
    hardened = harden(v2.Compose([v2.Resize((32, 32), antialias=False)]))
    report = harden.report(hardened, (96, 128))
    assert (report.facts["before"], report.facts["after"]) == ("vulnerable", "robust")
    assert report.facts["before_db"] > 5 > 0.5 > report.facts["after_db"]
    assert not report.findings
    assert report.exit_code() == 0
    assert [table["title"] for table in report.facts["tables"]] == ["parts", "measured before", "measured after"]


def test_what_harden_made_is_not_kept_alive():
    import gc
    import weakref

    from secure_resize.integrations import harden as function
    from secure_resize.integrations.harden import _REMEMBERED

    assert function is harden
    hardened = harden(nested())
    watched = weakref.ref(hardened)
    assert id(hardened) in _REMEMBERED
    key = id(hardened)
    del hardened
    gc.collect()
    assert watched() is None
    assert key not in _REMEMBERED


def test_every_torchvision_transform_has_a_decision():
    """A new one fails this: it is replaced, known to keep the scale, or has no geometry."""
    from secure_resize.integrations.harden.dropins import drop_in_of
    from secure_resize.integrations.harden.torchvision import DROP_INS, KEEP_SCALE, MAY_SHRINK

    geometric = {
        name
        for name, value in vars(v2).items()
        if isinstance(value, type) and value.__module__.endswith(("_geometry", "_auto_augment"))
    }
    replaced = {name for name in geometric if drop_in_of(getattr(v2, name), DROP_INS) is not None}
    assert {"Resize", "RandomResizedCrop", "ScaleJitter"} <= replaced
    assert geometric == replaced | (set(KEEP_SCALE) & geometric) | (set(MAY_SHRINK) & geometric)


# The command.


def command(folder, *arguments):
    (folder / "pipe.py").write_text(
        "from torchvision.transforms import v2\n"
        "class Hostile:\n"
        "    scale_ = 1\n"
        "    def __repr__(self): return '\\x1b[31mred\\n<script>alert(1)</script>'\n"
        "    def __call__(self, x): return x\n"
        "good = v2.Compose([v2.Resize((32, 32), antialias=False)])\n"
        "def broken(image): raise SystemExit(0)\n"
    )
    return subprocess.run(
        [sys.executable, "-m", "secure_resize", "harden", *arguments], cwd=folder, capture_output=True, text=True
    )


@pytest.mark.slow
def test_the_command_prints_before_and_after(tmp_path):
    run = command(tmp_path, "pipe.py:good", "--in", "96x128")
    assert run.returncode == 0, run.stderr
    assert "vulnerable" in run.stdout
    assert ".transforms[0]" in run.stdout
    for form, part in (("json", '"before": "vulnerable"'), ("sarif", '"2.1.0"'), ("html", "<table")):
        run = command(tmp_path, "pipe.py:good", "--in", "96x128", "--format", form)
        assert run.returncode == 0
        assert part in run.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("target", "code"), [("pipe.py:nobody", 2), ("pipe.py", 4), ("nowhere.py:x", 2)])
def test_the_command_ends_with_a_line(tmp_path, target, code):
    run = command(tmp_path, target)
    assert run.returncode == code
    assert len(run.stderr.splitlines()) == 1
    assert not run.stdout


# Anybody's functions and classes.

CODE = """
import cv2
from cv2 import resize as shrink
from torchvision.transforms import v2

def helper(image): return shrink(image, (32, 32))
def preprocess(image): return helper(image)
TRANSFORM = v2.Compose([v2.ToImage(), v2.Resize((32, 32), antialias=False)])
def by_global(image): return TRANSFORM(image)
def clean(image): return image[::-1]

class Box:
    def __init__(self, size): self.size = size
    def __call__(self, image): return cv2.resize(image, (self.size, self.size))
    def __repr__(self): return f"Box({self.size})"

class Data:
    def __init__(self, image): self.image = image
    def __len__(self): return 2
    def __getitem__(self, index): return cv2.resize(self.image, (32, 32))

class Mine:
    def __init__(self): self.resize = v2.Resize((32, 32), antialias=False)
    def __call__(self, image): return self.resize(image)
"""


@pytest.fixture
def users(tmp_path, monkeypatch):
    pytest.importorskip("cv2")
    (tmp_path / "users_code.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("users_code")
    del sys.modules["users_code"]


def test_functions_run_with_their_calls_routed_and_nobody_elses(users):
    image = noise(96, 128, 3)
    expected = sr.resize(image, (32, 32), kernel="bilinear")
    stock = users.preprocess(image)
    for hardened in (harden(users.preprocess), harden(users.Box(32)), harden(functools.partial(users.helper))):
        assert np.array_equal(hardened(image), expected)
        assert np.array_equal(pickle.loads(pickle.dumps(hardened))(image), expected)
    assert not np.array_equal(stock, expected)
    assert np.array_equal(users.preprocess(image), stock)
    assert np.array_equal(users.Box(32)(image), stock)
    by_global = harden(users.by_global)(image).numpy().transpose(1, 2, 0)
    assert np.abs(by_global.astype(int) - expected).max() <= 1  # torch's own antialiasing rounds otherwise
    for call in (functools.partial(users.cv2.resize, dsize=(32, 32)), functools.partial(users.shrink, dsize=(32, 32))):
        assert np.array_equal(harden(call)(image), expected)  # also of a function that is routed for others by now
    assert harden(users.clean) is users.clean
    assert harden(users.preprocess).__name__ == "preprocess"


def test_objects_keep_their_class_and_their_state(users):
    box, data = users.Box(32), users.Data(noise(96, 128, 3))
    hardened = harden(box)
    assert isinstance(hardened, users.Box)
    assert repr(hardened) == "Box(32)"
    hardened.size = 16
    assert hardened(data.image).shape == (16, 16, 3)
    assert box.size == 32
    loader = torch.utils.data.DataLoader(harden(data), batch_size=2, num_workers=1, multiprocessing_context="fork")
    batch = next(iter(loader)).numpy()
    assert np.array_equal(batch[1], sr.resize(data.image, (32, 32), kernel="bilinear"))
    mine = harden(users.Mine())  # whose code says resize of its own transform
    assert type(mine) is users.Mine
    assert type(mine.resize) is ours.Resize


def test_networks_are_not_routed(users):
    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Conv2d(3, 3, 1)

        def forward(self, x):
            return self.layer(torch.nn.functional.interpolate(x, (8, 8)))

    network = Network()
    with pytest.warns(HardenWarning, match="interpolate; a network with weights"):
        assert harden(network) is network
