"""The main job, as a user does it: a question about a file, and questions that need the answers before."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from lash_process import Folder, Ran

from tests.strict_server import Call, Reply, StrictServer

README = """\
# Lighthouse

Lighthouse keeps a log of every ship that passes the harbour. It was written for keepers who work alone at night.
The log is a plain text file, so a keeper can read it without Lighthouse. Each line of the log names a ship, its port
and the hour. Lighthouse warns the keeper when a ship is late.

## Installation

Copy the folder to the lamp room and start it.
"""
PORTS = "Hull\nLeith\nharbour token kestrel-4711\nCork\nBrest\n"
FIELDS = ["session_id", "turn_index", "outcome", "text", "usage", "head_revision"]
USAGE = ["input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens"]
SUMMARISE = "Summarise README.md in three sentences"
WHICH = "which file holds kestrel-4711?"
LINES = "how many lines has that file?"


@pytest.fixture
def harbour(folder: Folder) -> Folder:
    """A folder with a few files."""
    folder.write(README__md=README, ports__txt=PORTS, ships__csv="name,port\nFreya,Hull\nOdin,Cork\n")
    return folder


def turn(folder: Folder, text: str, *more: str) -> dict[str, Any]:
    ran = folder.lash("run", text, "--session", "s1", "--json", *more)
    assert ran.code == 0, ran.err
    document: dict[str, Any] = ran.document
    return document


def test_three_processes_hold_one_conversation_about_the_files_of_a_folder(harbour: Folder) -> None:
    first, second, third = (turn(harbour, text) for text in (SUMMARISE, WHICH, LINES))
    for index, document in enumerate((first, second, third), 1):
        assert list(document) == FIELDS
        assert list(document["usage"]) == USAGE
        assert (document["session_id"], document["turn_index"], document["outcome"]) == ("s1", index, "finished")
        assert document["usage"]["input_tokens"] > 0
        assert document["usage"]["output_tokens"] > 0
    assert 0 < first["head_revision"] < second["head_revision"] < third["head_revision"]

    assert first["text"].startswith("Summary of README.md: ")
    sentences = re.split(r"(?<=\.)\s+", first["text"].removeprefix("Summary of README.md: "))
    assert len(sentences) == 3
    assert all(" ".join(each.split()) in " ".join(README.split()) for each in sentences)
    assert "ports.txt" in second["text"]
    assert "README.md" not in second["text"]
    assert re.search(r"\b5\b", third["text"])
    assert "ports.txt" in third["text"]


def test_show_lists_the_messages_and_tool_results_of_every_turn_in_order(harbour: Folder) -> None:
    answers = [turn(harbour, text)["text"] for text in (SUMMARISE, WHICH)]
    shown = harbour.lash("sessions", "show", "s1", "--json").document
    assert (shown["session_id"], shown["status"], shown["turns"]) == ("s1", "idle", 2)
    path = shown["path"]
    said = [(node["role"], node["text"]) for node in path if node["kind"] == "message" and node["text"]]
    assert [each for each in said if each[0] == "user"] == [("user", SUMMARISE), ("user", WHICH)]
    assert [text for role, text in said if role == "assistant"][-1] == answers[1]
    assert answers[0] in [text for role, text in said]
    parents = [node["parent_node_id"] for node in path]
    assert parents == [None, *(node["node_id"] for node in path[:-1])]
    assert shown["leaf"] == path[-1]["node_id"]
    assert [node["kind"] for node in path].count("tool") >= 2


def test_a_notice_names_the_offline_model_once_per_session(harbour: Folder) -> None:
    notices = [harbour.lash("run", text, "--session", "s1").paragraphs for text in (SUMMARISE, WHICH)]
    assert len(notices[0]) == 2
    assert notices[0][0] == f"lash: new store at {harbour.path / '.lash' / 'sessions.db'}"
    assert "offline" in notices[0][1]
    assert "--model" in notices[0][1]
    assert notices[1] == []


def through(server: StrictServer, folder: Folder, text: str) -> Ran:
    return folder.lash(
        *("run", text, "--session", "s1", "--json", "--model", "openai:strict"),
        OPENAI_BASE_URL=server.base_url,
        OPENAI_API_KEY="key-of-the-test",
    )


def test_a_real_provider_is_sent_the_earlier_turns_with_their_tool_results_in_order(harbour: Folder) -> None:
    with StrictServer(key="key-of-the-test") as server:
        server.script(
            Reply(tool_calls=[Call("read_file", {"path": "README.md"}, "call_a"), Call("list_files", {}, "call_b")]),
            Reply(text=["It keeps ", "a log."]),
            Reply(tool_calls=[Call("search_text", {"text": "kestrel-4711"}, "call_c")]),
            Reply(text=["ports.txt holds it."]),
            Reply(text=["Five lines."]),
        )
        texts = (SUMMARISE, WHICH, LINES)
        documents = []
        for text in texts:
            ran = through(server, harbour, text)
            assert ran.code == 0, ran.err
            documents.append(ran.document)
        requests = [exchange.body["messages"] for exchange in server.requests]
    assert [list(document) for document in documents] == [FIELDS] * 3
    assert [document["text"] for document in documents] == ["It keeps a log.", "ports.txt holds it.", "Five lines."]
    assert [document["turn_index"] for document in documents] == [1, 2, 3]
    revisions = [document["head_revision"] for document in documents]
    assert sorted(set(revisions)) == revisions
    assert len(requests) == 5

    last = [message for message in requests[4] if message["role"] != "system"]
    assert [message["role"] for message in last] == [
        *("user", "assistant", "tool", "tool", "assistant"),
        *("user", "assistant", "tool", "assistant"),
        "user",
    ]
    assert [message["content"] for message in last if message["role"] == "user"] == list(texts)
    assert [call["id"] for call in last[1]["tool_calls"]] == ["call_a", "call_b"]
    assert [message["tool_call_id"] for message in last if message["role"] == "tool"] == ["call_a", "call_b", "call_c"]
    assert "keepers who work alone" in last[2]["content"]
    assert "ports.txt" in last[3]["content"]
    assert (last[4]["content"], last[8]["content"]) == ("It keeps a log.", "ports.txt holds it.")
    for earlier, later in itertools.pairwise(requests):
        assert later[: len(earlier)] == earlier, "what was sent once is sent again, unchanged"

    path = harbour.lash("sessions", "show", "s1", "--json").document["path"]
    assert [
        (node["kind"], node.get("role"), node.get("turn_index")) for node in path if node.get("role") == "user"
    ] == [
        ("message", "user", 1),
        ("message", "user", 2),
        ("message", "user", 3),
    ]
    assert [node["text"] for node in path if node["kind"] == "message" and node["text"]] == [
        *(SUMMARISE, "It keeps a log."),
        *(WHICH, "ports.txt holds it."),
        *(LINES, "Five lines."),
    ]
    assert [node["result"]["call_id"] for node in path if node["kind"] == "tool"] == ["call_a", "call_b", "call_c"]
