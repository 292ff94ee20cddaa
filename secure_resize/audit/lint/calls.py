"""The rows of the libraries that scale: OpenCV, torch, torchvision, TensorFlow, Keras, Pillow, scikit-image, SciPy."""

from __future__ import annotations

from .rows import NEAREST, add

__all__: list[str] = []
# fmt: off

AREA = frozenset({"area"})
CV = {"mode": "interpolation", "numbers": "cv2", "default": "linear", "safe": AREA, "unknown": True}
POINTS = "it reads a few pixels of the picture for each that it makes, and skips the rest"

# SR101, SR102: OpenCV.
add(
    "cv2.resize", "SR101", "src dsize dst fx fy interpolation", picture="src", size="dsize", order="wh",
    factors=("fx", "fy"), fix="opencv", also=("cv2.cuda.resize", "cv2.gapi.resize"), **CV,
)
for _name in ("blobFromImage", "blobFromImages"):
    add(
        f"cv2.dnn.{_name}", "SR101", "image scalefactor size mean swapRB crop ddepth", picture="image", size="size",
        order="wh", needs_size=True, default="linear", why="it scales by INTER_LINEAR, whatever the size",
        advice="Scale robustly first, and give it the picture at the network's size.",
    )
for _name, _parameters in {
    "warpAffine": "src M dsize dst flags",
    "warpPerspective": "src M dsize dst flags",
    "remap": "src map1 map2 interpolation",
    "warpPolar": "src dsize center maxRadius flags",
    "linearPolar": "src center maxRadius flags",
    "logPolar": "src center M flags",
}.items():
    add(f"cv2.{_name}", "SR102", _parameters, picture="src", special="warp", confidence="low")

# SR103, SR104: torch.
ANTIALIASED = frozenset({"bilinear", "bicubic"})
add(
    "torch.nn.functional.interpolate", "SR103",
    "input size scale_factor mode align_corners recompute_scale_factor antialias",
    picture="input", size="size", factors=("scale_factor",), mode="mode", default="nearest", safe=AREA,
    antialias="antialias", antialias_default=False, antialiases=ANTIALIASED, unknown=True, layer=True,
    fix="antialias",
    also=("torch.nn.functional.upsample",),
)
add("torch.nn.Upsample", "SR103", "size scale_factor mode align_corners", size="size", factors=("scale_factor",),
    mode="mode", default="nearest", unknown=True, special="upsample", confidence="medium")
for _name in ("UpsamplingBilinear2d", "UpsamplingNearest2d"):
    add(f"torch.nn.{_name}", "SR103", "size scale_factor", size="size", factors=("scale_factor",),
        default=_name[10:-2].lower(), special="upsample", confidence="medium")
for _name in ("upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d"):
    add(
        f"torch.{_name}", "SR103", "input output_size", picture="input", size="output_size", default=_name[9:-2],
        layer=True, also=(f"torch.ops.aten.{_name}", f"torch._C._nn.{_name}"),
    )
add("torch.nn.functional.grid_sample", "SR104", "input grid mode", picture="input", special="grid", layer=True,
    confidence="low")

# SR105: torchvision. NEAREST samples whatever antialias says.
TV = {
    "mode": "interpolation", "numbers": "pillow", "default": "bilinear", "antialias": "antialias",
    "antialias_default": True, "fix": "antialias",
}
add("torchvision.transforms.Resize", "SR105", "size interpolation max_size antialias", size="size", **TV)
add("torchvision.transforms.Scale", "SR105", "size interpolation", size="size", **TV)
add("torchvision.transforms.RandomResizedCrop", "SR105", "size scale ratio interpolation antialias", size="size",
    **TV)
