"""Turns on a session that another process works on at the same time, without leases; see `race_worker`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from lash_basics import mode_plugin
from lash_core.builtins import BUILTINS
from lash_core.plugins.manager import PluginManager
from lash_core.runtime.environment import RuntimeEnvironment
from lash_core.runtime.policy import SessionSpec
from lash_core.runtime.runtime import LashRuntime
from lash_hookspecs.errors import ConflictBranched, HeadRevisionConflict, SessionError, TurnError
from lash_hookspecs.markers import implements
from lash_hookspecs.protocols.stores import SessionStore
from lash_hookspecs.records.models import ModelChunk, ModelInfo, ModelReply, ModelRequest, ReplyChunk
from lash_hookspecs.records.payloads import TextPart
from lash_hookspecs.records.turn import TurnInput, TurnLimits
from lash_hookspecs.records.usage import TokenUsage
from lash_hookspecs.specs.offers import OfferContext, ProviderOffer, lash_offer_providers


class Leaseless:
    """A session store of level ``core`` alone: whatever would say who works on a session is out of sight."""

    def __init__(self, store: SessionStore) -> None:
        for name in (
            "head", "commit", "path", "nodes", "graph", "put_blobs", "get_blobs", "records", "append", "read", "trim",
            "delete",
        ):  # fmt: skip
            setattr(self, name, getattr(store, name))


class Numbered:
    """The provider ``numbered``: every answer is another one, and is paid for."""

    def __init__(self, name: str, store: SessionStore) -> None:
        self.name, self.paid = name, 0
        self._store = store

    async def model_info(self, model: str) -> ModelInfo:
        return ModelInfo(context_window=100_000)

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelChunk]:
        self.paid += 1
        await self._let_the_other_commit()
        text = f"{self.name} answers {self.paid}"
        yield ReplyChunk(reply=ModelReply(parts=(TextPart(text=text),), usage=TokenUsage(input_tokens=1)))

    async def _let_the_other_commit(self) -> None:
        """Take long enough for it: some answers a few looks, every fifth until there is another head."""
        begun = await self._store.head()
        for _ in range(200 if self.paid % 5 == 0 else self.paid * 7 % 23):
            if await self._store.head() != begun and self.paid % 5 == 0:
                return

    async def close(self) -> None:
        return None


async def turns(session: SessionStore, attempts: int, name: str, say: Callable[..., None]) -> None:
    """Run turns with ``on_conflict="branch"``; every answer is on the path or on a branch that is told."""
    model = Numbered(name, session)

    @implements(lash_offer_providers)
    def providers(context: OfferContext) -> list[ProviderOffer]:
        return [ProviderOffer(names=("numbered",), open=lambda asked: model)]

    class Plugin:
        lash_offer_providers = staticmethod(providers)

    env = RuntimeEnvironment(plugins=PluginManager.for_tests((*BUILTINS, mode_plugin, Plugin)), tool_sets=())
    store: Any = Leaseless(session)
    runtime = await LashRuntime.from_environment(
        env, SessionSpec(session_id="contested", model="numbered"), store=store
    )
    for number in range(attempts):
        before = model.paid
        try:
            result = await runtime.turn(TurnInput(text=f"{name} {number}"), TurnLimits(), on_conflict="branch")
        except ConflictBranched as kept:
            say(outcome="branched", leaf=kept.leaf, paid=model.paid - before, last=model.paid)
        except (HeadRevisionConflict, TurnError, SessionError) as refused:
            say(outcome="refused", code=refused.code, paid=model.paid - before, last=model.paid)
        else:
            say(outcome=result.outcome, text=result.text, paid=model.paid - before, last=model.paid)
    await runtime.close()
