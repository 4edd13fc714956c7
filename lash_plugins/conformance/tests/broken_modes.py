"""Modes that differ from a sound one by a few lines, each breaking one clause; test_broken_kinds.py runs them."""

from __future__ import annotations

import itertools
import time
from typing import Any, ClassVar

import attrs
from lash_conformance import ModeConformance
from lash_hookspecs.protocols.modes import (
    Append,
    AskModel,
    BoundaryPassed,
    Finish,
    ModelAnswered,
    ModeStep,
    PassBoundary,
    RunTools,
    ToolsFinished,
    TurnBegan,
)
from lash_hookspecs.records.payloads import Message, TextPart, ToolCallPart
from lash_hookspecs.records.prompts import PromptLayer
from lash_hookspecs.records.turn import TurnEnd

#: The name of each test class → the clause that its mode breaks; "" for none.
BREAKS: dict[str, str] = {}


def breaks(clause: str, **says: Any) -> Any:
    """Make a test class for a mode, and say which clause it breaks."""

    def register(mode: type[PlainMode]) -> type[PlainMode]:
        name = f"Test{mode.__name__}"
        BREAKS[name] = clause
        globals()[name] = type(name, (ModeConformance,), {"__module__": __name__, "build_mode": mode, **says})
        return mode

    return register


class PlainMode:
    """Asks the model, runs what it calls, counts its answers, and ends."""

    name = "plain"
    version = 2

    def step(self, state: Any, event: Any) -> ModeStep:
        match event:
            case TurnBegan(session_state=kept):
                return self.began(kept)
            case ModelAnswered(reply):
                return self.answered(state, reply)
            case ToolsFinished(results):
                return self.ran(state, results)
            case BoundaryPassed(inputs):
                return self.passed(state, inputs)
        return self.unknown(event)

    def began(self, kept: Any) -> ModeStep:
        turns = kept["turns"] + 1 if kept else 1
        return ModeStep({"asked": [1]}, (AskModel(),), {"turns": turns})

    def answered(self, state: Any, reply: Any) -> ModeStep:
        cut = reply.finish_reason == "content_filter"
        parts = tuple(part for part in reply.parts if not (cut and isinstance(part, ToolCallPart)))
        message = Message(role="assistant", parts=parts)
        if message.tool_calls:
            return ModeStep(self.more(state), (Append(message), RunTools(message.tool_calls)))
        return ModeStep(self.more(state), (Append(message), Finish(self.end(reply, message.text))))

    def more(self, state: Any) -> Any:
        return {**state, "asked": [*state["asked"], 1]}

    def end(self, reply: Any, text: str) -> TurnEnd:
        if reply.finish_reason == "length":
            return TurnEnd(outcome="stopped", text=text, reason="output_limit", message="the output limit is reached")
        return TurnEnd(outcome="finished", text=text)

    def ran(self, state: Any, results: Any) -> ModeStep:
        return ModeStep(state, (PassBoundary(),))

    def passed(self, state: Any, inputs: Any) -> ModeStep:
        return ModeStep(state, (AskModel(),))

    def unknown(self, event: Any) -> ModeStep:
        raise TypeError(f"the plain mode does not know the event {type(event).__name__}")

    def restore(self, version: int, session_state: Any) -> Any:
        return {"turns": session_state} if version == 1 else session_state


@breaks("", old_states=((1, 7), (2, {"turns": 8})))
class SoundMode(PlainMode): ...


@breaks("P11.name")
class HasANameForPeople(PlainMode):
    name = "My Mode"


@breaks("P11.shape")
class AsksForTwoThings(PlainMode):
    def ran(self, state: Any, results: Any) -> ModeStep:
        return ModeStep(state, (AskModel(), PassBoundary()))


@breaks("P11.pure")
class NumbersItsObjects(PlainMode):
    made: ClassVar = itertools.count()

    def ran(self, state: Any, results: Any) -> ModeStep:
        return ModeStep({**state, "number": next(self.made)}, (PassBoundary(),))


@breaks("P11.unchanged")
class AddsToTheStateItWasGiven(PlainMode):
    def more(self, state: Any) -> Any:
        state["asked"].append(1)
        return state


@breaks("P11.json")
class KeepsATuple(PlainMode):
    def more(self, state: Any) -> Any:
        return {**state, "asked": (*state["asked"], 1)}


