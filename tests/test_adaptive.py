"""Attacks that know the defense: their parts by definition, and that what should break does break."""

import hashlib
import itertools

import numpy as np
import pytest

import secure_resize as sr
from secure_resize.attacks import ADAPTIVE, craft, craft_adaptive, psnr, register_adaptive
from secure_resize.attacks.adaptive import _move_median, _nearest
from secure_resize.attacks.craft import known_operator
from secure_resize.attacks.defended import Middle, Windows, candidate_means, expected_random
from secure_resize.attacks.payload import local_success, local_trigger
from secure_resize.attacks.replay import collide, grind, known_draws, write_drawn
from secure_resize.measure.quality import psnr_luma
from secure_resize.measure.scalers import SCALERS
from secure_resize.reconstruction.keys import image_keys
from secure_resize.reconstruction.plan import make_plan

pytestmark = pytest.mark.once

pytest.importorskip("cv2")
KEY, OTHER = bytes(range(32)), bytes(range(32, 64))
# Whole and other ratios, one axis only, windows without candidates (linear below 2, cubic).
CASES = [
    ("opencv:linear", (64, 64), (16, 16)),
    ("opencv:nearest", (60, 49), (13, 9)),
    ("opencv:linear", (67, 61), (15, 11)),
    ("opencv:nearest", (64, 20), (16, 20)),
    ("opencv:linear", (30, 90), (30, 18)),
    ("opencv:linear", (64, 48), (40, 11)),
    ("opencv:cubic", (66, 70), (12, 18)),
]


def planned(scaler, in_size, out_size, bandwidth=2.0):
    return make_plan(scaler, in_size, out_size, bandwidth, "uint8"), known_operator(scaler, in_size, out_size)


def everything(plan):
    return np.ones(len(plan.selection.rows), bool), np.ones(len(plan.selection.cols), bool)


def candidates(plan, i, j):
    """Places (y, x) of the candidates of read pixel (i, j), by the definition."""
    chosen, (height, width) = plan.selection, plan.selection.in_size
    read = set(itertools.product(chosen.rows.tolist(), chosen.cols.tolist()))
    y, x = int(chosen.rows[i]), int(chosen.cols[j])
    window = itertools.product(
        range(max(0, y - chosen.half[0]), min(height, y + chosen.half[0] + 1)),
        range(max(0, x - chosen.half[1]), min(width, x + chosen.half[1] + 1)),
    )
    return [place for place in window if place not in read]


# The parts.


@pytest.mark.slow
@pytest.mark.parametrize(("scaler", "in_size", "out_size"), CASES)
def test_windows_are_their_definition(scaler, in_size, out_size):
    plan, _ = planned(scaler, in_size, out_size)
    windows = Windows(plan.selection, everything(plan))
    places = np.arange(in_size[0] * in_size[1]).reshape(in_size)
    padded, seen = np.pad(places, windows.reach, constant_values=-1), []
    assert np.array_equal(windows.inside(padded), places)
    for phase in windows.phases:
        inside, free = windows.read(padded, phase), windows.free(phase)
        for (i, j), window, is_free in zip(itertools.product(*phase), inside, free, strict=True):
            assert [divmod(place, in_size[1]) for place in window[is_free].tolist()] == candidates(plan, i, j)
            seen.append((i, j))
        used = inside[inside >= 0]
        assert len(used) == len(set(used.tolist()))  # no pixel twice
        windows.write(padded, phase, inside)
    assert np.array_equal(windows.inside(padded), places)
    assert sorted(seen) == list(itertools.product(range(len(plan.selection.rows)), range(len(plan.selection.cols))))


