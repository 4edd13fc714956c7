"""A mode that ends a turn without a model, for tests that need thousands of turns."""

from __future__ import annotations

from lash_hookspecs.markers import implements
from lash_hookspecs.protocols.modes import Append, ExecutionMode, Finish, ModeInput, ModeStep, TurnBegan
from lash_hookspecs.records.payloads import Message, TextPart
from lash_hookspecs.records.turn import TurnEnd
from lash_hookspecs.specs.offers import ModeOffer, OfferContext, lash_offer_modes
from pydantic import JsonValue

__all__ = ["EchoMode", "modes"]


class EchoMode:
    """The mode ``echo``: answers what was said."""

    @property
    def name(self) -> str:
        return "echo"

    @property
    def version(self) -> int:
        return 1

    def step(self, state: JsonValue, event: ModeInput) -> ModeStep:
        assert isinstance(event, TurnBegan)
        text = f"You said {event.input.text!r}."
        answer = Message(role="assistant", parts=(TextPart(text=text),))
        return ModeStep(None, (Append(answer), Finish(TurnEnd(outcome="finished", text=text))))


@implements(lash_offer_modes)
def modes(context: OfferContext) -> list[ModeOffer]:
    def build() -> ExecutionMode:
        return EchoMode()

    return [ModeOffer(name="echo", build=build)]
