"""Who answered, what, and how long it took: a record of each call of a plugin."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import attrs
from lash_hookspecs.markers import HookInfo
from lash_hookspecs.records.text import clean_text
from lash_hookspecs.specs.decisions import Deny

from lash_core.plugins.calls import Failed, Handler, ask, call
from lash_core.plugins.values import wrong_answer
from lash_core.plugins.watchdog import Watchdog

__all__ = ["Caller", "HookCall", "Outcome"]

_log = logging.getLogger("lash.plugins")

#: What became of a call. A transform ``changed`` its value or left it ``unchanged``, a guard ``allowed`` or ``denied``,
#: the others ``answered``. What is ``failed``, ``late``, ``cancelled`` or of the ``wrong_type`` is no answer.
Outcome = Literal[
    "answered", "changed", "unchanged", "allowed", "denied", "failed", "late", "cancelled", "wrong_type"
]  # fmt: skip


@attrs.frozen(kw_only=True)
class HookCall:
    """One call of a plugin.

    Attributes:
        session_id: The session that it was called for.
        hook: The hook's name; ``build()``, ``restore()``, ``snapshot()`` or ``close()`` and which session plugin's.
        plugin: The plugin's name.
        distribution: Who ships it.
        version: That distribution's version.
        milliseconds: How long it took, its waiting included.
        outcome: What became of it.
        reason: Why it denied or gave no answer, in words of the plugin's own; may quote what was said.
    """

    session_id: str
    hook: str
    plugin: str
    distribution: str
    version: str
    milliseconds: float
    outcome: Outcome
    reason: str = ""


class Caller:
    """Calls plugins for one session, and tells of each call whoever wants to know; nobody costs nothing.

    Attributes:
        session_id: The session.
        watchdog: Looks at what they do to the process.
    """

    def __init__(self, session_id: str, watchdog: Watchdog, told: Callable[[HookCall], None] | None = None) -> None:
        self.session_id = session_id
        self.watchdog = watchdog
        self._told = told

    async def ask(
        self, handlers: Sequence[Handler], context: object, deadline: float | None, info: HookInfo | None = None
    ) -> list[Any]:
        """Call implementations together; see `lash_core.plugins.calls.ask`.

        Args:
            handlers: Them.
            context: What each gets.
            deadline: Seconds that they have.
            info: What their hook's kind fixes; ``None`` for methods of a session plugin, which may answer anything.
        """
        if self._told is None:
            return await ask(handlers, context, deadline, self.watchdog)
        watches = [_Stopwatch(handler) for handler in handlers]
        answers: list[Any] = [Failed("was cancelled with the caller", outcome="cancelled")] * len(watches)
        try:
            answers = await ask([watch.started() for watch in watches], context, deadline, self.watchdog)
        finally:
            for watch, answer in zip(watches, answers, strict=True):
                self._tell(watch, info, context, answer)
        return answers

    def call(self, handler: Handler, context: object, info: HookInfo | None = None) -> Any:
        """Call a plain function; its answer, or `Failed`."""
        if self._told is None:
            return call(handler, context, self.watchdog)
        watch = _Stopwatch(handler)
        answer = call(watch.started(plain=True), context, self.watchdog)
        self._tell(watch, info, context, answer)
        return answer

    async def tell(
        self, handlers: Sequence[Handler], context: object, deadline: float | None, info: HookInfo | None = None
    ) -> None:
        """Call observers like `ask`; what goes wrong is logged."""
        for handler, answer in zip(handlers, await self.ask(handlers, context, deadline, info), strict=True):
            if isinstance(answer, Failed):
                _log.error("%s", handler.told(answer.reason), exc_info=answer.error)
            elif answer is not None:
                _log.error("%s", handler.told(wrong_answer(_NOTHING, answer)))

    def _tell(self, watch: _Stopwatch, info: HookInfo | None, context: object, answer: object) -> None:
        assert self._told is not None
        record = watch.handler.record
        try:
            outcome, reason = _judged(info, context, answer)
            self._told(
                HookCall(
                    session_id=self.session_id,
                    hook=watch.handler.hook,
                    plugin=record.name,
                    distribution=record.distribution,
                    version=record.version,
                    milliseconds=watch.milliseconds,
                    outcome=outcome,
                    reason=reason,
                )
            )
        except Exception:  # noqa: BLE001  whoever wants to know is a stranger too, and so is what is compared
            _log.exception("%s", watch.handler.told("was called, and whoever is told of it failed"))


_NOTHING = HookInfo("observe", None, "", None)


def _judged(info: HookInfo | None, context: object, answer: object) -> tuple[Outcome, str]:
    """Say what became of a call, and why."""
    if isinstance(answer, Failed):
        return answer.outcome, answer.reason
    if info is None:
        return "answered", ""
    wrong = wrong_answer(info, answer)
    if wrong:
        return "wrong_type", wrong
    if info.kind == "transform":
        before = getattr(context, info.field)
        return "unchanged" if answer is before or answer == before else "changed", ""
    if isinstance(answer, Deny):
        return "denied", clean_text(answer.reason)
    return "allowed" if info.kind == "guard" else "answered", ""


class _Stopwatch:
    """Times one call of a handler."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self._began = self._ended = 0.0

    @property
    def milliseconds(self) -> float:
        """How long it took; until now of one that goes on though it was cancelled."""
        ended = self._ended or (time.perf_counter() if self._began else 0.0)
        return round((ended - self._began) * 1_000, 3)

    def started(self, *, plain: bool = False) -> Handler:
        """Give the handler with the watch around it."""
        return attrs.evolve(self.handler, function=self._plain if plain else self._async)

    def _plain(self, context: Any) -> Any:
        self._began = time.perf_counter()
        try:
            return self.handler.function(context)
        finally:
            self._ended = time.perf_counter()

    async def _async(self, context: Any) -> Any:
        self._began = time.perf_counter()
        try:
            return await self.handler.function(context)
        finally:
            self._ended = time.perf_counter()
