"""The first commit of a session that begins with something: a fork, a child, a state that somebody brought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import attrs
from lash_hookspecs.errors import ConfigurationError, HeadRevisionConflict, SessionExists, SessionMissing
from lash_hookspecs.protocols.stores import SessionStore
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.payloads import decode_payload
from lash_hookspecs.records.state import ForkPoint, HeadDocument
from lash_hookspecs.records.store import Fork, Head

from lash_core.runtime.parts import open_parts
from lash_core.runtime.reading import standing_at
from lash_core.runtime.resident import Change, read_document
from lash_core.runtime.session_stores import find_store
from lash_core.runtime.state import PersistedSessionState
from lash_core.runtime.text import check_storable

if TYPE_CHECKING:
    from lash_core.runtime.opened import OpenSession

__all__ = ["Origin", "begin_at", "begin_with", "commit_first", "fork", "origin_of", "turn_index_of"]


@attrs.frozen(kw_only=True)
class Origin:
    """A node of another session, to begin at.

    Attributes:
        head: The head of that session.
        store: Its store.
        leaf: The node; ``None`` for an empty path.
        path: The nodes from the root to it.
        refs: The component set as it was there (L11).
        keeper: The store that has those components.
    """

    head: Head
    store: SessionStore
    leaf: str | None
    path: Sequence[Node]
    refs: Mapping[str, str]
    keeper: SessionStore

    async def bodies(self) -> Mapping[str, bytes]:
        """Read the component set.

        Raises:
            MissingBlob: Some of it is gone (S6).
        """
        bodies = await self.keeper.get_blobs(sorted(set(self.refs.values()))) if self.refs else {}
        return {name: bodies[ref] for name, ref in self.refs.items()}


async def origin_of(session: OpenSession, store: SessionStore, head: Head, leaf: str | None) -> Origin:
    """Look up where a session stood at a node.

    A session that began in the history of another one has that one's commits for its own past, as far as they are
    still stored.

    Args:
        session: An open session, which knows where others are.
        store: The store of the session that is looked at.
        head: Its head.
        leaf: The node.

    Raises:
        CorruptSession: The node is not stored, or its path has a hole.
    """
    path = await store.path(leaf) if leaf is not None else ()
    refs, keeper = head.components, store
    if leaf != head.leaf:
        refs, keeper = await _kept_at(session, store, head, [node.node_id for node in path])
    return Origin(head=head, store=store, leaf=leaf, path=path, refs=refs, keeper=keeper)


async def _kept_at(
    session: OpenSession, store: SessionStore, head: Head, path: Sequence[str]
) -> tuple[Mapping[str, str], SessionStore]:
    """Find what the nearest commit on a path kept, of a session or of those that it began in the history of."""
    keeper = store
    nearest = await standing_at(store, head.revision, path)
    document = read_document(head)
    while document.forked_from and document.fork_point and (nearest is None or nearest.depth < len(path) - 1):
        point, store = document.fork_point, await find_store(session, document.forked_from)
        earlier = await store.head()
        if not isinstance(earlier, Head) or earlier.incarnation != point.incarnation:
            break
        standing = await standing_at(store, point.revision, path)
        if standing and standing.depth > (nearest.depth if nearest else -1):
            nearest, keeper = standing, store
        document = read_document(earlier)
    return (nearest.components if nearest else {}), keeper


async def begin_at(
    target: OpenSession,
    origin: Origin,
    document: HeadDocument,
    components: Mapping[str, bytes],
    *,
    step: str,
    shares: bool,
) -> None:
    """Commit a new session that begins at a node of another one (S12).

    The store shares the graph; where it cannot, the path's nodes and the blobs that they refer to are copied. What
    stands for the components is built first.

    Args:
        target: The new session; under its lease.
        origin: Where it begins.
        document: Its head's document.
        components: What its tools, plugins and mode take over.
        step: What the commit is for.
        shares: Whether the new session's store can share the graph.

    Raises:
        PluginError, UnreadableData: Some of what was kept cannot be taken up; nothing was written.
    """
    head = origin.head
    change = Change(
        step=step,
        document=document.evolve(
            forked_from=head.session_id, fork_point=ForkPoint(incarnation=head.incarnation, revision=head.revision)
        ),
        leaf=origin.leaf,
        moves_leaf=True,
        fork=Fork(head.session_id, origin.leaf) if shares else None,
        nodes=() if shares else origin.path,
        blobs={} if shares else await origin.store.get_blobs(_refs(origin.path)),
        components=components,
        all_components=True,
    )
    with target.resident.holding(origin.path if shares else ()):
        await commit_first(target, change)


async def begin_with(target: OpenSession, state: PersistedSessionState, document: HeadDocument, *, step: str) -> None:
    """Commit a state that the store does not hold; what stands for its components is built first.

    Raises:
        PluginError, UnreadableData: Some of what the state keeps cannot be taken up; nothing was written.
    """
    check_storable(document, "the document of the state")
    change = Change(
        step=step,
        document=document,
        leaf=state.leaf,
        moves_leaf=True,
        nodes=state.nodes,
        blobs=state.blobs,
        components=state.components,
        all_components=True,
    )
    await commit_first(target, change)
    target.parts.tools.access = target.config.tool_access


async def commit_first(target: OpenSession, change: Change) -> None:
    """Commit what a session begins with; what stands for its components is built first.

    Raises:
        PluginError, UnreadableData: Some of what was kept cannot be taken up; nothing was written.
    """
    parts = await open_parts(target, brought=change.components)
    try:
        await target.commit(change)
    except BaseException:
        await parts.close()
        raise
    await target.take_parts(parts)


async def fork(session: OpenSession, session_id: str, at: str | None) -> OpenSession:
    """Open a new session that begins where this one is stored, or at a node of it.

    Raises:
        SessionExists: There is a session of that name.
        SessionMissing: This one has nothing to fork yet.
        NodeMissing: The node is not in the session's graph.
    """
    from lash_core.runtime.opening import open_session

    await session.catch_up()
    head = session.resident.head
    if session.env.store is None:
        raise ConfigurationError("fork needs an environment with a store")
    if head is None:
        raise SessionMissing(
            f"session {session.session_id!r} has nothing to fork yet: run a turn first", session_id=session.session_id
        )
    if at is not None:
        await session.refuse_unknown_node(at)
    origin = await origin_of(session, session.store, head, at if at is not None else head.leaf)
    document = HeadDocument(config=session.document.config, turn_index=turn_index_of(origin.path))
    components = await origin.bodies()

    async def first(forked: OpenSession) -> None:
        shares = session.shares and forked.shares
        async with forked.writing():
            await begin_at(forked, origin, document, components, step="fork", shares=shares)

    spec = attrs.evolve(session.spec, session_id=session_id, create=True, labels=dict(head.labels))
    try:
        return await open_session(session.env, spec, first=first)
    except HeadRevisionConflict as error:
        raise SessionExists(
            f"session {session_id!r} was made by somebody else meanwhile", session_id=session_id
        ) from error


def turn_index_of(path: Sequence[Node]) -> int:
    """Give the turn of the last node that belongs to one; nodes of plugins do not."""
    for node in reversed(path):
        turn_index = getattr(decode_payload(node), "turn_index", None)
        if turn_index is not None:
            return int(turn_index)
    return 0


def _refs(path: Sequence[Node]) -> list[str]:
    return sorted({ref for node in path for ref in node.refs})
