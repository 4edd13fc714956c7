"""A plugin written against hook API 0.1: offers of each kind, and a hook of each kind as a function and as a method."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from lash_hookspecs import FunctionTools, handles, implements, tool
from lash_hookspecs.protocols.session_plugins import SessionPlugin
from lash_hookspecs.records.prompts import PromptContribution
from lash_hookspecs.specs.actions import ActionContext, PluginAction, lash_offer_actions
from lash_hookspecs.specs.decisions import ALLOW, Decision, Deny
from lash_hookspecs.specs.events import TurnCommitted, lash_on_turn_committed
from lash_hookspecs.specs.offers import (
    CommandOffer,
    CommandSetup,
    HostOffer,
    ModeOffer,
    OfferContext,
    ProviderOffer,
    SessionPluginOffer,
    StoreOffer,
    ToolOffer,
    lash_offer_commands,
    lash_offer_hosts,
    lash_offer_modes,
    lash_offer_providers,
    lash_offer_session_plugins,
    lash_offer_stores,
    lash_offer_tools,
)
from lash_hookspecs.specs.persistence import CommitProposed, Committed, lash_guard_commit, lash_on_committed
from lash_hookspecs.specs.prompts import PromptContext, lash_contribute_prompt
from lash_hookspecs.specs.tools import BeforeToolCall, ToolCallPlan, lash_before_tool_call
from lash_hookspecs.specs.turns import TurnAdditions, TurnEnds, TurnProposed, lash_after_turn, lash_guard_turn
from pydantic import BaseModel, JsonValue

from .host import FrozenHost
from .mode import FrozenMode
from .provider import FrozenProvider
from .store import open_store

if TYPE_CHECKING:
    import click

#: What the observers were told, for whoever looks.
TOLD: list[str] = []


@tool(kind="read_only")
async def double(number: int) -> int:
    """Double a number.

    Args:
        number: Which one.
    """
    return 2 * number


class Raise(BaseModel):
    """The request of the action."""

    by: int


class Quota(SessionPlugin):
    """Counts the commits of a session and allows so many."""

    schema_version = 2

    def __init__(self) -> None:
        self.commits = 0
        self.limit = 100

    def snapshot(self) -> JsonValue:
        """Keep both."""
        return {"commits": self.commits, "limit": self.limit}

    async def restore(self, schema_version: int, snapshot: JsonValue) -> None:
        """Take both up."""
        if schema_version == 2 and isinstance(snapshot, dict):
            self.commits = int(str(snapshot["commits"]))
            self.limit = int(str(snapshot["limit"]))

    @handles(lash_offer_actions)
    def actions(self, context: ActionContext) -> list[PluginAction]:
        """Let an app raise the limit."""

        async def run(request: Raise) -> int:
            self.limit += request.by
            return self.limit

        return [PluginAction(name="frozen.raise", arguments=Raise, run=run, result=int)]

    @handles(lash_guard_commit)
    async def some_are_left(self, context: CommitProposed) -> Decision:
        """Deny what is over the limit."""
        return ALLOW if self.commits < self.limit else Deny("no commits are left")

    @handles(lash_on_committed)
    async def count(self, context: Committed) -> None:
        """Count."""
        self.commits += 1

    @handles(lash_after_turn)
    async def add_nothing(self, context: TurnEnds) -> TurnAdditions:
        """Leave a turn's end as it is."""
        return context.additions


@implements(lash_offer_stores)
def stores(context: OfferContext) -> list[StoreOffer]:
    """Offer ``frozen:``."""
    return [StoreOffer(schemes=("frozen",), open=open_store)]


@implements(lash_offer_modes)
def modes(context: OfferContext) -> list[ModeOffer]:
    """Offer the mode."""
    return [ModeOffer(name="frozen", build=FrozenMode)]


@implements(lash_offer_providers)
def providers(context: OfferContext) -> list[ProviderOffer]:
    """Offer the model."""
    return [ProviderOffer(names=("frozen",), open=lambda name: FrozenProvider())]


@implements(lash_offer_tools)
def tools(context: OfferContext) -> list[ToolOffer]:
    """Offer the tools."""
    return [ToolOffer(name="frozen", build=lambda setup: FunctionTools([double]))]


@implements(lash_offer_hosts)
def hosts(context: OfferContext) -> list[HostOffer]:
    """Offer the host."""
    return [HostOffer(name="frozen", build=FrozenHost)]


def build_command(setup: CommandSetup) -> click.Command:
    """Make the command."""
    import click

    return click.Command("frozen", callback=lambda: click.echo(f"frozen at {setup.store}"))


@implements(lash_offer_commands)
def commands(context: OfferContext) -> list[CommandOffer]:
    """Offer ``lash frozen``."""
    return [CommandOffer(name="frozen", build=build_command)]


@implements(lash_offer_session_plugins)
def session_plugins(context: OfferContext) -> list[SessionPluginOffer]:
    """Offer the part."""
    return [SessionPluginOffer(name="quota", build=lambda setup: Quota())]


@implements(lash_contribute_prompt)
def prompt(context: PromptContext) -> list[PromptContribution]:
    """Add to the guidance."""
    return [PromptContribution(slot="guidance", content="Double what you are given.")]


@implements(lash_guard_turn)
async def office_hours(context: TurnProposed) -> Decision:
    """Deny a turn that says so."""
    return Deny("it is closed") if context.input.text == "closed" else ALLOW


@implements(lash_before_tool_call)
async def one_more(context: BeforeToolCall) -> ToolCallPlan:
    """Add one to the number that is doubled."""
    call = context.plan.call
    if call.tool != "double" or not isinstance(call.arguments, dict):
        return context.plan
    number = int(str(call.arguments["number"])) + 1
    return attrs.evolve(context.plan, call=call.evolve(arguments={"number": number}))


@implements(lash_on_turn_committed)
async def told(context: TurnCommitted) -> None:
    """Remember the turn."""
    TOLD.append(f"{context.session_id} {context.result.outcome} at {context.receipt.revision}")
