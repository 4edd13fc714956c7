"""The services that many runtimes share; nothing in it is about one session."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs
from lash_hookspecs.errors import redact_url
from lash_hookspecs.protocols.attachments import AttachmentStore
from lash_hookspecs.protocols.hosts import Host
from lash_hookspecs.protocols.stores import SessionStore, StoreBackend
from lash_hookspecs.protocols.tools import ToolProvider
from lash_hookspecs.protocols.tracing import TraceSink
from lash_hookspecs.records.prompts import PromptLayer
from lash_hookspecs.records.traces import TraceContext, TraceLevel
from lash_hookspecs.records.turn import TurnLimits

from lash_core.hosts.embedded import EmbeddedHost
from lash_core.runtime.environment_checks import a_function, a_plugin_manager, at_least, names, one_of, word
from lash_core.runtime.providers import ModelProviders
from lash_core.tracing import SessionTracer

if TYPE_CHECKING:
    from lash_hookspecs.protocols.tasks import TaskHost

    from lash_core.plugins.hook_calls import HookCall
    from lash_core.plugins.manager import PluginManager
    from lash_core.runtime.session_stores import SessionStoreRequest

__all__ = ["MAX_ATTACHMENT", "Residency", "RetryPolicy", "RuntimeEnvironment", "TerminationPolicy", "now_us"]


#: Bytes of the largest file that is taken, unless an environment says otherwise.
MAX_ATTACHMENT = 32 * 1024 * 1024


class Residency(Enum):
    """Which part of the graph a runtime holds in memory (L4)."""

    KEEP_ALL = "keep_all"
    ACTIVE_PATH_ONLY = "active_path_only"


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How often a failed model call is tried again, and how long to wait before.

    Attributes:
        attempts: Attempts in all.
        first_wait: Seconds before the second attempt; doubled for each one after.
        longest_wait: Seconds at most; a provider's own ``retry_after`` counts up to a minute.
    """

    attempts: int = 4
    first_wait: float = 1.0
    longest_wait: float = 10.0

    def wait(self, attempt: int, retry_after: float | None) -> float:
        """Give the seconds to wait after a failed attempt, counted from 1."""
        if retry_after is not None:
            return min(max(retry_after, 0.0), 60.0)
        return float(min(self.first_wait * 2 ** (attempt - 1), self.longest_wait))


@attrs.frozen(kw_only=True)
class TerminationPolicy:
    """How turns end that do not end by themselves.

    Attributes:
        limits: What one turn may use unless it brings limits of its own (T12).
        unfinished: What becomes of a turn whose host returns before it is done: ``interrupted`` leaves it to be
            continued, ``failed`` ends it.
    """

    limits: TurnLimits = attrs.field(factory=TurnLimits)
    unfinished: Literal["interrupted", "failed"] = "interrupted"