add("torchvision.transforms.RandomSizedCrop", "SR105", "size scale ratio interpolation antialias", size="size", **TV)
add("torchvision.transforms.RandomResize", "SR105", "min_size max_size interpolation antialias", **TV)
add("torchvision.transforms.RandomShortestSize", "SR105", "min_size max_size interpolation antialias", **TV)
add("torchvision.transforms.ScaleJitter", "SR105", "target_size scale_range interpolation antialias", **TV)
add(
    "torchvision.transforms.functional.resize", "SR105", "img size interpolation max_size antialias", picture="img",
    size="size", also=("torchvision.transforms.functional.resize_image",
    "torchvision.transforms.functional.resize_video",
    "torchvision.transforms._functional_tensor.resize"), **TV,
)
add(
    "torchvision.transforms.functional.resized_crop", "SR105",
    "img top left height width size interpolation antialias", picture="img", size="size", **TV,
)
add("torchvision.transforms.RandomAffine", "SR105", "degrees translate scale shear interpolation", special="affine",
    facts={"factor": "scale"})
add("torchvision.transforms.functional.affine", "SR105", "img angle translate scale shear interpolation",
    picture="img",
    special="affine", facts={"factor": "scale"})
add("torchvision.transforms.RandomPerspective", "SR105", "distortion_scale p interpolation", special="always",
    confidence="low", severity="low", why="it shrinks a part of the picture and samples there")
add("torchvision.transforms._presets.VideoClassification", "SR105", special="always",
    why="the video presets scale with antialias=False inside (8.5 dB)")
add("torchvision.models.detection.transform.GeneralizedRCNNTransform", "SR105", special="always",
    why="it scales by torch.nn.functional.interpolate without antialiasing (6.0 dB)")
for _name in (
    "fasterrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn_v2", "fasterrcnn_mobilenet_v3_large_fpn",
    "fasterrcnn_mobilenet_v3_large_320_fpn", "retinanet_resnet50_fpn", "retinanet_resnet50_fpn_v2",
    "fcos_resnet50_fpn",
    "maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2", "keypointrcnn_resnet50_fpn", "ssd300_vgg16",
    "ssdlite320_mobilenet_v3_large", "FasterRCNN", "MaskRCNN", "KeypointRCNN", "RetinaNet", "FCOS", "SSD",
):
    add(f"torchvision.models.detection.{_name}", "SR105", special="always", confidence="medium",
        why="its own transform scales every picture without antialiasing (6.0 dB)")

# SR106: TensorFlow.
TF = {"mode": "method", "default": "bilinear", "safe": AREA, "unknown": True}
add(
    "tensorflow.image.resize", "SR106", "images size method preserve_aspect_ratio antialias", picture="images",
    size="size", antialias="antialias", antialias_default=False, fix="antialias",
    also=("tensorflow.image.resize_v2",),
    numbers="tf1", **TF,
)
add(
    "tensorflow.image.resize_with_pad", "SR106", "image target_height target_width method antialias", picture="image",
    size=("target_height", "target_width"), antialias="antialias", antialias_default=False, fix="antialias",
    numbers="tf1", **TF,
)
add("tensorflow.image.crop_and_resize", "SR106", "image boxes box_indices crop_size method", picture="image",
    size="crop_size", mode="method", default="bilinear", unknown=True, layer=True,
    also=("tensorflow_v1.image.crop_and_resize",),
    confidence="medium")
for _name, _mode in (
    ("resize_bilinear", "bilinear"),
    ("resize_bicubic", "bicubic"),
    ("resize_nearest_neighbor", "nearest"),
):
    add(f"tensorflow_v1.image.{_name}", "SR106", "images size align_corners", picture="images", size="size",
    default=_mode,
        also=(f"tensorflow.image.{_name}",))
for _name in ("resize", "resize_images"):
    add(f"tensorflow_v1.image.{_name}", "SR106", "images size method align_corners", picture="images", size="size",
        numbers="tf1", also=("tensorflow.image.resize_images",) if _name == "resize_images" else (), **TF)
add("tensorflow_v1.image.resize_image_with_pad", "SR106", "image target_height target_width method", picture="image",
    size=("target_height", "target_width"), numbers="tf1", **TF)
