"""Trains the dictionary of the SQL stores' compression on the project's own text; give it the file to write.

A dictionary that was released is never replaced: what it packed could not be read any more. A better one gets a number
of its own in `lash_store_sql.packing`.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import zstandard
from lash_hookspecs.records.payloads import Message, Payload, TextPart, ToolCallPart, ToolInvocation
from lash_hookspecs.records.state import CommitDocument, PluginFingerprint
from lash_hookspecs.records.tools import ToolCall, ToolResult

ROOT = Path(__file__).resolve().parent.parent
SIZE = 64 * 1024


def text_of(pattern: str) -> str:
    """All files of the repository that match."""
    found = (path for path in sorted(ROOT.rglob(pattern)) if not {".venv", "site"}.intersection(path.parts))
    return "\n".join(path.read_text(encoding="utf-8") for path in found)


def payloads(prose: str, code: str) -> list[Payload]:
    """Payloads as sessions have them, with passages of the text."""
    chance = random.Random(1)
    made: list[Payload] = []
    for at in range(0, len(prose) - 900, 450):
        passage, turn, source = prose[at : at + 900], chance.randrange(200), code[at % len(code) :][:1500]
        call = ToolCall(
            call_id=f"call_{chance.getrandbits(48):012x}", tool="read_file", arguments={"path": passage[:40]}
        )
        result = ToolResult(call_id=call.call_id, tool=call.tool, output=source, duration_ms=chance.randrange(99))
        made += [
            Message(role=chance.choice(("user", "assistant")), turn_index=turn, parts=(TextPart(text=passage),)),
            Message(role="assistant", turn_index=turn, parts=(TextPart(text=passage[:200]), ToolCallPart(call=call))),
            ToolInvocation(turn_index=turn, result=result),
        ]
    return made


def main() -> None:
    """Write the dictionary."""
    samples: list[Any] = [payload.to_bytes() for payload in payloads(text_of("*.md"), text_of("src/*/*.py"))]
    plugins = tuple(
        PluginFingerprint(distribution=name, version="0.1.0", name=name, api="1.0")
        for name in ("lash-core", "lash-basics", "lash-store-sql")
    )
    samples += [
        CommitDocument(step=step, turn_index=turn, plugins=plugins).to_bytes()
        for turn in range(200)
        for step in ("input", "boundary", "final")
    ]
    Path(sys.argv[1]).write_bytes(zstandard.train_dictionary(SIZE, samples).as_bytes())


if __name__ == "__main__":
    main()
