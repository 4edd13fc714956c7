"""How the commands about plugins find the one that is meant; nothing is imported for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lash_hookspecs.errors import UnknownName

from lash_core.builtins import BUILTINS
from lash_core.cli.options import Shared
from lash_core.plugins import PluginManager, PluginRecord
from lash_core.plugins.manifest import did_you_mean
from lash_core.plugins.permission import canonical, named_by

__all__ = ["all_plugins", "find_plugins", "one_plugin"]


def all_plugins(shared: Shared) -> PluginManager:
    """Find the plugins as every command does that works with them."""
    return PluginManager.discover(shared.settings().plugins, builtins=BUILTINS)


def find_plugins(records: Iterable[PluginRecord], word: str) -> Sequence[PluginRecord]:
    """Give the plugins that a word means: of that name, or else of that distribution.

    Raises:
        UnknownName: There is none.
    """
    found = [record for record in records if named_by(word, record)]
    exact = [record for record in found if canonical(record.distribution) != canonical(word) or record.name == word]
    if found:
        return exact or found
    known = {name for record in records for name in (record.name, record.distribution, record.identity)}
    near = did_you_mean(word, known)
    raise UnknownName(f"no plugin is named {word!r}{near or '.'} `lash plugins list` shows which there are")


def one_plugin(records: Iterable[PluginRecord], word: str) -> PluginRecord:
    """Give the one plugin that a word means.

    Raises:
        UnknownName: It means none, or several.
    """
    found = find_plugins(records, word)
    if len(found) > 1:
        raise UnknownName(f"{word!r} may be {' or '.join(record.identity for record in found)}; say which")
    return found[0]
