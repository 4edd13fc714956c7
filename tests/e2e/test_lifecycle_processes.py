"""A session is parked in one process and resumed in another, which knows its handle and the store's address."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LIVES = """
import asyncio, json, sys

from lash_core import LashRuntime, ParkedSession, Residency, RuntimeEnvironment, SessionSpec
from lash_core.app import open_backend
from lash_core.builtins import BUILTINS
from lash_core.plugins.manager import PluginManager
from lash_core.runtime.state import load_persisted_state
from lash_hookspecs.errors import LashError
from lash_hookspecs.records.payloads import Message
from lash_hookspecs.records.turn import TurnInput, TurnLimits


async def live(url, residency, handle, says, branch):
    manager = PluginManager.discover(builtins=BUILTINS)
    store = await open_backend(manager, url, True)
    env = RuntimeEnvironment(plugins=manager, store=store, residency=Residency(residency), tool_sets=())
    try:
        if handle is None:
            runtime = await LashRuntime.from_environment(env, SessionSpec(session_id="s", model="offline"))
        else:
            runtime = await LashRuntime.resume(ParkedSession.from_json(handle), env)
        for text in says:
            await runtime.turn(TurnInput(text=text), TurnLimits(), lambda event: None)
        if branch:
            await runtime.branch_to(runtime.path[branch].node_id)
        said = [item.payload.text for item in runtime.items if isinstance(item.payload, Message)]
        told = {"resident": runtime.resident_node_count, "users": said[::2], "turns": runtime.view().turn_index}
        return {**told, "handle": (await runtime.park()).to_json()}
    except LashError as error:
        return {"error": error.code}
    finally:
        await store.close()


print(json.dumps(asyncio.run(live(**json.load(sys.stdin)))))
"""


def live(folder: Path, handle: Any, *says: str, residency: str = "keep_all", branch: int = 0, db: str = "a.db") -> Any:
    """Let a process of its own resume the handle (or open the session), take turns and park."""
    wanted = {"residency": residency, "handle": handle, "says": says, "branch": branch}
    done = subprocess.run(
        [sys.executable, "-c", LIVES],
        input=json.dumps({"url": f"sqlite:///{folder / db}", **wanted}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(("residency", "resident"), [("keep_all", 8), ("active_path_only", 4)])
def test_a_session_is_resumed_in_another_process_with_either_residency(
    tmp_path: Path, residency: str, resident: int
) -> None:
    first = live(tmp_path, None, "one", "two", "three", branch=1)
    assert (first["users"], first["turns"]) == (["one"], 3)
    second = live(tmp_path, first["handle"], "four", residency=residency)
    assert second["users"] == ["one", "four"]
    assert (second["resident"], second["turns"]) == (resident, 4)
    third = live(tmp_path, second["handle"], residency=residency)
    assert (third["users"], third["resident"]) == (["one", "four"], resident)


def test_a_handle_in_front_of_another_store_is_refused(tmp_path: Path) -> None:
    handle = live(tmp_path, None, "one")["handle"]
    assert live(tmp_path, handle, "two", db="b.db") == {"error": "session_missing"}
    (tmp_path / "old.db").write_bytes((tmp_path / "a.db").read_bytes())
    later = live(tmp_path, handle, "two")["handle"]
    assert live(tmp_path, later, db="old.db") == {"error": "store_regressed"}
