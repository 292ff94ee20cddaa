"""Where a call stands: in plain Python, in a function of tf.data of this process, or in a graph that may travel."""

from __future__ import annotations

import sys
from types import FrameType

import tensorflow as tf

__all__ = ["chosen_path", "compiled"]

# Modules of TensorFlow (2.16 to 2.21), by what their frames on the stack tell.
_TRACER = "tensorflow.python.framework.func_graph", "func_graph_from_py_func"  # makes a graph of a Python function
_TF_DATA = "tensorflow.python.data.ops.structured_function"  # calls the user's, in a graph of tf.data's own
_FUNCTION = "tensorflow.python.eager.polymorphic_function.polymorphic_function"  # tf.function
_BRANCHES = "CondBranchFuncGraph", "WhileBodyFuncGraph", "WhileCondFuncGraph"  # parts of the function around them


def chosen_path(path: str) -> str:
    """``"host"`` or ``"graph"``: what ``"auto"`` means here and now, and any other valid path itself.

    The host's code is at hand where this call is run by Python, and in what tf.data runs for a dataset that Python
    made. Every other graph may be saved, or run by somebody else: a ``tf.function``, called by a dataset's function or
    calling one. Where TensorFlow's insides are not as known, that is said of all graphs.
    """
    if path != "auto":
        return path
    if tf.executing_eagerly():
        return "host"
    with tf.init_scope():
        if not tf.executing_eagerly():
            return "graph"
    return "host" if _of_tf_data_alone() else "graph"


def _of_tf_data_alone() -> bool:
    """Whether every graph that is being made around this call is made by tf.data, of a function of a dataset."""
    graphs = called = False
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        module, name = frame.f_globals.get("__name__"), frame.f_code.co_name
        if module == _TF_DATA and name == "wrapped_fn":
            called = True
        elif (module, name) == _TRACER and type(frame.f_locals.get("func_graph")).__name__ not in _BRANCHES:
            if not called:
                return False
            graphs, called = True, False
        frame = frame.f_back
    return graphs


def compiled() -> bool:
    """Whether XLA compiles the graph that is being made, as far as the ``tf.function`` around it says so."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_globals.get("__name__") == _FUNCTION and getattr(frame.f_locals.get("self"), "_jit_compile", False):
            return True
        frame = frame.f_back
    return False