def now_us() -> int:
    """Microseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000


@attrs.frozen(kw_only=True)
class RuntimeEnvironment:
    """What runtimes are built with; share one object between them.

    Attributes:
        plugins: Where modes, model providers, tools and observers come from.
        providers: The model providers that are open; made of ``plugins``.
        store: The database that sessions are opened in; ``None`` keeps each session in memory.
        store_url: By what URL another process opens it; only a host that runs turns in other processes needs it.
        tenant: Whose sessions of that database ``store`` shows.
        host: Where turns run.
        residency: What a runtime holds in memory.
        root: The folder that file tools may not leave.
        tool_sets: Names of the plugins' tool sets that sessions get; ``None`` for all of them.
        tools: Tools of the app itself.
        retry: How failed model calls are tried again.
        lease_ttl: Seconds after which a silent writer's lease expires.
        max_tool_output: Characters of a tool's output that the model sees; the whole goes to a blob.
        attachments: Where the files that users send are kept; ``None`` for the session's own store.
        max_attachment: Bytes of the largest file that is taken.
        attachment_cache: Bytes of files that each runtime keeps in memory between model calls.
        tasks: Where background tasks run; ``None`` for no background tasks (H2).
        session_store_factory: Gives the store of a session that another one starts; ``store`` has them by default.
        prompt: What the app says in every system prompt.
        termination: What one turn may use, and what becomes of a turn that its host gives up.
        plugin_policy: ``compatible`` opens a session whose plugins are others than before and says what differs;
            ``strict`` refuses it (P8).
        name: What holders of leases are called, for people.
        clock: Gives microseconds since 1970-01-01 UTC.
        sleep: Waits between attempts.
        trace: Where a trace of everything goes; ``None`` for nowhere. Who opened it closes it.
        trace_level: How much is traced; ``extended`` adds each piece of a streamed answer.
        trace_context: What every record is about besides, such as the app's own ``metadata``.
        trace_bodies: Whether prompts, messages, arguments and outputs go into the trace.
        tracer: Made of these.
        on_hook_call: Is told of each call of a plugin: whose, how long it took, and what became of it. It is called on
            the event loop, so it must return at once.
    """

    plugins: PluginManager = attrs.field(validator=a_plugin_manager)
    providers: ModelProviders = attrs.Factory(lambda self: ModelProviders(self.plugins), takes_self=True)
    store: StoreBackend | None = None
    store_url: str | None = attrs.field(default=None, repr=lambda url: repr(url and redact_url(url)))
    tenant: str = ""
    host: Host = attrs.field(factory=EmbeddedHost, validator=one_of(Host))
    residency: Residency = attrs.field(default=Residency.KEEP_ALL, validator=one_of(Residency))
    root: Path = attrs.field(factory=Path.cwd, validator=one_of(Path))
    tool_sets: tuple[str, ...] | None = attrs.field(default=None, validator=names)
    tools: ToolProvider | None = None
    retry: RetryPolicy = attrs.field(factory=RetryPolicy, validator=one_of(RetryPolicy))
    lease_ttl: float = attrs.field(default=60.0, validator=at_least(0.001))
    max_tool_output: int = attrs.field(default=32_768, validator=at_least(1))
    attachments: AttachmentStore | None = None
    max_attachment: int = attrs.field(default=MAX_ATTACHMENT, validator=at_least(0))
    attachment_cache: int = attrs.field(default=64 * 1024 * 1024, validator=at_least(0))
    tasks: TaskHost | None = None
    session_store_factory: Callable[[SessionStoreRequest], Awaitable[SessionStore]] | None = None
    prompt: PromptLayer = attrs.field(factory=PromptLayer)
    termination: TerminationPolicy = attrs.field(factory=lambda: TerminationPolicy())
    plugin_policy: Literal["compatible", "strict"] = attrs.field(
        default="compatible", validator=word("compatible", "strict")
    )
    name: str = attrs.field(default="lash", validator=one_of(str))
    clock: Callable[[], int] = attrs.field(default=now_us, validator=a_function)
    sleep: Callable[[float], Awaitable[Any]] = attrs.field(default=asyncio.sleep, validator=a_function)
    trace: TraceSink | None = attrs.field(default=None, repr=False)
    trace_level: TraceLevel = attrs.field(default="standard", validator=word("standard", "extended"))
    trace_context: TraceContext | None = attrs.field(default=None, repr=False)
    trace_bodies: bool = False
    tracer: SessionTracer = attrs.field(
        default=attrs.Factory(lambda self: _tracer_of(self), takes_self=True), repr=False, eq=False
    )
    on_hook_call: Callable[[HookCall], None] | None = attrs.field(default=None, repr=False)

    def evolve(self, **changes: Any) -> RuntimeEnvironment:
        """Give a copy with some services changed; other plugins bring other providers."""
        if "plugins" in changes:
            changes.setdefault("providers", ModelProviders(changes["plugins"]))
        made = attrs.evolve(self, **changes)
        if "tracer" in changes or not _TRACED.intersection(changes):
            return made
        return attrs.evolve(made, tracer=_tracer_of(made))


#: What a tracer is made of.
_TRACED = frozenset({"trace", "trace_level", "trace_context", "trace_bodies", "clock"})


def _tracer_of(env: RuntimeEnvironment) -> SessionTracer:
    return SessionTracer(
        env.trace, level=env.trace_level, bodies=env.trace_bodies, context=env.trace_context, clock=env.clock
    )
