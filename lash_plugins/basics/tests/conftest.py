"""A conversation with the offline model over a real folder, and folders to talk about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from lash_basics.files import file_tools
from lash_basics.offline import OfflineProvider
from lash_basics.standard_mode import StandardMode
from lash_hookspecs.errors import ToolError
from lash_hookspecs.protocols.modes import (
    Append,
    AskModel,
    BoundaryPassed,
    Finish,
    ModeInput,
    ModelAnswered,
    RunTools,
    ToolsFinished,
    TurnBegan,
)
from lash_hookspecs.protocols.tools import ToolCallContext
from lash_hookspecs.records.models import (
    AssistantTurn,
    ModelMessage,
    ModelReply,
    ModelRequest,
    ReplyChunk,
    ToolTurn,
    UserTurn,
)
from lash_hookspecs.records.payloads import Message
from lash_hookspecs.records.tools import ToolCall, ToolResult
from lash_hookspecs.records.turn import TurnInput


class Chat:
    """The mode, the provider and the file tools, driven as a runtime drives them."""

    def __init__(self, root: Path, model: str = "") -> None:
        self.tools = file_tools(root)
        self.provider = OfflineProvider()
        self.model = model
        self.messages: list[ModelMessage] = []
        self.calls: list[ToolCall] = []
        self.model_calls = 0

    def say(self, text: str) -> str:
        """Take one turn."""
        return self.say_turn(UserTurn(text=text))

    def say_turn(self, said: UserTurn) -> str:
        """Take one turn; what is said may hold files."""
        return asyncio.run(self._turn(said))

    async def _turn(self, said: UserTurn) -> str:
        mode = StandardMode()
        self.messages.append(said)
        self.calls, self.model_calls = [], 0
        step = mode.step(None, TurnBegan(TurnInput(text=said.text), tuple(self.tools.specs())))
        while True:
            for action in step.actions[:-1]:
                assert isinstance(action, Append)
                assert isinstance(action.payload, Message)
                self.messages.append(AssistantTurn(parts=action.payload.parts))
            last = step.actions[-1]
            if isinstance(last, Finish):
                assert last.end.outcome == "finished", last.end
                return last.end.text
            event: ModeInput = BoundaryPassed()
            if isinstance(last, AskModel):
                event = ModelAnswered(await self.reply())
            elif isinstance(last, RunTools):
                results = tuple([await self.run(call) for call in last.calls])
                self.messages.append(ToolTurn(results=results))
                event = ToolsFinished(results)
            step = mode.step(step.state, event)

    async def reply(self) -> ModelReply:
        """Ask the model once."""
        self.model_calls += 1
        request = ModelRequest(model=self.model, messages=tuple(self.messages), tools=tuple(self.tools.specs()))
        chunks = [chunk async for chunk in self.provider.stream(request)]
        assert isinstance(chunks[-1], ReplyChunk)
        return chunks[-1].reply

    async def run(self, call: ToolCall) -> ToolResult:
        """Run one tool call."""
        self.calls.append(call)
        context = ToolCallContext(session_id="s", turn_id="t", call=call, idempotency_key=call.call_id)
        try:
            return ToolResult(call_id=call.call_id, tool=call.tool, output=await self.tools.run(context))
        except ToolError as error:
            return ToolResult(call_id=call.call_id, tool=call.tool, status="error", output=str(error))


PELICAN = {
    "README.md": """# Pelican

[![build](https://img.example/b.svg)](https://ci.example) ![v](v.svg)

Pelican is a small job queue for Python services. It stores jobs in a single SQLite file and hands them to workers
over a local socket. Workers may crash at any time; a job that was not finished is given to the next worker.

## Installation

Install it with pip:

```console
pip install pelican-queue
```

Python 3.11 or newer is needed.

| option | meaning |
|---|---|
| --port | the port |

## License

Pelican is released under the MIT licence. See [the guide](docs/guide.md) for more.
""",
    "docs/guide.md": """# Guide

A lease says which worker may run a job. Leases expire after 30 seconds unless the worker renews them. When a lease
expires, the job returns to the queue and another worker takes it.

## Retries

A failed job is retried three times, with a pause that doubles each time. The setting `retry_after` changes it.

## Security

The server listens on localhost only. The token XK-4711 is an example and must be changed.
""",
    "docs/api.md": "# API\n\n`enqueue(name)` adds a job and returns its id. A running job cannot be cancelled.\n",
    "docs/faq.txt": "Q: Can I use it on Windows?\nA: Not yet. The local socket needs a Unix system.\n",
    "src/app/__init__.py": '"""The public functions of Pelican."""\n',
    "src/app/queue.py": '''"""The queue itself: jobs in a SQLite file.

Every change is one transaction, so that a crash never loses a job.
"""

MAX_RETRIES = 3


class Queue:
    """Jobs in one file."""

    def enqueue(self, name):
        # TODO: check the arguments
        return name
''',
    "sales.csv": "date,region,amount\n2026-01-01,north,10\n2026-01-02,south,20\n2026-01-03,north,30\n",
    "logs/app.log": "1 INFO started\n2 ERROR disk full\n3 WARNING slow\n4 ERROR timeout of worker 7\n5 INFO stopped\n",
    "config.toml": "[server]\nport = 8080\nretry_after = 2\n",
    "notes.txt": "Buy milk\nCall Ann about the release\n",
    ".env": "password=1\n",
}

NOTES = {
    "meeting notes.txt": "The meeting was on Monday. We decided to ship version two in May. Eva writes the release "
    "notes.\n",
    "trip.md": "# Trip to Bern\n\nThe train leaves at nine. The hotel is called Aare and is near the "
    "station.\n\n- passport\n- tickets\n",
    "recipes/bread.md": "# Bread\n\nMix flour, water and salt. Let the dough rest for twelve hours. Bake it at 230 "
    "degrees.\n",
    "recipes/soup.md": "# Soup\n\nCut the carrots. Boil them with ginger for twenty minutes. Add cream at the end.\n",
}


def write_all(root: Path, files: dict[str, str]) -> Path:
    """Write files below a folder."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


@pytest.fixture
def pelican(tmp_path: Path) -> Path:
    """A small project: README, docs, source, a table, a log."""
    return write_all(tmp_path / "pelican", PELICAN)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A folder of a person's notes."""
    return write_all(tmp_path / "notes", NOTES)


@pytest.fixture
def chat() -> Callable[..., Chat]:
    """Begin a conversation over a folder."""
    return Chat
