"""How commands reach the store: readers make nothing, workers may make the default store."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any, TypeVar

import click
from lash_hookspecs.errors import SessionMissing
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.state import SessionConfig
from lash_hookspecs.records.store import Absent, Deleted, Head, SessionQuery, SessionRow

from lash_core.app import Agent, Lash, of_tenant, open_backend
from lash_core.builtins import BUILTINS
from lash_core.cli.options import Shared
from lash_core.cli.output import stdout_kept, to_stderr
from lash_core.cli.tracing import TraceWish
from lash_core.config import Settings, StoreLocation, locate_store, make_default_store
from lash_core.plugins import PluginManager
from lash_core.plugins.fingerprints import PluginPolicy
from lash_core.plugins.hook_calls import HookCall
from lash_core.runtime.environment import Residency

__all__ = ["agent_options", "all_sessions", "head_of", "missing", "open_lash", "open_store", "run_async"]

T = TypeVar("T")

#: Sessions that are read at once.
_PAGE = 100

_NO_TRACE = TraceWish()


def agent_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command that runs turns ``--model``, ``--mode``, ``--root`` and ``--host``."""
    for option in (
        click.option("--host", metavar="NAME", help="Where the turn runs; embedded: in this process."),
        click.option("--root", metavar="DIR", help="The folder that file tools may not leave; the current one."),
        click.option("--mode", metavar="NAME", help="The execution mode; the session's own, else standard."),
        click.option("--model", metavar="NAME", help="provider:model; the session's own, else offline."),
    ):
        function = option(function)
    return function


def run_async(coroutine: Coroutine[Any, Any, T], shared: Shared) -> T:
    """Run a command's coroutine on a loop of its own; what plugins print goes to stderr."""
    show_logs(shared)
    with stdout_kept():
        return asyncio.run(coroutine)


def show_logs(shared: Shared) -> None:
    """Send what Lash logs to stderr, one paragraph each; tracebacks under ``--debug`` alone."""
    logger = logging.getLogger("lash")
    logger.handlers = [_ToStderr(shared.debug)]
    logger.propagate = False


@contextlib.asynccontextmanager
async def open_store(shared: Shared) -> AsyncIterator[StoreBackend | None]:
    """Open the store to read; ``None`` where the default store does not exist."""
    settings = shared.settings()
    location = locate_store(settings)
    if not location.exists:
        yield None
        return
    store = await open_backend(_plugins(settings), location.url, False)
    try:
        yield of_tenant(store, settings.tenant)
    finally:
        await store.close()


@contextlib.asynccontextmanager
async def open_lash(
    shared: Shared,
    command: str,
    *,
    session_id: str = "",
    make: bool = False,
    model: str | None = None,
    mode: str | None = None,
    root: str | None = None,
    host: str | None = None,
    runs_turns: bool = False,
    trace: TraceWish = _NO_TRACE,
    as_stored: bool = False,
    plugin_policy: PluginPolicy = "compatible",
    on_hook_call: Callable[[HookCall], None] | None = None,
) -> AsyncIterator[Lash]:
    """Open the store to work in it.

    Args:
        shared: The shared options.
        command: The command's name, for whoever meets our lease.
        session_id: The session that the command is about.
        make: Whether a store that is not there is made; otherwise the session cannot exist.
        model: ``--model``.
        mode: ``--mode``.
        root: ``--root``.
        host: ``--host``.
        runs_turns: Whether turns run, so that the host which the settings name counts.
        trace: What the trace options say; the file is opened before anything is written to the store.
        as_stored: Whether sessions keep their own model and mode whatever the settings name.
        plugin_policy: ``strict`` refuses sessions that were committed with other plugins than are here.
        on_hook_call: Is told of each call of a plugin.
    """
    settings = shared.settings(model=model, mode=mode, root=root, host=host)
    location = locate_store(settings)
    plugins = _plugins(settings)
    if not location.exists:
        if not make:
            raise missing(session_id, location)
        _check_defaults(plugins, settings)
        if runs_turns and settings.host is not None:
            plugins.host(settings.host)
    named = (None, None) if as_stored else (settings.model, settings.mode)
    agent = Agent(named[0], mode=named[1], tool_sets=[offer.name for offer in plugins.tools()])
    with trace.opened() as sink:
        if not location.exists:
            make_default_store(location)
            to_stderr(f"lash: new store at {location.path}")
        opening = Lash.open(
            location.url,
            tenant=settings.tenant,
            agent=agent,
            plugins=plugins,
            host=settings.host if runs_turns else None,
            root=settings.root,
            residency=Residency.ACTIVE_PATH_ONLY,
            create=make,
            name=f"lash {command}",
            trace=sink,
            trace_level=trace.level,
            trace_bodies=trace.bodies,
            plugin_policy=plugin_policy,
            on_hook_call=on_hook_call,
        )
        async with opening as lash:
            yield lash


async def all_sessions(
    store: StoreBackend | None,
    *,
    open_turn: bool | None = None,
    labels: Mapping[str, str] | None = None,
    after: str | None = None,
    limit: int | None = None,
) -> AsyncIterator[SessionRow]:
    """List the sessions of a store, page by page; none where there is no store."""
    cursor, left = after, limit
    while store is not None:
        size = _PAGE if left is None else min(left, _PAGE)
        query = SessionQuery(open_turn=open_turn, labels=dict(labels or {}), after=cursor, limit=size)
        page = await store.sessions(query)
        for row in page.rows:
            yield row
        cursor, left = page.cursor, None if left is None else left - len(page.rows)
        if cursor is None or left == 0:
            return


async def head_of(store: StoreBackend | None, session_id: str) -> Head:
    """Read a session's head.

    Raises:
        SessionMissing: There is no such session.
    """
    found: Head | Absent | Deleted = await store.session(session_id).head() if store else Absent()
    if isinstance(found, Head):
        return found
    raise missing(session_id, deleted=isinstance(found, Deleted))


def missing(session_id: str, location: StoreLocation | None = None, *, deleted: bool = False) -> SessionMissing:
    """Give the error for a session that is not there."""
    why = "was deleted" if deleted else "does not exist"
    where = f": there is no store at {location.path}" if location else ""
    return SessionMissing(
        f"session {session_id!r} {why}{where}; `lash sessions list` shows which there are", session_id=session_id
    )


def _plugins(settings: Settings) -> PluginManager:
    return PluginManager.discover(settings.plugins, builtins=BUILTINS)


def _check_defaults(plugins: PluginManager, settings: Settings) -> None:
    """Find an unknown model or mode before a store is made for it."""
    config = SessionConfig()
    plugins.provider((settings.model or config.model).partition(":")[0])
    plugins.mode(settings.mode or config.mode)


class _ToStderr(logging.Handler):
    def __init__(self, debug: bool) -> None:
        super().__init__()
        self._debug = debug

    def emit(self, record: logging.LogRecord) -> None:
        to_stderr(f"lash: {record.getMessage()}")
        if self._debug and record.exc_info and record.exc_info[1] is not None:
            to_stderr("".join(traceback.format_exception(record.exc_info[1])).rstrip(), paragraph=False)
