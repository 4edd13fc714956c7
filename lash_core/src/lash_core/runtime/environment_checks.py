"""What an environment may be made of; what cannot be is told when it is built, not in the middle of a turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import Attribute
from lash_hookspecs.errors import ConfigurationError

__all__ = ["a_function", "a_plugin_manager", "at_least", "names", "one_of", "word"]

#: What attrs calls with the object, the field and its value.
Check = Callable[[Any, "Attribute[Any]", Any], None]


def one_of(*kinds: type) -> Check:
    """Take values of these types only."""

    def check(_: object, field: Attribute[Any], value: object) -> None:
        if not isinstance(value, kinds):
            wanted = " or ".join("None" if kind is type(None) else kind.__name__ for kind in kinds)
            raise _refused(field, value, f"a {wanted}")

    return check


def at_least(least: float) -> Check:
    """Take numbers from ``least`` on."""

    def check(_: object, field: Attribute[Any], value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= least:
            raise _refused(field, value, f"a number from {least:g} on")

    return check


def word(*known: str) -> Check:
    """Take one of some words."""

    def check(_: object, field: Attribute[Any], value: object) -> None:
        if value not in known:
            raise _refused(field, value, " or ".join(repr(word) for word in known))

    return check


def names(_: object, field: Attribute[Any], value: object) -> None:
    """Take ``None`` or several texts; one text alone is a list of letters by mistake."""
    if value is not None and (
        not isinstance(value, tuple | list | set | frozenset) or not all(isinstance(name, str) for name in value)
    ):
        raise _refused(field, value, "a tuple of names")


def a_plugin_manager(_: object, field: Attribute[Any], value: object) -> None:
    """Take a plugin manager, which `PluginManager.discover` and `PluginManager.for_tests` build."""
    from lash_core.plugins.manager import PluginManager

    if not isinstance(value, PluginManager):
        raise _refused(field, value, "a PluginManager, such as PluginManager.discover() gives")


def a_function(_: object, field: Attribute[Any], value: object) -> None:
    """Take what can be called."""
    if not callable(value):
        raise _refused(field, value, "a function")


def _refused(field: Attribute[Any], value: object, wanted: str) -> ConfigurationError:
    return ConfigurationError(f"{field.name} cannot be {value!r:.80}: it must be {wanted}")
