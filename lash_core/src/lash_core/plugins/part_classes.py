"""What the class of a session plugin is checked for, once: the protocol, and the handlers it has (P6, P12)."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import attrs
from lash_hookspecs.markers import PROJECT, handled_hook

from lash_core.plugins.calls import may_suspend
from lash_core.plugins.manifest import OFFER_HOOKS, did_you_mean
from lash_core.plugins.registration import Invalid, Registry, check_function

__all__ = ["Handled", "PartClass", "PartClasses"]

#: The protocol's methods: name → its arguments, and whether it is async.
_PROTOCOL: Mapping[str, tuple[tuple[str, ...], bool]] = {
    "snapshot": ((), False),
    "restore": (("schema_version", "snapshot"), True),
    "close": ((), True),
}


@attrs.frozen
class Handled:
    """A method that handles a hook.

    Attributes:
        hook: The hook's name.
        method: The method's name.
        suspends: Whether it may.
    """

    hook: str
    method: str
    suspends: bool


@attrs.frozen
class PartClass:
    """What is known of a class of session plugin.

    Attributes:
        handled: Its methods that handle hooks.
        suspends: The methods of the protocol that may suspend.
    """

    handled: tuple[Handled, ...]
    suspends: frozenset[str]


class PartClasses:
    """What is known of each class of session plugin that was seen."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._seen: WeakKeyDictionary[type, PartClass] = WeakKeyDictionary()

    def known(self, part: type) -> PartClass:
        """Check a class and give what is known of it.

        Raises:
            Invalid: It does not follow the protocol, or a handler breaks a rule of its hook.
        """
        known = self._seen.get(part)
        if known is None:
            known = self._seen[part] = self._check(part)
        return known

    def _check(self, part: type) -> PartClass:
        for name, (arguments, is_async) in _PROTOCOL.items():
            _check_method(part, name, arguments, is_async)
        found: dict[str, Handled] = {}
        for name in dir(part):
            spec = _handled_by(part, name, self._registry)
            if spec is None:
                continue
            function = inspect.getattr_static(part, name)
            if not inspect.isfunction(function):
                raise Invalid(f"{part.__name__}.{name} handles {spec.__name__}: it must be a plain method")
            hook = spec.__name__
            if hook in found:
                raise Invalid(f"{part.__name__}.{found[hook].method}() and .{name}() both handle {hook}; merge them")
            check_function(f"{part.__name__}.{name}", function, spec, _without_self(function))
            found[hook] = Handled(hook, name, may_suspend(function))
        suspends = frozenset(name for name in _PROTOCOL if may_suspend(getattr(part, name)))
        return PartClass(tuple(found.values()), suspends)


def _handled_by(part: type, name: str, registry: Registry) -> Any:
    """Give the specification that a class's attribute handles; ``None`` for an attribute that is no handler."""
    definitions = [vars(each)[name] for each in part.__mro__ if name in vars(each)]
    definitions = [getattr(each, "__func__", each) for each in definitions]  # of a static or class method
    spec = handled_hook(definitions[0]) if definitions else None
    shown = f"{part.__name__}.{name}()"
    if spec is not None:
        registry.require(spec.__name__, f"{shown} handles")
        if spec.__name__ in OFFER_HOOKS.values():
            raise Invalid(f"{shown} handles {spec.__name__}, which is asked once per process; use @implements")
        return spec
    for overridden in map(handled_hook, definitions[1:]):
        if overridden is not None:
            raise Invalid(
                f"{shown} overrides a handler of {overridden.__name__} and is none; "
                f"mark it with @handles({overridden.__name__})"
            )
    if definitions and hasattr(definitions[0], f"{PROJECT}_impl"):
        raise Invalid(f"{shown} is marked @implements, which is for module-level functions; use @handles")
    if name.startswith(f"{PROJECT}_"):
        meant = f"@handles({name})" if name in registry.specs else f"@handles(…){did_you_mean(name, registry.specs)}"
        raise Invalid(f"{shown} is named like a hook and handles none; mark it with {meant}")
    return None


def _check_method(part: type, name: str, arguments: tuple[str, ...], is_async: bool) -> None:
    function = getattr(part, name, None)
    expected = f"{'async ' if is_async else ''}def {name}({', '.join(('self', *arguments))})"
    if not inspect.isfunction(function) or inspect.iscoroutinefunction(function) is not is_async:
        raise Invalid(f"{part.__name__} is no session plugin: it must have {expected}")
    try:
        inspect.signature(function).bind(None, *arguments)
    except TypeError:
        raise Invalid(f"{part.__name__} is no session plugin: it must have {expected}") from None


def _without_self(function: Any) -> inspect.Signature:
    signature = inspect.signature(function)
    return signature.replace(parameters=list(signature.parameters.values())[1:])
