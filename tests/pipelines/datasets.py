"""Data sets that read their pictures from files."""

from pathlib import Path

import torch
from PIL import Image
from torch.utils.data import Dataset
from torchvision.transforms import v2


class Folder(Dataset):
    """Every picture below a folder, with the folder's name as its label."""

    def __init__(self, root, size=64, resample=Image.Resampling.NEAREST):
        self.paths = sorted(Path(root).rglob("*.png"))
        self.size, self.resample = size, resample

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        path = self.paths[index]
        image = Image.open(path).convert("RGB").resize((self.size, self.size), self.resample)
        return v2.functional.to_dtype(v2.functional.pil_to_tensor(image), torch.float32, scale=True), path.parent.name


class Listed(Dataset):
    """Pictures by their names, through a transform."""

    def __init__(self, paths, labels, antialias=False):
        self.paths, self.labels = paths, labels
        self.transform = v2.Compose([v2.PILToTensor(), v2.Resize((80, 96), antialias=antialias)])

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        return {"image": self.transform(Image.open(self.paths[index]).convert("RGB")), "label": self.labels[index]}
