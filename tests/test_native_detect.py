"""What the C extension computes for the detectors is what numpy's specification says."""

from __future__ import annotations

import native_fuzz
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from secure_resize.core import dct, reference
from secure_resize.measure.coefficients import TO_RGB

_native = pytest.importorskip("secure_resize.core.native._native", reason="the C extension was not built")
from secure_resize.core import native  # noqa: E402

pytestmark = pytest.mark.once


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_windows_have_the_same_bytes(seed):
    native_fuzz.compare_windows(np.random.default_rng(seed))


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_what_is_cut_off_is_the_same(seed):
    native_fuzz.compare_cut_off(np.random.default_rng(seed))


def grey(value, rows=2, columns=3):
    """A component all of whose samples are ``value``."""
    coefficients = np.zeros((rows, columns, 8, 8), np.int16)
    coefficients[..., 0, 0] = 8 * (value - 128)
    return dct.Component(coefficients, np.ones((8, 8), np.int64))


@pytest.mark.parametrize("core", [reference, native], ids=["reference", "native"])
@pytest.mark.parametrize(("value", "beyond"), [(128, 0), (255, 0), (300, 45), (-20, 20)])
def test_even_pictures_show_the_same_after_cutting_off(core, value, beyond):
    found, planes = core.cut_off([grey(value)], (13, 20), None)
    assert found == pytest.approx(beyond, abs=1e-3)
    assert [plane.shape for plane in planes] == [(6, 10), (3, 5), (1, 2)]
    assert all(np.abs(plane).max() < 1e-6 for plane in planes)


@pytest.mark.parametrize("core", [reference, native], ids=["reference", "native"])
def test_a_chequered_block_shows_its_mean_to_those_that_average_first(core):
    """Samples of 128 ± 200 by turns: their mean is 128 before they are cut off, and 127.5 after."""
    samples = 128.0 + 200 * (1 - 2 * (np.indices((8, 8)).sum(axis=0) % 2)) + 40
    basis = dct.dct_matrix()
    one = grey(128, 1, 1)
    one.coefficients[0, 0] = np.rint(basis @ (samples - 128) @ basis.T)
    found, planes = core.cut_off([one], (8, 8), None)
    assert found == pytest.approx(113, abs=1)  # 168 + 200 - 255
    for plane in planes:
        np.testing.assert_allclose(np.sqrt(plane), 168 - 127.5, atol=1)


@pytest.mark.parametrize("core", [reference, native], ids=["reference", "native"])
def test_colours_are_cut_off_too(core):
    """Nothing of Y, Cb and Cr is beyond, but red is, in every second row."""
    luma, blue, red = grey(250, 1, 1), grey(128, 1, 1), grey(128, 1, 1)
    basis = dct.dct_matrix()
    rows = np.where(np.arange(8) % 2, 60.0, -60.0)[:, None] + np.zeros(8)
    red.coefficients[0, 0] = np.rint(basis @ rows @ basis.T)
    found, planes = core.cut_off([luma, blue, red], (8, 8), TO_RGB)
    assert found == 0
    assert all(plane.max() > 100 for plane in planes)
    assert all(plane.max() < 1e-3 for plane in core.cut_off([luma, blue, red], (8, 8), None)[1])


@pytest.mark.parametrize("sign", [-1, 1])
def test_no_coefficient_is_thought_to_do_less_than_it_does(sign):
    """One alone that takes a sample two levels beyond white or black: no cell is left out for its bound."""
    basis = dct.dct_matrix()
    for u, v in np.ndindex(8, 8):
        one = grey(128, 1, 1)
        most = np.abs(np.outer(basis[u], basis[v])).max()
        one.coefficients[0, 0, u, v] = sign * round(129.5 / most)
        found, planes = native.cut_off([one], (8, 8), None)
        expected, wanted = reference.cut_off([one], (8, 8), None)
        assert expected > 1
        assert found == pytest.approx(expected, abs=1e-3)
        assert all(np.allclose(a, b, atol=1e-3) for a, b in zip(planes, wanted, strict=True))


@pytest.mark.parametrize("colour", [1, 2])
@pytest.mark.parametrize("level", [3, 252])
def test_no_colour_is_thought_to_reach_less_far_than_it_does(colour, level):
    """A colour alone that is a level or two beyond white or black in every second row."""
    basis = dct.dct_matrix()
    components = [grey(level, 1, 1), grey(128, 1, 1), grey(128, 1, 1)]
    rows = np.where(np.arange(8) % 2, 3.0, -3.0)[:, None] + np.zeros(8)
    components[colour].coefficients[0, 0] = np.rint(basis @ rows @ basis.T)
    planes, wanted = (core.cut_off(components, (8, 8), TO_RGB)[1] for core in (native, reference))
    assert wanted[0].max() > 0.05
    assert all(np.allclose(a, b, atol=1e-3) for a, b in zip(planes, wanted, strict=True))


