"""albumentations, scikit-image, SciPy, timm, transformers and ultralytics; each is imported where it is used."""

import numpy as np


def augmentation(interpolation=None):
    import albumentations
    import cv2

    return albumentations.Compose(
        [
            albumentations.Resize(64, 80, interpolation=cv2.INTER_LINEAR if interpolation is None else interpolation),
            albumentations.HorizontalFlip(p=0.5),
            albumentations.Normalize(),
        ]
    )


class Augmentation:
    """Made with its library when it is made."""

    def __init__(self, interpolation=None):
        self.transform = augmentation(interpolation)

    def __call__(self, image, mask=None):
        return self.transform(image=image)["image"]


def rescaled(image, anti_aliasing=None):
    from skimage.transform import resize

    return resize(image, (64, 80), anti_aliasing=anti_aliasing)


def zoomed(image):
    from scipy.ndimage import zoom

    return zoom(image, (64 / image.shape[0], 80 / image.shape[1], 1), order=1)


def zoomed_of_blurred(image):
    from scipy.ndimage import gaussian_filter, zoom

    factors = (64 / image.shape[0], 80 / image.shape[1], 1)
    blurred = gaussian_filter(image.astype(np.float32), [0.6 / factors[0], 0.6 / factors[1], 0])
    return zoom(blurred, factors, order=1)


class Kornia:
    """kornia's layer."""

    def __init__(self, antialias=False):
        from kornia.geometry.transform import Resize

        self.resize = Resize((64, 80), antialias=antialias)

    def __call__(self, images):
        return self.resize(images)


class Clip:
    """A processor, made from its configuration."""

    def __init__(self, resample=3):
        from transformers import CLIPImageProcessor

        self.processor = CLIPImageProcessor(
            size={"shortest_edge": 72}, crop_size={"height": 64, "width": 64}, resample=resample
        )

    def __call__(self, images):
        return self.processor(images=images, return_tensors="pt")


def timm_evaluation():
    from timm.data import create_transform

    return create_transform((3, 64, 64), interpolation="bicubic", crop_pct=0.9)


class Timm:
    """timm's evaluation transform."""

    def __init__(self):
        self.transform = timm_evaluation()

    def __call__(self, image):
        return self.transform(image)


class Boxed:
    """ultralytics' letterbox."""

    def __init__(self):
        from ultralytics.data.augment import LetterBox

        self.box = LetterBox((96, 96), auto=False)

    def __call__(self, image):
        return self.box(image=image)


class Ours:
    """The letterbox of ultralytics on what was scaled robustly before: nothing is left to scale."""

    def __init__(self):
        from ultralytics.data.augment import LetterBox

        self.box = LetterBox((96, 96), auto=False)

    def __call__(self, image):
        import secure_resize

        scale = 96 / max(image.shape[:2])
        return self.box(image=secure_resize.resize(image, [round(n * scale) for n in image.shape[:2]]))
