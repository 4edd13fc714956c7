"""A plugin written against each version of the hook API runs in this one, unchanged (P9)."""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from lash_core.builtins import BUILTINS
from lash_core.plugins import PluginManager
from lash_hookspecs.specs.offers import CommandSetup

from lash_core import Agent, Lash
from tests.specs.gate import snapshots

HERE = Path(__file__).parent

#: Version → the digest of its plugin. The plugin stands for those that strangers wrote, which nobody can edit: when a
#: change of Lash makes it fail, the change is wrong, not the plugin. Only while its version is not published may both
#: be mended together.
DIGESTS = {
    "0.1": "32ca45a209669c65b7ec70ba8faab5f66d552f007b87604cf5d139778472b1ae",
}


def folder_of(version: str) -> Path:
    return HERE / f"api_{version.replace('.', '_')}"


def digest_of(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(folder).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


@pytest.fixture
def frozen(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The plugin of a version, installed."""
    folder = folder_of(request.param)
    name = f"lash_frozen_{request.param.replace('.', '_')}"
    monkeypatch.syspath_prepend(str(folder))
    yield importlib.import_module(name)
    for module in [each for each in sys.modules if each.partition(".")[0] == name]:
        del sys.modules[module]


def test_each_version_has_a_plugin() -> None:
    assert [snapshot.version for snapshot in snapshots()] == list(DIGESTS)


@pytest.mark.parametrize("version", DIGESTS)
def test_the_plugin_is_as_it_was_written(version: str) -> None:
    assert digest_of(folder_of(version)) == DIGESTS[version], (
        f"{folder_of(version).name} was edited. It stands for plugins that nobody can edit: take the edit back"
    )


@pytest.mark.parametrize("frozen", DIGESTS, indirect=True)
async def test_a_plugin_of_each_version_runs_unchanged(frozen: Any) -> None:
    manager = PluginManager.discover(builtins=BUILTINS)
    assert [(record.state, record.reason) for record in manager.records if record.name == "frozen"] == [("active", "")]
    agent = Agent(model="frozen", mode="frozen", tool_sets=["frozen"])
    for run in range(2):
        async with Lash.open("frozen:here", agent=agent, plugins=manager, host="frozen", create=not run) as lash:
            session = await lash.session("s")
            assert (await session.turn("Go on.")).text == "it is 42; guided"
            assert await session.invoke("frozen.raise", {"by": 5}) == 105 + 5 * run
            refused = await session.turn("closed")
            assert (refused.outcome, refused.reason) == ("stopped", "denied")
            assert "it is closed" in refused.message
            await session.park()
    ran = CliRunner().invoke(manager.command("frozen").build(CommandSetup(store="frozen:here")))
    assert (ran.exit_code, ran.output) == (0, "frozen at frozen:here\n")
    assert [line.rpartition(" at ")[0] for line in frozen.TOLD] == ["s finished"] * 2
