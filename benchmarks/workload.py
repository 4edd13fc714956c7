"""What a session is filled with: turns of five items and 4.5 KB, in the words of the project's own documentation."""

from __future__ import annotations

import functools
import json
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lash_hookspecs.records.model_base import Record
from lash_hookspecs.records.payloads import Message, Payload, TextPart, ToolCallPart, ToolInvocation
from lash_hookspecs.records.tools import ToolCall, ToolResult

ITEMS = 5
#: What a model calls that has no such thing.
_TOOLS = ("read_file", "search", "list_folder", "run_query")


class Workload:
    """Makes turns: a question, two tool calls with their results, an answer. The same seed makes the same turns.

    Args:
        seed: What chance begins with.
        prose: Take passages of Python's own library instead of words in no order: what a model reads and writes.
    """

    def __init__(self, seed: int = 1, *, prose: bool = False) -> None:
        self._random = random.Random(seed)
        self._prose = prose
        docs = Path(__file__).resolve().parent.parent / "docs"
        self._words = re.findall(r"[A-Za-z][a-z]*[,.]?", "".join(p.read_text() for p in sorted(docs.glob("*.md"))))

    def text(self, length: int) -> str:
        """Words as often as the documentation has them, in no order: harder to compress than what people write."""
        if self._prose:
            begin = self._random.randrange(len(library()) - length)
            return library()[begin : begin + length]
        words: list[str] = []
        size = 0
        while size < length:
            words.append(self._random.choice(self._words))
            size += len(words[-1]) + 1
        return " ".join(words)[:length]

    def token(self) -> str:
        """Twelve hex digits that are nowhere else."""
        return f"{self._random.getrandbits(48):012x}"

    def turn(self, index: int) -> list[Payload]:
        """The payloads of a turn: 4.5 KB of JSON on average."""
        calls = [
            ToolCall(call_id=f"call_{self.token()}", tool=tool, arguments={"path": self.text(60), "limit": index})
            for tool in self._random.choices(_TOOLS, k=2)
        ]
        asked = Message(
            role="assistant",
            turn_index=index,
            parts=(TextPart(text=self.text(200)), *(ToolCallPart(call=call) for call in calls)),
        )
        answered: list[Payload] = [
            ToolInvocation(
                turn_index=index,
                result=ToolResult(call_id=call.call_id, tool=call.tool, output=self.text(size), duration_ms=index % 97),
            )
            for call, size in zip(calls, (1500, 700), strict=True)
        ]
        return [
            Message(role="user", turn_index=index, parts=(TextPart(text=self.text(300)),)),
            asked,
            *answered,
            Message(role="assistant", turn_index=index, parts=(TextPart(text=self.text(950)),)),
        ]


@functools.cache
def library() -> str:
    """Give the source of Python's own library, some megabytes of it."""
    files = sorted(Path(json.__file__).parent.parent.glob("*.py"))
    return "".join(file.read_text("utf-8", errors="replace") for file in files)


def documents(payloads: Sequence[Record]) -> list[Any]:
    """The same records as plain JSON documents, for a floor."""
    return [json.loads(payload.to_bytes()) for payload in payloads]


def dumps(document: Any) -> bytes:
    """Encode as a hand-written program would."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