for _name, _mode in (
    ("ResizeBilinear", "bilinear"), ("ResizeBicubic", "bicubic"), ("ResizeNearestNeighbor", "nearest"),
    ("QuantizedResizeBilinear", "bilinear"),
):
    add(f"tensorflow.raw_ops.{_name}", "SR106", picture="images", size="size", default=_mode,
        also=(f"tensorflow_v1.raw_ops.{_name}",))
add("tensorflow.raw_ops.CropAndResize", "SR106", picture="image", size="crop_size", mode="method", default="bilinear",
    unknown=True, layer=True)
add("tensorflow.raw_ops.ScaleAndTranslate", "SR106", picture="images", size="size", default="lanczos3",
    antialias="antialias", antialias_default=True)
add("tensorflow.raw_ops.ImageProjectiveTransformV3", "SR106", picture="images", special="always", confidence="low",
    severity="low", why="it samples where its transformation shrinks the picture")

# SR107: Keras.
KERAS = {
    "mode": "interpolation", "default": "bilinear", "safe": AREA, "antialias": "antialias",
    "antialias_default": False,
    "unknown": True, "fix": "antialias",
}
_RESIZING = (
    "height width interpolation crop_to_aspect_ratio pad_to_aspect_ratio fill_mode fill_value antialias data_format"
)
add("keras.layers.Resizing", "SR107", _RESIZING, layer=True, size=("height", "width"), also=("keras.Resizing",
    "keras_cv.layers.Resizing"),
    **KERAS)
add("keras.ops.image.resize", "SR107", "images size interpolation antialias", picture="images", size="size",
    layer=True,
    also=("keras.backend.image.resize", "keras.image.resize", "keras.ops.image.Resize"), **KERAS)
LOADER = {"mode": "interpolation", "default": "bilinear", "safe": AREA, "unknown": True}
add(
    "keras.utils.image_dataset_from_directory", "SR107",
    "directory labels label_mode class_names color_mode batch_size image_size shuffle seed validation_split subset "
    "interpolation follow_links crop_to_aspect_ratio", size="image_size", fix="area",
    also=("keras.preprocessing.image_dataset_from_directory", "keras.image_dataset_from_directory"), **LOADER,
)
add("keras.utils.smart_resize", "SR107", "x size interpolation", picture="x", size="size",
    also=("keras.preprocessing.image.smart_resize",), **LOADER)
PILLOW_BAD = frozenset({"nearest", "nearest_exact"})
add("keras.utils.load_img", "SR107", "path color_mode target_size interpolation keep_aspect_ratio",
    size="target_size",
    needs_size=True, mode="interpolation", default="nearest", bad=PILLOW_BAD, fix="bicubic",
    also=("keras.preprocessing.image.load_img",))
for _name, _parameters in (
    ("flow_from_directory", "directory target_size"),
    ("flow_from_dataframe", "dataframe directory x_col y_col weight_col target_size"),
):
    add(f".{_name}", "SR107", _parameters, size="target_size", mode="interpolation", default="nearest",
    bad=PILLOW_BAD,
        confidence="medium")
add("keras.layers.RandomZoom", "SR107", "height_factor width_factor fill_mode interpolation", special="affine",
    facts={"out": "height_factor"}, confidence="low", severity="low")
for _name in ("affine_transform", "perspective_transform"):
    add(f"keras.ops.image.{_name}", "SR107", "images transform interpolation", picture="images", special="always",
        layer=True, confidence="low", severity="low", also=(f"keras.backend.image.{_name}",),
        why="it samples where its transformation shrinks the picture")

# SR108: Pillow. Methods: what is known of the picture decides.
PIL = {"mode": "resample", "numbers": "pillow", "default": "bicubic", "bad": frozenset({*NEAREST, "box"})}
add(".resize", "SR108", "size resample box reducing_gap", size="size", order="wh", special="pillow", **PIL)
for _name in ("fit", "pad", "contain", "cover"):
    add(f"PIL.ImageOps.{_name}", "SR108", "image size method", picture="image", size="size", order="wh",
        **{**PIL, "mode": "method"})
