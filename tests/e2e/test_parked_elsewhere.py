"""Sessions that one process parks and another one, with other plugins, resumes (L7, L8, P8)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from lash_process import Folder

#: Runs a first turn in each session and parks it; the handles go to a file, one a line.
PARKS = """
import asyncio, json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from parked_sessions import Places

async def main():
    async with Places.opened(Path("x.db")) as places:
        handles = [await places.parked(number) for number in range(int(sys.argv[2]))]
    Path("handles.jsonl").write_text("".join(json.dumps(handle) + "\\n" for handle in handles))

asyncio.run(main())
"""
#: Resumes each of them with the plugins of a later day; what becomes of it goes to stdout, one a line.
RESUMES = """
import asyncio, json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from parked_sessions import Places

async def main():
    async with Places.opened(Path("x.db")) as places:
        for number, line in enumerate(Path("handles.jsonl").read_text().splitlines()):
            print(json.dumps(await places.resumed(number, json.loads(line))))

asyncio.run(main())
"""
#: Deletes each of them.
DELETES = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from parked_sessions import Places

async def main():
    async with Places.opened(Path("x.db")) as places:
        for number in range(int(sys.argv[2])):
            await places.delete(f"s{number}")

asyncio.run(main())
"""
SUPPORT = Path(__file__).parents[1] / "support"
#: Who was there when session ``n`` (modulo 4) was parked, and who is when it is resumed: names with versions.
PARKED = ({"counter": "1.0"}, {"counter": "1.0", "note": "1.0"}, {"note": "1.0"}, {"counter": "2.0"})
RESUMED = ({"counter": "2.0"}, {"counter": "1.0"}, {"counter": "2.0", "note": "1.0"}, {"note": "1.0"})


def expected(number: int) -> dict[str, Any]:
    before, now = PARKED[number % 4], RESUMED[number % 4]
    return {
        "session_id": f"s{number}",
        "texts": [f"hello {number}:look,pay", f"answer to hello {number}:look,pay"],
        "counter": 2 if "counter" in before and "counter" in now else 0 if "counter" in now else None,
        "overrides": {"look": "callable"},
        "added": sorted(now.keys() - before.keys()),
        "removed": sorted(before.keys() - now.keys()),
        "changed": {
            name: [before[name], now[name]] for name in before.keys() & now.keys() if before[name] != now[name]
        },
        "new_tools": ["new"],
        "vanished_tools": ["old"],
        "kept_snapshots": sorted(f"plugin/acme-{name}/{name}/{name}" for name in before.keys() - now.keys()),
        "answer": "answer to again:new",
    }


def results(folder: Folder, count: int) -> list[dict[str, Any]]:
    ran = folder.script(RESUMES, SUPPORT)
    assert ran.code == 0
    assert all("which takes no part now: it is not installed" in line for line in ran.err.splitlines())
    found = [json.loads(line) for line in ran.out.splitlines()]
    assert len(found) == count
    return found


def park(folder: Folder, count: int) -> None:
    ran = folder.script(PARKS, SUPPORT, count)
    assert (ran.code, ran.err) == (0, "")


def check(folder: Folder, count: int) -> None:
    """Park, resume, then go back to an older database, then to one in which the sessions are deleted."""
    park(folder, count)
    handles = (folder.path / "handles.jsonl").read_text().splitlines()
    assert len(handles) == count
    assert max(map(len, handles)) <= 2_048
    early = folder.path / "early.db"
    shutil.copy(folder.path / "x.db", early)
    resumed = results(folder, count)
    newer = [json.dumps(each.pop("handle")) + "\n" for each in resumed]
    assert resumed == [expected(number) for number in range(count)]
    shutil.copy(early, folder.path / "x.db")
    (folder.path / "handles.jsonl").write_text("".join(newer))
    regressed = results(folder, count)
    assert regressed == [{"session_id": f"s{number}", "error": "StoreRegressed"} for number in range(count)]
    assert folder.script(DELETES, SUPPORT, count).code == 0
    deleted = results(folder, count)
    assert deleted == [{"session_id": f"s{number}", "error": "SessionDeleted"} for number in range(count)]


def test_of_100_parked_sessions_each_is_resumed_elsewhere_with_what_changed(folder: Folder) -> None:
    check(folder, 100)


@pytest.mark.full
def test_of_1000_parked_sessions_each_is_resumed_elsewhere_with_what_changed(folder: Folder) -> None:
    check(folder, 1_000)