def test_medians_move_as_far_as_the_certificate_allows_at_least_cost():
    """Against every way to change b candidates; the least squared change among those that come as near."""
    rng = np.random.default_rng(1)
    for case in range(200):
        count = int(rng.integers(1, 6))
        values, free = rng.integers(0, (256, 12)[case % 2], (1, 9), np.uint8), np.zeros((1, 9), bool)
        free[0, rng.permutation(9)[:count]] = True
        wanted, changed = rng.integers(0, 256, 1), int(rng.integers(0, count + 1))
        moved = _move_median(values, free, wanted, changed / count if changed else 1e-12)
        changed = max(changed, 0)
        assert np.array_equal(moved[~free], values[~free])
        before, after = values[free].astype(int), moved[free].astype(int)
        assert (before != after).sum() <= changed
        middle = (count - 1) // 2
        reached, options = int(np.sort(after)[middle]), []
        levels = sorted({int(wanted[0]), *before.tolist()})
        for places in itertools.combinations(range(count), min(changed, count)):
            for new in itertools.product(levels, repeat=len(places)):
                trial = before.copy()
                trial[list(places)] = new
                options.append(
                    (max(0, abs(int(np.sort(trial)[middle]) - int(wanted[0])) - 3), sum((trial - before) ** 2))
                )
        miss = max(0, abs(reached - int(wanted[0])) - 3)
        assert miss == min(option[0] for option in options)
        if miss:  # within the tolerance, moving less than onto the wanted value would do
            assert sum((after - before) ** 2) == min(cost for error, cost in options if error == miss)


def test_the_nearest_candidates_are_overwritten():
    values = np.array([[10, 20, 30, 40, 50]], np.uint8)
    free = np.array([[True, True, False, True, True]])
    for budget, expected in ((0.5, "00011"), (0.75, "01011"), (1.0, "11011"), (0.01, "00010")):
        taken = _nearest(values, free, np.array([38]), budget)
        assert "".join(str(int(one)) for one in taken[0]) == expected


@pytest.mark.parametrize(("scaler", "in_size", "out_size"), CASES)
def test_the_expectation_is_exact_and_its_adjoint_is_one(scaler, in_size, out_size):
    """⟨M x, y⟩ = ⟨x, Mᵀ y⟩; rows sum to 1; each read pixel the mean of its candidates; the norm is a bound."""
    plan, operator = planned(scaler, in_size, out_size)
    mean, rng = candidate_means(plan, operator), np.random.default_rng(2)
    x, y = rng.uniform(0, 255, (*in_size, 2)), rng.normal(size=(*out_size, 2))
    assert (mean.apply(x) * y).sum() == pytest.approx((x * mean.adjoint(y)).sum(), rel=1e-9)
    values = mean.fill.apply(x)
    for i, j in itertools.product(range(0, values.shape[0], 3), range(0, values.shape[1], 2)):
        places = candidates(plan, i, j)
        if places:
            assert np.allclose(values[i, j], np.mean([x[place] for place in places], axis=0))
    assert np.allclose(mean.fill.apply(np.ones((*in_size, 1))), 1)
    vector = rng.normal(size=(*in_size, 1))
    for _ in range(100):
        vector = mean.adjoint(mean.apply(vector))
        vector /= np.linalg.norm(vector)
    top = np.linalg.norm(mean.apply(vector))
    assert top <= mean.norm * (1 + 1e-12)
    assert mean.norm <= 2.5 * top  # and close enough to be of use


@pytest.mark.parametrize(("scaler", "in_size", "out_size"), CASES)
def test_the_expected_error_is_what_keys_give_and_its_derivative_one(scaler, in_size, out_size):
    plan, operator = planned(scaler, in_size, out_size)
    model, rng = expected_random(plan, operator), np.random.default_rng(3)
    image, target = rng.integers(0, 256, (*in_size, 1), np.uint8), rng.uniform(100, 150, (*out_size, 1))
    levels = image.astype(float)
    error, half = model.error(levels, target), model.slope_at(levels, target)
    step = rng.normal(size=levels.shape)
    up, down = (model.error(levels + sign * step, target) for sign in (1, -1))
    assert up - down == pytest.approx(4 * (half * step).sum(), rel=1e-6)  # exact, of a quadratic
    trials = []
    for number in range(200):
        options = {"scaler": scaler, "method": "random", "key": number.to_bytes(16, "big")}
        filled = sr.reconstruct(image, out_size, **options).astype(float)
        trials.append(((operator.apply(filled) - target) ** 2).sum())
    if plan.fallback[0].size:  # the prefilter's means are rounded to whole levels
        assert np.mean(trials) == pytest.approx(error, rel=0.01)
    else:
        assert abs(np.mean(trials) - error) <= 4 * np.std(trials) / np.sqrt(len(trials))