add("PIL.ImageOps.scale", "SR108", "image factor resample", picture="image", factors=("factor",), **PIL)
add(".transform", "SR108", "size method data resample", size="size", order="wh", special="pillow_transform",
    confidence="low", severity="medium")

# SR109, SR110: decoders.
add("cv2.imread", "SR109", "filename flags", special="reduced")
add("cv2.imdecode", "SR109", "buf flags", special="reduced")
add(".draft", "SR109", "mode size", special="draft")
add(".thumbnail", "SR109", "size resample reducing_gap", special="thumbnail", size="size", order="wh")
for _name, _parameters in (
    ("decode_jpeg", "contents channels ratio fancy_upscaling try_recover_truncated acceptable_fraction dct_method"),
    ("decode_and_crop_jpeg", "contents crop_window channels ratio fancy_upscaling try_recover_truncated "
     "acceptable_fraction dct_method"),
):
    add(f"tensorflow.io.{_name}", "SR109", _parameters, special="decode_jpeg",
        also=(f"tensorflow.image.{_name}", f"tensorflow_v1.io.{_name}", f"tensorflow_v1.image.{_name}"))
for _name in ("DecodeJpeg", "DecodeAndCropJpeg"):
    add(f"tensorflow.raw_ops.{_name}", "SR109", special="decode_jpeg")
add("tensorflow.io.decode_image", "SR110", "contents channels", special="always", confidence="medium",
    also=("tensorflow.image.decode_image", "tensorflow_v1.io.decode_image", "tensorflow_v1.image.decode_image",
          "tensorflow.raw_ops.DecodeImage"),
    why="it decodes JPEG with INTEGER_FAST and cannot be told otherwise",
    advice="For JPEG files tf.io.decode_jpeg(data, dct_method='INTEGER_ACCURATE').")
add("simplejpeg.decode_jpeg", "SR109", "data colorspace fastdct fastupsample min_height min_width min_factor",
    special="given", facts={"any": ("min_height", "min_width", "min_factor")})
add(".decode", "SR109", "jpeg_buf pixel_format scaling_factor flags", special="turbojpeg")
for _name in ("thumbnail", "thumbnail_buffer", "thumbnail_source"):
    add(f"pyvips.Image.{_name}", "SR109", special="always",
    why="libvips shrinks JPEG while it loads (shrink-on-load)")
for _name in ("new_from_file", "new_from_buffer", "jpegload", "jpegload_buffer", "webpload"):
    add(f"pyvips.Image.{_name}", "SR109", special="given", facts={"any": ("shrink", "scale")})

# SR112: scikit-image and SciPy.
add("skimage.transform.resize", "SR112",
    "image output_shape order mode cval clip preserve_range anti_aliasing", picture="image", size="output_shape",
    special="skimage", mode="order", fix="antialias", antialias="anti_aliasing")
add("skimage.transform.rescale", "SR112", "image scale order mode cval clip preserve_range anti_aliasing",
    picture="image", factors=("scale",), special="skimage", mode="order", fix="antialias",
    antialias="anti_aliasing")
add("skimage.transform.warp", "SR112", "image inverse_map map_args output_shape order", picture="image",
    special="always", confidence="low", severity="medium",
    why="it samples where its map shrinks the picture")
add("scipy.ndimage.zoom", "SR112", "input zoom output order", picture="input", factors=("zoom",), mode="order",
    numbers="order", default="cubic", unknown=True, also=("scipy.ndimage.interpolation.zoom",))
for _name in ("affine_transform", "map_coordinates", "geometric_transform"):
    add(f"scipy.ndimage.{_name}", "SR112", "input coordinates", picture="input", special="always", confidence="low",
        severity="low", why="it samples where its transformation shrinks the picture")
add("scipy.misc.imresize", "SR112", "arr size interp", picture="arr", mode="interp", default="bilinear",
    bad=PILLOW_BAD, also=("scipy.misc.pilutil.imresize",))
