"""A session as a value: what a runtime can be built from, and what it can be made into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
from lash_hookspecs.errors import CorruptSession, SessionDeleted, SessionMissing
from lash_hookspecs.protocols.stores import SessionStore
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.payloads import decode_payload
from lash_hookspecs.records.state import HeadDocument, SessionConfig
from lash_hookspecs.records.store import Absent, Deleted

from lash_core.graph.session_graph import SessionGraph
from lash_core.runtime.resident import read_document

__all__ = ["PersistedSessionState", "check_graph", "check_nodes", "load_persisted_state"]


@attrs.frozen(kw_only=True)
class PersistedSessionState:
    """Everything of a session that a store keeps, except its blobs.

    Attributes:
        session_id: The session; empty for a fresh one (L2).
        document: Configuration, ledger, turn state, links to other sessions.
        nodes: The graph, parents before children.
        leaf: The node that the next one follows.
        components: What tools, plugins and the mode kept: name → bytes (S6).
        blobs: Bodies that the nodes refer to, as far as they were asked for.
        labels: The session's labels.
        revision: The stored revision that it was read at; ``None`` for one that no store has.
    """

    session_id: str = ""
    document: HeadDocument = attrs.field(factory=HeadDocument)
    nodes: tuple[Node, ...] = ()
    leaf: str | None = None
    components: Mapping[str, bytes] = attrs.field(factory=dict)
    blobs: Mapping[str, bytes] = attrs.field(factory=dict)
    labels: Mapping[str, str] = attrs.field(factory=dict)
    revision: int | None = None

    @property
    def config(self) -> SessionConfig:
        """The configuration."""
        return self.document.config

    @property
    def fresh(self) -> bool:
        """Whether there is nothing in it that a store would have to keep."""
        return not self.nodes and not self.components and self.document == HeadDocument()

    def renamed(self, session_id: str) -> PersistedSessionState:
        """Give the same state as another session's beginning: its own revision, ledger and links (H3)."""
        document = HeadDocument(config=self.document.config, turn_index=self.document.turn_index)
        return attrs.evolve(self, session_id=session_id, document=document, labels={}, revision=None)


def check_graph(state: PersistedSessionState) -> None:
    """Hold a state that no store has to what a store may be given: its leaf and every parent are among its nodes.

    Raises:
        CorruptSession: Kind ``dangling_leaf``, ``dangling_parent`` or ``parent_cycle``; names the nodes (G4).
        UnreadableData: A node cannot be read (S9).
    """
    graph = SessionGraph(state.nodes)
    if state.leaf is not None and state.leaf not in graph:
        raise CorruptSession(
            f"leaf {state.leaf} of the state is not among its nodes; nothing was written",
            kind="dangling_leaf",
            node_ids=(state.leaf,),
            session_id=state.session_id or None,
        )
    check_nodes(graph, state.nodes)


def check_nodes(graph: SessionGraph, nodes: Sequence[Node]) -> None:
    """Hold nodes that a graph is to have from now on to what can be loaded again.

    Raises:
        CorruptSession: A parent is missing, or parents go in a circle; names the nodes (G4).
        UnreadableData: One cannot be read (S9).
    """
    sound: set[str] = set()
    for node in reversed(nodes):  # parents come first, so the last of a branch stands for all of it
        decode_payload(node)
        if node.node_id not in sound:
            sound.update(each.node_id for each in graph.path_to(node.node_id))


async def load_persisted_state(session_id: str, store: SessionStore, *, blobs: bool = False) -> PersistedSessionState:
    """Read a whole session as a value.

    Args:
        session_id: The session.
        store: Its store.
        blobs: Whether to read the blobs that nodes refer to as well.

    Raises:
        SessionMissing, SessionDeleted: There is no such session.
        UnreadableData, MissingBlob: Something stored cannot be read (S6, S9).
    """
    head = await store.head()
    if isinstance(head, Absent):
        raise SessionMissing(f"session {session_id!r} does not exist", session_id=session_id)
    if isinstance(head, Deleted):
        raise SessionDeleted(f"session {session_id!r} was deleted", session_id=session_id)
    nodes = tuple(await store.graph())
    refs = sorted({ref for node in nodes for ref in node.refs}) if blobs else []
    bodies = await store.get_blobs([*head.components.values(), *refs])
    return PersistedSessionState(
        session_id=session_id,
        document=read_document(head),
        nodes=nodes,
        leaf=head.leaf,
        components={name: bodies[ref] for name, ref in head.components.items()},
        blobs={ref: bodies[ref] for ref in refs},
        labels=dict(head.labels),
        revision=head.revision,
    )
