"""Put the output of commands into README.md: ``python benchmarks/update_readme.py [WORD]``.

What stands between ``<!-- begin: COMMAND -->`` and ``<!-- end -->`` is replaced by what COMMAND prints, run from the
repository's root; with WORD only for the commands that contain it.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Rewrite README.md in place."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""

    def regenerate(match: re.Match[str]) -> str:
        command = shlex.split(match["command"])
        if wanted not in match["command"]:
            return match[0]
        if command[0] == "python":
            command[0] = sys.executable
        output = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
        output = output.strip()
        if "\n|" not in f"\n{output}":  # Markdown tables stand as they are
            output = f"```text\n{output}\n```"
        return f"<!-- begin: {match['command']} -->\n{output}\n<!-- end -->"

    readme = ROOT / "README.md"
    pattern = re.compile(r"<!-- begin: (?P<command>.+?) -->\n.*?<!-- end -->", re.DOTALL)
    readme.write_text(pattern.sub(regenerate, readme.read_text()))


if __name__ == "__main__":
    main()
