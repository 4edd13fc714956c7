"""What a plugin's functions are checked for when it is registered (P5, P6)."""

from __future__ import annotations

import inspect
import types
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pluggy
from lash_hookspecs.markers import PROJECT, HookKind, handled_hook, hook_info
from lash_hookspecs.specs import all_specs

from lash_core.plugins.manifest import did_you_mean

__all__ = ["Invalid", "Registry", "check_function"]

#: pluggy's own ways to meddle with the order and the results of others (P5).
_REFUSED = ("tryfirst", "trylast", "wrapper", "hookwrapper")

_WORDS: Mapping[HookKind, str] = {
    "offer": "an offer",
    "observe": "an observer",
    "transform": "a transform",
    "guard": "a guard",
}


class Invalid(Exception):
    """A plugin breaks a rule of the hook API; the text is the reason."""


class Registry:
    """The hook specifications, and the plugins that were checked against them.

    Attributes:
        specs: Hook name → specification.
    """

    def __init__(self, more: Iterable[Callable[..., Any]] = ()) -> None:
        self.specs: Mapping[str, Callable[..., Any]] = {**all_specs(), **{spec.__name__: spec for spec in more}}
        namespace = types.ModuleType("specs")
        vars(namespace).update(self.specs)
        self._pluggy = pluggy.PluginManager(PROJECT)
        self._pluggy.add_hookspecs(namespace)

    def check(self, plugin: object) -> dict[str, Callable[..., Any]]:
        """Find a plugin's hook implementations and check each.

        Returns:
            Hook name → implementation.

        Raises:
            Invalid: One has an unknown name, a wrong signature or colour, or uses what pluggy has and Lash has not.
        """
        found: dict[str, Callable[..., Any]] = {}
        for attribute in dir(plugin):
            options = self._pluggy.parse_hookimpl_opts(plugin, attribute)
            if options is None:
                _check_unmarked(plugin, attribute, self.specs)
                continue
            function = getattr(plugin, attribute)
            hook = options.get("specname") or attribute
            self.require(hook, f"{attribute}() implements")
            if hook in found:
                raise Invalid(f"{found[hook].__name__}() and {attribute}() both implement {hook}; merge them")
            _check_options(attribute, options)
            check_function(attribute, function, self.specs[hook])
            found[hook] = function
        return found

    def register(self, plugin: object, identity: str) -> None:
        """Register a plugin that was checked."""
        self._pluggy.register(plugin, name=identity)

    def require(self, hook: str, who: str) -> None:
        """Raise `Invalid` when there is no such hook."""
        if hook not in self.specs:
            raise Invalid(f"{who} hook {hook!r}, which does not exist{did_you_mean(hook, self.specs)}")


def check_function(
    name: str, function: Callable[..., Any], spec: Callable[..., Any], signature: inspect.Signature | None = None
) -> None:
    """Check an implementation's parameters and colour.

    Args:
        name: What to call it.
        function: The implementation.
        spec: The hook's specification.
        signature: Without ``self``, for a method that is not bound.

    Raises:
        Invalid: It takes more or less than ``context``, or is async though it must not be, or the other way round.
    """
    hook, info = spec.__name__, hook_info(spec)
    signature = signature or inspect.signature(function)
    try:
        bound = signature.bind(None)
    except TypeError:
        bound = None
    if bound is None or list(bound.arguments) != ["context"]:
        raise Invalid(f"{name}{signature} cannot implement {hook}(context): it must take exactly that")
    is_async = inspect.iscoroutinefunction(function)
    if info.kind == "offer" and (is_async or inspect.isasyncgenfunction(function)):
        raise Invalid(f"{name}() must be a plain function, not async: {hook} is an offer")
    if info.kind != "offer" and not is_async:
        raise Invalid(f"{name}() must be an async function: {hook} is {_WORDS[info.kind]}")
    if info.deprecated:
        _warn(f"{name}() implements {hook}, which is deprecated since {info.deprecated}", function)


def _warn(told: str, function: Callable[..., Any]) -> None:
    """Warn at the line of the function, whose author it is for."""
    code = getattr(inspect.unwrap(function), "__code__", _warn.__code__)
    warnings.warn_explicit(told, DeprecationWarning, code.co_filename, code.co_firstlineno, function.__module__)


def _check_unmarked(plugin: object, attribute: str, specs: Mapping[str, Callable[..., Any]]) -> None:
    function = inspect.getattr_static(plugin, attribute, None)
    if not inspect.isfunction(function) or function is specs.get(attribute):
        return
    if attribute in specs:
        raise Invalid(f"{attribute}() is named like a hook and implements none; mark it with @implements({attribute})")
    spec = handled_hook(function)
    if spec is not None:
        raise Invalid(
            f"{attribute}() is marked @handles({spec.__name__}), which is for methods of a session plugin; "
            "use @implements"
        )


def _check_options(attribute: str, options: Mapping[str, Any]) -> None:
    for option in _REFUSED:
        if options.get(option):
            raise Invalid(
                f"{attribute}() is marked {option}=True, which Lash does not use; "
                "order comes from before and after in the manifest"
            )
