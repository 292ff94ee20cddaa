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
