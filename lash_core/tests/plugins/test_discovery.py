"""Discovery: what is found, in which state, for which reason; nothing is imported (P1, P2, P5, P9)."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from lash_core.plugins import Manifest, PluginManager, PluginRecord, PluginSettings
from lash_hookspecs.errors import ConfigurationError, PluginConflict, PluginError, UnknownName

if TYPE_CHECKING:
    from lash_core.tests.plugins.conftest import Site


def only(manager: PluginManager) -> PluginRecord:
    (record,) = manager.records
    return record


def by_identity(manager: PluginManager) -> dict[str, PluginRecord]:
    return {record.identity: record for record in manager.records}


def test_a_healthy_plugin_is_active_and_not_imported(site: Site) -> None:
    package = site.add_mode("dist-a", "fast", version="1.2")
    record = only(PluginManager.discover())
    assert (record.distribution, record.version, record.name, record.value) == ("dist-a", "1.2", "fast", package)
    assert record.manifest == Manifest(hooks=("lash_offer_modes",), offers={"modes": ("fast",)})
    assert (record.state, record.reason) == ("active", "")
    assert package not in sys.modules


def test_only_the_plugin_that_is_asked_for_is_imported(site: Site) -> None:
    fast, slow = site.add_mode("dist-a", "fast"), site.add_mode("dist-b", "slow")
    manager = PluginManager.discover()
    assert manager.names("modes") == ("fast", "slow")
    assert not {fast, slow} & sys.modules.keys()
    assert manager.mode("fast").name == "fast"
    assert fast in sys.modules
    assert slow not in sys.modules


def test_a_missing_manifest_is_a_reason(site: Site) -> None:
    site.add("dist-a", {"fast": "dummy_bare.plugin"}, {"dummy_bare/__init__.py": "raise SystemExit"})
    record = only(PluginManager.discover())
    assert (record.state, record.reason) == (
        "failed",
        "its package 'dummy_bare' has no lash-plugin.toml; its author makes one with: lash plugins check PATH --write",
    )
    assert "dummy_bare" not in sys.modules


def test_a_module_without_a_package_cannot_have_a_manifest(site: Site) -> None:
    site.add("dist-a", {"fast": "dummy_single"}, {"dummy_single.py": "raise SystemExit"})
    assert only(PluginManager.discover()).reason == (
        "'dummy_single' is a single module; a plugin is a package with a lash-plugin.toml in it"
    )


def test_a_package_that_is_gone_is_a_reason(site: Site) -> None:
    site.add("dist-a", {"fast": "dummy_gone:plugin"})
    record = only(PluginManager.discover())
    assert (record.state, record.reason) == ("failed", "its package 'dummy_gone' cannot be found")


def test_an_entry_point_that_is_no_reference_is_a_reason(site: Site) -> None:
    site.add("dist-a", {"fast": "what is this?"})
    assert only(PluginManager.discover()).reason == (
        "its entry point 'what is this?' is not of the form 'package.module[:attribute]'"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("requires_api = ", "Invalid value (at end of document)"),
        ("hooks = []", "requires_api is missing"),
        ("requires_api = 1", "requires_api must be a string"),
        ('requires_api = "one"', "requires_api: not a hook API version of the form 'major.minor': 'one'"),
        ('requires_api = "0.1"\nhook = []', "unknown key 'hook'; did you mean 'hooks'?"),
        ('requires_api = "0.1"\nhooks = "x"', "hooks must be a list of names"),
        ('requires_api = "0.1"\noffers = 3', "offers must be a table"),
        ('requires_api = "0.1"\n[offers]\nmode = ["x"]', "unknown kind of offer 'mode'; did you mean 'modes'?"),
        ('requires_api = "0.1"\n[offers]\nmodes = "x"', "offers.modes must be a list of names"),
        ('requires_api = "0.1"\n[plugin.fast]', "'requires_api' stands beside the [plugin.…] tables; "),
        ('[plugin.fats]\nrequires_api = "0.1"', "there is no table [plugin.fast]; did you mean 'fats'?"),
        ("[plugin]\nfast = 3", "plugin.fast must be a table"),
        ('requires_api = "0.1"\nafter = ["\\u0000"]', "after holds '\\x00', which cannot be printed"),
        (
            'requires_api = "0.1"\n[offers]\nmodes = ["\\u001b[2J"]',
            "offers.modes holds '\\x1b[2J', which cannot be printed",
        ),
        ("a = " + "[" * 50_000, "maximum recursion depth exceeded"),
        ("#" * (1 << 16) + "#", "it has more than 65,536 bytes"),
        ("a" + ".a" * 8_000 + " = 1", "a line has more than 200 dots"),
    ],
)
def test_a_broken_manifest_is_a_reason(site: Site, text: str, reason: str) -> None:
    site.add("dist-a", {"fast": "dummy_a"}, {"dummy_a/__init__.py": "", "dummy_a/lash-plugin.toml": text})
    record = only(PluginManager.discover())
    assert record.state == "failed"
    assert record.reason.startswith(f"dummy_a/lash-plugin.toml: {reason}")


def test_a_manifest_that_is_not_text_is_a_reason(site: Site) -> None:
    site.add("dist-a", {"fast": "dummy_a"}, {"dummy_a/__init__.py": ""})
    (site.path / "dummy_a" / "lash-plugin.toml").write_bytes(b"\xff\xfe")
    record = only(PluginManager.discover())
    assert record.state == "failed"
    assert record.reason.startswith("dummy_a/lash-plugin.toml: 'utf-8' codec can't decode")


def test_several_plugins_of_one_package_have_a_table_each(site: Site) -> None:
    tables = "".join(
        f'[plugin.{name}]\nrequires_api = "0.1"\n[plugin.{name}.offers]\nmodes = ["{name}"]\n' for name in ("a", "b")
    )
    site.add("dist-a", {"a": "dummy_a.a", "b": "dummy_a.b"}, {"dummy_a/lash-plugin.toml": tables})
    manager = PluginManager.discover()
    assert [(record.name, record.state) for record in manager.records] == [("a", "active"), ("b", "active")]
    assert manager.names("modes") == ("a", "b")


def test_several_plugins_cannot_share_one_untitled_manifest(site: Site) -> None:
    files = {"dummy_a/lash-plugin.toml": 'requires_api = "0.1"'}
    site.add("dist-a", {"a": "dummy_a.a", "b": "dummy_a.b"}, files)
    assert {record.reason for record in PluginManager.discover().records} == {
        f"dummy_a/lash-plugin.toml: it describes one plugin, but there are 2: "
        f"give each a table, such as [plugin.{name}]"
        for name in ("a", "b")
    }


@pytest.mark.parametrize("required", ["0.2", "0.0", "1.0"])
def test_another_hook_api_is_incompatible_whatever_else_the_manifest_says(site: Site, required: str) -> None:
    manifest = f'requires_api = "{required}"\nof_a_later_version = true\n'
    site.add("dist-a", {"fast": "dummy_a"}, {"dummy_a/lash-plugin.toml": manifest})
    record = only(PluginManager.discover())
    assert record.state == "incompatible"
    assert record.reason == f"needs hook API {required}; this lash-core implements 0.1"


def test_a_disabled_plugin_is_never_imported_and_says_why_when_it_is_needed(site: Site) -> None:
    package = site.add_mode("dist-a", "fast")
    for name in ("fast", "dist-a/fast"):
        manager = PluginManager.discover(PluginSettings(disabled=(name,)))
        assert only(manager).state == "disabled"
        with pytest.raises(PluginError) as caught:
            manager.mode("fast")
        assert str(caught.value) == "plugin 'fast' (dist-a 1.0) is disabled: listed in [lash.plugins] disabled"
    assert package not in sys.modules


def test_a_broken_plugin_says_why_when_its_name_is_needed(site: Site) -> None:
    site.add("dist-a", {"fast": "dummy_gone"})
    with pytest.raises(PluginError) as caught:
        PluginManager.discover().mode("fast")
    assert str(caught.value) == "plugin 'fast' (dist-a 1.0) is failed: its package 'dummy_gone' cannot be found"


def test_the_same_distribution_on_two_paths_is_one_plugin_the_one_that_imports_find(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add_mode("dist-a", "fast", version="1.0")
    second = type(site)(tmp_path / "second")
    second.add_mode("Dist_A", "fast", version="0.9")
    monkeypatch.setattr(sys, "path", [sys.path[0], str(second.path), *sys.path[1:]])
    record = only(PluginManager.discover())
    assert (record.version, record.state) == ("1.0", "active")
    assert [reason.told for reason in record.chain if reason.step == "shadowed"] == [
        f"other copies of dist-a, which no import finds: {second.path}/Dist_A-0.9.dist-info"
    ]


def test_a_shadowed_copy_with_plugins_does_not_count(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add("dist-a", {}, version="2.0")
    (site.path / "dist_a-2.0.dist-info" / "entry_points.txt").unlink()
    second = type(site)(tmp_path / "second")
    second.add_mode("dist-a", "fast", version="0.9")
    monkeypatch.setattr(sys, "path", [sys.path[0], str(second.path), *sys.path[1:]])
    assert PluginManager.discover().records == ()


def test_broken_metadata_of_one_distribution_does_not_hide_the_others(site: Site) -> None:
    site.add_mode("dist-a", "fast")
    site.add("dist-b", {"slow": "dummy_b"})
    (site.path / "dist_b-1.0.dist-info" / "entry_points.txt").write_text("[lash.plugins]\nno equals sign\n")
    site.add("dist-c", {"c": "dummy_c"})
    (site.path / "dist_c-1.0.dist-info" / "METADATA").write_text("")
    (site.path / "dist_c-1.0.dist-info" / "entry_points.txt").write_bytes(b"[lash.plugins]\xff")
    records = by_identity(PluginManager.discover())
    assert {identity: record.state for identity, record in records.items()} == {
        "dist-a/fast": "active",
        "dist-b/no equals sign": "failed",
        "dist-c/dist-c": "failed",
    }


def test_metadata_that_are_wrong_are_a_reason_and_the_folder_tells_who_it_is(site: Site) -> None:
    for number, metadata in enumerate(
        (b"Name: caf\xe9\nVersion: 1.0\n", b"Version: 3\n", b"Name: no name\n", b"Name: dist-9")
    ):
        site.add(f"dist-{number}", {"fast": "dummy_a"}, version="2.1")
        (site.path / f"dist_{number}-2.1.dist-info" / "METADATA").write_bytes(metadata)
    told = {record.identity: record.reason for record in PluginManager.discover().records}
    assert told["dist-0/dist-0"].startswith("its metadata cannot be read: 'utf-8' codec can't decode byte 0xe9")
    assert told["dist-1/dist-1"] == "its metadata cannot be read: they name no distribution"
    assert told["dist-2/dist-2"] == "its metadata name it 'no name', which is no name of a distribution"
    folder = site.path / "dist_3-2.1.dist-info"
    assert told["dist-3/dist-3"] == f"its metadata name it 'dist-9', but lie in {str(folder)!r}"


def test_two_entry_points_of_one_name_are_told_and_their_neighbour_is_used(site: Site) -> None:
    site.add_mode("dist-a", "fast")
    with (site.path / "dist_a-1.0.dist-info" / "entry_points.txt").open("a") as file:
        file.write("slow = dummy_b\nslow = dummy_c\nodd \x1b[31m = dummy_d\n")
        file.write("x" * 101 + " = dummy_e\n[console_scripts]\nno equals sign\n")
    records = by_identity(PluginManager.discover())
    assert {identity: (record.state, record.reason) for identity, record in records.items()} == {
        "dist-a/fast": ("active", ""),
        "dist-a/slow": ("failed", "its distribution has 2 entry points of this name: dummy_b, dummy_c"),
        "dist-a/odd \x1b[31m": ("failed", "its entry point is named 'odd \\x1b[31m', which cannot be printed"),
        f"dist-a/{'x' * 100}…": ("failed", "its entry point has a name of more than 100 characters"),
    }


def test_a_group_without_entry_points_is_told(site: Site) -> None:
    site.add("dist-a", {})
    assert only(PluginManager.discover()).reason == "its group 'lash.plugins' names no plugin"


def test_a_group_whose_name_only_holds_ours_is_none_of_our_business(site: Site) -> None:
    site.add("dist-a", {})
    (site.path / "dist_a-1.0.dist-info" / "entry_points.txt").write_text(
        "[other.lash.plugins]\na = b\n[lash.plugins.x]\n"
    )
    assert PluginManager.discover().records == ()


def test_entry_points_without_end_are_a_reason(site: Site) -> None:
    site.add_mode("dist-a", "fast")
    with (site.path / "dist_a-1.0.dist-info" / "entry_points.txt").open("a") as file:
        file.write("#" * (1 << 20))
    assert only(PluginManager.discover()).reason == (
        "its metadata cannot be read: entry_points.txt has more than 1,048,576 bytes"
    )


def test_what_pip_leaves_of_a_distribution_that_it_replaced_is_no_distribution(site: Site) -> None:
    site.add_mode("dist-a", "fast")
    (site.path / "dist_a-1.0.dist-info").rename(site.path / "~ist_a-1.0.dist-info")
    assert PluginManager.discover().records == ()


def test_the_chain_of_reasons_tells_each_decision_and_whether_it_was_imported(site: Site) -> None:
    package = site.add_mode("dist-b", "b", extra='after = ["a"]\n')
    site.add_mode("dist-a", "a", mode="b")
    settings = PluginSettings(allow=("dist-a", "dist-b"), settled={"modes": {"b": "dist-b"}})
    manager = PluginManager.discover(settings)
    record = by_identity(manager)["dist-b/b"]
    chain = [(reason.step, reason.told.replace("0+source", "0.1.0")) for reason in record.chain]
    assert chain == [
        ("found", f"entry point 'b = {package}' of dist-b 1.0 in {site.path}/dist_b-1.0.dist-info"),
        ("described", f"by {site.path}/{package}/lash-plugin.toml"),
        ("compatible", "needs hook API 0.1; this lash-core 0.1.0 implements 0.1"),
        ("allowed", "listed in [lash.plugins] allow"),
        ("ordered", "2 of 2: after dist-a/a, as manifests say"),
        ("claims", "mode 'b': held, [lash.modes] gives it to 'dist-b'"),
        ("imported", "no, it was not imported"),
    ]
    other = by_identity(manager)["dist-a/a"].chain
    assert ("claims", "mode 'b': lost, [lash.modes] gives it to 'dist-b'") in [(each.step, each.told) for each in other]
    manager.mode("b")
    assert record.chain[-1].told == f"yes, in {record.import_ms:.1f} ms"


def test_a_name_claimed_twice_stops_only_that_name(site: Site) -> None:
    site.add_mode("dist-a", "one", mode="fast", version="1.0")
    site.add_mode("dist-b", "two", mode="fast", version="2.0")
    site.add_mode("dist-c", "three", mode="slow")
    manager = PluginManager.discover()
    told = (
        "mode 'fast' is claimed by plugin 'one' (dist-a 1.0) and plugin 'two' (dist-b 2.0); "
        'choose one in lash.toml: [lash.modes] fast = "dist-a" or "dist-b"'
    )
    assert [(record.state, record.reason) for record in manager.records] == [
        ("conflicting", told),
        ("conflicting", told),
        ("active", ""),
    ]
    with pytest.raises(PluginConflict) as caught:
        manager.mode("fast")
    assert str(caught.value) == told
    assert manager.mode("slow").name == "slow"


def test_a_plugin_in_conflict_keeps_its_other_names(site: Site) -> None:
    site.add_mode("dist-a", "one", mode="fast")
    module = "from lash_hookspecs.markers import implements\nfrom lash_hookspecs.specs.offers import *\n"
    module += "@implements(lash_offer_modes)\ndef modes(context):\n"
    module += "    return [ModeOffer(name='fast', build=dict), ModeOffer(name='slow', build=dict)]\n"
    manifest = 'requires_api = "0.1"\n[offers]\nmodes = ["fast", "slow"]'
    site.add("dist-b", {"two": "dummy_b"}, {"dummy_b/__init__.py": module, "dummy_b/lash-plugin.toml": manifest})
    manager = PluginManager.discover()
    assert by_identity(manager)["dist-b/two"].state == "conflicting"
    assert manager.mode("slow").name == "slow"


def test_a_conflict_is_settled_by_the_settings(site: Site) -> None:
    first, second = site.add_mode("dist-a", "one", mode="fast"), site.add_mode("dist-b", "two", mode="fast")
    manager = PluginManager.discover(PluginSettings(settled={"modes": {"fast": "Dist_B"}}))
    assert {record.state for record in manager.records} == {"active"}
    manager.mode("fast")
    assert second in sys.modules
    assert first not in sys.modules


def test_a_conflict_is_settled_by_disabling_one(site: Site) -> None:
    site.add_mode("dist-a", "one", mode="fast")
    site.add_mode("dist-b", "two", mode="fast")
    manager = PluginManager.discover(PluginSettings(disabled=("one",)))
    assert manager.mode("fast").name == "fast"


def test_a_settlement_in_favour_of_nobody_is_an_error(site: Site) -> None:
    site.add_mode("dist-a", "one", mode="fast")
    manager = PluginManager.discover(PluginSettings(settled={"modes": {"fast": "dist-z"}}))
    with pytest.raises(ConfigurationError) as caught:
        manager.mode("fast")
    assert str(caught.value) == "the settings give mode 'fast' to 'dist-z' ([lash.modes]), which does not offer it"


def test_equal_plugin_names_are_a_conflict_known_without_manifests(site: Site) -> None:
    site.add("dist-a", {"fast": "dummy_gone_a"})
    site.add("dist-b", {"fast": "dummy_gone_b"}, version="2.0")
    manager = PluginManager.discover()
    told = (
        "plugin name 'fast' is claimed by dist-a 1.0 and dist-b 2.0; "
        'list "dist-a/fast" or "dist-b/fast" in [lash.plugins] disabled, or uninstall one'
    )
    assert [(record.state, record.reason) for record in manager.records] == [
        ("conflicting", f"its package 'dummy_gone_a' cannot be found; {told}"),
        ("conflicting", f"its package 'dummy_gone_b' cannot be found; {told}"),
    ]
    with pytest.raises(PluginConflict, match="plugin name 'fast' is claimed by dist-a"):
        manager.mode("fast")
    settled = PluginManager.discover(PluginSettings(disabled=("dist-b/fast",)))
    assert [record.state for record in settled.records] == ["failed", "disabled"]


def test_equal_plugin_names_with_different_offers_stop_only_their_settings(site: Site) -> None:
    site.add_mode("dist-a", "same", mode="fast")
    site.add_mode("dist-b", "same", mode="slow")
    manager = PluginManager.discover()
    assert {record.state for record in manager.records} == {"conflicting"}
    assert manager.mode("fast").name == "fast"
    with_settings = PluginManager.discover(PluginSettings(tables={"same": {"speed": 3}}))
    with pytest.raises(PluginConflict, match=r"^\[lash.plugin.same\] may be meant for either: plugin name 'same'"):
        with_settings.mode("slow")


def test_an_unknown_name_lists_what_is_on_offer(site: Site) -> None:
    site.add_mode("dist-a", "fast")
    site.add_mode("dist-b", "slow")
    manager = PluginManager.discover()
    with pytest.raises(UnknownName) as caught:
        manager.mode("fasst")
    assert str(caught.value) == "no mode is named 'fasst'; did you mean 'fast'? On offer: fast, slow."
    with pytest.raises(UnknownName) as caught:
        manager.store("sqlite")
    assert str(caught.value) == (
        "no store scheme is named 'sqlite'. No installed plugin offers any. "
        "Install it with: pip install 'lash-core[standard]'"
    )


def test_the_order_is_by_manifest_then_by_distribution_and_name(site: Site) -> None:
    site.add_mode("dist-c", "c")
    site.add_mode("dist-b", "b", extra='before = ["a"]\n')
    site.add_mode("dist-a", "a", extra='after = ["c", "not-installed"]\n')
    assert [record.name for record in PluginManager.discover().records] == ["b", "c", "a"]


def test_a_circle_in_the_order_names_its_edges_and_fails_only_its_members(site: Site) -> None:
    site.add_mode("dist-a", "a", extra='before = ["b"]\n')
    site.add_mode("dist-b", "b", extra='before = ["a", "c"]\n')
    site.add_mode("dist-c", "c")
    states = {record.name: (record.state, record.reason) for record in PluginManager.discover().records}
    told = "the plugins' order is a circle: dist-b/b before dist-a/a, dist-a/a before dist-b/b"
    assert states == {"a": ("failed", told), "b": ("failed", told), "c": ("active", "")}


def test_a_finder_that_raises_is_a_reason(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "dummy_dist_a":
                raise RuntimeError("I am a broken finder")

    site.add_mode("dist-a", "fast")
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    importlib.invalidate_caches()
    assert only(PluginManager.discover()).reason == ("its package 'dummy_dist_a' cannot be found: I am a broken finder")
