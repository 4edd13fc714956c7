"""``lash tasks``, and tasks of one process as another one sees them (H2)."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from lash_core.cli.output import timestamp
from lash_core.hosts.local_tasks import LocalTaskHost
from lash_core.hosts.task_session import LocalSessionTasks
from lash_hookspecs.records.tasks import TASK_STREAM, TaskRegistration
from lash_process import Folder, Ran

if TYPE_CHECKING:
    from tests.cli.conftest import Lash

STORE = ("--store", "kept:one")
DATABASE = ("--store", "sqlite:///tasks.db")

#: Starts a task that ends when it is asked to, and one that works until it is aborted; tells what became of them.
OWNER = """
import asyncio, json, sys
from lash_core import Lash
from lash_core.hosts.local_tasks import LocalTaskHost
from lash_hookspecs.records.tasks import TaskRegistration

async def polite(context):
    context.progress("listening")
    await context.cancelled.wait()
    return "half of it"

async def busy(context):
    await asyncio.Event().wait()

async def main():
    async with Lash.open("sqlite:///tasks.db") as lash:
        session = await lash.session("s")
        await session.turn("hello")
        host = LocalTaskHost("the owner", poll=0.02)
        tasks = host.attach("s", lash.store.session("s"), database=lash.store)
        await tasks.start(TaskRegistration(task_id="polite", kind="monitor"), polite)
        await tasks.start(TaskRegistration(task_id="busy", cancel_policy="abort"), busy)
        while (await tasks.get("busy")).state == "pending":
            await asyncio.sleep(0.005)
        print("ready", flush=True)
        for task_id in ("polite", "busy"):
            record = await tasks.wait(task_id)
            print(json.dumps([record.task_id, record.state, record.reason, record.result]), flush=True)
        await host.close()

