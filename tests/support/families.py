"""Sessions that start each other, on every kind of store, with a model that answers each in its own voice."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from lash_core.runtime.environment import RuntimeEnvironment
from lash_core.runtime.policy import SessionSpec
from lash_core.runtime.runtime import LashRuntime
from lash_core.stores.memory import MemoryBackend
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.models import ModelChunk, ModelRequest
from lash_hookspecs.records.payloads import Message, TextPart, ToolInvocation
from lash_hookspecs.toolkit import FunctionTools
from lash_store_sql.sqlite import open_sqlite
from probes import Answer, ProbeModel, says
from script_files import plugins

__all__ = ["STORES", "Voices", "environment", "ledger", "open_store", "opened", "said", "texts"]

#: The kinds of store: two that share graphs, one that cannot.
STORES = ("memory", "sqlite", "jsonl")

_JSONL = Path(__file__).parents[2] / "docs/examples/jsonl_store/src/lash_jsonl_store/__init__.py"


async def open_store(kind: str, folder: Path) -> StoreBackend:
    """Open a store of a kind in a folder."""
    if kind == "memory":
        return MemoryBackend()
    if kind == "sqlite":
        return await open_sqlite(f"sqlite:///{folder}/store.db", True)
    backend: StoreBackend = await _jsonl().open_jsonl(f"jsonl:{folder}/store", True)
    return backend


def _jsonl() -> Any:
    name = "lash_jsonl_store"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, _JSONL)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


class Voices(ProbeModel):
    """A model that answers each session with what was given for it, else with its name and one token each way."""

    def __init__(self, **voices: list[Answer]) -> None:
        super().__init__()
        self.voices: Mapping[str, list[Answer]] = voices

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelChunk]:
        own = self.voices.get(request.session_id)
        default = says(f"{request.session_id} answers", input_tokens=1, output_tokens=1)
        self.answers.append(own.pop(0) if own else default)
        async for chunk in super().stream(request):
            yield chunk


def environment(
    model: ProbeModel | None = None,
    *parts: object,
    store: StoreBackend | None = None,
    tools: tuple[Callable[..., Any], ...] = (),
    **services: Any,
) -> RuntimeEnvironment:
    """Make an environment of these plugins and tools, and no others."""
    return RuntimeEnvironment(
        plugins=plugins(model or Voices(), *parts), store=store, tools=FunctionTools(tools), tool_sets=(), **services
    )


async def opened(env: RuntimeEnvironment, session_id: str = "parent", **spec: Any) -> LashRuntime:
    """Open a session of the probe model."""
    return await LashRuntime.from_environment(env, SessionSpec(session_id=session_id, **{"model": "probe"} | spec))


def said(text: str) -> Message:
    """What a user says."""
    return Message(role="user", parts=(TextPart(text=text),))


def texts(runtime: LashRuntime) -> list[str]:
    """Give what stands on a session's path."""
    found = (item.payload for item in runtime.items)
    return [
        each.text if isinstance(each, Message) else f"{each.result.tool}: {each.result.output}"
        for each in found
        if isinstance(each, (Message, ToolInvocation))
    ]


def ledger(runtime: LashRuntime) -> dict[str, tuple[int, int]]:
    """Give calls and input tokens by source."""
    found: dict[str, tuple[int, int]] = {}
    for row in runtime.document.usage:
        calls, tokens = found.get(row.source, (0, 0))
        found[row.source] = (calls + row.calls, tokens + row.usage.input_tokens)
    return found
