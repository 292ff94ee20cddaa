"""The resize as torch's own kind of operation: derivatives, tracers, exports, and the graph that needs no package."""

# ruff: noqa: E402, what needs torch is imported after the check for it

import os
import pickle
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from test_torchvision import interleaved, photo_fixture, tensor  # noqa: F401
from torch._subclasses import FakeTensorMode
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx
from torchvision import tv_tensors
from torchvision.transforms import v2 as stock

import secure_resize as sr
from secure_resize.integrations.torchvision import functional, kinds, v2

# torch uses in its forward mode what it deprecates.
pytestmark = [
    pytest.mark.once,
    pytest.mark.filterwarnings(
        "ignore:.*torch.jit.* is deprecated",
        "ignore::torch.jit.TracerWarning",
        "ignore:The .grad attribute of a Tensor that",
    ),
]

ROBUST = [name for name, kernel in sr.KERNELS.items() if kernel.robust]
SIZES = [(20, 31), (80, 40), (61, 30), (90, 120), (10, 80)]  # of 61 × 87
op = torch.ops.secure_resize.resize.default
PATHS = ("op", "graph")


@pytest.fixture(name="image")
def image_fixture(photo):
    return tensor(photo, "CHW")


@pytest.fixture(name="other")
def other_fixture(photo):
    return tensor(photo, "CHW").flip(-1).contiguous()


# --- the graph gives the operation's bytes ------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", kinds.TENSOR_DTYPES, ids=str)
@pytest.mark.parametrize("layout", ["CHW", "HWC view", "channels_last"])
def test_the_graph_gives_the_same_bytes(photo, layout, dtype):
    image = tensor(photo, layout, dtype)
    for kernel in ROBUST:
        for size in SIZES:
            wanted = functional.resize(image, size, kernel=kernel)
            result = functional.resize(image, size, kernel=kernel, path="graph")
            assert (result.dtype, interleaved(result)) == (dtype, interleaved(wanted))
            if dtype == torch.float32:  # sums of float64 in another order: the last bit of the result may differ
                torch.testing.assert_close(result, wanted, rtol=2**-23, atol=1e-7)
            else:
                assert torch.equal(result, wanted)


def test_neither_path_passes_nan_on_to_outputs_that_do_not_read_it(image):
    image = image.float()
    image[:, 5, 7], image[:, 50, 80] = torch.nan, torch.inf
    for path in PATHS:
        result = functional.resize(image, [20, 31], path=path)
        wanted = sr.resize(image.movedim(0, -1).contiguous().numpy(), (20, 31), kernel="bilinear")
        assert torch.equal(result.isfinite(), torch.from_numpy(wanted).movedim(-1, 0).isfinite())
        assert 0 < (~result.isfinite()).sum() < 100


def test_the_graph_refuses_what_the_core_refuses():
    image = torch.zeros(3, 432, 432, dtype=torch.uint8)
    for path in PATHS:
        with pytest.raises(ValueError, match="weighs source pixels unevenly"):
            functional.resize(image, [224, 224], kernel="box", path=path)


# --- derivatives --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kernel", ROBUST)
def test_derivatives_are_right(kernel, path):
    """Against finite differences: backwards, forwards, batched, and the second ones of each."""
    image = torch.rand(2, 5, 6, dtype=torch.float64, requires_grad=True)

    def resize(x):
        return functional.resize(x, [3, 8], kernel=kernel, path=path)

    assert torch.autograd.gradcheck(resize, image, check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: resize(x) ** 2, image, check_fwd_over_rev=True)


@pytest.mark.parametrize("path", PATHS)
def test_transforms_of_functions(path):
    """torch.func: the Jacobian is the Kronecker product of the two axes' matrices, by all of its ways."""
    image = torch.rand(1, 5, 6, dtype=torch.float64)
    operator = sr.scaling_operator((5, 6), (3, 4), "bicubic")
    rows, cols = (torch.from_numpy(axis.dense()) for axis in (operator.rows, operator.cols))
    wanted = torch.einsum("ip,jq->ijpq", rows, cols)[None, :, :, None]

    def resize(x):
        return functional.resize(x, [3, 4], kernel="bicubic", path=path)

    for jacobian in (torch.func.jacrev(resize), torch.func.jacfwd(resize)):
        torch.testing.assert_close(jacobian(image), wanted)
    hessian = torch.func.hessian(lambda x: (resize(x) ** 2).sum() / 2)(image)
    torch.testing.assert_close(hessian.reshape(30, 30), wanted.reshape(12, 30).T @ wanted.reshape(12, 30))
    batch = torch.rand(4, 1, 5, 6, dtype=torch.float64)
    gradients = torch.func.vmap(torch.func.grad(lambda x: (resize(x) ** 2).sum()))(batch)
    torch.testing.assert_close(gradients, torch.stack([2 * rows.T @ resize(x) @ cols for x in batch]))


