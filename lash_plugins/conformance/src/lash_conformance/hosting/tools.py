"""The tools that the turns of the suite call, as a plugin: a host may run them in another process.

They speak through files of the session's folder.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lash_hookspecs import FunctionTools, implements, tool
from lash_hookspecs.specs.offers import OfferContext, ToolOffer, ToolSetup, lash_offer_tools

__all__ = ["NAME", "tools"]

#: The tool set's name.
NAME = "host-conformance"

#: Seconds between two looks at a file.
_PACE = 0.005


@implements(lash_offer_tools)
def tools(context: OfferContext) -> list[ToolOffer]:
    """Offer them."""
    return [ToolOffer(name=NAME, build=lambda setup: FunctionTools(_tools(setup)))]


def _tools(setup: ToolSetup) -> list[Callable[..., Any]]:
    root = setup.root

    @tool(kind="read_only")
    def where() -> str:
        """Tell the number of the process."""
        return str(os.getpid())

    @tool(kind="side_effecting")
    def note(text: str) -> str:
        """Write a line that nobody takes back."""
        with (root / "notes").open("a", encoding="utf-8") as notes:
            notes.write(f"{text}\n")
        return "noted"

    @tool(kind="idempotent")
    def make(name: str) -> str:
        """Make a file."""
        (root / name).touch()
        return "made"

    @tool(kind="read_only")
    async def wait_for(name: str) -> str:
        """Wait for a file; says in another one that it does, and in which process."""
        _write(root / f"{name}.waiting", str(os.getpid()))
        try:
            while not (root / name).exists():  # noqa: ASYNC110  another process makes it
                await asyncio.sleep(_PACE)
        except asyncio.CancelledError:
            (root / f"{name}.cancelled").touch()
            raise
        return "there"

    @tool(kind="idempotent")
    def die_once(name: str) -> str:
        """Kill the process, the first time."""
        if not (root / name).exists():
            (root / name).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return "alive"

    @tool(kind="read_only")
    def shout(text: str) -> str:
        """Print to where a host may listen, past Python's own buffers."""
        os.write(1, f"{text}\n".encode())
        return "shouted"

    return [where, note, make, wait_for, die_once, shout]


def _write(path: Path, text: str) -> None:
    """Write a file that nobody sees half written."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
