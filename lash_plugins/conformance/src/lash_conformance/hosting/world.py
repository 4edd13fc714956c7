"""A store, a folder and a scripted model: what a host is tried in."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
from lash_core.builtins import BUILTINS
from lash_core.plugins.manager import PluginManager
from lash_core.plugins.records import Builtin
from lash_hookspecs.protocols.hosts import Host

from lash_conformance.hosting.tools import NAME
from lash_core import Agent, Lash

__all__ = ["HostWorld", "call", "children", "is_alive"]

_TOOLS = Builtin(name=NAME, target="lash_conformance.hosting.tools", offers={"tools": (NAME,)})


@attrs.frozen
class HostWorld:
    """Where a host is tried.

    Attributes:
        folder: Empty at first; the store is in it, and what tools and model leave behind.
        build: Makes the host.
        patience: Seconds after which what has not happened will not.
    """

    folder: Path
    build: Callable[[], Host]
    patience: float

    def model(self, *replies: dict[str, Any], name: str = "script.json") -> str:
        """Write a script and give the model that plays it."""
        path = self.folder / name
        path.write_text(json.dumps(replies), encoding="utf-8")
        return f"offline:{path}"

    def lash(self, model: str, host: Host | None = None) -> Any:
        """Open the store, with the host that is tried unless another one is given; for ``async with``."""
        return Lash.open(
            f"sqlite:///{self.folder / 'sessions.db'}",
            agent=Agent(model, tool_sets=[NAME]),
            plugins=PluginManager.discover(builtins=(*BUILTINS, _TOOLS)),
            host=host or self.build(),
            root=self.folder,
        )

    async def seen(self, name: str) -> Path:
        """Wait for a file of the folder.

        Raises:
            TimeoutError: It did not come.
        """
        path = self.folder / name
        await self._until(path.exists)
        return path

    async def gone(self, pid: int) -> None:
        """Wait until there is no such process.

        Raises:
            TimeoutError: It stays.
        """
        await self._until(lambda: not is_alive(pid))

    async def _until(self, so: Callable[[], bool]) -> None:
        async with asyncio.timeout(self.patience):
            while not so():  # noqa: ASYNC110  another process does it
                await asyncio.sleep(0.005)


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    """One tool call of a scripted reply."""
    return {"tool": tool, "arguments": arguments}


def children() -> set[int]:
    """Give the processes that this one has started and not seen the end of; none where nobody can tell."""
    return {
        int(pid)
        for listed in Path("/proc/self/task").glob("*/children")
        for pid in listed.read_text(encoding="ascii").split()
    }


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that waits to be asked for its exit code does not."""
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat")
        return not stat.exists() or stat.read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
