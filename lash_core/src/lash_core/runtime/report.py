"""What became of what a session kept, when it was opened."""

from __future__ import annotations

from typing import Any

import attrs
from lash_hookspecs.records.tools import ToolRestoreReport

from lash_core.graph.session_graph import Healed
from lash_core.plugins.fingerprints import PluginChanges
from lash_core.plugins.session_hooks import SnapshotReport

__all__ = ["RestoreReport"]


@attrs.frozen(kw_only=True)
class RestoreReport:
    """What differs between a session as it was stored and as it is now (L5, P8, G3).

    Attributes:
        plugins: Plugins that take part now and did not, or the other way round.
        tools: Tools that are new, gone, or overridden.
        snapshots: Plugins whose snapshot was restored, is fresh, or is kept for one that is not installed.
        healed: A dangling leaf that was moved.
    """

    plugins: PluginChanges = attrs.field(factory=PluginChanges)
    tools: ToolRestoreReport | None = None
    snapshots: SnapshotReport | None = None
    healed: Healed | None = None

    @property
    def differs(self) -> bool:
        """Whether anything does. Tools that got their own level back are as they were."""
        tools = self.tools is not None and (self.tools.new or self.tools.vanished or self.tools.moved)
        kept = self.snapshots is not None and self.snapshots.kept
        return bool(self.plugins or tools or kept or self.healed)

    def to_json(self) -> dict[str, Any]:
        """Give it as a JSON object."""
        return {
            "plugins": self.plugins.to_json(),
            "tools": attrs.asdict(self.tools) if self.tools else None,
            "snapshots": attrs.asdict(self.snapshots) if self.snapshots else None,
            "healed": attrs.asdict(self.healed) if self.healed else None,
        }
