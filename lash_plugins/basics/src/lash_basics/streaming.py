"""Turning a whole answer into a stream, and counting its tokens, always in the same way."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lash_hookspecs.records.attachments import AttachmentData, is_text
from lash_hookspecs.records.models import AssistantTurn, ModelRequest, ToolTurn, UserTurn
from lash_hookspecs.records.payloads import Part, ReasoningPart, TextPart, ToolCallPart
from lash_hookspecs.records.usage import TokenUsage

__all__ = ["estimate_usage", "tokens_of", "words_in_chunks"]

#: Words in one streamed piece.
WORDS_PER_CHUNK = 4

_WORD = re.compile(r"\s*\S+\s*")


def words_in_chunks(text: str, size: int = WORDS_PER_CHUNK) -> Iterator[str]:
    """Cut a text into pieces of a few words; joined they are the text."""
    words = _WORD.findall(text) or ([text] if text else [])
    for start in range(0, len(words), size):
        yield "".join(words[start : start + size])


def tokens_of(text: str) -> int:
    """Estimate tokens: one for four bytes of UTF-8, a rule of thumb for English text."""
    return (len(text.encode("utf-8", "replace")) + 3) // 4


def estimate_usage(request: ModelRequest, parts: tuple[Part, ...]) -> TokenUsage:
    """Estimate the usage of a request and its answer."""
    sent = tokens_of(request.instructions)
    sent += sum(tokens_of(tool.description) + tokens_of(str(tool.input_schema)) for tool in request.tools)
    sent += sum(_message_tokens(message) for message in request.messages)
    return TokenUsage(input_tokens=sent, output_tokens=_part_tokens(parts))


def _message_tokens(message: UserTurn | AssistantTurn | ToolTurn) -> int:
    match message:
        case UserTurn(text=text, attachments=files):
            return tokens_of(text) + sum(map(_file_tokens, files))
        case AssistantTurn(parts=parts):
            return _part_tokens(parts)
        case ToolTurn(results=results, attachments=files):
            outputs = (result.output for result in results)
            said = sum(tokens_of(output if isinstance(output, str) else str(output)) for output in outputs)
            return said + sum(map(_file_tokens, files))


def _file_tokens(file: AttachmentData) -> int:
    """Text counts as text; of anything else the model reads its name."""
    if file.data is not None and is_text(file.ref.media_type):
        return (len(file.data) + 3) // 4
    return tokens_of(file.ref.describe())


def _part_tokens(parts: tuple[Part, ...]) -> int:
    total = 0
    for part in parts:
        if isinstance(part, TextPart | ReasoningPart):
            total += tokens_of(part.text)
        elif isinstance(part, ToolCallPart):
            total += tokens_of(part.call.tool) + tokens_of(str(part.call.arguments))
    return total
