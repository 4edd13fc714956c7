"""How an older database becomes one of this version (S10).

A change of the schema lands in three versions: one *expands* (adds what the next needs; code of the version before
works on), then everybody deploys, then one *contracts* (takes away what nobody needs any more; older code is refused).
So a database carries two numbers: its version, and the oldest version whose code works on it.

A step's statements are written down once and never changed: they are not made from the declaration, which goes on.
"""

from __future__ import annotations

import attrs

__all__ = ["STEPS", "Step"]


@attrs.frozen
class Step:
    """From one version to the next.

    Attributes:
        version: The version that it leads to.
        compatible: The oldest version whose code works on what it leaves.
        sqlite: The statements, in SQLite's words.
    """

    version: int
    compatible: int
    sqlite: tuple[str, ...]


#: Every step that ever landed, in order.
STEPS = (
    Step(
        version=2,
        compatible=1,
        sqlite=(
            "ALTER TABLE session ADD COLUMN ttl INTEGER",
            "ALTER TABLE blob ADD COLUMN stored_at INTEGER",
            "CREATE TABLE migration (version INTEGER NOT NULL PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT",
            "CREATE INDEX session_expiry ON session (tenant, stored_at + ttl) WHERE ttl IS NOT NULL",
            "CREATE INDEX node_hidden ON node (graph) WHERE hidden != 0",
            "CREATE INDEX node_refs ON node (graph) WHERE refs IS NOT NULL",
        ),
    ),
)
