"""What happens when a plugin is imported, registered, asked and told (P4 to P8)."""

from __future__ import annotations

import asyncio
import logging
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from lash_core.plugins import Builtin, PluginManager, PluginSettings
from lash_hookspecs.errors import PluginError, UnknownName
from lash_hookspecs.markers import hookimpl, implements
from lash_hookspecs.specs.events import SessionRestored, lash_on_session_restored
from lash_hookspecs.specs.offers import (
    ModeOffer,
    OfferContext,
    ProviderOffer,
    SessionSetup,
    StoreOffer,
    ToolOffer,
    lash_offer_modes,
    lash_offer_providers,
    lash_offer_stores,
    lash_offer_tools,
)

if TYPE_CHECKING:
    from lash_core.tests.plugins.conftest import Site

NOBODY: Any = object()
RESTORED = SessionRestored(session_id="s1", revision=None, turn_index=0, interrupted=False, session=NOBODY)
SETUP = SessionSetup(
    session_id="s1",
    parent_session_id=None,
    mode="standard",
    root=Path(),
    capabilities=frozenset(),
    services=NOBODY,
)


async def tell(manager: PluginManager) -> None:
    """Tell the observers of a session that it was restored."""
    hooks = await manager.open_session(SETUP)
    await hooks.notify(lash_on_session_restored, RESTORED)


def plugin(**functions: Any) -> types.ModuleType:
    """A module `mine` with these functions in it."""
    module = types.ModuleType("mine")
    vars(module).update(functions)
    return module


def refused(*plugins: object) -> str:
    with pytest.raises(PluginError) as caught:
        PluginManager.for_tests(plugins)
    return str(caught.value).replace("0+source", "0.1.0")


def installed(site: Site, code: str, *, offers: str = 'modes = ["fast"]', hooks: str = "") -> PluginManager:
    manifest = f'requires_api = "0.1"\nhooks = [{hooks}]\n[offers]\n{offers}\n'
    head = "from lash_hookspecs.markers import *\nfrom lash_hookspecs.specs.offers import *\n"
    head += "from lash_hookspecs.specs.events import *\n"
    site.add("dist-a", {"a": "dummy_a"}, {"dummy_a/__init__.py": head + code, "dummy_a/lash-plugin.toml": manifest})
    return PluginManager.discover()


def failure(manager: PluginManager) -> str:
    """The error of asking for mode `fast`, twice the same; the record says it too."""
    told = []
    for _ in range(2):
        with pytest.raises(PluginError) as caught:
            manager.mode("fast")
        told.append(str(caught.value))
    (record,) = manager.records
    assert record.state == "failed"
    assert told == [f"plugin 'a' (dist-a 1.0) is failed: {record.reason}"] * 2
    return record.reason


def test_offers_of_every_kind_are_found_by_name() -> None:
    @implements(lash_offer_stores)
    def stores(context: OfferContext) -> list[StoreOffer]:
        return [StoreOffer(schemes=("redis", "rediss"), open=lambda url, create: NotImplemented)]

    @implements(lash_offer_modes)
    def modes(context: OfferContext) -> list[ModeOffer]:
        return [ModeOffer(name="fast", build=lambda: NotImplemented)]

    @implements(lash_offer_providers)
    def providers(context: OfferContext) -> list[ProviderOffer]:
        return [ProviderOffer(names=("openai",), open=lambda name: NotImplemented)]

    @implements(lash_offer_tools)
    def tools(context: OfferContext) -> list[ToolOffer]:
        return [ToolOffer(name="clock", build=lambda setup: NotImplemented)]

    module = plugin(stores=stores, modes=modes, providers=providers, tools=tools)
    manager = PluginManager.for_tests([module])
    assert manager.store("rediss").schemes == ("redis", "rediss")
    assert manager.mode("fast").name == "fast"
    assert manager.provider("openai").names == ("openai",)
    assert [offer.name for offer in manager.tools()] == ["clock"]
    assert [offer.name for offer in manager.tools(["clock"])] == ["clock"]
    with pytest.raises(UnknownName, match=r"^no tool set is named 'clok'; did you mean 'clock'\? On offer: clock\.$"):
        manager.tools(["clok"])


def test_an_offer_is_asked_for_once_with_its_own_settings() -> None:
    contexts = []

    @implements(lash_offer_modes)
    def modes(context: OfferContext) -> list[ModeOffer]:
        contexts.append(context)
        return [ModeOffer(name="a", build=dict), ModeOffer(name="b", build=dict)]  # type: ignore[arg-type]

    part = Builtin(name="mine", target=plugin(modes=modes), offers={"modes": ("a", "b")})
    settings = PluginSettings(tables={"mine": {"speed": 3}, "other": {"speed": 4}})
    manager = PluginManager.for_tests([part], settings=settings)
    assert [manager.mode(name).name for name in ("a", "b", "a")] == ["a", "b", "a"]
    assert contexts == [OfferContext(api="0.1", settings={"speed": 3})]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import no_such_module", "it cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemExit(3)", "it cannot be imported: it called sys.exit(3)"),
        ("class Odd(BaseException): pass\nraise Odd('!')", "it cannot be imported: Odd: !"),
    ],
)
def test_a_plugin_that_fails_at_import_is_failed_for_whoever_needs_it(site: Site, code: str, reason: str) -> None:
    assert failure(installed(site, code)) == reason


