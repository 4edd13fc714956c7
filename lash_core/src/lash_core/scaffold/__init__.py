"""New plugins: packages of their own, written from the templates beside this file."""

from __future__ import annotations

from lash_core.scaffold.kinds import KINDS, Kind
from lash_core.scaffold.names import PluginNames
from lash_core.scaffold.writing import files_of, write_plugin

__all__ = ["KINDS", "Kind", "PluginNames", "files_of", "write_plugin"]
