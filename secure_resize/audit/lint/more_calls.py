"""The rows of augmentation libraries, of model front ends, and of operators in exported models."""

from __future__ import annotations

from .calls import AREA, POINTS
from .rows import NEAREST, add

__all__ = ["SAMPLING_PROCESSORS"]
# fmt: off

# SR111: albumentations; OpenCV inside.
ALBUMENTATIONS = {"mode": "interpolation", "numbers": "cv2", "default": "linear", "safe": AREA, "unknown": True}
for _name, _parameters in {
    "Resize": "height width interpolation mask_interpolation area_for_downscale",
    "RandomResizedCrop": "size scale ratio interpolation mask_interpolation area_for_downscale",
    "SmallestMaxSize": "max_size max_size_hw interpolation mask_interpolation area_for_downscale",
    "LongestMaxSize": "max_size max_size_hw interpolation mask_interpolation area_for_downscale",
    "RandomSizedCrop": "min_max_height size w2h_ratio interpolation mask_interpolation area_for_downscale",
    "RandomSizedBBoxSafeCrop": "height width erosion_rate interpolation",
    "RandomScale": "scale_limit interpolation mask_interpolation area_for_downscale",
    "LetterBox": "size interpolation",
    "Mosaic": "grid_yx target_size cell_shape center_range fit_mode interpolation",
}.items():
    add(f"albumentations.{_name}", "SR111", _parameters, special="albumentations", **ALBUMENTATIONS,
        severity="medium" if _name in ("RandomScale", "Mosaic") else None)
add("albumentations.functional.resize", "SR111", "img target_shape interpolation", picture="img",
    size="target_shape", **ALBUMENTATIONS,
    confidence="medium", also=("albumentations.geometric.functional.resize",))
for _name, _parameters, _fact in (
    ("Affine", "scale translate_percent", {"factor": "scale"}),
    ("ShiftScaleRotate", "shift_limit scale_limit", {"out": "scale_limit", "default": True}),
    ("RandomShiftScaleRotate", "shift_limit scale_limit", {"out": "scale_limit", "default": True}),
):
    add(f"albumentations.{_name}", "SR111", _parameters, special="affine", facts=_fact, confidence="low",
        severity="low")
add("albumentations.Perspective", "SR111", "scale keep_size", special="always", confidence="low", severity="low",
    why="it shrinks a part of the picture and samples there")

# SR111: kornia; torch inside.
KORNIA = {
    "numbers": "kornia", "default": "bilinear", "safe": AREA, "antialias": "antialias", "antialias_default": False,
    "unknown": True, "fix": "antialias",
}
add("kornia.geometry.transform.resize", "SR111", "input size interpolation align_corners side antialias",
    picture="input", size="size", mode="interpolation", also=("kornia.resize", "kornia.geometry.resize"), **KORNIA)
add("kornia.geometry.transform.rescale", "SR111", "input factor interpolation align_corners antialias",
    picture="input",
    factors=("factor",), mode="interpolation", also=("kornia.geometry.rescale",), **KORNIA)
add("kornia.geometry.transform.Resize", "SR111", "size interpolation align_corners side antialias", size="size",
    mode="interpolation", also=("kornia.geometry.Resize",), **KORNIA)
add("kornia.geometry.transform.Rescale", "SR111", "factor interpolation align_corners antialias", factors=("factor",),
    mode="interpolation", also=("kornia.geometry.Rescale",), **KORNIA)
add("kornia.augmentation.Resize", "SR111", "size side resample align_corners antialias", size="size", mode="resample",
    **KORNIA)
for _name, _parameters in (
    ("LongestMaxSize", "max_size resample"),
    ("SmallestMaxSize", "max_size resample"),
    ("RandomResizedCrop", "size scale ratio resample"),
):
    add(f"kornia.augmentation.{_name}", "SR111", _parameters, mode="resample", numbers="kornia", default="bilinear",
        unknown=True)
for _name, _parameters in (
    ("crop_and_resize", "input_tensor boxes size mode"),
    ("crop_by_boxes", "input_tensor src_box dst_box mode"),
):
    add(f"kornia.geometry.transform.{_name}", "SR111", _parameters, picture="input_tensor", mode="mode",
        default="bilinear", unknown=True, confidence="medium", also=(f"kornia.geometry.{_name}",))
for _name in ("warp_affine", "warp_perspective", "homography_warp", "remap"):
    add(f"kornia.geometry.transform.{_name}", "SR111", "src M dsize", picture="src", special="warp", confidence="low",
        severity="medium", also=(f"kornia.geometry.{_name}",))
