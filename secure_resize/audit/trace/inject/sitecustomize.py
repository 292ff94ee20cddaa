"""Python imports this as it starts, from a folder at the front of PYTHONPATH: the trace begins before the script does.

It takes its folder out of ``sys.path`` again, starts the trace, or what routes calls, and runs the ``sitecustomize``
that would have been imported without it. Whatever goes wrong with the trace, the script is run as if there were none;
without what routes calls, a library that would be routed cannot be imported.
"""

import importlib.machinery
import importlib.util
import os
import sys
from types import ModuleType


def _live(module: str) -> ModuleType:
    """A module of the folder ``live``, which stands on its own."""
    live = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "live")
    name = "_secure_resize_live"
    spec = importlib.util.spec_from_file_location(
        name, os.path.join(live, "__init__.py"), submodule_search_locations=[live]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    spec.loader.exec_module(package)
    return importlib.import_module(f"{name}.{module}")


def _run_the_other() -> None:
    """The ``sitecustomize`` behind this one; an error in it is what Python makes of it."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path or os.curdir) != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize")
    if spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


_folder = os.environ.get("SECURE_RESIZE_TRACE")
if os.environ.get("SECURE_RESIZE_PATCH"):
    _live("route").await_libraries(_folder if _folder and os.path.isdir(_folder) else None)
elif _folder and os.path.isdir(_folder):
    try:
        _live("start").Tracing(_folder).start()
    except Exception as error:
        try:
            with open(os.path.join(_folder, f"{os.getpid()}-0.lines"), "a", encoding="utf-8") as _file:
                _file.write(f'{{"failure": "the trace did not start: {type(error).__name__}"}}\n')
        except OSError:
            pass
_run_the_other()
