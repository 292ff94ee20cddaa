"""Images on a CUDA device: they stay there, on the current stream, and have the CPU's bytes. Needs torch alone."""

# ruff: noqa: E402, what needs torch is imported after the check for it

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

import secure_resize as sr
from secure_resize.integrations.torchvision import functional, kinds, v2

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

ROBUST = [name for name, kernel in sr.KERNELS.items() if kernel.robust]
SIZES = [(20, 31), (80, 40), (61, 30), (90, 120), (10, 80)]  # of 61 × 87


def picture(dtype, shape=(3, 61, 87)):
    pixels = np.random.default_rng(0).integers(0, 256, shape)
    if dtype.is_floating_point:
        return torch.from_numpy(pixels / 255).to(dtype)
    return torch.from_numpy(pixels > 127) if dtype == torch.bool else torch.from_numpy(pixels).to(dtype)


@pytest.mark.parametrize("dtype", kinds.TENSOR_DTYPES, ids=str)
@pytest.mark.parametrize("path", ["op", "graph"])
def test_the_bytes_are_the_cpus(dtype, path):
    image = picture(dtype)
    for kernel in ROBUST:
        for size in SIZES:
            wanted = functional.resize(image, size, kernel=kernel)
            result = functional.resize(image.cuda(), size, kernel=kernel, path=path)
            assert (result.device.type, result.dtype) == ("cuda", dtype)
            if dtype.is_floating_point:
                torch.testing.assert_close(result.cpu(), wanted, rtol=torch.finfo(dtype).eps, atol=1e-7)
            elif dtype in kinds.WIDE_DTYPES:  # sums of float64 in another order, rounded
                assert (result.cpu().double() - wanted.double()).abs().max() <= 1
            else:
                assert torch.equal(result.cpu(), wanted)


def test_memory_formats_and_batches_stay():
    batch = picture(torch.uint8, (5, 3, 61, 87)).cuda()
    for image in (batch, batch.contiguous(memory_format=torch.channels_last), batch[0], batch[:0]):
        for kernel in ("area", "lanczos"):
            result, wanted = (functional.resize(x, [20, 31], kernel=kernel) for x in (image, image.cpu()))
            assert torch.equal(result.cpu(), wanted)
            assert result.stride() == wanted.stride()
            assert result.device == image.device


def test_a_large_batch_is_resized_in_parts(monkeypatch):
    from secure_resize.integrations.torchvision import op

    batch = picture(torch.uint8, (7, 3, 61, 87)).cuda()
    wanted = functional.resize(batch, [20, 31])
    monkeypatch.setattr(op, "MAX_TAPS", 61 * 87 * 20)
    assert torch.equal(functional.resize(batch, [20, 31]), wanted)


def test_it_runs_on_the_current_stream():
    """Without waiting for others, and after what was queued before it."""
    image = picture(torch.uint8).cuda()
    wanted = functional.resize(picture(torch.uint8).flip(-1), [20, 31])
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        torch.cuda._sleep(50_000_000)
        turned = image.flip(-1)
        result = functional.resize(turned, [20, 31])
    stream.synchronize()
    assert torch.equal(result.cpu(), wanted)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # torch 2.11's own, for jvp
def test_derivatives_on_the_device():
    image = torch.rand(2, 5, 6, dtype=torch.float64, device="cuda", requires_grad=True)
    for path in ("op", "graph"):
        assert torch.autograd.gradcheck(lambda x, path=path: functional.resize(x, [3, 8], path=path), image)
    x = torch.rand(3, 61, 87, device="cuda", requires_grad=True)
    functional.resize(x, [20, 31]).sum().backward()
    assert x.grad.device.type == "cuda"
    tangent = torch.func.jvp(lambda x: functional.resize(x, [20, 31]), (x.detach(),), (x.detach(),))[1]
    torch.testing.assert_close(tangent, functional.resize(x.detach(), [20, 31]))


def test_programs_on_the_device():
    image = picture(torch.uint8).cuda()
    for path in ("op", "graph"):
        transform = v2.Resize((20, 31), path=path)
        program = torch.export.export(torch.nn.Sequential(transform), (image,))
        assert torch.equal(program.module()(image), transform(image))
        compiled = torch.compile(
            lambda x, transform=transform: transform(x).float(), fullgraph=True, backend="aot_eager"
        )
        assert torch.equal(compiled(image), transform(image).float())


def test_transforms_on_the_device():
    image = picture(torch.uint8, (3, 96, 120)).cuda()
    for transform in (v2.RandomResizedCrop(20), v2.RandomAffine(30, scale=(0.2, 0.4)), v2.RandomPerspective(p=1)):
        torch.manual_seed(0)
        result = transform(image)
        torch.manual_seed(0)
        difference = (result.cpu().int() - transform(image.cpu()).int()).abs()
        assert result.device.type == "cuda"
        assert difference.max() <= (0 if isinstance(transform, v2.RandomResizedCrop) else 1)
    with pytest.raises(ValueError, match="height must lie between 1"):
        functional.resize(image, [0, 4])
