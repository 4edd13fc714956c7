"""What the suites read off a store."""

from __future__ import annotations

from lash_hookspecs.protocols.stores import SessionStore, StoreBackend
from lash_hookspecs.records.store import Head, SessionQuery

from lash_conformance.build import Author

__all__ = ["everything", "names", "stored"]


async def stored(store: SessionStore) -> Head:
    """Read the head of a session that is there."""
    head = await store.head()
    assert isinstance(head, Head), f"there is no head: {head}"
    return head


async def everything(author: Author, *streams: str) -> tuple[object, ...]:
    """Read what a refused call must leave as it was: head, graph, records and streams."""
    store = author.store
    lanes = [list(await store.read(stream)) for stream in streams or ("inbox",)]
    return await store.head(), list(await store.graph()), list(await store.records()), lanes


async def names(backend: StoreBackend, **query: object) -> list[str]:
    """List the ids of sessions."""
    page = await backend.sessions(SessionQuery(**query))  # type: ignore[arg-type]  # fields by name
    return [row.head.session_id for row in page.rows]
