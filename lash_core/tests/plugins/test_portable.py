"""A plugin manager told as JSON and built again elsewhere, with all that the settings say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
from lash_core.builtins import BUILTINS
from lash_core.plugins import PluginManager, PluginSettings
from lash_core.plugins.portable import describe, rebuilt

if TYPE_CHECKING:
    from lash_core.tests.plugins.conftest import Site


def test_a_manager_is_built_again_from_json_with_or_without_what_may_be_secret(site: Site, tmp_path: Path) -> None:
    settings = PluginSettings(
        allow=("lash-core",),
        deny=("x",),
        default_deny=True,
        required=("memory-store",),
        disabled=("y",),
        local_plugins=(tmp_path / "own.py",),
        locked=True,
        file=tmp_path / "lash.toml",
        settled={"modes": {"fast": "dist-a"}},
        tables={"own": {"list": ["a"], "password": "canary"}},
        variables={"LASH_PLUGIN__OWN__TOKEN": "canary"},
    )
    plain = PluginSettings()
    unset = [
        field.name
        for field in attrs.fields(PluginSettings)
        if getattr(settings, field.name) == getattr(plain, field.name)
    ]
    assert unset == ["table"], "each setting is told"
    manager = PluginManager.discover(settings, builtins=BUILTINS)
    told = json.dumps(describe(manager, secrets=True))
    again = rebuilt(json.loads(told), None)
    assert again.found == (settings, BUILTINS)
    assert [record.identity for record in again.records] == [record.identity for record in manager.records]
    less = json.dumps(describe(manager, secrets=False))
    assert "canary" not in less
    assert rebuilt(json.loads(less), settings).found == (settings, BUILTINS)
