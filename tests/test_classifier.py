"""The classifier: trained for real, run in numpy, and what it sees before and after a defense."""

import numpy as np
import pytest

from secure_resize import evaluate as ev
from secure_resize.cli import main
from secure_resize.evaluate import classifier, run
from secure_resize.evaluate.pairs import square

pytestmark = pytest.mark.once

torch = pytest.importorskip("torch")
Image = pytest.importorskip("PIL.Image")

# Small: a picture is told by its colours and structure at this size as well.
SETTINGS = {"size": (32, 32), "crops": 24, "epochs": 8}


@pytest.fixture(scope="module")
def folder(photos, tmp_path_factory):
    """Six photographs that are easy to tell apart."""
    out = tmp_path_factory.mktemp("pictures")
    for name in ("astronaut.png", "chelsea.png", "coffee.png", "ihc.png", "retina.jpg", "rocket.jpg"):
        Image.fromarray(photos[name]).save(out / name.replace(".jpg", ".png"))
    return out


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "classifier.npz"
    accuracy = ev.train(folder, path, **SETTINGS)
    return path, accuracy


@pytest.mark.slow
def test_it_learns_what_it_is_said_to(trained):
    path, accuracy = trained
    assert accuracy["chance"] == pytest.approx(1 / 6)
    assert accuracy["whole"] >= 0.8
    assert accuracy["part"] > 2 * accuracy["chance"]  # of what it never saw of them
    network = ev.load_network(path)
    assert network.accuracy == accuracy
    assert network.classes == ("astronaut.png", "chelsea.png", "coffee.png", "ihc.png", "retina.png", "rocket.png")


def test_held_out_parts_are_not_trained_on():
    """Each column of the picture holds its own number."""
    picture = np.repeat(np.arange(200, dtype=np.uint8)[None, :, None], 100, axis=0).repeat(3, axis=2)
    first, last = classifier._divided(picture)
    assert first.max() < last.min() == 140
    assert first.shape == (100, 140, 3)
    upright = classifier._divided(picture.transpose(1, 0, 2))
    assert upright[0].shape == (140, 100, 3)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_network(folder, tmp_path):
    settings = {**SETTINGS, "crops": 2, "epochs": 1}
    before = torch.random.get_rng_state()
    for name, seed in (("first", 0), ("second", 0), ("third", 1)):
        ev.train(folder, tmp_path / f"{name}.npz", seed=seed, **settings)
    first, second, third = (tmp_path / f"{name}.npz" for name in ("first", "second", "third"))
    assert first.read_bytes() == second.read_bytes() != third.read_bytes()
    assert torch.equal(before, torch.random.get_rng_state())


def test_numpy_runs_it_as_torch_does():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = classifier._module(torch, 5)
        for norm in net[1:-3:3]:  # as after training: not the identity
            norm.running_mean.uniform_(-1, 1)
            norm.running_var.uniform_(0.5, 2)
            norm.weight.data.uniform_(0.5, 2)
    network = classifier._exported(net.eval(), tuple("abcde"), {})
    rng = np.random.default_rng(0)
    for shape in ((112, 112), (64, 96), (17, 33), (5, 1)):
        images = rng.integers(0, 256, (2, *shape, 3), np.uint8)
        with torch.no_grad():
            expected = net(torch.from_numpy((images.astype(np.float32) / 64 - 2).transpose(0, 3, 1, 2).copy())).numpy()
        # float32 sums of up to 864 products, in another order
        np.testing.assert_allclose(network.logits(images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_an_attack_changes_what_it_sees_and_a_defense_changes_it_back(trained, folder, tmp_path, monkeypatch):
    pytest.importorskip("cv2")
    path, _ = trained
    (tmp_path / "classifier.npz").write_bytes(path.read_bytes())  # a run finds it and does not train another
    chosen = ev.Options(
        pictures=folder,
        pairs=30,
        size=(32, 32),
        scalers=("opencv:cubic",),
        defenses=("none", "area", "median"),
        classifier=True,
    )
    records = ev.evaluate(chosen, tmp_path, jobs=0)
    assert {record.seen.seen_as for record in records} <= {"target", "source", "other"}
    seen = {result.defense: result for result in ev.summarise(records)}
    assert seen["none"].seen("target").share > 0.7
    assert seen["area"].seen("target").share < 0.3
    assert seen["area"].seen("source").share > 0.4
    assert seen["area"].seen("source", clean=True).share > 0.7
    # Where the attack reached its target, the model sees what it sees in the target itself.
    reached = [r.seen for r in records if r.defense == "none" and r.verdict.psnr_target > 40]
    agree = [seen.seen_as == seen.target_seen_as for seen in reached]
    assert np.mean(agree) > 0.9
    table = ev.FORMATS["table"](list(seen.values()), ev.described(chosen, tmp_path))
    assert "what the classifier sees (clean accuracy: whole" in table


def test_the_command_trains_one(folder, tmp_path, capsys, monkeypatch):
    pytest.importorskip("cv2")
    short = {"crops": 2, "epochs": 1}
    monkeypatch.setattr(run, "train", lambda *args, **settings: classifier.train(*args, **settings, **short))
    arguments = ["evaluate", "--pictures", str(folder), "--pairs", "2", "--size", "24x24", "--scalers", "opencv:linear"]
    arguments += ["--defenses", "none", "--classifier", "--jobs", "0", "--out", str(tmp_path)]
    assert main(arguments) == 0
    assert "sees target" in capsys.readouterr().out
    before = (tmp_path / "classifier.npz").read_bytes()
    assert main(arguments) == 0
    assert (tmp_path / "classifier.npz").read_bytes() == before


def test_one_network_knows_its_pictures_alone(trained, folder):
    network = ev.load_network(trained[0])
    noise = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    assert network.logits(noise).shape == (3, 6)
    with Image.open(folder / "coffee.png") as picture:
        image = square(np.asarray(picture), 32)
    assert network.classes[int(network.logits(image[None]).argmax())] == "coffee.png"
