"""Sets a child's limits and becomes the command: run by its path, before anything else is imported.

usage: launch.py MEMORY_BYTES CPU_SECONDS COMMAND…      0 is no limit
"""

from __future__ import annotations

import os
import resource
import sys


def main() -> None:
    """Set the limits, which hold for everything that the command starts too, and become the command."""
    memory, seconds = int(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    if seconds:  # the first signal can be caught, the second cannot
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    os.execv(sys.argv[3], sys.argv[3:])  # noqa: S606  the core says what a worker is


if __name__ == "__main__":
    main()