@pytest.mark.parametrize(("scaler", "in_size", "out_size"), CASES)
def test_the_median_model_is_the_defense(scaler, in_size, out_size):
    """Its output, before the scaler's rounding, is the real one; its weights are a mean's."""
    plan, operator = planned(scaler, in_size, out_size)
    model = Middle(plan, Windows(plan.selection, everything(plan)), candidate_means(plan, operator))
    image = np.random.default_rng(4).integers(0, 256, (*in_size, 2), np.uint8)
    real = np.stack([sr.reconstruct_resize(image[..., k], out_size, scaler=scaler) for k in range(2)], axis=-1)
    assert np.abs(np.clip(model.output(image.astype(float)), 0, 255) - real).max() <= 1.2  # two roundings
    for share in itertools.chain(*model._medians(image.astype(float))[1]):
        sums = share.sum(axis=1)
        assert ((np.abs(sums - 1) < 1e-5) | (sums == 0)).all()


# The attacks.


@pytest.fixture(scope="module")
def pair(photos):
    """A source and a target whose outputs lie far apart, and small."""
    return sr.resize(photos["astronaut.png"], (96, 96)), sr.resize(photos["chelsea.png"], (24, 24))


FULL = {"median": 0.6, "random": 1.0, "surrogate_median": 1.0, "expectation_random": 1.0, "replay": 1.0}


def test_every_attack_is_tested():
    assert set(FULL) == set(ADAPTIVE)


@pytest.mark.slow
@pytest.mark.parametrize("method", FULL)
@pytest.mark.parametrize("scaler", ["opencv:linear", "opencv:nearest", "torch:bilinear", "pillow:nearest"])
def test_the_target_is_reached_through_the_real_pipeline(pair, scaler, method):
    """With a budget that suffices, O1 is met, with every key; and what is reported is what the pipeline does."""
    pytest.importorskip(SCALERS[scaler].module)
    source, target = pair
    before = source.copy()
    keys = [KEY] if method == "replay" else [KEY, OTHER]
    found = craft_adaptive(source, target, scaler, method=method, budget=FULL[method], key=keys, guess=KEY)
    assert found.reached_rate == 1
    assert found.feasible
    defense = ADAPTIVE[method].knows
    for key, trial in zip(keys, found.trials, strict=False):
        output = sr.reconstruct_resize(found.image, (24, 24), scaler=scaler, method=defense, key=key)
        assert max(psnr(output, target), psnr_luma(output, target)) == trial
    assert found.psnr_source == psnr(found.image, source)
    assert found.psnr_target == psnr(found.scaled, target)
    assert found.psnr_target_luma == psnr_luma(found.scaled, target)
    assert (found.method, found.budget) == (method, FULL[method])
    assert np.array_equal(source, before)


@pytest.mark.parametrize("method", ["median", "random", "surrogate_median", "expectation_random"])
@pytest.mark.parametrize(
    ("scaler", "in_size", "out_size"),
    [
        ("opencv:nearest", (96, 20), (24, 20)),
        ("opencv:linear", (30, 96), (30, 16)),
        ("opencv:linear", (103, 97), (23, 17)),
        ("opencv:nearest", (71, 150), (19, 17)),
    ],
)
def test_one_axis_and_other_ratios(photos, scaler, in_size, out_size, method):
    """Grey images. The target is smooth: windows of neighbouring outputs share candidates, which cannot be both's."""
    source = sr.resize(photos["camera.png"], in_size)
    target = sr.resize(sr.resize(photos["coins.png"], (3, 3)), out_size, kernel="bicubic")
    found = craft_adaptive(source, target, scaler, method=method, budget=FULL[method], key=KEY)
    assert found.image.shape == in_size
    assert found.reached, found.psnr_target


@pytest.mark.slow
@pytest.mark.parametrize("scaler", ["opencv:linear", "opencv:nearest"])
@pytest.mark.parametrize("method", ["median", "random", "surrogate_median", "expectation_random"])
def test_success_rises_with_the_budget(pair, scaler, method):
    """Nearer the target, further from the source, until O1 is met; a rising list finds the first that does."""
    source, target = pair
    budgets = [0.25, 0.5, 0.75, 1.0]
    found = [
        craft_adaptive(source, target, scaler, method=method, budget=budget, key=KEY, iterations=24)
        for budget in budgets
    ]
    reached = [one.psnr_target for one in found]
    # Beyond what suffices for the medians nothing changes.
    assert all(later >= earlier - 0.05 for earlier, later in itertools.pairwise(reached))
    assert all(later.psnr_source <= earlier.psnr_source + 0.05 for earlier, later in itertools.pairwise(found))
    assert reached[0] < 25 <= reached[-1]
    first = next(one for one in found if one.reached)
    listed = craft_adaptive(source, target, scaler, method=method, budget=budgets, key=KEY, iterations=24)
    assert listed.reached
    assert listed.budget == (first.budget if first.success else listed.budget)
    assert np.array_equal(listed.image, next(one for one in found if one.budget == listed.budget).image)


