"""What a runtime shows of its session; nothing here writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING

from lash_hookspecs.errors import ConfigurationError, SessionDeleted
from lash_hookspecs.protocols.tasks import SessionTasks
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.sessions import SessionReadView
from lash_hookspecs.records.state import HeadDocument
from lash_hookspecs.records.store import Deleted, Head, Holder

from lash_core.graph.conversation import Item
from lash_core.runtime.actions import ActionInfo
from lash_core.runtime.environment import RuntimeEnvironment
from lash_core.runtime.opened import OpenSession
from lash_core.runtime.policy import SessionPolicy
from lash_core.runtime.reading import EventCursor, SequencedEvent, orphaned_node_ids, replay_events
from lash_core.runtime.report import RestoreReport
from lash_core.runtime.services import read_view

if TYPE_CHECKING:
    from lash_core.runtime.children import Child

__all__ = ["ReadableRuntime"]


class ReadableRuntime:
    """The reading half of a `LashRuntime`.

    Attributes:
        session: What is open.
    """

    session: OpenSession

    @property
    def session_id(self) -> str:
        """The session."""
        return self.session.session_id

    @property
    def env(self) -> RuntimeEnvironment:
        """The shared services that it was built with."""
        return self.session.env

    @property
    def scope_id(self) -> str:
        """Tells this runtime from any other one of the session; in traces and in messages."""
        return self.session.scope_id

    @property
    def me(self) -> Holder:
        """This runtime as the holder of a lease."""
        return self.session.holder

    @property
    def closed(self) -> bool:
        """Whether it was closed or parked."""
        return self.session.slot.closed

    @property
    def head(self) -> Head | None:
        """The stored head as last seen; ``None`` before the first commit."""
        return self.session.resident.head

    @property
    def document(self) -> HeadDocument:
        """The head's document as last seen."""
        return self.session.document

    @property
    def report(self) -> RestoreReport:
        """What differs between the session as it was stored and as it is now (L5, P8)."""
        return self.session.parts.report

    @property
    def interrupted(self) -> bool:
        """Whether a turn is unfinished and nobody works on it (L14)."""
        return self.session.interrupted

    @property
    def running(self) -> bool:
        """Whether a turn runs, here or elsewhere, as last seen."""
        return self.session.running

    @property
    def holder(self) -> Holder | None:
        """Who runs a turn elsewhere, as last seen."""
        return self.session.holder_elsewhere

    @property
    def path(self) -> list[Node]:
        """The nodes of the active path, root first."""
        return list(self.session.resident.graph.path)

    @property
    def items(self) -> list[Item]:
        """The nodes of the active path with their payloads, root first."""
        return list(self.session.resident.conversation.items)

    @property
    def resident_node_count(self) -> int:
        """How many nodes are in memory (L4)."""
        return len(self.session.resident.graph)

    @property
    def tasks(self) -> SessionTasks | None:
        """The session's background tasks; ``None`` without a task host (H2)."""
        return self.session.tasks

    @property
    def children(self) -> Mapping[str, Child]:
        """The sessions that this one has started and holds open."""
        return {name: child for name, child in self.session.children.items() if not child.runtime.closed}

    def actions(self) -> tuple[ActionInfo, ...]:
        """List what a host may ask of the session's plugins with `LashRuntime.invoke`, by name."""
        return tuple(offered.info for offered in self.session.parts.actions.values())

    def view(self) -> SessionReadView:
        """Give the session as it is in memory at this moment; never waits for a turn."""
        return read_view(self.session)

    def describe(self) -> str:
        """Name this runtime, for messages."""
        return f"runtime {self.scope_id} of {self.me.describe()}"

    async def policy(self) -> SessionPolicy:
        """Resolve what turns are run with: what the caller set, over what is stored, over what the provider says (L3).

        Raises:
            UnknownName, ConfigurationError: The model cannot be used.
        """
        return await self.session.policy()

    async def refresh(self) -> None:
        """Read what others have committed, and whether a turn runs elsewhere; nothing while one runs here.

        Raises:
            SessionDeleted: It was deleted, and the caller wanted one that exists.
        """
        if self.session.slot.taken:
            return
        found = await self.session.refresh()
        if isinstance(found, Deleted) and self.session.spec.create is False:
            raise SessionDeleted(f"session {self.session_id!r} was deleted", session_id=self.session_id)
        await self.session.see_lease()

    async def get_historic_node(self, node_id: str) -> Node | None:
        """Give any node of the graph: a resident one, else the stored one; ``None`` if there is none (L9).

        Raises:
            ConfigurationError: It is not resident, and the session has no store.
        """
        resident = self.session.resident.graph.get(node_id)
        if resident is not None:
            return resident
        if self.env.store is None and not self.session.durable:
            raise ConfigurationError(
                f"node {node_id!r} is not in memory, and session {self.session_id!r} has no store to look into"
            )
        return next(iter(await self.session.store.nodes([node_id])), None)

    async def orphaned_node_ids(self, *, after: str | None = None, limit: int | None = None) -> list[str]:
        """List the nodes off the active path of the stored head, in the order in which they were stored (L10).

        Args:
            after: Only those stored behind this node.
            limit: At most this many; read on with the last one as ``after``.

        Raises:
            CorruptSession: The stored leaf is unset (``no_leaf``) or absent (``dangling_leaf``).
        """
        return await orphaned_node_ids(self.session_id, self.session.store, after, limit)

    def events(self, after: EventCursor | str | None = None) -> AsyncIterator[SequencedEvent]:
        """Replay every committed event behind a cursor, once and in order (T9).

        Raises:
            InvalidInput: The text is no cursor.
        """
        return replay_events(self.session.store, EventCursor.parse(after) if isinstance(after, str) else after)
