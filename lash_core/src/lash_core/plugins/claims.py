"""Who may answer for a name, and which names are claimed twice (P1)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from lash_hookspecs.errors import ConfigurationError, LashError, PluginConflict, UnknownName

from lash_core.plugins.manifest import KINDS, did_you_mean
from lash_core.plugins.permission import canonical
from lash_core.plugins.records import PluginRecord, PluginSettings

__all__ = ["Claims"]

#: What to install for names that the documentation uses.
_SHIPPED = {
    ("stores", "sqlite"): "lash-core[standard]",
    ("hosts", "subprocess"): "lash-host-subprocess",
    ("modes", "standard"): "lash-core[standard]",
    ("providers", "offline"): "lash-core[standard]",
    ("providers", "anthropic"): "lash-provider-pydantic-ai",
    ("providers", "google"): "lash-provider-pydantic-ai",
    ("providers", "openai"): "lash-provider-pydantic-ai",
}


class Claims:
    """The names on offer. Building one marks the plugins that are in conflict."""

    def __init__(self, records: Sequence[PluginRecord], settings: PluginSettings) -> None:
        self._records = records
        self._settled = settings.settled
        self._claims: dict[tuple[str, str], list[PluginRecord]] = defaultdict(list)
        for record in records:
            for kind in KINDS if record.usable else ():
                for name in record.offered(kind):
                    self._claims[kind, name].append(record)
        self._mark_names()
        self._mark_offers()

    def names(self, kind: str) -> tuple[str, ...]:
        """List the names of a kind that can be used or are in conflict, sorted."""
        return tuple(sorted(name for claimed, name in self._claims if claimed == kind))

    def holder(self, kind: str, name: str) -> PluginRecord:
        """Find the plugin that answers for a name.

        Raises:
            UnknownName: Nobody offers it.
            PluginConflict: Two do, and the settings do not say which.
            PluginError: The one that does cannot be used.
            ConfigurationError: The settings give the name to a distribution that does not offer it.
        """
        claims = self._claims.get((kind, name), [])
        chosen = self._settled.get(kind, {}).get(name)
        if chosen is not None and not any(_ships(record, chosen) for record in claims):
            raise ConfigurationError(
                f"the settings give {KINDS[kind]} {name!r} to {chosen!r} ([lash.{kind}]), which does not offer it"
            )
        left = [record for record in claims if chosen is None or _ships(record, chosen)]
        if len(left) > 1:
            raise PluginConflict(_told(kind, name, left), plugin=left[0].name)
        if left and left[0].usable:
            return left[0]
        raise left[0].unusable() if left else self._missing(kind, name)

    def _mark_names(self) -> None:
        same: dict[str, list[PluginRecord]] = defaultdict(list)
        for record in self._records:
            if record.state in ("active", "failed"):
                same[record.name].append(record)
        for name, records in same.items():
            if len({record.identity for record in records}) > 1:
                identities = " or ".join(f'"{record.identity}"' for record in records)
                reason = (
                    f"plugin name {name!r} is claimed by {_and(records)}; "
                    f"list {identities} in [lash.plugins] disabled, or uninstall one"
                )
                for record in records:
                    # A plugin without a manifest offers nothing, so nothing can be asked of it.
                    record.settle("conflicting", "claims", reason)

    def _mark_offers(self) -> None:
        for (kind, name), records in self._claims.items():
            chosen = self._settled.get(kind, {}).get(name)
            if chosen is None and len(records) > 1:
                for record in records:
                    record.settle("conflicting", "claims", _told(kind, name, records))
            else:
                for record in records:
                    record.note("claims", _held(kind, name, record, chosen))

    def _missing(self, kind: str, name: str) -> LashError:
        clashing = [record for record in self._records if record.name == name and record.state == "conflicting"]
        if clashing and not any(record.manifest for record in clashing):
            return PluginConflict(clashing[0].reason, plugin=name)
        for record in self._records:
            if not record.usable and (name in record.offered(kind) or (record.name == name and not record.manifest)):
                return record.unusable()
        on_offer = self.names(kind)
        listed = f"On offer: {', '.join(on_offer)}." if on_offer else "No installed plugin offers any."
        install = _SHIPPED.get((kind, name))
        cure = f" Install it with: pip install '{install}'" if install else ""
        return UnknownName(f"no {KINDS[kind]} is named {name!r}{did_you_mean(name, on_offer) or '.'} {listed}{cure}")


def _told(kind: str, name: str, records: Sequence[PluginRecord]) -> str:
    claimed = f"{KINDS[kind]} {name!r} is claimed by {_and(record.label for record in records)}"
    distributions = dict.fromkeys(f'"{record.distribution}"' for record in records)
    if len(distributions) < len(records):
        identities = " or ".join(f'"{record.identity}"' for record in records)
        return f"{claimed}; list {identities} in [lash.plugins] disabled"
    return f"{claimed}; choose one in lash.toml: [lash.{kind}] {_key(name)} = {' or '.join(distributions)}"


def _held(kind: str, name: str, record: PluginRecord, chosen: str | None) -> str:
    what = f"{KINDS[kind]} {name!r}"
    if chosen is None:
        return f"{what}: held, nobody else claims it"
    verb = "held" if _ships(record, chosen) else "lost"
    return f"{what}: {verb}, [lash.{kind}] gives it to {chosen!r}"


def _ships(record: PluginRecord, chosen: str) -> bool:
    return canonical(record.distribution) == canonical(chosen)


def _key(name: str) -> str:
    bare = name.replace("-", "").replace("_", "")
    return name if bare.isascii() and bare.isalnum() else f'"{name}"'


def _and(items: Iterable[PluginRecord | str]) -> str:
    shown = [item if isinstance(item, str) else f"{item.distribution} {item.version}" for item in items]
    return f"{', '.join(shown[:-1])} and {shown[-1]}"
