"""The rules by which findings are named: a registry row each, with all that a report says of it.

SR1xx: a call or class that samples (lint, trace). SR2xx: what was measured of a pipeline (audit). SR4xx: image
files and what holds them (inspect, scan).

Each has a page, which ``python benchmarks/rule_pages.py CODE`` writes.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..registry import Registry
from .report import Severity

__all__ = ["DOCUMENTATION", "RULES", "Rule"]

# Where the page of each rule stands: DOCUMENTATION + code + ".md".
DOCUMENTATION = "https://github.com/secure-resize/secure-resize/blob/main/secure_resize/audit/pages/"


@dataclass(frozen=True)
class Rule:
    """One rule. ``security_severity`` is what code-scanning sites sort by: from 0.1 to 10, as in CVSS.

    ``title`` is a few words, ``what`` what it finds and why that matters, ``instead`` what to write. ``bad`` is an
    example of what it finds, ``good`` the same, mended; both empty where code is not what the rule is about. ``tags``
    are names in MITRE ATLAS and OWASP.
    """

    name: str
    title: str
    severity: Severity
    security_severity: float
    what: str
    instead: str
    bad: str = ""
    good: str = ""
    tags: tuple[str, ...] = ("AML.T0043", "AML.T0020", "LLM01", "LLM04")

    @property
    def url(self) -> str:
        """The rule's page."""
        return f"{DOCUMENTATION}{self.name}.md"


RULES: Registry[Rule] = Registry("rule")

# What lint and trace find: calls and classes that sample, by family. OURS is the way out that every family has.
OURS = "secure_resize.resize(image, (height, width)) averages every pixel at any pair of sizes"