@pytest.mark.parametrize("path", PATHS)
def test_vmap_over_any_dimension(image, other, path):
    wanted = torch.stack([functional.resize(x, [20, 31]) for x in (image, other)])
    for dim in range(4):
        batch = torch.stack([image, other], dim)
        result = torch.func.vmap(lambda x: functional.resize(x, [20, 31], path=path), in_dims=dim)(batch)
        assert torch.equal(result, wanted)


def test_a_tangent_is_resized(image):
    """Which torch.library.register_autograd would make zero without a word."""
    primal, tangent = image.float(), torch.rand(image.shape)
    with forward_ad.dual_level():
        result = forward_ad.unpack_dual(v2.Resize((20, 31))(forward_ad.make_dual(primal, tangent)))
    assert torch.equal(result.tangent, v2.Resize((20, 31))(tangent))


def test_an_empty_batch_keeps_its_gradient():
    for module in (stock, v2):
        image = torch.zeros(0, 3, 9, 7, requires_grad=True)
        (gradient,) = torch.autograd.grad(module.Resize((4, 5))(image).sum(), image)
        assert gradient.shape == (0, 3, 9, 7)


def test_torchs_own_check_of_operations(image):
    float_image = image.float().requires_grad_()
    for arguments in (
        (image, [20, 31], "area"),
        (float_image, [70, 31], "bicubic"),
        (image[None, :, 3:], [9, 9], "lanczos"),
    ):
        torch.library.opcheck(op, arguments)
    torch.library.opcheck(torch.ops.secure_resize.resize_adjoint.default, (float_image, [70, 99], "bicubic"))
    reconstruct = torch.ops.secure_resize.reconstruct.default
    torch.library.opcheck(reconstruct, (image, [20, 31], "opencv:linear", "median", 2.0))


# --- tracers ------------------------------------------------------------------------------------------------------


def traced_resizes(graph):
    return [node for node in graph.nodes if "resize" in str(node.target)]


@pytest.mark.parametrize("mode", ["real", "fake", "symbolic"])
def test_make_fx_records_the_resize(image, other, mode):
    """It used to record the first picture's result, as a constant."""
    for transform in (v2.Resize((20, 31)), v2.Reconstruct((20, 31)), v2.Resize((20, 31), path="graph")):
        if mode == "symbolic" and getattr(transform, "path", "") == "graph":
            with pytest.raises(ValueError, match="sizes that are known when the graph is made"):
                make_fx(transform, tracing_mode=mode)(image)
            continue
        graph = make_fx(transform, tracing_mode=mode)(image)
        assert torch.equal(graph(other), transform(other))


def test_fake_and_meta_tensors(image):
    for path in PATHS:
        transform = v2.Resize((20, 31), path=path)
        with FakeTensorMode() as mode:
            fake = transform(mode.from_tensor(image))
        assert type(fake).__name__ == "FakeTensor"
        meta = transform(image.to("meta"))
        assert fake.shape == meta.shape == (3, 20, 31)
        assert meta.is_meta
        assert meta.dtype == torch.uint8


def test_functionalize(image):
    for path in PATHS:
        transform = v2.Resize((20, 31), path=path)
        assert torch.equal(torch.func.functionalize(transform)(image), transform(image))


class Net(torch.nn.Module):
    def __init__(self, transform):
        super().__init__()
        self.transform = transform

    def forward(self, x):
        return self.transform(x.flip(-1)) * 2


def test_symbolic_trace_records_the_resize(image):
    """torchvision's own transforms are silently left out of what it records."""
    assert not traced_resizes(torch.fx.symbolic_trace(Net(stock.Resize(20))).graph)
    for transform in (v2.Resize(20), v2.Resize((20, 31), kernel="area", path="graph")):
        graph = pickle.loads(pickle.dumps(torch.fx.symbolic_trace(Net(transform))))
        assert len(traced_resizes(graph.graph)) == 1
        assert torch.equal(graph(image), Net(transform)(image))
        assert torch.equal(torch.fx.symbolic_trace(transform)(image), transform(image))
    with pytest.raises(TypeError, match="symbolic_trace cannot record RandomResizedCrop"):
        torch.fx.symbolic_trace(Net(v2.RandomResizedCrop(20)))
    with pytest.raises(TypeError, match="symbolic_trace cannot record Reconstruct"):
        torch.fx.symbolic_trace(Net(v2.Reconstruct((20, 20))))
    crop = torch.fx.symbolic_trace(lambda x: v2.functional.resized_crop(x, 3, 4, 30, 40, [9, 9]))
    assert torch.equal(crop(image), v2.functional.resized_crop(image, 3, 4, 30, 40, [9, 9]))


