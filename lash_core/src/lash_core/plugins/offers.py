"""How a plugin is asked for its offers, and what they are checked for (P7)."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable
from typing import Any

from lash_hookspecs.markers import hook_info
from lash_hookspecs.specs import offers
from lash_hookspecs.specs.offers import OfferContext

from lash_core.plugins.manifest import OFFER_HOOKS
from lash_core.plugins.registration import Invalid
from lash_core.plugins.values import wrong_items

__all__ = ["call_offer", "compare", "names_of"]


def call_offer(hook: str, function: Callable[..., Any], context: OfferContext) -> list[Any]:
    """Ask a plugin for its offers of one kind.

    Raises:
        Invalid: What it returns is not a list of that kind of offer.
    """
    answer = function(context)
    wrong = wrong_items(hook_info(getattr(offers, hook)), answer)
    if wrong:
        raise Invalid(f"{hook} {wrong}")
    for offer in answer:
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
        Invalid: They differ, or two of them have one name.
    """
    expected = set(declared)
    names = [name for offer in made for name in names_of(offer)]
    actual = set(names)
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
    if len(names) > len(actual):
        twice = {name for name in actual if names.count(name) > 1}
        raise Invalid(f"{OFFER_HOOKS[kind]} offers {_list(twice)} more than once")


def _check_offer(hook: str, offer: Any) -> None:
    names: Any = names_of(offer)
    if not isinstance(names, tuple | list) or not names or not all(isinstance(name, str) and name for name in names):
        raise Invalid(f"{hook} returned an offer whose names are {reprlib.repr(names)}, not a tuple of words")
    opener = getattr(offer, "open", None) or getattr(offer, "build", None)
    if not callable(opener):
        raise Invalid(f"{hook} returned an offer of {_list(names)} that cannot be called: {reprlib.repr(opener)}")
    if isinstance(offer, offers.HostOffer) and not (offer.tasks is None or callable(offer.tasks)):
        raise Invalid(f"{hook} returned an offer of {_list(names)} whose tasks cannot be called: {offer.tasks!r}")
    if isinstance(offer, offers.SessionPluginOffer):
        _check_session_plugin(hook, offer)


def _check_session_plugin(hook: str, offer: offers.SessionPluginOffer) -> None:
    if "/" in offer.name:  # it is the last part of a component's name
        raise Invalid(f"{hook} returned an offer of {offer.name!r}; the name may have no '/'")
    needs: Any = offer.needs
    if not isinstance(needs, tuple | list) or not all(isinstance(need, str) for need in needs):
        raise Invalid(f"{hook} returned an offer of {offer.name!r} whose needs are {reprlib.repr(needs)}, not words")


def _list(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names)) or "nothing"
