"""An attacker who knows the detectors: gradient descent on their scores beside the two goals of an attack.

Used by benchmarks/detection.py. The detectors that decide are written a second time in torch, to be differentiated, and
compared with the package's own on the first picture; what counts in the end is what ``examine`` says.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from detection_pictures import cut
from torch.nn.functional import avg_pool2d, pad

import secure_resize as sr
from secure_resize.detect import DETECTORS, Target, View, examine, shipped
from secure_resize.detect.detectors import LEAST_WHOLE
from secure_resize.detect.phases import EXPONENT, FLOOR, LEAST, UNREAD, WIDE
from secure_resize.measure.sampling import sampled_axis

Picture = npt.NDArray[np.uint8]
SIDE, SMALL, SCALER = 128, 32, "opencv:linear"
WEIGHTS = (0.0, 0.1, 1.0, 10.0, 100.0)
STEPS = 300
# The windows' rows: name, side, and whether they look at energies.
ROWS = (("phase3", 3, False), ("phase5", 5, False), ("phase9", 9, False), ("phase5_energy", 5, True))


class Model:
    """The deployed scaler, shifted and not, and the deciding rows, in torch; images are (C, H, W) in levels."""

    def __init__(self) -> None:
        self.target = Target(SCALER, (SMALL, SMALL))
        view = View(np.zeros((SIDE, SIDE, 3), np.uint8), self.target)
        self.step = view.steps[0]
        sampling = sr.SCALERS[SCALER].sampling
        assert sampling is not None
        axis = sampled_axis(sampling, SIDE, SMALL).operator
        self.matrices = {}
        for shift in range(-2 * self.step, 2 * self.step + 1):
            matrix = np.zeros((SMALL, SIDE))
            taps = (axis.start[:, None] + np.arange(axis.width) + shift).clip(0, SIDE - 1)
            np.add.at(matrix, (np.arange(SMALL)[:, None], taps), axis.weights)
            self.matrices[shift] = torch.tensor(matrix, dtype=torch.float32)
        self.area = torch.tensor(sr.scaling_operator((SIDE, SIDE), (SMALL, SMALL)).rows.dense(), dtype=torch.float32)
        table = shipped()
        names = table.detectors(self.target, (SIDE, SIDE))
        self.limits = {n: table.threshold(n, self.target, (SIDE, SIDE), 0.001 / len(names)) for n in names}

    def at(self, image: Any, rows: int, cols: int) -> Any:
        return self.matrices[rows] @ image @ self.matrices[cols].T

    def residual(self, image: Any, down: int, right: int) -> tuple[Any, Any]:
        """Twice the residual so many steps further on (C, h-2, w-2), and its energy (1, 1, h-2, w-2)."""
        s = self.step

        def at(rows: int, cols: int) -> Any:
            return self.at(image, rows * s, cols * s)[:, 1:-1, 1:-1]

        twice = 2 * at(down, right)
        across = twice - at(down, right - 1) - at(down, right + 1)
        along = twice - at(down - 1, right) - at(down + 1, right)
        energies = [(x**2).sum(0, keepdim=True) for x in (across, along)]
        nearer = energies[0] < energies[1]
        return torch.where(nearer, across, along), torch.where(nearer, *energies)[None]

    def moved(self, image: Any, down: int, right: int) -> Any:
        """The most that 5×5 outputs lie from the mean, read so far down and, with a minus, to the left."""
        padded = torch.cat([image[:, down:], image[:, -1:].expand(-1, down, -1)], 1)
        left = -right
        padded = torch.cat([padded[:, :, :1].expand(-1, -1, left), padded[:, :, : padded.shape[2] - left]], 2)
        change = self.at(image, down, right) - self.area @ padded @ self.area.T
        return (avg_pool2d(change[None], 5, 1)[0] ** 2).sum(0).amax().div(3).add(1e-9).sqrt()

    def scores(self, image: Any) -> dict[str, Any]:
        read = self.residual(image, 0, 0)
        unread = [self.residual(image, *place) for place in UNREAD]
        means = [power.mean() for _, power in (read, *unread)]
        everywhere = sum(power for _, power in unread) / len(unread)

        def around(power: Any, mean: Any) -> Any:
            inside = avg_pool2d(power, WIDE, 1)
            return pad(inside, (WIDE // 2,) * 4, mode="replicate") + 4 * 3 * FLOOR + mean

        def stands_out(one: tuple[Any, Any], near: Any, side: int, energies: bool) -> Any:
            image, power = one
            near = near[0, 0, side // 2 : near.shape[2] - side // 2, side // 2 : near.shape[3] - side // 2]
            if energies:
                return side * avg_pool2d((power + 1e-3).sqrt(), side, 1)[0, 0] ** 2 / near
            mean = (avg_pool2d(image[None], side, 1)[0] ** 2).sum(0)
            return side**2 * mean / (near + torch.relu(avg_pool2d(power, side, 1)[0, 0] - mean))

        near = torch.maximum(around(unread[0][1], means[1]), around(everywhere, everywhere.mean()))
        differs = ((self.at(image, 0, 0) - self.area @ image @ self.area.T) ** 2).sum(0, keepdim=True)
        whole = differs.mean() >= LEAST_WHOLE**2 * 3
        differs = differs[:, 1:-1, 1:-1]
        found = {"phase": means[0] / (means[1] + 4 * 3) * whole}
        for name, side, energies in ROWS:
            change = avg_pool2d(differs[None], side, 1)[0, 0] >= LEAST**2 * 3
            score = (stands_out(read, near, side, energies) * change).amax()
            chances = [
                stands_out(one, around(read[1], torch.minimum(means[0], mean)), side, energies).amax()
                for one, mean in zip(unread, means[1:], strict=True)
            ]
            found[name] = score / torch.stack(chances).amax().clamp(min=1) ** EXPONENT
        found["certificate"] = self.moved(image, 0, 0) / (self.moved(image, self.step, -self.step) + 1)
        return {name: found[name] for name in self.limits}


def descend(model: Model, source: Picture, target: Picture, weight: float) -> Picture:
    """From the strong attack on, down the logarithms of the scores, to four fifths of their thresholds."""
    aim, kept = (torch.tensor(np.moveaxis(x, -1, 0).astype(np.float32)) for x in (target, source))
    start = sr.attacks.craft(source, target, SCALER, epsilon=8.0, iterations=60).image
    image = torch.tensor(np.moveaxis(start, -1, 0).astype(np.float32), requires_grad=True)
    steps = torch.optim.Adam([image], lr=2.0)
    for step in range(STEPS):
        steps.param_groups[0]["lr"] = 2.0 * (1 - step / STEPS) + 0.05
        steps.zero_grad()
        off = ((model.at(image, 0, 0) - aim) ** 2).mean()
        loss = torch.relu(off - 150.0) + 0.1 * ((image - kept) ** 2).mean()  # 150 squared levels are 26.4 dB
        for name, score in model.scores(image).items():
            loss = loss + 100 * weight * torch.relu(torch.log(score / (0.8 * model.limits[name]) + 1e-9))
        loss.backward()
        steps.step()
        with torch.no_grad():
            image.clamp_(0, 255)
    return np.ascontiguousarray(np.moveaxis(np.rint(image.detach().numpy()).astype(np.uint8), 0, -1))


def curves(photos: list[Picture], pairs: int, first: int = 0) -> None:
    torch.set_num_threads(1)
    model = Model()
    _compare(model, cut(photos[0], SIDE, np.random.default_rng(0)))
    print(f"{pairs} pairs, {SIDE} to {SMALL} pixels a side by {SCALER}. Reached: 25 dB to the target; hidden: 15 dB.\n")
    names = ("weight of the scores", "reached", "hidden", "found", "reached, hidden, not found", "dB to the source")
    print(f"| {' | '.join(names)} | dB to the target | levels moved |\n|{'---|' * 8}")
    for weight in WEIGHTS:
        rows = []
        for number in range(pairs):
            rng = np.random.default_rng([80, first + number])
            source = cut(photos[int(rng.integers(len(photos)))], SIDE, rng)
            target = sr.resize(cut(photos[int(rng.integers(len(photos)))], 320, rng), (SMALL, SMALL))
            image = descend(model, source, target, weight)
            shown = sr.get_scaler(SCALER)(image, (SMALL, SMALL))
            moved = model.moved(torch.tensor(np.moveaxis(image, -1, 0).astype(np.float32)), 0, 0)
            found = examine(image, [model.target])[0].suspicious
            rows.append((sr.attacks.psnr(image, source), sr.attacks.psnr(shown, target), found, float(moved)))
        hidden, reached, found, moved = (np.array(x) for x in zip(*rows, strict=True))
        both = (hidden >= 15) & (reached >= 25)
        counts = [(reached >= 25).sum(), (hidden >= 15).sum(), found.sum(), (both & ~found).sum()]
        middles = [f"{np.median(x):.1f}" for x in (hidden, reached, moved)]
        print(f"| {weight:g} | {' | '.join(map(str, counts))} | {' | '.join(middles)} |", flush=True)
    limit = model.limits["certificate"]
    print(
        "\nWhat no descent changes: in a picture that is not found, the mean of any 5×5 outputs lies within "
        f"{limit:.1f} times a + 1 levels of what a person sees, where a is the aliasing where nothing is read."
    )


def _compare(model: Model, picture: Picture) -> None:
    """The rows here are the package's, on a clean picture; the rounding of outputs aside."""
    here = model.scores(torch.tensor(np.moveaxis(picture, -1, 0).astype(np.float32)))
    for name, score in here.items():
        own = DETECTORS[name].measure(View(picture, model.target))
        assert own is not None
        assert math.isclose(float(score), own.score, rel_tol=0.1), (name, float(score), own.score)
