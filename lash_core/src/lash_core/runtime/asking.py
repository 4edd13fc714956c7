"""The request of a model call, and what plugins make of it and of its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

import attrs
from lash_hookspecs.errors import AttachmentUnresolved, PluginError
from lash_hookspecs.protocols.models import ModelProvider
from lash_hookspecs.protocols.modes import ModePrompt
from lash_hookspecs.records.effects import CallFailed, ModelReplied
from lash_hookspecs.records.events import Event
from lash_hookspecs.records.models import ModelMessage, ModelReply, ModelRequest
from lash_hookspecs.records.prompts import PromptLayer
from lash_hookspecs.records.turn import TurnOverrides
from lash_hookspecs.records.usage import UsageRow
from lash_hookspecs.specs.history import HistoryPrepared, lash_prepare_history
from lash_hookspecs.specs.models import ReplyReceived, StreamText, lash_transform_reply, lash_transform_stream_text
from lash_hookspecs.specs.prompts import PromptContext, lash_contribute_prompt
from pydantic import JsonValue

from lash_core.graph.conversation import invalid_messages
from lash_core.prompts.rendering import Prompt
from lash_core.prompts.sources import PromptSources
from lash_core.runtime.model_call import call_model, clean_reply
from lash_core.runtime.policy import SessionPolicy
from lash_core.tracing import SessionTracer

if TYPE_CHECKING:
    from lash_core.runtime.opened import OpenSession

__all__ = ["Asked", "ask_model"]

_NOTHING = PromptLayer()


@attrs.frozen(kw_only=True)
class Asked:
    """What a turn asks its model with.

    Attributes:
        provider: Who is asked.
        policy: The session's policy with the turn's overrides over it.
        turn_id: The turn.
        turn_index: Its number, from 1.
        overrides: The turn's own.
    """

    provider: ModelProvider
    policy: SessionPolicy
    turn_id: str
    turn_index: int
    overrides: TurnOverrides | None = None

    @property
    def settings(self) -> Mapping[str, JsonValue]:
        """What is passed to the provider."""
        own = self.overrides.model_settings if self.overrides else None
        return {**self.policy.config.model_settings, **(own or {})}


async def ask_model(
    session: OpenSession,
    asked: Asked,
    key: str,
    *,
    tools: bool,
    emit: Callable[[Event], None],
    tracer: SessionTracer,
) -> ModelReplied | CallFailed:
    """Ask the model for the next step of a turn; whatever goes wrong is an answer that ends the turn, typed."""
    try:
        request, prompt = await _request(session, asked, key, tools)
        tracer.prompt_built(request, {section.slot: len(section.text) for section in prompt.sections})
        answer = await call_model(asked.provider, request, session.env, emit, tracer, _hearing(session))
        if isinstance(answer, CallFailed):
            return answer
        return ModelReplied(reply=await _paid_for(session, asked, answer.reply))
    except PluginError as error:
        return CallFailed(message=error.message, error_kind="plugin")
    except AttachmentUnresolved as error:
        return CallFailed(message=error.message, error_kind="attachment_unresolved")


async def _request(session: OpenSession, asked: Asked, key: str, tools: bool) -> tuple[ModelRequest, Prompt]:
    config = asked.policy.config
    conversation = session.resident.conversation
    shown = await session.parts.tools.showcase() if tools else ()
    prompt = _prompt(session, asked, frozenset(spec.name for spec in shown))
    messages = await _prepared(session, asked, conversation.provider_messages())
    request = ModelRequest(
        model=config.model.partition(":")[2],
        instructions="\n\n".join(text for text in (prompt.text, *conversation.system) if text),
        messages=await session.files.resolve(messages, asked.policy.model_info.attachments),
        tools=shown,
        settings=dict(asked.settings),
        session_id=session.session_id,
        call_key=key,
    )
    return request, prompt


def _prompt(session: OpenSession, asked: Asked, tools: frozenset[str]) -> Prompt:
    context = PromptContext(
        session=session.services,
        session_id=session.session_id,
        mode=session.parts.mode.name,
        turn_index=asked.turn_index,
        tools=tools,
    )
    contributed = session.parts.hooks.collect(lash_contribute_prompt, context)
    mode = session.parts.mode
    sources = PromptSources(
        mode=mode.prompt() if isinstance(mode, ModePrompt) else _NOTHING,
        plugins=tuple(item for _, item in contributed),
        environment=session.env.prompt,
        instructions=asked.policy.config.instructions,
        session=asked.policy.prompt,
        turn=(asked.overrides.prompt if asked.overrides else None) or _NOTHING,
    )
    return session.prompts.build(sources, tools)


async def _prepared(session: OpenSession, asked: Asked, messages: tuple[ModelMessage, ...]) -> tuple[ModelMessage, ...]:
    hooks = session.parts.hooks
    if not hooks.handles(lash_prepare_history):
        return messages
    asked.policy.warn_if_assumed()
    context = HistoryPrepared(
        session=session.services,
        session_id=session.session_id,
        turn_id=asked.turn_id,
        context_window=asked.policy.context_window,
        messages=messages,
    )
    return await hooks.transform(lash_prepare_history, context, _wrong_history)


def _wrong_history(messages: tuple[ModelMessage, ...]) -> str:
    problem = invalid_messages(messages) if messages else "there is no message"
    return f"gave a history that is refused: {problem}" if problem else ""


async def _paid_for(session: OpenSession, asked: Asked, reply: ModelReply) -> ModelReply:
    """Let plugins change an answer; the usage of one that they cannot take is filed all the same (T8)."""
    try:
        return await _received(session, asked, reply)
    except PluginError:
        session.waiting.file(UsageRow(source="turn", model=asked.policy.config.model, usage=reply.usage, calls=1))
        raise


async def _received(session: OpenSession, asked: Asked, reply: ModelReply) -> ModelReply:
    hooks = session.parts.hooks
    if not hooks.handles(lash_transform_reply):
        return reply
    context = ReplyReceived(
        session=session.services, session_id=session.session_id, model=asked.policy.config.model, reply=reply
    )
    changed: ModelReply = await hooks.transform(lash_transform_reply, context)
    return clean_reply(changed.evolve(usage=reply.usage))  # what was paid is what the provider says


def _hearing(session: OpenSession) -> Callable[[str], Awaitable[str]] | None:
    """Give what plugins do to streamed text; ``None`` where none does anything."""
    hooks = session.parts.hooks
    if not hooks.handles(lash_transform_stream_text):
        return None

    async def heard(text: str) -> str:
        piece = StreamText(session=session.services, session_id=session.session_id, text=text)
        changed: str = await hooks.transform(lash_transform_stream_text, piece)
        return changed

    return heard
