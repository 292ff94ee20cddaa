"""``decode``: every kind of file, what crafted ones show, what broken ones raise; as a loader and in a graph."""

import io
import os
import pickle
import subprocess
import sys
import threading
from importlib.util import find_spec

import numpy as np
import pytest
from test_jpeg import needs_coefficients, pair, picture

import secure_resize as sr
from secure_resize import decoding

PIL = pytest.importorskip("PIL.Image")
needs_fast = pytest.mark.skipif(find_spec("simplejpeg") is None, reason="needs simplejpeg")


def file_of(image, format="JPEG", **options):
    file = io.BytesIO()
    (PIL.fromarray(image) if isinstance(image, np.ndarray) else image).save(file, format, **options)
    return file.getvalue()


@pytest.fixture(params=["pillow", pytest.param("simplejpeg", marks=needs_fast)])
def decoder(request, monkeypatch):
    """Both ways to the same bytes; the fast one has to have run where it should."""
    image, formats, fast = decoding._modules()
    ran = []
    if request.param == "pillow":
        monkeypatch.setattr(decoding, "_modules", lambda: (image, formats, None))
    else:
        real = fast.decode_jpeg
        monkeypatch.setattr(fast, "decode_jpeg", lambda *a, **k: ran.append(1) or real(*a, **k))
    return request.param, ran


def whole(data):
    with PIL.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


# The definition.


@pytest.mark.parametrize("kernel", ["area", "bicubic"])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_jpeg_is_the_full_decode_resized(decoder, subsampling, kernel):
    for shape in ((97, 130), (64, 64), (33, 8)):
        image = picture("coffee", 130)[: shape[0], : shape[1]]
        for options in ({"quality": 30}, {"quality": 95, "progressive": True}):
            data = file_of(image, subsampling=subsampling, **options)
            expected = sr.resize(whole(data), (24, 31), kernel=kernel)
            np.testing.assert_array_equal(sr.decode(data, (24, 31), kernel=kernel), expected)
    assert decoder[0] == "pillow" or decoder[1]


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_grey_and_colour(decoder, grey, mode):
    data = file_of(picture("astronaut", 100, grey))
    with PIL.open(io.BytesIO(data)) as image:
        expected = sr.resize(np.asarray(image.convert(mode)), (20, 20))
    np.testing.assert_array_equal(sr.decode(data, (20, 20), mode=mode), expected)


@needs_coefficients
@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
def test_crafted_files_show_what_everybody_sees(decoder, factor, subsampling):
    source, target = pair(factor)
    crafted = sr.attacks.craft_file(source, target, "pillow:draft", subsampling=subsampling)
    out = sr.decode(crafted.data, target.shape[:2])
    np.testing.assert_array_equal(out, sr.resize(crafted.shown, target.shape[:2]))
    assert sr.attacks.psnr(out, target) < 15 < 25 < crafted.psnr_target


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM"])
def test_other_formats(format, tmp_path):
    options = {"lossless": True} if format == "WEBP" else {}
    image = picture("coffee", 90)
    path = tmp_path / "picture"
    path.write_bytes(file_of(image, format, **options))
    expected = sr.resize(whole(path.read_bytes()), (30, 20))
    for file in (path, str(path), path.read_bytes(), bytearray(path.read_bytes()), memoryview(path.read_bytes())):
        np.testing.assert_array_equal(sr.decode(file, (30, 20)), expected)


