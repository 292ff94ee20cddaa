"""Put the output of commands into the documents: ``python benchmarks/update_docs.py WORD...``.

In README.md, benchmarks/SPEED.md and benchmarks/EVIDENCE.md, what stands between ``<!-- begin: COMMAND -->`` and
``<!-- end -->`` is what COMMAND prints, run from the repository's root. Every block whose command contains one of the
WORDs is replaced; without a WORD the commands are listed, for some of them take hours.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "benchmarks/SPEED.md", ROOT / "benchmarks/EVIDENCE.md"]
BLOCK = re.compile(r"<!-- begin: (?P<command>.+?) -->\n(?P<output>.*?)<!-- end -->", re.DOTALL)
# The README's my_project lies beside this file; output does not depend on who runs this where.
ENVIRONMENT = {
    "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT / "benchmarks"), os.environ.get("PYTHONPATH")])),
    "PYTHONSAFEPATH": "1",  # the package that is installed, with its C extension; not the sources in this folder
    "COLUMNS": "120",
    "NO_COLOR": "1",
    "TERM": "dumb",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def blocks(document: Path) -> Iterator[tuple[str, str]]:
    """The generated blocks of a document: (command, output)."""
    for match in BLOCK.finditer(document.read_text()):
        yield match["command"], match["output"]


def run(command: str) -> str:
    """What a command prints, as it stands in a document. CalledProcessError if it could not run."""
    words = shlex.split(command)
    words[0] = sys.executable if words[0] == "python" else words[0]
    done = subprocess.run(
        words, cwd=ROOT, env={**os.environ, **ENVIRONMENT}, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    )
    if done.returncode not in (0, 1) or not done.stdout.strip():  # 1: it ran, and found something
        raise subprocess.CalledProcessError(done.returncode, command)
    output = "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())
    if "\n|" in f"\n{output}":  # Markdown tables stand as they are
        return f"{output}\n"
    return f"```text\n$ {command.replace('python -m secure_resize', 'secure-resize')}\n{output}\n```\n"


def main(words: list[str]) -> None:
    """Rewrite the blocks whose commands contain one of ``words``, or list all."""
    for document in DOCUMENTS:
        for command, old in blocks(document):
            if not words:
                print(f"{document.relative_to(ROOT)}: {command}")
            elif any(word in command for word in words):
                text, begin = document.read_text(), f"<!-- begin: {command} -->\n"
                document.write_text(text.replace(begin + old, begin + run(command)))


if __name__ == "__main__":
    main(sys.argv[1:])
