"""How a hook is specified and how a plugin implements it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeVar

import attrs
import pluggy

__all__ = [
    "JSON",
    "PROJECT",
    "HookInfo",
    "HookKind",
    "TypeRef",
    "guard",
    "handled_hook",
    "handles",
    "hook_info",
    "hookimpl",
    "hookspec",
    "implements",
    "observe",
    "offer",
    "transform",
]

#: The pluggy project name that specs and implementations share.
PROJECT = "lash"

#: The four kinds of hook (P4).
HookKind = Literal["offer", "observe", "transform", "guard"]

#: A type, or where to find it: ``"lash_hookspecs.records.models:ModelReply"``. A record is told by where it is, so that
#: a module of specifications does not import pydantic. What is found may be a union.
TypeRef = type | str

#: The types of a JSON value, for `transform`'s ``result``.
JSON: tuple[type, ...] = (str, int, float, bool, list, dict, type(None))

F = TypeVar("F", bound=Callable[..., Any])
S_contra = TypeVar("S_contra", contravariant=True)
C_contra = TypeVar("C_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")
C = TypeVar("C")
R = TypeVar("R")

#: Marks a function as a hook specification; prefer `offer`, `observe`, `transform` and `guard`, which fix the kind too.
hookspec = pluggy.HookspecMarker(PROJECT)

#: Marks a function as a hook implementation by its name; prefer `implements`.
hookimpl = pluggy.HookimplMarker(PROJECT)

_INFO = "lash_hook"
_HANDLED = "lash_handles"


@attrs.frozen
class HookInfo:
    """What a hook's kind fixes.

    Attributes:
        kind: ``offer`` (sync, all answers are kept), ``observe`` (async, isolated, order does not matter),
            ``transform`` (async, folded in order) or ``guard`` (async, any denial wins).
        item: The type of each item that an offer returns; ``None`` for the other kinds.
        since: The hook API version that brought it.
        deadline: Seconds an implementation has; ``None`` for offers, which are sync.
        field: The field of a transform's context that holds the value so far.
        result: The types of a transform's value, any of which will do.
        items: The types of the items of a transform's value, where that is a tuple.
        deprecated: Since when the hook is going away and what to use instead, as in ``"0.3: use lash_on_committed"``;
            empty for one that stays.
    """

    kind: HookKind
    item: TypeRef | None
    since: str
    deadline: float | None
    field: str = ""
    result: tuple[TypeRef, ...] = ()
    items: tuple[TypeRef, ...] = ()
    deprecated: str = ""


def offer(item: TypeRef, *, since: str, deprecated: str = "") -> Callable[[F], F]:
    """Mark a hook specification as an offer: a sync function that returns a list of ``item``."""
    return _spec(HookInfo("offer", item, since, None, deprecated=deprecated))


def observe(*, since: str, deadline: float = 5.0, deprecated: str = "") -> Callable[[F], F]:
    """Mark a hook specification as an observer: an async function that returns nothing."""
    return _spec(HookInfo("observe", None, since, deadline, deprecated=deprecated))


def transform(
    field: str,
    *,
    result: TypeRef | tuple[TypeRef, ...],
    items: TypeRef | tuple[TypeRef, ...] = (),
    since: str,
    deadline: float = 5.0,
    deprecated: str = "",
) -> Callable[[F], F]:
    """Mark a hook specification as a transform: an async function that returns what ``context.field`` becomes.

    Args:
        field: The field of the context that holds the value so far.
        result: What the value must be; several types mean any of them.
        items: What each item must be, where the value is a tuple.
        since: The hook API version that brings it.
        deadline: Seconds that each implementation has.
        deprecated: As in `HookInfo`.
    """
    return _spec(HookInfo("transform", None, since, deadline, field, _several(result), _several(items), deprecated))


def guard(*, since: str, deadline: float = 5.0, deprecated: str = "") -> Callable[[F], F]:
    """Mark a hook specification as a guard: an async function that returns a `Decision`."""
    return _spec(HookInfo("guard", None, since, deadline, deprecated=deprecated))


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


class _Method(Protocol[S_contra, C_contra, R_co]):
    """A method that takes ``context``, before it is bound."""

    def __call__(self, this: S_contra, /, context: C_contra) -> R_co: ...


def handles(spec: Callable[[C], R]) -> Callable[[_Method[S, C, R]], Callable[[S, C], R]]:
    """Mark a method of a session plugin as the handler of a hook; type checkers see what is wrong, as in `implements`.

    Example::

        class Budget:
            @handles(lash_guard_commit)
            async def small_enough(self, context: CommitProposed) -> Decision:
                return ALLOW if context.bytes < 1_000_000 else Deny("over a megabyte")
    """
    hook_info(spec)

    def mark(method: _Method[S, C, R]) -> Callable[[S, C], R]:
        setattr(method, _HANDLED, spec)
        return method

    return mark


def handled_hook(method: object) -> Callable[..., Any] | None:
    """Give the specification that `handles` marked a method with."""
    spec: Callable[..., Any] | None = getattr(method, _HANDLED, None)
    return spec


def _several(types: TypeRef | tuple[TypeRef, ...]) -> tuple[TypeRef, ...]:
    return types if isinstance(types, tuple) else (types,)


def _spec(info: HookInfo) -> Callable[[F], F]:
    def mark(function: F) -> F:
        setattr(function, _INFO, info)
        function.__doc__ = _documented(inspect.cleandoc(function.__doc__ or ""), info)
        return hookspec(function)

    return mark


def _documented(text: str, info: HookInfo) -> str:
    """Say before the example what the marker fixes, so that a reader of the docstring needs no second declaration."""
    kind = f"transform of ``context.{info.field}``" if info.field else info.kind
    deadline = f"{info.deadline:g} s" if info.deadline is not None else "none"
    fixed = f"Kind: {kind}. Deadline: {deadline}. Since: {info.since}."
    if info.deprecated:
        fixed += f" Deprecated since {info.deprecated}."
    before, example, rest = text.partition("Example::")
    return f"{before.rstrip()}\n\n{fixed}\n\n{example}{rest}".strip()
