"""The models of plugins' own settings: named in manifests, imported with the plugin."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from lash_hookspecs.errors import ConfigurationError
from lash_hookspecs.settings import Setting, SettingsTable

from lash_core.plugins.calls import what_happened
from lash_core.plugins.records import PluginRecord
from lash_core.plugins.registration import Invalid

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["check_settings", "explain_settings", "import_model"]


def check_settings(record: PluginRecord, table: SettingsTable) -> None:
    """Read a plugin's settings by the model of its manifest, if that names one.

    Raises:
        PluginError: The settings are not as the model wants them, or there is no such model. The plugin has failed.
    """
    explain_settings(record, table)


def explain_settings(record: PluginRecord, table: SettingsTable) -> tuple[Setting, ...]:
    """Give each value of a plugin's settings and where it comes from; raises like `check_settings`.

    Without a model the values are not told: any of them may be a secret.
    """
    if record.manifest is None or not record.manifest.settings_model:
        return tuple(Setting(key, None, table.file or "given") for key in table)
    try:
        return table.explain(import_model(record.manifest.settings_model))
    except (ConfigurationError, Invalid) as error:
        raise record.fail(str(error), step="settings") from None


def import_model(reference: str) -> type[BaseModel]:
    """Import a model.

    Raises:
        Invalid: It cannot be imported, or is no pydantic model.
    """
    from pydantic import BaseModel

    module, _, name = reference.partition(":")
    try:
        model: object = getattr(importlib.import_module(module), name)
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # a plugin's sys.exit must not end the host
        raise Invalid(f"its settings model {reference!r} cannot be imported: {what_happened(error)}") from error
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise Invalid(f"its settings model {reference!r} is not a pydantic model")
    return model
