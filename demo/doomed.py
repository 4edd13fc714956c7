"""Run a turn whose tools never come back: the process that the demo kills."""

from __future__ import annotations

import asyncio
import sys

from lash_hookspecs.records.events import ToolStarted

from lash_core import Agent, Lash


async def main(store: str, session_id: str, question: str, root: str) -> None:
    async with Lash.open(store, agent=Agent(tool_sets=["files"]), root=root, name="demo") as lash:
        turn = (await lash.session(session_id)).stream(question)
        async for event in turn:
            print(event.type, flush=True)
            if isinstance(event, ToolStarted):
                print(f"in the tool {event.call.tool}", flush=True)
                sys.stdin.read()  # the whole process stands still here, and waits for its end


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
