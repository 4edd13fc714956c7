"""Changes of the graph that belong to no turn: another leaf, nodes of apps and plugins."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from lash_hookspecs.errors import InvalidInput
from lash_hookspecs.records.events import Branched, NodesAppended
from lash_hookspecs.records.payloads import Payload
from lash_hookspecs.records.store import Receipt

from lash_core.runtime.beginnings import origin_of
from lash_core.runtime.opened import OpenSession
from lash_core.runtime.parts import open_parts
from lash_core.runtime.resident import Change
from lash_core.runtime.rewriting import new_node_id
from lash_core.runtime.text import clean_payload

__all__ = ["Appended", "StaleBranch", "append_nodes", "branch_to"]


@attrs.frozen
class Appended:
    """Nodes were appended and committed.

    Attributes:
        node_ids: The new nodes, in order; the last one is the leaf.
        receipt: The store's receipt.
    """

    node_ids: tuple[str, ...]
    receipt: Receipt


@attrs.frozen
class StaleBranch:
    """Nothing was appended: the path does not hold the required ancestor any more (G7).

    Attributes:
        current_leaf: Where the session stands.
    """

    current_leaf: str | None


async def branch_to(session: OpenSession, node_id: str) -> Receipt:
    """Make another node the leaf, with the component set of that time (L11); under the lease.

    Raises:
        NodeMissing: The node is not in the session's graph.
    """
    await session.refuse_unknown_node(node_id)
    assert session.resident.head is not None
    origin = await origin_of(session, session.store, session.resident.head, node_id)
    bodies = await origin.bodies()
    old_leaf = session.resident.graph.leaf
    change = Change(
        step="branch",
        document=session.document,
        leaf=node_id,
        moves_leaf=True,
        components=bodies,
        all_components=True,
        events=(Branched(leaf=node_id, abandoned=old_leaf),),
    )
    rewound = await open_parts(session, brought=bodies)
    try:
        with session.resident.holding(origin.path):
            receipt = await session.commit(change)
    except BaseException:
        await rewound.close()
        raise
    await session.take_parts(rewound)
    return receipt


async def append_nodes(
    session: OpenSession, payloads: Sequence[Payload], requires_ancestor: str | None
) -> Appended | StaleBranch:
    """Append nodes behind the leaf, under the lease.

    Raises:
        InvalidInput: There is none, or one cannot be stored.
    """
    graph = session.resident.graph
    if requires_ancestor is not None and not graph.is_on_path(requires_ancestor):
        return StaleBranch(graph.leaf)
    if not payloads:
        raise InvalidInput("there is nothing to append; give at least one message or node")
    named = [(new_node_id(session), clean_payload(payload)) for payload in payloads]
    node_ids = tuple(node_id for node_id, _ in named)
    receipt = await session.commit(
        Change(
            step="append",
            document=session.document.evolve(config=session.config),
            payloads=named,
            events=(NodesAppended(node_ids=node_ids),),
        )
    )
    return Appended(node_ids, receipt)
