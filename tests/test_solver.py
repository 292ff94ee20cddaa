"""The least change, against an established solver and by its own proof."""

import numpy as np
import osqp
import pytest
import scipy.sparse
from hypothesis import given, settings, strategies as st

import secure_resize as sr
from secure_resize.measure.sampling import sampled_axis
from secure_resize.measure.scalers import SCALERS
from secure_resize.measure.solver import Between, Near, dual_value, least_change, reach

pytestmark = pytest.mark.once


def operators():
    """Kernels that average at every ratio, and sampling filters with and without outputs that share pixels."""
    sizes = st.tuples(st.integers(4, 16), st.integers(4, 16))

    def build(in_size, share, name):
        size = tuple(max(1, round(n * f)) for n, f in zip(in_size, share, strict=True))
        if name in sr.KERNELS:
            return sr.scaling_operator(in_size, size, name)
        axes = [sampled_axis(SCALERS[name].sampling, a, b).operator for a, b in zip(in_size, size, strict=True)]
        return sr.ScalingOperator(*axes)

    names = [*sr.KERNELS, "opencv:nearest", "opencv:linear", "opencv:cubic"]
    return st.builds(build, sizes, st.tuples(st.floats(0.15, 0.6), st.floats(0.15, 0.6)), st.sampled_from(names))


def by_osqp(source, operator, low, high):
    """½‖x - s‖² at the optimum of one channel, or None where there is no such x."""
    matrix = np.kron(operator.rows.dense(), operator.cols.dense())
    both = scipy.sparse.vstack([scipy.sparse.csc_matrix(matrix), scipy.sparse.eye(source.size)], format="csc")
    lower = np.concatenate([low.ravel(), -source.ravel()])
    upper = np.concatenate([high.ravel(), 255 - source.ravel()])
    problem = osqp.OSQP()
    problem.setup(
        scipy.sparse.eye(source.size, format="csc"),
        np.zeros(source.size),
        both,
        lower,
        upper,
        verbose=False,
        eps_abs=1e-6,
        eps_rel=1e-6,
        max_iter=100_000,
        polishing=True,
    )
    result = problem.solve(raise_error=False)
    if "infeasible" in result.info.status:
        return None
    assert result.info.status == "solved"
    return 0.5 * float((result.x**2).sum())


@settings(deadline=None, max_examples=150)
@given(operator=operators(), seed=st.integers(0, 2**32 - 1), epsilon=st.sampled_from([0.0, 1.0, 10.0]))
def test_it_is_the_optimum_of_the_quadratic_program(operator, seed, epsilon):
    random = np.random.default_rng(seed)
    source = random.uniform(0, 255, (*operator.in_size, 1))
    # Something that can be reached, half of it at the box's side, and moved by up to ten levels.
    other = np.clip(random.uniform(-255, 510, source.shape), 0, 255)
    target = np.clip(operator.apply(other) + random.uniform(-epsilon, epsilon), 0, 255)
    goal = reach(operator.apply(source), target, epsilon)
    found = least_change(source, operator, goal, iterations=20_000, tolerance=1e-6)
    expected = by_osqp(source[..., 0], operator, goal.low[..., 0], goal.high[..., 0])
    if expected is None:
        assert not found.feasible
        return
    assert found.feasible
    assert found.image.min() >= 0
    assert found.image.max() <= 255
    # Our bound is proved; OSQP's optimum keeps the intervals to 1e-6 relative, ours to a twentieth of a level.
    assert found.bound <= expected * (1 + 1e-4) + 1e-3
    assert found.change == pytest.approx(expected, rel=2e-2, abs=1.0)
    assert found.gap <= 1e-4 or found.change < 1.0
    recomputed = dual_value(found.dual, operator.adjoint(found.dual), source, goal)
    assert recomputed == pytest.approx(found.bound, rel=1e-6, abs=1e-6)


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), name=st.sampled_from(["opencv:nearest", "opencv:linear", "opencv:cubic"]))
def test_apart_and_together_give_the_same(seed, name):
    """Outputs that share no pixel are solved one by one; as any other linear map, all at once."""
    operator = sr.ScalingOperator(*(sampled_axis(SCALERS[name].sampling, n, 5).operator for n in (29, 40)))
    random = np.random.default_rng(seed)
    source = random.uniform(0, 255, (29, 40, 3))
    goal = reach(operator.apply(source), random.uniform(0, 255, (5, 5, 3)), 1.0)
    apart = least_change(source, operator, goal)
    norm = operator.rows.norm * operator.cols.norm
    together = least_change(source, AnyMap(operator, norm), goal, iterations=5000, tolerance=1e-8)
    assert apart.gap <= 1e-9
    assert np.abs(apart.image - together.image).max() < 0.5
    assert together.change == pytest.approx(apart.change, rel=1e-3)


