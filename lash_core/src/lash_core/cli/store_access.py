"""How commands that look after a store reach it, and how they say what was done."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import attrs
from lash_hookspecs.errors import ConfigurationError, StoreUnavailable
from lash_hookspecs.protocols.retention import RetainedBackend, RetainedSession
from lash_hookspecs.protocols.stores import StoreBackend

from lash_core.cli.opening import open_store
from lash_core.cli.options import Shared
from lash_core.cli.output import print_json, print_text
from lash_core.config import locate_store

__all__ = ["amount", "existing_store", "print_report", "retained", "retained_session", "unable"]


@contextlib.asynccontextmanager
async def existing_store(shared: Shared) -> AsyncIterator[StoreBackend]:
    """Open the store.

    Raises:
        StoreUnavailable: There is none.
    """
    async with open_store(shared) as found:
        if found is None:
            raise StoreUnavailable(f"there is no store at {locate_store(shared.settings()).path}")
        yield found


def retained(store: StoreBackend, what: str) -> RetainedBackend:
    """Give a store as one of level ``retention``.

    Raises:
        ConfigurationError: It is none.
    """
    if not isinstance(store, RetainedBackend):
        raise unable(store, what)
    return store


def retained_session(store: StoreBackend, session_id: str, what: str) -> RetainedSession:
    """Give a session's handle in a store of level ``retention``.

    Raises:
        ConfigurationError: The store has no such level.
    """
    session = store.session(session_id)
    if not isinstance(session, RetainedSession):
        raise unable(store, what)
    return session


def unable(store: StoreBackend, what: str) -> ConfigurationError:
    """Give the error for a store that cannot do what was asked."""
    return ConfigurationError(f"{store.name} cannot {what}: its plugin does not offer that")


def print_report(shared: Shared, report: Any, *lines: str) -> None:
    """Print a report for programs, or lines for people."""
    if shared.json:
        print_json(attrs.asdict(report))
    else:
        for line in lines:
            print_text(line)


def amount(count: int, noun: str, plural: str | None = None) -> str:
    """Say how many: ``1 node``, ``1,234 nodes``."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
