"""Plugins in single files: found without being imported, and imported like any other."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from lash_core.plugins import PluginManager, PluginRecord, PluginSettings
from lash_hookspecs.errors import PluginError

if TYPE_CHECKING:
    from lash_core.tests.plugins.conftest import Site

HEAD = '# /// lash-plugin\n# requires_api = "0.1"\n#\n# [offers]\n# modes = ["fast"]\n# ///\n'
CODE = """
from lash_hookspecs.markers import implements
from lash_hookspecs.specs.offers import ModeOffer, lash_offer_modes

@implements(lash_offer_modes)
def modes(context):
    return [ModeOffer(name="fast", build=dict)]
"""


def imported() -> list[str]:
    return [name for name in sys.modules if name.startswith("_lash_local_mine_")]


def found(*paths: Path, **settings: bool | tuple[str, ...]) -> PluginManager:
    return PluginManager.discover(PluginSettings(local_plugins=paths, **settings))  # type: ignore[arg-type]


def only(manager: PluginManager) -> PluginRecord:
    (record,) = manager.records
    return record


@pytest.fixture
def file(site: Site, tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "mine.py"
    path.write_text(HEAD + CODE)
    yield path
    for name in imported():
        del sys.modules[name]


def test_a_local_plugin_is_found_without_being_imported_and_imported_when_it_is_needed(file: Path) -> None:
    manager = found(file, file)
    record = only(manager)
    assert (record.identity, record.state, record.value) == ("(local)/mine", "active", str(file))
    assert imported() == []
    assert manager.mode("fast").name == "fast"
    assert len(imported()) == 1
    assert found(file).mode("fast").name == "fast"
    assert len(imported()) == 1


def test_its_version_follows_its_text(file: Path) -> None:
    before = only(found(file)).version
    assert only(found(file)).version == before
    file.write_text(HEAD + CODE + "\n")
    assert only(found(file)).version != before


@pytest.mark.parametrize("settings", [{}, {"allow": ("mine",)}])
def test_a_local_plugin_is_never_used_under_default_deny(file: Path, settings: dict[str, tuple[str, ...]]) -> None:
    manager = found(file, default_deny=True, **settings)
    told = "a local plugin is never imported under [lash.plugins] default-deny"
    assert (only(manager).state, only(manager).reason) == ("disabled", told)
    with pytest.raises(PluginError, match="a local plugin is never imported"):
        manager.mode("fast")


def test_a_local_plugin_must_be_in_the_list_of_what_is_allowed(file: Path) -> None:
    assert only(found(file, allow=("other",))).state == "disabled"
    assert only(found(file, allow=("mine",))).state == "active"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it does not begin with a manifest: comment lines from '# /// lash-plugin' to '# ///'"),
        ("import this\n" + HEAD, "it does not begin with a manifest: comment lines from "),
        ("# /// lash-plugin\n# requires_api = '0.1'\nimport this\n", "its manifest does not end with a line '# ///'"),
        ("# /// lash-plugin\n# requires_api =\n# ///\n", "Invalid value"),
        (
            "# /// lash-plugin\n# requires_api = '0.1'\n# hook = []\n# ///\n",
            "unknown key 'hook'; did you mean 'hooks'?",
        ),
        ("# /// lash-plugin\n# ///\n", "requires_api is missing"),
    ],
)
def test_a_file_without_a_right_manifest_is_a_reason(file: Path, text: str, reason: str) -> None:
    file.write_text(text)
    record = only(found(file))
    assert (record.state, record.reason[: len(f"{file}: {reason}")]) == ("failed", f"{file}: {reason}")


def test_a_file_that_cannot_be_read_is_a_reason_and_hides_no_other(file: Path, tmp_path: Path) -> None:
    (tmp_path / "latin.py").write_bytes(HEAD.encode() + b"# caf\xe9\n")
    (tmp_path / "large.py").write_bytes(b"#" * 5_000_000)
    (tmp_path / "folder.py").mkdir()
    names = ("gone.py", "latin.py", "large.py", "folder.py", "nul\0.py", "mine.py")
    reasons = {record.name: record.reason for record in found(*(tmp_path / name for name in names)).records}
    assert reasons.pop("mine") == ""
    assert {name: reason.removeprefix(f"{tmp_path / f'{name}.py'}: ") for name, reason in reasons.items()} == {
        "gone": f"[Errno 2] No such file or directory: '{tmp_path}/gone.py'",
        "latin": "'utf-8' codec can't decode byte 0xe9 in position 84: invalid continuation byte",
        "large": "it has more than 1,048,576 bytes",
        "folder": f"[Errno 21] Is a directory: '{tmp_path}/folder.py'",
        "nul\0": "embedded null byte",
    }


def test_another_hook_api_is_incompatible(file: Path) -> None:
    file.write_text(HEAD.replace("0.1", "0.2"))
    record = only(found(file))
    assert (record.state, record.reason) == ("incompatible", "needs hook API 0.2; this lash-core implements 0.1")


def test_two_files_of_one_name_are_told_and_the_first_is_used(file: Path, tmp_path: Path) -> None:
    second = tmp_path / "low" / "mine.py"
    second.parent.mkdir()
    second.write_text(HEAD + CODE)
    manager = found(file, second)
    assert {(record.value, record.state, record.reason) for record in manager.records} == {
        (str(file), "active", ""),
        (str(second), "failed", f"two local plugins are named 'mine': {file} and {second}; rename one"),
    }
    assert manager.mode("fast").name == "fast"


def test_a_file_that_fails_at_its_import_is_failed_and_leaves_no_module(file: Path) -> None:
    before = imported()
    file.write_text(HEAD + "import sys; sys.exit(3)")
    with pytest.raises(PluginError) as caught:
        found(file).mode("fast")
    assert caught.value.message.endswith("is failed: it cannot be imported: it called sys.exit(3)")
    assert imported() == before


def test_what_it_implements_is_compared_with_its_manifest(file: Path) -> None:
    file.write_text(HEAD.replace("fast", "slow") + CODE)
    with pytest.raises(PluginError, match=r"offers 'fast', but the manifest's offers.modes names 'slow'"):
        found(file).mode("slow")
