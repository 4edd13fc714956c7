"""`ModeConformance`: what holds of an execution mode, a pure step (P11)."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import attrs
import pytest
from lash_conformance.clauses import Clause, Clauses, needs
from lash_conformance.scripts import SCRIPTS, Script, Taken, lead
from lash_conformance.senses import seen_by
from lash_conformance.subject import Suite
from lash_conformance.values import check_json, check_schema, through_json
from lash_hookspecs.errors import LashError
from lash_hookspecs.protocols.modes import (
    Append,
    AskModel,
    BoundaryPassed,
    ExecutionMode,
    Finish,
    Keep,
    ModePrompt,
    ModeStep,
    ModeTools,
    PassBoundary,
    RestorableMode,
    RunTools,
)
from lash_hookspecs.records.payloads import Message, ModeEvent
from lash_hookspecs.records.prompts import PromptLayer
from lash_hookspecs.records.turn import TurnEnd, TurnInput
from pydantic import JsonValue

__all__ = ["ModeConformance"]


class ModeConformance(Clauses, Suite, level="core", about="mode"):
    """Every clause of the contract that can be proved at an execution mode, as tests.

    Derive from it, in a test module, and say how the mode is made::

        class TestMyMode(ModeConformance):
            build_mode = staticmethod(MyMode)

    Attributes:
        build_mode: ``() -> ExecutionMode``, as a `ModeOffer` has it.
        scripts: What the mode is led through besides `lash_conformance.scripts.SCRIPTS`: replies that only this mode
            makes something of, such as code.
        options: The mode options that each turn is given.
        old_states: Session states as older versions stored them, each with its version.
    """

    build_mode: ClassVar[Callable[..., ExecutionMode]]
    scripts: ClassVar[Sequence[Script]] = ()
    options: ClassVar[Mapping[str, JsonValue]] = {}
    old_states: ClassVar[Sequence[tuple[int, JsonValue]]] = ()
    lash_kind = "mode"
    lash_requires = ("build_mode",)

    @classmethod
    def lash_not_run(cls, clause: Clause) -> str | None:
        """Say why a test of a clause is left out for this mode."""
        if "old_states" in clause.needs and not cls.old_states:
            can = isinstance(cls.build_mode(), RestorableMode)
            return "not run: no old_states" if can else "does not apply: the mode has no restore()"
        if "extras" in clause.needs and not isinstance(cls.build_mode(), ModeTools | ModePrompt):
            return "does not apply: the mode has neither tools() nor prompt()"
        return None

    @pytest.fixture
    def all_scripts(self) -> tuple[Script, ...]:
        """The kit's turns and the author's."""
        return (*SCRIPTS, *self.scripts)

    def test_P11_name__it_has_a_name_and_a_version_that_stay(self) -> None:
        one, other = type(self).build_mode(), type(self).build_mode()
        assert isinstance(one, ExecutionMode), f"{one!r} has not what an ExecutionMode has: name, version, step()"
        assert re.fullmatch(r"[a-z][a-z0-9_-]{0,63}", one.name), f"{one.name!r} is no name for the command line"
        assert type(one.version) is int, f"the version must be a number, not {one.version!r}"
        assert one.version >= 1
        assert (one.name, one.version) == (other.name, other.version), "each object says something else"

    def test_P11_shape__each_step_appends_and_then_asks_for_one_thing(self, all_scripts: tuple[Script, ...]) -> None:
        for script in all_scripts:
            for each in self._led(script):
                *before, last = each.step.actions
                assert isinstance(last, AskModel | RunTools | PassBoundary | Finish), f"{script.name}: {last!r}"
                for action in before:
                    assert isinstance(action, Append), f"{script.name}: {action!r} stands before {last!r}"
                    assert isinstance(action.payload, Message | ModeEvent), f"{script.name}: {action.payload!r}"
                if isinstance(last, RunTools):
                    assert last.calls, f"{script.name}: RunTools without a call"

    def test_P11_pure__two_objects_take_the_same_step(self, all_scripts: tuple[Script, ...]) -> None:
        for script in all_scripts:
            for each in self._led(script):
                again = type(self).build_mode().step(copy.deepcopy(each.state), copy.deepcopy(each.event))
                assert again == each.step, f"{script.name}: another step is taken for {each.event!r}"

    def test_P11_unchanged__state_and_event_are_left_as_they_were(self, all_scripts: tuple[Script, ...]) -> None:
        for script in all_scripts:
            for each in self._led(script):
                state, event = copy.deepcopy(each.state), copy.deepcopy(each.event)
                type(self).build_mode().step(state, event)
                assert state == each.state, f"{script.name}: step() has changed the state that it was given"
                assert event == each.event, f"{script.name}: step() has changed the event that it was given"

    def test_P11_json__each_state_is_json(self, all_scripts: tuple[Script, ...]) -> None:
        for script in all_scripts:
            for each in self._led(script):
                check_json(each.step.state, f"{script.name}: the state")
                if not isinstance(each.step.session_state, Keep):
                    check_json(each.step.session_state, f"{script.name}: the session state")

    def test_P11_unknown__an_event_of_a_later_version_is_refused(self) -> None:
        for state in (None, *(each.step.state for each in self._led(SCRIPTS[1]))):
            with pytest.raises((TypeError, LashError)):
                type(self).build_mode().step(copy.deepcopy(state), _EventOfALaterVersion())  # type: ignore[arg-type]

    @needs("extras")
    def test_P11_extras__tools_and_prompt_are_the_same_each_time(self) -> None:
        one, other = type(self).build_mode(), type(self).build_mode()
        if isinstance(one, ModeTools) and isinstance(other, ModeTools):
            specs = list(one.tools().specs())
            assert specs == list(other.tools().specs()), "two objects have other tools"
            for spec in specs:
                check_schema(spec)
        if isinstance(one, ModePrompt) and isinstance(other, ModePrompt):
            layer = one.prompt()
            assert isinstance(layer, PromptLayer)
            assert layer == one.prompt() == other.prompt(), "each call gives another layer: a provider's cache misses"

    def test_T1_replay__another_object_goes_on_from_any_state(self, all_scripts: tuple[Script, ...]) -> None:
        for script in all_scripts:
            mode = type(self).build_mode()
            whole = self._lead(script, lambda mode=mode: mode, must_end=False)  # type: ignore[misc]  # bound early
            for known in range(1, len(whole)):
                rest = self._lead(script, type(self).build_mode, taken=whole[:known], must_end=False)
                assert [each.step.actions for each in rest] == [each.step.actions for each in whole], (
                    f"{script.name}: a new object that goes on after {known} steps does something else: "
                    "what a step needs must be in its state"
                )

    def test_T1_replay__states_go_on_after_a_trip_through_json(self, all_scripts: tuple[Script, ...]) -> None:
        for script in all_scripts:
            whole = self._led(script)
            stored = self._lead(script, type(self).build_mode, through=through_json, must_end=False)
            assert [each.step.actions for each in stored] == [each.step.actions for each in whole], script.name

    def test_T1_replay__another_object_begins_the_next_turn(self, all_scripts: tuple[Script, ...]) -> None:
        for script in all_scripts:
            mode = type(self).build_mode()
            kept = _session_state(self._lead(script, lambda mode=mode: mode, must_end=False))  # type: ignore[misc]
            same = self._lead(script, lambda mode=mode: mode, session_state=kept, must_end=False)  # type: ignore[misc]
            other = self._lead(script, type(self).build_mode, session_state=through_json(kept), must_end=False)
            assert [each.step.actions for each in other] == [each.step.actions for each in same], (
                f"{script.name}: a new object begins the next turn otherwise: "
                "what outlives a turn must be in its session state"
            )

    def test_T1_senses__no_step_asks_the_clock_chance_or_the_disk(self, all_scripts: tuple[Script, ...]) -> None:
        for script in all_scripts:
            whole = self._led(script)  # and whatever is imported late is imported now
            mode = type(self).build_mode()
            seen = seen_by(lambda mode=mode, whole=whole: _again(mode, whole))  # type: ignore[misc]
            assert not seen, f"{script.name}: a step asks {seen[0]}"

    @pytest.mark.parametrize("status", ["error", "cancelled", "interrupted", "outcome_unknown"])
    def test_T2_results__whatever_became_of_a_call_the_turn_goes_on(self, status: str) -> None:
        (script,) = [each for each in SCRIPTS if each.statuses == (status,)]
        last = self._led(script)[-1].step.actions[-1]
        failed = isinstance(last, Finish) and last.end.outcome == "failed"
        assert not failed, f"one call that ended as {status} fails the whole turn: {last}"

    def test_T6_calls__what_is_recorded_is_run(self, all_scripts: tuple[Script, ...]) -> None:
        for script in all_scripts:
            for each in self._led(script):
                said = [call for action in each.step.actions[:-1] for call in _calls(action)]
                last = each.step.actions[-1]
                if isinstance(last, RunTools) and last.recorded:
                    assert list(last.calls) == said, f"{script.name}: runs others than the message holds"
                elif isinstance(last, RunTools):
                    assert not said, f"{script.name}: says recorded=False, and the message holds {said}"
                else:
                    assert not said, f"{script.name}: {said[0].tool!r} is recorded, and no result will answer it"

    def test_T10_inputs__a_message_at_a_boundary_is_taken_in(self, all_scripts: tuple[Script, ...]) -> None:
        for script in all_scripts:
            for each in self._led(script):
                if isinstance(each.step.actions[-1], PassBoundary):
                    event = BoundaryPassed((TurnInput(text="And two?"), TurnInput(text="And three?")))
                    then = type(self).build_mode().step(copy.deepcopy(each.step.state), event)
                    assert not isinstance(then.actions[-1], Finish), f"{script.name}: the turn ends over a new message"

    def test_T12_ends__each_turn_ends_and_says_why(self, all_scripts: tuple[Script, ...]) -> None:
        for script in all_scripts:
            taken = self._lead(script, type(self).build_mode)
            last = taken[-1].step.actions[-1]
            assert isinstance(last, Finish)
            end = last.end
            assert isinstance(end, TurnEnd), f"{script.name}: {end!r} is no TurnEnd"
            assert end.outcome in ("finished", "stopped", "failed"), f"{script.name}: {end.outcome!r} is not a mode's"
            if end.outcome != "finished":
                assert end.reason, f"{script.name}: {end.outcome} without a reason"
                assert end.message, f"{script.name}: {end.outcome} without a message for people"

    @needs("old_states")
    def test_L5_restore__an_older_session_state_is_brought_up(self) -> None:
        for version, stored in self._states():
            mode = type(self).build_mode()
            assert isinstance(mode, RestorableMode), "the mode has no restore()"
            given = copy.deepcopy(stored)
            restored = mode.restore(version, given)
            assert given == stored, f"restore() has changed the state of version {version} that it was given"
            check_json(restored, f"what restore() gives of version {version}")
            again = type(self).build_mode()
            assert isinstance(again, RestorableMode)
            assert again.restore(version, copy.deepcopy(stored)) == restored, "restore() gives something else each time"
            assert again.restore(mode.version, copy.deepcopy(restored)) == restored, (
                "a state of this version is asked for too, and must come back as it is"
            )
            self._lead(SCRIPTS[0], type(self).build_mode, session_state=restored)

    def _states(self) -> list[tuple[int, JsonValue]]:
        version = type(self).build_mode().version
        assert all(1 <= each <= version for each, _stored in self.old_states), f"old_states above version {version}"
        return list(self.old_states)

    def _led(self, script: Script) -> list[Taken]:
        """Lead an object for each step through a turn; enough steps of one that never ends."""
        return self._lead(script, type(self).build_mode, must_end=False)

    def _lead(
        self, script: Script, mode: Callable[[], ExecutionMode], *, must_end: bool = True, **options: Any
    ) -> list[Taken]:
        return lead(mode, script, options=self.options, must_end=must_end, **options)


@attrs.frozen
class _EventOfALaterVersion:
    """What no mode knows."""

    note: str = "from a later version"


def _calls(action: object) -> Sequence[Any]:
    payload = action.payload if isinstance(action, Append) else None
    return payload.tool_calls if isinstance(payload, Message) else ()


def _session_state(taken: Sequence[Taken]) -> JsonValue:
    """Give what a turn leaves for the next one."""
    kept: JsonValue = None
    for each in taken:
        if not isinstance(each.step.session_state, Keep):
            kept = each.step.session_state
    return kept


def _again(mode: ExecutionMode, taken: Sequence[Taken]) -> list[ModeStep]:
    return [mode.step(each.state, each.event) for each in taken]
