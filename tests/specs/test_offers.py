"""What a plugin offers is what a session uses: one test for each hook that offers something by name (P1, P4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hook_kinds import function
from keeping_mode import KeepingMode
from lash_core.hosts.embedded import EmbeddedHost
from lash_core.runtime.state import load_persisted_state
from lash_hookspecs.protocols.hosts import TurnRunner
from lash_hookspecs.protocols.session_plugins import SessionPlugin
from lash_hookspecs.records.state import SessionConfig
from lash_hookspecs.specs.config import ConfigProposed, lash_transform_config
from lash_hookspecs.specs.offers import (
    HostOffer,
    ModeOffer,
    OfferContext,
    ProviderOffer,
    SessionPluginOffer,
    SessionSetup,
    StoreOffer,
    ToolOffer,
    lash_offer_hosts,
    lash_offer_modes,
    lash_offer_providers,
    lash_offer_session_plugins,
    lash_offer_stores,
    lash_offer_tools,
)
from lash_hookspecs.toolkit import FunctionTools
from lifetimes import DurableBackend, environment, opened, say
from probes import ProbeModel, calls, says
from script_files import plugins

from lash_core import Agent, Lash, tool


def offering(spec: Callable[..., Any], *offers: Any) -> object:
    """A plugin that offers this."""

    def offer(context: OfferContext) -> list[Any]:
        return list(offers)

    return function(spec, offer)


async def test_a_url_is_opened_by_the_store_that_offers_its_scheme() -> None:
    backend, asked = DurableBackend(), []

    async def open_it(url: str, create: bool) -> DurableBackend:
        asked.append((url, create))
        return backend

    store = offering(lash_offer_stores, StoreOffer(schemes=("mine",), open=open_it))
    async with Lash.open("mine://somewhere", plugins=plugins(store), create=False) as lash:
        await (await lash.session("s")).turn("Hello")
    assert asked == [("mine://somewhere", False)]
    assert {commit.session_id for commit in backend.commits} == {"s"}


async def test_a_session_is_conducted_by_the_mode_that_is_offered_under_its_name() -> None:
    mode = offering(lash_offer_modes, ModeOffer(name="keeping", build=KeepingMode))
    async with Lash.open(agent=Agent(mode="keeping"), plugins=plugins(mode)) as lash:
        session = await lash.session("s")
        assert [(await session.turn("on")).text for _ in range(2)] == ["turn 1", "turn 2"]


async def test_a_model_is_asked_of_the_provider_that_offers_what_stands_before_its_colon() -> None:
    model, asked = ProbeModel(says("I am yours")), []

    def open_it(name: str) -> ProbeModel:
        asked.append(name)
        return model

    provider = offering(lash_offer_providers, ProviderOffer(names=("mine", "other"), open=open_it))
    async with Lash.open(agent=Agent(model="mine:large"), plugins=plugins(provider)) as lash:
        assert (await (await lash.session("s")).turn("Hello")).text == "I am yours"
    assert asked == ["mine"]
    assert [request.model for request in model.requests] == ["large"]


async def test_a_model_calls_the_tools_of_a_set_that_the_agent_names() -> None:
    called = []

    @tool(kind="read_only")
    async def look() -> str:
        called.append("look")
        return "seen"

    tools = offering(lash_offer_tools, ToolOffer(name="mine", build=lambda setup: FunctionTools([look])))
    model = ProbeModel(calls(("look", {})), says("done"))
    agent = Agent(model="probe", tool_sets=["mine"])
    async with Lash.open(agent=agent, plugins=plugins(model, tools)) as lash:
        assert (await (await lash.session("s")).turn("Look")).text == "done"
    assert called == ["look"]


async def test_a_session_is_given_its_part_and_a_store_keeps_what_the_part_keeps() -> None:
    class Count(SessionPlugin):
        count = 0

        def snapshot(self) -> int:
            return self.count + 1

        async def restore(self, schema_version: int, snapshot: Any) -> None:
            self.count = snapshot or 0
            counts.append(self.count)

    counts: list[int] = []
    setups: list[SessionSetup] = []

    def build(setup: SessionSetup) -> Count:
        setups.append(setup)
        return Count()

    part = offering(lash_offer_session_plugins, SessionPluginOffer(name="count", build=build))
    async with Lash.open(agent=Agent(), plugins=plugins(part)) as lash:
        for _ in range(2):
            session = await lash.session("s")
            await session.turn("Hello")
            await session.close()
    assert [setup.session_id for setup in setups] == ["s", "s"]
    assert counts == [0, 1]


async def test_turns_run_on_the_host_that_a_plugin_offers() -> None:
    ran = []

    class Telling(EmbeddedHost):
        async def run_turn(self, runner: TurnRunner) -> None:
            ran.append("begun")
            await super().run_turn(runner)
            ran.append("done")

    manager = plugins(offering(lash_offer_hosts, HostOffer(name="telling", build=Telling)))
    async with Lash.open(plugins=manager, host="telling") as lash:
        await (await lash.session("s")).turn("Hello")
    assert ran == ["begun", "done"]


async def test_a_configuration_is_stored_as_plugins_have_changed_it() -> None:
    async def cool(context: ConfigProposed) -> SessionConfig:
        return context.config.evolve(model_settings={**context.config.model_settings, "temperature": 0.0})

    backend = DurableBackend()
    runtime = await opened(environment(backend, more=[function(lash_transform_config, cool)]))
    await say(runtime, "a")
    await runtime.update_session_config(instructions="Be brief.")
    stored = (await load_persisted_state("s", backend.session("s"))).config
    assert (stored.instructions, stored.model_settings) == ("Be brief.", {"temperature": 0.0})
