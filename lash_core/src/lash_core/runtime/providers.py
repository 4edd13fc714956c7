"""The model providers of an environment: one object each, for all its sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lash_hookspecs.protocols.models import ModelProvider

if TYPE_CHECKING:
    from lash_core.plugins.manager import PluginManager

__all__ = ["ModelProviders"]


class ModelProviders:
    """Opens a provider when it is first needed, and closes them all."""

    def __init__(self, plugins: PluginManager) -> None:
        """Open nothing yet."""
        self._plugins = plugins
        self._opened: dict[str, ModelProvider] = {}

    def get(self, name: str) -> ModelProvider:
        """Give the provider of a name.

        Raises:
            UnknownName: Nobody offers it.
            PluginError: Its plugin cannot be used.
        """
        if name not in self._opened:
            self._opened[name] = self._plugins.provider(name).open(name)
        return self._opened[name]

    async def close(self) -> None:
        """Close what was opened; may be called twice."""
        while self._opened:
            _name, provider = self._opened.popitem()
            await provider.close()
