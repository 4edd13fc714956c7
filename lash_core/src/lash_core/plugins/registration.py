"""What a plugin's module is checked for when it is registered, and what its offers are checked for (P5 to P7)."""

from __future__ import annotations

import inspect
import reprlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pluggy
from lash_hookspecs.markers import HookInfo, hook_info
from lash_hookspecs.specs import events, offers, prompts
from lash_hookspecs.specs.offers import OfferContext

from lash_core.plugins.manifest import OFFER_HOOKS, did_you_mean

__all__ = ["SPECS", "Invalid", "call_offer", "check_implementations", "compare", "names_of", "new_registry"]

#: Hook name → specification.
SPECS: Mapping[str, Callable[..., Any]] = {
    name: value
    for module in (offers, events, prompts)
    for name, value in vars(module).items()
    if name.startswith("lash_") and callable(value)
}

#: pluggy's own ways to meddle with the order and the results of others (P5).
_REFUSED = ("tryfirst", "trylast", "wrapper", "hookwrapper")


class Invalid(Exception):
    """A plugin breaks a rule of the hook API; the text is the reason."""


def new_registry() -> pluggy.PluginManager:
    """Make a pluggy registry that knows the specifications."""
    registry = pluggy.PluginManager("lash")
    registry.add_hookspecs(offers)
    registry.add_hookspecs(events)
    registry.add_hookspecs(prompts)
    return registry


def check_implementations(registry: pluggy.PluginManager, plugin: object) -> dict[str, Callable[..., Any]]:
    """Find a plugin's hook implementations and check each.

    Returns:
        Hook name → implementation.

    Raises:
        Invalid: One has an unknown name, a wrong signature or colour, or uses what pluggy has and Lash has not.
    """
    found: dict[str, Callable[..., Any]] = {}
    for attribute in dir(plugin):
        options = registry.parse_hookimpl_opts(plugin, attribute)
        if options is None:
            continue
        function = getattr(plugin, attribute)
        hook = options.get("specname") or attribute
        if hook not in SPECS:
            raise Invalid(f"{attribute}() implements hook {hook!r}, which does not exist{did_you_mean(hook, SPECS)}")
        if hook in found:
            raise Invalid(f"{found[hook].__name__}() and {attribute}() both implement {hook}; merge them")
        _check_options(attribute, options)
        _check_function(attribute, function, hook, hook_info(SPECS[hook]))
        found[hook] = function
    return found


def call_offer(hook: str, function: Callable[..., Any], context: OfferContext) -> list[Any]:
    """Ask a plugin for its offers of one kind.

    Raises:
        Invalid: What it returns is not a list of that kind of offer.
    """
    item = hook_info(SPECS[hook]).item_type
    answer = function(context)
    if not isinstance(answer, list | tuple):
        raise Invalid(f"{hook} must return a list of {item.__name__}, and returned {reprlib.repr(answer)}")
    for offer in answer:
        if not isinstance(offer, item):
            raise Invalid(f"{hook} must return a list of {item.__name__}, and it holds {reprlib.repr(offer)}")
        _check_offer(hook, offer)
    return list(answer)


def names_of(offer: Any) -> tuple[str, ...]:
    """Give the names by which an offer is chosen."""
    if isinstance(offer, offers.StoreOffer):
        return offer.schemes
    if isinstance(offer, offers.ProviderOffer):
        return offer.names
    name: str = offer.name
    return (name,)


def compare(kind: str, declared: Iterable[str], made: Iterable[Any]) -> None:
    """Compare the offers that a plugin makes with those of its manifest.

    Raises:
        Invalid: They differ.
    """
    expected = set(declared)
    actual = {name for offer in made for name in names_of(offer)}
    if actual - expected:
        raise Invalid(
            f"{OFFER_HOOKS[kind]} offers {_list(actual - expected)}, "
            f"but the manifest's offers.{kind} names {_list(expected)}"
        )
    if expected - actual:
        raise Invalid(
            f"the manifest's offers.{kind} names {_list(expected - actual)}, "
            f"but {OFFER_HOOKS[kind]} offers {_list(actual)}"
        )


def _check_options(attribute: str, options: Mapping[str, Any]) -> None:
    for option in _REFUSED:
        if options.get(option):
            raise Invalid(
                f"{attribute}() is marked {option}=True, which Lash does not use; "
                "order comes from before and after in the manifest"
            )


def _check_function(attribute: str, function: Callable[..., Any], hook: str, info: HookInfo) -> None:
    signature = inspect.signature(function)
    try:
        bound = signature.bind(None)
    except TypeError:
        bound = None
    if bound is None or list(bound.arguments) != ["context"]:
        raise Invalid(f"{attribute}{signature} cannot implement {hook}(context): it must take exactly that")
    is_async = inspect.iscoroutinefunction(function)
    if info.kind == "observe" and not is_async:
        raise Invalid(f"{attribute}() must be an async function: {hook} is an observer")
    if info.kind == "offer" and (is_async or inspect.isasyncgenfunction(function)):
        raise Invalid(f"{attribute}() must be a plain function, not async: {hook} is an offer")


def _check_offer(hook: str, offer: Any) -> None:
    names: Any = names_of(offer)
    if not isinstance(names, tuple | list) or not names or not all(isinstance(name, str) and name for name in names):
        raise Invalid(f"{hook} returned an offer whose names are {reprlib.repr(names)}, not a tuple of words")
    opener = getattr(offer, "open", None) or getattr(offer, "build", None)
    if not callable(opener):
        raise Invalid(f"{hook} returned an offer of {_list(names)} that cannot be called: {reprlib.repr(opener)}")


def _list(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names)) or "nothing"
