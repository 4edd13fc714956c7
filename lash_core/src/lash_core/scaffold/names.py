"""The names of a new plugin: which can be, and what follows from one."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import keyword
import re
import sys
from collections.abc import Sequence

import attrs
from lash_hookspecs.errors import ConfigurationError

from lash_core.plugins import PluginRecord
from lash_core.scaffold.kinds import Kind

__all__ = ["PREFIX", "PluginNames"]

#: What the distributions of plugins begin with, so that people find them.
PREFIX = "lash-"

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

#: PyPI takes longer ones; file systems and people do not.
_LONGEST = 60


@attrs.frozen
class PluginNames:
    """What a plugin is called in each place.

    Attributes:
        distribution: What is installed, such as ``lash-acme``.
    """

    distribution: str

    @property
    def package(self) -> str:
        """What is imported: ``lash_acme``."""
        return self.distribution.replace("-", "_")

    @property
    def short(self) -> str:
        """What it offers, and what its entry point and its settings are called: ``acme``."""
        return self.distribution.removeprefix(PREFIX)

    @property
    def identifier(self) -> str:
        """`short` within names of functions."""
        return self.short.replace("-", "_")

    @property
    def title(self) -> str:
        """`short` within names of classes: ``Acme``."""
        return "".join(word.capitalize() for word in self.short.split("-"))

    @property
    def hint(self) -> str:
        """Advice about a name that can be; empty for none."""
        if self.short != self.distribution:
            return ""
        return f"people look for plugins by the prefix {PREFIX!r}: consider {PREFIX + self.distribution!r}"

    @classmethod
    def of(cls, name: str) -> PluginNames:
        """Take a name that can be.

        Raises:
            ConfigurationError: It cannot; the message says why, and which one could.
        """
        if reason := _refusal(name):
            raise ConfigurationError(f"a plugin cannot be named {name!r}: {reason}")
        return cls(name)

    def check_free(self, kind: Kind, records: Sequence[PluginRecord]) -> None:
        """See that nothing that is installed has one of the names, except a plugin of this very distribution.

        Raises:
            ConfigurationError: Something has; the message names it.
        """
        for record in records:
            if record.distribution != self.distribution and self.short in record.offered(kind.offers):
                raise ConfigurationError(
                    f"{kind.noun} {self.short!r} is there already ({record.distribution} {record.version}), "
                    "and nobody could tell the two apart: choose another name"
                )
        spec = importlib.util.find_spec(self.package)
        if spec is not None and spec.origin is not None and not _is_installed(self.distribution):
            raise ConfigurationError(
                f"the import name {self.package!r} is taken by something that is installed here: choose another name"
            )


def _refusal(name: str) -> str:
    package = name.replace("-", "_")
    short = name.removeprefix(PREFIX)
    if not _NAME.fullmatch(name):
        return _spelling(name)
    if len(name) > _LONGEST:
        return f"it has {len(name)} characters, and {_LONGEST} are the most"
    if not short or not short[0].isalpha():
        return f"what it offers is called {short!r}, which does not begin with a letter"
    if keyword.iskeyword(package) or keyword.iskeyword(short):
        return f"{short!r} is a word of the Python language, which no module can have as its name"
    if package in sys.stdlib_module_names:
        return f"it would hide the module {package!r} of Python's own library; {PREFIX + name!r} would not"
    if name in _OWN:
        return "that is a part of Lash itself"
    return ""


#: Distributions of the project, and the name of somebody else's on which all of them sit by their prefix.
_OWN = ("lash", "lash-basics", "lash-conformance", "lash-core", "lash-hookspecs", "lash-store-sql")


def _spelling(name: str) -> str:
    if not name:
        return "it is empty"
    if "/" in name or "\\" in name:
        return "it is a name and no path; --into DIR says where its folder is made"
    fitting = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    rule = "a name has lower-case letters, digits and single hyphens, and begins with a letter"
    return f"{rule}; did you mean {fitting!r}?" if _NAME.fullmatch(fitting) else rule


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
