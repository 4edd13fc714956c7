"""Whatever a call raises, as a `ModelError` that says whether a retry may help and shows no key."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import attrs
from lash_hookspecs.errors import ModelError
from pydantic_ai import exceptions as library

__all__ = ["Secrets", "as_model_error"]

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL")

#: How servers that send no code say that the conversation is too long.
_TOO_LONG = re.compile(
    r"context (?:length|window|size)|maximum context|prompt is too long|too many (?:input )?tokens|input is too long",
    re.IGNORECASE,
)

#: Libraries whose own exceptions mean that the connection failed.
_TRANSPORTS = frozenset({"httpx", "httpx2", "httpcore", "httpcore2", "aiohttp", "grpc", "botocore", "urllib3", "anyio"})

#: The library's category → kind and whether a retry may help; the first that fits counts.
_CATEGORIES: tuple[tuple[type[Exception], str, bool], ...] = (
    (library.ModelContextWindowExceededError, "context_overflow", False),
    (library.ModelQuotaExceededError, "rate_limit", False),
    (library.ModelRateLimitError, "rate_limit", True),
    (library.ModelUnavailableError, "overloaded", True),
    (library.ModelServerError, "overloaded", True),
    (library.ModelConnectionError, "transport", True),
    (library.ModelRequestTimeout, "transport", True),
    (library.ModelAuthenticationError, "auth", False),
    (library.ModelRequestRejectedError, "invalid_request", False),
    (library.ContentFilterError, "content_filter", False),
    (library.UnexpectedModelBehavior, "other", True),
    (library.UserError, "invalid_request", False),
)


@attrs.frozen(repr=False)
class Secrets:
    """The keys that a message might repeat."""

    values: tuple[str, ...]

    @classmethod
    def of(cls, provider: Any) -> Secrets:
        """Collect what the environment and the library's client hold."""
        found: list[object] = [value for name, value in os.environ.items() if _SECRET_NAME.search(name.upper())]
        found.append(getattr(getattr(provider, "client", None), "api_key", None) or "")
        # A short value (a "1" in a variable of that name) would black out half of every message.
        return cls(tuple(sorted({value for value in found if isinstance(value, str) and len(value) >= 8}, key=len)))

    def hidden_in(self, text: str) -> str:
        """Give a text with each of them replaced."""
        for value in reversed(self.values):  # the longest first: one may be part of another
            text = text.replace(value, "***")
        return text

    def shown_by(self, error: BaseException) -> bool:
        """Tell whether an exception, or one behind it, would show one of them."""
        texts = (text for link in _chain(error) for text in (str(link), repr(link), repr(vars(link))))
        return any(self.hidden_in(text) != text for text in texts)


def as_model_error(error: Exception, asked: str, secrets: Secrets) -> ModelError:
    """Turn what a call raised into a `ModelError`.

    Args:
        error: What it raised.
        asked: The model as the user names it.
        secrets: What must not be shown.
    """
    kind, retryable = _classify(error)
    words = secrets.hidden_in(_words(error))
    failure = ModelError(
        f"{asked}: {words}", kind=kind, retryable=retryable, retry_after=getattr(error, "retry_after", None)
    )
    if not secrets.shown_by(error):
        failure.__cause__ = error
    return failure


def _classify(error: Exception) -> tuple[str, bool]:
    if isinstance(error, ModelError):
        return error.kind, error.retryable
    kind, retryable = _category(error)
    if kind == "invalid_request" and _TOO_LONG.search(_words(error)):
        return "context_overflow", False
    hint = error.provider_retry_hint if isinstance(error, library.ModelHTTPError) else None
    if hint is not None and kind in ("rate_limit", "overloaded", "transport", "other"):
        retryable = hint and not isinstance(error, library.ModelQuotaExceededError)
    return kind, retryable


def _category(error: Exception) -> tuple[str, bool]:
    for category, kind, retryable in _CATEGORIES:
        if isinstance(error, category):
            return kind, retryable
    if isinstance(error, library.ModelHTTPError):
        return ("transport", True) if error.status_code in (408, 409, 425) else ("invalid_request", False)
    if isinstance(error, library.ModelAPIError):
        # Inside a stream, or an answer that could not be decoded: the request itself had been accepted.
        return "other", True
    lost = isinstance(error, OSError | EOFError) or any(
        cls.__module__.partition(".")[0] in _TRANSPORTS for cls in type(error).__mro__
    )
    return ("transport", True) if lost else ("other", False)


def _words(error: Exception) -> str:
    """Say what happened in one line: the service's own message where it sent one."""
    said = _said(getattr(error, "body", None)) or getattr(error, "message", "") or str(error) or type(error).__name__
    if isinstance(error, library.ModelConnectionError):
        first = list(_chain(error))[-1]  # the library's own words may be "Connection error." at every stage
        reason = str(first) or type(first).__name__
        said = said if reason in said else f"{said.rstrip('.')}: {reason}"
    status = f" (HTTP {error.status_code})" if isinstance(error, library.ModelHTTPError) else ""
    line = " ".join(said.split())
    return (line if len(line) <= 500 else line[:499] + "…") + status


def _said(body: object) -> str:
    """Find the message in an error's body: ``{"message": …}``, ``{"error": {"message": …}}`` or ``{"error": …}``."""
    if isinstance(body, dict):
        return _said(body.get("message") or body.get("error") or body.get("detail"))
    return body if isinstance(body, str) else ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        link = waiting.pop()
        if link is not None and id(link) not in seen:
            seen.add(id(link))
            yield link
            waiting += [link.__cause__, link.__context__]
