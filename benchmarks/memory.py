"""The memory that a process has had."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

__all__ = ["peak_rss"]


def peak_rss() -> float:
    """Tell the most memory that this process has held, in MB.

    On Linux by its own status: ``ru_maxrss`` begins there with what the process had that started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)
