"""Requests of Lash as messages of pydantic-ai, and its responses as replies."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import attrs
from lash_hookspecs.errors import ModelError, redact_url
from lash_hookspecs.records.attachments import AttachmentData, is_text
from lash_hookspecs.records.models import AssistantTurn, FinishReason, ModelReply, ModelRequest, ToolTurn, UserTurn
from lash_hookspecs.records.payloads import Part, ReasoningPart, ToolCallPart
from lash_hookspecs.records.payloads import TextPart as LashText
from lash_hookspecs.records.text import clean_text
from lash_hookspecs.records.tools import ToolCall, ToolResult
from lash_hookspecs.records.usage import TokenUsage
from pydantic import JsonValue
from pydantic_ai import messages as library
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.usage import RequestUsage
from pydantic_core import to_jsonable_python

__all__ = ["Origin", "messages_of", "parameters_of", "reply_of"]

_FINISH: dict[str | None, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
    "tool_call": "tool_calls",
}

#: What the model reads where a call that did not end well has no output of its own.
_SILENT = {
    "error": "the tool failed",
    "cancelled": "the call was cancelled",
    "interrupted": "the call was interrupted before it began",
    "outcome_unknown": "the call was interrupted; whether it had an effect is unknown",
}


@attrs.frozen
class Origin:
    """Who is asked: what a service signs goes back to the same one only.

    Attributes:
        service: The library's name of the service and its API, such as ``openai-responses``.
        provider: The name that the library puts on what the service returned.
        url: The service's address, without secrets.
    """

    service: str
    provider: str
    url: str | None

    @classmethod
    def of(cls, model: Model, service: str) -> Origin:
        """Tell it of a model."""
        url = model.base_url
        return cls(service, model.system, redact_url(str(url)) if url else None)


def parameters_of(request: ModelRequest) -> ModelRequestParameters:
    """Give the tools and the instructions of a request."""
    tools = [
        ToolDefinition(
            name=tool.name,
            description=tool.description or None,
            parameters_json_schema=tool.input_schema or {"type": "object", "properties": {}},
        )
        for tool in request.tools
    ]
    instructions = [library.InstructionPart(content=request.instructions)] if request.instructions else None
    return ModelRequestParameters(function_tools=tools, instruction_parts=instructions)


def messages_of(request: ModelRequest, origin: Origin) -> list[library.ModelMessage]:
    """Give the conversation of a request: what comes between two answers of the model is one message."""
    messages: list[library.ModelMessage] = []
    waiting: list[library.ModelRequestPart] = []
    for turn in request.messages:
        if isinstance(turn, UserTurn):
            waiting.append(library.UserPromptPart(content=_user_content(turn)))
        elif isinstance(turn, ToolTurn):
            waiting.extend(_tool_return(result, turn.files_of(result)) for result in turn.results)
        else:
            response = _response(turn, origin)
            if response is not None:
                messages += [library.ModelRequest(parts=waiting)] if waiting else []
                messages.append(response)
                waiting = []
    if waiting or not messages:
        messages.append(library.ModelRequest(parts=waiting))
    return messages


def _user_content(turn: UserTurn) -> str | list[library.UserContent]:
    files = [_file(file) for file in turn.attachments if file.data is not None]
    if not files:
        return turn.text
    return [*([turn.text] if turn.text else []), *files]


def _file(file: AttachmentData) -> str | library.BinaryContent:
    """Give a file as its service takes it; text is text everywhere."""
    ref, data = file.ref, file.data or b""
    if is_text(ref.media_type):
        return f"[attachment {ref.describe()}]\n{data.decode('utf-8', 'replace')}"
    return library.BinaryContent(data, media_type=ref.media_type, identifier=ref.name or ref.id[:12])


def _tool_return(result: ToolResult, files: Sequence[AttachmentData] = ()) -> library.ToolReturnPart:
    output = result.output
    if output in ("", None):
        output = _SILENT.get(result.status, "")
    text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
    shown = [_file(file) for file in files if file.data is not None]
    text = "\n\n".join([*([text] if text else []), *(each for each in shown if isinstance(each, str))])
    pictures = [each for each in shown if not isinstance(each, str)]
    content = [*([text] if text else []), *pictures] if pictures else text
    part: library.ToolReturnPart = library.ToolReturnPart(_tool_name(result.tool), content, result.call_id)
    if result.status == "error":
        part.outcome = "failed"
    elif result.status != "ok":
        part.outcome = "interrupted"
    return part


def _response(turn: AssistantTurn, origin: Origin) -> library.ModelResponse | None:
    parts = list(_library_parts(turn.parts, origin))
    if not parts:  # nothing but the reasoning of another service
        return None
    replays = [part.replay or {} for part in turn.parts if isinstance(part, ReasoningPart)]
    made_by: dict[str, Any] = next((made for replay in replays if isinstance(made := replay.get("origin"), dict)), {})
    return library.ModelResponse(
        parts=parts,
        provider_name=origin.provider,
        provider_url=made_by.get("url"),
        canonical_system=made_by.get("system"),
    )


def _library_parts(parts: Iterable[Part], origin: Origin) -> Iterator[library.ModelResponsePart]:
    extras: dict[str, Any] = {}  # what belongs to the part behind a replay without reasoning of its own
    for part in parts:
        if isinstance(part, ReasoningPart):
            if part.provider != origin.service or not part.replay:
                continue
            kept = _kept(part.replay)
            if part.replay.get("of") == "thinking":
                yield library.ThinkingPart(part.text, signature=_text_or_none(part.replay.get("signature")), **kept)
            else:
                extras = kept
        elif isinstance(part, LashText):
            if part.text:
                yield library.TextPart(part.text, **extras)
            extras = {}
        elif isinstance(part, ToolCallPart):
            yield _library_call(part.call, extras)
            extras = {}


def _library_call(call: ToolCall, extras: dict[str, Any]) -> library.ToolCallPart:
    # Arguments that are text were no JSON object; services refuse such, so the library wraps them in one.
    return library.ToolCallPart(_tool_name(call.tool), call.arguments, call.call_id, **extras)


def _tool_name(name: str) -> str:
    """Services refuse a name outside of their pattern, even one that their own model made up."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", name)[:64] or "_"


