"""Images through the transforms for torchvision: the core's and Pillow's bytes, in every layout and type."""

# ruff: noqa: E402, what needs torch is imported after the check for it

import copy
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

import PIL.Image
from torchvision import tv_tensors
from torchvision.transforms import v2 as stock

import secure_resize as sr
from secure_resize.integrations.torchvision import kinds, pil, v2

ROBUST = [name for name, kernel in sr.KERNELS.items() if kernel.robust]
SIZES = [(20, 31), (80, 40), (61, 30), (90, 120), (10, 80)]  # of 61 × 87; in the last Pillow 13 scales rows first
PILLOW = tuple(map(int, PIL.__version__.split(".")[:2]))
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
PILLOW_KERNELS = {"bilinear": 2, "bicubic": 3, "hamming": 5, "lanczos": 1}


@pytest.fixture(scope="module", name="photo")
def photo_fixture(photos):
    """(61, 87, 4) uint8: coffee, and chelsea's eye as alpha, with a transparent and an opaque corner."""
    alpha = photos["chelsea.png"][100:161, 120:207, :1].copy()
    alpha[:20, :20], alpha[-20:, -20:] = 0, 255
    return np.dstack([photos["coffee.png"][150:211, 200:287], alpha])


# --- the inputs ---------------------------------------------------------------------------------------------------

PIL_8BIT_MODES = [mode for mode in kinds.PIL_MODES if mode[0] not in "IF"]
# The others are resized in the form that Pillow has inside, premultiplied or offset.
PIL_PLAIN_MODES = [mode for mode in kinds.PIL_MODES if mode not in ("RGBA", "LA", "LAB", "I")]


def pil_image(photo, mode):
    if mode.startswith("I;16"):
        pixels = photo[..., 0].astype(np.asarray(PIL.Image.new(mode, (1, 1))).dtype) * 251 + photo[..., 1]
    elif mode == "I":
        pixels = photo[..., 0].astype(np.int32) * 70_001 - photo[..., 1].astype(np.int32) * 30_011
    elif mode == "F":
        pixels = photo[..., 0].astype(np.float32) / 7 - photo[..., 1]
    else:
        pixels = np.ascontiguousarray(photo[..., : len(PIL.Image.new(mode, (1, 1)).getbands())])
    return PIL.Image.frombytes(mode, (photo.shape[1], photo.shape[0]), pixels.tobytes())


# Every layout starts from (..., H, W, C) data, as a photograph has it.
LAYOUTS = {
    "CHW": lambda x: x.movedim(-1, -3).contiguous(),
    "HWC view": lambda x: x.movedim(-1, -3),
    "grey": lambda x: x[..., :1].movedim(-1, -3),
    "two channels": lambda x: x[..., :2].movedim(-1, -3),
    "crop of CHW": lambda x: x.movedim(-1, -3).contiguous()[..., 3:50, 5:80],
    "crop of HWC view": lambda x: x.movedim(-1, -3)[..., 3:50, 5:80],
    "one column": lambda x: x.movedim(-1, -3)[..., :1],
    "transposed": lambda x: x.movedim(-1, -3).contiguous().mT,
    "expanded": lambda x: x[..., 0].unsqueeze(-3).expand(*x.shape[:-3], 3, *x.shape[-3:-1]),
    "NCHW": lambda x: torch.stack([x, x.flip(0)]).movedim(-1, -3).contiguous(),
    "channels_last": lambda x: (
        torch.stack([x, x.flip(0)]).movedim(-1, -3).contiguous(memory_format=torch.channels_last)
    ),
    "channels_last of one": lambda x: x[None].movedim(-1, -3).contiguous(memory_format=torch.channels_last),
    "crop of channels_last": lambda x: torch.stack([x, x.flip(0)]).movedim(-1, -3)[..., 1:, 2:],
    "NTCHW": lambda x: torch.stack([x, x.flip(0), x.flip(1)])[None].expand(2, 3, *x.shape).movedim(-1, -3).contiguous(),
    "NTCHW, channels last": lambda x: torch.stack([x, x.flip(0), x.flip(1)])[None].movedim(-1, -3),
}


def tensor(photo, layout, dtype=torch.uint8):
    """The photograph in all of the dtype's range, wide ones' first 40 bits."""
    pixels = torch.from_numpy(photo[..., :3].astype(np.int64))
    if dtype.is_floating_point:
        return LAYOUTS[layout]((pixels.double() / 255).to(dtype))
    if dtype == torch.bool:
        return LAYOUTS[layout](pixels > 127)
    bits = min(torch.iinfo(dtype).bits, 40)
    lowest = -(1 << bits - 1) if dtype.is_signed else 0
    return LAYOUTS[layout](((pixels << bits - 8) + pixels * (bits > 8) + lowest).to(dtype))


