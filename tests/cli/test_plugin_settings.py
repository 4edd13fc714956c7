"""A plugin's own settings, from the file to the plugin and to `lash plugins config`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Install, Lash

MODULE = """
from lash_hookspecs.markers import implements
from lash_hookspecs.protocols.session_plugins import SessionPlugin
from lash_hookspecs.specs.offers import SessionPluginOffer, lash_offer_session_plugins
from kept_dummy.settings import Kept

SEEN = []

class Part(SessionPlugin):
    pass

@implements(lash_offer_session_plugins)
def parts(context):
    SEEN.append(context.settings_as(Kept))
    def build(setup):
        SEEN.append(setup.settings_as(Kept))
        return Part()
    return [SessionPluginOffer(name="part", build=build)]
"""
MODEL = """
from pydantic import BaseModel, SecretStr

class Kept(BaseModel):
    days: int = 3
    password: SecretStr = SecretStr("none")
"""
MANIFEST = """
requires_api = "0.1"
[offers]
session_plugins = ["part"]
[settings]
model = "kept_dummy.settings:Kept"
"""
RUN = ("run", "hello", "--store", "kept:a", "--session", "s1")


@pytest.fixture
def kept(install: Install) -> str:
    """A plugin with a model for its settings, and one without."""
    install("other", "raise SystemExit", 'requires_api = "0.1"\n[offers]\nmodes = ["never"]\n')
    package = install("kept", MODULE, MANIFEST)
    Path(install.site, package, "settings.py").write_text(MODEL)
    return package


def test_offers_and_parts_of_sessions_get_one_object_that_the_model_made(lash: Lash, kept: str) -> None:
    Path("lash.toml").write_text("[lash.plugin.kept]\ndays = 7\n")
    assert lash(*RUN).code == 0
    seen = sys.modules[kept].SEEN
    assert len(seen) >= 2
    assert {id(each) for each in seen} == {id(seen[0])}
    assert seen[0].days == 7


def test_wrong_settings_stop_a_session_and_spare_what_needs_no_plugin(lash: Lash, kept: str) -> None:
    Path("lash.toml").write_text("[lash.plugin.kept]\ndasy = 7\n")
    ran = lash(*RUN)
    file = Path("lash.toml").absolute()
    told = f"{file}: unknown key 'lash.plugin.kept.dasy'; did you mean 'days'?"
    assert (ran.code, ran.err) == (2, f"lash: plugin 'kept' (kept 1.0) is failed: {told}\n")
    assert lash("sessions", "list", "--store", "kept:a").code == 0
    assert lash("plugins", "config", "kept").err == ran.err


def test_config_shows_values_and_explains_them_importing_that_plugin_alone(
    lash: Lash, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("lash.toml").write_text("[lash.plugin.kept]\ndays = 7\n")
    monkeypatch.setenv("LASH_PLUGIN__KEPT__PASSWORD", "swordfish")
    assert lash("plugins", "config", "kept").out == "KEY       VALUE\ndays      7\npassword  **********\n"
    explained = lash("plugins", "config", "kept/kept", "--explain")
    assert [line.split() for line in explained.out.splitlines()] == [
        ["KEY", "VALUE", "FROM"],
        ["days", "7", str(Path("lash.toml").absolute())],
        ["password", "**********", "LASH_PLUGIN__KEPT__PASSWORD"],
    ]
    assert json.loads(lash("plugins", "config", "kept", "--json").out) == {
        "name": "kept",
        "distribution": "kept",
        "model": "kept_dummy.settings:Kept",
        "settings": [
            {"key": "days", "value": 7, "source": str(Path("lash.toml").absolute())},
            {"key": "password", "value": "**********", "source": "LASH_PLUGIN__KEPT__PASSWORD"},
        ],
    }
    assert kept in sys.modules
    assert "other_dummy" not in sys.modules


def test_config_of_a_plugin_without_a_model_names_what_is_set_and_imports_nothing(lash: Lash, kept: str) -> None:
    assert lash("plugins", "config", "other").err == "plugin 'other' (other 1.0) has no settings\n"
    Path("pyproject.toml").write_text('[tool.lash.plugin.other]\ntoken = "swordfish"\n')
    shown = lash("plugins", "config", "other", "--explain")
    assert [line.split() for line in shown.out.splitlines()[1:]] == [
        ["token", "(set)", str(Path("pyproject.toml").absolute())]
    ]
    assert "swordfish" not in lash("plugins", "config", "other", "--json").out


def test_config_of_a_plugin_that_is_not_there_says_so(lash: Lash, kept: str) -> None:
    ran = lash("plugins", "config", "kpet")
    assert ran.code == 2
    assert ran.err == (
        "lash: no plugin is named 'kpet'; did you mean 'kept'? `lash plugins list` shows which there are\n"
    )


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("kept_dummy.nowhere:Kept", "cannot be imported: ModuleNotFoundError: No module named 'kept_dummy.nowhere'"),
        ("kept_dummy:implements", "is not a pydantic model"),
    ],
)
def test_a_model_that_is_none_is_told(lash: Lash, kept: str, install: Install, model: str, told: str) -> None:
    manifest = Path(install.site, kept, "lash-plugin.toml")
    manifest.write_text(MANIFEST.replace("kept_dummy.settings:Kept", model))
    ran = lash("plugins", "config", "kept")
    assert ran.err == f"lash: plugin 'kept' (kept 1.0) is failed: its settings model {model!r} {told}\n"


def test_a_model_that_no_reference_names_is_a_wrong_manifest(lash: Lash, kept: str, install: Install) -> None:
    manifest = Path(install.site, kept, "lash-plugin.toml")
    manifest.write_text(MANIFEST.replace("kept_dummy.settings:Kept", "Kept"))
    (listed,) = [each for each in json.loads(lash("plugins", "list", "--json").out) if each["name"] == "kept"]
    assert listed["reason"] == (
        "kept_dummy/lash-plugin.toml: settings.model must be of the form 'package.module:Model', not 'Kept'"
    )
