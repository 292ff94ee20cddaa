"""``python -m secure_resize``: the same as the command ``secure-resize``."""

from .cli import main

raise SystemExit(main())
