"""Image reconstruction: the filters, what scalers read, every scaler, the certificate, and bad arguments."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys

import numpy as np
import pytest
import reconstruct_sweep

import secure_resize as sr
from secure_resize import core
from secure_resize.core import reference
from secure_resize.core.selection import NETWORK_LIMIT, Selection, median_network
from secure_resize.measure.sampling import sampled_axis
from secure_resize.measure.scalers import SCALERS, Scaler

module = sys.modules["secure_resize.reconstruction.plan"]
KEY = bytes(range(32))
CLOSED_FORM = [name for name, scaler in SCALERS.items() if scaler.sampling and scaler.installed]
pytest.importorskip("cv2")


def windows(image, selection):
    """By the definition, pixel by pixel: {(row, column) of a read pixel: its candidates (n, C)}."""
    height, width = selection.in_size
    read = set(itertools.product(selection.rows.tolist(), selection.cols.tolist()))
    found = {}
    for y, x in read:
        window = itertools.product(
            range(max(0, y - selection.half[0]), min(height, y + selection.half[0] + 1)),
            range(max(0, x - selection.half[1]), min(width, x + selection.half[1] + 1)),
        )
        places = [place for place in window if place not in read]
        found[y, x] = np.array([image[place] for place in places]).reshape(len(places), image.shape[2])
    return found


def random_selection(rng, height, width, most=4):
    rows, cols = (np.flatnonzero(rng.random(n) < rng.uniform(0.05, 0.9)) for n in (height, width))
    rows, cols = (index if len(index) else np.array([0]) for index in (rows, cols))
    half = tuple(int(n) for n in rng.integers(0, most, 2))
    return Selection((height, width), rows.astype(np.int32), cols.astype(np.int32), half)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_the_filters_are_their_definition(dtype):
    """On 1000 random small images, with ties and two-valued ones among them; pixels not read are not touched."""
    rng = np.random.default_rng(1)
    for case in range(1000 if dtype == "uint8" else 200):
        height, width, channels = (int(n) for n in rng.integers(1, (9, 9, 4)))
        selection = random_selection(rng, height, width)
        image = rng.integers(0, (256, 3, 2)[case % 3], (height, width, channels)).astype(dtype)
        median, random = (np.full((1, *image.shape), 7, dtype) for _ in range(2))
        reference.select_median(image[None], median, selection)
        reference.select_random(image[None], random, selection, rng.integers(0, 256, (1, 32), np.uint8))
        expected, read = np.full(image.shape, 7, dtype), np.zeros((height, width), bool)
        for (y, x), candidates in windows(image, selection).items():
            read[y, x] = True
            expected[y, x] = np.sort(candidates, axis=0)[(len(candidates) - 1) // 2] if len(candidates) else 0
            drawn = random[0, y, x]
            assert (candidates == drawn).all(axis=1).any() if len(candidates) else not drawn.any()
        assert np.array_equal(median[0], expected)
        assert (random[0][~read] == 7).all()
        counts = [len(c) for _, c in sorted(windows(image, selection).items())] if case < 100 else None
        assert counts is None or selection.candidates.ravel().tolist() == counts


@pytest.mark.parametrize("half", [(5, 5), (6, 6), (9, 3), (20, 20)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_windows_beyond_networks(half, dtype):
    """On both sides of NETWORK_LIMIT."""
    rng = np.random.default_rng(2)
    cells = (2 * half[0] + 1) * (2 * half[1] + 1)
    selection = Selection((45, 50), np.array([0, 20, 44], np.int32), np.array([3, 30], np.int32), half)
    assert selection.window == cells
    assert (cells > NETWORK_LIMIT) == (half != (5, 5))
    image = rng.integers(0, 256, (45, 50, 2)).astype(dtype)
    out = image[None].copy()
    reference.select_median(image[None], out, selection)
    for (y, x), candidates in windows(image, selection).items():
        assert np.array_equal(out[0, y, x], np.sort(candidates, axis=0)[(len(candidates) - 1) // 2])


@pytest.mark.parametrize("inputs", range(1, NETWORK_LIMIT + 1, 2))
def test_networks_find_the_middle(inputs):
    """The 0-1 principle on random zeros and ones of every count, and on numbers."""
    rng = np.random.default_rng(inputs)
    ones = np.arange(inputs)[:, None] < np.arange(inputs + 1)
    planes = np.hstack([rng.permuted(ones, axis=0), rng.integers(0, 9, (inputs, 100))]).astype(np.uint8)
    middle = np.sort(planes, axis=0)[inputs // 2]
    for i, j, _ in median_network(inputs).tolist():
        planes[[i, j]] = np.sort(planes[[i, j]], axis=0)
    assert np.array_equal(planes[inputs // 2], middle)


def test_many_windows_beyond_networks_agree_with_few():
    """Windows are sorted side by side or one by one, whichever is faster; the medians are the same."""
    rng = np.random.default_rng(24)
    rows, cols = (np.arange(k, n, 3, dtype=np.int32) for k, n in ((1, 60), (0, 70)))
    selection = Selection((60, 70), rows, cols, (6, 7))
    assert NETWORK_LIMIT < selection.window < len(rows) * len(cols)  # side by side
    for dtype in ("uint8", "uint16", "float32"):
        image = rng.integers(0, 256, (1, 60, 70, 2)).astype(dtype)
        if dtype == "float32":
            image[rng.random(image.shape) < 0.4] = np.nan
        together, one_by_one = image.copy(), image[0].copy()
        reference.select_median(image, together, selection)
        reference._select_medians_of_large_windows(image[0], one_by_one, selection)
        assert np.array_equal(together[0], one_by_one, equal_nan=dtype == "float32")


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize(
    ("shape", "size"), [((2000, 2000), (2, 2)), ((100_000, 3), (1, 1)), ((3, 100_000), (1, 1)), ((900, 1200), (9, 12))]
)
def test_huge_windows(shape, size, dtype):
    """In time linear in the pixels: a step of Python's for each pixel of a window took minutes."""
    image = np.random.default_rng(25).integers(0, 256, (*shape, 2)).astype(dtype)
    info, out = (f(image, size, scaler="opencv:linear") for f in (sr.reconstruction_info, sr.reconstruct))
    selection = info._plan.selection
    for i, j in {(0, 0), (len(selection.rows) // 2, len(selection.cols) // 2), (-1, -1)}:
        y, x = selection.rows[i], selection.cols[j]
        window = tuple(
            np.arange(max(at - half, 0), min(at + half + 1, n))
            for at, half, n in zip((y, x), selection.half, shape, strict=True)
        )
        free = ~np.multiply.outer(selection.read_rows[window[0]], selection.read_cols[window[1]])
        candidates = np.sort(image[np.ix_(*window)][free], axis=0)
        assert np.array_equal(out[y, x], candidates[(len(candidates) - 1) // 2])


@pytest.mark.parametrize("selective", [reference, core])
def test_nan_is_largest(selective):
    """A median is NaN if at least half of the candidates are, and never an infinity that is not in the image."""
    selection = Selection((3, 3), np.array([1], np.int32), np.array([1], np.int32), (1, 1))
    rng = np.random.default_rng(26)
    for missing in range(9):
        values = np.arange(1, 9, dtype=np.float32)
        values[8 - missing :] = np.nan
        image = np.insert(rng.permutation(values), 4, 7.5).reshape(1, 3, 3, 1)
        out = image.copy()
        selective.select_median(image, out, selection)
        assert np.array_equal(out[0, 1, 1], [4.0] if missing < 5 else [np.nan], equal_nan=True)
    # At the border, and where read pixels are left out, windows are padded: padding must not come before NaN.
    image = np.full((1, 9, 9, 1), np.nan, np.float32)
    image[0, ::2, ::2] = -np.inf
    rows = np.array([0, 1, 5, 8], np.int32)
    for half in ((1, 1), (2, 3), (8, 8)):
        out = image.copy()
        selective.select_median(image, out, Selection((9, 9), rows, rows, half))
        for (y, x), candidates in windows(image[0], Selection((9, 9), rows, rows, half)).items():
            expected = np.sort(candidates, axis=0)[(len(candidates) - 1) // 2] if len(candidates) else [0]
            assert np.array_equal(out[0, y, x], expected, equal_nan=True)


def test_not_a_number_in_an_image():
    """What the docstring says: the median ignores a minority of NaN, the prefilter's mean passes NaN on."""
    image = np.random.default_rng(27).random((40, 50, 3), np.float32)
    clean = sr.reconstruct(image, (10, 10), scaler="opencv:nearest")
    image[3:5, 8:12] = np.nan
    for scaler, size in (("opencv:nearest", (10, 10)), ("opencv:nearest", (30, 40))):
        info, out = (f(image, size, scaler=scaler) for f in (sr.reconstruction_info, sr.reconstruct))
        assert not np.isinf(out).any()
        if not info.fallback.any():
            places = np.ix_(info.read_rows, info.read_cols)
            assert np.isnan(out[places]).sum() == 0
            far = np.ix_(info.read_rows & (np.arange(40) > 8), info.read_cols)
            assert np.array_equal(out[far], clean[far])
            low, high = info.intervals(0)
            assert np.array_equal(low, out[places])
            assert np.array_equal(high, out[places])


# What the scalers read.


@pytest.mark.parametrize("name", CLOSED_FORM)
def test_closed_forms_hold_all_that_is_read(name):
    """Pixels outside of them may be anything: the real library's output keeps every byte, in uint8 and float32."""
    rng, scaler = np.random.default_rng(3), SCALERS[name]
    sizes = [reconstruct_sweep.random_sizes(rng) for _ in range(30)]
    sizes += [((7 * 49, 5 * 7), (7, 5)), ((300, 211), (40, 223)), ((97, 64), (97, 16)), ((65, 33), (64, 32))]
    unread = 0
    for in_size, out_size in sizes:
        axes = [sampled_axis(SCALERS[name].sampling, *pair) for pair in zip(in_size, out_size, strict=True)]
        read = np.multiply.outer(axes[0].read, axes[1].read)
        unread += int((~read).sum())
        for dtype in ("uint8", "float32"):
            image, other = (rng.integers(0, 256, (*in_size, 3)).astype(dtype) for _ in range(2))
            other[read] = image[read]
            assert np.array_equal(scaler(image, out_size), scaler(other, out_size)), (in_size, out_size, dtype)
    assert unread > 0


@pytest.mark.parametrize("name", ["opencv:linear", "opencv:cubic", "torch:bilinear", "tensorflow:bicubic"])
@pytest.mark.parametrize("sizes", [((96, 100), (16, 24)), ((75, 64), (15, 16))])
def test_closed_forms_hold_no_more_than_rounding_may_bring_in(name, sizes):
    """At whole ratios and others far from ties they are what a probe finds."""
    pytest.importorskip(SCALERS[name].module)
    operator = module.probe(name, *sizes)
    for axis, pair in zip((operator.rows, operator.cols), zip(*sizes, strict=True), strict=True):
        closed = sampled_axis(SCALERS[name].sampling, *pair)
        assert (closed.read >= axis.read(0.01)).all()
        exact = closed.operator.read(1e-9)
        assert closed.read.sum() <= exact.sum() + 0.5 * pair[1]


def test_a_name_alone_is_no_closed_form():
    """A scaler that calls itself opencv:linear is probed."""
    liar = Scaler(
        "opencv:linear", lambda image, size: image[:: image.shape[0] // size[0], :: image.shape[1] // size[1]], "cv2"
    )
    image = np.random.default_rng(4).integers(0, 256, (64, 64), np.uint8)
    info = sr.reconstruction_info(image, (16, 16), scaler=liar)
    assert np.flatnonzero(info.read_rows).tolist() == list(range(0, 64, 4))
    assert np.flatnonzero(sr.reconstruction_info(image, (16, 16), scaler="opencv:linear").read_rows)[:2].tolist() == [
        1,
        2,
    ]


def looks_natural(image):
    """Neighbours are alike, as they are in photographs and not in noise."""
    grey = image.reshape(*image.shape[:2], -1)[..., 0].astype(float)
    return np.abs(np.diff(grey, axis=1)).mean() < 0.5 * np.abs(grey - grey.mean()).mean()


def lie_on_photographs(image, size):
    return SCALERS["opencv:nearest"](image, size) if looks_natural(image) else sr.resize(image, size)


def read_other_pixels_of_photographs(image, size):
    return SCALERS["opencv:nearest" if looks_natural(image) else "opencv:nearest_exact"](image, size)


class LieLater:
    """Robust until it is told not to be."""

    __name__ = "lie_later"

    def __init__(self):
        self.trusted = False

    def __call__(self, image, size):
        return SCALERS["opencv:nearest"](image, size) if self.trusted else sr.resize(image, size)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("method", ["median", "random"])
@pytest.mark.parametrize("call", [lie_on_photographs, read_other_pixels_of_photographs, LieLater()])
def test_a_scaler_that_lies_gets_no_attack_image(call, method, dtype, photos):
    """The target that nearest would bring out does not come out, whatever the scaler did when it was probed."""
    scaler = Scaler(call.__name__, call, "cv2")
    levels = {"uint8": 1.0, "uint16": 257.0, "float32": 1 / 255}[dtype]
    source = (photos["chelsea.png"][:240, :320] * levels).astype(dtype)
    target = (sr.resize(photos["coffee.png"], (40, 40)) * levels).astype(dtype)
    attack = source.copy()
    attack[np.ix_(np.arange(40) * 6, np.arange(40) * 8)] = target
    assert looks_natural(attack)
    assert np.array_equal(SCALERS["opencv:nearest"](attack, (40, 40)), target)

    def rms(a, b):
        return np.sqrt(np.mean((a.astype(float) - b) ** 2)) / levels

    with contextlib.suppress(module.ProbeError):
        if isinstance(call, LieLater):
            call.trusted = False
            assert np.array_equal(sr.reconstruct(source, (40, 40), scaler=scaler), source)  # and the plan is kept
            call.trusted = True
        out = sr.reconstruct_resize(attack, (40, 40), scaler=scaler, method=method)
        assert rms(out, sr.resize(source, (40, 40))) < 25 < 50 < rms(out, target)
        fed = sr.reconstruct(attack, (40, 40), scaler=scaler, method=method)
        assert np.array_equal(SCALERS["opencv:nearest"](fed, (40, 40)), out)
        info = sr.reconstruction_info(attack, (40, 40), scaler=scaler, method=method)
        assert info.fallback.all()
        assert not info.unchanged


def test_an_honest_scaler_of_ones_own_is_believed(photos):
    """Robust ones get the image unchanged, others the windows that they need, at every dtype and rank."""
    source = photos["chelsea.png"][:240, :320]
    for name, unchanged in (("pillow:bicubic", True), ("opencv:area", True), ("opencv:cubic", False)):
        installed(name)
        own = Scaler(f"my {name}", SCALERS[name].call, SCALERS[name].module)
        for image in (source, source[..., 0], source[..., :1], source.astype(np.float32) / 255):
            info = sr.reconstruction_info(image, (40, 40), scaler=own)
            assert (info.unchanged, info.fallback.any()) == (unchanged, False)
            whole = sr.reconstruct(image, (40, 40), scaler=own)
            assert np.array_equal(sr.reconstruct_resize(image, (40, 40), scaler=own), own(whole, (40, 40)))


def test_what_a_library_does_not_take_is_named():
    for scaler in ("opencv:linear", "opencv:lanczos4"):
        with pytest.raises(ValueError, match=rf"{scaler} fails on an image of shape \(40, 40, 600\), uint8, to 9x9"):
            sr.reconstruct_resize(np.zeros((40, 40, 600), np.uint8), (9, 9), scaler=scaler)
    for function in (sr.reconstruct, sr.reconstruct_resize, sr.reconstruction_info):
        with pytest.raises(ValueError, match=r"image is empty: shape \(40, 40, 0\)"):
            function(np.zeros((40, 40, 0), np.uint8), (9, 9), scaler="opencv:linear")


def test_an_operator_that_reads_nothing_is_refused():
    """Its stealth gain is 0, that is -inf dB: not robust, but no scaler."""
    nothing = sr.AxisOperator(40, 9, np.zeros(9, np.int64), np.zeros((9, 1)))
    for axes in ((nothing, nothing), (nothing, sr.axis_operator(40, 9))):
        for function in (sr.reconstruct, sr.reconstruction_info):
            with pytest.raises(ValueError, match="reads no pixel"):
                function(np.zeros((40, 40), np.uint8), (9, 9), scaler=sr.ScalingOperator(*axes))


# Every scaler.


@pytest.fixture
def one_thread():
    """Of torch: on images as small as these, its threads wait for each other most of the time."""
    try:
        import torch
    except ImportError:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def installed(name):
    pytest.importorskip(SCALERS[name].module)
    return SCALERS[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", SCALERS)
def test_the_two_ways_agree(name, one_thread):
    """A small part of ``reconstruct_sweep.py pairs 200``; the probes in full for one pair, by axes for three."""
    count = 40 if SCALERS[name].sampling else 4
    seen = reconstruct_sweep.sweep_pairs(installed(name), count, np.random.default_rng(count), probed_in_full=1)
    assert set(seen) == {"equal"}, seen


@pytest.mark.slow
@pytest.mark.parametrize("name", SCALERS)
def test_no_read_pixel_keeps_its_influence(name, one_thread):
    """A small part of ``reconstruct_sweep.py ratios 500``."""
    count = 50 if SCALERS[name].sampling else 5
    seen = reconstruct_sweep.sweep_ratios(installed(name), count, np.random.default_rng(6))
    assert all(map(reconstruct_sweep.good, seen)), seen
    if SCALERS[name].sampling:
        assert {"prefilter", "median"} <= set(seen)


@pytest.mark.parametrize("scaler", ["opencv:area", "secure_resize:area", "pillow:bicubic", "torch:bilinear+antialias"])
def test_robust_scalers_get_the_image_unchanged(scaler):
    installed(scaler)
    image = np.random.default_rng(7).integers(0, 256, (64, 48, 3), np.uint8)
    info = sr.reconstruction_info(image, (16, 16), scaler=scaler)
    assert info.unchanged
    assert "robust by itself" in info.why
    out = sr.reconstruct(image, (16, 16), scaler=scaler)
    assert np.array_equal(out, image)
    assert not np.shares_memory(out, image)
    assert np.array_equal(sr.reconstruct_resize(image, (16, 16), scaler=scaler), SCALERS[scaler](image, (16, 16)))


def test_enlarging_changes_nothing():
    image = np.random.default_rng(8).integers(0, 256, (20, 30, 3), np.uint8)
    info = sr.reconstruction_info(image, (29, 31), scaler="opencv:nearest")
    assert info.unchanged
    assert "no axis shrinks" in info.why
    assert np.array_equal(sr.reconstruct(image, (29, 31), scaler="opencv:nearest"), image)


@pytest.mark.parametrize(
    ("scaler", "sizes"),
    [
        ("opencv:linear", ((96, 90), (64, 50))),
        ("opencv:cubic", ((64, 64), (16, 16))),
        ("torch:nearest", ((90, 60), (50, 40))),
    ],
)
def test_the_prefilter_is_the_mean_over_the_footprint(scaler, sizes):
    """Float64 overlaps, pixel by pixel; within the rounding of half a level. Prefilter and scaler are robust."""
    installed(scaler)
    image = np.random.default_rng(9).integers(0, 256, (*sizes[0], 3), np.uint8)
    info, out = sr.reconstruction_info(image, sizes[1], scaler=scaler), sr.reconstruct(image, sizes[1], scaler=scaler)
    assert info.fallback.all()
    assert info.exposure is not None
    # Nearest reads at uneven distances, whatever comes before it.
    assert info.exposure.stealth_gain_db < (3 if "nearest" in scaler else 1) < info.stealth_gain_db
    masks = []
    for read, n_in, n_out in zip((info.read_rows, info.read_cols), *sizes, strict=True):
        beta, pixel = n_in / n_out, np.arange(n_in)
        left = np.clip(np.flatnonzero(read) + 0.5 - beta / 2, 0, n_in - beta)[:, None]
        masks.append(np.clip(np.minimum(pixel + 1, left + beta) - np.maximum(pixel, left), 0, 1) / beta)
    mean = np.einsum("ry,yxc,sx->rsc", masks[0], image.astype(float), masks[1])
    assert np.abs(out[np.ix_(info.read_rows, info.read_cols)] - mean).max() <= 0.5 + 1e-9
    image[~np.multiply.outer(info.read_rows, info.read_cols)] += 1
    assert (sr.reconstruct(image, sizes[1], scaler=scaler) != out)[
        ~np.multiply.outer(info.read_rows, info.read_cols)
    ].all()


def test_shapes_dtypes_and_strides():
    rng = np.random.default_rng(10)
    image = rng.integers(0, 256, (2, 40, 50, 3), np.uint8)
    for method in module.METHODS:
        options = {"scaler": "opencv:linear", "method": method, "key": KEY}
        batch = sr.reconstruct(image, (9, 11), **options)
        small = sr.reconstruct_resize(image, (9, 11), **options)
        for k in range(2):
            view = np.asfortranarray(image[k])[::-1][::-1]
            assert np.array_equal(sr.reconstruct(view, (9, 11), **options), batch[k])
            assert np.array_equal(sr.reconstruct_resize(view, (9, 11), **options), small[k])
        grey = sr.reconstruct(image[0, ..., 0], (9, 11), **options)
        assert grey.shape == (40, 50)
        assert sr.reconstruct_resize(image[0, ..., 0], (9, 11), **options).shape == (9, 11)
        if method == "median":  # channels are independent
            assert np.array_equal(grey, batch[0, ..., 0])
        for dtype in ("uint16", "float32", ">u2"):
            typed = sr.reconstruct(image.astype(dtype), (9, 11), **(options | {"key": None}))
            assert typed.dtype == np.dtype(dtype).newbyteorder("=")
            if method == "median":
                assert np.array_equal(typed, batch)
    before = image.copy()
    sr.reconstruct(image, (9, 11), scaler="opencv:linear")
    assert np.array_equal(image, before)


def test_buffers_are_not_shared_between_images_or_threads():
    """The image that is fed to the library is kept: what one call leaves in it must not show in another."""
    from concurrent.futures import ThreadPoolExecutor

    rng = np.random.default_rng(11)
    images = [rng.integers(0, 256, (60, 80, 3), np.uint8) for _ in range(8)]
    scalers = ["opencv:linear", "opencv:nearest", "torch:bilinear", "opencv:cubic", "torch:bicubic", "torch:nearest"]
    jobs = [(image, scaler) for image in images for scaler in scalers if SCALERS[scaler].installed]
    expected = [SCALERS[s](sr.reconstruct(image, (12, 11), scaler=s), (12, 11)) for image, s in jobs]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda job: sr.reconstruct_resize(job[0], (12, 11), scaler=job[1]), jobs * 3))
    for result, wanted in zip(results, expected * 3, strict=True):
        assert np.array_equal(result, wanted)


# The certificate.


def test_intervals_equal_exhaustive_search():
    """Every way to change up to b pixels of a small window to values that matter: black, white, or another's value."""
    rng = np.random.default_rng(12)
    image = rng.integers(1, 255, (9, 9, 1), np.uint8)
    info = sr.reconstruction_info(image, (3, 3), scaler="opencv:nearest")
    selection = info._plan.selection
    assert selection.half == (1, 1)
    low, high = zip(*(info.intervals(budget) for budget in range(5)), strict=True)
    for (y, x), candidates in windows(image, selection).items():
        i, j = np.searchsorted(selection.rows, y), np.searchsorted(selection.cols, x)
        n, values = len(candidates), [0, 255, *candidates[:, 0].tolist()]
        for budget in range(min(4, n)):
            reached = {
                sorted([*np.delete(candidates[:, 0], list(places)).tolist(), *new])[(n - 1) // 2]
                for places in itertools.combinations(range(n), budget)
                for new in itertools.product(values if budget < 3 else (0, 255), repeat=budget)
            }
            assert (min(reached), max(reached)) == (low[budget][i, j, 0], high[budget][i, j, 0])
        assert info.breakdown[i, j] == next(b for b in range(9) if (n - 1) // 2 - b < 0)


@pytest.mark.parametrize(
    ("scaler", "sizes"), [("opencv:linear", ((41, 50), (9, 8))), ("opencv:cubic", ((60, 66), (9, 8)))]
)
def test_the_certificate_holds_and_is_tight(scaler, sizes):
    """Attacks of b changed pixels stay inside; without any, it is the output itself."""
    rng = np.random.default_rng(13)
    image = rng.integers(0, 256, (*sizes[0], 3), np.uint8)
    info, clean = (
        sr.reconstruction_info(image, sizes[1], scaler=scaler),
        sr.reconstruct_resize(image, sizes[1], scaler=scaler),
    )
    low, high = info.certificate(0)
    # Rounding and the probed weights' deviation.
    assert np.abs(low - clean).max() < 1.5
    assert np.abs(high - clean).max() < 1.5
    for budget in (1, 3):
        low, high = info.certificate(budget)
        assert ((high - low) > 0).any()
        for _ in range(30):
            attacked, corner = image.copy(), [rng.integers(0, n - 4) for n in sizes[0]]
            for _ in range(budget):
                attacked[corner[0] + rng.integers(4), corner[1] + rng.integers(4)] = rng.choice([0, 255])
            moved = sr.reconstruct_resize(attacked, sizes[1], scaler=scaler)
            assert (moved >= low - 1.5).all()
            assert (moved <= high + 1.5).all()


@pytest.mark.parametrize("scaler", ["opencv:nearest", "torch:nearest"])
def test_the_certificate_is_reached_through_the_library(scaler):
    """One tap an output: b changed pixels of its window bring the real output to either end, and no attack further."""
    installed(scaler)
    rng, size = np.random.default_rng(22), (4, 5)
    image = rng.integers(0, 256, (20, 25, 3), np.uint8)
    info = sr.reconstruction_info(image, size, scaler=scaler)
    assert not info.fallback.any()
    selection = info._plan.selection
    read = set(itertools.product(selection.rows.tolist(), selection.cols.tolist()))
    for budget in range(14):
        low, high = info.certificate(budget)
        for i, j in itertools.product(range(4), range(5)):
            y, x = selection.rows[i], selection.cols[j]
            reach = selection.half
            window = [
                (k, m)
                for k in range(max(0, y - reach[0]), min(20, y + reach[0] + 1))
                for m in range(max(0, x - reach[1]), min(25, x + reach[1] + 1))
                if (k, m) not in read
            ]
            for end, value in ((high, 255), (low, 0)):
                attacked = image.copy()
                for channel in range(3):
                    by_value = sorted(window, key=lambda place: int(image[(*place, channel)]), reverse=value == 0)
                    for place in by_value[:budget]:
                        attacked[(*place, channel)] = value
                out = sr.reconstruct_resize(attacked, size, scaler=scaler)
                assert np.array_equal(out[i, j], end[i, j].round()), (budget, i, j)  # weights are probed, not 1.0
    assert low.max() < 0.5
    assert high.min() > 254.5


def test_intervals_of_the_random_filter_are_reached():
    """Without a budget the extremes of the candidates, drawn sooner or later; one pixel of any value may be drawn."""
    rng = np.random.default_rng(23)
    image = rng.integers(1, 255, (15, 15, 2), np.uint8)
    options = {"scaler": "opencv:nearest", "method": "random"}
    info = sr.reconstruction_info(image, (5, 5), **options)
    places = np.ix_(info.read_rows, info.read_cols)
    drawn = np.stack([sr.reconstruct(image, (5, 5), key=k.to_bytes(16, "big"), **options)[places] for k in range(300)])
    low, high = info.intervals(0)
    assert np.array_equal(drawn.min(axis=0), low)
    assert np.array_equal(drawn.max(axis=0), high)
    low, high = info.intervals(1)
    assert (low == 0).all()
    assert (high == 255).all()


def test_intervals_of_the_prefilter_are_reached():
    image = np.random.default_rng(14).integers(0, 256, (6, 6, 1), np.uint8)
    info = sr.reconstruction_info(image, (4, 4), scaler="opencv:nearest")
    assert info.fallback.all()
    low, high = info.intervals(1)
    lows, highs = np.full(low.shape, 255.0), np.zeros(high.shape)
    for y, x, value in itertools.product(range(6), range(6), (0, 255)):
        changed = image.copy()
        changed[y, x] = value
        new = sr.reconstruct(changed, (4, 4), scaler="opencv:nearest")[np.ix_(info.read_rows, info.read_cols)]
        lows, highs = np.minimum(lows, new), np.maximum(highs, new)
    assert np.abs(lows - low).max() <= 0.5 + 1e-9  # the mean is rounded
    assert np.abs(highs - high).max() <= 0.5 + 1e-9


def test_info_is_readable():
    image = np.zeros((768, 1024, 3), np.uint8)
    info = sr.reconstruction_info(image, (224, 224), scaler="opencv:linear")
    text = str(info)
    for part in (
        "opencv:linear",
        "768x1024 to 224x224",
        "200704 (25.5 %)",
        "8 to 11 a window",
        "from 4 changed pixels",
    ):
        assert part in text
    assert info.half_window == (1, 2)
    assert not info.fallback.any()
    assert info.exposure is None
    assert (sr.reconstruction_info(image, (224, 224), scaler="opencv:linear", method="random").breakdown == 1).all()
    mixed = sr.reconstruction_info(image, (224, 224), scaler="opencv:cubic")
    assert mixed.fallback.any()
    assert "become the mean of their footprints" in mixed.why
    assert "with prefilter" in str(mixed)


# Bad arguments.


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"scaler": "opencv:liner"}, ValueError, "unknown scaler 'opencv:liner'; valid scalers"),
        ({"scaler": 3}, TypeError, "name, a Scaler or a ScalingOperator, got int"),
        ({"method": "mean"}, ValueError, "valid methods: median, random"),
        ({"bandwidth": 0}, ValueError, "from 1 to 64, got 0"),
        ({"bandwidth": float("nan")}, ValueError, "bandwidth"),
        ({"bandwidth": True}, ValueError, "bandwidth"),
        ({"key": "secret"}, TypeError, "bytes or None, got str"),
        ({"key": b"short"}, ValueError, "at least 16 bytes, got 5"),
        ({"scaler": sr.scaling_operator((9, 9), (3, 3))}, ValueError, r"\(9, 9\) to \(3, 3\)"),
    ],
)
def test_bad_arguments(options, error, message):
    with pytest.raises(error, match=message):
        sr.reconstruct(np.zeros((8, 8), np.uint8), (2, 2), **({"scaler": "opencv:linear"} | options))


def test_more_bad_arguments():
    image = np.zeros((8, 8), np.uint8)
    with pytest.raises(TypeError, match="can be called; got ScalingOperator"):
        sr.reconstruct_resize(image, (2, 2), scaler=sr.scaling_operator((8, 8), (2, 2)))
    with pytest.raises(ValueError, match="one image"):
        sr.reconstruction_info(image[None, ..., None], (2, 2), scaler="opencv:linear")
    with pytest.raises(TypeError, match="size must be a pair"):
        sr.reconstruct(image, 2, scaler="opencv:linear")
    with pytest.raises(ValueError, match="budget must be a whole number"):
        sr.reconstruction_info(image, (2, 2), scaler="opencv:linear").intervals(-1)
    info = sr.reconstruction_info(image, (2, 2), scaler="opencv:linear")
    assert all(map(np.array_equal, info.intervals(10**30), info.intervals(64)))  # all of them
    with pytest.raises(ValueError, match="unchanged"):
        sr.reconstruction_info(image, (2, 2), scaler="opencv:area").intervals(1)


def test_a_given_operator_is_what_is_read():
    """The same as by name, of a probed or hand-made operator."""
    image = np.random.default_rng(19).integers(0, 256, (64, 80, 3), np.uint8)
    axes = [sampled_axis(SCALERS["opencv:linear"].sampling, *pair) for pair in ((64, 8), (80, 20))]
    given = sr.reconstruct(image, (8, 20), scaler=sr.ScalingOperator(axes[0].operator, axes[1].operator))
    assert np.array_equal(given, sr.reconstruct(image, (8, 20), scaler="opencv:linear"))


def test_import_needs_no_framework_for_closed_forms():
    code = (
        "import sys, numpy as np, secure_resize as sr;"
        "sr.reconstruct(np.zeros((64, 64, 3), np.uint8), (16, 16), scaler='torch:bilinear', method='random');"
        "print('torch' in sys.modules)"
    )
    pytest.importorskip("torch")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_scaler_that_no_operator_describes_is_taken_to_read_everything(monkeypatch):
    """The prefilter stands in everywhere, and nothing is refused but what has no operator at all."""
    image, scaler = np.random.default_rng(20).integers(0, 256, (90, 40, 3), np.uint8), SCALERS["opencv:lanczos4"]
    operator = module.probe(scaler, (90, 40), (9, 8))
    for evidence in ({"operator": operator}, {"deterministic": False}):

        def fail(*arguments, evidence=evidence, **options):
            raise module.ProbeError("it does not predict it", **evidence)

        monkeypatch.setattr(module, "probe", fail)
        module._cached_plan.cache_clear()
        if "operator" not in evidence:
            with pytest.raises(module.ProbeError, match="does not predict"):
                sr.reconstruct(image, (9, 8), scaler=scaler)
            break
        info = sr.reconstruction_info(image, (9, 8), scaler=scaler)
        assert info.fallback.all()
        assert info.pixels_read == 90 * 40
        assert "no operator describes" in info.why
        whole = sr.reconstruct(image, (9, 8), scaler=scaler)
        assert (whole != image).mean() > 0.9
        assert np.array_equal(sr.reconstruct_resize(image, (9, 8), scaler=scaler), scaler(whole, (9, 8)))
    module._cached_plan.cache_clear()