@pytest.mark.parametrize("kernel", ["area", "lanczos"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(decoder, orientation, kernel):
    from PIL import ImageOps

    exif = PIL.Exif()
    exif[0x0112] = orientation
    data = file_of(picture("coffee", 120)[:70], exif=exif)
    with PIL.open(io.BytesIO(data)) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(sr.decode(data, (19, 33), kernel=kernel), sr.resize(upright, (19, 33), kernel=kernel))
    plain = sr.decode(data, (19, 33), kernel=kernel, exif=False)
    np.testing.assert_array_equal(plain, sr.resize(whole(data), (19, 33), kernel=kernel))


def test_cmyk_palette_and_16_bits():
    image = PIL.fromarray(picture("coffee", 90))
    for data in (
        file_of(image.convert("CMYK")),
        file_of(image.convert("CMYK"), "TIFF"),
        file_of(image.convert("P"), "PNG"),
        file_of(image.convert("1"), "PNG"),
        file_of(image.convert("YCbCr"), "TIFF"),
    ):
        np.testing.assert_array_equal(sr.decode(data, (31, 31)), sr.resize(whole(data), (31, 31)))
    deep = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16
    for format in ("PNG", "TIFF"):
        data = file_of(deep, format)
        expected = np.round(sr.resize(deep, (8, 8)) / 257).astype(np.uint8)  # never a half: 257 is odd
        np.testing.assert_array_equal(sr.decode(data, (8, 8), mode="L"), expected)
        np.testing.assert_array_equal(sr.decode(data, (8, 8)), np.repeat(expected[..., None], 3, axis=2))
    for wide in (np.float32, np.int32):
        with pytest.raises(sr.DecodeError, match="32 bits"):
            sr.decode(file_of(np.ones((8, 8), wide), "TIFF"), (4, 4))


def test_transparency_is_laid_over_the_background():
    image = np.dstack([picture("coffee", 60), np.zeros((60, 60), np.uint8)])
    image[:, 30:, 3] = 255
    data = file_of(image, "PNG")
    out = sr.decode(data, (6, 6))
    assert (out[:, :3] == 255).all()  # hidden colours stay hidden
    np.testing.assert_array_equal(out[:, 3:], sr.resize(image[:, 30:, :3], (6, 3)))
    assert (sr.decode(data, (6, 6), background=(9, 8, 7))[0, 0] == [9, 8, 7]).all()
    np.testing.assert_array_equal(sr.decode(data, (6, 6), background=None), sr.resize(image[..., :3], (6, 6)))
    palette = PIL.fromarray(image).quantize(16)
    assert (sr.decode(file_of(palette, "PNG"), (6, 6))[:, :2] == 255).all()


def test_an_animation_is_its_first_picture():
    first, second = (PIL.fromarray(picture(name, 40)).convert("P") for name in ("coffee", "astronaut"))
    data = file_of(first, "GIF", save_all=True, append_images=[second])
    np.testing.assert_array_equal(sr.decode(data, (10, 10)), sr.decode(file_of(first, "GIF"), (10, 10)))


# What is no picture.


def test_truncated_files(decoder):
    for format in ("JPEG", "PNG", "TIFF", "WEBP"):
        image = picture("coffee", 128)
        data = file_of(image, format)
        half = data[: len(data) // 2]
        with pytest.raises(sr.DecodeError):
            sr.decode(half, (16, 16))
        if format in ("JPEG", "PNG"):
            out = sr.decode(half, (16, 16), truncated="pad")
            np.testing.assert_array_equal(out[:4], sr.decode(data, (16, 16))[:4])
            assert not np.array_equal(out[-4:], sr.decode(data, (16, 16))[-4:])
    from PIL import ImageFile

    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_bombs_are_refused_before_they_are_decoded(decoder):
    data = file_of(picture("coffee", 128))
    with pytest.raises(sr.DecodeError, match="128×128 pixels are more than max_pixels=16383"):
        sr.decode(data, (8, 8), max_pixels=128 * 128 - 1)
    sr.decode(data, (8, 8), max_pixels=128 * 128)
    sizes = data.index(b"\xff\xc0") + 5
    giant = data[:sizes] + b"\xff\xdc\xff\xdc" + data[sizes + 4 :]  # 65 500 × 65 500
    with pytest.raises(sr.DecodeError, match="exceeds limit"):
        sr.decode(giant, (8, 8))


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8\xff", b"GIF89a", b"nothing of the kind", b"%!PS-Adobe-3.0 EPSF-3.0\n"]
)
def test_what_is_no_image(decoder, data):
    with pytest.raises(sr.DecodeError, match="no image that Pillow"):
        sr.decode(data, (8, 8))


GREY = np.full((64, 64, 3), 128, np.uint8)


@pytest.fixture
def strange_open(monkeypatch):
    """What some libraries put in the place of Pillow's: it looks for a package of theirs."""

    def strange(*arguments, **options):
        raise ModuleNotFoundError("No module named 'pi_heif'")

    monkeypatch.setattr(PIL, "open", strange)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n" + bytes(40), b"nothing of the kind"])
def test_a_library_that_replaces_pillows_open_changes_nothing(strange_open, data):
    with pytest.raises(sr.DecodeError, match=r"no image that Pillow|cannot be decoded"):
        sr.decode(data, (8, 8))
    with pytest.raises(ValueError, match="no picture that Pillow can read"):
        sr.inspect(data)
    (row,) = sr.scan.Look(size=(8, 8))([("a.png", data or b"\xff\xd8\xff")])
    assert [one.code for one in row.troubles] in ([], ["SR402"])
    np.testing.assert_array_equal(sr.decode(file_of(GREY, "PNG"), (64, 64)), GREY)


@needs_coefficients
def test_no_jpeg_file_whoever_replaced_pillows_open(strange_open):
    with pytest.raises(ValueError, match="no JPEG file"):
        sr.overshoot(b"no picture")
    assert sr.overshoot(file_of(GREY)).size == (64, 64)


@pytest.mark.parametrize("error", [ImportError("no such plug-in"), RuntimeError("bad"), KeyError("x"), OSError("end")])
def test_a_reader_that_fails_is_about_the_file(error, monkeypatch):
    def broken(stream, name):
        raise error

    monkeypatch.setitem(PIL.OPEN, "PNG", (broken, PIL.OPEN["PNG"][1]))
    with pytest.raises(sr.DecodeError, match=f"cannot be decoded: {type(error).__name__}"):
        sr.decode(file_of(GREY, "PNG"), (8, 8))


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ultralytics") is None, reason="needs ultralytics")
def test_ultralytics_imported_first():
    """Its own Image.open asks for a package when no reader knows the file, and raises what that gives."""
    code = (
        "import ultralytics.data.augment, PIL.Image, secure_resize as sr\n"
        "assert PIL.Image.open.__module__ == 'ultralytics.utils.patches'\n"
        "try: sr.decode(b'nothing of the kind', (8, 8))\n"
        "except sr.DecodeError as error: print(error)\n"
        "print([one.code for one in sr.scan.Look(size=(8, 8))([('a', b'\\xff\\xd8\\xffno')])[0].troubles])\n"
    )
    environment = {**os.environ, "YOLO_OFFLINE": "true"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr[-2000:]
    assert "this is no image that Pillow" in run.stdout
    assert "['SR402']" in run.stdout
    assert "pi-heif" not in run.stdout + run.stderr


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"file": 7}, TypeError, "bytes or its path, got int"),
        ({"file": np.zeros((8, 8), np.uint8)}, TypeError, "got ndarray"),
        ({"file": "/nowhere/at/all.jpg"}, FileNotFoundError, "nowhere"),
        ({"size": 224}, TypeError, "size must be"),
        ({"size": (0, 5)}, ValueError, "height must lie"),
        ({"kernel": "nearest"}, ValueError, "unknown kernel"),
        ({"mode": "RGBA"}, ValueError, "unknown mode 'RGBA'; valid: RGB, L"),
        ({"truncated": "keep"}, ValueError, "'error' or 'pad', got 'keep'"),
        ({"background": 255}, ValueError, "background must be"),
        ({"background": (0, 0, 256)}, ValueError, "background must be"),
        ({"max_pixels": 0}, ValueError, "max_pixels must be"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        sr.decode(**{"file": file_of(picture("coffee", 32)), "size": (8, 8), **arguments})


def test_a_missing_pillow_is_said_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    decoding._modules.cache_clear()
    with pytest.raises(ImportError, match=r"^decode\(\) needs Pillow: pip install pillow$"):
        sr.decode(b"", (1, 1))
    decoding._modules.cache_clear()


def test_mutated_files_give_an_image_or_a_clear_error():
    """A few of what tests/proofs/decode_fuzz.py runs by the thousand."""
    import decode_fuzz

    done = decode_fuzz.run(range(80))
    assert sum(done.values()) == 80
    assert set(done) <= {"image", "error"}
    assert min(done.values()) > 5


def test_threads_share_it():
    data = [file_of(picture(name, 128)) for name in ("coffee", "astronaut")] * 8
    expected = [sr.decode(one, (16, 16)) for one in data]
    results = [None] * len(data)

    def work(index):
        results[index] = sr.decode(data[index], (16, 16))

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(data))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for a, b in zip(results, expected, strict=True):
        np.testing.assert_array_equal(a, b)


# In the frameworks.


def test_as_a_loader_of_an_image_folder(tmp_path):
    torch = pytest.importorskip("torch")
    datasets = pytest.importorskip("torchvision.datasets")
    from secure_resize.integrations.torchvision import v2

    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for number in range(3):
            (tmp_path / label / f"{number}.jpg").write_bytes(file_of(picture("coffee", 60 + 7 * number)))
    loader = v2.load((24, 20), kernel="bicubic")
    assert repr(loader) == "load((24, 20), kernel='bicubic')"
    folder = datasets.ImageFolder(
        tmp_path, loader=pickle.loads(pickle.dumps(loader)), transform=v2.ToDtype(torch.float32)
    )
    for batch, _ in torch.utils.data.DataLoader(folder, batch_size=6):
        expected = [sr.decode(path, (24, 20), kernel="bicubic").astype(np.float32) for path, _ in folder.samples]
        np.testing.assert_array_equal(batch.numpy().transpose(0, 2, 3, 1), np.stack(expected))
    assert v2.load((8, 8), mode="L")(tmp_path / "a" / "0.jpg").shape == (1, 8, 8)


@pytest.mark.parametrize("channels", [1, 3])
def test_in_tensorflow(tmp_path, channels):
    tf = pytest.importorskip("tensorflow")
    from secure_resize.integrations import tensorflow as srtf

    mode = "L" if channels == 1 else "RGB"
    files = [
        file_of(picture("coffee", 100, grey=channels == 1)),
        file_of(picture("astronaut", 90, grey=channels == 1), "PNG"),
    ]
    expected = [sr.decode(data, (20, 24), mode=mode).reshape(20, 24, channels) for data in files]

    def decoded(contents):
        return srtf.decode_and_resize(contents, (20, 24), channels=channels)

    eager = [decoded(data).numpy() for data in files]
    dataset = tf.data.Dataset.from_tensor_slices(files).map(decoded)
    assert dataset.element_spec.shape == (20, 24, channels)
    module = tf.Module()
    module.f = tf.function(decoded, input_signature=[tf.TensorSpec((), tf.string)])
    tf.saved_model.save(module, str(tmp_path))
    exported = tf.saved_model.load(str(tmp_path))
    for got in (eager, [x.numpy() for x in dataset], [exported.f(tf.constant(data)).numpy() for data in files]):
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_array_equal(a, b)


@needs_coefficients
def test_tensorflow_is_safe_for_crafted_files():
    tf = pytest.importorskip("tensorflow")
    from secure_resize.integrations import tensorflow as srtf

    source, target = pair(8)
    crafted = sr.attacks.craft_file(source, target, "tensorflow:decode_jpeg+ratio")
    assert crafted.success
    out = srtf.decode_and_resize(crafted.data, (16, 16)).numpy()
    np.testing.assert_array_equal(out, sr.resize(crafted.shown, (16, 16)))
    with pytest.raises(tf.errors.InvalidArgumentError):
        srtf.decode_and_resize(crafted.data[:500], (16, 16))
    with pytest.raises(ValueError, match="channels must be 1 or 3, got 4"):
        srtf.decode_and_resize(crafted.data, (16, 16), channels=4)
