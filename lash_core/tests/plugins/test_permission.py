"""What the settings allow, require and forbid, decided before any import (P3)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from lash_core.builtins import BUILTINS
from lash_core.plugins import PluginManager, PluginSettings
from lash_hookspecs.errors import PluginError
from lash_hookspecs.specs.offers import SessionSetup

if TYPE_CHECKING:
    from lash_core.tests.plugins.conftest import Site

NOBODY: Any = object()
FILE = Path("/home/ann/lash.toml")


def states(**settings: Any) -> dict[str, str]:
    """The states of the plugins that are no part of the app."""
    manager = PluginManager.discover(PluginSettings(file=FILE, **settings), builtins=BUILTINS)
    return {record.identity: record.state for record in manager.records if record.origin != "app"}


def reason(**settings: Any) -> str:
    """Why dist-a/fast is not used."""
    manager = PluginManager.discover(PluginSettings(file=FILE, **settings))
    return next(record.reason for record in manager.records if record.identity == "dist-a/fast")


@pytest.fixture
def two(site: Site) -> None:
    """Two plugins of one distribution, and one of another."""
    tables = "".join(
        f'[plugin.{name}]\nrequires_api = "0.1"\n[plugin.{name}.offers]\nmodes = ["{name}"]\n'
        for name in ("fast", "slow")
    )
    files = {"dummy_a/__init__.py": "raise SystemExit('imported')", "dummy_a/lash-plugin.toml": tables}
    site.add("dist-a", {"fast": "dummy_a", "slow": "dummy_a"}, files)
    site.add_mode("dist-b", "other")


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize("word", ["other", "dist-b", "Dist_B", "dist-b/other", "DIST.b/other"])
def test_a_plugin_is_meant_by_its_name_its_distribution_or_both(word: str) -> None:
    assert states(deny=(word,)) == {"dist-a/fast": "active", "dist-a/slow": "active", "dist-b/other": "disabled"}
    assert states(allow=(word,)) == {"dist-a/fast": "disabled", "dist-a/slow": "disabled", "dist-b/other": "active"}


@pytest.mark.usefixtures("two")
def test_a_distribution_means_all_of_its_plugins_and_its_name_with_a_plugin_one() -> None:
    assert states(disabled=("dist-a",)) == {
        "dist-a/fast": "disabled",
        "dist-a/slow": "disabled",
        "dist-b/other": "active",
    }
    assert states(disabled=("dist-a/slow",))["dist-a/fast"] == "active"
    assert states(disabled=("dist-b/slow", "dist-a/", "/slow")) == dict.fromkeys(states(), "active")


@pytest.mark.usefixtures("two")
def test_default_deny_leaves_what_allow_names_and_the_apps_own_parts() -> None:
    assert states(default_deny=True) == dict.fromkeys(states(), "disabled")
    assert states(default_deny=True, allow=("other",))["dist-b/other"] == "active"
    manager = PluginManager.discover(PluginSettings(default_deny=True), builtins=BUILTINS)
    assert manager.store("memory").schemes == ("memory",)
    assert not {name for name in sys.modules if name.startswith("dummy_")}


@pytest.mark.usefixtures("two")
def test_an_empty_list_of_what_is_allowed_allows_nothing() -> None:
    assert states(allow=()) == dict.fromkeys(states(), "disabled")


@pytest.mark.usefixtures("two")
def test_what_is_denied_is_not_allowed_and_the_reason_names_setting_and_file() -> None:
    assert reason(allow=("fast",), deny=("fast",)) == f"listed in [lash.plugins] deny of {FILE}"
    assert reason(allow=("fast",), disabled=("fast",)) == f"listed in [lash.plugins] disabled of {FILE}"
    assert reason(allow=("other",)) == f"not listed in [lash.plugins] allow of {FILE}"
    assert reason(default_deny=True) == (
        f"not listed in [lash.plugins] allow of {FILE}, and [lash.plugins] default-deny of {FILE} is on"
    )
    assert reason(deny=("fast",), table="tool.lash.plugins") == f"listed in [tool.lash.plugins] deny of {FILE}"


@pytest.mark.usefixtures("two")
def test_an_apps_own_part_can_be_denied_by_name() -> None:
    manager = PluginManager.discover(PluginSettings(deny=("memory-store",)), builtins=BUILTINS)
    with pytest.raises(PluginError, match=r"is disabled: listed in \[lash.plugins\] deny$"):
        manager.store("memory")


def needed(**settings: Any) -> str:
    """What whoever asks for a store of the app's own is told."""
    manager = PluginManager.discover(PluginSettings(file=FILE, **settings), builtins=BUILTINS)
    told = [error.message for error in manager.requirements()]
    with pytest.raises(PluginError) as caught:
        manager.store("memory")
    with pytest.raises(PluginError):
        manager.tools()
    assert caught.value.message == told[0]
    return told[0]


