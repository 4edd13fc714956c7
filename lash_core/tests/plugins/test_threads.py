"""A thread that a plugin begins and leaves behind is named when nobody can need it any more."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from hook_kinds import Said, function, lash_on_words, manager_of, part, setup, told
from lash_core.plugins import PluginManager
from lash_hookspecs.markers import handles
from lash_hookspecs.protocols.session_plugins import SessionPlugin

SAID = Said()


@attrs.define
class Worker:
    """A thread that runs a plugin's code until it is freed."""

    free: threading.Event = attrs.field(factory=threading.Event)
    threads: list[threading.Thread] = attrs.field(factory=list)

    def begin(self) -> None:
        thread = threading.Thread(target=self._work, name="worker", daemon=True)
        self.threads.append(thread)
        thread.start()

    def _work(self) -> None:
        self.free.wait(60)

    def end(self) -> None:
        self.free.set()
        for thread in self.threads:
            thread.join(60)


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.end()


def manager(worker: Worker) -> PluginManager:
    async def begins(context: Said) -> None:
        worker.begin()

    return manager_of(function(lash_on_words, begins))


async def closing(hooks: Any, caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.ERROR, "lash.plugins"):
        await hooks.close()
    return [told(message) for message in caplog.messages]


async def test_a_thread_that_outlives_its_session_is_named_once(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    plugins = manager(worker)
    hooks = await plugins.open_session(setup())
    await hooks.notify(lash_on_words, SAID)
    assert await closing(hooks, caplog) == [
        "plugin 'begins' (lash-core 0.1.0): thread 'worker' began while session 's1' was open and outlives it; "
        "end it in close()"
    ]
    again = await plugins.open_session(setup("s2"))
    assert await closing(again, caplog) == []


async def test_a_thread_is_not_named_while_a_session_is_open_that_may_have_begun_it(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    plugins = manager(worker)
    first, second = [await plugins.open_session(setup(name)) for name in ("s1", "s2")]
    await second.notify(lash_on_words, SAID)
    later = await plugins.open_session(setup("s3"))
    assert await closing(first, caplog) == []
    (message,) = await closing(second, caplog)
    assert "session 's2' was open" in message
    assert await closing(later, caplog) == []


async def test_a_thread_that_ends_with_its_session_is_right(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    class Works(SessionPlugin):
        @handles(lash_on_words)
        async def begin(self, context: Said) -> None:
            worker.begin()

        async def close(self) -> None:
            worker.free.set()

    hooks = await manager_of(part("works", lambda _: Works())).open_session(setup())
    await hooks.notify(lash_on_words, SAID)
    assert await closing(hooks, caplog) == []
    assert not any(thread.is_alive() for thread in worker.threads)


async def test_a_thread_of_nobodys_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def hears(context: Said) -> None: ...

    free = threading.Event()
    hooks = await manager_of(function(lash_on_words, hears)).open_session(setup())
    thread = threading.Thread(target=free.wait, args=(60,))
    thread.start()
    assert await closing(hooks, caplog) == []
    free.set()
    thread.join(60)