def core_resize(image, size, kernel):
    """What :func:`secure_resize.resize` makes of a tensor (..., C, H, W), image by image."""
    dtype, image = image.dtype, image.as_subclass(torch.Tensor)
    if dtype in kinds.WIDE_DTYPES:
        operator = sr.scaling_operator(image.shape[-2:], size, kernel)
        rows, cols = (torch.from_numpy(axis.dense()).to(image.device) for axis in (operator.rows, operator.cols))
        exact = rows @ image.double() @ cols.T
        return exact if dtype == torch.float64 else exact.round()
    # What is not the core's own is it with an offset, or in its range.
    codes = {torch.int8: (torch.uint8, 128), torch.int16: (torch.uint16, 32768), torch.bool: (torch.uint8, 0)}
    core, offset = codes.get(dtype, (torch.float32 if dtype in kinds.HALF_DTYPES else dtype, 0))
    pixels = image if core == dtype else (image.float() * (255 if dtype == torch.bool else 1) + offset).to(core)
    batch = pixels.cpu().reshape(-1, *pixels.shape[-3:]).movedim(-3, -1).numpy()
    resized = torch.from_numpy(np.stack([sr.resize(one, size, kernel=kernel) for one in batch])).movedim(-1, -3)
    resized = resized.reshape(*image.shape[:-2], *size).to(image.device)
    if dtype == torch.bool:
        return resized >= 128
    return (resized.float() - offset if offset else resized).to(dtype)


def check_transform(transform, image):
    """``transform(image)``, after checking what must hold for any drop-in transform and any image."""
    before = copy.deepcopy(image)
    result = transform(image)
    assert same(image, before), "written to"
    assert type(result) is (PIL.Image.Image if isinstance(image, PIL.Image.Image) else type(image))
    for twin in (pickle.loads(pickle.dumps(transform)), copy.deepcopy(transform)):
        assert repr(twin) == repr(transform)
        assert same(twin(image), result)
    if isinstance(image, PIL.Image.Image):
        assert result.mode == image.mode
        assert result.info == image.info
    else:
        assert (result.dtype, result.device) == (image.dtype, image.device)
        assert result.shape[:-2] == image.shape[:-2]
        assert interleaved(result) == interleaved(image)
    return result


def same(a, b):
    """Equality of type, metadata and every element."""
    if type(a) is not type(b):
        return False
    if isinstance(a, PIL.Image.Image):
        return (a.mode, a.size, a.tobytes()) == (b.mode, b.size, b.tobytes())
    if isinstance(a, torch.Tensor):
        return vars(a) == vars(b) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    return a == b


def interleaved(image):
    return image.shape[-3] > 1 and 0 < image.stride(-3) < image.stride(-1)


# --- pixels -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", PILLOW_KERNELS)
@pytest.mark.parametrize("mode", PIL_8BIT_MODES)
def test_pil_bytes_are_pillows(photo, mode, kernel):
    image = pil_image(photo, mode)
    for size in SIZES:
        wanted = image.resize(size[::-1], PILLOW_KERNELS[kernel])
        assert same(check_transform(v2.Resize(size, kernel), image), wanted)
        assert same(v2.Resize(size, kernel=kernel)(image), wanted)


@pytest.mark.parametrize("kernel", ROBUST)
@pytest.mark.parametrize("mode", PIL_PLAIN_MODES)
def test_pil_bytes_are_the_cores(photo, mode, kernel):
    image = pil_image(photo, mode)
    for size in SIZES:
        result = check_transform(v2.Resize(size, kernel=kernel), image)
        wanted = sr.resize(np.asarray(image), size, kernel=kernel, pass_order=pil.PASS_ORDER)
        assert np.array_equal(np.asarray(result), wanted)


@pytest.mark.parametrize("kernel", PILLOW_KERNELS)
def test_pil_16_bit_and_float_are_pillows_within_rounding(photo, kernel):
    for size in SIZES:
        # Pillow's own arithmetic is floating point and not bit-exact. Before 13, overshoot wrapped around at 16 bits,
        # and before 11 there was no resize of them.
        others = [("I;16", 1), ("I;16L", 1)] * (PILLOW >= (13, 0))
        for mode, tolerance in (("I", 1), ("F", 1e-4), *others):
            image = pil_image(photo, mode)
            wanted = np.asarray(image.resize(size[::-1], PILLOW_KERNELS[kernel])).astype(np.float64)
            np.testing.assert_allclose(np.asarray(v2.Resize(size, kernel)(image)), wanted, rtol=0, atol=tolerance)


