"""The selective filters of the C extension give the numpy reference's bytes at every instruction set and layout."""

from __future__ import annotations

import ctypes
import functools
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from secure_resize.core import reference
from secure_resize.core.selection import NETWORK_LIMIT, TWICE_LIMIT, Selection, median_network
from secure_resize.core.taps import PRECISION_BITS
from secure_resize.scaling import MAX_AXIS

_native = pytest.importorskip("secure_resize.core.native._native", reason="the C extension was not built")
from secure_resize.core import native  # noqa: E402

pytestmark = pytest.mark.once

LEVELS = native.levels()


def selection_of(rng, height, width, half, ratio):
    """Read rows and columns as scalers have them, in groups at a ratio, or at random."""
    indices = []
    for n in (height, width):
        if rng.random() < 0.5:
            index = np.flatnonzero(rng.random(n) < rng.uniform(0.05, 1))
        else:
            first = (np.arange(max(1, int(n / ratio))) * ratio).astype(int)
            index = np.unique(np.clip([first, first + rng.integers(0, 2)], 0, n - 1))
        indices.append((index if len(index) else np.array([n - 1])).astype(np.int32))
    return Selection((height, width), *indices, half)


def assert_parity(image, selection, keys):
    for name, extra in (("select_median", ()), ("select_random", (keys,))):
        expected = np.full(image.shape, 9, image.dtype)
        getattr(reference, name)(image, expected, selection, *extra)
        for level in LEVELS:
            with native.use_level(level):
                result = np.full(image.shape, 9, image.dtype)
                getattr(native, name)(image, result, selection, *extra)
            np.testing.assert_array_equal(result, expected, err_msg=f"{name} at {level}")


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    size=st.tuples(st.integers(1, 60), st.one_of(st.integers(1, 60), st.integers(150, 500))),
    half=st.tuples(st.integers(0, 8), st.integers(0, 9)),
    channels=st.sampled_from([1, 2, 3, 3, 3, 4, 5, 17]),
    ratio=st.floats(1, 12),
    levels=st.sampled_from([2, 3, 256]),
)
def test_the_filters_are_the_reference(seed, size, half, channels, ratio, levels):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, levels, (1 + seed % 2, *size, channels), np.uint8)
    image[image == levels - 1] = 255
    selection = selection_of(rng, *size, half, ratio)
    assert_parity(image, selection, rng.integers(0, 256, (len(image), 32), np.uint8))


@pytest.mark.parametrize("half", [(7, 8), (9, 9), (20, 20)])
def test_windows_searched_bit_by_bit(half):
    """225, 361 and 1681 values: below and above what a byte counts."""
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (1, 60, 80, 3), np.uint8)
    assert_parity(image, selection_of(rng, 60, 80, half, 11.3), rng.integers(0, 256, (1, 32), np.uint8))


@pytest.mark.slow
@pytest.mark.parametrize("half", [(0, 20), (1, 24), (3, 48), (6, 60), (0, 199)])
def test_draws_from_wide_windows(half):
    """Thousands of divisions by widths at which 1 / width times a multiple of it is rounded below a whole number."""
    rng = np.random.default_rng(6)
    for step in (2, 7):
        rows, cols = (np.arange(0, n, step, dtype=np.int32) for n in (60, 400))
        image = rng.integers(0, 256, (1, 60, 400, 3), np.uint8)
        assert_parity(image, Selection((60, 400), rows, cols, half), rng.integers(0, 256, (1, 32), np.uint8))


@pytest.mark.parametrize("layout", ["rows", "crop", "columns", "planar", "reversed"])
def test_layouts(layout):
    rng = np.random.default_rng(2)
    base = rng.integers(0, 256, (2, 60, 90, 3), np.uint8)
    image = {
        "rows": base[:, ::2],
        "crop": base[:, 3:-5, 7:-9],
        "columns": base[:, :, ::3],
        "planar": np.moveaxis(np.ascontiguousarray(np.moveaxis(base, 3, 1)), 1, 3),
        "reversed": base[:, ::-1, ::-1],
    }[layout]
    selection = selection_of(rng, *image.shape[1:3], (2, 2), 4.5)
    assert_parity(image, selection, rng.integers(0, 256, (2, 32), np.uint8))