@breaks("P11.json")
class KeepsAnObjectForTheNextTurn(PlainMode):
    def began(self, kept: Any) -> ModeStep:
        return ModeStep({"asked": [1]}, (AskModel(),), {"turns": {1}})  # type: ignore[dict-item]


@breaks("P11.unknown")
class AsksAgainWhateverItHears(PlainMode):
    def unknown(self, event: Any) -> ModeStep:
        return ModeStep(None, (AskModel(),))


@breaks("P11.extras")
class SaysSomethingElseEachTime(PlainMode):
    said = 0

    def prompt(self) -> PromptLayer:
        self.said += 1
        return PromptLayer().append("intro", f"This is the {self.said}th time.")


@breaks("T1.replay")
class CountsInItself(PlainMode):
    asked = 0

    def passed(self, state: Any, inputs: Any) -> ModeStep:
        self.asked += 1
        end = Finish(TurnEnd(outcome="stopped", reason="model_call_limit", message="two must do"))
        return ModeStep(state, (end if self.asked > 3 and not inputs else AskModel(),))


@breaks("T1.replay")
class KeepsWhatOutlivesATurnInItself(PlainMode):
    turns = 0

    def began(self, kept: Any) -> ModeStep:
        self.turns += 1
        said = Message(role="assistant", parts=(TextPart(text="Welcome back."),) if self.turns > 1 else ())
        return ModeStep({"asked": [1]}, (Append(said), AskModel()))


@breaks("T1.senses")
class LooksAtTheClock(PlainMode):
    def ran(self, state: Any, results: Any) -> ModeStep:
        return ModeStep(state, (PassBoundary() if time.monotonic() >= 0 else AskModel(),))


@breaks("T2.results")
class GivesUpWhenAToolFails(PlainMode):
    def ran(self, state: Any, results: Any) -> ModeStep:
        if any(result.status == "outcome_unknown" for result in results):
            end = TurnEnd(outcome="failed", reason="mode_error", message="a tool has failed")
            return ModeStep(state, (Finish(end),))
        return super().ran(state, results)


@breaks("T6.calls")
class RunsWhatNobodyRecorded(PlainMode):
    def answered(self, state: Any, reply: Any) -> ModeStep:
        step = super().answered(state, reply)
        if isinstance(step.actions[-1], RunTools):
            return attrs.evolve(step, actions=step.actions[-1:])
        return step


@breaks("T6.calls")
class RecordsCallsThatItDoesNotRun(PlainMode):
    def answered(self, state: Any, reply: Any) -> ModeStep:
        if reply.finish_reason != "content_filter":
            return super().answered(state, reply)
        message = Message(role="assistant", parts=reply.parts)
        return ModeStep(state, (Append(message), Finish(TurnEnd(outcome="finished", text=message.text))))


@breaks("T10.inputs")
class EndsOverANewMessage(PlainMode):
    def passed(self, state: Any, inputs: Any) -> ModeStep:
        if inputs:
            return ModeStep(state, (Finish(TurnEnd(outcome="finished", text="One.")),))
        return super().passed(state, inputs)


@breaks("T12.ends")
class AsksForEver(PlainMode):
    def answered(self, state: Any, reply: Any) -> ModeStep:
        if reply.finish_reason == "length":
            return ModeStep({**state, "cut": 1}, (AskModel(),))
        return ModeStep(state, (AskModel(),)) if state.get("cut") else super().answered(state, reply)


@breaks("T12.ends")
class StopsWithoutAReason(PlainMode):
    def end(self, reply: Any, text: str) -> TurnEnd:
        return TurnEnd(outcome="stopped" if reply.finish_reason == "length" else "finished", text=text)


@breaks("L5.restore", old_states=((1, {"turns": 7}),))
class ChangesWhatItRestores(PlainMode):
    def restore(self, version: int, session_state: Any) -> Any:
        session_state.setdefault("since", version)
        return session_state


@breaks("L5.restore", old_states=((1, 7),))
class RestoresItsOwnVersionOtherwise(PlainMode):
    def restore(self, version: int, session_state: Any) -> Any:
        return {"turns": 0} if isinstance(session_state, dict) else {"turns": session_state}
