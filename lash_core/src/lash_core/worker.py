"""A worker: carries out a turn that a host handed over, in a process of its own (H5).

``python -P -m lash_core.worker`` reads an order from its stdin, one line, and carries it out. What it is told later
comes the same way; what it says goes to its stdout, one line of JSON each. What tools and plugins print goes to stderr.
When its stdin ends, whoever started it is gone: it kills itself, and its process group if it leads that.

`TurnWorker` is the same without a process around it, for workers that have one: those of a queue or an engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping

from lash_hookspecs.errors import ConfigurationError, LashError, redact_url
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.events import Event
from lash_hookspecs.records.traces import TraceRecord

from lash_core.app.stores import of_tenant, open_backend
from lash_core.config import Settings, load_settings
from lash_core.plugins.manager import PluginManager
from lash_core.plugins.portable import rebuilt
from lash_core.runtime.handover import Wish
from lash_core.runtime.orders import Order
from lash_core.runtime.runtime import LashRuntime
from lash_core.runtime.telling import document_of
from lash_core.runtime.turn_doors import run_order

__all__ = ["TurnWorker", "main"]


class TurnWorker:
    """Carries out one order.

    ::

        worker = TurnWorker(order.body, tell=queue.publish)
        await worker.run()
    """

    def __init__(self, body: bytes, tell: Callable[[bytes], None] = lambda message: None) -> None:
        """Read an order; nothing is opened yet. To be made on the loop that it will run on.

        Args:
            body: `lash_hookspecs.records.hosts.TurnOrder.body`.
            tell: Takes messages for `lash_hookspecs.protocols.hosts.Handover.tell`; it must not wait.

        Raises:
            ConfigurationError: It is no order, or one of another version.
        """
        self._order = Order.from_bytes(body)
        self._tell = tell
        self._wish: asyncio.Future[Wish] = asyncio.get_running_loop().create_future()

    def wish(self, message: bytes) -> None:
        """Take a message of `lash_hookspecs.protocols.hosts.Handover.wish`; the first one counts."""
        wanted = Wish.from_bytes(message)
        if wanted is not None and not self._wish.done():
            self._wish.set_result(wanted)

    async def run(self) -> None:
        """Run the turn to its final commit; nothing is left to do for one that has had it.

        Raises:
            LashError: It cannot be run; whoever handed it over is told, too.
        """
        try:
            await self._run()
        except Exception as error:
            self._say("error", document_of(error))
            raise

    async def _run(self) -> None:
        order = self._order
        settings = None if order.secrets else load_settings()
        plugins = rebuilt(order.plugins, settings.plugins if settings else None)
        url = order.store if settings is None else _own_url(order, settings)
        async with contextlib.AsyncExitStack() as closing:
            backend = await open_backend(plugins, url, False)
            closing.push_async_callback(backend.close)
            await self._run_in(plugins, of_tenant(backend, order.tenant), closing)

    async def _run_in(self, plugins: PluginManager, store: StoreBackend, closing: contextlib.AsyncExitStack) -> None:
        env = self._order.environment(plugins, store, self)
        closing.push_async_callback(env.providers.close)
        runtime = await LashRuntime.from_environment(env, self._order.session_spec())
        closing.push_async_callback(runtime.close)
        await run_order(runtime.session, self._order, self._emit, self._wish)

    def _emit(self, event: Event) -> None:
        self._say("event", event.model_dump(mode="json"))

    def write(self, record: TraceRecord) -> None:
        """Be a `lash_hookspecs.protocols.tracing.TraceSink`."""
        self._say("trace", record.model_dump(mode="json", exclude_none=True))

    def close(self) -> None:
        """Hold nothing back."""

    def _say(self, what: str, document: Mapping[str, object]) -> None:
        self._tell(json.dumps({what: document}).encode())


def _own_url(order: Order, settings: Settings) -> str:
    """Find the store of an order without secrets in this worker's own settings.

    Raises:
        ConfigurationError: They name another one.
    """
    if settings.store is None:
        return order.store
    if redact_url(settings.store) != redact_url(order.store):
        raise ConfigurationError(
            f"the order is for store {redact_url(order.store)}, this worker's settings name "
            f"{redact_url(settings.store)}: give the worker the store of those who hand turns over"
        )
    return settings.store


def main() -> None:
    """Carry out the order that comes on stdin, and end the process; threads that a tool left behind end with it."""
    heard, said = _private_pipes()
    with asyncio.Runner() as runner:
        code = runner.run(_carry_out(_lines(heard), said))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


async def _carry_out(heard: Iterator[bytes], said: int) -> int:
    def tell(message: bytes) -> None:
        left = memoryview(message + b"\n")
        with contextlib.suppress(OSError):  # nobody listens any more; the turn goes on until stdin ends
            while left:
                left = left[os.write(said, left) :]

    try:
        worker = TurnWorker(next(heard, b""), tell)
        loop = asyncio.get_running_loop()
        threading.Thread(target=_listen, args=(heard, loop, worker), daemon=True).start()
        await worker.run()
    except LashError as error:
        sys.stderr.write(f"lash_core.worker: {error.message}\n")
        return 1
    except Exception:  # noqa: BLE001  whoever handed the turn over is told, and has the traceback on stderr
        traceback.print_exc()
        return 1
    return 0


def _lines(heard: int) -> Iterator[bytes]:
    rest = b""
    while piece := os.read(heard, 65_536):
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines


def _listen(heard: Iterator[bytes], loop: asyncio.AbstractEventLoop, worker: TurnWorker) -> None:
    for line in heard:
        loop.call_soon_threadsafe(worker.wish, line)
    with contextlib.suppress(OSError):  # whoever is gone may have been the one who read it
        os.write(2, b"lash_core.worker: stdin has ended, so whoever handed the turn over is gone\n")
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def _private_pipes() -> tuple[int, int]:
    """Keep stdin and stdout for messages; whatever else reads finds nothing, whatever else prints goes to stderr."""
    heard, said = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return heard, said


if __name__ == "__main__":
    main()
