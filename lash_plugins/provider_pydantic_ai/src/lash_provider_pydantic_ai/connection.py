"""One service, reached through pydantic-ai: its models, its settings and its calls. Importing this is slow."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import AsyncGenerator
from typing import Any, cast
from urllib.parse import urlsplit

from lash_hookspecs.errors import ConfigurationError, ModelError, UnknownName
from lash_hookspecs.records.attachments import TEXT_TYPES
from lash_hookspecs.records.models import (
    ModelChunk,
    ModelInfo,
    ModelRequest,
    ReasoningChunk,
    ReplyChunk,
    TextChunk,
)
from lash_hookspecs.records.text import clean_text
from pydantic_ai.direct import model_request_stream
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import (
    ModelResponseStreamEvent,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
)
from pydantic_ai.models import Model, infer_model
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.providers import Provider, infer_provider
from pydantic_ai.settings import ModelSettings

from lash_provider_pydantic_ai.conversation import Origin, messages_of, parameters_of, reply_of
from lash_provider_pydantic_ai.failures import Secrets, as_model_error

__all__ = ["READ_TIMEOUT", "Connection", "service_of"]

#: Seconds without a byte after which a call counts as lost. Connecting has the library's own limit, 5 s.
READ_TIMEOUT = 120.0

#: Images that every service with eyes takes.
_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")

_PDF = "application/pdf"

#: Services whose replies carry what the call cost.
_REPORTS_COST = frozenset({"openrouter"})


def service_of(name: str) -> str:
    """Tell which of the library's names stands behind ``openai``.

    The library means the Responses API by it. Servers that merely speak like OpenAI offer Chat Completions, so that
    is used as soon as ``OPENAI_BASE_URL`` points elsewhere.
    """
    if name != "openai":
        return name
    base_url = os.environ.get("OPENAI_BASE_URL")
    return "openai-responses" if base_url is None or _is_openai(base_url) else "openai-chat"


def _is_openai(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host == "api.openai.com" or host.endswith(".api.openai.com")


class Connection:
    """The library's provider object of one name, and the models that were asked for."""

    def __init__(self, name: str) -> None:
        """Remember the name; the provider object is made with the first model.

        Args:
            name: As a model's name has it before the colon.
        """
        self.name = name
        self.service = service_of(name)
        self._provider: Provider[Any] | None = None
        self._entered = False
        self._models: dict[str, Model] = {}
        self._lock = asyncio.Lock()

    async def prepare(self, model: str) -> None:
        """Make a model ready to be asked: imports the service's library and reads its key.

        Raises:
            UnknownName: There is no such model, or the name cannot be one.
            ConfigurationError: A key, a base URL or a library is missing; the message says which.
        """
        async with self._lock:
            if model not in self._models:
                self._models[model] = await asyncio.to_thread(self._infer, model)
            if not self._entered and self._provider is not None:
                await self._provider.__aenter__()
                self._entered = True

    def use(self, model: str, instance: Model) -> None:
        """Put a model object of the library's in place of the one that the name would give."""
        self._models[model] = instance

    def info(self, model: str) -> ModelInfo:
        """Tell what is known of a prepared model."""
        profile = self._models[model].profile
        return ModelInfo(
            context_window=profile.get("context_window"),
            reports_cost=self.service in _REPORTS_COST,
            attachments=_attachments(profile),
        )

    async def ask(self, request: ModelRequest) -> AsyncGenerator[ModelChunk]:
        """Ask a prepared model once.

        Raises:
            ModelError: The call failed.
        """
        failure: ModelError
        try:
            async for chunk in self._ask(self._models[request.model], request):
                yield chunk
            return
        except Exception as error:  # noqa: BLE001  thirty SDKs have no common root of errors
            failure = as_model_error(error, f"{self.name}:{request.model}", self._secrets())
        raise failure  # outside of the handler, so that no context with a secret in it hangs on

    async def close(self) -> None:
        """Close the connections; may be called twice."""
        provider, self._provider = self._provider, None
        self._models.clear()
        if provider is not None and self._entered:
            self._entered = False
            await provider.__aexit__(None, None, None)

    async def _ask(self, model: Model, request: ModelRequest) -> AsyncGenerator[ModelChunk]:
        origin = Origin.of(model, self.service)
        parameters = parameters_of(request)
        messages = messages_of(request, origin)
        if model.profile.get("tool_call_id_length"):  # Mistral refuses the ids of others
            messages = model.prepare_messages(messages, parameters)
        async with model_request_stream(
            model, messages, model_settings=self._settings(model, request), model_request_parameters=parameters
        ) as stream:
            async for event in stream:
                chunk = _chunk(event)
                if chunk is not None:
                    yield chunk
            reply = reply_of(stream.get(), origin)
        yield ReplyChunk(reply=reply)

    def _settings(self, model: Model, request: ModelRequest) -> ModelSettings:
        defaults: dict[str, Any] = {"timeout": READ_TIMEOUT, "max_retries": 0}
        if self.service in ("openai-chat", "openai-responses") and request.session_id and _is_openai(_base_url(model)):
            # Routes a session's calls to the same cache; hashed, since a session's name may be somebody's.
            defaults["openai_prompt_cache_key"] = hashlib.sha256(request.session_id.encode()).hexdigest()[:32]
        if self.service == "openrouter":
            defaults["openrouter_usage"] = {"include": True}
        supported = {name: value for name, value in defaults.items() if name not in model.unsupported_settings}
        settings = {**supported, **request.settings}
        if "max_retries" in supported:
            settings["max_retries"] = 0  # retries are the runtime's
        return cast(ModelSettings, settings)

    def _infer(self, model: str) -> Model:
        if not model or model.split() != [model] or not model.isprintable():
            raise UnknownName(f"{model!r} is no model's name: write {self.name}:NAME, with a name that the service has")
        asked = f"{self.name}:{model}"
        try:
            return infer_model(f"{self.service}:{model}", self._provider_of)
        except ImportError as error:
            raise ConfigurationError(f"the model {asked!r} cannot be used: {_missing_library(error)}") from error
        except UserError as error:
            if error.message.startswith("Unknown model"):
                raise UnknownName(f"there is no model {asked!r}: {error.message}") from error
            raise ConfigurationError(f"the model {asked!r} cannot be used: {_missing_setting(error)}") from error
        except Exception as error:  # noqa: BLE001  the service's own library, about its own settings
            reason = self._secrets().hidden_in(f"{type(error).__name__}: {error}")
            raise ConfigurationError(f"the model {asked!r} cannot be used: {reason}") from None

    def _provider_of(self, service: str) -> Provider[Any]:
        if self._provider is None:
            try:
                self._provider = infer_provider(service)
            except ValueError as error:
                raise UserError(f"Unknown model provider: {service}") from error
        return self._provider

    def _secrets(self) -> Secrets:
        return Secrets.of(self._provider)


