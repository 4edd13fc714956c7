"""Hooks on what a model says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from lash_hookspecs.markers import transform

if TYPE_CHECKING:
    from lash_hookspecs.protocols.services import SessionServices
    from lash_hookspecs.records.models import ModelReply

__all__ = ["ReplyReceived", "StreamText", "lash_transform_reply", "lash_transform_stream_text"]


@attrs.frozen(kw_only=True)
class StreamText:
    """A piece of text, as a model streams it.

    Attributes:
        session: The session.
        session_id: Its id.
        text: The piece so far.
    """

    session: SessionServices
    session_id: str
    text: str


@attrs.frozen(kw_only=True)
class ReplyReceived:
    """A model's whole answer.

    Attributes:
        session: The session.
        session_id: Its id.
        model: Who was asked, as the session's configuration names it.
        reply: The answer so far.
    """

    session: SessionServices
    session_id: str
    model: str
    reply: ModelReply


@transform("text", result=str, since="0.1")
async def lash_transform_stream_text(context: StreamText) -> str:
    """Called with each piece of text before live readers get it; what is committed is the reply, not this.

    Example::

        @implements(lash_transform_stream_text)
        async def mask(context: StreamText) -> str:
            return context.text.replace("secret", "******")
    """
    raise AssertionError("a specification is never called")


@transform("reply", result="lash_hookspecs.records.models:ModelReply", since="0.1")
async def lash_transform_reply(context: ReplyReceived) -> ModelReply:
    """Called with each answer of a model before the mode sees it and before it is committed.

    Example::

        @implements(lash_transform_reply)
        async def without_reasoning(context: ReplyReceived) -> ModelReply:
            parts = tuple(part for part in context.reply.parts if part.kind != "reasoning")
            return context.reply.evolve(parts=parts)
    """
    raise AssertionError("a specification is never called")
