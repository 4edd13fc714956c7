"""Hooks of each kind for tests of how they are called, and plugins made of functions."""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, cast

import attrs
from lash_core.plugins import PluginManager, SessionHooks
from lash_hookspecs.markers import guard, implements, observe, offer, transform
from lash_hookspecs.protocols.services import SessionServices
from lash_hookspecs.specs.decisions import Decision
from lash_hookspecs.specs.offers import OfferContext, SessionPluginOffer, SessionSetup, lash_offer_session_plugins

__all__ = [
    "SPECS",
    "Said",
    "function",
    "lash_contribute_words",
    "lash_guard_words",
    "lash_on_words",
    "lash_transform_word_list",
    "lash_transform_words",
    "manager_of",
    "open_hooks",
    "part",
    "plugin",
    "setup",
    "told",
]


@attrs.frozen(kw_only=True)
class Said:
    """What the hooks here are about."""

    words: str = "so"
    word_list: tuple[str, ...] = ()


@observe(since="0.1")
async def lash_on_words(context: Said) -> None: ...


@transform("words", result=str, since="0.1")
async def lash_transform_words(context: Said) -> str:
    raise AssertionError("a specification is never called")


@transform("word_list", result=tuple, items=(str, int), since="0.1")
async def lash_transform_word_list(context: Said) -> tuple[str, ...]:
    raise AssertionError("a specification is never called")


@guard(since="0.1")
async def lash_guard_words(context: Said) -> Decision:
    raise AssertionError("a specification is never called")


@offer(str, since="0.1")
def lash_contribute_words(context: Said) -> list[str]:
    raise AssertionError("a specification is never called")


SPECS = (lash_on_words, lash_transform_words, lash_transform_word_list, lash_guard_words, lash_contribute_words)


def plugin(name: str, *functions: Callable[..., Any]) -> types.ModuleType:
    """Make a module of functions that are marked already."""
    module = types.ModuleType(name)
    vars(module).update({f"{function.__name__}_{number}": function for number, function in enumerate(functions)})
    return module


def function(spec: Callable[..., Any], does: Callable[..., Any]) -> types.ModuleType:
    """Make a plugin of one function, with the function's name."""
    return plugin(does.__name__, implements(spec)(does))


def part(name: str, build: Callable[[SessionSetup], Any], *, needs: tuple[str, ...] = ()) -> types.ModuleType:
    """Make a plugin of one session plugin, both of one name."""

    @implements(lash_offer_session_plugins)
    def parts(context: OfferContext) -> list[SessionPluginOffer]:
        return [SessionPluginOffer(name=name, build=build, needs=needs)]

    return plugin(name, parts)


def setup(session_id: str = "s1", *, capabilities: tuple[str, ...] = ()) -> SessionSetup:
    """Describe a session whose services nobody uses."""
    return SessionSetup(
        session_id=session_id,
        parent_session_id=None,
        mode="standard",
        root=Path(),
        capabilities=frozenset(capabilities),
        services=cast(SessionServices, object()),
    )


def manager_of(*plugins: object) -> PluginManager:
    """Make a manager of plugins that knows the hooks here."""
    return PluginManager.for_tests(plugins, specs=SPECS)


def open_hooks(*plugins: object) -> Coroutine[Any, Any, SessionHooks]:
    """Open a session with plugins."""
    return manager_of(*plugins).open_session(setup())


def told(message: object) -> str:
    """Give a message with the version that a checkout without metadata has not."""
    return str(message).replace("0+source", "0.1.0")
