"""A session as a value, and a value as what the session is from now on."""

from __future__ import annotations

import attrs
from lash_hookspecs.errors import CorruptSession, StoreRegressed

from lash_core.graph.session_graph import SessionGraph
from lash_core.runtime.beginnings import begin_with
from lash_core.runtime.opened import OpenSession
from lash_core.runtime.policy import check_config, refuse_mode
from lash_core.runtime.state import PersistedSessionState, check_nodes

__all__ = ["export_state", "set_persisted_state"]


async def export_state(session: OpenSession) -> PersistedSessionState:
    """Give the session as a value, with what tools, plugins and the mode would keep now."""
    nodes = tuple(session.resident.graph)
    refs = sorted({ref for node in nodes for ref in node.refs})
    return PersistedSessionState(
        session_id=session.session_id,
        document=session.document,
        nodes=nodes,
        leaf=session.resident.graph.leaf,
        components=await session.live_components(),
        blobs=await session.store.get_blobs(refs) if refs else {},
        labels=dict(session.resident.head.labels) if session.resident.head else {},
        revision=session.resident.revision,
    )


async def set_persisted_state(session: OpenSession, state: PersistedSessionState) -> None:
    """Make the session what a state says, under the lease.

    Raises:
        StoreRegressed: The state is from a later revision than the store has.
        CorruptSession: Its leaf is not among its nodes, or a parent is missing.
        UnreadableData, PluginError: A node, or what tools, plugins or the mode keep, cannot be taken up.
        ConfigurationError: Its configuration cannot be, or is of another mode.
    """
    config = check_config(state.config)
    if config.mode != session.config.mode:
        raise refuse_mode(session.session_id, session.config.mode, config.mode)
    stored = session.resident.revision or 0
    if (state.revision or 0) > stored:
        raise StoreRegressed(
            f"session {session.session_id!r} is at revision {stored} in {session.backend.name}, the state at "
            f"{state.revision}: the store is older than the state",
            session_id=session.session_id,
        )
    known = {node.node_id: node for node in await session.store.graph()} if session.resident.head else {}
    fresh = tuple(node for node in state.nodes if node.node_id not in known)
    graph = SessionGraph([*known.values(), *fresh], state.leaf)
    if graph.dangling:
        raise CorruptSession(
            f"leaf {state.leaf} of the state is not among its nodes, nor among those of session "
            f"{session.session_id!r}; nothing was changed",
            kind="dangling_leaf",
            node_ids=(str(state.leaf),),
            session_id=session.session_id,
        )
    check_nodes(graph, fresh)
    document = state.document.evolve(
        usage=session.document.usage,
        open_turn=None,
        forked_from=session.document.forked_from,
        fork_point=session.document.fork_point,
        parent=session.document.parent,
        successor=session.document.successor,
    )
    spec, session.spec = session.spec, session.spec.agreeing_with(config)
    try:
        with session.resident.holding([node for node in graph.path if node.node_id in known]):
            await begin_with(session, attrs.evolve(state, nodes=fresh), document, step="state")
    except BaseException:
        session.spec = spec
        raise
