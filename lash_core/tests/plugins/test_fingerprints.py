"""The plugins that a session depends on, and how they changed since its last commit (P8)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from hook_kinds import Said, function, lash_on_words, manager_of, part
from lash_core.plugins import PluginManager, PluginSettings
from lash_core.plugins.fingerprints import PluginChange, PluginChanges, check_policy, compare_plugins
from lash_hookspecs.errors import PolicyError, UnknownName
from lash_hookspecs.protocols.session_plugins import SessionPlugin
from lash_hookspecs.records.state import PluginFingerprint

if TYPE_CHECKING:
    from lash_core.tests.plugins.conftest import Site


def add(site: Site, name: str, manifest: str) -> None:
    site.add(
        f"dist-{name}",
        {name: f"dummy_{name}"},
        {
            f"dummy_{name}/__init__.py": "raise SystemExit",
            f"dummy_{name}/lash-plugin.toml": f'requires_api = "0.1"\n{manifest}',
        },
    )


def names(manager: PluginManager, **asked: object) -> list[str]:
    return [each.name for each in manager.taking_part(**asked)]  # type: ignore[arg-type]


def print_of(name: str, version: str = "1.0", api: str = "0.1") -> PluginFingerprint:
    return PluginFingerprint(distribution=f"dist-{name}", version=version, name=name, api=api)


def test_those_take_part_that_are_called_or_asked_for_by_name_and_none_is_imported(site: Site) -> None:
    add(site, "hook", 'hooks = ["lash_guard_commit"]\nafter = ["tool"]')
    add(site, "mode", '[offers]\nmodes = ["fast"]')
    add(site, "mode2", '[offers]\nmodes = ["slow"]')
    add(site, "part", '[offers]\nsession_plugins = ["notes"]')
    add(site, "provider", '[offers]\nproviders = ["openai"]')
    add(site, "store", '[offers]\nstores = ["redis"]')
    add(site, "tool", '[offers]\ntools = ["clock"]')
    manager = PluginManager.discover()
    assert names(manager) == ["part", "hook"]
    assert names(manager, mode="fast", provider="openai", tool_sets=["clock"]) == [
        "mode",
        "part",
        "provider",
        "tool",
        "hook",
    ]
    assert manager.taking_part(mode="fast")[0] == PluginFingerprint(
        distribution="dist-mode", version="1.0", name="mode", api="0.1"
    )
    assert not [name for name in sys.modules if name.startswith("dummy_")]
    with pytest.raises(UnknownName, match="no mode is named 'fats'; did you mean 'fast'"):
        manager.taking_part(mode="fats")


def test_a_disabled_plugin_takes_no_part(site: Site) -> None:
    add(site, "hook", 'hooks = ["lash_guard_commit"]')
    assert names(PluginManager.discover(PluginSettings(disabled=("hook",)))) == []


def test_an_apps_own_parts_take_part_like_anybody() -> None:
    async def hears(context: Said) -> None: ...

    class Part(SessionPlugin):
        pass

    manager = manager_of(function(lash_on_words, hears), part("notes", lambda _: Part()))
    assert names(manager) == ["hears", "notes"]


def test_equal_sets_have_no_changes() -> None:
    changes = compare_plugins([print_of("a"), print_of("b")], [print_of("a"), print_of("b")])
    assert changes == PluginChanges()
    assert not changes
    assert changes.describe() == ""
    assert not changes.refused_by("strict")


def test_every_change_is_told() -> None:
    stored = [print_of("a"), print_of("b"), print_of("c"), print_of("d")]
    present = [print_of("b", "2.0"), print_of("a"), print_of("e"), print_of("d", api="0.2")]
    changes = compare_plugins(stored, present)
    assert changes == PluginChanges(
        added=(print_of("e"),),
        removed=(print_of("c"),),
        changed=(
            PluginChange(print_of("b"), print_of("b", "2.0")),
            PluginChange(print_of("d"), print_of("d", api="0.2")),
        ),
        reordered=True,
    )
    assert changes.describe() == (
        "added plugin 'e' (dist-e 1.0); removed plugin 'c' (dist-c 1.0); changed plugin 'b' (dist-b 1.0) to 2.0; "
        "changed plugin 'd' (dist-d 1.0) to hook API 0.2 from 0.1; they are called in another order"
    )


def test_changes_as_json() -> None:
    changes = compare_plugins([print_of("a")], [print_of("a", "2.0"), print_of("b")])
    old = {"distribution": "dist-a", "version": "1.0", "name": "a", "api": "0.1"}
    assert changes.to_json() == {
        "added": [{"distribution": "dist-b", "version": "1.0", "name": "b", "api": "0.1"}],
        "removed": [],
        "changed": [{"stored": old, "present": {**old, "version": "2.0"}}],
        "reordered": False,
    }


@pytest.mark.parametrize(
    "present", [[print_of("b"), print_of("a")], [print_of("a")], [print_of("a"), print_of("b", "1.1")]]
)
def test_strict_refuses_any_change_and_compatible_none(present: list[PluginFingerprint]) -> None:
    changes = compare_plugins([print_of("a"), print_of("b")], present)
    assert changes.refused_by("strict")
    assert not changes.refused_by("compatible")


def test_a_policy_that_does_not_exist_is_refused() -> None:
    assert [check_policy("compatible"), check_policy("strict")] == ["compatible", "strict"]
    with pytest.raises(PolicyError, match=r"^plugins: 'loose' is no policy; use 'compatible' or 'strict'$"):
        check_policy("loose")