RULES.add(
    Rule(
        "SR101",
        "OpenCV resize that samples",
        "high",
        7.5,
        "cv2.resize never antialiases: every interpolation but INTER_AREA reads a few source pixels for each output "
        "and skips the rest, so that what is hidden in those few pixels replaces the picture. INTER_LINEAR, the "
        "default, leaves an attacker 12.7 dB at a ratio of 4.46; INTER_CUBIC and INTER_LANCZOS4 9 to 11 dB. INTER_AREA "
        "averages only while both axes shrink. In cv2.resize(image, size, 0, 0, cv2.INTER_AREA) the flag is taken "
        "for fy, and the call samples with INTER_LINEAR; the blob functions of cv2.dnn scale with INTER_LINEAR too.",
        f"interpolation=cv2.INTER_AREA where both axes shrink; {OURS}.",
        bad="small = cv2.resize(image, (224, 224))",
        good="small = cv2.resize(image, (224, 224), interpolation=cv2.INTER_AREA)  # while both axes shrink",
    )
)
RULES.add(
    Rule(
        "SR102",
        "OpenCV warp or remap that may scale down",
        "medium",
        5.3,
        "cv2.warpAffine, warpPerspective, remap and their like read one to 64 source pixels for each output whatever "
        "the scale: where the transformation shrinks the picture, they sample as cv2.resize does. INTER_AREA is "
        "INTER_LINEAR there.",
        f"Scale down first, then warp at the same scale; {OURS}.",
        bad="face = cv2.warpAffine(photo, matrix, (112, 112))",
        good="small = secure_resize.resize(photo, (height // k, width // k))  # then warp by the matrix over k",
    )
)
RULES.add(
    Rule(
        "SR103",
        "torch interpolate or Upsample without antialiasing",
        "high",
        7.5,
        "torch.nn.functional.interpolate samples by default (mode nearest, antialias=False), and nn.Upsample cannot do "
        "otherwise: 18.1 dB at a ratio of 8. Antialiasing exists for bilinear and bicubic alone. mode='area' is an "
        "adaptive mean, whose footprints overlap but at whole ratios.",
        "mode='bilinear', antialias=True (or bicubic); mode='area' at whole ratios (1.1 dB from 300 to 72).",
        bad="small = F.interpolate(batch, size=(224, 224), mode='bilinear')",
        good="small = F.interpolate(batch, size=(224, 224), mode='bilinear', antialias=True)",
    )
)
RULES.add(
    Rule(
        "SR104",
        "torch grid_sample that may scale down",
        "medium",
        5.3,
        "grid_sample reads one, 4 or 16 pixels for each output whatever the scale; where its grid is coarser than the "
        "picture it samples, and it knows no antialiasing.",
        "Resize with antialiasing first, then sample at the same scale.",
        bad="out = F.grid_sample(picture, F.affine_grid(theta, (1, 3, 224, 224)))",
        good="small = F.interpolate(picture, (224, 224), mode='bilinear', antialias=True)  # then the grid",
    )
)
RULES.add(
    Rule(
        "SR105",
        "torchvision transform that samples",
        "high",
        7.5,
        "torchvision's Resize, RandomResizedCrop and their like antialias by default; with antialias=False or "
        "InterpolationMode.NEAREST they sample, the video presets do so inside (8.5 dB), detection models resize by "
        "torch.nn.functional.interpolate (6.0 dB), and affine, perspective and zoom-out transforms always sample.",
        "antialias=True and BILINEAR or BICUBIC; for the presets and detection models, scale robustly before them.",
        bad="v2.Resize(224, antialias=False)",
        good="v2.Resize(224, antialias=True)",
    )
)
RULES.add(
    Rule(
        "SR106",
        "TensorFlow resize without antialiasing",
        "high",
        7.5,
        "tf.image.resize and its like sample by default (bilinear, antialias=False): 12.7 dB at a ratio of 4.46. The "
        "raw ops and tf.compat.v1.image.resize_* cannot antialias, crop_and_resize neither, and antialias=True changes "
        "nothing for nearest. method='area' averages.",
        "antialias=True, or method='area'; the drop-in srtf.resize of secure_resize.integrations.tensorflow.",
        bad="image = tf.image.resize(image, (224, 224))",
        good="image = tf.image.resize(image, (224, 224), antialias=True)",
    )
)
RULES.add(
    Rule(
        "SR107",
        "Keras resize or loader that samples",
        "high",
        7.5,
        "keras.layers.Resizing, keras.ops.image.resize, smart_resize, image_dataset_from_directory and load_img with "
        "target_size sample by default: 12.7 dB at a ratio of 4.46, load_img (nearest) more. The loaders have no "
        "antialias argument; interpolation='area' averages there.",
        "Resizing(height, width, antialias=True); in loaders interpolation='area' (image_dataset_from_directory) or "
        "'bilinear', 'bicubic' or 'lanczos' (load_img, which is Pillow's).",
        bad="dataset = keras.utils.image_dataset_from_directory(folder, image_size=(224, 224))",
        good="dataset = keras.utils.image_dataset_from_directory(folder, image_size=(224, 224), interpolation='area')",
    )
)
RULES.add(
    Rule(
        "SR108",
        "Pillow resize that samples",
        "high",
        7.5,
        "Pillow's resize antialiases, but for NEAREST, and for images of mode P and 1, which it scales by NEAREST "
        "whatever filter is asked for; transform samples wherever it shrinks. BOX skips pixels at fractional ratios "
        "(5.7 dB at 432 to 224).",
        "A filter such as Image.Resampling.BICUBIC, on an image converted to RGB or L first.",
        bad="small = Image.open(path).resize((224, 224), Image.NEAREST)",
        good="small = Image.open(path).convert('RGB').resize((224, 224), Image.Resampling.BICUBIC)",
    )
)
RULES.add(
    Rule(
        "SR109",
        "Decoding that scales",
        "medium",
        5.3,
        "JPEG decoders that scale while decoding (Image.draft, Image.thumbnail, IMREAD_REDUCED_*, decode_jpeg(ratio=), "
        "simplejpeg, TurboJPEG, shrink-on-load of libvips) average before they clip to 0..255. A crafted file's "
        "coefficients make that average another picture than the full decode shows (59 dB to the target at 1/8).",
        f"Decode in full, then scale: {OURS}.",
        bad="image = cv2.imread(path, cv2.IMREAD_REDUCED_COLOR_4)",
        good="image = secure_resize.resize(cv2.imread(path), (224, 224))",
    )
)
RULES.add(
    Rule(
        "SR110",
        "JPEG decoding that is not exact",
        "medium",
        5.0,
        "TensorFlow decodes JPEG with INTEGER_FAST by default, which wraps round on extreme coefficients. A file can "
        "show a white page to every other decoder and a photograph to this one (25.6 dB at least, on 100 photographs), "
        "before any resize.",
        "tf.io.decode_jpeg(data, dct_method='INTEGER_ACCURATE').",
        bad="image = tf.io.decode_jpeg(data)",
        good="image = tf.io.decode_jpeg(data, dct_method='INTEGER_ACCURATE')",
    )
)
RULES.add(
    Rule(
        "SR111",
        "Augmentation library that samples",
        "high",
        7.5,
        "albumentations, kornia, imgaug, mmcv, detectron2 and their like scale by OpenCV or torch without antialiasing "
        "unless they are told otherwise: 12.7 dB at a ratio of 4.46 with bilinear.",
        "Their own word where there is one (interpolation=cv2.INTER_AREA, antialias=True), or scale robustly before.",
        bad="A.Compose([A.Resize(224, 224)])",
        good="A.Compose([A.Resize(224, 224, interpolation=cv2.INTER_AREA)])  # while both axes shrink",
    )
)
RULES.add(
    Rule(
        "SR112",
        "scikit-image or SciPy scaling that samples",
        "high",
        7.5,
        "skimage.transform.resize and rescale with anti_aliasing=False, or with order=0 on integers, warp and "
        "scipy.ndimage.zoom (always) interpolate at points and skip the pixels between: 18.1 dB for scipy's cubic at a "
        "ratio of 8.",
        f"skimage.transform.resize(image, size, anti_aliasing=True); {OURS}.",
        bad="small = scipy.ndimage.zoom(image, 0.25)",
        good="small = skimage.transform.resize(image, size, anti_aliasing=True)",
    )
)
RULES.add(
    Rule(
        "SR113",
        "Model front end that samples",
        "high",
        7.5,
        "Some libraries scale every picture down without antialiasing before the model sees it, whoever calls them: "
        "ultralytics, mistral_common (Pixtral), keras_hub's ImageConverter, diffusers' tensor path, rfdetr and some "
        "image processors of transformers. The version counts.",
        "Give it pictures that were scaled robustly to the model's own size, and check with secure-resize probe.",
        bad="model = ultralytics.YOLO('yolo11n.pt')",
        good="results = model(secure_resize.resize(image, (640, 640)))  # nothing is left to scale",
    )
)
RULES.add(
    Rule(
        "SR114",
        "Export that carries a resize that samples",
        "medium",
        5.3,
        "A resize that is exported with the model (ONNX Resize, whose antialias is 0 by default, CoreML, TFLite) "
        "samples wherever the model runs, and nobody sees it there.",
        "Export the network alone and scale robustly before it, or mend the resize first; in ONNX antialias=1.",
        bad="node = onnx.helper.make_node('Resize', inputs, outputs, mode='linear')",
        good="node = onnx.helper.make_node('Resize', inputs, outputs, mode='linear', antialias=1)",
    )
)
RULES.add(
    Rule(
        "SR115",
        "Configuration that asks for a resize that samples",
        "high",
        7.5,
        "In preprocessor_config.json and its like, 'resample': 0 makes a processor scale by nearest neighbour, which "
        "reads one pixel for each output (12.0 dB at a ratio of 4); and some processor classes sample whatever they "
        "are told. It comes with the model's files, where nobody reviews it.",
        "'resample': 3 (bicubic) or 2 (bilinear), if the model still answers well.",
        bad='{"image_processor_type": "CLIPImageProcessor", "resample": 0}',
        good='{"image_processor_type": "CLIPImageProcessor", "resample": 3}',
    )
)

