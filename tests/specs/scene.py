"""A session in which every hook is called, and a plugin that implements them all and keeps what it was told."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lash_core.hosts.embedded import EmbeddedHost
from lash_core.plugins import PluginManager
from lash_core.plugins.manifest import OFFER_HOOKS
from lash_core.plugins.records import Builtin
from lash_hookspecs.markers import hook_info, implements
from lash_hookspecs.protocols.modes import (
    Append,
    AskModel,
    BoundaryPassed,
    Finish,
    ModeInput,
    ModelAnswered,
    ModeStep,
    PassBoundary,
    RunTools,
    ToolsFinished,
    TurnBegan,
)
from lash_hookspecs.protocols.session_plugins import SessionPlugin
from lash_hookspecs.records.payloads import Message
from lash_hookspecs.records.turn import TurnEnd
from lash_hookspecs.specs import all_specs
from lash_hookspecs.specs.decisions import ALLOW
from lash_hookspecs.specs.offers import (
    CommandOffer,
    HostOffer,
    ModeOffer,
    ProviderOffer,
    SessionPluginOffer,
    StoreOffer,
    ToolOffer,
)
from lash_hookspecs.toolkit import FunctionTools, tool
from lifetimes import DurableBackend
from probes import ProbeModel, calls, says
from pydantic import JsonValue

from lash_core import Agent, Lash

__all__ = ["Heard", "play"]

#: Hook → the contexts that it was called with, in order.
Heard = dict[str, list[Any]]


class SceneMode:
    """The mode ``scene``: asks the model, runs what it calls, passes a boundary; counts its turns."""

    name = "scene"
    version = 1

    def step(self, state: JsonValue, event: ModeInput) -> ModeStep:
        match event:
            case TurnBegan(session_state=count):
                return ModeStep(None, (AskModel(),), session_state=(count if isinstance(count, int) else 0) + 1)
            case ModelAnswered(reply=reply):
                said = Message(role="assistant", parts=reply.parts)
                if said.tool_calls:
                    return ModeStep(None, (Append(said), RunTools(said.tool_calls)))
                return ModeStep(None, (Append(said), Finish(TurnEnd(outcome="finished", text=said.text))))
            case ToolsFinished():
                return ModeStep(None, (PassBoundary(),))
            case BoundaryPassed():
                return ModeStep(None, (AskModel(),))


class _Part(SessionPlugin):
    """A part that keeps nothing."""


@tool(kind="read_only")
async def look() -> str:
    """Look around."""
    return "seen"


async def _durable(url: str, create: bool) -> DurableBackend:
    return DurableBackend()


def _offers() -> Mapping[str, tuple[tuple[str, ...], list[Any]]]:
    """Give what the plugin offers: kind → its names and the offers."""
    model = ProbeModel(calls(("look", {})), says("it is there"), otherwise=says("ok"))
    return {
        "stores": (("scene",), [StoreOffer(schemes=("scene",), open=_durable)]),
        "modes": (("scene",), [ModeOffer(name="scene", build=SceneMode)]),
        "providers": (("scene",), [ProviderOffer(names=("scene",), open=lambda name: model)]),
        "hosts": (("scene",), [HostOffer(name="scene", build=EmbeddedHost)]),
        "commands": (("scene",), [CommandOffer(name="scene", build=lambda setup: NotImplemented)]),
        "tools": (("scene",), [ToolOffer(name="scene", build=lambda setup: FunctionTools([look]))]),
        "session_plugins": (("scene",), [SessionPluginOffer(name="scene", build=lambda setup: _Part())]),
    }


def _plugin(heard: Heard) -> Builtin:
    """Make a plugin that implements every hook, changes nothing, and keeps the contexts."""
    offers = _offers()
    answers = {OFFER_HOOKS[kind]: items for kind, (_, items) in offers.items()}
    module = types.ModuleType("scene")
    for name, spec in all_specs().items():
        vars(module)[f"on_{name}"] = implements(spec)(_listener(spec, heard, answers.get(name, [])))
    return Builtin(
        name="scene",
        target=module,
        hooks=tuple(all_specs()),
        offers={kind: names for kind, (names, _) in offers.items()},
    )


def _listener(spec: Callable[..., Any], heard: Heard, offered: list[Any]) -> Callable[..., Any]:
    info = hook_info(spec)

    def hear(context: Any) -> Any:
        heard.setdefault(spec.__name__, []).append(context)
        if info.kind == "offer":
            return offered
        return {"guard": ALLOW, "transform": getattr(context, info.field or "__class__")}.get(info.kind)

    async def hear_async(context: Any) -> Any:
        return hear(context)

    return hear if info.kind == "offer" else hear_async


async def play(folder: Path) -> Heard:
    """Play the scene: a turn with a tool call, another configuration, a rewrite, a parking, a second opening."""
    heard: Heard = {}
    agent = Agent(model="scene", mode="scene", tool_sets=["scene"])
    manager = PluginManager.for_tests([_plugin(heard)])
    manager.command("scene")
    async with Lash.open("scene:", agent=agent, plugins=manager, host="scene", root=folder) as lash:
        session = await lash.session("s1")
        turn = session.stream("What is there?")
        _ = [event async for event in turn]
        result = await turn.result()
        assert result.outcome == "finished", result.message
        await session.update_config(model_settings={"temperature": 0})
        await session.compact()
        await session.park()
        session = await lash.session("s1")
        await session.close()
    return heard
