"""The fakes of `lash_hookspecs.testing` pass what a real one has to pass, and the core takes them for real."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from lash_conformance import (
    Failure,
    ModeConformance,
    ProviderConformance,
    SessionPluginConformance,
    StoreConformance,
    ToolConformance,
)
from lash_hookspecs.errors import ModelError, ToolError
from lash_hookspecs.protocols.models import ModelProvider
from lash_hookspecs.protocols.session_plugins import SessionPlugin
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.protocols.tools import ToolProvider
from lash_hookspecs.records.models import ModelReply, ModelRequest, UserTurn
from lash_hookspecs.records.payloads import ToolCallPart
from lash_hookspecs.records.tools import ToolCall, ToolSpec
from lash_hookspecs.records.usage import TokenUsage
from lash_hookspecs.specs.offers import SessionSetup, ToolSetup
from lash_hookspecs.testing import FakeMode, FakeModel, FakeSessionPlugin, FakeStore, FakeTools


async def open_fake(url: str, create: bool) -> StoreBackend:
    return FakeStore(max_value=int(url.partition("max_value=")[2] or 0) or None, max_nodes_per_commit=3_000)


class TestFakeStore(StoreConformance):
    levels = ("core",)
    store_url = "fake:"
    small_limits_url = "fake:?max_value=1000"
    open_store = staticmethod(open_fake)


class TestFakeMode(ModeConformance):
    build_mode = staticmethod(FakeMode)


class TestFakeModel(ProviderConformance):
    model = "fake"
    unknown_model = "other"
    provider_of_test: FakeModel

    @classmethod
    def open_provider(cls) -> ModelProvider:
        cls.provider_of_test = FakeModel()
        return cls.provider_of_test

    def tool_call(self) -> ModelRequest:
        call = ToolCall(call_id="call-1", tool="add", arguments={"a": 1})
        usage = TokenUsage(input_tokens=1, output_tokens=1)
        reply = ModelReply(parts=(ToolCallPart(call=call),), usage=usage, finish_reason="tool_calls")
        self.provider_of_test.replies.append(reply)
        return ModelRequest(model="fake", messages=(UserTurn(text="Add."),), tools=(ToolSpec(name="add"),))

    def failures(self) -> Sequence[Failure]:
        self.provider_of_test.replies.append(ModelError("busy", kind="overloaded", retryable=True))
        return [Failure(ModelRequest(model="fake", messages=(UserTurn(text="Hi."),)), "overloaded", retryable=True)]


class TestFakeTools(ToolConformance):
    calls: ClassVar = {"search": {"query": "rain"}}
    failing: ClassVar = {"fetch": {}}

    @staticmethod
    def build_tools(setup: ToolSetup) -> ToolProvider:
        return FakeTools({"search": ["rain", 12], "fetch": ToolError("no such page")})


class TestFakeSessionPlugin(SessionPluginConformance):
    old_snapshots = ((1, [7]),)

    @staticmethod
    def build_part(setup: SessionSetup) -> SessionPlugin:
        return FakeSessionPlugin(schema_version=2)

    async def use(self, part: Any) -> None:
        part.kept = [*(part.kept or []), len(part.kept or [])]