@pytest.mark.parametrize("length", [0, 1, 7, 1023, 1024, 1025, 5000, 65536])
def test_fingerprints_are_the_reference(length):
    rng = np.random.default_rng(length)
    data, key = (rng.integers(0, 256, n, np.uint8) for n in (length, 1024))
    expected = reference.fingerprint(data, key)
    assert len(expected) == -(-length // 1024)
    for level in LEVELS:
        with native.use_level(level):
            np.testing.assert_array_equal(native.fingerprint(data, key), expected, err_msg=level)


def test_fingerprint_is_nh():
    """The definition in Python's integers, on one block."""
    rng = np.random.default_rng(3)
    data, key = (rng.integers(0, 256, 1024, np.uint8) for _ in range(2))
    m, k = (array.view("<u4").tolist() for array in (data, key))
    total = sum(((m[i] + k[i]) % 2**32) * ((m[i + 1] + k[i + 1]) % 2**32) for i in range(0, 256, 2)) % 2**64
    assert reference.fingerprint(data, key).tolist() == [total]


def test_chacha8_is_chacha8():
    """The first block for the key of zeros, from the test vectors of draft-strombergson-chacha-test-vectors-01, TC1."""
    expected = "3e00ef2f895f40d67f5bb8e81f09a5a12c840ec3ce9a7f3b181be188ef711a1e"
    words = reference.chacha8(np.zeros(32, np.uint8), 256).reshape(16, 16)  # [word][block]
    assert words[:, 0].astype("<u4").tobytes().hex()[:64] == expected
    assert len(np.unique(words)) == 256


# Which code runs where, and that the parity tests notice wrong code there.

COMMON = [(1, 1), (1, 2), (2, 1), (1, 3), (3, 1), (2, 2)]  # windows whose networks the levels hold in registers
FEW, MANY = (2, 3), (8, 8)  # others are searched bit by bit: less and more than a byte counts


def steps(level, half):
    """What each filter runs on an image of three channels."""
    median = "median_in_registers" if half in COMMON else "median"
    wide = "avx512" if level == "avx512" else "portable"
    scatter = level if level.startswith("avx") else "portable"
    return {
        "select_median": {f"{median}_{level}", f"gather_{wide}", f"scatter_{scatter}"},
        "select_random": {f"keystream_{level}", f"draw_{wide}"},
        "fingerprint": {f"hash_{level}"},
    }


@pytest.mark.parametrize("half", [*COMMON, FEW, MANY])
@pytest.mark.parametrize("level", LEVELS)
def test_every_window_at_every_level(level, half, monkeypatch):
    """The reference's bytes, by the code that is meant for this window and level."""
    monkeypatch.setattr(sys.modules[__name__], "LEVELS", [level])
    rng = np.random.default_rng(7)
    for levels in (2, 256):
        image = rng.integers(0, levels, (1, 60, 80, 3), np.uint8) * np.uint8(255 // (levels - 1))
        before = native.runs()
        assert_parity(image, selection_of(rng, 60, 80, half, 4.5), np.zeros((1, 32), np.uint8))
        ran = {name for name, count in native.runs().items() if count != before[name]}
        assert ran == steps(level, half)["select_median"] | steps(level, half)["select_random"]
    before = native.runs()
    with native.use_level(level):
        native.fingerprint(image.reshape(-1), np.zeros(1024, np.uint8))
    assert {name for name, count in native.runs().items() if count != before[name]} == steps(level, half)["fingerprint"]


def test_levels_differ():
    """So parity compares different code."""
    for level in LEVELS:
        assert set.union(*steps(level, (1, 2)).values()) <= set(native.runs())
    for half in (COMMON[0], FEW, MANY):
        for function in ("select_median", "select_random", "fingerprint"):
            ran = [frozenset(steps(level, half)[function]) for level in LEVELS]
            assert len(set(ran)) == len(ran)


SOURCES = Path(__file__).parent.parent / "secure_resize" / "core" / "native"
MEDIAN, RANDOM, HASH = "select_median", "select_random", "fingerprint"
EVERY_WINDOW = [(MEDIAN, half) for half in (*COMMON, FEW, MANY)]
OTHERS = [(RANDOM, FEW), (HASH, FEW)]
# What is broken: the level that runs it, the edits, and what has to notice: a filter and the window it is run with. The
# rest must not. None of it reads outside the image.
IN_EVERY_LEVEL = [
    (
        [
            ("select_body.h", r"many_odd & 0xff00", "many_even & 0xff00"),
            ("select_body.h", r"a, b, d, 16", "a, b, d, 15"),
            ("select_body.h", r"words \+ keys", "words ^ keys"),
            # every network without its last exchange
            ("networks.h", r"(#define NETWORK_\d+\b(?:.*\\\n)*.*) E\(\d+, \d+\)$", r"\1"),
        ],
        EVERY_WINDOW + OTHERS,
    ),
    ([("select_body.h", r"choose\(mask, \*pads,", "choose(mask, ~*pads,")], EVERY_WINDOW),
    ([("select_body.h", r"Bytes low = least", "Bytes low = (Bytes)least")], []),
]
IN_ONE_LEVEL = [
    ("portable", [("select_portable.c", r"\(a < b\), b, a", "(a < b), a, b")], EVERY_WINDOW[:6]),
    (
        "portable",
        [
            ("select_portable.c", r"\(uint64_t\)word\[j - first\]", "(uint64_t)~word[j - first]"),
            ("select_portable.c", r"words\[l\] >> 32", "words[l] >> 31"),
            ("select_portable.c", r"from\[i\] \+ shift\),", "from[i]),"),
        ],
        OTHERS + EVERY_WINDOW,
    ),
    ("avx2", [("select_avx2.c", "max_epu8", "min_epu8")], EVERY_WINDOW[:6]),
    ("avx2", [("select_avx2.c", r"\(__m256i\)mask", "~(__m256i)mask")], EVERY_WINDOW),
    ("avx2", [("select_avx2.c", "words >> 32", "words >> 31")], [(HASH, FEW)]),
    ("avx2", [("select_avx2.c", r"_mm_shuffle_epi8\(read, within\)", "read")], EVERY_WINDOW),
    (
        "avx512",
        [
            ("select_avx512.c", "0xCA", "0xAC"),
            ("select_avx512.c", "words >> 32", "words >> 31"),
            ("draw_avx512.c", r"_mm512_sub_epi32\(k, ", "_mm512_add_epi32(k, "),
        ],
        EVERY_WINDOW + OTHERS,
    ),
    ("avx512", [("select_avx512.c", r"add_epi8\(index, step\)", "sub_epi8(index, step)")], EVERY_WINDOW),
    (
        "avx512",
        [("select_avx512.c", r"places->read\[v\], bytes", "places->read[v] >> 1, bytes")],
        [*EVERY_WINDOW, (RANDOM, FEW)],
    ),
]
MUTANTS = [
    *IN_ONE_LEVEL,
    *((one, *mutant) for one in ("portable", "avx2", "avx512") for mutant in IN_EVERY_LEVEL),
]


class Compiled:
    """The selective filters' C, edited and compiled to a library of their own, with the face of ``_native``."""

    class Selection(ctypes.Structure):
        _fields_: ClassVar = [
            *((name, ctypes.c_int32) for name in ("height", "width", "channels", "row_count", "col_count")),
            *((name, ctypes.c_void_p) for name in ("rows", "cols")),
            *((name, ctypes.c_int32) for name in ("half_rows", "half_cols")),
        ]

    class Images(ctypes.Structure):
        _fields_: ClassVar = [
            ("source", ctypes.c_void_p),
            ("stride", ctypes.c_ssize_t),
            ("out", ctypes.c_void_p),
            ("out_stride", ctypes.c_ssize_t),
        ]

    def __init__(self, folder, objects, level, edits=()):
        """With ``edits`` (file, pattern, what it is turned into) made, those of a header for this level's file alone;
        objects of the other files are kept, and shared."""
        emulated = level not in LEVELS
        kept = objects / ("emulated" if emulated else "native")
        for made in (folder, kept):
            made.mkdir(exist_ok=True)
        for source in SOURCES.glob("*.[ch]"):
            shutil.copy(source, folder)
        if emulated:  # and not vectorised with what this machine has not
            header = (SOURCES / "implementations.h").read_text()
            (folder / "implementations.h").write_text(re.sub(r"(#define TARGET_AVX512) .*", r"\1", header))
        for file, pattern, new in edits:
            text, count = re.subn(pattern, new, (folder / file).read_text(), flags=re.MULTILINE)
            assert count, f"{pattern} is not in {file}"
            (folder / file).write_text(text)
        edited = {Path(file).stem if file.endswith(".c") else f"select_{level}" for file, _, _ in edits}
        linked = []
        for name in sorted(source.stem for source in SOURCES.glob("*.c")):
            filters = name.startswith(("select", "draw"))
            compiled = (folder if name in edited else kept if filters else objects) / f"{name}.o"
            if name.startswith("module"):  # those speak Python
                continue
            if not compiled.exists():
                source = (folder if filters else SOURCES) / f"{name}.c"
                command = ["cc", "-std=gnu11", "-O1", "-fPIC", "-c", str(source), "-o", str(compiled)]
                if emulated and name in ("select_avx512", "draw_avx512"):
                    command += ["-w", f"-I{EMULATION}"]
                subprocess.run(command, check=True)
            linked.append(str(compiled))
        subprocess.run(["cc", "-shared", *linked, "-o", str(folder / "filters.so")], check=True)
        self.library = ctypes.CDLL(str(folder / "filters.so"))

    def fill(self, function, source, out, rows, cols, half_rows, half_cols, *key_and_level):
        selection = self.Selection(
            *source.shape, len(rows), len(cols), rows.ctypes.data, cols.ctypes.data, half_rows, half_cols
        )
        images = self.Images(source.ctypes.data, source.strides[0], out.ctypes.data, out.strides[0])
        arguments = [ctypes.byref(selection), ctypes.byref(images)]
        arguments += [ctypes.c_void_p(key.ctypes.data) for key in key_and_level[:-1]]
        assert getattr(self.library, function)(*arguments, level_number(key_and_level[-1])) == 0

    def use(self, monkeypatch, level):
        """Run this instead of the extension, at ``level`` alone."""
        monkeypatch.setattr(sys.modules[__name__], "LEVELS", [level])
        monkeypatch.setattr(native, "levels", lambda: [level])
        for name in ("median", "random"):
            monkeypatch.setattr(native, f"fill_{name}", functools.partial(self.fill, f"select_{name}"))

        def fill_fingerprint(data, key, hashes, level):
            pointers = [ctypes.c_void_p(array.ctypes.data) for array in (data, key, hashes)]
            size = ctypes.c_size_t(len(data))
            self.library.fingerprint(pointers[0], size, *pointers[1:], level_number(level))

        monkeypatch.setattr(native, "fill_fingerprint", fill_fingerprint)


def level_number(level):
    return ["portable", "neon", "avx2", "avx512"].index(level)


EMULATION = Path(__file__).parent / "proofs" / "avx512_emulated"


def needs(level):
    """Skip where neither this machine nor SIMDe (Debian's libsimde-dev) has the level."""
    if level not in LEVELS and not (level == "avx512" and "avx2" in LEVELS and SIMDE.exists()):
        pytest.skip(f"this machine has no {level}, and no SIMDe to emulate it")


SIMDE = Path("/usr/include/simde/x86/avx512.h")


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    if shutil.which("cc") is None or not SOURCES.is_dir():
        pytest.skip("needs a C compiler and the sources")
    return tmp_path_factory.mktemp("objects")


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=[f"{m[0]}-{m[1][0][1]}" for m in MUTANTS])
def test_wrong_code_is_noticed(mutant, objects, tmp_path, monkeypatch):
    """Broken in the source, compiled and run at its level: the comparison with the reference fails there."""
    level, edits, noticed = mutant
    needs(level)
    rng = np.random.default_rng(8)
    image, keys = rng.integers(0, 256, (1, 60, 80, 3), np.uint8), rng.integers(0, 256, (1, 32), np.uint8)
    hash_key = rng.integers(0, 256, 1024, np.uint8)
    selections = {half: selection_of(rng, 60, 80, half, 4.5) for half in (*COMMON, FEW, MANY)}

    def wrong():
        """Where bytes differ from the reference's."""
        for function, half in EVERY_WINDOW + OTHERS:
            results = []
            for module in (reference, native):
                if function == HASH:
                    results.append(module.fingerprint(image.reshape(-1), hash_key))
                    continue
                results.append(image.copy())
                getattr(module, function)(image, results[-1], selections[half], *([keys] if function == RANDOM else []))
            if not np.array_equal(*results):
                yield function, half

    right, broken = Compiled(tmp_path / "right", objects, level), Compiled(tmp_path / "wrong", objects, level, edits)
    right.use(monkeypatch, level)
    with native.use_level(level):
        assert list(wrong()) == []
    broken.use(monkeypatch, level)
    with native.use_level(level):
        assert sorted(wrong()) == sorted(noticed)


@pytest.mark.slow
@pytest.mark.skipif("avx512" in LEVELS, reason="this machine runs AVX-512 itself")
def test_avx512_by_emulation(objects, tmp_path, monkeypatch):
    """What a machine without AVX-512 can say of its code: the same bytes at every window, channel count and border."""
    needs("avx512")
    Compiled(tmp_path, objects, "avx512").use(monkeypatch, "avx512")
    rng = np.random.default_rng(9)
    for case in range(120):
        half = [*COMMON, FEW, MANY][case % 8] if case % 3 else tuple(int(n) for n in rng.integers(0, 9, 2))
        size = int(rng.integers(1, 60)), int(rng.integers(1, 60) if case % 2 else rng.integers(150, 500))
        image = rng.integers(0, (2, 3, 256)[case % 3], (1, *size, (1, 2, 3, 3, 3, 4, 17)[case % 7]), np.uint8)
        selection = selection_of(rng, *size, half, rng.uniform(1, 12))
        assert_parity(image, selection, rng.integers(0, 256, (1, 32), np.uint8))
        key = rng.integers(0, 256, 1024, np.uint8)
        with native.use_level("avx512"):
            hashes = native.fingerprint(image.reshape(-1), key)
        np.testing.assert_array_equal(hashes, reference.fingerprint(image.reshape(-1), key))


def test_constants_told_twice_are_equal():
    assert _native.PRECISION_BITS == PRECISION_BITS
    assert _native.MAX_AXIS == MAX_AXIS
    assert _native.TWICE_LIMIT == TWICE_LIMIT
    assert _native.FINGERPRINT_BLOCK == reference.FINGERPRINT_KEY_BYTES
    assert _native.MAX_WINDOW >= NETWORK_LIMIT


@pytest.mark.skipif(not hasattr(_native, "fail_allocation"), reason="needs a build with -DSECURE_RESIZE_TEST_HOOKS=ON")
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("method", ["median", "random"])
def test_every_allocation_may_fail(method, channels, level):
    """Each in turn: MemoryError, and nothing stays allocated."""
    rng = np.random.default_rng(5)
    image = rng.integers(0, 256, (40, 60, channels), np.uint8)
    out, selection = image.copy(), selection_of(rng, 40, 60, (1, 2), 4.5)
    tables = image, out, selection.rows, selection.cols, *selection.half
    live = _native.fail_allocation(-1)

    def attempt(after):
        _native.fail_allocation(after)
        try:
            if method == "median":
                _native.select_median(*tables, level)
            else:
                _native.select_random(*tables, np.zeros(32, np.uint8), level)
        except MemoryError:
            return False
        finally:
            _native.fail_allocation(-1)
        return True

    failures = 0
    while not attempt(failures):
        assert _native.fail_allocation(-1) == live, "an allocation was not released"
        failures += 1
    # All tables come from one allocation; those that avx512 draws by, from another.
    assert failures == 1 + (method == "random" and level == "avx512" and channels == 3)
    assert _native.fail_allocation(-1) == live


def test_bad_tables_are_refused():
    image, out = np.zeros((8, 9, 3), np.uint8), np.zeros((8, 9, 3), np.uint8)
    good = [image, out, np.array([1, 4], np.int32), np.array([0, 8], np.int32), 1, 1, LEVELS[0]]
    _native.select_median(*good)
    bad_tables = [
        (2, np.array([4, 1], np.int32)),
        (2, np.array([1, 8], np.int32)),
        (3, np.array([-1, 2], np.int32)),
        (3, np.array([3, 3], np.int32)),
        (4, -1),
        (5, 1 << 20),
    ]
    for place, value in bad_tables:
        arguments = list(good)
        arguments[place] = value
        with pytest.raises(ValueError, match="invalid selection"):
            _native.select_median(*arguments)
    for place, value in [(0, image[:, ::2]), (1, out[:7]), (0, image[..., ::-1]), (1, out.astype(np.uint16))]:
        arguments = list(good)
        arguments[place] = value
        with pytest.raises(ValueError, match="contiguous inside a row"):
            _native.select_median(*arguments)
    with pytest.raises(ValueError, match="32 bytes"):
        _native.select_random(*good[:6], np.zeros(31, np.uint8), LEVELS[0])
    with pytest.raises(ValueError, match="1024 bytes"):
        _native.fingerprint(image, np.zeros(8, np.uint8), np.zeros(1, np.uint64), LEVELS[0])
    with pytest.raises(ValueError, match="not an instruction set"):
        _native.select_median(*good[:-1], "mmx")


def test_unrolled_networks_are_the_networks():
    """networks.h, which is not installed, is what ``median_network`` gives."""
    header = Path(__file__).parent.parent / "secure_resize" / "core" / "native" / "networks.h"
    if not header.exists():
        pytest.skip("installed without sources")
    found = re.findall(r"#define NETWORK_(\d+)((?:[^#])*)", header.read_text())
    assert [int(inputs) for inputs, _ in found] == [9, 15, 21, 25]
    for inputs, body in found:
        exchanges = [(int(i), int(j)) for i, j in re.findall(r"E\((\d+), (\d+)\)", body)]
        assert exchanges == [(i, j) for i, j, _ in median_network(int(inputs)).tolist()]
