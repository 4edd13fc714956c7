"""A plugin that misbehaves while it is imported or registered is named, and the others are loaded all the same."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from hook_kinds import setup
from lash_core.plugins import PluginManager
from lash_hookspecs.errors import PluginError

if TYPE_CHECKING:
    from lash_core.tests.plugins.conftest import Site

HEAD = """
import sys
from lash_hookspecs import implements
from lash_hookspecs.specs.decisions import ALLOW
from lash_hookspecs.specs.persistence import lash_guard_commit, lash_on_committed
"""

GUARD = """
@implements(lash_guard_commit)
async def guard(context): return ALLOW
"""

OBSERVER = """
@implements(lash_on_committed)
async def hear(context): ...
"""

BROKEN = {
    "raises": ("raise ValueError('not here')", "it cannot be imported: ValueError: not here"),
    "exits": ("sys.exit('not here')", "it cannot be imported: it called sys.exit('not here')"),
    "stops": (
        "class Stop(BaseException): ...\nraise Stop('not here')",
        "it cannot be imported: Stop: not here",
    ),
    "has no text": (
        "class Odd(Exception):\n    def __str__(self): raise self\nraise Odd",
        "it cannot be imported: Odd, whose text cannot be told",
    ),
    "looks around": (
        "class Odd:\n    def __getattr__(self, name): raise ValueError(name)\nodd = Odd()",
        "",
    ),
    "misspells": ("def lash_gard_commit(context): ...\nlash_gard_commit.lash_impl = {}", "hook 'lash_gard_commit'"),
    "takes more": (
        "from lash_hookspecs.specs.turns import lash_guard_turn\n"
        "@implements(lash_guard_turn)\nasync def more(context, other): ...",
        "more(context, other) cannot implement lash_guard_turn(context)",
    ),
}


def add(site: Site, name: str, body: str, hook: str) -> None:
    package = f"dummy_{name}"
    manifest = f'requires_api = "0.1"\nhooks = ["{hook}"]\n'
    site.add(
        f"acme-{name}",
        {name: package},
        {f"{package}/__init__.py": HEAD + body, f"{package}/lash-plugin.toml": manifest},
    )


@pytest.mark.parametrize("how", BROKEN)
async def test_a_guard_that_cannot_be_loaded_stops_the_opening_and_an_observer_is_logged_and_left_out(
    how: str, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    body, reason = BROKEN[how]
    add(site, "well", OBSERVER, "lash_on_committed")
    add(site, "bad", body + OBSERVER, "lash_on_committed")
    manager = PluginManager.discover()
    with caplog.at_level(logging.ERROR, "lash.plugins"):
        hooks = await manager.open_session(setup())
    assert {record.name: record.state for record in manager.records} == {
        "bad": "failed" if reason else "active",
        "well": "active",
    }
    await hooks.close()
    if reason:
        assert "plugin 'bad' (acme-bad 1.0) is not told of what happens" in caplog.messages[0]
        assert reason in caplog.messages[0]
        add(site, "worse", body + GUARD, "lash_guard_commit")
        with pytest.raises(PluginError) as refused:
            await PluginManager.discover().open_session(setup())
        assert reason in str(refused.value)
        assert refused.value.plugin == "worse"


async def test_ctrl_c_while_a_plugin_is_imported_ends_everything(site: Site) -> None:
    add(site, "slow", "raise KeyboardInterrupt" + GUARD, "lash_guard_commit")
    with pytest.raises(KeyboardInterrupt):
        await PluginManager.discover().open_session(setup())
