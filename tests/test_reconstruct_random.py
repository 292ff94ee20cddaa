"""The random filter: uniform draws, one key for each image, secrets that stay secret, and what replays are worth."""

from __future__ import annotations

import math
import os
import pickle
import random
import subprocess
import sys
import time

import numpy as np
import pytest

import secure_resize as sr
from secure_resize.attacks.replay import replay
from secure_resize.core import reference

module = sys.modules["secure_resize.reconstruction.filters"]
keys, plans = (sys.modules[f"secure_resize.reconstruction.{name}"] for name in ("keys", "plan"))
KEY = bytes(range(32))
pytest.importorskip("cv2")


def test_draws_are_uniform():
    """χ² of which candidate is drawn, over windows of equal size in images whose pixels are all different."""
    scipy_stats = pytest.importorskip("scipy.stats")
    height = width = 63
    image = np.arange(height * width, dtype=np.float32).reshape(height, width)  # a pixel's value is its place
    selection = plans.make_plan("opencv:nearest", (63, 63), (9, 9), 2.0, "float32").selection
    counts: dict[int, int] = {}
    for trial in range(400):
        out = sr.reconstruct(image, (9, 9), scaler="opencv:nearest", method="random", key=trial.to_bytes(16, "big"))
        drawn = out[np.ix_(selection.rows, selection.cols)][1:-1, 1:-1]
        dy = drawn // width - selection.rows[1:-1, None]
        dx = drawn % width - selection.cols[None, 1:-1]
        for place in (dy * 100 + dx).astype(int).ravel().tolist():
            counts[place] = counts.get(place, 0) + 1
    assert len(counts) == selection.window - 1 == 48
    p = scipy_stats.chisquare(list(counts.values())).pvalue
    assert p > 1e-4  # fixed keys: this either holds or does not
    counts[0] = 0  # the measure can fail: a candidate that is never drawn
    assert scipy_stats.chisquare(list(counts.values())).pvalue < 1e-9


