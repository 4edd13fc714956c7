"""The hooks of one open session: who handles what, called as the kind of each hook says (P4)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
from lash_hookspecs.errors import PluginError
from lash_hookspecs.markers import HookInfo, HookKind, hook_info
from lash_hookspecs.records.text import clean_text
from lash_hookspecs.specs.decisions import Decision, Deny

from lash_core.plugins.calls import Failed, Handler, what_happened
from lash_core.plugins.hook_calls import Caller
from lash_core.plugins.part_classes import PartClasses
from lash_core.plugins.parts import PREFIX, Part, build_part, check_needs, close_parts, handlers_of, restore_parts
from lash_core.plugins.records import PluginRecord
from lash_core.plugins.values import wrong_answer

if TYPE_CHECKING:
    from lash_hookspecs.settings import SettingsTable
    from lash_hookspecs.specs.offers import SessionPluginOffer, SessionSetup

__all__ = ["Denial", "Participant", "SnapshotReport", "SessionHooks"]

_log = logging.getLogger("lash.plugins")

C = TypeVar("C")
R = TypeVar("R")


@attrs.frozen
class Denial:
    """A guard's no.

    Attributes:
        plugin: Whose, for messages.
        reason: Why; an error of the guard is one.
    """

    plugin: str
    reason: str


@attrs.frozen(kw_only=True)
class SnapshotReport:
    """What became of the plugins' snapshots; the names of components.

    Attributes:
        restored: Handed to their parts.
        fresh: Parts of which nothing was kept.
        kept: Of plugins that are not installed or make no such part; to be written back as they are.
    """

    restored: tuple[str, ...]
    fresh: tuple[str, ...]
    kept: tuple[str, ...]


@attrs.frozen(eq=False)
class Participant:
    """A plugin that takes part in every session.

    Attributes:
        record: The plugin.
        handlers: Its module-level implementations.
        offers: The parts that it makes.
        settings: What the settings say to it.
    """

    record: PluginRecord
    handlers: tuple[Handler, ...]
    offers: tuple[SessionPluginOffer, ...]
    settings: SettingsTable


class SessionHooks:
    """The handlers of one session: the plugins' functions, and the methods of the parts they made for it.

    They are called in the plugins' order, a plugin's function before the methods of its parts.
    """

    def __init__(self, handlers: Iterable[Handler], parts: Sequence[Part], caller: Caller) -> None:
        grouped: dict[str, list[Handler]] = {}
        for handler in handlers:
            grouped.setdefault(handler.hook, []).append(handler)
        self._handlers = {hook: tuple(found) for hook, found in grouped.items()}
        self._parts = tuple(parts)
        self._caller = caller
        self._restored = False

    @classmethod
    async def open(
        cls, participants: Iterable[Participant], setup: SessionSetup, classes: PartClasses, caller: Caller
    ) -> SessionHooks:
        """Let the plugins make their parts. When one cannot, those that are made already are closed.

        Raises:
            ConfigurationError: A part needs what is not there; nothing was made.
            PluginError: A part cannot be made, or breaks a rule.
        """
        participants = tuple(participants)
        for participant in participants:
            for offer in participant.offers:
                check_needs(participant.record, offer, setup)
        handlers: list[Handler] = []
        parts: list[Part] = []
        caller.watchdog.threads.opened(caller)
        try:
            for participant in participants:
                handlers += participant.handlers
                own = attrs.evolve(setup, settings=participant.settings) if participant.offers else setup
                for offer in participant.offers:
                    parts.append(build_part(participant.record, offer, own, caller))
                    handlers += handlers_of(parts[-1], classes)
        except BaseException:
            await cls(handlers, parts, caller).close()
            raise
        return cls(handlers, parts, caller)

    @property
    def components(self) -> frozenset[str]:
        """The names under which the parts' snapshots are kept; one that `snapshots` leaves out is to be dropped."""
        return frozenset(part.component for part in self._parts)

    def handles(self, spec: Callable[..., Any]) -> bool:
        """Tell whether anybody handles a hook."""
        return spec.__name__ in self._handlers

    async def notify(self, spec: Callable[[C], Coroutine[Any, Any, None]], context: C) -> None:
        """Tell every observer, together; what goes wrong is logged and goes no further."""
        info, handlers = self._find(spec, "observe")
        if handlers:
            await self._caller.tell(handlers, context, info.deadline, info)

    async def transform(
        self, spec: Callable[[C], Coroutine[Any, Any, R]], context: C, wrong: Callable[[R], str] | None = None
    ) -> R:
        """Hand a value through all transforms, each with what the one before made of it.

        Args:
            spec: The hook.
            context: Holds the value in the hook's field.
            wrong: Says what is wrong with a value of the right type, to be read after the hook's name; nothing when it
                is right. It is asked of each plugin's value, so that the plugin can be named.

        Returns:
            What the last one made of it; without any, the context's own value.

        Raises:
            PluginError: One failed, missed its deadline or returned a value of the wrong type.
        """
        info, handlers = self._find(spec, "transform")
        value: Any = getattr(context, info.field)
        for position, handler in enumerate(handlers):
            if position:
                context = attrs.evolve(context, **{info.field: value})  # type: ignore[misc]  # the field is the spec's
            (value,) = await self._caller.ask((handler,), context, info.deadline, info)
            self._check(handler, info, value, wrong)
        return value  # type: ignore[no-any-return]  # it was checked

    async def guard(self, spec: Callable[[C], Coroutine[Any, Any, Decision]], context: C) -> Denial | None:
        """Ask all guards, together; one that fails, is late or answers nonsense denies.

        Returns:
            The first denial in the plugins' order; ``None`` when all allow it.
        """
        info, handlers = self._find(spec, "guard")
        first: Denial | None = None
        if handlers:
            answers = await self._caller.ask(handlers, context, info.deadline, info)
            for handler, answer in zip(handlers, answers, strict=True):
                first = first or _denial(handler, info, answer)
        return first

    def collect(self, spec: Callable[[C], list[R]], context: C) -> list[tuple[str, R]]:
        """Gather what is offered, each item with its plugin for messages.

        Raises:
            PluginError: One failed, or returned what is no list of the right items.
        """
        info, handlers = self._find(spec, "offer")
        items: list[tuple[str, R]] = []
        for handler in handlers:
            answer = self._caller.call(handler, context, info)
            self._check(handler, info, answer)
            items += [(handler.record.label, item) for item in answer]
        return items

    def snapshots(self) -> dict[str, bytes]:
        """Give what is to be kept of the parts, by component name.

        Raises:
            PluginError: A part fails, or gives what is no JSON.
        """
        if not self._restored:
            raise RuntimeError("the plugins' snapshots were not restored yet; what is stored would be lost")
        found = ((part.component, part.snapshot(self._caller)) for part in self._parts)
        return {component: body for component, body in found if body is not None}

    async def restore(self, bodies: Mapping[str, bytes]) -> SnapshotReport:
        """Hand the parts what was kept of them; once. On a failure all are closed.

        Args:
            bodies: Component name → body. Those that belong to no part are left alone.

        Raises:
            UnreadableData: A body cannot be read.
            PluginError: A newer version of a plugin wrote it, or a part fails.
        """
        if self._restored:
            raise RuntimeError("plugins are restored once; open the session's hooks anew to go back")
        self._restored = True
        own = self.components
        try:
            kept = [
                part.read(bodies[part.component]) if part.component in bodies else (0, None) for part in self._parts
            ]
            await restore_parts(self._parts, kept, self._caller)
        except BaseException:
            await self.close()
            raise
        return SnapshotReport(
            restored=tuple(part.component for part in self._parts if part.component in bodies),
            fresh=tuple(part.component for part in self._parts if part.component not in bodies),
            kept=tuple(name for name in bodies if name.startswith(PREFIX) and name not in own),
        )

    async def close(self) -> None:
        """Close the parts; nobody handles anything after it. A second time does nothing."""
        parts, self._parts = self._parts, ()
        handlers, self._handlers = self._handlers, {}
        await close_parts(parts, self._caller)
        code = [(type(part.plugin).__module__, part.record) for part in parts]
        code += [(each.function.__module__, each.record) for found in handlers.values() for each in found]
        await self._caller.watchdog.threads.closed(self._caller, self._caller.session_id, code)

    def _find(self, spec: Callable[..., Any], kind: HookKind) -> tuple[HookInfo, Sequence[Handler]]:
        info = hook_info(spec)
        if info.kind != kind:
            raise TypeError(f"{spec.__name__} is of kind {info.kind}, not {kind}")
        return info, self._handlers.get(spec.__name__, ())

    def _check(self, handler: Handler, info: HookInfo, answer: Any, wrong: Callable[[Any], str] | None = None) -> None:
        """Hold an answer to its hook's kind, and to what its caller wants of it (P7).

        Raises:
            PluginError: It is none, or of the wrong type.
        """
        error = answer.error if isinstance(answer, Failed) else None
        told = answer.reason if isinstance(answer, Failed) else wrong_answer(info, answer)
        if not told and wrong is not None:
            try:
                told = wrong(answer)
            except Exception as cannot:  # noqa: BLE001  what is in it may be of any type
                told, error = f"answered what cannot be used: {what_happened(cannot)}", cannot
        if told:
            raise PluginError(
                handler.told(told), session_id=self._caller.session_id, plugin=handler.record.name, step=handler.hook
            ) from error


def _denial(handler: Handler, info: HookInfo, answer: object) -> Denial | None:
    told = answer.reason if isinstance(answer, Failed) else wrong_answer(info, answer)
    if told:
        error = answer.error if isinstance(answer, Failed) else None
        _log.error("%s, which denies", handler.told(told), exc_info=error)
        return Denial(handler.record.label, clean_text(f"{handler.hook} {told}"))
    return Denial(handler.record.label, clean_text(answer.reason)) if isinstance(answer, Deny) else None
