"""The main job, end to end: two turns about the project's own docs, with a SIGKILL in the middle of the second."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"
SESSION = "demo"
QUESTIONS = (
    "Summarise architecture.md in three sentences",
    'Which file holds "fencing number"?',
    "How many lines has that file?",
)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="lash-demo-") as folder:
        store = f"sqlite:///{folder}/demo.db"
        step(1, "first turn", f"a process asks the offline model: {QUESTIONS[0]}")
        lash("run", QUESTIONS[0], "--session", SESSION, "--root", str(DOCS), store=store)
        step(2, "killed", f"another process asks: {QUESTIONS[1]} … and gets SIGKILL while a tool runs")
        kill_in_the_middle(store)
        lash("sessions", "list", store=store)
        step(3, "continued", "a third process continues the turn where the dead one left it")
        lash("turns", "continue", SESSION, "--root", str(DOCS), store=store)
        step(4, "branched", "a branch back to the first answer, and a follow-up there; the other branch stays")
        lash("sessions", "branch", SESSION, first_answer(store), store=store)
        lash("run", QUESTIONS[2], "--session", SESSION, "--root", str(DOCS), store=store)
        step(5, "tree", "every message and tool call, both branches")
        lash("sessions", "tree", SESSION, store=store)
        step(6, "usage", "what it cost: every response counted once, one lost with its process at most")
        lash("usage", store=store)
    print('\nDone. Go on with:  . .venv/bin/activate  and  lash run "…"')
    return 0


def step(number: int, name: str, what: str) -> None:
    print(f"\n── {number}. {name}: {what}", flush=True)


def lash(*words: str, store: str) -> None:
    print(f"$ lash {' '.join(repr(word) if ' ' in word else word for word in words)}", flush=True)
    subprocess.run([sys.executable, "-m", "lash_core.cli", *words, "--store", store], check=True)


def kill_in_the_middle(store: str) -> None:
    """Run a turn in a process that stands still inside its tool, and kill it there."""
    worker = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("doomed.py")), store, SESSION, QUESTIONS[1], str(DOCS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout is not None
    for line in worker.stdout:
        print(f"  pid {worker.pid}: {line.rstrip()}", flush=True)
        if line.startswith("in the tool"):
            worker.send_signal(signal.SIGKILL)
            break
    worker.stdout.close()
    print(f"  pid {worker.pid}: ended by signal {-worker.wait()} (SIGKILL is {signal.SIGKILL.value})", flush=True)


def first_answer(store: str) -> str:
    """Find the last node of the first turn."""
    shown = subprocess.run(
        [sys.executable, "-m", "lash_core.cli", "sessions", "show", SESSION, "--json", "--store", store],
        check=True,
        capture_output=True,
        text=True,
    )
    nodes = json.loads(shown.stdout)["path"]
    return str([node["node_id"] for node in nodes if node["turn_index"] == 1][-1])


if __name__ == "__main__":
    sys.exit(main())