@pytest.mark.parametrize(("count", "twice"), [(11, True), (48, True), (127, True), (9, False), (225, False)])
def test_pairs_of_draws_are_uniform(count, twice):
    """χ² of two draws together: of neighbours, and of those that share a word, 16 columns apart; and of one alone."""
    scipy_stats = pytest.importorskip("scipy.stats")
    counts = np.full((600, 64), count, np.int32)
    drawn = np.concatenate([reference._draw(np.full(32, k, np.uint8), counts, twice) for k in range(40)])
    assert drawn.min() == 0
    assert drawn.max() == count - 1
    assert scipy_stats.chisquare(np.bincount(drawn.ravel(), minlength=count)).pvalue > 1e-4
    for apart in (1, 16):
        pairs = drawn[:, :-apart] * count + drawn[:, apart:]
        # Each draw in one pair alone: pairs that overlap would not be independent.
        pairs = pairs[:, np.arange(pairs.shape[1]) // apart % 2 == 0]
        assert scipy_stats.chisquare(np.bincount(pairs.ravel(), minlength=count**2)).pvalue > 1e-4, apart
    # The measure can fail: one draw for both.
    assert scipy_stats.chisquare(np.bincount((drawn * count + drawn).ravel(), minlength=count**2)).pvalue < 1e-9


def test_same_key_and_image_same_output_and_one_pixel_changes_every_draw():
    image = np.random.default_rng(15).integers(0, 256, (210, 210), np.uint8).astype(np.float32)
    image += np.arange(image.size, dtype=np.float32).reshape(image.shape) / image.size
    options = {"scaler": "opencv:nearest", "method": "random"}
    first = sr.reconstruct(image, (30, 30), key=KEY, **options)
    assert np.array_equal(sr.reconstruct(image, (30, 30), key=KEY, **options), first)
    read = np.ix_(*[plans.make_plan("opencv:nearest", (210, 210), (30, 30), 2.0, "float32").selection.rows] * 2)
    changed = image.copy()
    changed[0, 3] += 1  # read by nobody
    for other in (
        sr.reconstruct(changed, (30, 30), key=KEY, **options),
        sr.reconstruct(image, (30, 30), key=KEY[::-1], **options),
        sr.reconstruct(image, (30, 30), **options),
    ):
        # One in 48 draws is the same again by chance: 18.75 of 900, standard deviation 4.3.
        assert (other[read] == first[read]).sum() < 18.75 + 5 * 4.3
    assert np.array_equal(sr.reconstruct(image, (30, 30), **options), sr.reconstruct(image, (30, 30), **options))


def test_every_pixel_counts_for_the_key():
    """Also those in the last, partly filled block of the hash, and the dtype and the shape."""
    image = np.zeros((37, 29, 3), np.uint8)
    seen = {keys.image_keys(image[None], KEY).tobytes()}
    for place in range(image.size):
        changed = image.copy()
        changed.ravel()[place] = 1
        seen.add(keys.image_keys(changed[None], KEY).tobytes())
    seen.add(keys.image_keys(image.reshape(1, 29, 37, 3), KEY).tobytes())
    assert len(seen) == image.size + 2


def guesses(number):
    """Keys that somebody may try: constants, sizes as in research code, process ids; then the last seconds, numbers."""
    texts = [b"", b"24x24", b"4x4", str(os.getpid()).encode(), b"secure_resize"]
    keys = [text.ljust(length, b"\0") for text in texts for length in (16, 32)] + [b"\xff" * 32, KEY]
    if number < len(keys):
        return keys[number]
    if number % 2:
        return str(int(time.time()) - number // 2).encode().ljust(16, b"\0")
    return number.to_bytes(32, "little")


def hits_of_replays(keys):
    """How many read pixels became what a replay of each key wants, an image each; by chance in all; its variance."""
    rng, options = np.random.default_rng(16), {"scaler": "opencv:nearest", "method": "random"}
    plan = plans.make_plan("opencv:nearest", (24, 24), (4, 4), 2.0, "uint8")
    rows, cols = plan.selection.rows.tolist(), plan.selection.cols.tolist()
    read, every = np.ix_(rows, cols), (np.ones(4, bool), np.ones(4, bool))
    kept = np.ones((24, 24), bool)
    kept[read] = False
    hits, expected, variance = [], 0.0, 0.0
    for key in keys:
        source = rng.integers(0, 255, (24, 24, 1), np.uint8)
        attacked = replay(source, np.full((4, 4, 1), 255, np.uint8), plan, key, every)[..., 0]
        hits.append(int((sr.reconstruct(attacked, (4, 4), **options)[read] == 255).sum()))
        for y in rows:
            for x in cols:
                here = slice(max(0, y - 3), y + 4), slice(max(0, x - 3), x + 4)
                share = (attacked[here][kept[here]] == 255).mean()
                expected, variance = expected + share, variance + share * (1 - share)
    return hits, expected, variance


@pytest.mark.slow
def test_guessed_keys_are_worth_their_share():
    """Replays of 1000 guesses, each on its own image, get the share of candidates that they changed; known keys all."""
    assert plans.make_plan("opencv:nearest", (24, 24), (4, 4), 2.0, "uint8").selection.half == (3, 3)
    hits, expected, variance = hits_of_replays(map(guesses, range(1000)))
    assert abs(sum(hits) - expected) <= 4 * math.sqrt(variance)
    assert max(hits) < 10  # of 16: nor was any one of them right


@pytest.mark.parametrize("number", range(14))
def test_a_guessable_key_would_be_noticed(number, monkeypatch):
    """The same measures on five images, with a process key that is the guess."""
    key = guesses(number)
    monkeypatch.setattr(module, "process_key", lambda: key)
    hits, expected, variance = hits_of_replays([key] * 5)
    assert sum(hits) > expected + 4 * math.sqrt(variance)
    assert min(hits) >= 10


FORKED = """
import multiprocessing, numpy as np, secure_resize as sr
image = np.random.default_rng(17).integers(0, 256, (40, 40), np.uint8)

def draw(connection):
    connection.send_bytes(sr.reconstruct(image, (4, 4), scaler="opencv:nearest", method="random").tobytes())

if __name__ == "__main__":
    ours = sr.reconstruct(image, (4, 4), scaler="opencv:nearest", method="random").tobytes()
    for method in ("fork", "spawn"):
        context = multiprocessing.get_context(method)
        receive, send = context.Pipe()
        child = context.Process(target=draw, args=(send,))
        child.start()
        print(method, receive.recv_bytes() == ours)
        child.join()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_keeps_the_key_and_a_spawned_one_has_its_own(tmp_path):
    script = tmp_path / "forked.py"
    script.write_text(FORKED)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment)
    assert run.stdout.split() == ["fork", "True", "spawn", "False"], run.stderr


@pytest.mark.parametrize("scaler", ["opencv:nearest", "opencv:lanczos4", "torch:nearest"])
def test_no_global_random_state_is_touched(scaler):
    """Neither by the draws nor by a probe; numpy's, Python's, torch's and OpenCV's."""
    import cv2

    torch = pytest.importorskip("torch")
    image = np.random.default_rng(18).integers(0, 256, (43, 40), np.uint8)
    plans._cached_plan.cache_clear()

    def states():
        numpys = np.random.get_state()  # noqa: NPY002
        return random.getstate(), numpys[1].tobytes(), numpys[2:], torch.get_rng_state().numpy().tobytes()

    def opencvs():  # its state cannot be read, only what it gives after a seed
        return cv2.randu(np.empty(64, np.uint8), 0, 256).tobytes()

    before = states()
    cv2.setRNGSeed(5)
    wanted = opencvs()
    cv2.setRNGSeed(5)
    for key in (KEY, None):
        sr.reconstruct(image, (4, 4), scaler=scaler, method="random", key=key)
        sr.reconstruct_resize(image, (4, 4), scaler=scaler, method="random", key=key)
    assert states() == before
    assert opencvs() == wanted


def test_results_do_not_depend_on_global_random_states():
    image, options = np.random.default_rng(19).integers(0, 256, (40, 40), np.uint8), {"scaler": "opencv:nearest"}
    np.random.seed(1)  # noqa: NPY002
    first = sr.reconstruct(image, (4, 4), method="random", **options)
    np.random.seed(2)  # noqa: NPY002
    assert np.array_equal(sr.reconstruct(image, (4, 4), method="random", **options), first)


def test_no_key_shows():
    """Neither the process's nor an experiment's, in what can be printed or pickled after use; nor in an error."""
    image = np.random.default_rng(18).integers(0, 256, (40, 40, 3), np.uint8)
    sr.reconstruct(image, (4, 4), scaler="opencv:nearest", method="random", key=KEY)
    sr.reconstruct(image, (4, 4), scaler="opencv:nearest", method="random")
    info = sr.reconstruction_info(image, (4, 4), scaler="opencv:nearest", method="random")
    things = [info, info._plan, info._plan.selection, sr.reconstruct]
    for transforms in ("torchvision", "tensorflow"):
        pytest.importorskip(transforms)
        things += list(used_transforms(transforms, image))
    with pytest.raises(TypeError) as wrong_type:
        sr.reconstruct(image, (4, 4), scaler="opencv:nearest", key=bytearray(KEY))
    with pytest.raises(ValueError, match="at least 16 bytes") as too_short:
        sr.reconstruct(image, (4, 4), scaler="opencv:nearest", key=KEY[:15])
    texts = [str(wrong_type.value), str(too_short.value)]
    pickles = [pickle.dumps(thing) for thing in things]
    for key in (keys.process_key(), KEY):
        for secret in (key, *keys.hash_keys(key)[:2]):
            part = bytes(secret[:15])
            for text in (*texts, *map(repr, things), *map(str, things)):
                assert repr(part)[2:-1] not in text
                assert part.hex() not in text
            assert not any(part in pickled for pickled in pickles)


def used_transforms(library, image):
    """Transforms with the random filter that have just been used."""
    if library == "torchvision":
        import torch

        from secure_resize.integrations.torchvision import v2

        tensor = torch.from_numpy(image).movedim(-1, 0)
        used = [v2.Resize((4, 4), defense="random"), v2.Reconstruct((4, 4), method="random")]
        for transform in used:
            transform(tensor)
    else:
        from secure_resize.integrations import tensorflow as srtf

        used = [srtf.Resize((4, 4), defense="random"), srtf.Reconstruct((4, 4), method="random")]
        for transform in used:
            transform(image)
    return used
