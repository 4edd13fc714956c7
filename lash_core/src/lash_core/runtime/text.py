"""What may enter: texts and session ids (G2)."""

from __future__ import annotations

import unicodedata
import uuid

from lash_hookspecs.errors import InvalidInput, InvalidSessionId
from lash_hookspecs.records.model_base import Record
from lash_hookspecs.records.payloads import PAYLOADS, Payload
from lash_hookspecs.records.turn import TurnInput
from pydantic import ValidationError

__all__ = ["MAX_SESSION_ID", "check_input", "check_session_id", "check_storable", "check_text", "clean_payload"]

#: The longest session id, in bytes of UTF-8.
MAX_SESSION_ID = 512


def check_session_id(session_id: str) -> str:
    """Give the id, or a fresh UUID for an empty id (L2).

    Any printable text of at most `MAX_SESSION_ID` bytes is an id; a store treats it as data.

    Raises:
        InvalidSessionId: It is no text, too long, or holds control characters or text that UTF-8 cannot carry.
    """
    if not session_id:
        return str(uuid.uuid4())
    if not isinstance(session_id, str):
        raise InvalidSessionId(f"a session id is text, not {type(session_id).__name__}: {session_id!r:.60}")
    shown = repr(session_id if len(session_id) <= 60 else session_id[:60] + "…")
    try:
        length = len(session_id.encode())
    except UnicodeEncodeError as error:
        raise InvalidSessionId(f"session id {shown} holds a lone surrogate, which UTF-8 cannot carry") from error
    if length > MAX_SESSION_ID:
        raise InvalidSessionId(f"session id {shown} has {length:,} bytes; at most {MAX_SESSION_ID} are allowed")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in session_id):
        raise InvalidSessionId(f"session id {shown} holds a control character; use printable text")
    return session_id


def clean_payload(payload: Payload) -> Payload:
    """Give what an app or a plugin puts on the path, with every text such as JSON can carry (G2).

    Raises:
        InvalidInput: It is no payload of a node, or holds what JSON cannot carry.
    """
    if type(payload) not in PAYLOADS.values():
        raise InvalidInput(f"{type(payload).__name__!r} is no payload of a node")
    check_storable(payload, f"a {type(payload).__name__}")
    return payload


def check_storable(record: Record, what: str) -> None:
    """Hold what strangers made to what can be stored, and be read again: a number may be too long for a reader (G2).

    Raises:
        InvalidInput: It holds what JSON cannot carry.
    """
    try:
        type(record).from_bytes(record.to_bytes())
    except ValidationError as error:
        reason = error.errors(include_url=False, include_input=False)[0]["msg"]
        raise InvalidInput(f"{what} cannot be stored: {reason}") from None  # what pydantic says shows the value
    except ValueError as error:
        raise InvalidInput(f"{what} cannot be stored: {error}") from error


def check_input(turn_input: TurnInput) -> TurnInput:
    """Give what a caller says in a turn; while the turn is open, the session's head holds it.

    Raises:
        InvalidInput: It is no `TurnInput`, its text is empty, or it holds what JSON cannot carry; nothing was written.
    """
    if not isinstance(turn_input, TurnInput):
        raise InvalidInput(f"a turn begins with a TurnInput(text=…), not with {type(turn_input).__name__}")
    check_text(turn_input.text, alone=not turn_input.attachments)
    check_storable(turn_input, "the input of the turn")
    return turn_input


def check_text(text: str, *, alone: bool = True) -> str:
    """Give the text of a turn; it may be empty where it is not all that is said.

    Raises:
        InvalidInput: It is no text, is empty, or holds what JSON cannot carry; nothing was written.
    """
    if not isinstance(text, str):
        raise InvalidInput(f"the text of a turn is a str, not {type(text).__name__}")
    if alone and not text.strip():
        raise InvalidInput("the text of a turn is empty; say something")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"the text holds a lone surrogate at position {error.start}, which JSON cannot carry; "
            "decode the input as UTF-8"
        ) from error
    return text