def _kept(replay: dict[str, JsonValue]) -> dict[str, Any]:
    details = replay.get("provider_details")
    return {
        "id": _text_or_none(replay.get("id")),
        "provider_name": _text_or_none(replay.get("provider_name")),
        "provider_details": details if isinstance(details, dict) else None,
    }


def _text_or_none(value: JsonValue) -> str | None:
    return value if isinstance(value, str) else None


def reply_of(response: library.ModelResponse, origin: Origin) -> ModelReply:
    """Give a whole answer.

    Raises:
        ModelError: The answer broke off, though the connection ended properly.
    """
    if _broke_off(response):
        raise ModelError("the answer broke off before its end", kind="transport", retryable=True)
    parts = tuple(_lash_parts(response, origin))
    finish = _FINISH.get(response.finish_reason, "other")
    if response.finish_reason is None or finish == "stop":
        finish = "tool_calls" if any(isinstance(part, ToolCallPart) for part in parts) else "stop"
    return ModelReply(parts=parts, usage=_usage(response), finish_reason=finish, model=response.model_name)


def _broke_off(response: library.ModelResponse) -> bool:
    """Tell a cut answer from a whole one: a whole one ends with a finish reason, the usage, or both."""
    ended = "finish_reason" in (response.provider_details or {}) or not response.usage.unmeasured_requests
    return response.state == "incomplete" or not ended


def _lash_parts(response: library.ModelResponse, origin: Origin) -> Iterator[Part]:
    for part in response.parts:
        if isinstance(part, library.ThinkingPart):
            replay = {"signature": part.signature} if part.signature else {}
            yield _reasoning(part, "thinking", response, origin, text=part.content, **replay)
        elif isinstance(part, library.TextPart) and part.content:
            if part.id or part.provider_details:
                yield _reasoning(part, "text", response, origin)
            yield LashText(text=clean_text(part.content))
        elif isinstance(part, library.ToolCallPart):
            if part.id or part.provider_details:
                yield _reasoning(part, "tool_call", response, origin)
            yield ToolCallPart(call=_call(part))


def _reasoning(
    part: library.ThinkingPart | library.TextPart | library.ToolCallPart,
    of: str,
    response: library.ModelResponse,
    origin: Origin,
    *,
    text: str = "",
    **more: JsonValue,
) -> ReasoningPart:
    """Keep what a service wants back with a part; texts and calls have no place of their own for it."""
    made_by = {"url": origin.url, "system": response.canonical_system}
    replay = {
        "of": of,
        "id": part.id,
        "provider_name": part.provider_name,
        "provider_details": to_jsonable_python(part.provider_details, bytes_mode="base64", serialize_unknown=True),
        "origin": {key: value for key, value in made_by.items() if value},
        **more,
    }
    kept = {key: _clean(value) for key, value in replay.items() if value}
    return ReasoningPart(text=clean_text(text), provider=origin.service, replay=kept)


def _call(part: library.ToolCallPart) -> ToolCall:
    return ToolCall(call_id=part.tool_call_id, tool=clean_text(part.tool_name), arguments=_arguments(part.args))


def _arguments(raw: str | dict[str, Any] | None) -> dict[str, JsonValue] | str:
    if isinstance(raw, str) and raw.strip():
        try:
            parsed = json.loads(raw, parse_constant=_refuse_constant)
        except ValueError:
            return clean_text(raw)
        return _clean_object(parsed) if isinstance(parsed, dict) else clean_text(raw)
    return _clean_object(raw) if isinstance(raw, dict) else {}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _clean_object(value: dict[str, Any]) -> dict[str, JsonValue]:
    return {clean_text(key): _clean(item) for key, item in value.items()}


def _clean(value: Any) -> JsonValue:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        return _clean_object(value)
    if isinstance(value, Sequence):
        return [_clean(item) for item in value]
    plain: JsonValue = value
    return plain


def _usage(response: library.ModelResponse) -> TokenUsage:
    usage: RequestUsage = response.usage
    return TokenUsage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_input_tokens=usage.cache_read_tokens,
        reasoning_tokens=usage.output_reasoning_tokens or usage.details.get("reasoning_tokens", 0),
        cost=_reported_cost(response),
    )


def _reported_cost(response: library.ModelResponse) -> Decimal | None:
    """Give the service's own figure; the library's estimate from a price list is none."""
    cost = (response.provider_details or {}).get("cost")
    return Decimal(str(cost)) if isinstance(cost, int | float | Decimal) and not isinstance(cost, bool) else None