def test_ctrl_c_during_an_import_is_no_failure_of_the_plugin(site: Site) -> None:
    manager = installed(site, "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        manager.mode("fast")
    assert manager.records[0].state == "active"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("    raise SystemExit", "lash_offer_modes failed: it called sys.exit(None)"),
        ("    return 1 / 0", "lash_offer_modes failed: ZeroDivisionError: division by zero"),
        ("    return 'fast'", "lash_offer_modes must return a list of ModeOffer, and returned 'fast'"),
        ("    return ['fast']", "lash_offer_modes must return a list of ModeOffer, and it holds 'fast'"),
        (
            "    return [ModeOffer(name=3, build=dict)]",
            "lash_offer_modes returned an offer whose names are (3,), not a tuple of words",
        ),
        (
            "    return [ModeOffer(name='fast', build='dict')]",
            "lash_offer_modes returned an offer of 'fast' that cannot be called: 'dict'",
        ),
        (
            "    return [ModeOffer(name='fast', build=dict), ModeOffer(name='slow', build=dict)]",
            "lash_offer_modes offers 'slow', but the manifest's offers.modes names 'fast'",
        ),
        (
            "    return []",
            "the manifest's offers.modes names 'fast', but lash_offer_modes offers nothing",
        ),
    ],
)
def test_a_wrong_offer_is_refused_at_the_boundary(site: Site, code: str, reason: str) -> None:
    assert failure(installed(site, f"@implements(lash_offer_modes)\ndef modes(context):\n{code}\n")) == reason


def test_a_hook_that_the_manifest_does_not_list_is_refused(site: Site) -> None:
    code = "@implements(lash_offer_modes)\ndef modes(context): return []\n"
    code += "@implements(lash_offer_tools)\ndef tools(context): return []\n"
    assert failure(installed(site, code)) == (
        "hook lash_offer_tools: the plugin implements it, but the manifest does not list it"
    )


def test_a_hook_that_the_manifest_lists_must_be_there(site: Site) -> None:
    code = "@implements(lash_offer_modes)\ndef modes(context): return []\n"
    assert failure(installed(site, code, hooks='"lash_on_turn_comitted"')) == (
        "hook lash_on_turn_comitted: the manifest lists it, but the plugin does not implement it; "
        "did you mean 'lash_on_turn_committed'?"
    )


def test_an_entry_point_may_name_an_object_in_a_module(site: Site) -> None:
    code = "class Plugin:\n    @hookimpl\n    def lash_offer_modes(self, context):\n"
    code += "        return [ModeOffer(name='fast', build=dict)]\nplugin = Plugin()\n"
    head = "from lash_hookspecs.markers import hookimpl\nfrom lash_hookspecs.specs.offers import ModeOffer\n"
    manifest = 'requires_api = "0.1"\n[offers]\nmodes = ["fast"]'
    files = {"dummy_a/__init__.py": "", "dummy_a/sub.py": head + code, "dummy_a/lash-plugin.toml": manifest}
    site.add("dist-a", {"a": "dummy_a.sub:plugin"}, files)
    assert PluginManager.discover().mode("fast").name == "fast"


def test_a_misspelt_hook_is_found() -> None:
    @hookimpl
    def lash_offer_mode(context: OfferContext) -> list[ModeOffer]:
        return []

    assert refused(plugin(lash_offer_mode=lash_offer_mode)) == (
        "plugin 'mine' (lash-core 0.1.0) is failed: lash_offer_mode() implements hook 'lash_offer_mode', "
        "which does not exist; did you mean 'lash_offer_modes'?"
    )


def test_a_wrong_signature_is_found() -> None:
    @hookimpl(specname="lash_offer_modes")
    def none() -> list[ModeOffer]:
        return []

    @hookimpl(specname="lash_offer_modes")
    def two(context: OfferContext, settings: object) -> list[ModeOffer]:
        return []

    @hookimpl(specname="lash_offer_modes")
    def other(ctx: OfferContext) -> list[ModeOffer]:
        return []

    told = "cannot implement lash_offer_modes(context): it must take exactly that"
    assert refused(plugin(none=none)).endswith(f"none() -> 'list[ModeOffer]' {told}")
    assert refused(plugin(two=two)).endswith(
        f"two(context: 'OfferContext', settings: 'object') -> 'list[ModeOffer]' {told}"
    )
    assert refused(plugin(other=other)).endswith(f"other(ctx: 'OfferContext') -> 'list[ModeOffer]' {told}")


