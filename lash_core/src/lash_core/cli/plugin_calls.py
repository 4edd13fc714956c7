"""``--explain-plugins``: which plugins were called in a turn, how long each took, and what became of it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import attrs

from lash_core.cli.output import print_table, to_stderr
from lash_core.plugins.hook_calls import HookCall

__all__ = ["Explained"]


@attrs.define
class _Row:
    """The calls of one hook of one plugin."""

    calls: int = 0
    milliseconds: float = 0.0
    slowest: float = 0.0
    outcomes: Counter[str] = attrs.field(factory=Counter)
    reasons: dict[str, None] = attrs.field(factory=dict)

    def add(self, call: HookCall) -> None:
        self.calls += 1
        self.milliseconds += call.milliseconds
        self.slowest = max(self.slowest, call.milliseconds)
        self.outcomes[call.outcome] += 1
        if call.reason:
            self.reasons[call.reason] = None


class Explained:
    """What plugins were called for, gathered while a command runs; the dearest first.

    Attributes:
        told: Whether a document was given already.
    """

    def __init__(self) -> None:
        self.told = False
        self._rows: dict[tuple[str, str, str, str], _Row] = {}

    def note(self, call: HookCall) -> None:
        """Add a call."""
        key = (call.plugin, call.distribution, call.version, call.hook)
        self._rows.setdefault(key, _Row()).add(call)

    def document(self) -> list[dict[str, Any]]:
        """Give what ``--json`` prints, an object for each hook of each plugin."""
        self.told = True
        return [
            {
                "plugin": plugin,
                "distribution": distribution,
                "version": version,
                "hook": hook,
                "calls": row.calls,
                "milliseconds": round(row.milliseconds, 3),
                "slowest_ms": row.slowest,
                "outcomes": dict(row.outcomes),
                "reasons": list(row.reasons),
            }
            for (plugin, distribution, version, hook), row in self._sorted()
        ]

    def show(self) -> None:
        """Print a table on standard error."""
        if not self._rows:
            to_stderr("lash: no plugin was called")
            return
        print_table(
            ("PLUGIN", "DISTRIBUTION", "HOOK", "CALLS", "MS", "SLOWEST", "OUTCOME"),
            [
                (plugin, f"{distribution} {version}", hook, row.calls, f"{row.milliseconds:.2f}",
                 f"{row.slowest:.2f}", _outcome(row))
                for (plugin, distribution, version, hook), row in self._sorted()
            ],
            err=True,
        )  # fmt: skip

    def _sorted(self) -> list[tuple[tuple[str, str, str, str], _Row]]:
        return sorted(self._rows.items(), key=lambda found: -found[1].milliseconds)


def _outcome(row: _Row) -> str:
    """Give what became of the calls, and the last reason; it may begin with the outcome itself."""
    counted = ", ".join(
        outcome if row.calls == 1 else f"{count} {outcome}" for outcome, count in row.outcomes.most_common()
    )
    reasons = [reason.removeprefix("failed: ") for reason in row.reasons][-1:]
    return ": ".join((counted.replace("_", " "), *reasons))