def good():
    plane, lines = np.zeros((6, 7), np.float32), np.zeros((6, 21), np.int16)
    picture = np.zeros((8, 9, 3), np.uint8)
    apart = [np.zeros(shape, np.float32) for shape in ((4, 4), (2, 2), (1, 1))]
    blocks, table = np.zeros((1, 1, 8, 8), np.int16), np.ones((8, 8), np.float32)
    component = (blocks, table, 1, 1, 0, 0)
    return {
        "second_difference": [picture] * 5 + [8, 9, 3, lines, plane],
        "line_energy": [lines, 3, plane],
        "stand_out": [lines, plane, plane + 1, 6, 7, 3, 3, np.zeros((4, 5), np.float32)],
        "worst_window": [plane, 6, 7, 5],
        "cut_off": [(component,), 8, 8, None, np.zeros((8, 8), np.float32), *apart],
    }


BAD = [
    ("second_difference", 2, np.zeros((8, 9, 2), np.uint8)),
    ("second_difference", 5, 7),
    ("second_difference", 5, 2),
    ("second_difference", 6, -9),
    ("second_difference", 7, 5),
    ("second_difference", 8, np.zeros((6, 20), np.int16)),
    ("second_difference", 9, np.zeros((6, 8), np.float32)),
    ("line_energy", 1, 0),
    ("line_energy", 1, 2),
    ("line_energy", 2, np.zeros((6, 8), np.float32)),
    ("stand_out", 0, np.zeros((6, 20), np.int16)),
    ("stand_out", 1, np.zeros((6, 6), np.float32)),
    ("stand_out", 2, np.zeros((6, 6), np.float32)),
    ("stand_out", 3, 1 << 40),
    ("stand_out", 6, 4),
    ("stand_out", 6, 9),
    ("stand_out", 7, np.zeros((5, 5), np.float32)),
    ("worst_window", 1, 5),
    ("worst_window", 2, 0),
    ("worst_window", 3, 0),
    ("cut_off", 0, ()),
    ("cut_off", 0, good()["cut_off"][0] * 5),
    ("cut_off", 0, ((*good()["cut_off"][0][0][:4], 4, 0),)),
    ("cut_off", 0, ((*good()["cut_off"][0][0][:4], 0, -1),)),
    ("cut_off", 0, ((*good()["cut_off"][0][0][:2], 2, 1, 0, 0),)),
    ("cut_off", 0, ((np.zeros((1, 1, 8, 7), np.int16), *good()["cut_off"][0][0][1:]),)),
    ("cut_off", 0, ((good()["cut_off"][0][0][0], np.zeros((8, 7), np.float32), 1, 1, 0, 0),)),
    ("cut_off", 1, 9),
    ("cut_off", 2, 0),
    ("cut_off", 3, np.zeros((3, 3), np.float32)),
    ("cut_off", 4, np.zeros((8, 7), np.float32)),
    ("cut_off", 6, np.zeros((2, 3), np.float32)),
]


@pytest.mark.parametrize(("name", "place", "value"), BAD)
def test_what_does_not_fit_is_refused(name, place, value):
    arguments = good()[name]
    getattr(_native, name)(*arguments)
    arguments[place] = value
    with pytest.raises(ValueError, match="expected"):
        getattr(_native, name)(*arguments)


def test_components_are_tuples():
    arguments = good()["cut_off"]
    arguments[0] = ([*arguments[0][0]],)
    with pytest.raises(TypeError, match="tuple"):
        _native.cut_off(*arguments)


@pytest.mark.skipif(not hasattr(_native, "fail_allocation"), reason="needs a build with -DSECURE_RESIZE_TEST_HOOKS=ON")
@pytest.mark.parametrize("name", ["second_difference", "stand_out", "worst_window", "cut_off"])
def test_every_allocation_may_fail(name):
    arguments, live, failures = good()[name], _native.fail_allocation(-1), 0
    while True:
        _native.fail_allocation(failures)
        try:
            getattr(_native, name)(*arguments)
            break
        except MemoryError:
            failures += 1
        finally:
            _native.fail_allocation(-1)
        assert _native.fail_allocation(-1) == live, "an allocation was not released"
    assert failures == (2 if name == "stand_out" else 1)
    assert _native.fail_allocation(-1) == live