@pytest.mark.parametrize("mode", ["I;16L", "I;16B", "I;16N"])
def test_pil_16_bit_in_any_byte_order(photo, mode):
    """Pillow 13 takes the bytes of I;16B and I;16N in the wrong order."""
    values = pil_image(photo, "I;16")
    image = PIL.Image.frombytes(mode, values.size, np.asarray(values).astype(ORDERS[mode]).tobytes())
    result = v2.Resize((20, 31))(image)
    assert result.mode == mode
    assert np.array_equal(np.asarray(result), np.asarray(v2.Resize((20, 31))(values)))


ORDERS = {"I;16L": "<u2", "I;16B": ">u2", "I;16N": "=u2"}


def test_area_of_a_transparent_image_is_premultiplied(photo):
    premultiplied = np.asarray(pil_image(photo, "RGBA").convert("RGBa"))
    wanted = PIL.Image.frombytes("RGBa", (31, 20), sr.resize(premultiplied, (20, 31)).tobytes()).convert("RGBA")
    assert same(v2.Resize((20, 31), kernel="area")(pil_image(photo, "RGBA")), wanted)


def test_info_is_kept_as_pillow_keeps_it(photo):
    for mode in ("RGB", "RGBA"):
        image = pil_image(photo, mode)
        image.info = {"dpi": (72, 72), "comments": ["a"]}
        result, wanted = v2.Resize(20)(image), image.resize((28, 20))
        assert result.info == wanted.info
        if PILLOW >= (13, 0):  # older ones share the lists
            assert (result.info["comments"] is image.info["comments"]) == (
                wanted.info["comments"] is image.info["comments"]
            )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", kinds.TENSOR_DTYPES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_tensor_bytes_are_the_cores(photo, layout, dtype, device):
    image = tensor(photo, layout, dtype).to(device)
    images = [image, tv_tensors.Image(image), tv_tensors.Video(image) if image.ndim >= 4 else image]
    for size, kernel, image in zip(SIZES, ("bilinear", "area", "bicubic"), images, strict=False):
        result = check_transform(v2.Resize(size, kernel=kernel), image).as_subclass(torch.Tensor)
        wanted = core_resize(image, size, kernel)
        if dtype in kinds.WIDE_DTYPES:
            # Sums of float64 in another order; whole numbers are rounded after it, to the even one where they tie.
            clipped = wanted if dtype == torch.float64 else wanted.clamp(*limits(dtype))
            tolerance = 1e-13 if dtype == torch.float64 else 1
            torch.testing.assert_close(result.double(), clipped, rtol=1e-12, atol=tolerance)
        elif dtype.is_floating_point:
            # The core's sums are in float64 and their order depends on the layout: the last bit of the result may.
            torch.testing.assert_close(result, wanted, rtol=torch.finfo(dtype).eps, atol=1e-7)
        else:
            assert torch.equal(result, wanted)


def limits(dtype):
    return torch.iinfo(dtype).min, torch.iinfo(dtype).max


# Where channels neither lie together nor apart, as in a crop of an HWC view, torchvision's format varies; ours is kept.
@pytest.mark.parametrize(
    "layout",
    [
        "CHW",
        "HWC view",
        "crop of CHW",
        "NCHW",
        "channels_last",
        "channels_last of one",
        "crop of channels_last",
        "NTCHW",
    ],
)
def test_memory_format_is_torchvisions(photo, layout):
    image = tensor(photo, layout)
    result, wanted = v2.Resize(SIZES[0])(image), stock.Resize(SIZES[0])(image)
    assert result.is_contiguous() == wanted.is_contiguous()
    if image.ndim == 4:
        channels_last = {"memory_format": torch.channels_last}
        assert result.is_contiguous(**channels_last) == wanted.is_contiguous(**channels_last)


# Pixels of a row that do not lie side by side, or images that share memory, are copied.
APART = ("transposed", "expanded", "grey", "two channels")


