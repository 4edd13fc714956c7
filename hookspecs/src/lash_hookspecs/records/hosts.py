"""What a host declares, and the order by which a turn crosses to another process (H5)."""

from __future__ import annotations

import attrs

__all__ = ["HostCapabilities", "TurnOrder"]


@attrs.frozen(kw_only=True)
class HostCapabilities:
    """What a host does, and how much it can carry (H1, H5).

    Attributes:
        own_process: Whether turns run in the process that opened the session. A host without it hands each turn over
            to a worker elsewhere, so a session that cannot go there is refused when it opens: one whose store is held
            in memory, whose tools are functions of the app, and so on.
        max_payload: Bytes of the largest effect or order that it carries; ``None`` for any. A turn whose effect is
            larger is stopped (``host_limit``).
        max_history: The most effects of a turn that it remembers; ``None`` for any. A turn that needs more is stopped
            likewise, and the next one begins at zero.
    """

    own_process: bool = True
    max_payload: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(1)))
    max_history: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(1)))


@attrs.frozen(kw_only=True)
class TurnOrder:
    """A turn as data: whoever has it can run the turn in another process.

    Attributes:
        session_id: The session.
        turn_id: The turn; the same order may be carried out twice, the second time nothing is left to do.
        body: UTF-8 JSON in one line, for ``lash_core.worker``; what is in it is the core's business. Kept out of
            reprs: it may hold the store's password, unless it was made without secrets.
    """

    session_id: str
    turn_id: str
    body: bytes = attrs.field(repr=False)
