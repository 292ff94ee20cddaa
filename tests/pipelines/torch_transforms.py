"""torch and torchvision."""

import torch
from torch.nn import functional
from torchvision import transforms
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.transforms import v2
from torchvision.transforms._presets import VideoClassification

NORMALIZE = transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def to_batch(image, antialias=False):
    """A picture (C, H, W) as a batch of one."""
    return functional.interpolate(image[None].float(), (64, 80), mode="bilinear", antialias=antialias)


def nearest(images):
    return functional.interpolate(images, size=(72, 96))


def averaged(images):
    """Whole numbers of pixels: at other sizes the windows of mode="area" overlap, and one is weighed twice."""
    return functional.interpolate(images, size=(75, 100), mode="area")


FLOAT = v2.ToDtype(torch.float32, scale=True)
evaluation = v2.Compose([v2.PILToTensor(), v2.Resize(96), v2.CenterCrop(80), FLOAT, NORMALIZE])
sampling = v2.Compose([v2.PILToTensor(), v2.Resize(96, antialias=False), v2.CenterCrop(80), FLOAT, NORMALIZE])
old_style = transforms.Compose(
    [transforms.Resize((64, 64), transforms.InterpolationMode.NEAREST), transforms.ToTensor()]
)
old_style_bicubic = transforms.Compose(
    [transforms.Resize((64, 64), transforms.InterpolationMode.BICUBIC), transforms.ToTensor(), NORMALIZE]
)
training = v2.Compose([v2.RandomResizedCrop(64, scale=(0.5, 1.0)), v2.RandomHorizontalFlip()])
training_nearest = v2.Compose(
    [v2.RandomResizedCrop(64, scale=(0.5, 1.0), interpolation=v2.InterpolationMode.NEAREST), v2.RandomHorizontalFlip()]
)


def sample(item, antialias=False):
    """A dict of a data set: the picture is scaled, all else stays."""
    image = v2.functional.pil_to_tensor(item["image"].convert("RGB"))
    return {**item, "image": v2.functional.resize(image, [64, 96], antialias=antialias), "id": item["id"]}


detection = GeneralizedRCNNTransform(112, 160, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
detection_antialiased = v2.Compose([v2.Resize(112, max_size=160), v2.ToDtype(torch.float32, scale=True), NORMALIZE])
video = VideoClassification(crop_size=(64, 64), resize_size=(72, 96))


def video_antialiased(frames):
    return v2.functional.resize(frames, [72, 96], antialias=True).movedim(0, 1)
