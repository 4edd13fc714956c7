"""A model call outside the conversation (T8)."""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING

from lash_hookspecs.errors import LashError, ModelError, SessionBusy
from lash_hookspecs.records.effects import CallFailed
from lash_hookspecs.records.models import ModelReply, ModelRequest
from lash_hookspecs.records.sessions import CompletionRequest
from lash_hookspecs.records.usage import UsageRow

from lash_core.runtime.model_call import call_model
from lash_core.runtime.resident import Change

if TYPE_CHECKING:
    from lash_core.runtime.opened import OpenSession

__all__ = ["complete"]

_log = logging.getLogger("lash.runtime")


async def complete(session: OpenSession, request: CompletionRequest) -> ModelReply:
    """Ask a model; its usage goes into the session's ledger, with the turn that runs or by a commit of its own.

    A commit that fails does not take the answer away: it is logged, and the usage rides the next commit (T7).

    Raises:
        UnknownName, ConfigurationError: The model cannot be used.
        AttachmentUnresolved: A file that the model takes cannot be read.
        ModelError: The call failed for good.
    """
    model = request.model or session.config.model
    name, _, rest = model.partition(":")
    provider = session.env.providers.get(name)
    info = await provider.model_info(rest)
    asked = ModelRequest(
        model=rest,
        instructions=request.instructions,
        messages=await session.files.resolve(request.messages, info.attachments),
        settings=request.settings,
        session_id=session.session_id,
        call_key=f"{request.source}-{secrets.token_hex(8)}",
    )
    answer = await call_model(provider, asked, session.env, lambda event: None, session.resident.tracer)
    if isinstance(answer, CallFailed):
        raise ModelError(answer.message, kind=answer.error_kind)
    session.waiting.file(UsageRow(source=request.source, model=model, usage=answer.reply.usage, calls=1))
    if not session.slot.taken and session.resident.head is not None:
        try:
            async with session.writing():
                await session.commit(Change(step="completion", document=session.document))
        except SessionBusy:
            pass
        except LashError as error:  # the answer is there and paid for
            _log.warning("usage of session %s waits for its next commit: %s", session.session_id, error)
    return answer.reply
