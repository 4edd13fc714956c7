"""What a guard answers."""

from __future__ import annotations

import attrs

__all__ = ["ALLOW", "Allow", "Decision", "Deny"]


@attrs.frozen
class Allow:
    """The guard has nothing against it."""


@attrs.frozen
class Deny:
    """The guard does not want it; one denial is enough.

    Attributes:
        reason: For whoever asked for it: a user, a caller or the model.
    """

    reason: str


Decision = Allow | Deny

#: The one `Allow` that is needed.
ALLOW = Allow()