add("kornia.augmentation.RandomAffine", "SR111", "degrees translate scale", special="affine",
    facts={"factor": "scale"}, confidence="low", severity="low")

# SR111: imgaug, mmcv, detectron2, CV-CUDA, DALI, JAX.
for _name in ("Resize", "Scale"):
    add(f"imgaug.augmenters.{_name}", "SR111", "size interpolation", mode="interpolation", numbers="cv2",
    default="cubic",
        safe=AREA, unknown=True)
for _name in ("imresize_single_image", "imresize_many_images"):
    add(f"imgaug.{_name}", "SR111", "image sizes interpolation", picture="image", mode="interpolation", numbers="cv2",
        default="area", safe=AREA)
MMCV = {
    "mode": "interpolation",
    "numbers": "cv2",
    "default": "bilinear",
    "safe": AREA,
    "unknown": True,
    "special": "mmcv",
}
for _name, _parameters in (
    ("imresize", "img size return_scale interpolation out backend"),
    ("imrescale", "img scale return_scale interpolation backend"),
    ("imresize_like", "img dst_img return_scale interpolation backend"),
    ("imresize_to_multiple", "img divisor size scale_factor keep_ratio return_scale interpolation out backend"),
):
    add(
        f"mmcv.{_name}",
        "SR111",
        _parameters,
        picture="img",
        size="size" if _name == "imresize" else None,
        order="wh",
        **MMCV,
    )
for _name, _parameters in (
    ("Resize", "scale scale_factor keep_ratio clip_object_border backend interpolation"),
    ("RandomResize", "scale ratio_range resize_type"),
    ("RandomChoiceResize", "scales resize_type"),
):
    add(f"mmcv.transforms.{_name}", "SR111", _parameters, also=(f"mmdet.transforms.{_name}",
    f"mmseg.transforms.{_name}",
        f"mmpretrain.transforms.{_name}"), **MMCV)
for _name in ("ResizeShortestEdge", "ResizeTransform", "Resize"):
    # Pictures in uint8 go through Pillow, which antialiases.
    add(f"detectron2.data.transforms.{_name}", "SR111",
    {"ResizeShortestEdge": "short_edge_length max_size sample_style interp",
        "ResizeTransform": "h w new_h new_w interp", "Resize": "shape interp"}[_name], mode="interp",
        numbers="pillow",
        default="bilinear", bad=NEAREST)
for _name in ("RandomExtent", "ExtentTransform", "ResizeScale"):
    add(f"detectron2.data.transforms.{_name}", "SR111", special="always", confidence="low", severity="medium",
        why="it scales by Image.transform, which samples" if _name != "ResizeScale" else POINTS)
add(
    "cvcuda.resize",
    "SR111",
    "src shape interp",
    picture="src",
    mode="interp",
    default="linear",
    safe=AREA,
    unknown=True,
)
for _name in ("resize", "random_resized_crop", "resize_crop_mirror"):
    add(f"nvidia.dali.fn.{_name}", "SR111", mode="interp_type", default="linear", antialias="antialias",
        antialias_default=True, fix="antialias")
add("jax.image.resize", "SR111", "image shape method antialias", picture="image", mode="method", default="bilinear",
    antialias="antialias", antialias_default=True, fix="antialias")
add("jax.image.scale_and_translate", "SR111", "image shape spatial_dims scale translation method antialias",
    picture="image", mode="method", default="bilinear", antialias="antialias", antialias_default=True)
add("imutils.resize", "SR111", "image width height inter", picture="image", mode="inter", numbers="cv2",
    default="area",
    safe=AREA)

# SR113: front ends that scale every picture, whoever calls. The version in which it was read stands in facts.
FIRST = "scales every picture without antialiasing before the model sees it"
for _name in ("YOLO", "RTDETR", "YOLOWorld", "YOLOE", "SAM", "FastSAM", "NAS"):
    add(f"ultralytics.{_name}", "SR113", special="always", confidence="medium", facts={"version": "8.4.190"},
        why=f"ultralytics {FIRST} (cv2.INTER_LINEAR)")
add("ultralytics.data.augment.LetterBox", "SR113",
    "new_shape auto scale_fill scaleup center stride padding_value interpolation", mode="interpolation",
    numbers="cv2", default="linear", safe=AREA, unknown=True, also=("ultralytics.LetterBox",))
for _name in ("ClassifyLetterBox", "CenterCrop"):
    add(f"ultralytics.data.augment.{_name}", "SR113", special="always", why="it scales by cv2.INTER_LINEAR",
        facts={"version": "8.4.190"})
