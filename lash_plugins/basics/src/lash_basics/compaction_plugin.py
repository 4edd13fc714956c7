"""The plugin ``compaction``: shortens a history to a summary and its last turns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lash_hookspecs import implements
from lash_hookspecs.specs.history import lash_rewrite_history

if TYPE_CHECKING:
    from lash_hookspecs.specs.history import HistoryEntry, HistoryRewrite


@implements(lash_rewrite_history)
async def compact(context: HistoryRewrite) -> tuple[HistoryEntry, ...]:
    """Fold the older turns into one message; a path that is short enough stays as it is."""
    from lash_basics.compaction import compacted

    return await compacted(context)
