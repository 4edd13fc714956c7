"""``lash plugins disable`` and ``enable``: they write the nearest settings file; no plugin is imported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from lash_hookspecs.errors import ConfigurationError

from lash_core.cli.options import Shared, common
from lash_core.cli.output import one_line, print_json, print_text, to_stderr
from lash_core.cli.plugin_lookup import all_plugins, one_plugin
from lash_core.plugins import PluginRecord, PluginSettings
from lash_core.plugins.permission import is_required, named_by

__all__ = ["disable", "enable"]


@click.command()
@click.argument("name")
@common
def disable(shared: Shared, name: str) -> None:
    """Never import plugin NAME again; works for one that fails, too.

    Lists it in [lash.plugins] disabled of the nearest settings file, or of a lash.toml that is made here.
    """
    from lash_core.settings_file import write_plugin_list

    settings = shared.settings()
    told = settings.plugins
    records = all_plugins(shared).records
    record = one_plugin(records, name)
    file = settings.file or Path.cwd() / "lash.toml"
    listed = any(named_by(word, record) for word in told.disabled)
    if not listed:
        alone = [other for other in records if named_by(record.name, other)] == [record]
        write_plugin_list(file, "disabled", [*told.disabled, record.name if alone else record.identity])
    if is_required(record, told):
        to_stderr(
            f"lash: {record.label} is required by {told.where('required')}: "
            "as long as it is disabled, no command works with plugins"
        )
    _tell(shared, record.identity, "is disabled already" if listed else "is disabled", file, not listed)


@click.command()
@click.argument("name")
@common
def enable(shared: Shared, name: str) -> None:
    """Take plugin NAME out of [lash.plugins] disabled again; it need not be installed any more."""
    from lash_core.settings_file import write_plugin_list

    settings = shared.settings()
    told = settings.plugins
    records = all_plugins(shared).records
    gone = name in told.disabled and not any(named_by(name, record) for record in records)
    words = [name] if gone else _words(one_plugin(records, name), records, told)
    if words and settings.file is not None:
        write_plugin_list(settings.file, "disabled", [word for word in told.disabled if word not in words])
    identity = name if gone else one_plugin(records, name).identity
    verdict = "is enabled" if words else "was not disabled by that list"
    now = next((record for record in all_plugins(shared).records if record.identity == identity), None)
    if gone:
        verdict = "is no longer disabled, but it is not installed"
    elif now is not None and now.state != "active":
        verdict += f", but it is {now.state}: {now.reason}"
    _tell(shared, identity, verdict, settings.file, bool(words))


def _words(record: PluginRecord, records: Sequence[PluginRecord], told: PluginSettings) -> list[str]:
    """Give the words that disable a plugin and no other.

    Raises:
        ConfigurationError: One of them disables others as well.
    """
    words = [word for word in told.disabled if named_by(word, record)]
    for word in words:
        others = [other.identity for other in records if other is not record and named_by(word, other)]
        if others:
            raise ConfigurationError(
                f"{word!r} in {told.where('disabled')} disables {' and '.join(others)}, too; "
                "name there what is to stay disabled, as distribution/name"
            )
    return words


def _tell(shared: Shared, identity: str, verdict: str, file: Path | None, changed: bool) -> None:
    if shared.json:
        print_json({"plugin": identity, "file": str(file) if file else None, "changed": changed, "told": verdict})
    else:
        print_text(one_line(f"{identity} {verdict}{f' (in {file})' if changed else ''}"))
