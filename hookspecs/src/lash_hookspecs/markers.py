"""How a hook is specified and how a plugin implements it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import attrs
import pluggy

__all__ = ["PROJECT", "HookInfo", "hook_info", "hookimpl", "hookspec", "implements", "observe", "offer"]

#: The pluggy project name that specs and implementations share.
PROJECT = "lash"

F = TypeVar("F", bound=Callable[..., Any])

#: Marks a function as a hook specification; prefer `offer` and `observe`, which fix the kind too.
hookspec = pluggy.HookspecMarker(PROJECT)

#: Marks a function as a hook implementation by its name; prefer `implements`.
hookimpl = pluggy.HookimplMarker(PROJECT)

_INFO = "lash_hook"


@attrs.frozen
class HookInfo:
    """What a hook's kind fixes.

    Attributes:
        kind: ``offer`` (sync, all answers are kept) or ``observe`` (async, isolated, order does not matter).
        item: The type of each item that an offer returns, or ``module:name`` of one that is imported when the first
            item is checked; ``None`` for observers.
        since: The hook API version that brought it.
        deadline: Seconds an implementation has; ``None`` for offers, which are sync.
    """

    kind: Literal["offer", "observe"]
    item: type | str | None
    since: str
    deadline: float | None

    @property
    def item_type(self) -> type:
        """The type of each item; ``object`` where it is not told."""
        if not isinstance(self.item, str):
            return self.item or object
        module, _, name = self.item.partition(":")
        found: type = getattr(importlib.import_module(module), name)
        return found


def offer(item: type | str, *, since: str) -> Callable[[F], F]:
    """Mark a hook specification as an offer: a sync function that returns a list of ``item``.

    Args:
        item: The type of each item; ``module:name`` of one whose import is not cheap.
        since: The hook API version that brought it.
    """
    return _spec(HookInfo("offer", item, since, None))


def observe(*, since: str, deadline: float = 5.0) -> Callable[[F], F]:
    """Mark a hook specification as an observer: an async function that returns nothing."""
    return _spec(HookInfo("observe", None, since, deadline))


def hook_info(spec: Callable[..., Any]) -> HookInfo:
    """Give what the kind of a hook specification fixes."""
    info = getattr(spec, _INFO, None)
    if not isinstance(info, HookInfo):
        raise TypeError(f"{spec!r} is not a Lash hook specification")
    return info


def implements(spec: F) -> Callable[[F], F]:
    """Mark a module-level function as the implementation of a hook.

    A type checker sees a wrong parameter, return type or colour (sync or async) without any extension of its own.

    Example::

        @implements(lash_offer_modes)
        def modes(context: OfferContext) -> list[ModeOffer]:
            return [ModeOffer(name="mine", build=MyMode)]
    """
    hook_info(spec)

    def mark(function: F) -> F:
        return hookimpl(specname=spec.__name__)(function)

    return mark


def _spec(info: HookInfo) -> Callable[[F], F]:
    def mark(function: F) -> F:
        setattr(function, _INFO, info)
        return hookspec(function)

    return mark
