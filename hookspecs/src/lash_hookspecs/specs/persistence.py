"""Hooks around a commit: what may stop it, and who is told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from lash_hookspecs.markers import guard, observe

if TYPE_CHECKING:
    from lash_hookspecs.protocols.services import SessionServices
    from lash_hookspecs.records.store import Receipt
    from lash_hookspecs.specs.decisions import Decision

__all__ = ["CommitProposed", "Committed", "lash_guard_commit", "lash_on_committed"]


@attrs.frozen(kw_only=True)
class CommitProposed:
    """A commit is ready to be written.

    Attributes:
        session: The session.
        session_id: Its id.
        step: What it is for; see `lash_hookspecs.records.state.CommitDocument`.
        node_count: How many nodes it appends.
        bytes: How many bytes they and the changed components have.
    """

    session: SessionServices
    session_id: str
    step: str
    node_count: int
    bytes: int


@attrs.frozen(kw_only=True)
class Committed:
    """A commit is durable.

    Attributes:
        session: The session.
        session_id: Its id.
        step: What it was for, as in `CommitProposed`.
        revision: The session's revision from now on.
        receipt: The store's receipt.
    """

    session: SessionServices
    session_id: str
    step: str
    revision: int
    receipt: Receipt


@guard(since="0.1")
async def lash_guard_commit(context: CommitProposed) -> Decision:
    """Called before each commit; a denial fails the step that wanted it, and nothing is written.

    Example::

        @implements(lash_guard_commit)
        async def small_enough(context: CommitProposed) -> Decision:
            return ALLOW if context.bytes < 1_000_000 else Deny("a commit of over a megabyte")
    """
    raise AssertionError("a specification is never called")


@observe(since="0.1")
async def lash_on_committed(context: Committed) -> None:
    """Called after each commit, a turn's boundaries included. It delays what comes next: be quick.

    Example::

        @implements(lash_on_committed)
        async def committed(context: Committed) -> None:
            print(context.session_id, context.revision)
    """