def _attachments(profile: ModelProfile) -> tuple[str, ...]:
    """Give the media types that a model takes; text is sent as text, so each model takes it."""
    images = _IMAGES if profile.get("supports_image_input", True) else ()
    takes_documents = profile.get("supports_document_input", True) and profile.get(
        "openai_chat_supports_document_input", True
    )
    known = profile.get("supported_document_media_types", frozenset({_PDF}))
    return (*images, *((_PDF,) if takes_documents and _PDF in known else ()), *TEXT_TYPES)


def _base_url(model: Model) -> str:
    return str(model.base_url or "")


def _chunk(event: object) -> TextChunk | ReasoningChunk | None:
    text, reasoning = _pieces(cast("ModelResponseStreamEvent", event))
    if text:
        return TextChunk(text=clean_text(text))
    return ReasoningChunk(text=clean_text(reasoning)) if reasoning else None


def _pieces(event: ModelResponseStreamEvent) -> tuple[str, str]:
    """Give the text and the reasoning that an event brings; at most one of them is not empty."""
    if isinstance(event, PartStartEvent):
        text = event.part.content if isinstance(event.part, TextPart) else ""
        return text, event.part.content if isinstance(event.part, ThinkingPart) else ""
    if isinstance(event, PartDeltaEvent):
        text = event.delta.content_delta if isinstance(event.delta, TextPartDelta) else ""
        reasoning = event.delta.content_delta if isinstance(event.delta, ThinkingPartDelta) else ""
        return text, reasoning or ""
    return "", ""


def _missing_library(error: ImportError) -> str:
    """Say what to install, in the words of the library, which names its extra."""
    extra = re.search(r"pydantic-ai-slim\[([\w,-]+)\]", str(error))
    if extra is None:
        return f"a library is missing: {error}"
    return f'the service\'s library is not installed: pip install "pydantic-ai-slim[{extra[1]}]"'


def _missing_setting(error: UserError) -> str:
    """Say which variable to set, without the library's advice to write other code."""
    text = error.message.partition(" To try Pydantic AI")[0]
    return re.sub(r" or pass it via `[^`]*`", "", text).replace("`", "")
