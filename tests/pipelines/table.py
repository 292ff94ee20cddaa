"""The pipelines of this project, what is to be said of each, and why."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["FOLDER", "PIPELINES", "Pipeline"]

FOLDER = Path(__file__).parent
ROBUST, VULNERABLE = "robust", "vulnerable"


@dataclass(frozen=True)
class Pipeline:
    """``target`` in this folder, further words of the command line, the true verdict; ``needs`` modules."""

    name: str
    target: str
    verdict: str
    words: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    quick: bool = False

    def command(self):
        """The words behind ``secure-resize audit``."""
        return [f"{FOLDER / self.target.partition(':')[0]}:{self.target.partition(':')[2]}", *self.words]


def _pair(name, vulnerable, robust, *, words=(), robust_words=(), needs=(), quick=False):
    return [
        Pipeline(f"{name}, as it comes", vulnerable, VULNERABLE, tuple(words), tuple(needs), quick),
        Pipeline(f"{name}, the safe way", robust, ROBUST, tuple(robust_words), tuple(needs), quick),
    ]


CV2, PIL, TORCH, TF = ("cv2",), ("PIL",), ("torchvision",), ("tensorflow",)
AREA = ("--args", "interpolation=3")
ANTIALIAS = ("--args", "antialias=True")
PIPELINES = [
    *_pair("OpenCV, path to array", "loading.py:load", "loading.py:load_area", needs=CV2, quick=True),
    *_pair("OpenCV, bytes to normalised planes", "loading.py:decode", "loading.py:decode", robust_words=AREA,
           needs=CV2),
    *_pair("OpenCV, a method of a class to construct", "loading.py:Preprocessor.preprocess",
           "loading.py:Preprocessor.preprocess", robust_words=AREA, needs=CV2),
    *_pair("OpenCV, letterbox", "loading.py:letterbox", "loading.py:letterbox", robust_words=AREA, needs=CV2),
    *_pair("OpenCV, partial", "loading.py:nearest", "loading.py:area", needs=CV2),
    *_pair("Pillow, palette", "loading.py:palette_first", "loading.py:palette_last", needs=PIL, quick=True),
    *_pair("Pillow, scaled decoding", "loading.py:drafted", "loading.py:thumbnail", words=("--in", "480x640"),
           needs=(*PIL, "jpeglib")),
    *_pair("Pillow, bytes", "loading.py:upload", "loading.py:upload_bicubic", needs=PIL),
    *_pair("Data set of a folder", "datasets.py:Folder", "datasets.py:Folder", robust_words=("--args", "resample=3"),
           needs=TORCH),
    *_pair("Data set of a list", "datasets.py:Listed", "datasets.py:Listed", robust_words=ANTIALIAS, needs=TORCH),
    *_pair("torch, bilinear interpolate", "torch_transforms.py:to_batch", "torch_transforms.py:to_batch",
           robust_words=ANTIALIAS, needs=TORCH),
    *_pair("torch, nearest interpolate", "torch_transforms.py:nearest", "torch_transforms.py:averaged",
           needs=TORCH),
    *_pair("torchvision v2, evaluation", "torch_transforms.py:sampling", "torch_transforms.py:evaluation",
           needs=TORCH, quick=True),
    *_pair("torchvision v1, Compose", "torch_transforms.py:old_style", "torch_transforms.py:old_style_bicubic",
           needs=TORCH),
    *_pair("torchvision v2, random crops", "torch_transforms.py:training_nearest", "torch_transforms.py:training",
           needs=TORCH),
    *_pair("torchvision functional, dict to dict", "torch_transforms.py:sample", "torch_transforms.py:sample",
           robust_words=ANTIALIAS, needs=TORCH),
    *_pair("torchvision detection", "torch_transforms.py:detection", "torch_transforms.py:detection_antialiased",
           needs=TORCH),
    *_pair("torchvision video", "torch_transforms.py:video", "torch_transforms.py:video_antialiased",
           needs=TORCH),
    *_pair("kornia", "others.py:Kornia", "others.py:Kornia", robust_words=ANTIALIAS, needs=("kornia",)),
    *_pair("tf.data map function", "tf_input.py:prepare", "tf_input.py:prepare_antialiased", needs=TF),
    *_pair("TensorFlow, path with padding", "tf_input.py:load", "tf_input.py:load_antialiased", needs=TF),
    *_pair("TFRecord parser", "tf_input.py:parse", "tf_input.py:parse", robust_words=ANTIALIAS, needs=TF),
    *_pair("Keras, image_dataset_from_directory", "tf_input.py:training_data", "tf_input.py:training_data_antialiased",
           needs=TF),
    *_pair("Keras, Resizing", "tf_input.py:resizing", "tf_input.py:resizing_antialiased", needs=TF),
    *_pair("Keras, model", "tf_input.py:model", "tf_input.py:model_antialiased", needs=TF),
    *_pair("albumentations", "others.py:Augmentation", "others.py:Augmentation", robust_words=AREA,
           needs=("albumentations",)),
    *_pair("scikit-image", "others.py:rescaled", "others.py:rescaled", words=("--args", "anti_aliasing=False"),
           needs=("skimage",)),
    *_pair("SciPy", "others.py:zoomed", "others.py:zoomed_of_blurred", needs=("scipy",)),
    *_pair("transformers", "others.py:Clip", "others.py:Clip", words=("--args", "resample=0"), needs=("transformers",)),
    *_pair("ultralytics", "others.py:Boxed", "others.py:Ours", needs=("ultralytics",)),
    Pipeline("timm, as it comes", "others.py:Timm", ROBUST, (), ("timm",)),
]  # fmt: skip
assert len({one.name for one in PIPELINES}) == len(PIPELINES)
