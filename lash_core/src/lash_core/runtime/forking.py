"""The first commit of a fork (S12)."""

from __future__ import annotations

from collections.abc import Sequence

from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.payloads import decode_payload
from lash_hookspecs.records.state import HeadDocument
from lash_hookspecs.records.store import Fork

from lash_core.runtime.environment import RuntimeEnvironment
from lash_core.runtime.resident import Change, ResidentSession

__all__ = ["begin_fork"]


async def begin_fork(
    source: ResidentSession, target: ResidentSession, leaf: str | None, env: RuntimeEnvironment
) -> None:
    """Commit a new session that begins at a node of another one.

    The store shares the graph; one without ``sharing`` gets copies of the path's nodes and of the blobs that they
    refer to. The fork has a ledger of its own, and counts its turns on from the node.
    """
    path = await source.store.path(leaf) if leaf is not None else ()
    shares = env.store is not None and "sharing" in env.store.capabilities.levels
    change = Change(
        step="fork",
        document=HeadDocument(
            config=source.document.config, turn_index=_turn_index(path), forked_from=source.session_id
        ),
        leaf=leaf,
        moves_leaf=True,
        fork=Fork(source.session_id, leaf) if shares else None,
        nodes=() if shares else path,
        blobs={} if shares else await source.store.get_blobs(_refs(path)),
    )
    if shares:
        target.graph.insert(path)
    await target.commit(change, env.plugins.fingerprint())


def _turn_index(path: Sequence[Node]) -> int:
    """The turn of the last node that belongs to one; nodes of plugins do not."""
    for node in reversed(path):
        turn_index = getattr(decode_payload(node), "turn_index", None)
        if turn_index is not None:
            return int(turn_index)
    return 0


def _refs(path: Sequence[Node]) -> list[str]:
    return sorted({ref for node in path for ref in node.refs})