@pytest.mark.slow
@pytest.mark.parametrize("scaler", ["opencv:linear", "opencv:nearest"])
@pytest.mark.parametrize("method", ["surrogate_median", "expectation_random"])
def test_doubling_the_iterations_changes_little(pair, scaler, method):
    some = craft_adaptive(*pair, scaler, method=method, key=KEY)
    more = craft_adaptive(*pair, scaler, method=method, key=KEY, iterations=2 * some.iterations)
    assert abs(some.psnr_source - more.psnr_source) <= 0.2  # the images are small, and whole levels
    assert some.reached
    assert more.reached


def test_robust_scalers_and_easy_pairs(pair):
    """Nothing to reconstruct: the strong attack. Nothing to do: the source."""
    source, target = pair
    found = craft_adaptive(source, target, "opencv:area", method="median")
    assert np.array_equal(found.image, craft(source, target, "opencv:area").image)
    clean = sr.reconstruct_resize(source, (24, 24), scaler="opencv:nearest")
    for method in ("median", "surrogate_median"):
        assert np.array_equal(craft_adaptive(source, clean, "opencv:nearest", method=method).image, source)


@pytest.mark.slow
def test_windows_without_candidates(pair):
    """The prefilter's means have to be moved as a whole: the descents know how, the others leave them alone."""
    source, target = pair
    descent = craft_adaptive(source, target, "opencv:cubic", method="surrogate_median")
    assert descent.reached
    assert not descent.hidden
    assert np.array_equal(craft_adaptive(source, target, "opencv:cubic", method="median").image, source)


def test_a_block_leaves_the_rest_alone(pair):
    source = pair[0]
    clean = sr.reconstruct_resize(source, (24, 24), scaler="opencv:linear")
    wanted, block = local_trigger(clean, place=(9, 9), levels=90)
    for method in ("median", "surrogate_median"):
        found = craft_adaptive(source, wanted, "opencv:linear", method=method, budget=1.0, block=block)
        assert found.reached
        changed = np.argwhere((found.image != source).any(axis=-1))
        assert changed.min() >= 9 * 4 - 2
        assert changed.max() < 14 * 4 + 2


# Replays. A broken defense is broken; ours, by who has its key.


def broken(image, size, scaler):
    """A random filter seeded with the image's size, as in research code: its draws can be replayed."""
    plan = make_plan(scaler, image.shape[:2], size, 2.0, "uint8")
    drawn, chosen = draws_of_size(image, size, scaler), plan.selection
    out = image.copy()
    out[np.ix_(chosen.rows, chosen.cols)] = image.reshape(-1, image.shape[2])[drawn]
    return SCALERS[scaler](out, size)


def draws_of_size(image, size, scaler):
    """The places (rows, columns) that it draws: they depend on the sizes alone."""
    height, width = image.shape[:2]
    plan = make_plan(scaler, (height, width), size, 2.0, "uint8")
    seed = hashlib.sha256(f"{height}x{width}".encode()).digest()
    return known_draws(np.zeros((height, width, 1), np.uint8), plan, seed)


@pytest.mark.parametrize("scaler", ["opencv:linear", "opencv:nearest"])
def test_draws_that_depend_on_the_size_are_replayed(pair, scaler):
    source, target = sr.resize(pair[0], (192, 192)), sr.resize(pair[1], (48, 48))
    drawn = draws_of_size(source, (48, 48), scaler)
    plan = make_plan(scaler, (192, 192), (48, 48), 2.0, "uint8")
    wanted = craft(source, target, scaler).image[np.ix_(plan.selection.rows, plan.selection.cols)]
    image = write_drawn(source, wanted, drawn)
    assert psnr(broken(image, (48, 48), scaler), target) >= 25
    assert psnr(image, source) >= 15
    # Ours does not show it.
    ours = sr.reconstruct_resize(image, (48, 48), scaler=scaler, method="random")
    assert psnr(ours, target) < 15


