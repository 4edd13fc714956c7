"""A process that lets a host run a turn, and may die of it: ``python -m lash_conformance.hosting.life ORDER``."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from lash_hookspecs.errors import LashError

from lash_conformance.hosting.world import HostWorld
from lash_conformance.place import Opener

__all__ = ["main"]


async def main(order: dict[str, str]) -> None:
    """Run one turn of session ``s``."""
    build = Opener.find(order["module"], order["file"], order["name"]).function
    world = HostWorld(Path(order["folder"]), build, 0.0)  # type: ignore[arg-type]  # it is the author's build_host
    async with world.lash(order["model"]) as lash:
        session = await lash.session("s")
        try:
            await session.turn("begin")
        except LashError as error:  # the host gave the turn up: the next one continues it
            sys.stderr.write(f"{error}\n")


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