# What audit finds: of a pipeline as a whole, by measuring it.
RULES.add(
    Rule(
        "SR201",
        "Pipeline that hides pictures",
        "high",
        8.2,
        "The pipeline was measured: somewhere in it pictures are scaled down by a filter that reads too few of their "
        "pixels, so that an attack image may change 3 dB less, or more, than the change that it makes the model see "
        "(the stealth gain, in the view that the pipeline really has).",
        "Mend the call that is named, or scale robustly before everything else: secure_resize.resize(image, size), or "
        "its drop-in for the framework.",
    )
)
RULES.add(
    Rule(
        "SR202",
        "Pipeline with a little stealth gain",
        "medium",
        4.3,
        "The pipeline was measured: its stealth gain lies between 1 and 3 dB. Whole pictures cannot be hidden in it, "
        "faint ones more easily than in a resize that averages.",
        "secure_resize.resize(image, size) has 0 dB at any pair of sizes.",
    )
)
RULES.add(
    Rule(
        "SR203",
        "Pipeline that does something else with some pictures",
        "high",
        7.5,
        "What the pipeline makes of some pictures (like photographs, dark ones, attack images, the user's own, or at a "
        "size next to the one measured) is not what it makes of all others. No verdict on the rest is one on it.",
        "Find out what it decides by: the picture's mode, size or content; and audit each way on its own.",
    )
)
RULES.add(
    Rule(
        "SR204",
        "Attack that worked on the pipeline",
        "high",
        8.8,
        "A picture was hidden in another one and sent through the real pipeline: what came out is the hidden picture, "
        "to 25 dB, and the image that went in looks like the other, to 15 dB.",
        "Mend the call that is named, or scale robustly before everything else: secure_resize.resize(image, size), or "
        "its drop-in for the framework.",
    )
)
RULES.add(
    Rule(
        "SR205",
        "Picture that cannot be trusted",
        "medium",
        4.3,
        "A picture file is empty, cut short or corrupt, promises more pixels than anybody should decode, or holds "
        "several frames, of which every library shows another.",
        "Refuse such files where pictures come in: check the length, the size in the header and the frames first.",
        tags=("AML.T0020", "AML.T0043"),
    )
)
RULES.add(
    Rule(
        "SR206",
        "Pipeline that scales while it decodes JPEG files",
        "high",
        8.2,
        "The pipeline decodes JPEG files at 1/2, 1/4 or 1/8 of their size. A decoder that does so averages before it "
        "cuts off to [0, 255], and a full decode afterwards: a crafted file shows one picture to people and another to "
        "the pipeline.",
        "Decode in full and scale then: no Image.draft, no thumbnail on a file that was not loaded, no "
        "IMREAD_REDUCED_*, no ratio=; secure_resize.resize(image, size).",
    )
)

