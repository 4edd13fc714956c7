"""A process that runs turns until it is killed, and a nursery that forks such processes from warm imports.

The nursery reads orders from its stdin, one JSON object a line: ``{"do": …, "fifo": …}`` forks a worker and answers its
pid, ``{"wait": pid}`` answers how it ended. A worker writes what happens to its FIFO, one JSON object a line.

A worker stands still where its order says: ``{"at": "tool", "item": "b"}``. There it writes the mark
``{"at": …}`` and waits for the file ``gate``, or for ever.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import pydantic_ai.direct
import pydantic_ai.models.openai  # noqa: F401
from crash_store import Order, Still, WatchedBackend, say
from lash_core.app import Agent, Lash, Session, Turn
from lash_core.builtins import BUILTINS
from lash_core.plugins.manager import PluginManager
from lash_core.process import this_process
from lash_core.runtime.environment import RuntimeEnvironment
from lash_hookspecs.errors import LashError, SessionBusy
from lash_hookspecs.toolkit import tool

#: A worker that a broken test forgets dies by itself.
LIFETIME = 120


def tools_of(order: Order, backend: WatchedBackend) -> list[Callable[..., Any]]:
    """Make tools that write to the ledger when they begin and when they finish."""
    still = backend.still

    def enter(what: str, name: str, item: str) -> None:
        ledger = os.open(order["ledger"], os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
        os.write(ledger, f"{what} {name} {item}\n".encode())
        os.close(ledger)

    async def work(name: str, item: str) -> str:
        enter("begin", name, item)
        if still.is_here("between", item=item):
            await backend.journaled.wait()
            await still.stand_async()
        if still.is_here("tool", item=item):
            await still.stand_async()
        enter("end", name, item)
        return f"{name} {item} done"

    @tool
    async def pay(item: str) -> str:
        """Pay for an item."""
        return await work("pay", item)

    @tool(serial=True)
    async def ship(item: str) -> str:
        """Ship an item, one at a time."""
        return await work("ship", item)

    @tool(kind="idempotent")
    async def book(item: str) -> str:
        """Book an item."""
        return await work("book", item)

    @tool(kind="read_only")
    async def look(item: str) -> str:
        """Look at an item."""
        return await work("look", item)

    return [pay, ship, book, look]


class Worker:
    """Does what its order says, step by step."""

    def __init__(self, order: Order) -> None:
        self.backend = WatchedBackend(f"sqlite:///{order['db']}", Still(order))
        agent = Agent("openai:strict", tools=tools_of(order, self.backend), instructions="Be brief.")
        env = RuntimeEnvironment(
            plugins=PluginManager.discover(builtins=BUILTINS),
            store=self.backend,
            tool_sets=(),
            tools=agent.tools,
            lease_ttl=order.get("ttl", 3600.0),
            name=order.get("name", "a worker"),
        )
        self.lash = Lash(env, agent, owns_environment=True)
        self._id: str = order["session"]

    async def session(self) -> Session:
        """Open the session, or see it anew."""
        return await self.lash.session(self._id)

    async def step(self, what: str, text: str = "") -> None:
        """Do one step and tell how it ended."""
        result = await getattr(self, f"do_{what}")(text)
        say(done=what, **(result or {}))

    async def do_see(self, _: str) -> Order:
        """Tell what is known of the session."""
        interrupted = [each.session_id for each in await self.lash.interrupted()]
        session = await self.session()
        return {
            "all": interrupted,
            "interrupted": session.interrupted,
            "running": session.running,
            "stored": session.head is not None,
        }

    async def do_turn(self, text: str) -> Order:
        """Run a turn."""
        return await self._follow((await self.session()).stream(text))

    async def do_resume(self, text: str) -> Order:
        """Run a turn behind the interrupted one."""
        return await self._follow((await self.session()).stream(text, resume=True))

    async def do_continue(self, _: str) -> Order:
        """Continue the interrupted turn."""
        return await self._follow((await self.session()).continue_turn())

    async def do_abandon(self, _: str) -> Order:
        """Abandon the interrupted turn."""
        result = await (await self.session()).abandon_turn()
        return {"outcome": result.outcome, "reason": result.reason}

    async def do_wait(self, text: str) -> Order:
        """Run a turn as soon as the session is free; the interrupted one is continued before."""
        while True:
            try:
                return await self.do_resume(text)
            except SessionBusy as busy:
                say(busy=busy.holder.name if busy.holder else None)
                await asyncio.sleep(0.01)

    async def do_expire(self, _: str) -> None:
        """Wait until the lease has expired."""
        store = self.backend.session(self._id)
        while (lease := await store.lease()) and lease.expires_in > 0:  # noqa: ASYNC110  time passes elsewhere
            await asyncio.sleep(0.01)

    async def do_seize(self, _: str) -> None:
        """Take the lease of a living holder, as an operator would who knows better."""
        store = self.backend.session(self._id)
        held = await store.lease()
        assert held is not None
        await store.release_lease(await store.take_lease(this_process("an operator"), 5.0, replacing=held.epoch))

    async def _follow(self, turn: Turn) -> Order:
        async for event in turn:
            say(event=event.type, text=getattr(event, "text", None))
        result = await turn.result()
        return {"outcome": result.outcome, "text": result.text, "turn_index": result.turn_index}


async def live(order: Order) -> int:
    """Live one worker's life."""
    worker = Worker(order)
    await worker.backend.write(lambda connection: None, "the database")
    say(born=os.getpid())
    try:
        for step in order["do"]:
            await worker.step(*step)
    except LashError as error:
        say(error=type(error).__name__, message=str(error))
        return 1
    finally:
        await worker.lash.close()
    return 0


def _child(order: Order) -> int:
    signal.alarm(LIFETIME)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it
    os.environ.update(order["env"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(order["fifo"], os.O_WRONLY), 1)
    return asyncio.run(live(order))


def main() -> None:
    """Keep the nursery."""
    for line in iter(sys.stdin.readline, ""):
        order = json.loads(line)
        if "wait" in order:
            say(status=os.waitpid(order["wait"], 0)[1])
            continue
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                code = _child(order)
            except Exception:  # noqa: BLE001  a fork never returns into the nursery
                sys.excepthook(*sys.exc_info())
            finally:
                os._exit(code)
        say(pid=pid)


if __name__ == "__main__":
    main()
