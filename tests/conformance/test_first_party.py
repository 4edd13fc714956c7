"""What Lash brings itself passes the suites that a stranger's plugin has to pass."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, ClassVar

import pytest
from calls_mode import CallsMode
from lash_basics.files import file_tools
from lash_basics.offline import OfflineProvider
from lash_basics.standard_mode import StandardMode
from lash_conformance import (
    Failure,
    ModeConformance,
    ProviderConformance,
    Script,
    SessionPluginConformance,
    ToolConformance,
    spoken,
)
from lash_hookspecs import Attachment, FunctionTools, handles, tool
from lash_hookspecs.errors import ToolError
from lash_hookspecs.protocols.models import ModelProvider
from lash_hookspecs.protocols.session_plugins import SessionPlugin
from lash_hookspecs.protocols.tools import ToolProvider
from lash_hookspecs.records.models import AssistantTurn, ModelRequest, UserTurn
from lash_hookspecs.records.payloads import Message, TextPart
from lash_hookspecs.records.tools import ToolSpec
from lash_hookspecs.specs.decisions import ALLOW, Decision, Deny
from lash_hookspecs.specs.offers import SessionSetup, ToolSetup
from lash_hookspecs.specs.persistence import CommitProposed, Committed, lash_guard_commit, lash_on_committed
from lash_hookspecs.specs.turns import TurnAdditions, TurnBegins, lash_before_turn
from lash_provider_pydantic_ai.provider import PydanticAIProvider
from pydantic import Field, JsonValue

from tests.strict_server import Reply, StrictServer


class TestStandardMode(ModeConformance):
    build_mode = staticmethod(StandardMode)


class TestModeOfCalls(ModeConformance):
    build_mode = staticmethod(CallsMode)
    scripts = (
        Script(
            "a program",
            (
                spoken(
                    json.dumps(
                        [{"tool": "add", "arguments": {"a": 1}}, {"boundary": True}, {"note": "half"}, {"tool": "note"}]
                    )
                ),
            ),
        ),
    )


class TestOfflineModel(ProviderConformance):
    open_provider = staticmethod(OfflineProvider)
    unknown_model = "no-such-script.json"


class TestScriptedModel(ProviderConformance):
    """The built-in provider on a script: calls, failures, reasoning."""

    open_provider = staticmethod(OfflineProvider)
    model = "answers.json"
    unknown_model = "no-such-script.json"
    secrets = ("sk-of-a-script",)

    @pytest.fixture(autouse=True)
    def scripts(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        answer = {
            "reasoning": "Hm.",
            "text": "Hello to you.",
            "usage": {"input_tokens": 5, "output_tokens": 4, "cost": "0.1"},
        }
        calls = {"text": "Let me see.", "tool_calls": [{"tool": "add", "arguments": {"a": 1}}, {"tool": "add"}]}
        error = {"message": "too many", "retryable": True, "retry_after": 2, "kind": "rate_limit", "after_chunks": 1}
        scripts = {
            "answers": [answer] * 4,
            "calls": [calls, {"text": "Two."}],
            "busy": [{"text": "Hi you", "error": error}],
        }
        for name, replies in scripts.items():
            Path(f"{name}.json").write_text(json.dumps(replies))

    def tool_call(self) -> ModelRequest:
        return ModelRequest(model="calls.json", messages=(UserTurn(text="Add."),), tools=(ToolSpec(name="add"),))

    def failures(self) -> Sequence[Failure]:
        said = (UserTurn(text="Say hello."),)
        return [
            Failure(ModelRequest(model="busy.json", messages=said), "rate_limit", retryable=True),
            Failure(ModelRequest(model="calls.json", messages=_TALK), "invalid_request", retryable=False),
        ]


#: More than the script has replies for.
_TALK = (
    UserTurn(text="One."),
    *(turn for _ in range(2) for turn in (AssistantTurn(parts=(TextPart(text="Yes."),)), UserTurn(text="More."))),
)


KEY = "sk-test-0123456789"


class TestPydanticAI(ProviderConformance):
    """The provider over pydantic-ai, against the server that forgives nothing."""

    model = "local"
    unknown_model = "no model"
    secrets = (KEY,)
    server: StrictServer

    @staticmethod
    def open_provider() -> ModelProvider:
        return PydanticAIProvider("openai")

    @pytest.fixture(autouse=True)
    def strict_server(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        for name in os.environ:
            if any(word in name for word in ("API_KEY", "BASE_URL", "_TOKEN", "OPENAI")):
                monkeypatch.delenv(name)
        with StrictServer(key=KEY) as server:
            monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
            monkeypatch.setenv("OPENAI_API_KEY", KEY)
            type(self).server = server
            yield

    def tool_call(self) -> ModelRequest:
        said = UserTurn(text='call add {"a": 1}\ncall add {"a": 2}')
        add = ToolSpec(name="add", description="Add.", input_schema={"type": "object", "properties": {}})
        return ModelRequest(model="local", messages=(said,), tools=(add,))

    def failures(self) -> Sequence[Failure]:
        kinds = {429: ("rate_limit", True), 401: ("auth", False), 503: ("overloaded", True)}
        self.server.script(
            *(Reply(status=status, error=f"no: {KEY}", when=f"fail {status}") for status in kinds),
            Reply(text=["Hel", "lo"], cut_after=1, when="fail here"),
        )
        refused = [Failure(_said(f"fail {status}"), kind, retryable=may) for status, (kind, may) in kinds.items()]
        return [*refused, Failure(_said("fail here"), "transport", retryable=True)]


def _said(text: str) -> ModelRequest:
    return ModelRequest(model="local", messages=(UserTurn(text=text),))


def notes(setup: ToolSetup) -> ToolProvider:
    """Tools of each kind over the files of a folder."""

    @tool(kind="read_only")
    async def read_note(name: str) -> str:
        """Read a note.

        Args:
            name: What it is called.
        """
        await asyncio.sleep(0)
        path = setup.root / Path(name).name.replace("\0", "")
        if not path.is_file():
            raise ToolError(f"there is no note {name!r}")
        return path.read_text()

    @tool(kind="idempotent")
    def keep_note(name: str, text: str) -> dict[str, int]:
        """Write a note over what is there."""
        if not name.isalnum():
            raise ToolError(f"{name!r} is no name for a note")
        (setup.root / name).write_text(text)
        return {"characters": len(text)}

    @tool
    def picture(size: Annotated[int, Field(ge=1, le=100)] = 1) -> list[object]:
        """Draw a picture."""
        return ["a picture:", Attachment(b"\x89PNG\r\n\x1a\n" + bytes(size), name="drawn.png")]

    @tool(kind="read_only")
    async def wait_for_rain() -> str:
        """Wait until it rains."""
        await asyncio.get_running_loop().create_future()
        return "it rains"

    return FunctionTools([read_note, keep_note, picture, wait_for_rain])


class TestFunctionTools(ToolConformance):
    build_tools = staticmethod(notes)
    calls: ClassVar = {
        "read_note": {"name": "milk"},
        "keep_note": {"name": "bread", "text": "rye"},
        "picture": {"size": 3},
    }
    failing: ClassVar = {"read_note": {"name": "none"}}
    slow_call = ("wait_for_rain", {})
    secrets = ("sk-of-a-note",)

    def prepare(self, setup: ToolSetup) -> None:
        (setup.root / "milk").write_text("two litres")


class TestFileTools(ToolConformance):
    calls: ClassVar = {
        "list_files": {},
        "read_file": {"path": "a/notes.txt"},
        "find_files": {"pattern": "*.txt"},
        "search_text": {"text": "milk"},
        "count": {"path": "a/notes.txt"},
        "write_text": {"path": "b.txt", "text": "bread\n"},
    }
    failing: ClassVar = {"read_file": {"path": "../outside"}, "count": {"path": "nowhere"}}

    @staticmethod
    def build_tools(setup: ToolSetup) -> ToolProvider:
        return file_tools(setup.root)

    def prepare(self, setup: ToolSetup) -> None:
        (setup.root / "a").mkdir()
        (setup.root / "a" / "notes.txt").write_text("two litres of milk\n")


class Budget(SessionPlugin):
    """Counts what commits weigh, and denies one too many."""

    def __init__(self, setup: SessionSetup) -> None:
        self.spent, self.most = 0, 10_000
        self.session = setup.services

    @property
    def schema_version(self) -> int:
        return 2

    def snapshot(self) -> JsonValue:
        return {"spent": self.spent, "most": self.most}

    async def restore(self, schema_version: int, snapshot: JsonValue) -> None:
        if isinstance(snapshot, dict):
            self.spent = int(str(snapshot["spent" if schema_version == 2 else "bytes"]))

    @handles(lash_guard_commit)
    async def small_enough(self, context: CommitProposed) -> Decision:
        return ALLOW if self.spent + context.bytes <= self.most else Deny("the budget is spent")

    @handles(lash_on_committed)
    async def count(self, context: Committed) -> None:
        self.spent += 100

    @handles(lash_before_turn)
    async def tell(self, context: TurnBegins) -> TurnAdditions:
        said = Message(role="system", parts=(TextPart(text=f"{self.most - self.spent} bytes are left."),))
        return context.additions.adding(said)


class TestBudget(SessionPluginConformance):
    build_part = staticmethod(Budget)
    old_snapshots = ((1, {"bytes": 7}),)

    async def use(self, part: Budget) -> None:
        part.spent += 3