# What inspect and scan find in image files and in what holds them.
RULES.add(
    Rule(
        "SR401",
        "Picture that a resize turns into another one",
        "high",
        8.8,
        "What the resize makes of the picture is not what its mean makes of it, by more than clean pictures show: "
        "another picture, a text or a trigger may be hidden in the few pixels that the resize reads, or in the "
        "coefficients that a scaled decode reads.",
        "Look at what the model would see. Keep the picture out, or scale it robustly: "
        "secure_resize.resize(image, size), or secure_resize.decode(file, size) from the file.",
    )
)
RULES.add(
    Rule(
        "SR402",
        "File that is no picture, or a broken one",
        "medium",
        4.3,
        "A file that is named or stored as a picture cannot be decoded: it is empty, cut short, corrupt, of another "
        "kind, or cannot be read. Libraries show different things for such files, or stop.",
        "Mend it or leave it out.",
        tags=("AML.T0020", "AML.T0043"),
    )
)
RULES.add(
    Rule(
        "SR403",
        "Picture or archive that takes too much",
        "medium",
        5.3,
        "A file promises more pixels or bytes, or takes more memory or time, than the limits allow: a decompression "
        "bomb, or a picture that is too large for this machine.",
        "Leave it out; if it is meant to be so large, raise the limit that is named.",
        tags=("AML.T0029", "LLM10"),
    )
)
RULES.add(
    Rule(
        "SR404",
        "Archive or folder that is not what it should be",
        "medium",
        5.3,
        "An entry of an archive, table or folder would lead elsewhere or mislead: an absolute path, one that climbs "
        "out by .., a link, a device, a name with control characters or one that occurs twice, a picture that is a "
        "path instead of its bytes, an archive that ends early. A reader that extracts it may write outside of its "
        "folder, and readers differ in what they show.",
        "Do not extract it. Ask who made it; pack the pictures anew.",
        tags=("AML.T0010", "AML.T0020"),
    )
)
RULES.add(
    Rule(
        "SR405",
        "File that ends the process that reads it",
        "high",
        7.5,
        "Decoding the file, or looking at it, ended the process twice: the decoder crashed, or the system ended it for "
        "memory. A decoder that crashes on a crafted file may do more than that for its author.",
        "Keep it away from every decoder that matters, and report it to the library's maintainers.",
        tags=("AML.T0010", "AML.T0029"),
    )
)
RULES.add(
    Rule(
        "SR406",
        "Something that was not looked at, or not all of it",
        "low",
        2.0,
        "A picture of many frames of which the first few were looked at, an archive inside an archive, a link to a "
        "folder elsewhere: nothing is said of what was left out.",
        "Scan it on its own, or leave it out.",
        tags=("AML.T0020",),
    )
)