@pytest.mark.parametrize("scaler", ["opencv:linear", "opencv:nearest", "torch:bilinear"])
def test_a_known_key_breaks_the_random_filter(photos, scaler):
    """Both goals, for the key that was guessed; for others no more than the share of pixels that changed."""
    pytest.importorskip(SCALERS[scaler].module)
    source, target = sr.resize(photos["astronaut.png"], (224, 224)), sr.resize(photos["chelsea.png"], (56, 56))
    keys = [KEY, OTHER, None]
    found = craft_adaptive(source, target, scaler, method="replay", guess=KEY, key=keys)
    assert found.trials[0] >= 30
    assert found.hidden
    assert max(found.trials[1:]) < 15
    assert found.success_rate == 1 / 3
    assert np.array_equal(image_keys(found.image[None], KEY), image_keys(source[None], KEY))
    assert not np.array_equal(image_keys(found.image[None], OTHER), image_keys(source[None], OTHER))


def test_replays_without_the_key_give_the_share_of_changed_candidates():
    """How often a read pixel becomes what is wanted, over keys: binomial around that share."""
    rng = np.random.default_rng(5)
    source = rng.integers(0, 200, (84, 84, 1), np.uint8)
    plan = make_plan("opencv:nearest", (84, 84), (12, 12), 2.0, "uint8")
    target = np.full((12, 12, 1), 255, np.uint8)
    image = craft_adaptive(source, target, "opencv:nearest", method="replay", guess=KEY, epsilon=0.0).image
    share = [
        [np.mean([image[place][0] == 255 for place in candidates(plan, i, j)]) for j in range(12)] for i in range(12)
    ]
    hits = 0
    for number in range(100):
        options = {"scaler": "opencv:nearest", "method": "random", "key": number.to_bytes(16, "little")}
        hits += int((sr.reconstruct_resize(image, (12, 12), **options) == 255).sum())
    expected, variance = 100 * np.sum(share), 100 * np.sum(np.multiply(share, 1 - np.array(share)))
    assert abs(hits - expected) <= 4 * np.sqrt(variance)
    known = sr.reconstruct_resize(image, (12, 12), scaler="opencv:nearest", method="random", key=KEY)
    assert (known == 255).mean() >= 0.95


@pytest.mark.parametrize("shape", [(40, 64, 3), (61, 47, 3), (33, 50), (5, 5, 3)])
def test_collisions(shape):
    """The same fingerprint and so the same draws, and no byte of what is kept has changed; also in the last block."""
    rng = np.random.default_rng(6)
    like = rng.integers(0, 256, shape, np.uint8)
    image, keep = like.copy(), rng.random(shape) < 0.1
    image[keep] = rng.integers(0, 256, int(keep.sum()))
    found = collide(image, like, KEY, keep)
    assert np.array_equal(image_keys(found[None], KEY), image_keys(like[None], KEY))
    if image.size > 1024:
        changed = (found != like).ravel()
        blocks = [slice(first, first + 1024) for first in range(0, image.size, 1024)]
        for block in blocks:
            assert not changed[block].any() or np.array_equal(
                found.ravel()[block][keep.ravel()[block]], image.ravel()[block][keep.ravel()[block]]
            )
        assert sum(changed[block].any() for block in blocks) >= len(blocks) - 1
        assert ((found != image) & ~keep).sum() <= 16 * len(blocks)
    assert not np.array_equal(image_keys(found[None], OTHER), image_keys(like[None], OTHER)) or np.array_equal(
        found, like
    )


