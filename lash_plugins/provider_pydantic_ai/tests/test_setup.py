"""What happens before the first call: the offer, the manifest, missing keys and libraries, start-up cost."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from typing import get_args

import pytest
from lash_hookspecs.errors import ConfigurationError, UnknownName
from lash_hookspecs.protocols.models import ModelProvider
from lash_hookspecs.records.models import ModelRequest
from lash_hookspecs.specs.offers import OfferContext
from lash_provider_pydantic_ai.connection import Connection, service_of
from lash_provider_pydantic_ai.plugin import offered_names, providers
from lash_provider_pydantic_ai.provider import PydanticAIProvider

#: Names of the library behind which there is no conversation, or that cannot be opened by name.
NOT_OFFERED = {
    "elevenlabs": "speech only",
    "github": "retired by the service",
    "google-decisions": "decides, does not converse",
    "openai-chatgpt": "needs a login made by code",
    "openai-decisions": "decides, does not converse",
    "sentence-transformers": "embeddings only",
    "system-one": "decides, does not converse",
    "test": "the library's own test model",
    "typesafe": "decides, does not converse",
    "voyageai": "embeddings only",
}


def test_the_offer_names_what_the_manifest_names() -> None:
    """A conflict over a name is seen without importing."""
    (offer,) = providers(OfferContext(api="0.1"))
    assert offer.names == offered_names()
    assert isinstance(offer.open("openai"), ModelProvider)


def test_the_manifest_names_every_provider_of_the_library() -> None:
    """A new service of the library fails here until it is offered or left out for a reason."""
    from pydantic_ai import models

    known = {name.partition(":")[0] for name in models.known_model_names()}
    known |= set(get_args(models.OpenAIChatCompatibleProvider.__value__))
    known |= set(get_args(models.OpenAIResponsesCompatibleProvider.__value__))
    assert known - set(offered_names()) <= set(NOT_OFFERED)
    assert not set(NOT_OFFERED) & set(offered_names())


@pytest.mark.parametrize("name", offered_names())
def test_the_library_can_infer_every_name_of_the_manifest(name: str) -> None:
    """No name is offered that the library does not know; a missing extra is no ignorance."""
    from pydantic_ai.providers import infer_provider_class

    with contextlib.suppress(ImportError):
        infer_provider_class(name)


def test_the_plugin_imports_no_provider_library() -> None:
    """Offering costs neither pydantic nor pydantic-ai; opening costs no pydantic-ai."""
    code = """
import json, sys
before = set(sys.modules)
from lash_hookspecs.specs.offers import OfferContext
from lash_provider_pydantic_ai.plugin import providers
(offer,) = providers(OfferContext(api="0.1"))
offered = set(sys.modules) - before
offer.open("openai")
opened = set(sys.modules) - before
print(json.dumps([len(offered), sorted(offered), sorted(opened)]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    count, offered, opened = json.loads(done.stdout)
    assert not {"pydantic", "asyncio", "openai", "pydantic_ai"} & set(offered)
    assert not {"openai", "pydantic_ai", "genai_prices", "httpx2"} & set(opened)
    assert count < 150


@pytest.mark.asyncio
async def test_a_missing_key_is_told_by_the_name_of_its_variable() -> None:
    """Before any call, and in words for a user of a command line."""
    with pytest.raises(ConfigurationError) as caught:
        await PydanticAIProvider("openai").model_info("gpt-5")
    assert str(caught.value) == (
        "the model 'openai:gpt-5' cannot be used: "
        "Set the OPENAI_API_KEY environment variable to use the OpenAI provider."
    )


@pytest.mark.asyncio
async def test_a_missing_key_is_told_by_a_call_too() -> None:
    """A caller that did not ask for `model_info` gets the same error."""
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        await anext(aiter(PydanticAIProvider("openai").stream(ModelRequest(model="gpt-5"))))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("name", "variable"),
    [("openrouter", "OPENROUTER_API_KEY"), ("ollama", "OLLAMA_BASE_URL"), ("azure", "AZURE_OPENAI_ENDPOINT")],
)
async def test_other_services_name_their_variables(name: str, variable: str) -> None:
    """Each service has its own."""
    with pytest.raises(ConfigurationError, match=variable):
        await PydanticAIProvider(name).model_info("some-model")


def test_a_missing_library_is_told_by_its_extra() -> None:
    """The message is the command that helps."""
    from lash_provider_pydantic_ai.connection import _missing_library

    error = ImportError('Please install `anthropic` … `pip install "pydantic-ai-slim[anthropic]"`')
    assert _missing_library(error) == (
        'the service\'s library is not installed: pip install "pydantic-ai-slim[anthropic]"'
    )


@pytest.mark.asyncio
@pytest.mark.parametrize("model", ["", " ", "two words", "new\nline"])
async def test_what_cannot_be_a_models_name_is_refused(monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    """``--model openai:`` names no model."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    with pytest.raises(UnknownName, match="openai:NAME"):
        await PydanticAIProvider("openai").model_info(model)


@pytest.mark.asyncio
async def test_a_provider_that_the_library_does_not_know_is_refused() -> None:
    """Such as one that a later version dropped."""
    with pytest.raises(UnknownName, match="nowhere:model"):
        await PydanticAIProvider("nowhere").model_info("model")


@pytest.mark.asyncio
async def test_the_context_window_of_a_known_model_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the library's table; nothing is guessed for a model that is not in it."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    provider = PydanticAIProvider("openai")
    known, unknown = await provider.model_info("gpt-4o"), await provider.model_info("my-own")
    await provider.close()
    assert known.context_window == 128_000
    assert (unknown.context_window, unknown.reports_cost, unknown.notice) == (None, False, "")


@pytest.mark.asyncio
async def test_only_a_service_that_reports_a_cost_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cost limit is refused without it."""
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-test-0123456789")
    provider = PydanticAIProvider("openrouter")
    info = await provider.model_info("openai/gpt-4o")
    await provider.close()
    assert info.reports_cost


@pytest.mark.parametrize(
    ("name", "base_url", "service"),
    [
        ("openai", None, "openai-responses"),
        ("openai", "https://api.openai.com/v1", "openai-responses"),
        ("openai", "https://eu.api.openai.com/v1", "openai-responses"),
        ("openai", "http://localhost:8080/v1", "openai-chat"),
        ("openai", "https://api.openai.com.example/v1", "openai-chat"),
        ("openai-chat", None, "openai-chat"),
        ("openai-responses", "http://localhost:8080/v1", "openai-responses"),
        ("anthropic", None, "anthropic"),
    ],
)
def test_openai_means_chat_completions_wherever_the_address_is_not_openais(
    monkeypatch: pytest.MonkeyPatch, name: str, base_url: str | None, service: str
) -> None:
    """Compatible servers offer nothing else; the longer names fix the API."""
    if base_url is not None:
        monkeypatch.setenv("OPENAI_BASE_URL", base_url)
    assert service_of(name) == service


@pytest.mark.asyncio
async def test_retries_are_off_whatever_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are the runtime's; the session's name does not leave the house as it is."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    connection = Connection("openai")
    await connection.prepare("gpt-5")
    request = ModelRequest(model="gpt-5", session_id="mr-smith", settings={"max_retries": 9, "timeout": 7})
    settings = connection._settings(connection._models["gpt-5"], request)
    await connection.close()
    assert (settings["max_retries"], settings["timeout"]) == (0, 7)
    assert "mr-smith" not in str(settings)
    assert len(str(settings["openai_prompt_cache_key"])) == 32  # type: ignore[typeddict-item]
