"""A hook that blocks the event loop is named while it does."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from hook_kinds import (
    Said,
    function,
    lash_contribute_words,
    lash_guard_words,
    lash_on_words,
    lash_transform_words,
    open_hooks,
    part,
    told,
)
from lash_hookspecs.protocols.session_plugins import SessionPlugin
from lash_hookspecs.specs.decisions import ALLOW, Decision

SAID = Said()


@attrs.define
class Named:
    """What the watchdog said so far."""

    messages: list[str] = attrs.field(factory=list)
    _said: threading.Condition = attrs.field(factory=threading.Condition)

    def say(self, message: str) -> None:
        """Note a message."""
        with self._said:
            self.messages.append(message)
            self._said.notify_all()

    def block(self, word: str = "") -> None:
        """Block the loop until somebody is named in a message with a word."""
        with self._said:
            assert self._said.wait_for(lambda: any(word in message for message in self.messages), 30)


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Iterator[Named]:
    monkeypatch.setattr("lash_core.plugins.watchdog.LIMIT", 0.05)
    found = Named()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.say(told(record.getMessage()))

    listener = Listener()
    logging.getLogger("lash.plugins").addHandler(listener)
    yield found
    logging.getLogger("lash.plugins").removeHandler(listener)


@pytest.mark.parametrize("first", [True, False], ids=["in its first step", "after an await"])
async def test_a_hook_that_blocks_the_loop_is_named_with_the_place(first: bool, named: Named) -> None:
    async def blocks(context: Said) -> None:
        named.block()

    async def blocks_later(context: Said) -> None:
        await asyncio.sleep(0)
        named.block()

    hooks = await open_hooks(function(lash_on_words, blocks if first else blocks_later))
    await hooks.notify(lash_on_words, SAID)
    name = "blocks" if first else "blocks_later"
    assert named.messages[0].startswith(
        f"plugin '{name}' (lash-core 0.1.0): lash_on_words has blocked the event loop for 0.05 s, in "
    )
    assert named.messages[0].endswith("; await, or use asyncio.to_thread")


@pytest.mark.parametrize("what", ["offer", "build", "snapshot"])
async def test_what_is_not_async_is_named_too(what: str, named: Named) -> None:
    def blocks(context: Any) -> list[str]:
        named.block()
        return []

    class Part(SessionPlugin):
        def snapshot(self) -> None:
            if what == "snapshot":
                named.block()

    def build(given: object) -> Part:
        if what == "build":
            named.block()
        return Part()

    hooks = await open_hooks(part("mine", build), function(lash_contribute_words, blocks))
    await hooks.restore({})
    hooks.snapshots()
    if what == "offer":
        hooks.collect(lash_contribute_words, SAID)
    shown = "lash_contribute_words" if what == "offer" else f"{what}() of session plugin 'mine'"
    assert f": {shown} has blocked the event loop" in named.messages[0]


async def test_a_hook_that_waits_is_not_named(named: Named) -> None:
    looked = asyncio.Event()

    async def waits(context: Said) -> str:
        await looked.wait()
        return context.words

    async def blocks(context: Said) -> None:
        named.block()
        looked.set()

    hooks = await open_hooks(function(lash_transform_words, waits), function(lash_on_words, blocks))
    await asyncio.gather(hooks.transform(lash_transform_words, SAID), hooks.notify(lash_on_words, SAID))
    assert [message for message in named.messages if "plugin 'waits'" in message] == []


async def test_one_that_blocks_for_long_is_named_once_and_one_of_another_thread_too(named: Named) -> None:
    async def other(context: Said) -> Decision:
        named.block("plugin 'other'")
        return ALLOW

    async def blocks(context: Said) -> None:
        named.block("plugin 'blocks'")
        thread = threading.Thread(target=lambda: asyncio.run(hooks.guard(lash_guard_words, SAID)))
        thread.start()
        thread.join(30)

    hooks = await open_hooks(function(lash_on_words, blocks), function(lash_guard_words, other))
    await hooks.notify(lash_on_words, SAID)
    assert len([message for message in named.messages if "plugin 'blocks'" in message]) == 1
