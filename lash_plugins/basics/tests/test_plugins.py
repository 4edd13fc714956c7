"""The manifest says what the plugins offer, and finding that out imports next to nothing."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path

from lash_basics import files_plugin, mode_plugin, offline_plugin
from lash_hookspecs.protocols.models import ModelProvider
from lash_hookspecs.protocols.modes import ExecutionMode
from lash_hookspecs.protocols.tools import ToolProvider
from lash_hookspecs.specs.offers import OfferContext, ToolSetup
from lash_hookspecs.version import HOOKSPEC_API, api_satisfies

CONTEXT = OfferContext(api=HOOKSPEC_API)
MANIFEST = tomllib.loads((files("lash_basics") / "lash-plugin.toml").read_text())["plugin"]


def test_the_manifest_names_what_is_offered(tmp_path: Path) -> None:
    mode = mode_plugin.modes(CONTEXT)[0]
    assert MANIFEST["standard-mode"]["offers"]["modes"] == [mode.name]
    assert isinstance(mode.build(), ExecutionMode)
    provider = offline_plugin.providers(CONTEXT)[0]
    assert MANIFEST["offline"]["offers"]["providers"] == list(provider.names)
    assert isinstance(provider.open("offline"), ModelProvider)
    tools = files_plugin.tools(CONTEXT)[0]
    assert MANIFEST["file-tools"]["offers"]["tools"] == [tools.name]
    assert isinstance(tools.build(ToolSetup(session_id="s", root=tmp_path)), ToolProvider)


def test_the_manifest_names_the_hooks_and_an_api_that_is_there() -> None:
    hooks = {name: plugin["hooks"] for name, plugin in MANIFEST.items()}
    assert hooks == {
        "standard-mode": ["lash_offer_modes"],
        "offline": ["lash_offer_providers"],
        "file-tools": ["lash_offer_tools"],
        "compaction": ["lash_rewrite_history"],
    }
    assert all(api_satisfies(HOOKSPEC_API, plugin["requires_api"]) for plugin in MANIFEST.values())


def test_importing_the_plugins_imports_no_pydantic() -> None:
    code = (
        "import sys, lash_basics.mode_plugin, lash_basics.offline_plugin, lash_basics.files_plugin, "
        "lash_basics.compaction_plugin;"
        "print([name for name in ('pydantic', 'asyncio', 'difflib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