@settings(deadline=None, max_examples=40)
@given(operator=operators(), seed=st.integers(0, 2**32 - 1), error=st.sampled_from([1.0, 14.3]))
def test_the_least_change_within_a_mean_square(operator, seed, error):
    """By its proof, and against a general solver on the same program."""
    from scipy.optimize import NonlinearConstraint, minimize

    random = np.random.default_rng(seed)
    source = random.uniform(0, 255, (*operator.in_size, 1))
    other = np.clip(random.uniform(-255, 510, source.shape), 0, 255)
    goal = Near(operator.apply(other) - operator.apply(source), error)
    found = least_change(source, operator, goal, iterations=20_000, tolerance=1e-6)
    assert found.feasible
    assert found.gap <= 1e-5
    assert np.sqrt(np.mean((operator.apply(found.image) - operator.apply(other)) ** 2)) <= error + 0.05
    assert dual_value(found.dual, operator.adjoint(found.dual), source, goal) == pytest.approx(found.bound, rel=1e-6)
    matrix, change = np.kron(operator.rows.dense(), operator.cols.dense()), goal.change.ravel()
    if matrix.shape[1] > 80:
        return  # the general solver takes its time
    result = minimize(
        lambda x: 0.5 * x @ x,
        np.zeros(source.size),
        jac=lambda x: x,
        method="SLSQP",
        bounds=[(-s, 255 - s) for s in source.ravel()],
        constraints=NonlinearConstraint(
            lambda x: ((matrix @ x - change) ** 2).mean(),
            -np.inf,
            error**2,
            jac=lambda x: 2 * matrix.T @ (matrix @ x - change) / len(change),
        ),
        options={"maxiter": 1000, "ftol": 1e-9},
    )
    if result.success:
        assert found.bound <= result.fun * (1 + 1e-4) + 1e-2
        assert found.change == pytest.approx(result.fun, rel=2e-2, abs=1.0)


class AnyMap:
    """What the solver may not know to be separable."""

    def __init__(self, operator, norm):
        self.apply, self.adjoint, self.norm = operator.apply, operator.adjoint, norm


def test_what_cannot_be_is_proved():
    """Neighbours that share most of their pixels cannot be black and white."""
    operator = sr.scaling_operator((32, 32), (16, 16), "bilinear")
    source = np.full((32, 32, 1), 128.0)
    target = 255.0 * np.indices((16, 16)).sum(axis=0)[..., None] % 510
    goal = reach(operator.apply(source), target, 1.0)
    found = least_change(source, operator, goal, iterations=5000)
    assert found.infeasible
    assert not found.feasible
    apart = sr.ScalingOperator(*(sr.AxisOperator(8, 4, 2 * np.arange(4), np.full((4, 2), 0.3)) for _ in range(2)))
    source = np.zeros((8, 8, 1))
    goal = reach(apart.apply(source), np.full((4, 4, 1), 200.0), 1.0)  # but 0.36 of 255 is the most there is
    found = least_change(source, apart, goal)
    assert found.infeasible
    assert found.violation == pytest.approx(199 - 0.36 * 255)


