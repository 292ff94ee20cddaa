"""Which lines changed since a commit, by git: for reports about what is new alone."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

__all__ = ["Changes"]

# Nothing of the repository's own configuration is run: no file-system monitor, no external diff, no text conversion.
_GIT = ("git", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false")
_HUNK = re.compile(rb"^@@ -\S+ \+(\d+)(?:,(\d+))? @@", re.M)


class Changes:
    """The files that differ from the commit ``base`` in the repository around ``folder``, new ones among them.

    ValueError where there is no such repository or commit.
    """

    def __init__(self, base: str, folder: Path) -> None:
        self.folder = folder if folder.is_dir() else folder.parent
        try:
            top = self._run("rev-parse", "--show-toplevel")
            commit = self._run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{base}^{{commit}}")
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode("utf-8", "replace").strip() or f"no commit {base!r}"
            raise ValueError(f"--diff {base}: {' '.join(said.split())}") from error
        except OSError as error:
            raise ValueError(f"--diff needs git, which cannot be run: {error}") from error
        self.top = Path(os.fsdecode(top.rstrip(b"\n")))
        self.commit = commit.decode().strip()
        self.folder = self.top
        options = ("--no-ext-diff", "--no-textconv", "--no-renames", "--no-color")
        self._options = options
        self.changed = self._names("diff", *options, "--name-only", "-z", self.commit, "--")
        self.new = self._names("ls-files", "--others", "--exclude-standard", "-z")

    def _run(self, *arguments: str) -> bytes:
        run = subprocess.run([*_GIT, *arguments], cwd=self.folder, capture_output=True, check=True)
        return run.stdout

    def _names(self, *arguments: str) -> set[Path]:
        return {(self.top / os.fsdecode(one)).resolve() for one in self._run(*arguments).split(b"\0") if one}

    def touches(self, file: Path) -> bool:
        """Whether anything in ``file`` changed."""
        return file.resolve() in self.changed or file.resolve() in self.new

    def lines(self, file: Path) -> list[range] | None:
        """The lines of ``file`` that changed; None where all of it is new."""
        file = file.resolve()
        if file in self.new:
            return None
        name = file.relative_to(self.top.resolve()).as_posix()
        text = self._run("--literal-pathspecs", "diff", *self._options, "--unified=0", self.commit, "--", name)
        return [range(int(a), int(a) + int(n or 1)) for a, n in _HUNK.findall(text)]