def test_grinding_a_known_key(photos):
    """A local trigger that half the keys' draws would not show: found for the known key, not more often for others."""
    source = sr.resize(photos["astronaut.png"], (128, 128))
    size, scaler, block = (32, 32), "opencv:nearest", (13, 13, 5, 5)
    options = {"scaler": scaler, "method": "random"}
    clean = sr.reconstruct_resize(source, size, scaler=scaler)
    wanted, _ = local_trigger(clean, place=block[:2], levels=110)
    image = craft_adaptive(source, wanted, scaler, method="random", budget=0.4, block=block, key=KEY).image
    here = np.s_[13:18, 13:18]

    def moved(variant, key=KEY):
        output = sr.reconstruct_resize(variant, size, key=key, **options)
        return float(np.abs((output[here].astype(float) - clean[here]).mean(axis=(0, 1))).mean())

    others = np.array([moved(image, number.to_bytes(16, "big")) for number in range(200)])
    places = np.zeros(8, int), np.arange(3, 35, 4)
    best, score = grind(image, moved, tries=256, places=places)
    assert psnr(best, image) > 50
    assert score > others.mean() + 2 * others.std()
    again = np.array([moved(best, number.to_bytes(16, "big")) for number in range(200)])
    assert abs(again.mean() - others.mean()) <= 5 * others.std() / np.sqrt(100)


def test_the_known_key_shows_a_local_trigger_and_no_other_does(photos):
    source = sr.resize(photos["astronaut.png"], (256, 256))
    keys = [number.to_bytes(16, "big") for number in range(20)]
    shown = {True: 0, False: 0}
    for number, guessed in enumerate(keys):
        size, options = (64, 64), {"scaler": "opencv:nearest", "method": "random"}
        clean = sr.reconstruct_resize(source, size, scaler="opencv:nearest")
        target, block = local_trigger(clean, seed=number, levels=100)
        for key in (guessed, keys[number - 1]):
            found = craft_adaptive(
                source, target, "opencv:nearest", method="replay", guess=guessed, key=key, block=block
            )
            # Of the output, only the block: elsewhere another draw shows other pixels of the source.
            output = sr.reconstruct_resize(source, size, key=key, **options)
            here, after = np.s_[block[0] : block[0] + 5, block[1] : block[1] + 5], output.copy()
            after[here] = found.scaled[here]
            shown[key == guessed] += local_success(found.image, source, after, output).success
    assert shown[True] >= 18
    assert shown[False] <= 2


# Arguments.


def test_the_registry_refuses_duplicates():
    with pytest.raises(ValueError, match="'median' is already registered; registered adaptive attacks: median, random"):
        register_adaptive("median", knows="median")(lambda case, budget: case.source)


RGB = np.zeros((64, 64, 3), np.uint8)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"method": "mean"}, ValueError, "unknown adaptive attack 'mean'; valid adaptive attacks: median, random"),
        ({"budget": 0}, ValueError, "above 0 and up to 1.* got 0"),
        ({"budget": 10**30}, ValueError, "above 0 and up to 1.* got 1000"),
        ({"budget": "0.5"}, TypeError, "budget must be a number above 0.* got '0.5'"),
        ({"budget": True}, TypeError, "got True"),
        ({"epsilon": "1"}, TypeError, "epsilon must be a number"),
        ({"iterations": 1.5}, TypeError, "iterations must be a whole number"),
        ({"budget": [0.5, 0.4]}, ValueError, "must rise"),
        ({"budget": []}, ValueError, "or a list"),
        ({"epsilon": -1}, ValueError, "epsilon"),
        ({"iterations": 0}, ValueError, "iterations must be a whole number"),
        ({"block": (14, 0, 5, 5)}, ValueError, r"must lie inside \(16, 16\)"),
        ({"bandwidth": 0.5}, ValueError, "bandwidth"),
        ({"method": "random", "key": b"short"}, ValueError, "at least 16 bytes"),
        ({"method": "replay"}, ValueError, "needs a guess"),
        ({"scaler": "opencv:bilinear"}, ValueError, "unknown scaler"),
        ({"scaler": 3}, TypeError, "got int"),
        ({"source": RGB.astype(float)}, TypeError, "source must be a uint8 array"),
        ({"target": RGB[:16, :16, 0]}, ValueError, "same channels"),
    ],
)
def test_bad_arguments(options, error, message):
    given = {"source": RGB, "target": RGB[:16, :16], "scaler": "opencv:linear", "method": "median"} | options
    with pytest.raises(error, match=message):
        craft_adaptive(**given)


def test_bad_grinds():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        grind(RGB, np.mean, tries=0, places=(np.zeros(3, int), np.arange(3)))
    with pytest.raises(ValueError, match="3 places give no 9 variants"):
        grind(RGB, np.mean, tries=9, places=(np.zeros(3, int), np.arange(3)))
