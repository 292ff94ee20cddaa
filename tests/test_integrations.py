"""``from secure_resize.integrations import harden, patched``: functions, whatever was imported before."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.once


@pytest.mark.parametrize("first", ["", "import secure_resize.integrations.harden, secure_resize.integrations.patch"])
def test_the_functions_are_found_and_the_folders_do_not_hide_them(first):
    code = f"""
import sys, types
import secure_resize.integrations as integrations
assert not {{"torch", "tensorflow", "cv2"}} & set(sys.modules)
class Finder:
    def find_spec(name, path=None, target=None):
        from importlib.machinery import ModuleSpec
        if name in ("secure_resize.integrations.harden", "secure_resize.integrations.patch"):
            return ModuleSpec(name, Finder, is_package=True)
    def create_module(spec):
        return None
    def exec_module(module):
        module.harden = module.patched = lambda pipeline: pipeline
sys.meta_path.insert(0, Finder)
{first}
from secure_resize.integrations import harden, patched
assert callable(harden) and callable(patched) and callable(integrations.harden)
from secure_resize.integrations.harden import harden as again
assert harden is again is integrations.harden
assert {{"harden", "patched"}} <= set(dir(integrations))
try:
    integrations.hardne
except AttributeError as error:
    assert "no attribute 'hardne'" in str(error)
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_build_without_them_says_so():
    code = """
import sys
sys.modules["secure_resize.integrations.harden"] = None
from secure_resize.integrations import harden
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 1
    assert "ImportError: this build of secure_resize has no harden" in run.stderr


def test_a_library_that_is_not_there_is_said_in_one_line():
    code = """
import sys
for integration, module, message in (
    ("opencv", "cv2", "needs the module 'cv2': pip install opencv-python (or opencv-python-headless)"),
    ("albumentations", "albumentations", "needs albumentations: pip install albumentations"),
    ("transformers", "transformers", "needs transformers: pip install transformers"),
):
    before, sys.modules[module] = sys.modules.get(module), None
    try:
        __import__(f"secure_resize.integrations.{integration}")
    except ImportError as error:
        assert str(error) == f"secure_resize.integrations.{integration} {message}", error
    else:
        raise AssertionError(integration)
    del sys.modules[module]
    if before is not None:
        sys.modules[module] = before
"""
    pytest.importorskip("cv2")
    subprocess.run([sys.executable, "-c", code], check=True)
