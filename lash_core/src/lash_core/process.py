"""This process as a holder of leases and tasks, and whether another one still lives (S5, H2)."""

from __future__ import annotations

import os
import platform
import secrets
from functools import cache
from pathlib import Path
from typing import Literal

from lash_hookspecs.records.store import Holder

__all__ = ["fate_of", "is_gone", "this_process"]

_PROC = Path("/proc")


def this_process(name: str) -> Holder:
    """Describe this process as a holder; each call gives another instance."""
    pid = os.getpid()
    return Holder(name=name, host=platform.node(), pid=pid, process=_identity(pid) or "", instance=secrets.token_hex(8))


def fate_of(holder: Holder) -> Literal["alive", "gone", "unknown"]:
    """Tell what has become of a holder's process, as far as that can be known from here.

    Only a process that was started on this boot and in this pid namespace can be judged: pid and start time tell it
    from a later one with the same pid. Of any other, and where there is no ``/proc``, time decides: a lease expires.
    """
    place, _, _started = holder.process.rpartition("/")
    if not place or place != _place():
        return "unknown"
    return "alive" if _identity(holder.pid) == holder.process else "gone"


def is_gone(holder: Holder) -> bool:
    """Tell whether a holder's process is certainly dead."""
    return fate_of(holder) == "gone"


def _identity(pid: int) -> str | None:
    """Boot, pid namespace and start time of a living process; ``None`` for a dead one or a zombie."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    state, started = fields[0], fields[19]
    place = _place()
    return f"{place}/{started}" if place and state not in "ZX" else None


@cache
def _place() -> str | None:
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        namespace = (_PROC / "self/ns/pid").readlink()
    except OSError:
        return None
    return f"{boot}/{namespace}"