for _name in (
    "Nano",
    "Small",
    "Medium",
    "Base",
    "Large",
    "XLarge",
    "2XLarge",
    "SegPreview",
    "SegNano",
    "SegSmall",
    "SegMedium",
    "SegLarge",
):
    add(f"rfdetr.RFDETR{_name}", "SR113", special="always", confidence="medium", facts={"version": "1.11.2"},
        why=f"rfdetr {FIRST} (antialias=False)")
_CONVERTER = "image_size scale offset crop_to_aspect_ratio pad_to_aspect_ratio interpolation antialias"
add("keras_hub.layers.ImageConverter", "SR113", _CONVERTER, mode="interpolation", default="bilinear", safe=AREA,
    antialias="antialias", antialias_default=False, unknown=True, fix="antialias", confidence="medium",
    also=("keras_hub.ImageConverter", "keras_hub.preprocessing.ImageConverter", "keras_nlp.layers.ImageConverter"),
    facts={"version": "0.32.0"})
add("keras_hub.layers.ImageConverter.from_preset", "SR113", "preset", mode="interpolation", default="bilinear",
    safe=AREA,
    antialias="antialias", antialias_default=False, confidence="medium", facts={"version": "0.32.0"},
    also=("keras_hub.ImageConverter.from_preset",))
for _name in ("ImageEncoder", "transform_image"):
    add(f"mistral_common.tokens.tokenizers.image.{_name}", "SR113", special="always", facts={"version": "1.13.1"},
        why=f"mistral_common {FIRST} (cv2.INTER_CUBIC)", also=(f"mistral_common.tokens.tokenizers.multimodal.{_name}",
        f"mistral_common.{_name}"))
for _name in ("VaeImageProcessor", "VaeImageProcessorLDM3D", "PixArtImageProcessor"):
    add(f"diffusers.{_name}", "SR113", "do_resize vae_scale_factor", special="vae", confidence="low",
        severity="medium", facts={"version": "0.42.1"},
        why="it scales tensors and arrays by nearest (pictures of Pillow by Lanczos, which is safe)")

# transformers 5.24: processors that sample whatever they are told.
SAMPLING_PROCESSORS = {
    "DepthProImageProcessor": "bilinear, antialias=False",
    "Molmo2ImageProcessor": "bilinear, antialias=False",
    "Molmo2VideoProcessor": "antialias=False",
    "Phi4MultimodalImageProcessor": "bicubic, antialias=False for the global view",
    "PPDocLayoutV2ImageProcessor": "bicubic, antialias=False",
    "PPDocLayoutV3ImageProcessor": "bicubic, antialias=False",
    "PPDocLayoutV4ImageProcessor": "bicubic, antialias=False",
    "PPOCRV6SmallRecImageProcessor": "bilinear, antialias=False",
    "RfDetrImageProcessor": "bilinear, antialias=False",
    "ZoeDepthImageProcessor": "interpolate without antialiasing",
}
for _name, _how in SAMPLING_PROCESSORS.items():
    for _suffix in ("", "Fast"):
        add(f"transformers.{_name}{_suffix}", "SR113", special="always", confidence="medium",
            facts={"version": "5.24.0"}, why=f"it scales without antialiasing ({_how})",
            also=(f"transformers.{_name}{_suffix}.from_pretrained",))
for _name in ("AutoImageProcessor", "AutoProcessor", "AutoVideoProcessor"):
    add(f"transformers.{_name}.from_pretrained", "SR113", "pretrained_model_name_or_path", special="checkpoint",
        confidence="medium", facts={"version": "5.24.0"})
add("transformers.pipeline", "SR113", "task model", special="checkpoint", confidence="medium",
    facts={"version": "5.24.0"})

# SR114: operators of exported models, and what exports.
add("onnx.helper.make_node", "SR114", "op_type", special="onnx")
add("onnxscript.Resize", "SR114", special="onnx_op", also=("onnxscript.opset.Resize",))
for _name in ("resize_bilinear", "resize_nearest_neighbor", "resize", "crop_resize"):
    add(f"coremltools.mil.Builder.{_name}", "SR114", special="always", confidence="medium",
        why="the operator knows no antialiasing")
for _name, _parameter in (
    ("torch.onnx.export", "model"),
    ("torch.onnx.dynamo_export", "model"),
    ("coremltools.convert", "model"),
    ("tf2onnx.convert.from_keras", "model"),
    ("tf2onnx.convert.from_function", "function"),
    ("tensorflow.lite.TFLiteConverter.from_keras_model", "model"),
    ("tensorflow.lite.TFLiteConverter.from_concrete_functions", "model"),
):
    add(_name, "SR114", _parameter, picture=None, special="export")
