"""What a type checker says of a wrong implementation.

Each wrong line carries the error that `mypy --strict` must report; where it reports none, the comment is unused, and
that is an error of its own (`make types`). Beside a wrong method it says, too, that it lost the type of ``self``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lash_hookspecs.markers import handled_hook, handles, implements
from lash_hookspecs.specs.decisions import ALLOW, Decision
from lash_hookspecs.specs.models import StreamText, lash_transform_stream_text
from lash_hookspecs.specs.offers import ModeOffer, OfferContext, lash_offer_modes
from lash_hookspecs.specs.persistence import CommitProposed, Committed, lash_guard_commit, lash_on_committed
from pydantic import BaseModel

if TYPE_CHECKING:
    from lash_hookspecs.protocols.session_plugins import SessionPlugin
    from lash_hookspecs.specs.offers import SessionSetup


@implements(lash_guard_commit)
async def right(context: CommitProposed) -> Decision:
    return ALLOW


@implements(lash_guard_commit)  # type: ignore[arg-type]  # the error under test
async def wrong_parameter(context: Committed) -> Decision:
    return ALLOW


@implements(lash_guard_commit)  # type: ignore[arg-type]  # the error under test
async def wrong_name(ctx: CommitProposed) -> Decision:
    return ALLOW


@implements(lash_guard_commit)  # type: ignore[arg-type]  # the error under test
async def wrong_result(context: CommitProposed) -> bool:
    return True


@implements(lash_guard_commit)  # type: ignore[arg-type]  # the error under test
def wrong_colour(context: CommitProposed) -> Decision:
    return ALLOW


@implements(lash_offer_modes)  # type: ignore[arg-type]  # the error under test
async def wrong_colour_of_an_offer(context: OfferContext) -> list[ModeOffer]:
    return []


class Timing(BaseModel):
    timeout: float = 5.0


def settings_are_of_the_model(context: OfferContext, setup: SessionSetup) -> float:
    return context.settings_as(Timing).timeout + setup.settings_as(Timing).timeout


def settings_are_of_no_other_type(context: OfferContext) -> str:
    return context.settings_as(Timing).timeout  # type: ignore[return-value]  # the error under test


def settings_need_a_model(context: OfferContext) -> object:
    return context.settings_as(int)  # type: ignore[type-var]  # the error under test


class Part:
    @handles(lash_guard_commit)
    async def right(self, context: CommitProposed) -> Decision:
        return ALLOW

    @handles(lash_on_committed)
    async def right_too(self, context: Committed) -> None:
        await self.right(CommitProposed(session=context.session, session_id="", step="", node_count=0, bytes=0))

    @handles(lash_guard_commit)  # type: ignore[arg-type]  # the error under test
    async def wrong_parameter(self, context: Committed) -> Decision:  # type: ignore[misc]  # the error under test
        return ALLOW

    @handles(lash_guard_commit)  # type: ignore[arg-type]  # the error under test
    async def wrong_name(self, ctx: CommitProposed) -> Decision:  # type: ignore[misc]  # the error under test
        return ALLOW

    @handles(lash_guard_commit)  # type: ignore[arg-type]  # the error under test
    async def wrong_count(self, context: CommitProposed, more: int) -> Decision:  # type: ignore[misc]  # the error under test
        return ALLOW

    @handles(lash_transform_stream_text)  # type: ignore[arg-type]  # the error under test
    async def wrong_result(self, context: StreamText) -> bytes:  # type: ignore[misc]  # the error under test
        return b""

    @handles(lash_guard_commit)  # type: ignore[arg-type]  # the error under test
    def wrong_colour(self, context: CommitProposed) -> Decision:  # type: ignore[misc]  # the error under test
        return ALLOW


class KeepsNothing(Part):
    """A part that inherits is complete without a method of its own."""


if TYPE_CHECKING:

    class Complete(SessionPlugin):
        schema_version = 2

    class Incomplete:
        schema_version = 2

    def build(setup: SessionSetup) -> SessionPlugin:
        return Complete()

    def build_wrong(setup: SessionSetup) -> SessionPlugin:
        return Incomplete()  # type: ignore[return-value]  # the error under test


def test_the_marks_are_there_at_run_time() -> None:
    assert handled_hook(Part.right) is lash_guard_commit
    assert handled_hook(Part().right) is lash_guard_commit
    assert handled_hook(right) is None


def test_only_a_specification_can_be_implemented_or_handled() -> None:
    with pytest.raises(TypeError, match="is not a Lash hook specification"):
        implements(right)
    with pytest.raises(TypeError, match="is not a Lash hook specification"):
        handles(right)
