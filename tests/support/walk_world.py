"""What a lifecycle walk is played with: stores whose commits fail when told to, a model, tools, plugins."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import attrs
from dying_host import Killed
from lash_basics import mode_plugin
from lash_core.builtins import BUILTINS
from lash_core.plugins import Builtin, PluginManager, PluginSettings
from lash_core.plugins.manifest import Manifest
from lash_core.plugins.records import PluginRecord
from lash_core.stores.memory import MemoryBackend, MemorySession
from lash_hookspecs.errors import StoreUnavailable
from lash_hookspecs.markers import handles, implements
from lash_hookspecs.protocols.hosts import Host, TurnRunner
from lash_hookspecs.protocols.services import SessionServices
from lash_hookspecs.protocols.session_plugins import SessionPlugin
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.protocols.tools import ToolCallContext
from lash_hookspecs.records.models import (
    ModelChunk,
    ModelInfo,
    ModelReply,
    ModelRequest,
    ReplyChunk,
    ToolTurn,
    UserTurn,
)
from lash_hookspecs.records.payloads import Message, TextPart, ToolCallPart
from lash_hookspecs.records.store import Commit, Receipt
from lash_hookspecs.records.tools import ToolCall, ToolKind, ToolSpec
from lash_hookspecs.records.usage import TokenUsage
from lash_hookspecs.specs.decisions import ALLOW, Decision
from lash_hookspecs.specs.events import SessionRestored, lash_on_session_restored
from lash_hookspecs.specs.history import HistoryEntry, HistoryRewrite, lash_rewrite_history
from lash_hookspecs.specs.offers import (
    OfferContext,
    ProviderOffer,
    SessionPluginOffer,
    SessionSetup,
    lash_offer_providers,
    lash_offer_session_plugins,
)
from lash_hookspecs.specs.persistence import CommitProposed, Committed, lash_guard_commit, lash_on_committed
from lash_hookspecs.specs.turns import BoundaryReached, TurnAdditions, TurnBegins, lash_at_boundary, lash_before_turn
from lash_store_sql.database import parse_url
from lash_store_sql.sqlite import SqliteBackend, SqliteSession
from pydantic import JsonValue
from tool_probes import Listed

from lash_core import Residency, RuntimeEnvironment

__all__ = [
    "COUNTER",
    "Counter",
    "Faults",
    "KeptMemory",
    "Leaving",
    "Setting",
    "answer_to",
    "counter_of",
    "environment",
    "flaky_sqlite",
    "manager_of_setting",
]

#: The counter's component.
COUNTER = "plugin/acme-counter/counter/counter"

#: Tokens that each answer of the model costs.
TOKENS = 10

KINDS: dict[str, ToolKind] = {"look": "read_only", "pay": "side_effecting", "old": "read_only", "new": "idempotent"}


# Stores


@attrs.define
class Faults:
    """Which commit fails next.

    Attributes:
        at: The commit, from 1; 0 for none.
        lost: Whether it is done, and only its answer gets lost.
        seen: Commits since `arm`.
    """

    at: int = 0
    lost: bool = False
    seen: int = 0

    def arm(self, at: int, *, lost: bool = False) -> None:
        """Count from here."""
        self.at, self.lost, self.seen = at, lost, 0

    async def through(self, commit: Callable[[], Awaitable[Receipt]]) -> Receipt:
        """Let a commit through, or not."""
        self.seen += 1
        fails = self.seen == self.at
        if fails and not self.lost:
            raise StoreUnavailable("the commit was refused")
        receipt = await commit()
        if fails:
            raise StoreUnavailable("the answer to the commit was lost")
        return receipt


class KeptMemory(MemoryBackend):
    """A memory store that outlives its runtimes, as far as they know."""

    def __init__(self, faults: Faults) -> None:
        super().__init__()
        self.faults = faults
        self._capabilities = attrs.evolve(self._capabilities, durability="process")

    def session(self, session_id: str) -> MemorySession:
        return _KeptSession(self, session_id)


class _KeptSession(MemorySession):
    async def commit(self, commit: Commit) -> Receipt:
        assert isinstance(self._backend, KeptMemory)
        done = super().commit
        return await self._backend.faults.through(lambda: done(commit))


class _FlakySqlite(SqliteBackend):
    faults: Faults

    def session(self, session_id: str) -> SqliteSession:
        return _FlakySqliteSession(self, session_id)


class _FlakySqliteSession(SqliteSession):
    async def commit(self, commit: Commit) -> Receipt:
        assert isinstance(self._backend, _FlakySqlite)
        done = super().commit
        return await self._backend.faults.through(lambda: done(commit))


async def flaky_sqlite(path: Path, faults: Faults) -> StoreBackend:
    """Make a store in a file."""
    backend = _FlakySqlite(parse_url(f"sqlite:///{path}"), create=True, clock=time.time)
    backend.faults = faults
    await backend.write(lambda connection: None, "the database")
    return backend


# The model: its answers follow from what it is asked, so that a turn can be continued anywhere


class _Model:
    async def model_info(self, model: str) -> ModelInfo:
        return ModelInfo(context_window=100_000)

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelChunk]:
        said = next(message.text for message in reversed(request.messages) if isinstance(message, UserTurn))
        wanted = [] if isinstance(request.messages[-1], ToolTurn) else _tools_in(said)
        parts: Any = [ToolCallPart(call=ToolCall(call_id=f"call_{at}", tool=name)) for at, name in enumerate(wanted)]
        usage = TokenUsage(input_tokens=TOKENS, output_tokens=1)
        yield ReplyChunk(reply=ModelReply(parts=tuple(parts or [TextPart(text=answer_to(said))]), usage=usage))

    async def close(self) -> None:
        return None


def answer_to(said: str) -> str:
    """What the model answers in the end."""
    return f"answer to {said}"


def _tools_in(said: str) -> list[str]:
    return [name for name in said.partition(":")[2].split(",") if name]


@implements(lash_offer_providers)
def _providers(context: OfferContext) -> list[ProviderOffer]:
    return [ProviderOffer(names=("walk",), open=lambda name: _Model())]


# Plugins

_counters: weakref.WeakKeyDictionary[SessionServices, Counter] = weakref.WeakKeyDictionary()


class Counter(SessionPlugin):
    """Counts beginnings and boundaries of turns. Version 1 keeps a number, version 2 an object."""

    def __init__(self, version: int) -> None:
        self.count = 0
        self.version = version

    @property
    def schema_version(self) -> int:
        return self.version

    def snapshot(self) -> JsonValue:
        return self.count if self.version == 1 else {"count": self.count}

    async def restore(self, schema_version: int, snapshot: JsonValue) -> None:
        kept: Any = snapshot
        self.count = kept["count"] if schema_version == 2 else kept or 0

    @handles(lash_before_turn)
    async def begins(self, context: TurnBegins) -> TurnAdditions:
        self.count += 1
        return context.additions

    @handles(lash_at_boundary)
    async def reaches(self, context: BoundaryReached) -> TurnAdditions:
        self.count += 1
        return context.additions


class _Note(SessionPlugin):
    def snapshot(self) -> JsonValue:
        return "noted"


class _Busy(SessionPlugin):
    """Handles five hooks and keeps what it has seen."""

    def __init__(self) -> None:
        self.seen = 0

    def snapshot(self) -> JsonValue:
        return {"seen": self.seen}

    async def restore(self, schema_version: int, snapshot: JsonValue) -> None:
        self.seen = schema_version and 1

    @handles(lash_before_turn)
    async def begins(self, context: TurnBegins) -> TurnAdditions:
        self.seen += 1
        return context.additions

    @handles(lash_at_boundary)
    async def reaches(self, context: BoundaryReached) -> TurnAdditions:
        return context.additions

    @handles(lash_guard_commit)
    async def guards(self, context: CommitProposed) -> Decision:
        await asyncio.sleep(0)
        return ALLOW

    @handles(lash_on_committed)
    async def committed(self, context: Committed) -> None: ...

    @handles(lash_on_session_restored)
    async def restored(self, context: SessionRestored) -> None:
        await asyncio.sleep(0)


def counter_of(services: SessionServices) -> Counter:
    """Give the living counter of an open session."""
    return _counters[services]


def _counting(version: int) -> object:
    def build(setup: SessionSetup) -> SessionPlugin:
        _counters[setup.services] = made = Counter(version)
        return made

    return _offering("counter", build)


def _offering(name: str, build: Callable[[SessionSetup], SessionPlugin]) -> object:
    class Plugin:
        @staticmethod
        @implements(lash_offer_session_plugins)
        def parts(context: OfferContext) -> list[SessionPluginOffer]:
            return [SessionPluginOffer(name=name, build=build)]

    return Plugin


class _Forget:
    """Rewrites a path to what it is from the last user message but one."""

    @staticmethod
    @implements(lash_rewrite_history)
    async def forget(context: HistoryRewrite) -> tuple[HistoryEntry, ...]:
        said = [at for at, entry in enumerate(context.entries) if _is_users(entry.payload)]
        return context.entries[said[-2] :] if len(said) > 1 else context.entries


def _is_users(payload: object) -> bool:
    return isinstance(payload, Message) and payload.role == "user"


def _record(name: str, version: str, **manifest: Any) -> PluginRecord:
    return PluginRecord(
        distribution=f"acme-{name}", version=version, name=name, value=name, manifest=Manifest(**manifest)
    )


@attrs.frozen(kw_only=True)
class Setting:
    """How a runtime's environment is set up.

    Attributes:
        residency: What it holds in memory.
        counter: The version of the counter plugin; 0 when it is not installed.
        note: Whether the plugin ``note`` is installed.
        busy: How many plugins are installed besides, each with a part that handles five hooks.
        tools: The tools that there are.
    """

    residency: Residency = Residency.KEEP_ALL
    counter: int = 1
    note: bool = False
    busy: int = 0
    tools: tuple[str, ...] = ("look", "pay", "old")

    @property
    def plugins(self) -> dict[str, str]:
        """The plugins that may differ, with their versions."""
        counter = {"counter": f"{self.counter}.0"} if self.counter else {}
        return counter | ({"note": "1.0"} if self.note else {})


@cache
def manager_of_setting(counter: int, note: bool, busy: int = 0) -> PluginManager:
    """Give the plugins of a setting."""
    fixed = [
        *BUILTINS,
        Builtin(name="standard-mode", target=mode_plugin, offers={"modes": ("standard",)}),
        Builtin(name="walk-model", target=_Providers, offers={"providers": ("walk",)}),
        Builtin(name="forget", target=_Forget, hooks=("lash_rewrite_history",)),
    ]
    records = [part.record() for part in fixed]
    targets = {record.identity: part.target for record, part in zip(records, fixed, strict=True)}
    if counter:
        records.append(_record("counter", f"{counter}.0", offers={"session_plugins": ("counter",)}))
        targets[records[-1].identity] = _counting(counter)
    if note:
        records.append(_record("note", "1.0", offers={"session_plugins": ("note",)}))
        targets[records[-1].identity] = _offering("note", lambda setup: _Note())
    for number in range(busy):
        records.append(_record(f"busy{number:02}", "1.0", offers={"session_plugins": ("busy",)}))
        targets[records[-1].identity] = _offering("busy", lambda setup: _Busy())
    return PluginManager(records, targets, PluginSettings())


class _Providers:
    providers = staticmethod(_providers)


class _Tools(Listed):
    async def run(self, context: ToolCallContext) -> Any:
        return "done"  # and is not kept: a session would be with it


def environment(setting: Setting, store: StoreBackend, **changes: Any) -> RuntimeEnvironment:
    """Make a runtime's environment."""
    return RuntimeEnvironment(
        plugins=manager_of_setting(setting.counter, setting.note, setting.busy),
        store=store,
        residency=setting.residency,
        tool_sets=(),
        tools=_Tools(*(ToolSpec(name=name, kind=KINDS[name]) for name in setting.tools)),
        **changes,
    )


class Leaving(Host):
    """A host that runs so many effects of each turn, and dies then.

    Attributes:
        effects: How many; ``None`` for all.
    """

    def __init__(self) -> None:
        self.effects: int | None = None

    @property
    def name(self) -> str:
        return "leaving"

    async def run_turn(self, runner: TurnRunner) -> None:
        left = self.effects
        while not runner.done:
            if left == 0:
                raise Killed
            effects: Sequence[Any] = runner.outstanding()
            await runner.run(effects[0])
            left = None if left is None else left - 1