def test_a_wrong_colour_is_found() -> None:
    @hookimpl(specname="lash_offer_modes")
    async def modes(context: OfferContext) -> list[ModeOffer]:
        return []

    @hookimpl(specname="lash_on_session_restored")
    def restored(context: SessionRestored) -> None:
        return None

    assert refused(plugin(modes=modes)).endswith(
        ": modes() must be a plain function, not async: lash_offer_modes is an offer"
    )
    assert refused(plugin(restored=restored)).endswith(
        ": restored() must be an async function: lash_on_session_restored is an observer"
    )


@pytest.mark.parametrize("option", ["tryfirst", "trylast", "wrapper", "hookwrapper"])
def test_ways_to_meddle_with_others_are_refused(option: str) -> None:
    def modes(context: OfferContext) -> Any:
        yield

    marked = hookimpl(specname="lash_offer_modes", **{option: True})(modes)  # type: ignore[call-overload]
    assert refused(plugin(modes=marked)) == (
        f"plugin 'mine' (lash-core 0.1.0) is failed: modes() is marked {option}=True, which Lash does not use; "
        "order comes from before and after in the manifest"
    )


def test_two_implementations_of_one_hook_in_one_plugin_are_refused() -> None:
    @implements(lash_offer_modes)
    def one(context: OfferContext) -> list[ModeOffer]:
        return []

    @implements(lash_offer_modes)
    def two(context: OfferContext) -> list[ModeOffer]:
        return []

    assert refused(plugin(one=one, two=two)).endswith(": one() and two() both implement lash_offer_modes; merge them")


def test_a_tool_plugin_that_fails_is_left_out_and_said(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    manager = installed(site, "raise RuntimeError('no')", offers='tools = ["clock"]')
    with caplog.at_level(logging.WARNING, "lash.plugins"):
        assert manager.tools() == []
    assert caplog.messages == [
        "tool set 'clock' is left out: plugin 'a' (dist-a 1.0) is failed: it cannot be imported: RuntimeError: no"
    ]
    with pytest.raises(PluginError):
        manager.tools(["clock"])


def observer(function: Any) -> types.ModuleType:
    module = types.ModuleType(function.__name__)
    module.restored = implements(lash_on_session_restored)(function)  # type: ignore[attr-defined]
    return module


async def test_observers_are_all_told_whatever_the_others_do(caplog: pytest.LogCaptureFixture) -> None:
    told = []

    async def raises(context: SessionRestored) -> None:
        raise ValueError("I am broken")

    async def exits(context: SessionRestored) -> None:
        sys.exit(3)

    async def cancels(context: SessionRestored) -> None:
        raise asyncio.CancelledError

    async def works(context: SessionRestored) -> None:
        told.append(context)

    manager = PluginManager.for_tests([observer(each) for each in (raises, exits, cancels, works)])
    with caplog.at_level(logging.ERROR, "lash.plugins"):
        await tell(manager)
    assert told == [RESTORED]
    assert sorted(message.replace("0+source", "0.1.0") for message in caplog.messages) == [
        "plugin 'cancels' (lash-core 0.1.0): lash_on_session_restored cancelled itself",
        "plugin 'exits' (lash-core 0.1.0): lash_on_session_restored failed: it called sys.exit(3)",
        "plugin 'raises' (lash-core 0.1.0): lash_on_session_restored failed: ValueError: I am broken",
    ]


async def test_cancelling_the_caller_cancels_the_observers() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def hangs(context: SessionRestored) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    manager = PluginManager.for_tests([observer(hangs)])
    task = asyncio.ensure_future(tell(manager))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(ended.wait(), 5)


async def test_only_plugins_whose_manifest_lists_the_hook_are_imported_to_be_told(site: Site) -> None:
    bystander = site.add_mode("dist-b", "b")
    code = "told = []\n@implements(lash_on_session_restored)\nasync def restored(context): told.append(context)\n"
    manager = installed(site, code, offers="", hooks='"lash_on_session_restored"')
    await tell(manager)
    assert sys.modules["dummy_a"].told == [RESTORED]
    assert bystander not in sys.modules


async def test_an_observer_plugin_that_cannot_be_imported_is_said_once(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    manager = installed(site, "raise SystemExit", offers="", hooks='"lash_on_session_restored"')
    with caplog.at_level(logging.ERROR, "lash.plugins"):
        await tell(manager)
        await tell(manager)
    assert caplog.messages == [
        "plugin 'a' (dist-a 1.0) is not told of what happens: plugin 'a' (dist-a 1.0) is failed: "
        "it cannot be imported: it called sys.exit(None)"
    ]