asyncio.run(main())
"""


@pytest.fixture
def kept(lash: Lash, dummies: ModuleType) -> Iterator[LocalSessionTasks]:
    """The tasks of session s: one lives, one has failed; their work is elsewhere."""
    lash("run", "one", "--session", "s", *STORE)
    store = dummies.STORES["kept:one"]
    tasks = LocalTaskHost(clock=lambda: 1_700_000_000_000_000).attach("s", store.session("s"))

    async def prepare() -> None:
        await tasks.register(TaskRegistration(task_id="lives", kind="monitor", producer="me", max_attempts=3))
        await tasks.update("lives", state="waiting", progress="line 7", reason="nothing to do\x1b[31m")
        await tasks.register(TaskRegistration(task_id="failed"))
        await tasks.complete("failed", "failed", failure="OSError: no")

    with asyncio.Runner() as runner:
        runner.run(prepare())
        yield tasks


@contextmanager
def owner(folder: Folder) -> Iterator[subprocess.Popen[str]]:
    """A process that runs two tasks of session s."""
    process = folder.start(sys.executable, "-c", OWNER)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", folder.finish(process).err
        yield process
    finally:
        process.kill()
        folder.finish(process)


@pytest.mark.usefixtures("kept")
def test_tasks_are_listed_with_state_attempt_and_reason(lash: Lash, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 1_700_000_060_000_000_000)
    for arguments in (("s",), ()):
        listed = lash("tasks", "list", *arguments, *STORE)
        assert listed.code == 0
        assert [re.split(r"  +", line) for line in listed.out.splitlines()] == [
            ["SESSION", "TASK", "KIND", "STATE", "ATTEMPT", "LAST HEARD", "REASON"],
            ["s", "lives", "monitor", "waiting", "0/3", "2023-11-14T22:13:20Z", "nothing to do\\x1b[31m"],
            ["s", "failed", "other", "failed", "0", "2023-11-14T22:13:20Z", "OSError: no"],
        ]
    live = json.loads(lash("tasks", "list", "--live", "--json", *STORE).out)
    assert [(row["task_id"], row["state"], row["attempt"]) for row in live] == [("lives", "waiting", 0)]


def test_a_time_that_no_calendar_has_is_a_number() -> None:
    assert timestamp(1_700_000_000_000_000) == "2023-11-14T22:13:20Z"
    assert timestamp(9 * 10**18) == f"{9 * 10**18} µs"
    assert timestamp(10**22) == f"{10**22} µs"


@pytest.mark.usefixtures("kept")
def test_a_task_is_shown_with_all_that_is_known(lash: Lash, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 1_700_000_060_000_000_000)
    shown = lash("tasks", "show", "s", "lives", *STORE).out.splitlines()
    assert {"task id: lives", "producer: me", "progress: line 7", "close policy: keep"} <= set(shown)
    told = json.loads(lash("tasks", "show", "s", "failed", "--json", *STORE).out)
    assert (told["failure"], told["completed_at"], told["holder"]) == ("OSError: no", "2023-11-14T22:13:20Z", None)


def test_a_live_task_is_asked_to_stop_once(
    lash: Lash, kept: LocalSessionTasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 1_700_000_060_000_000_000)
    asked = lash("tasks", "cancel", "s", "lives", "--reason", "enough", *STORE)
    assert (asked.code, asked.out) == (0, "asked task lives of session s to stop; its work is elsewhere\n")
    again = lash("tasks", "cancel", "s", "lives", *STORE)
    assert (again.code, again.out) == (0, "task lives of session s was asked to stop already\n")
    told = json.loads(lash("tasks", "show", "s", "lives", "--json", *STORE).out)
    assert (told["state"], told["reason"]) == ("cancel_requested", "enough")


def test_cancelling_an_ended_task_says_so_and_changes_nothing(
    lash: Lash, kept: LocalSessionTasks, dummies: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 1_700_000_060_000_000_000)
    stream = dummies.STORES["kept:one"].living["s"].streams[TASK_STREAM]
    before = list(stream.rows)
    asked = lash("tasks", "cancel", "s", "failed", *STORE)
    assert (asked.code, asked.out) == (
        0,
        "task failed of session s has ended already, it is failed: nothing was changed\n",
    )
    told = json.loads(lash("tasks", "cancel", "s", "failed", "--json", *STORE).out)
    assert (told["state"], told["changed"]) == ("failed", False)
    assert stream.rows == before


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("verb", ["show", "cancel"])
def test_an_unknown_task_or_session_is_wrong_usage(lash: Lash, verb: str) -> None:
    ran = lash("tasks", verb, "s", "none", "--json", *STORE)
    assert (ran.code, ran.err) == (
        2,
        "lash: session 's' has no task 'none'; `lash tasks list` shows which there are\n",
    )
    assert json.loads(ran.out)["error"]["code"] == "task_missing"
    ran = lash("tasks", verb, "nowhere", "none", *STORE)
    assert (ran.code, ran.err) == (
        2,
        "lash: session 'nowhere' does not exist; `lash sessions list` shows which there are\n",
    )


def test_without_a_store_there_are_no_tasks(lash: Lash, tmp_path: Path) -> None:
    assert (lash("tasks", "list").code, lash("tasks", "list").out) == (0, "")
    assert lash("tasks", "list", "s").code == 2
    assert not (tmp_path / "work/.lash").exists()


def document(ran: Ran) -> dict[str, dict[str, object]]:
    assert ran.code == 0, ran.err
    return {row["task_id"]: row for row in ran.document}


def test_tasks_of_another_process_are_seen_and_cancelled(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with owner(folder) as process:
        seen = document(folder.lash("tasks", "list", "--json", *DATABASE))
        assert {task_id: row["state"] for task_id, row in seen.items()} == {"polite": "running", "busy": "running"}
        assert str(seen["busy"]["holder"]).startswith(f"the owner (pid {process.pid} on ")
        asked = folder.lash("tasks", "cancel", "s", "busy", *DATABASE)
        assert asked.out.startswith(f"asked task busy of session s to stop; it runs in the owner (pid {process.pid} ")
        assert folder.lash("tasks", "cancel", "s", "polite", "--reason", "enough", *DATABASE).code == 0
        ended = folder.finish(process)
    assert ended.code == 0, ended.err
    assert [json.loads(line) for line in ended.out.splitlines()] == [
        ["polite", "cancelled", "cancelled: enough", "half of it"],
        ["busy", "cancelled", "cancelled", None],
    ]
    seen = document(folder.lash("tasks", "list", "--json", *DATABASE))
    assert {task_id: row["state"] for task_id, row in seen.items()} == {"polite": "cancelled", "busy": "cancelled"}


def test_tasks_of_a_killed_process_are_interrupted(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with owner(folder) as process:
        process.send_signal(signal.SIGKILL)
        folder.finish(process)
        before = document(folder.lash("tasks", "list", "s", "--json", *DATABASE))
        cancelled = folder.lash("tasks", "cancel", "s", "busy", *DATABASE)
    assert {row["state"] for row in before.values()} == {"interrupted"}
    assert str(before["busy"]["reason"]).startswith(f"its process ended: the owner (pid {process.pid} on ")
    assert cancelled.out == "task busy of session s has ended already, it is interrupted: nothing was changed\n"
    assert document(folder.lash("tasks", "list", "--json", *DATABASE)) == before
    assert folder.lash("tasks", "list", "--live", *DATABASE).out == ""
