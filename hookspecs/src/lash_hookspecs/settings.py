"""A plugin's own settings: the table ``[lash.plugin.NAME]``, read by a pydantic model of the plugin's.

Values come from ``LASH_PLUGIN__NAME__KEY`` variables (``LASH_PLUGIN__NAME__OUTER__INNER`` within a nested model), over
the settings file, over the model's defaults. Pydantic is imported when a model is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["VARIABLES", "Setting", "SettingsTable", "as_table"]

#: What the names of variables for plugins' settings begin with.
VARIABLES = "LASH_PLUGIN__"

M = TypeVar("M", bound="BaseModel")

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@attrs.frozen
class Setting:
    """One value that is in force.

    Attributes:
        key: Its path below the plugin's table, such as ``server.port``.
        value: The value as JSON can carry it; a secret one as asterisks.
        source: A variable's name, a file's path, or ``default``.
    """

    key: str
    value: object
    source: str


class SettingsTable(Mapping[str, object]):
    """What the settings say to one plugin: a mapping of what the file says, and `read` for the whole as a model."""

    def __init__(
        self,
        values: Mapping[str, object] = _NOTHING,
        *,
        plugin: str = "",
        file: str = "",
        variables: Mapping[str, str] = _NOTHING,
    ) -> None:
        """Make a table.

        Args:
            values: The table of the file.
            plugin: The plugin's name; empty in a plugin's own tests.
            file: The file's path, for messages.
            variables: Environment variables; those of other plugins are passed over.
        """
        self._values = values
        self._plugin = plugin
        self._file = file
        self._variables = variables
        self._asked: dict[type[BaseModel], None] = {}
        self._read: dict[type[BaseModel], tuple[BaseModel, tuple[Setting, ...]]] = {}

    def __getitem__(self, key: str) -> object:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"SettingsTable({sorted(self._values)})"  # values may be secret

    @property
    def file(self) -> str:
        """The path of the file; empty when there is none."""
        return self._file

    @property
    def models(self) -> tuple[type[BaseModel], ...]:
        """The models that it was to be read by so far."""
        return tuple(self._asked)

    def read(self, model: type[M]) -> M:
        """Read the table by a model, once: later calls give the same object.

        Raises:
            ConfigurationError: A key is unknown (unless the model allows extra ones) or missing, or a value is not what
                the model wants. Names file or variable and the key's path, and never a secret.
        """
        instance, _ = self._checked(model)
        return instance

    def explain(self, model: type[BaseModel]) -> tuple[Setting, ...]:
        """Give each value in force and where it comes from; raises like `read`."""
        _, explained = self._checked(model)
        return explained

    def _checked(self, model: type[M]) -> tuple[M, tuple[Setting, ...]]:
        self._asked[model] = None
        if model not in self._read:
            from lash_hookspecs._settings_models import Source, read_model

            source = Source(self._plugin, self._file, self._values, _own(self._variables, self._plugin))
            self._read[model] = read_model(model, source)
        return self._read[model]  # type: ignore[return-value]  # kept under its own class


def as_table(values: Mapping[str, object]) -> SettingsTable:
    """Give a table for plain values, as a plugin's tests have them; a table as it is."""
    return values if isinstance(values, SettingsTable) else SettingsTable(values)


def _own(variables: Mapping[str, str], plugin: str) -> dict[str, tuple[str, str]]:
    """Give the variables of one plugin: lower-case path, words joined by ``__`` → (name, value)."""
    prefix = f"{VARIABLES}{re.sub(r'[^A-Za-z0-9]', '_', plugin).upper()}__"
    return {
        name[len(prefix) :].lower(): (name, value)
        for name, value in sorted(variables.items())
        if plugin and value and name.upper().startswith(prefix)
    }
