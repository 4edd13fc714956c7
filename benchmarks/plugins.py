"""What plugins cost: opening a session with twenty of them, and calling their hooks, timed or not."""

from __future__ import annotations

import asyncio
import tempfile
import time
import types
from collections.abc import Awaitable, Callable
from typing import Any

from harness import Figure, Goal, Sizes, p50, say
from lash_basics import mode_plugin, offline_plugin
from lash_core.builtins import BUILTINS
from lash_core.plugins import PluginManager, PluginSettings
from lash_core.plugins.calls import ask
from lash_core.plugins.hook_calls import Caller, HookCall
from lash_core.plugins.watchdog import Watchdog
from lash_hookspecs.markers import handles, hook_info, implements
from lash_hookspecs.protocols.session_plugins import SessionPlugin
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.specs.decisions import ALLOW, Decision
from lash_hookspecs.specs.events import SessionClosed, SessionRestored, lash_on_session_closed, lash_on_session_restored
from lash_hookspecs.specs.offers import OfferContext, SessionPluginOffer, lash_offer_session_plugins
from lash_hookspecs.specs.persistence import CommitProposed, Committed, lash_guard_commit, lash_on_committed
from lash_hookspecs.specs.turns import TurnAdditions, TurnBegins, lash_before_turn
from sessions import Writer, opened
from workload import Workload

from lash_core import LashRuntime, RuntimeEnvironment, SessionSpec

TITLE = "Plugins"

PLUGINS = 20


class Part(SessionPlugin):
    """What each plugin has of a session: two hooks, and a snapshot of some size."""

    def __init__(self, limit: int) -> None:
        self.limit, self.kept = limit, {"commits": 0, "last": ""}

    def snapshot(self) -> Any:
        return self.kept

    async def restore(self, schema_version: int, snapshot: Any) -> None:
        self.kept = snapshot or self.kept

    @handles(lash_on_session_restored)
    async def restored(self, context: SessionRestored) -> None: ...

    @handles(lash_before_turn)
    async def begins(self, context: TurnBegins) -> TurnAdditions:
        return context.additions


def plugin(number: int) -> types.ModuleType:
    """A plugin with five hooks, settings, and a part with a snapshot."""

    @implements(lash_guard_commit)
    async def guard(context: CommitProposed) -> Decision:
        return ALLOW

    @implements(lash_on_committed)
    async def committed(context: Committed) -> None: ...

    @implements(lash_on_session_closed)
    async def closed(context: SessionClosed) -> None: ...

    @implements(lash_offer_session_plugins)
    def parts(context: OfferContext) -> list[SessionPluginOffer]:
        limit = int(str(context.settings["limit"]))
        return [SessionPluginOffer(name="part", build=lambda setup: Part(limit))]

    module = types.ModuleType(f"bench_{number:02}")
    vars(module).update(guard=guard, committed=committed, closed=closed, parts=parts)
    return module


def environment(store: StoreBackend, count: int) -> RuntimeEnvironment:
    """An environment with so many plugins."""
    mine = [plugin(number) for number in range(count)]
    settings = PluginSettings(tables={module.__name__: {"limit": 10} for module in mine})
    plugins = PluginManager.for_tests((*BUILTINS, mode_plugin, offline_plugin, *mine), settings=settings)
    return RuntimeEnvironment(plugins=plugins, store=store, tool_sets=())


async def timed(times: int, step: Callable[[], Awaitable[object]]) -> list[float]:
    """Measure a step so many times, in milliseconds."""
    found = []
    for _ in range(times):
        begin = time.perf_counter()
        await step()
        found.append((time.perf_counter() - begin) * 1e3)
    return found


async def opening(env: RuntimeEnvironment, times: int, session_id: str) -> list[float]:
    """Measure how long a stored session takes to open; it is closed outside the measurement."""
    found = []
    for _ in range(times):
        begin = time.perf_counter()
        runtime = await LashRuntime.from_environment(env, SessionSpec(session_id=session_id))
        found.append((time.perf_counter() - begin) * 1e3)
        await runtime.close()
    return found


async def store_one(env: RuntimeEnvironment, session_id: str) -> None:
    """Make a session of two turns' commits, so that every plugin's snapshot is stored."""
    writer = Writer(await LashRuntime.from_environment(env, SessionSpec(session_id=session_id)))
    for turn in (1, 2):
        await writer.commit(Workload(turn).turn(turn))
    await writer.runtime.close()


async def measured(path: str, rounds: int) -> list[Figure]:
    """Open two sessions in turn, one with plugins and one without; then call hooks of the one with."""
    async with opened(path) as store:
        envs = {"with": environment(store, PLUGINS), "without": environment(store, 0)}
        openings: dict[str, list[float]] = {name: [] for name in envs}
        for name, env in envs.items():
            await store_one(env, name)
            await opening(env, 10, name)
        say("  opening")
        for _ in range(rounds):
            for name, env in envs.items():
                openings[name] += await opening(env, 1, name)
        say("  calling hooks")
        bare, untold, told = await called(store, rounds * 4)
    more = p50(openings["with"]) - p50(openings["without"])
    shown = f"{PLUGINS} plugins: five hooks, settings, a part, a snapshot"
    return [
        Figure(what="opening a stored session without plugins, p50", ours=p50(openings["without"]), unit="ms"),
        Figure(what=f"with {shown}, p50", ours=p50(openings["with"]), floor=p50(openings["without"]), unit="ms"),
        Figure(what=f"what the {PLUGINS} plugins add to it", ours=more, unit="ms", goal=Goal("≤", 1.0, "value")),
        Figure(
            what=f"calling {PLUGINS} guards, p50", ours=untold * 1e3, floor=bare * 1e3, unit="µs", goal=Goal("≤", 1.1),
            note="floor: without the door for records",
        ),
        Figure(
            what="the same, each call timed and told", ours=told * 1e3, floor=untold * 1e3, unit="µs",
            note="--trace, --explain-plugins; floor: untold",
        ),
    ]  # fmt: skip


async def called(store: StoreBackend, times: int) -> list[float]:
    """Measure the guards of a commit, in milliseconds: called by hand, by a caller, and by one that tells of it."""
    runtime = await LashRuntime.from_environment(environment(store, PLUGINS), SessionSpec(session_id="with"))
    proposed = CommitProposed(session=runtime.session.services, session_id="with", step="final", node_count=1, bytes=80)
    guards = runtime.session.parts.hooks._handlers[lash_guard_commit.__name__]
    watchdog, info, counted = Watchdog(), hook_info(lash_guard_commit), list[HookCall]()
    callers = [Caller("with", watchdog), Caller("with", watchdog, counted.append)]
    steps: list[Callable[[], Awaitable[object]]] = [lambda: ask(guards, proposed, info.deadline, watchdog)]
    steps += [lambda each=each: each.ask(guards, proposed, info.deadline, info) for each in callers]  # type: ignore[misc]
    found: list[list[float]] = [[] for _ in steps]
    for _ in range(times):
        for times_of, step in zip(found, steps, strict=True):
            times_of += await timed(1, step)
    await runtime.close()
    return [p50(times_of) for times_of in found]


def run(sizes: Sizes) -> list[Figure]:
    """Measure in a database of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(measured(f"{folder}/plugins.db", sizes.pages + 1))