REQUIRED = f"is required by [lash.plugins] required of {FILE}"


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("zoo/elephant", f"plugin 'zoo/elephant' {REQUIRED}, and not installed. Install it with: pip install 'zoo'"),
        (
            "fsat",
            f"plugin 'fsat' {REQUIRED}, and not installed; did you mean 'fast'? "
            "Install it with: pip install 'fsat', or whatever distribution ships it",
        ),
    ],
)
def test_a_required_plugin_that_is_missing_stops_everything_with_the_cure(word: str, told: str) -> None:
    assert needed(required=("other", word)) == told


def test_a_required_plugin_that_cannot_be_used_stops_everything_with_the_cure(site: Site) -> None:
    site.add_mode("dist-a", "fast")
    site.add("dist-b", {"old": "dummy_b"}, {"dummy_b/lash-plugin.toml": 'requires_api = "0.2"'})
    site.add("dist-c", {"broken": "dummy_gone"})
    assert needed(required=("fast",), disabled=("dist-a",)) == (
        f"plugin 'fast' (dist-a 1.0) {REQUIRED}, but disabled: listed in [lash.plugins] disabled of {FILE}. "
        "Enable it with: lash plugins enable dist-a/fast"
    )
    assert needed(required=("fast",), deny=("fast",)).endswith("Change that setting, or take it out of required.")
    assert needed(required=("dist-b",)) == (
        f"plugin 'old' (dist-b 1.0) {REQUIRED}, but incompatible: needs hook API 0.2; this lash-core implements 0.1. "
        "Update it or lash-core: pip install -U 'dist-b' lash-core"
    )
    assert needed(required=("broken",)).endswith(
        "but failed: its package 'dummy_gone' cannot be found. Mend or update it, or take it out of required."
    )


def test_a_required_tool_set_that_fails_at_its_import_is_not_left_out(site: Site) -> None:
    files = {
        "dummy_a/__init__.py": "raise RuntimeError('no')",
        "dummy_a/lash-plugin.toml": 'requires_api = "0.1"\n[offers]\ntools = ["dice"]\n',
    }
    site.add("dist-a", {"dice": "dummy_a"}, files)
    assert PluginManager.discover().tools() == []
    with pytest.raises(PluginError, match="it cannot be imported: RuntimeError: no"):
        PluginManager.discover(PluginSettings(required=("dice",))).tools()


async def test_a_required_observer_that_fails_at_its_import_stops_the_opening_of_a_session(site: Site) -> None:
    files = {
        "dummy_a/__init__.py": "raise RuntimeError('no')",
        "dummy_a/lash-plugin.toml": 'requires_api = "0.1"\nhooks = ["lash_on_committed"]\n',
    }
    site.add("dist-a", {"audit": "dummy_a"}, files)
    setup = SessionSetup(
        session_id="s1", parent_session_id=None, mode="m", root=Path(), capabilities=frozenset(), services=NOBODY
    )
    await (await PluginManager.discover().open_session(setup)).close()
    with pytest.raises(PluginError, match="it cannot be imported: RuntimeError: no"):
        await PluginManager.discover(PluginSettings(required=("audit",))).open_session(setup)