def test_nothing_to_do():
    operator = sr.scaling_operator((20, 20), (7, 7), "bicubic")
    source = np.random.default_rng(0).uniform(0, 255, (20, 20, 3))
    goal = reach(operator.apply(source), operator.apply(source), 1.0)
    found = least_change(source, operator, goal)
    assert np.array_equal(found.image, source)
    assert (found.change, found.gap, found.iterations) == (0.0, 0.0, 0)


def test_a_pixel_without_weight_stays():
    """Where an output is out of reach, what counts nothing is left alone."""
    axis = sr.AxisOperator(4, 1, np.zeros(1, int), np.array([[0.5, 0.0, 0.4, 0.0]]))
    source = np.full((4, 4, 1), 100.0)
    goal = reach(sr.ScalingOperator(axis, axis).apply(source), np.full((1, 1, 1), 255.0), 0.0)
    image = least_change(source, sr.ScalingOperator(axis, axis), goal).image
    assert set(image[::2, ::2].ravel()) == {255.0}
    image[::2, ::2] = 100
    assert np.array_equal(image, source)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"iterations": 10**30}, ValueError, "iterations must lie between 1 and 1000000, got 10{30}"),
        ({"iterations": 0}, ValueError, "got 0"),
        ({"iterations": 2.5}, TypeError, r"iterations must be a whole number, got 2.5 \(float\)"),
        ({"iterations": True}, TypeError, "whole number"),
        ({"tolerance": -1.0}, ValueError, "tolerance must be a number >= 0, got -1.0"),
        ({"tolerance": float("nan")}, ValueError, "tolerance"),
    ],
)
def test_bad_arguments(options, error, message):
    operator = sr.scaling_operator((8, 8), (4, 4), "bilinear")
    source = np.zeros((8, 8, 1))
    with pytest.raises(error, match=message):
        least_change(source, operator, reach(operator.apply(source), np.full((4, 4, 1), 200.0), 1.0), **options)


def test_an_operator_of_zeros():
    nothing = sr.AxisOperator(8, 4, np.zeros(4, int), np.zeros((4, 2)))
    operator = sr.ScalingOperator(nothing, sr.axis_operator(8, 4, "bilinear"))
    source = np.zeros((8, 8, 1))
    goal = reach(operator.apply(source), np.full((4, 4, 1), 200.0), 1.0)
    with pytest.raises(ValueError, match="operator is zero: no source pixel moves any output"):
        least_change(source, operator, goal)


@pytest.mark.parametrize("name", ["area", "lanczos"])
def test_outputs_that_nothing_moves_and_pixels_that_move_nothing(name):
    """Rows and columns of zeros, padding and crops: the rest is solved as if they were not there."""
    inner = sr.scaling_operator((20, 20), (5, 5), name)

    def outer(axis):
        start, weights = np.zeros(9, int), np.zeros((9, axis.width))
        start[2:7], weights[2:7] = axis.start + 6, axis.weights
        return sr.AxisOperator(32, 9, start, weights)

    rng = np.random.default_rng(0)
    source, target = rng.uniform(0, 255, (32, 32, 1)), rng.uniform(50, 200, (5, 5, 1))
    alone = least_change(source[6:26, 6:26], inner, reach(inner.apply(source[6:26, 6:26]), target, 1.0))
    operator = sr.ScalingOperator(outer(inner.rows), outer(inner.cols))
    goal = Between(np.full((9, 9, 1), -np.inf), np.full((9, 9, 1), np.inf))
    wanted = reach(inner.apply(source[6:26, 6:26]), target, 1.0)
    goal.low[2:7, 2:7], goal.high[2:7, 2:7] = wanted.low, wanted.high
    found = least_change(source, operator, goal)
    assert found.feasible
    assert found.change == pytest.approx(alone.change, rel=1e-3)
    outside = np.ones((32, 32, 1), bool)
    outside[6:26, 6:26] = False
    assert np.array_equal(found.image[outside], source[outside])
