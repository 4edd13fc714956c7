"""A host for Lash that runs each turn in a child process, within limits of time and memory."""

from __future__ import annotations

from lash_host_subprocess.host import SubprocessHost
from lash_host_subprocess.limits import ChildLimits

__all__ = ["ChildLimits", "SubprocessHost"]
