"""What tests of the runtime look through: a store whose commits fail on demand, a model that is told what to do."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from lash_core.stores.memory import MemoryBackend, MemorySession
from lash_hookspecs.errors import StoreUnavailable
from lash_hookspecs.markers import hookimpl
from lash_hookspecs.records.models import ModelChunk, ModelInfo, ModelReply, ModelRequest, ReplyChunk, TextChunk
from lash_hookspecs.records.payloads import Part, TextPart, ToolCallPart
from lash_hookspecs.records.store import Commit, Receipt
from lash_hookspecs.records.tools import ToolCall
from lash_hookspecs.records.usage import TokenUsage
from lash_hookspecs.specs.offers import OfferContext, ProviderOffer, lash_offer_providers

__all__ = ["Answer", "FailingBackend", "ProbeModel", "calls", "says"]


class FailingBackend(MemoryBackend):
    """A memory store in which chosen commits fail, before or after they are done.

    Attributes:
        commits: What was asked for, refused ones included.
        failing: Numbers of commits (from 1) that are refused with nothing changed.
        lost: Numbers of commits that are done, and whose answer gets lost.
        reached: Number of a commit → set when it is asked for.
        meanwhile: Awaited when a commit is done and its writer does not know yet.
    """

    def __init__(self) -> None:
        super().__init__()
        self.commits: list[Commit] = []
        self.failing: set[int] = set()
        self.lost: set[int] = set()
        self.meanwhile: Callable[[], Awaitable[Any]] | None = None
        self.reached: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)

    def session(self, session_id: str) -> FailingSession:
        return FailingSession(self, session_id)


class FailingSession(MemorySession):
    """One session of a `FailingBackend`; a commit gives way to other tasks, as a real one does."""

    def __init__(self, backend: FailingBackend, session_id: str) -> None:
        super().__init__(backend, session_id)
        self._failing = backend

    async def commit(self, commit: Commit) -> Receipt:
        self._failing.commits.append(commit)
        number = len(self._failing.commits)
        self._failing.reached[number].set()
        await asyncio.sleep(0)
        if number in self._failing.failing:
            raise StoreUnavailable(f"commit {number} was refused")
        receipt = await super().commit(commit)
        if self._failing.meanwhile is not None:
            await self._failing.meanwhile()
        if number in self._failing.lost:
            raise StoreUnavailable(f"the answer to commit {number} was lost")
        return receipt


Answer = ModelReply | BaseException | Callable[[ModelRequest], Any]


class ProbeModel:
    """The provider ``probe``: gives the answers that it was given, and keeps what it was asked.

    An answer is a reply, an exception to raise, or a function of the request that gives (or awaits) one of those.
    """

    def __init__(
        self,
        *answers: Answer,
        notice: str = "",
        reports_cost: bool = False,
        otherwise: Answer | None = None,
        attachments: tuple[str, ...] = (),
    ) -> None:
        self.answers = list(answers)
        self._otherwise = otherwise
        self.requests: list[ModelRequest] = []
        self._info = ModelInfo(
            context_window=100_000, notice=notice, reports_cost=reports_cost, attachments=attachments
        )

    async def model_info(self, model: str) -> ModelInfo:
        return self._info

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelChunk]:
        self.requests.append(request)
        answer: Any = self.answers.pop(0) if self.answers or self._otherwise is None else self._otherwise
        if callable(answer):
            answer = answer(request)
            if asyncio.iscoroutine(answer):
                answer = await answer
        if isinstance(answer, BaseException):
            yield TextChunk(text="half an ans")
            raise answer
        for part in answer.parts:
            if isinstance(part, TextPart):
                yield TextChunk(text=part.text)
        yield ReplyChunk(reply=answer)

    async def close(self) -> None:
        return None

    @hookimpl(specname=lash_offer_providers.__name__)
    def providers(self, context: OfferContext) -> list[ProviderOffer]:
        return [ProviderOffer(names=("probe",), open=lambda name: self)]


def says(text: str, **usage: Any) -> ModelReply:
    return ModelReply(parts=(TextPart(text=text),), usage=TokenUsage(**usage))


def calls(*wanted: tuple[str, dict[str, Any]] | ToolCall, text: str = "", **usage: Any) -> ModelReply:
    """A reply with tool calls; ids are ``call_0`` and so on."""
    made = [
        each if isinstance(each, ToolCall) else ToolCall(call_id=f"call_{at}", tool=each[0], arguments=each[1])
        for at, each in enumerate(wanted)
    ]
    parts: tuple[Part, ...] = tuple(ToolCallPart(call=each) for each in made)
    if text:
        parts = (TextPart(text=text), *parts)
    return ModelReply(parts=parts, usage=TokenUsage(**usage), finish_reason="tool_calls")
