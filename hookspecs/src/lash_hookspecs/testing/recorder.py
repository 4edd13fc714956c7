"""`HookRecorder`: a plugin that implements every hook and remembers each call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import attrs

from lash_hookspecs.markers import hook_info, implements
from lash_hookspecs.specs import all_specs
from lash_hookspecs.specs.decisions import ALLOW

__all__ = ["HookCall", "HookRecorder"]

C = TypeVar("C")

_Spec = Callable[[C], Any]


@attrs.frozen
class HookCall:
    """A call of a hook.

    Attributes:
        hook: The hook's name.
        context: What it was called with.
    """

    hook: str
    context: Any


class HookRecorder:
    """A plugin that implements every hook, changes nothing, and remembers each call with its context, in order.

    ::

        recorder = HookRecorder()
        manager = PluginManager.for_tests([recorder, my_plugin])
        ...  # run a turn
        assert [each.step for each in recorder.of(lash_on_committed)] == ["input", "final"]

    Observers answer nothing, guards allow, transforms give the value as it was, offers offer nothing, unless
    ``answers`` says otherwise.

    Attributes:
        calls: Every call, in order.
    """

    def __init__(self, answers: Mapping[Callable[..., Any], Any] | None = None) -> None:
        """Implement the hooks.

        Args:
            answers: By specification, what to answer instead; an exception is raised.
        """
        self.calls: list[HookCall] = []
        self._answers = {spec.__name__: answer for spec, answer in (answers or {}).items()}
        for spec in all_specs().values():
            setattr(self, spec.__name__, self._handler(spec))

    @property
    def hooks(self) -> list[str]:
        """The names of the hooks that were called, in order."""
        return [call.hook for call in self.calls]

    def of(self, spec: _Spec[C]) -> Sequence[C]:
        """Give the contexts that a hook was called with, in order."""
        return [call.context for call in self.calls if call.hook == spec.__name__]

    def last(self, spec: _Spec[C]) -> C:
        """Give the context of a hook's last call.

        Raises:
            LookupError: It was not called.
        """
        found = self.of(spec)
        if not found:
            raise LookupError(f"{spec.__name__} was not called; called were {sorted(set(self.hooks)) or 'none'}")
        return found[-1]

    def clear(self) -> None:
        """Forget the calls so far."""
        self.calls.clear()

    def _handler(self, spec: Callable[..., Any]) -> Callable[..., Any]:
        def record(context: Any) -> Any:
            self.calls.append(HookCall(spec.__name__, context))
            return self._answer(spec, context)

        async def record_async(context: Any) -> Any:
            return record(context)

        return implements(spec)(record if hook_info(spec).kind == "offer" else record_async)

    def _answer(self, spec: Callable[..., Any], context: Any) -> Any:
        if spec.__name__ in self._answers:
            answer = self._answers[spec.__name__]
            if isinstance(answer, BaseException):
                raise answer
            return answer
        info = hook_info(spec)
        plain: dict[str, Callable[[], Any]] = {
            "offer": list,
            "observe": lambda: None,
            "guard": lambda: ALLOW,
            "transform": lambda: getattr(context, info.field),
        }
        return plain[info.kind]()
