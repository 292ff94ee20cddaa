"""Front ends that were read and not run: not to be had here, or scaling to whatever size their user says."""

from __future__ import annotations

from .rows import FRONT_ENDS, FrontEnd

__all__: list[str] = []

CHOSEN = "what its user or the model's configuration says"
# name, version, filter, scalers, whether it samples, where it stands
READ: tuple[tuple[str, str, str, tuple[str, ...], bool | None, str], ...] = (
    ("vllm:pixtral-mistral", "2025", "mistral_common's: OpenCV's bicubic, without antialiasing", ("opencv:cubic",),
     True, "vllm/model_executor/models/pixtral.py, PixtralProcessorAdapter"),
    ("rfdetr:predict", "1.11.2", "bilinear, without antialiasing", ("torchvision:bilinear",), True,
     "rfdetr/export/_runtime/preprocess.py:37-64"),
    ("diffusers:VaeImageProcessor-tensor", "0.42.1", "nearest, of tensors and arrays", ("torch:nearest",), True,
     "diffusers/image_processor.py:510,516"),
    ("diffusers:VaeImageProcessor-pil", "0.42.1", "Pillow's Lanczos, with antialiasing", ("pillow:lanczos",), False,
     "diffusers/image_processor.py:113,497"),
    ("llama.cpp:mtmd-before-27594", "04f6fef9", "its own bilinear or bicubic, without antialiasing",
     ("opencv:linear", "opencv:cubic"), True, "tools/mtmd/mtmd-image.cpp, resize_bilinear, resize_bicubic"),
    ("llama.cpp:mtmd", "from its pull request 27594 on", "Pillow's, as the pull request says", ("pillow:bicubic",),
     None, "the pull request's text"),
    ("mediapipe:ImageToTensor", "017c1dc7", "warpPerspective's bilinear", ("opencv:linear",), True,
     "mediapipe/calculators/tensor/image_to_tensor_converter_opencv.cc"),
    ("sglang:mm_utils", "0.5.10.post1", "Pillow's, with antialiasing", ("pillow:bicubic",), False,
     "srt/multimodal/mm_utils.py:129"),
    ("mlx_vlm:most", "0.7.10", "Pillow's, with antialiasing", ("pillow:bicubic",), False,
     "models/qwen3_vl/processing_qwen3_vl.py:226"),
    ("onnx:Resize", "operator set 19", "linear, without antialiasing unless antialias=1", ("opencv:linear",), True,
     "onnx.ai, Resize"),
    ("dali:resize", "its documentation", "with antialiasing", (), False, "docs.nvidia.com, fn.resize"),
)  # fmt: skip

for _name, _version, _filter, _scalers, _samples, _evidence in READ:
    FRONT_ENDS.add(
        FrontEnd(_name, _version, CHOSEN, lambda h, w: [], _scalers, _filter, _samples, f"read: {_evidence}", "2026-09")
    )
