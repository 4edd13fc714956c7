"""``python -m tests.specs``: what `make specs` does.

Without a word it writes the snapshot of the hook API and the pages of the hooks. ``check`` tells what is wrong with
them and writes nothing; ``publish`` declares the version published, after which its snapshot stays as it is.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.docs.pages import ROOT
from tests.specs.gate import problems, publish, write_snapshot
from tests.specs.hook_pages import outdated, write_pages


def main(words: list[str], root: Path = ROOT) -> int:
    """Do what the words say in a checkout; 1 when something is wrong."""
    if words not in ([], ["check"], ["publish"]):
        sys.stderr.write(f"{__doc__}\n")
        return 2
    try:
        if words != ["check"]:
            write_snapshot(root)
            write_pages(root)
        found = [*problems(root), *outdated(root)]
    except LookupError as missing:
        found = [str(missing)]
    if words == ["publish"] and not found:
        publish(root)
    sys.stderr.writelines(f"{each}\n" for each in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
