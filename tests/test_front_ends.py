"""Front ends: the installed ones scale as their row says; rules of services as their pages' own examples go."""

import io
from functools import cache

import numpy as np
import pytest

import secure_resize as sr
from secure_resize.front_ends import NOT_PUBLISHED, PLAUSIBLE, rules, select_front_ends

PIL = pytest.importorskip("PIL.Image")
pytestmark = [
    pytest.mark.once,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),  # of the libraries about each other
]
SHAPES = [(470, 700), (820, 530)]
RUN = [name for name, row in sr.FRONT_ENDS.items() if row.look]


@cache
def picture(height, width):
    """Nothing in it is smooth: a filter that reads other pixels gives another picture."""
    rng = np.random.default_rng(height)
    coarse = PIL.fromarray(rng.integers(0, 256, (height // 5, width // 5, 3), np.uint8)).resize((width, height))
    return np.clip(np.asarray(coarse).astype(int) + rng.integers(-25, 25, (height, width, 3)), 0, 255).astype(np.uint8)


def file_of(image, format="PNG", **options):
    file = io.BytesIO()
    PIL.fromarray(image).save(file, format, **options)
    return file.getvalue()


@pytest.mark.parametrize("name", RUN)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_library_does_what_its_row_says(name, shape):
    row = sr.FRONT_ENDS[name]
    if not row.installed:
        pytest.skip(f"{row.package} is not installed")
    if shape == SHAPES[1] and row.sizes(*shape) == row.sizes(*SHAPES[0]):
        pytest.skip("one size for all shapes")
    assert row.version
    image = picture(*shape)
    views = row.look(file_of(image))
    if views[0].part is None:
        assert [view.size for view in views] == row.sizes(*shape)
    for view in views:
        assert view.image.dtype == np.uint8
        robust = view.by(sr.resize, image)
        assert view.image.shape == robust.shape
        # And it is this place of the picture: a robust filter is near it, the more so the less it is scaled.
        assert np.corrcoef(view.image.ravel(), robust.ravel())[0, 1] > (0.9 if row.samples is False else 0.5)
        for scaler in row.scalers:
            if sr.SCALERS[scaler].installed:
                predicted = view.by(sr.SCALERS[scaler], image)
                assert np.abs(predicted.astype(int) - view.image).max() <= 1


@pytest.mark.parametrize("name", sr.FRONT_ENDS)
def test_every_row_is_complete(name):
    row = sr.FRONT_ENDS[name]
    assert row.versions
    assert row.rule
    assert row.evidence
    assert row.date
    for scaler in row.scalers:
        assert sr.SCALERS[scaler]
    if row.filter == NOT_PUBLISHED:
        assert row.scalers == PLAUSIBLE
        assert row.samples is None
        assert row.look is None
    for height, width in ((3000, 4000), (4000, 1000), (40, 2000), (224, 224)):
        for size in row.sizes(height, width):
            assert len(size) == 2
            assert all(isinstance(side, int) and side >= 1 for side in size)


@pytest.mark.parametrize(
    ("name", "shape", "size"),
    [
        ("claude:3-4", (1000, 1000), (1000, 1000)),
        ("claude:3-4", (3000, 2000), (1341, 894)),
        ("claude:newer", (1000, 2576), (1000, 2576)),
        ("claude:newer", (1000, 5000), (515, 2576)),
        ("gpt:4o", (2048, 4096), (768, 1536)),  # its page's own example: 2048×4096 becomes 768×1536
        ("gpt:4o", (1024, 1024), (768, 768)),
        ("gpt:5-mini", (2400, 1800), (1408, 1056)),  # its page's own example
        ("gpt:5-mini", (1024, 1024), (1024, 1024)),
        ("gpt:5.6", (5000, 5000), (5000, 5000)),
        ("gemini:2", (300, 384), (300, 384)),
        ("gemini:2", (1536, 2304), (1152, 1728)),
        ("codex-cli:2048", (3000, 2000), (768, 512)),
    ],
)
def test_rules_of_services(name, shape, size):
    assert sr.FRONT_ENDS[name].sizes(*shape) == [size]


def test_patches_stay_within_their_budget():
    for height, width in ((6000, 100), (900, 3000), (4000, 4000), (33, 40_000)):
        rows, columns = rules.patches(height, width, 1536, 32)
        assert -(-rows // 32) * -(-columns // 32) <= 1536
        rows, columns = rules.largest_of_patches(height, width, 4784, 28, 2576)
        assert -(-rows // 28) * -(-columns // 28) <= 4784
        assert max(rows, columns) <= 2576


def test_front_ends_are_chosen_by_name_pattern_or_maker():
    assert [row.name for row in select_front_ends(["gpt:4o"])] == ["gpt:4o"]
    assert {row.name for row in select_front_ends(["gemini", "claude*"])} >= {"gemini:2", "claude:newer"}
    with pytest.raises(ValueError, match=r"unknown front end 'gtp'; valid front ends: transformers:CLIP"):
        select_front_ends(["gtp"])


def test_a_wrong_filter_is_noticed():
    row = sr.FRONT_ENDS["timm:create_transform"]
    if not row.installed:
        pytest.skip("timm is not installed")
    image = picture(470, 700)
    (view,) = row.look(file_of(image))
    other = view.by(sr.SCALERS["pillow:bicubic"], image)
    assert np.abs(other.astype(int) - view.image).max() > 1


def test_a_library_that_is_run_leaves_pillow_as_it_was():
    """ultralytics replaces PIL.Image.open when it is imported."""
    row = sr.FRONT_ENDS["ultralytics:LetterBox"]
    if not row.installed:
        pytest.skip("ultralytics is not installed")
    (view,) = row.look(file_of(picture(470, 700)))
    assert view.size == (430, 640)
    assert PIL.open.__module__ == "PIL.Image"
