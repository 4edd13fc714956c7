"""``lash plugins config``: what a plugin's own settings are, and where each value comes from."""

from __future__ import annotations

import json

import click
from lash_hookspecs.settings import Setting

from lash_core.cli.options import Shared, common
from lash_core.cli.output import print_json, print_table, stdout_kept, to_stderr
from lash_core.cli.plugin_lookup import all_plugins, one_plugin
from lash_core.plugins import PluginRecord

__all__ = ["config_plugin"]


@click.command("config")
@click.argument("name")
@click.option("--explain", is_flag=True, help="Say where each value comes from.")
@common
def config_plugin(shared: Shared, name: str, explain: bool) -> None:
    """Show the values in force of a plugin's own settings; imports that plugin and no other.

    Secret values are shown as asterisks. A plugin without a model for its settings is not imported, and what is set is
    named without values: any of them may be a secret.
    """
    plugins = all_plugins(shared)
    record = one_plugin(plugins.records, name)
    with stdout_kept():
        found = plugins.settings_of(record)
    model = record.manifest.settings_model if record.manifest else ""
    if shared.json:
        print_json(_document(record, model, found))
        return
    if not found:
        to_stderr(f"{record.label} has no settings")
        return
    values = [(each.key, _told(each) if model else "(set)") for each in found]
    sources = [(each.source,) for each in found] if explain else [()] * len(found)
    heads = ("KEY", "VALUE", "FROM") if explain else ("KEY", "VALUE")
    print_table(heads, [(*value, *source) for value, source in zip(values, sources, strict=True)])


def _told(setting: Setting) -> str:
    return setting.value if isinstance(setting.value, str) else json.dumps(setting.value, ensure_ascii=False)


def _document(record: PluginRecord, model: str, found: tuple[Setting, ...]) -> dict[str, object]:
    return {
        "name": record.name,
        "distribution": record.distribution,
        "model": model or None,
        "settings": [
            {"key": each.key, **({"value": each.value} if model else {}), "source": each.source} for each in found
        ],
    }
