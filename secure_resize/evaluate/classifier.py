"""A small convolutional network that tells photographs apart: what a model behind the scaler sees.

Its classes are the pictures themselves: which of them was this cut from? It is trained from nothing, on parts of the
pictures, in a minute or two on two cores (torch), and tested on pictures of another scale and on parts that it was
never shown. It tells these pictures apart and no others: it shows what a model answers to an attack image.

Trained networks run in numpy: a process that holds TensorFlow need not load torch as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.kernels import KERNELS
from ..measure.scalers import load
from ..scaling import resize, resize_unchecked
from .pairs import brought_to, load_picture, picture_names

__all__ = ["Network", "load_network", "train"]

Array = npt.NDArray[Any]
Image = npt.NDArray[np.uint8]

# Of each convolution: channels out, side of the kernel, stride.
LAYERS = ((32, 7, 4), (64, 3, 2), (96, 3, 2), (128, 3, 2))
# The last part of each picture's longer side is kept from training.
HELD_OUT = 0.3
# Crops for training, as shares of the shorter side; the whole of it is another scale.
CROP_SIDES = (0.4, 0.8)
THREADS = 2  # fixed: float sums depend on how they are divided among threads


@dataclass(frozen=True, eq=False)
class Network:
    """Convolutions with ReLU (``LAYERS``), the mean over all places, and one linear layer.

    ``weights`` are float32 (side, side, C_in, C_out) for each convolution and (C, classes) at last, ``biases`` (C_out,)
    of each. ``accuracy`` on pictures it was not trained on: ``"whole"`` (the largest square, another scale) and
    ``"part"`` (cut from where it never saw the picture); ``"chance"`` is 1 / classes.
    """

    classes: tuple[str, ...]
    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    accuracy: dict[str, float]

    def logits(self, images: Image) -> npt.NDArray[np.float32]:
        """(N, classes) for uint8 images (N, h, w, 3) of any size."""
        x = _scaled(images)
        for weight, bias, (_, side, stride) in zip(self.weights[:-1], self.biases[:-1], LAYERS, strict=True):
            border = (side // 2, side // 2)
            padded = np.pad(x, ((0, 0), border, border, (0, 0)))
            windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(1, 2))
            windows = windows[:, ::stride, ::stride]
            # (N, h, w, C, side, side) against (side, side, C, C_out)
            x = np.maximum(np.tensordot(windows, weight, axes=((4, 5, 3), (0, 1, 2))) + bias, 0)
        out: npt.NDArray[np.float32] = x.mean(axis=(1, 2)) @ self.weights[-1] + self.biases[-1]
        return out


def _scaled(images: Image) -> npt.NDArray[np.float32]:
    return images.astype(np.float32) / np.float32(64) - np.float32(2)


def load_network(path: Path) -> Network:
    """The network that :func:`train` wrote to ``path``."""
    with np.load(path) as data:
        layers = len([name for name in data.files if name.startswith("weight")])
        return Network(
            tuple(str(name) for name in data["classes"]),
            tuple(data[f"weight{k}"] for k in range(layers)),
            tuple(data[f"bias{k}"] for k in range(layers)),
            {name[9:]: float(data[name]) for name in data.files if name.startswith("accuracy_")},
        )


def train(
    pictures: Path | None,
    path: Path,
    *,
    size: tuple[int, int],
    seed: int = 0,
    crops: int = 32,
    epochs: int = 12,
) -> dict[str, float]:
    """Train a network on ``pictures`` (a folder, or None for scikit-image's), write it to ``path``; its accuracy.

    ``size`` is the (height, width) that it is trained at. ``crops`` of each picture are drawn anew for each of the
    ``epochs``. The same arguments give the same network on the same machine. ImportError without torch.
    """
    torch = load("torch")
    names = picture_names(pictures)
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        network = _fitted(torch, [load_picture(pictures, name) for name in names], names, size, seed, crops, epochs)
    finally:
        torch.set_num_threads(before)
    arrays: dict[str, Any] = {f"weight{k}": weight for k, weight in enumerate(network.weights)}
    arrays |= {f"bias{k}": bias for k, bias in enumerate(network.biases)}
    arrays |= {f"accuracy_{name}": np.float64(value) for name, value in network.accuracy.items()}
    temporary = path.with_suffix(".new.npz")
    np.savez(temporary, classes=np.array(network.classes), **arrays)
    temporary.replace(path)
    return network.accuracy


def _fitted(
    torch: Any,
    pictures: list[Image],
    names: list[str],
    size: tuple[int, int],
    seed: int,
    crops: int,
    epochs: int,
) -> Network:
    rng = np.random.default_rng([seed, 2])
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = _module(torch, len(names))
    steps = epochs * -(-len(names) * crops // 64)
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    labels = np.repeat(np.arange(len(names)), crops)
    for _ in range(epochs):
        images = np.stack([_training_crop(pictures[label], size, rng) for label in labels])
        order = rng.permutation(len(labels))
        for first in range(0, len(order), 64):
            batch = order[first : first + 64]
            loss = torch.nn.functional.cross_entropy(
                net(torch.from_numpy(_scaled(images[batch]).transpose(0, 3, 1, 2).copy())),
                torch.from_numpy(labels[batch]),
                label_smoothing=0.05,
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    network = _exported(net.eval(), tuple(names), {})
    tests = {
        "whole": [brought_to(picture, size, place) for picture in pictures for place in (0.0, 0.5, 1.0)],
        "part": [_held_out_crop(picture, size, rng) for picture in pictures for _ in range(3)],
    }
    answer = np.repeat(np.arange(len(names)), 3)
    accuracy = {
        name: float((network.logits(np.stack(images)).argmax(axis=1) == answer).mean())
        for name, images in tests.items()
    }
    return Network(network.classes, network.weights, network.biases, {**accuracy, "chance": 1 / len(names)})


def _module(torch: Any, classes: int) -> Any:
    nn = torch.nn
    layers: list[Any] = []
    channels = 3
    for after, side, stride in LAYERS:
        layers += [nn.Conv2d(channels, after, side, stride, side // 2, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        channels = after
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def _exported(net: Any, classes: tuple[str, ...], accuracy: dict[str, float]) -> Network:
    """Weights and biases as numpy arrays, the normalisation of each batch folded in."""
    modules = list(net)
    weights, biases = [], []
    for convolution, norm in zip(modules[0:-3:3], modules[1:-3:3], strict=True):
        gain = norm.weight / (norm.running_var + norm.eps).sqrt()
        weight = convolution.weight * gain[:, None, None, None]  # (C_out, C_in, side, side)
        weights.append(np.ascontiguousarray(weight.detach().numpy().transpose(2, 3, 1, 0)))
        biases.append((norm.bias - norm.running_mean * gain).detach().numpy().copy())
    weights.append(modules[-1].weight.detach().numpy().T.copy())
    biases.append(modules[-1].bias.detach().numpy().copy())
    return Network(classes, tuple(weights), tuple(biases), accuracy)


def _divided(picture: Image) -> tuple[Image, Image]:
    """The part for training, and the part that is held out."""
    axis = int(picture.shape[1] >= picture.shape[0])
    cut = round(picture.shape[axis] * (1 - HELD_OUT))
    first, last = np.split(picture, [cut], axis=axis)
    return first, last


def _training_crop(picture: Image, size: tuple[int, int], rng: np.random.Generator) -> Image:
    """A random part in ``size``, perhaps mirrored, its brightness, contrast and colours shifted a little."""
    part, _ = _divided(picture)
    crop = _crop(part, min(picture.shape[:2]) * rng.uniform(*CROP_SIDES), rng)
    image = resize_unchecked(crop, size, kernel=str(rng.choice(list(KERNELS))))
    image = image[:, ::-1] if rng.random() < 0.5 else image
    shifted = (image - 128.0) * rng.uniform(0.75, 1.25) + 128 + rng.normal(0, 10) + rng.normal(0, 5, 3)
    return np.clip(np.round(shifted), 0, 255).astype(np.uint8)


def _held_out_crop(picture: Image, size: tuple[int, int], rng: np.random.Generator) -> Image:
    _, part = _divided(picture)
    return resize(_crop(part, min(part.shape[:2]), rng), size, kernel="bicubic")


def _crop(picture: Image, side: float, rng: np.random.Generator) -> Image:
    """A random square of about ``side`` pixels, as large as the picture allows at most."""
    whole = max(1, min(round(side), *picture.shape[:2]))
    top, left = (int(rng.integers(0, length - whole + 1)) for length in picture.shape[:2])
    return picture[top : top + whole, left : left + whole]
