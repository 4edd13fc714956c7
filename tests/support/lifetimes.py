"""Runtimes of one session, one after another: a store that counts as durable, an environment and a turn in a word."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any

import attrs
from lash_core.runtime.runtime import LashRuntime
from lash_core.runtime.state import load_persisted_state
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.events import Event
from lash_hookspecs.records.payloads import Message, PluginNode, TextPart, decode_payload
from lash_hookspecs.records.state import CommitDocument
from lash_hookspecs.records.turn import TurnInput, TurnLimits, TurnResult
from probes import Answer, FailingBackend, ProbeModel, says
from script_files import plugins

from lash_core import Residency, RuntimeEnvironment, SessionSpec

__all__ = [
    "DurableBackend",
    "environment",
    "note",
    "opened",
    "said",
    "say",
    "steps",
    "stored_texts",
    "texts",
]


class DurableBackend(FailingBackend):
    """A store in memory that says that it outlives the process; environments on it stand for processes."""

    def __init__(self) -> None:
        super().__init__()
        self._capabilities = attrs.evolve(self._capabilities, durability="process")
        self._name = f"durable:{secrets.token_hex(4)}"

    @property
    def name(self) -> str:
        return self._name


def environment(
    store: StoreBackend | None,
    *answers: Answer,
    more: Iterable[object] = (),
    residency: Residency = Residency.KEEP_ALL,
    **changes: Any,
) -> RuntimeEnvironment:
    """Make an environment whose model gives these answers, and ``ok`` when they have run out."""
    model = ProbeModel(*answers, otherwise=says("ok"))
    env = RuntimeEnvironment(plugins=plugins(model, *more), store=store, residency=residency, tool_sets=())
    return env.evolve(**changes) if changes else env


async def opened(env: RuntimeEnvironment, session_id: str = "s", **spec: Any) -> LashRuntime:
    """Open a session of the probe model."""
    return await LashRuntime.from_environment(env, SessionSpec(session_id=session_id, model="probe", **spec))


async def say(runtime: LashRuntime, text: str, events: list[Event] | None = None) -> TurnResult:
    """Run one turn."""
    heard: list[Event] = [] if events is None else events
    return await runtime.turn(TurnInput(text=text), TurnLimits(), heard.append)


def said(text: str) -> Message:
    """A message of the user."""
    return Message(role="user", parts=(TextPart(text=text),))


def note(body: Any = None) -> PluginNode:
    """A node that no model sees."""
    return PluginNode(plugin="tests", type="note", body=body)


def texts(runtime: LashRuntime) -> list[str]:
    """What is said on the resident path."""
    return [item.payload.text for item in runtime.items if isinstance(item.payload, Message)]


async def stored_texts(store: StoreBackend, session_id: str = "s") -> list[str]:
    """What is said on the stored path, read past every runtime."""
    state = await load_persisted_state(session_id, store.session(session_id))
    path = await store.session(session_id).path(state.leaf) if state.leaf else ()
    return [payload.text for node in path if isinstance(payload := decode_payload(node), Message)]


def steps(store: FailingBackend) -> list[str]:
    """What each commit that was asked for was for."""
    return [CommitDocument.from_bytes(commit.record).step for commit in store.commits]
