"""Where records go: whole lines, whoever else appends."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from lash_core.tracing import JsonLinesSink, MemorySink
from lash_hookspecs.errors import ConfigurationError
from lash_hookspecs.protocols.tracing import TraceSink
from lash_hookspecs.records.traces import TraceContext, TraceRecord

WRITER = """
import sys
from lash_core.tracing import JsonLinesSink
from lash_hookspecs.records.traces import TraceRecord
sink = JsonLinesSink(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for number in range(60):
    sink.write(TraceRecord(record_id=sys.argv[2] + str(number), timestamp=0, event="e", fields={"long": "x" * 70_000}))
sink.close()
"""


def record(event: str = "event") -> TraceRecord:
    return TraceRecord(record_id="1", timestamp=7, event=event, context=TraceContext(session_id="s"))


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_record_is_a_line_and_is_in_the_file_at_once(tmp_path: Path) -> None:
    sink: TraceSink = JsonLinesSink(tmp_path / "t.jsonl")
    sink.write(record())
    assert lines(tmp_path / "t.jsonl") == [
        {
            "schema_version": 1,
            "record_id": "1",
            "timestamp": 7,
            "event": "event",
            "context": {"session_id": "s"},
            "fields": {},
        }
    ]
    sink.close()


def test_folders_are_made_and_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "t.jsonl"
    JsonLinesSink(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_trace_is_continued(tmp_path: Path) -> None:
    for event in ("one", "two"):
        sink = JsonLinesSink(tmp_path / "t.jsonl")
        sink.write(record(event))
        sink.close()
    assert [line["event"] for line in lines(tmp_path / "t.jsonl")] == ["one", "two"]


def test_closing_twice_is_closing_once_and_nothing_is_written_afterwards(tmp_path: Path) -> None:
    sink = JsonLinesSink(tmp_path / "t.jsonl")
    sink.close()
    reused = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
    sink.close()
    os.fstat(reused)  # the second close took nobody else's descriptor away
    os.close(reused)
    with pytest.raises(ConfigurationError, match="was closed already"):
        sink.write(record())


def test_a_file_that_is_no_trace_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes")
    with pytest.raises(ConfigurationError) as caught:
        JsonLinesSink(path)
    assert caught.value.message == f"{path} exists and is no trace; name another file"
    assert path.read_text() == "my notes"


def test_a_file_that_cannot_be_opened_is_named_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        JsonLinesSink(tmp_path)
    assert caught.value.message == f"the trace file {tmp_path} cannot be opened: Is a directory"
    (tmp_path / "file").write_text("{}")
    with pytest.raises(ConfigurationError) as caught:
        JsonLinesSink(tmp_path / "file" / "t.jsonl")
    path = tmp_path / "file"
    assert caught.value.message == f"the trace file {path / 't.jsonl'} cannot be opened: {path}: File exists"


def test_a_torn_line_takes_no_other_line_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = JsonLinesSink(tmp_path / "t.jsonl")
    sink.write(record("before"))
    whole = os.write
    monkeypatch.setattr(os, "write", lambda file, line: whole(file, line[:20]))
    with pytest.raises(OSError, match="a part of the line could not be written"):
        sink.write(record("torn"))
    monkeypatch.setattr(os, "write", whole)
    sink.write(record("after"))
    sink.close()
    found = (tmp_path / "t.jsonl").read_text().splitlines()
    assert [json.loads(found[at])["event"] for at in (0, 2)] == ["before", "after"]


def test_two_processes_append_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name in ("a", "b")
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    found = [str(line["record_id"]) for line in lines(path)]
    assert sorted(found) == sorted(f"{name}{number}" for name in "ab" for number in range(60))
    assert [each for each in found if each.startswith("a")] == [f"a{number}" for number in range(60)]


def test_a_memory_sink_keeps_what_it_gets() -> None:
    sink = MemorySink()
    sink.write(record("one"))
    sink.close()
    assert (sink.events, sink.closed) == (["one"], True)
