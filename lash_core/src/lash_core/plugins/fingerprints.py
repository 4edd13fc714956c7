"""The plugins that a session was committed with, compared with those that are here (P8)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, get_args

import attrs
from lash_hookspecs.errors import PolicyError
from lash_hookspecs.records.state import PluginFingerprint

from lash_core.plugins.records import PluginRecord
from lash_core.version import HOOKSPEC_API

__all__ = ["PluginChange", "PluginChanges", "PluginPolicy", "check_policy", "compare_plugins", "fingerprint_of"]

#: What a session is resumed with: ``compatible`` takes what is here and says what changed; ``strict`` takes only the
#: very same plugins.
PluginPolicy = Literal["compatible", "strict"]


@attrs.frozen
class PluginChange:
    """A plugin of another version, or written for another hook API.

    Attributes:
        stored: As it was when the session was committed last.
        present: As it is now.
    """

    stored: PluginFingerprint
    present: PluginFingerprint


@attrs.frozen(kw_only=True)
class PluginChanges:
    """How the plugins that are here differ from those that a session was committed with. True when they do.

    Attributes:
        added: New ones.
        removed: Those that are gone; what they kept is kept (P10).
        changed: Those of another version.
        reordered: Whether the ones that stayed are called in another order.
    """

    added: tuple[PluginFingerprint, ...] = ()
    removed: tuple[PluginFingerprint, ...] = ()
    changed: tuple[PluginChange, ...] = ()
    reordered: bool = False

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.reordered)

    def refused_by(self, policy: PluginPolicy) -> bool:
        """Tell whether a session may not be resumed because of them."""
        return policy == "strict" and bool(self)

    def to_json(self) -> dict[str, Any]:
        """Give a JSON document."""
        return {
            "added": [each.model_dump() for each in self.added],
            "removed": [each.model_dump() for each in self.removed],
            "changed": [
                {"stored": each.stored.model_dump(), "present": each.present.model_dump()} for each in self.changed
            ],
            "reordered": self.reordered,
        }

    def describe(self) -> str:
        """Give one line for people; empty when nothing changed."""
        told = [f"added {_label(each)}" for each in self.added]
        told += [f"removed {_label(each)}" for each in self.removed]
        told += [f"changed {_label(each.stored)} to {_difference(each)}" for each in self.changed]
        if self.reordered:
            told.append("they are called in another order")
        return "; ".join(told)


def compare_plugins(stored: Iterable[PluginFingerprint], present: Iterable[PluginFingerprint]) -> PluginChanges:
    """Compare the plugins of a commit with those that take part now, each in the order of calls."""
    before = {(each.distribution, each.name): each for each in stored}
    after = {(each.distribution, each.name): each for each in present}
    return PluginChanges(
        added=tuple(each for key, each in after.items() if key not in before),
        removed=tuple(each for key, each in before.items() if key not in after),
        changed=tuple(PluginChange(before[key], each) for key, each in after.items() if before.get(key, each) != each),
        reordered=[key for key in before if key in after] != [key for key in after if key in before],
    )


def check_policy(value: str) -> PluginPolicy:
    """Give the policy of that name.

    Raises:
        PolicyError: There is none.
    """
    if value not in get_args(PluginPolicy):
        raise PolicyError(f"plugins: {value!r} is no policy; use 'compatible' or 'strict'")
    policy: PluginPolicy = value  # type: ignore[assignment]  # checked just before
    return policy


def fingerprint_of(record: PluginRecord) -> PluginFingerprint:
    """Give what is stored of a plugin."""
    return PluginFingerprint(
        distribution=record.distribution,
        version=record.version,
        name=record.name,
        api=record.manifest.requires_api if record.manifest else HOOKSPEC_API,
    )


def _label(plugin: PluginFingerprint) -> str:
    return f"plugin {plugin.name!r} ({plugin.distribution} {plugin.version})"


def _difference(change: PluginChange) -> str:
    if change.stored.version == change.present.version:
        return f"hook API {change.present.api} from {change.stored.api}"
    return change.present.version
