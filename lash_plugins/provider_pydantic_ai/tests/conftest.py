"""Fixtures: the strict server of the top-level tests folder, and a provider that talks to it."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from lash_provider_pydantic_ai.provider import PydanticAIProvider


def _load_strict_server() -> None:
    """Import the server by its path: a test of this distribution runs from any folder."""
    if "strict_server" in sys.modules:
        return
    path = Path(__file__).parents[3] / "tests" / "strict_server.py"
    spec = importlib.util.spec_from_file_location("strict_server", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["strict_server"] = module
    spec.loader.exec_module(module)


_load_strict_server()

if TYPE_CHECKING:
    from strict_server import StrictServer

#: What the server asks for; long enough to be taken for a secret.
KEY = "sk-test-0123456789"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the keys and addresses of whoever runs the tests."""
    for name in os.environ:
        if any(word in name for word in ("API_KEY", "BASE_URL", "_TOKEN", "OPENAI", "AWS_", "GOOGLE_", "AZURE_")):
            monkeypatch.delenv(name)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[StrictServer]:
    """A strict server that the environment points to."""
    from strict_server import StrictServer

    with StrictServer(key=KEY) as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield running


@pytest_asyncio.fixture
async def provider(server: StrictServer) -> AsyncIterator[PydanticAIProvider]:
    """A provider that is closed after the test."""
    opened = PydanticAIProvider("openai")
    yield opened
    await opened.close()