def test_jit_trace_records_the_resize(image, other):
    for transform in (v2.Resize((20, 31)), v2.Resize(20, path="graph")):
        traced = torch.jit.trace(transform, image)
        assert torch.equal(traced(other), transform(other))


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS)
def test_compiles_without_a_break(image, other, path):
    transform = v2.Resize((20, 31), kernel="lanczos", path=path)
    for backend in ("eager", "aot_eager"):
        torch._dynamo.reset()
        compiled = torch.compile(lambda x: transform(x.flip(-1)).float() / 255, backend=backend, fullgraph=True)
        for x in (image, other):
            assert torch.equal(compiled(x), transform(x.flip(-1)).float() / 255)
    x = image.float().requires_grad_()
    torch._dynamo.reset()
    compiled = torch.compile(lambda x: transform(x).square().sum(), backend="aot_eager", fullgraph=True)
    gradients = [torch.autograd.grad(f(x), x)[0] for f in (compiled, lambda x: transform(x).square().sum())]
    torch.testing.assert_close(*gradients, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("strict", [False, True])
def test_exports(image, other, strict):
    """With any number of images; the operation also with images of any size."""
    batch, images = torch.export.Dim("batch"), torch.stack([image, other, image])
    for path in PATHS:
        net = Net(v2.Resize((20, 31), path=path))
        program = torch.export.export(net, (images[:2],), dynamic_shapes=({0: batch},), strict=strict)
        assert torch.equal(program.module()(images), net(images))
        recorded = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
        assert ("secure_resize.resize.default" in recorded) == (path == "op")
        assert any("secure_resize" in name for name in recorded) == (path == "op")
    sizes = {1: torch.export.Dim("height", min=40), 2: torch.export.Dim("width", min=41)}
    net = Net(v2.Resize((20, 31)))
    program = torch.export.export(net, (image,), dynamic_shapes=(sizes,), strict=strict)
    assert torch.equal(program.module()(image[:, :50, :70]), net(image[:, :50, :70]))


@pytest.mark.slow
def test_an_exported_graph_runs_where_the_package_is_not_installed(image, other, tmp_path):
    net = Net(v2.Resize((20, 31), "bicubic", path="graph"))
    torch.export.save(torch.export.export(net, (image,)), tmp_path / "net.pt2")
    torch.save((other, net(other)), tmp_path / "pair.pt")
    code = (
        "import sys, torch; sys.modules['secure_resize'] = None; sys.modules['torchvision'] = None\n"
        "image, wanted = torch.load('pair.pt')\n"
        "assert torch.equal(torch.export.load('net.pt2').module()(image), wanted)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)


# --- subclasses and kernels of your own -----------------------------------------------------------------------------


class Counted(torch.Tensor):
    """A tensor that counts the operations on it."""

    calls = 0

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        Counted.calls += 1
        return super().__torch_function__(func, types, args, kwargs or {})


class Thermal(tv_tensors.Image):
    """An image of a user's own, without a kernel."""


class Sonar(tv_tensors.Image):
    """An image of a user's own, with a kernel."""


class Track(tv_tensors.TVTensor):
    """No image, with a kernel."""


@pytest.fixture(scope="module", autouse=True)
def _kernels():
    @v2.functional.register_kernel(v2.functional.resize, Sonar)  # ours, where torchvision's would be named
    def _sonar(inpt, size, *args, **kwargs):
        return tv_tensors.wrap(inpt[..., : size[0], : size[1]] + 1, like=inpt)

    @stock.functional.register_kernel("resize", Track)
    def _track(inpt, size, *args, **kwargs):
        return tv_tensors.wrap(inpt * size[0], like=inpt)


def test_subclasses_keep_their_type(image):
    wanted = functional.resize(image, [20, 31])
    for path in PATHS:
        transform = v2.Resize((20, 31), path=path)
        for kind in (Counted, Thermal, torch.nn.Parameter):
            inpt = torch.nn.Parameter(image.float()) if kind is torch.nn.Parameter else image.as_subclass(kind)
            result = transform(inpt)
            assert type(result) is type(stock.Resize((20, 31))(inpt))
            if kind is not torch.nn.Parameter:
                assert torch.equal(result.as_subclass(torch.Tensor), wanted)
    assert Counted.calls > 0


def test_users_kernels_are_called_as_in_torchvision(image):
    sonar, track = image.as_subclass(Sonar), torch.ones(3).as_subclass(Track)
    for call in (lambda module, x: module.Resize([20, 31])(x), lambda module, x: module.functional.resize(x, [20, 31])):
        assert torch.equal(call(v2, sonar), image[..., :20, :31] + 1)
        assert type(call(v2, sonar)) is Sonar
        assert torch.equal(call(v2, track), call(stock, track))
    results = []
    for module in (v2, stock):
        torch.manual_seed(0)
        results.append(module.RandomResize(20, 31)(track))
    assert torch.equal(*results)
    with pytest.raises(ValueError, match=r"torchvision\.transforms\.v2\.functional namespace"):
        functional.register_kernel(len, Sonar)
