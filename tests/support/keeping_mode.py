"""A mode that keeps a number from turn to turn, for tests of what a session keeps of its mode."""

from __future__ import annotations

import types
from collections.abc import Callable

from lash_hookspecs.markers import implements
from lash_hookspecs.protocols.modes import Append, ExecutionMode, Finish, ModeInput, ModeStep, TurnBegan
from lash_hookspecs.records.payloads import Message, TextPart
from lash_hookspecs.records.turn import TurnEnd
from lash_hookspecs.specs.offers import ModeOffer, OfferContext, lash_offer_modes
from pydantic import JsonValue

__all__ = ["KeepingMode", "keeping"]


class KeepingMode:
    """The mode ``keeping``: says how many turns it has counted."""

    version = 1

    @property
    def name(self) -> str:
        return "keeping"

    def step(self, state: JsonValue, event: ModeInput) -> ModeStep:
        assert isinstance(event, TurnBegan)
        count = (event.session_state if isinstance(event.session_state, int) else 0) + 1
        text = f"turn {count}"
        answer = Message(role="assistant", parts=(TextPart(text=text),))
        return ModeStep(None, (Append(answer), Finish(TurnEnd(outcome="finished", text=text))), session_state=count)


def keeping(build: Callable[[], ExecutionMode] = KeepingMode) -> types.ModuleType:
    """Make a plugin of the mode."""

    @implements(lash_offer_modes)
    def modes(context: OfferContext) -> list[ModeOffer]:
        return [ModeOffer(name="keeping", build=build)]

    module = types.ModuleType("keeping")
    vars(module)["modes"] = modes
    return module