@pytest.mark.skipif(sr.backend() == "reference", reason="numpy converts what it sums")
@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32], ids=str)
@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name not in APART])
def test_the_core_reads_the_tensor_itself(photo, layout, dtype, monkeypatch):
    """What the C core is given is the tensor's memory: planes where they are planes, pixels where they are pixels."""
    from secure_resize.core import native

    image, seen, run = tensor(photo, layout, dtype), [], native.run
    monkeypatch.setattr(native, "run", lambda plan, array, *rest: seen.append(array) or run(plan, array, *rest))
    for kernel in ("area", "bilinear"):
        v2.Resize(20, kernel=kernel)(image)
    assert len(seen) == 2
    storage = image.untyped_storage()
    for array in seen:
        assert storage.data_ptr() <= array.__array_interface__["data"][0] < storage.data_ptr() + storage.nbytes()
        assert array.size == image.numel()


def test_batched_is_unbatched(photo):
    for layout in ("NCHW", "channels_last"):
        batch = tensor(photo, layout)
        for kernel in ROBUST:
            transform = v2.Resize((20, 31), kernel=kernel)
            assert torch.equal(transform(batch), torch.stack([transform(image) for image in batch]))


def test_pil_and_tensor_agree(photo):
    image = pil_image(photo, "RGB")
    pipeline = [v2.Resize(24, kernel="area"), v2.CenterCrop(20)]
    assert same(v2.Compose([*pipeline, v2.ToImage()])(image), v2.Compose([v2.ToImage(), *pipeline])(image))


def test_an_image_of_that_size_is_returned_itself(photo):
    for image in (pil_image(photo, "RGBA"), tensor(photo, "CHW"), tv_tensors.Image(tensor(photo, "channels_last"))):
        for kernel in sr.KERNELS:
            assert same(v2.Resize((61, 87), kernel=kernel)(image), image)
            assert same(stock.Resize((61, 87))(image), image)


@pytest.mark.parametrize("shape", [(0, 3, 9, 7), (2, 0, 3, 9, 7), (2, 0, 9, 7)])
def test_empty_batches(shape):
    image = torch.empty(shape, dtype=torch.uint8)
    for size in ((4, 5), 3):
        result = v2.Resize(size)(image)
        assert (result.shape, result.dtype) == (stock.Resize(size)(image).shape, torch.uint8)


# --- autograd and torch.compile -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", ROBUST)
@pytest.mark.parametrize("layout", ["CHW", "NCHW", "channels_last"])
def test_gradients_are_the_adjoint(photo, layout, kernel):
    image = tensor(photo, layout, torch.float32).requires_grad_()
    size = (20, 110)
    weights = torch.randn(*image.shape[:-2], *size, generator=torch.Generator().manual_seed(0))
    (v2.Resize(size, kernel=kernel)(image) * weights).sum().backward()

    operator = sr.scaling_operator(image.shape[-2:], size, kernel)
    dense = image.detach().double().requires_grad_()
    rows, cols = torch.from_numpy(operator.rows.dense()), torch.from_numpy(operator.cols.dense())
    ((rows @ dense @ cols.T) * weights).sum().backward()
    # Two computations in float64, rounded to float32 once.
    torch.testing.assert_close(image.grad, dense.grad.float(), rtol=1e-6, atol=1e-7)
    plane = operator.adjoint(weights.reshape(-1, *size)[0].numpy())
    torch.testing.assert_close(image.grad.reshape(-1, 61, 87)[0], torch.from_numpy(plane).float(), rtol=1e-6, atol=1e-7)
    assert interleaved(image.grad) == interleaved(image)


def test_gradients_reach_through_wrappers_crops_and_half_precision(photo):
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        image = tensor(photo, "CHW", dtype).requires_grad_()
        result = v2.RandomResizedCrop(20)(tv_tensors.Image(image))
        result.sum().backward()
        assert (image.grad.dtype, image.grad.shape) == (dtype, image.shape)
        # Every output is a mean: the gradient of a sum of 20 × 20 in 3 channels sums to 1200.
        assert image.grad.double().sum().item() == pytest.approx(1200, rel=0.02)


def test_second_derivatives(photo):
    image = tensor(photo, "CHW", torch.float32).requires_grad_()
    (first,) = torch.autograd.grad(v2.Resize(20)(image).square().sum(), image, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), image)
    assert second.abs().sum() > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Resize", "RandomResizedCrop"])
def test_compiled_is_eager(photo, name):
    image = tensor(photo, "channels_last")
    transform = getattr(v2, name)(20, kernel="lanczos")
    compiled = torch.compile(lambda x: transform(x.flip(-1)).float() / 255, backend="eager")
    for _ in range(2):
        torch.manual_seed(0)
        wanted = transform(image.flip(-1)).float() / 255
        torch.manual_seed(0)
        assert torch.equal(compiled(image), wanted)
