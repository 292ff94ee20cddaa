"""The command ``secure-resize``.

Exit codes: 0 done, 1 the command ran and its answer is bad news, 2 it could not run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from . import __version__, demo
from .resize import check_size

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command on ``arguments`` (default: the process') and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (ImportError, OSError, TypeError, ValueError) as error:
        print(f"secure-resize {options.command}: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="secure-resize", description="Image resizing that hides no second picture.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser(
        "demo",
        help="attack the stock resizes that are installed here, then run the same attack images through ours",
        description="Hides --target in --source against the default down-scaling of OpenCV, TensorFlow and torch "
        "(those that are installed), runs every attack image through the stock pipeline and through secure_resize's, "
        "prints what came out and draws it. Exit code 1: a secure_resize pipeline showed the hidden picture.",
    )
    command.add_argument("--source", type=Path, help="the picture to hide in (default: scikit-image's astronaut)")
    command.add_argument("--target", type=Path, help="the picture to hide (default: scikit-image's chelsea)")
    command.add_argument(
        "--size", type=_size, default=(112, 112), metavar="HxW", help="pipeline size (default 112x112)"
    )
    command.add_argument(
        "--out", type=Path, default=Path("secure-resize-demo"), metavar="DIR", help="default: %(default)s"
    )
    command.set_defaults(run=lambda options: demo.main(options.source, options.target, options.size, options.out))
    return parser


def _size(text: str) -> tuple[int, int]:
    height, separator, width = text.partition("x")
    if not (separator and height.isdecimal() and width.isdecimal()):
        raise argparse.ArgumentTypeError(f"expected HEIGHTxWIDTH such as 224x224, got {text!r}")
    try:
        return check_size((int(height), int(width)))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
