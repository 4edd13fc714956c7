"""Plugins that are others on resuming than on parking: what is told, kept, and refused (P5, P8, P10)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import pytest
from lash_basics import mode_plugin
from lash_core.builtins import BUILTINS
from lash_core.plugins import Builtin, PluginManager, PluginSettings
from lash_core.plugins.manifest import Manifest
from lash_core.plugins.records import PluginRecord
from lash_core.runtime.parked import ParkedSession
from lash_hookspecs.errors import LimitExceeded, PluginError
from lash_hookspecs.markers import handles, implements
from lash_hookspecs.protocols.session_plugins import SessionPlugin
from lash_hookspecs.specs.offers import OfferContext, SessionPluginOffer, SessionSetup, lash_offer_session_plugins
from lash_hookspecs.specs.turns import TurnAdditions, TurnBegins, lash_before_turn
from lifetimes import DurableBackend, say
from probes import ProbeModel, says
from pydantic import JsonValue

from lash_core import LashRuntime, RuntimeEnvironment, SessionSpec


class Counts(SessionPlugin):
    """Counts turns: version 1 keeps a number, version 2 an object."""

    schema_version = 2

    def __init__(self) -> None:
        self.count = 0

    def snapshot(self) -> JsonValue:
        return {"count": self.count}

    async def restore(self, schema_version: int, snapshot: JsonValue) -> None:
        kept: Any = snapshot
        self.count = kept["count"] if schema_version == 2 else kept or 0

    @handles(lash_before_turn)
    async def begins(self, context: TurnBegins) -> TurnAdditions:
        self.count += 1
        return context.additions


class CountsAsBefore(Counts):
    """The version before."""

    schema_version = 1

    def snapshot(self) -> JsonValue:
        return self.count


@attrs.frozen
class Installed:
    """A distribution with one plugin, and what its parts are built by."""

    name: str
    parts: Mapping[str, Callable[[SessionSetup], SessionPlugin]]
    version: str = "1.0"
    manifest: Manifest = attrs.field(factory=Manifest)

    @property
    def record(self) -> PluginRecord:
        manifest = attrs.evolve(self.manifest, offers={"session_plugins": tuple(self.parts)})
        return PluginRecord(
            distribution=f"acme-{self.name}", version=self.version, name=self.name, value="acme", manifest=manifest
        )

    @property
    def target(self) -> object:
        made = [SessionPluginOffer(name=name, build=build) for name, build in self.parts.items()]

        class Plugin:
            @staticmethod
            @implements(lash_offer_session_plugins)
            def offers(context: OfferContext) -> list[SessionPluginOffer]:
                return made

        return Plugin


def counting(part: type[Counts] = Counts, name: str = "count", **more: Any) -> Installed:
    return Installed(name, {"turns": lambda setup: part()}, **more)


def environment(store: DurableBackend, *installed: Installed, **changes: Any) -> RuntimeEnvironment:
    model = ProbeModel(otherwise=says("ok"))
    app = [
        *BUILTINS,
        Builtin(name="standard-mode", target=mode_plugin, offers={"modes": ("standard",)}),
        Builtin(name="probe", target=model, offers={"providers": ("probe",)}),
    ]
    records = [part.record() for part in app] + [each.record for each in installed]
    targets = [part.target for part in app] + [each.target for each in installed]
    named = {record.identity: target for record, target in zip(records, targets, strict=True)}
    manager = PluginManager(records, named, PluginSettings())
    return RuntimeEnvironment(plugins=manager, store=store, tool_sets=(), **changes)


async def parked(store: DurableBackend, *installed: Installed) -> ParkedSession:
    """Run a turn in session ``s`` with these plugins, and park it."""
    spec = SessionSpec(session_id="s", model="probe")
    runtime = await LashRuntime.from_environment(environment(store, *installed), spec)
    await say(runtime, "hi")
    return await runtime.park()


async def resumed(store: DurableBackend, handle: ParkedSession, *installed: Installed, **changes: Any) -> LashRuntime:
    return await LashRuntime.resume(handle, environment(store, *installed, **changes))


async def component(store: DurableBackend, name: str) -> bytes | None:
    session = store.session("s")
    head: Any = await session.head()
    ref = head.components.get(f"plugin/acme-{name}")
    return None if ref is None else bytes((await session.get_blobs([ref]))[ref])


async def test_an_upgraded_plugin_takes_up_its_older_snapshot_and_a_downgraded_one_is_refused_and_loses_nothing() -> (
    None
):
    store = DurableBackend()
    handle = await parked(store, counting(CountsAsBefore))
    runtime = await resumed(store, handle, counting(version="2.0"))
    (change,) = runtime.report.plugins.changed
    assert (change.stored.version, change.present.version) == ("1.0", "2.0")
    await say(runtime, "again")
    handle = await runtime.park()
    assert await component(store, "count/count/turns") == b'{"schema_version":2,"data":{"count":2}}'
    with pytest.raises(PluginError) as refused:
        await resumed(store, handle, counting(CountsAsBefore))
    assert str(refused.value) == (
        "plugin 'count' (acme-count 1.0): session plugin 'turns': the session keeps a snapshot of schema version 2, "
        "and this version of the plugin reads none above 1; install a newer one"
    )
    await say(await resumed(store, handle, counting(version="2.0")), "and again")
    assert await component(store, "count/count/turns") == b'{"schema_version":2,"data":{"count":3}}'


async def test_a_renamed_plugin_is_another_one_and_what_the_old_name_kept_is_kept() -> None:
    store = DurableBackend()
    handle = await parked(store, counting())
    runtime = await resumed(store, handle, counting(name="tally"))
    changes, snapshots = runtime.report.plugins, runtime.report.snapshots
    assert ([each.name for each in changes.added], [each.name for each in changes.removed]) == (["tally"], ["count"])
    assert snapshots is not None
    assert (snapshots.kept, snapshots.fresh) == (("plugin/acme-count/count/turns",), ("plugin/acme-tally/tally/turns",))
    await say(runtime, "again")
    handle = await runtime.park()
    back = await resumed(store, handle, counting())
    await say(back, "and again")
    assert await component(store, "count/count/turns") == b'{"schema_version":2,"data":{"count":2}}'
    assert await component(store, "tally/tally/turns") == b'{"schema_version":2,"data":{"count":1}}'


async def test_another_order_is_told_and_refused_where_the_policy_is_strict() -> None:
    store = DurableBackend()
    handle = await parked(store, counting(name="a"), counting(name="b"))
    later = counting(name="a", manifest=Manifest(after=("b",)))
    runtime = await resumed(store, handle, later, counting(name="b"))
    assert (runtime.report.plugins.reordered, runtime.report.plugins.changed) == (True, ())
    await runtime.close()
    with pytest.raises(PluginError, match="they are called in another order; install the same ones"):
        await resumed(store, handle, later, counting(name="b"), plugin_policy="strict")
    await (await resumed(store, handle, counting(name="b"), counting(name="a"), plugin_policy="strict")).close()


async def test_a_plugin_for_another_hook_api_is_another_one_for_strict() -> None:
    store = DurableBackend()
    handle = await parked(store, counting(manifest=Manifest(requires_api="0.0")))
    runtime = await resumed(store, handle, counting(manifest=Manifest(requires_api="0.1")))
    assert runtime.report.plugins.describe().startswith("changed plugin 'count' (acme-count 1.0) to hook API 0.1")
    await runtime.close()
    with pytest.raises(PluginError, match=r"hook API 0\.1 from 0\.0"):
        await resumed(store, handle, counting(manifest=Manifest(requires_api="0.1")), plugin_policy="strict")


async def test_two_parts_of_one_plugin_keep_their_own_and_one_that_is_gone_is_kept() -> None:
    store = DurableBackend()
    both = Installed("pair", {"one": lambda setup: Counts(), "two": lambda setup: CountsAsBefore()})
    handle = await parked(store, both)
    runtime = await resumed(store, handle, Installed("pair", {"two": lambda setup: CountsAsBefore()}))
    assert runtime.report.snapshots is not None
    assert runtime.report.snapshots.kept == ("plugin/acme-pair/pair/one",)
    await say(runtime, "again")
    await runtime.park()
    assert await component(store, "pair/pair/one") == b'{"schema_version":2,"data":{"count":1}}'
    assert await component(store, "pair/pair/two") == b'{"schema_version":1,"data":2}'


async def test_a_snapshot_that_no_store_takes_is_refused_and_the_session_goes_on_without_it() -> None:
    class Huge(Counts):
        def snapshot(self) -> JsonValue:
            return "x" * 100_000 * self.count

    store = DurableBackend()
    store._capabilities = attrs.evolve(store.capabilities, max_value=50_000)
    handle = await parked(store, counting())
    runtime = await resumed(store, handle, counting(Huge))
    with pytest.raises(LimitExceeded, match="50000"):
        await say(runtime, "again")
    await runtime.close()
    whole = await LashRuntime.from_environment(environment(store, counting()), SessionSpec(session_id="s"))
    assert (await say(whole, "and again")).outcome == "finished"
    assert await component(store, "count/count/turns") == b'{"schema_version":2,"data":{"count":2}}'


async def test_a_part_that_hangs_while_it_is_restored_is_named_and_the_others_are_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed: list[str] = []

    class Closes(Counts):
        async def close(self) -> None:
            closed.append("closes")

    class Hangs(Counts):
        async def restore(self, schema_version: int, snapshot: JsonValue) -> None:
            await asyncio.Event().wait()

    store = DurableBackend()
    handle = await parked(store, counting(name="a"), counting(name="b"))
    with monkeypatch.context() as patched:
        patched.setattr("lash_core.plugins.parts._RESTORE_DEADLINE", 0.01)
        with pytest.raises(PluginError, match=r"plugin 'b' .*: restore\(\) missed its deadline"):
            await resumed(store, handle, counting(Closes, name="a"), counting(Hangs, name="b"))
    assert closed == ["closes"]
    runtime = await resumed(store, handle, counting(name="a"), counting(name="b"))
    assert not runtime.report.differs
    await runtime.close()


@pytest.mark.parametrize("broken", ["property", "changing"])
async def test_a_schema_version_that_is_a_strangers_code_harms_nobody(broken: str) -> None:
    class Odd(Counts):
        asked = 0

        @property
        def schema_version(self) -> int:  # type: ignore[override]
            if broken == "property":
                raise ValueError("I have none")
            self.asked += 1
            return self.asked + 1

    store = DurableBackend()
    handle = await parked(store, counting())
    if broken == "property":
        with pytest.raises(PluginError, match=r"plugin 'count' .*: it cannot be looked at: ValueError: I have none"):
            await resumed(store, handle, counting(Odd))
        return
    runtime = await resumed(store, handle, counting(Odd))
    await say(runtime, "again")
    await runtime.park()
    assert await component(store, "count/count/turns") == b'{"schema_version":2,"data":{"count":2}}'
