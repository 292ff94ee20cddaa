"""How long torchvision's drop-in takes on a CUDA device, where images stay, against stock and the way through the CPU.

python benchmarks/bench_cuda.py
"""

import sys

import torch
import torch.nn.functional as F
import torchvision

import secure_resize as sr
from secure_resize.integrations.torchvision import functional

SHAPES = [(32, 3, 480, 640), (8, 3, 1080, 1920), (1, 3, 3000, 4000)]
SIZE = [224, 224]


def milliseconds(call, repeats=20):
    for _ in range(3):
        call()
    torch.cuda.synchronize()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(repeats):
        call()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / repeats


def rows_of(shape):
    image = torch.randint(0, 256, shape, dtype=torch.uint8, device="cuda")
    levels = image.float()
    calls = {
        "ours area, uint8": lambda: functional.resize(image, SIZE, kernel="area"),
        "ours bilinear, uint8": lambda: functional.resize(image, SIZE),
        "ours bilinear, float32": lambda: functional.resize(levels, SIZE),
        "torch antialiased, float32": lambda: F.interpolate(levels, SIZE, mode="bilinear", antialias=True),
        "torch linear (vulnerable), float32": lambda: F.interpolate(levels, SIZE, mode="bilinear"),
        "ours area, by the CPU and back": lambda: functional.resize(image.cpu(), SIZE, kernel="area").cuda(),
    }
    assert torch.equal(calls["ours area, uint8"](), calls["ours area, by the CPU and back"]())
    apart = (calls["ours bilinear, float32"]() - calls["torch antialiased, float32"]()).abs().max()
    assert apart < 1e-2, apart
    return {name: milliseconds(call) for name, call in calls.items()}


if __name__ == "__main__":
    if not torch.cuda.is_available():
        sys.exit("no CUDA device")
    versions = f"torch {torch.__version__}, torchvision {torchvision.__version__}, secure_resize {sr.__version__}"
    print(f"{torch.cuda.get_device_name()}, {versions}, to {SIZE[0]}x{SIZE[1]}, milliseconds a batch\n")
    tables = [rows_of(shape) for shape in SHAPES]
    print("| | " + " | ".join("×".join(map(str, shape)) for shape in SHAPES) + " |")
    print("| --- |" + " ---: |" * len(SHAPES))
    for name in tables[0]:
        print(f"| {name} | " + " | ".join(f"{table[name]:.2f}" for table in tables) + " |")
