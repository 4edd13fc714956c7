"""The services that many runtimes share; nothing in it is about one session."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from lash_hookspecs.protocols.attachments import AttachmentStore
from lash_hookspecs.protocols.hosts import Host
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.protocols.tools import ToolProvider

from lash_core.hosts.embedded import EmbeddedHost
from lash_core.runtime.providers import ModelProviders

if TYPE_CHECKING:
    from lash_core.plugins.manager import PluginManager

__all__ = ["MAX_ATTACHMENT", "Residency", "RetryPolicy", "RuntimeEnvironment", "now_us"]


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
        name: What holders of leases are called, for people.
        clock: Gives microseconds since 1970-01-01 UTC.
        sleep: Waits between attempts.
    """

    plugins: PluginManager
    providers: ModelProviders = attrs.Factory(lambda self: ModelProviders(self.plugins), takes_self=True)
    store: StoreBackend | None = None
    host: Host = attrs.field(factory=EmbeddedHost)
    residency: Residency = Residency.KEEP_ALL
    root: Path = attrs.field(factory=Path.cwd)
    tool_sets: tuple[str, ...] | None = None
    tools: ToolProvider | None = None
    retry: RetryPolicy = attrs.field(factory=RetryPolicy)
    lease_ttl: float = 60.0
    max_tool_output: int = 32_768
    attachments: AttachmentStore | None = None
    max_attachment: int = MAX_ATTACHMENT
    attachment_cache: int = 64 * 1024 * 1024
    name: str = "lash"
    clock: Callable[[], int] = now_us
    sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep

    def evolve(self, **changes: Any) -> RuntimeEnvironment:
        """Give a copy with some services changed; other plugins bring other providers."""
        if "plugins" in changes:
            changes.setdefault("providers", ModelProviders(changes["plugins"]))
        return attrs.evolve(self, **changes)
