"""A session in a listing: read from its head, without loading it."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import attrs
from lash_hookspecs.errors import UnreadableData
from lash_hookspecs.records.state import HeadDocument, ParentLink, SessionConfig
from lash_hookspecs.records.store import Holder, SessionRow
from lash_hookspecs.records.usage import UsageRow

from lash_core.runtime.lease import is_live
from lash_core.runtime.resident import read_document

__all__ = ["SessionSummary", "summarise"]

_log = logging.getLogger("lash.runtime")


@attrs.frozen(kw_only=True)
class SessionSummary:
    """A session in a listing.

    Attributes:
        session_id: The session.
        status: ``idle``, ``running`` or ``interrupted`` (L14), or ``unreadable`` when its head cannot be read.
        turn_index: Turns begun so far.
        revision: Commits so far.
        model: Its model.
        labels: Its labels.
        created_at: Microseconds since 1970-01-01 UTC.
        updated_at: Microseconds since 1970-01-01 UTC.
        holder: Who runs a turn of it, if somebody does.
        usage: Its ledger.
        parent: Where it comes from, if it is a child or a successor.
        successor: The session that took over from it.
    """

    session_id: str
    status: str
    turn_index: int
    revision: int
    model: str
    labels: Mapping[str, str]
    created_at: int
    updated_at: int
    holder: Holder | None
    usage: tuple[UsageRow, ...]
    parent: ParentLink | None = None
    successor: str | None = None


def summarise(row: SessionRow) -> SessionSummary:
    """Read a row of a listing."""
    head, live = row.head, is_live(row.lease)
    status = "idle" if head.open_turn is None else ("running" if live else "interrupted")
    try:
        document = read_document(head)
    except UnreadableData as error:  # one session must not hide the others
        _log.warning("%s", error)
        status, document = "unreadable", HeadDocument(config=SessionConfig(model=""))
    return SessionSummary(
        session_id=head.session_id,
        status=status,
        turn_index=document.turn_index,
        revision=head.revision,
        model=document.config.model,
        labels=dict(head.labels),
        created_at=head.created_at,
        updated_at=head.updated_at,
        holder=row.lease.holder if row.lease is not None and live else None,
        usage=document.usage,
        parent=document.parent,
        successor=document.successor,
    )
