"""Session plugins: made when a session opens, checked, called beside their plugin's functions, closed (P6, P12, H1)."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hook_kinds import (
    Said,
    lash_contribute_words,
    lash_guard_words,
    lash_on_words,
    lash_transform_words,
    manager_of,
    open_hooks,
    part,
    plugin,
    setup,
    told,
)
from lash_core.plugins import Builtin, PluginManager, PluginSettings
from lash_hookspecs.errors import ConfigurationError, PluginError
from lash_hookspecs.markers import handles, hookimpl, implements
from lash_hookspecs.protocols.session_plugins import SessionPlugin
from lash_hookspecs.specs.decisions import Decision, Deny
from lash_hookspecs.specs.offers import (
    ModeOffer,
    OfferContext,
    SessionPluginOffer,
    SessionSetup,
    lash_offer_modes,
    lash_offer_session_plugins,
)

if TYPE_CHECKING:
    from lash_core.tests.plugins.conftest import Site

SAID = Said()


class Part(SessionPlugin):
    """Notes when it is closed."""

    def __init__(self, name: str = "", closed: list[str] | None = None) -> None:
        self.name = name
        self.closed = closed if closed is not None else []

    async def close(self) -> None:
        self.closed.append(self.name)


async def refusal(*plugins: object, capabilities: tuple[str, ...] = ()) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        await manager_of(*plugins).open_session(setup(capabilities=capabilities))
    return caught.value


async def why(made: Any) -> str:
    """Why a session plugin that is made so is refused."""
    error = await refusal(part("mine", made))
    assert (error.plugin, error.session_id, error.step) == ("mine", "s1", "open")
    head, _, reason = told(error).partition("session plugin 'mine': ")
    assert head == "plugin 'mine' (lash-core 0.1.0): "
    return reason


async def test_methods_of_every_kind_are_called() -> None:
    class Every(Part):
        def __init__(self) -> None:
            super().__init__()
            self.heard: list[Said] = []

        @handles(lash_on_words)
        async def hear(self, context: Said) -> None:
            self.heard.append(context)

        @handles(lash_transform_words)
        async def louder(self, context: Said) -> str:
            return context.words.upper()

        @handles(lash_guard_words)
        async def quiet(self, context: Said) -> Decision:
            return Deny("hush")

        @handles(lash_contribute_words)
        def more(self, context: Said) -> list[str]:
            return ["more"]

    made: list[Every] = []

    def build(given: SessionSetup) -> Every:
        made.append(Every())
        return made[-1]

    hooks = await open_hooks(part("mine", build))
    await hooks.notify(lash_on_words, SAID)
    assert [each.heard for each in made] == [[SAID]]
    assert await hooks.transform(lash_transform_words, SAID) == "SO"
    denial = await hooks.guard(lash_guard_words, SAID)
    assert denial
    assert denial.reason == "hush"
    assert [item for _, item in hooks.collect(lash_contribute_words, SAID)] == ["more"]


async def test_a_plugins_function_is_called_before_the_methods_of_its_parts_and_those_in_the_order_of_its_offers() -> (
    None
):
    def mine(name: str) -> Any:
        @implements(lash_transform_words)
        async def function(context: Said) -> str:
            return f"{context.words} {name}"

        @implements(lash_offer_session_plugins)
        def parts(context: OfferContext) -> list[SessionPluginOffer]:
            return [
                SessionPluginOffer(name="z", build=lambda _: Appends(f"{name}.z")),
                SessionPluginOffer(name="y", build=lambda _: Appends(f"{name}.y")),
            ]

        return plugin(name, parts, function)

    class Appends(Part):
        @handles(lash_transform_words)
        async def append(self, context: Said) -> str:
            return f"{context.words} {self.name}"

    hooks = await open_hooks(mine("b"), mine("a"))
    assert await hooks.transform(lash_transform_words, SAID) == "so a a.z a.y b b.z b.y"


async def test_each_session_has_parts_of_its_own_and_says_which_session_it_is() -> None:
    seen: list[SessionSetup] = []

    def build(given: SessionSetup) -> Part:
        seen.append(given)
        return Part()

    manager = manager_of(part("mine", build))
    first, second = setup("s1"), setup("s2")
    await manager.open_session(first)
    await manager.open_session(second)
    assert seen == [first, second]


async def test_the_offer_has_the_plugins_settings_and_is_made_once() -> None:
    contexts = []

    @implements(lash_offer_session_plugins)
    def parts(context: OfferContext) -> list[SessionPluginOffer]:
        contexts.append(context)
        return [SessionPluginOffer(name="x", build=lambda _: Part())]

    builtin = Builtin(name="mine", target=plugin("m", parts), offers={"session_plugins": ("x",)})
    manager = PluginManager.for_tests([builtin], settings=PluginSettings(tables={"mine": {"limit": 3}}))
    await manager.open_session(setup())
    await manager.open_session(setup())
    assert [context.settings for context in contexts] == [{"limit": 3}]


async def test_two_plugins_may_call_their_parts_the_same() -> None:
    def mine(name: str) -> Any:
        module = part("notes", lambda _: Part())
        module.__name__ = name
        return module

    hooks = await open_hooks(mine("a"), mine("b"))
    assert hooks.components == {"plugin/lash-core/a/notes", "plugin/lash-core/b/notes"}


async def test_plugins_are_imported_when_a_session_opens_and_not_before(site: Site) -> None:
    manifest = 'requires_api = "0.1"\n[offers]\nsession_plugins = ["notes"]\n'
    code = "from lash_hookspecs import *\nfrom lash_hookspecs.specs.offers import *\n"
    code += "from lash_hookspecs.protocols.session_plugins import SessionPlugin\n"
    code += "class Notes(SessionPlugin): pass\n"
    code += "@implements(lash_offer_session_plugins)\ndef parts(context):\n"
    code += "    return [SessionPluginOffer(name='notes', build=lambda setup: Notes())]\n"
    site.add("dist-a", {"a": "dummy_a"}, {"dummy_a/__init__.py": code, "dummy_a/lash-plugin.toml": manifest})
    bystander = site.add_mode("dist-b", "b")
    manager = PluginManager.discover()
    assert "dummy_a" not in sys.modules
    hooks = await manager.open_session(setup())
    assert hooks.components == {"plugin/dist-a/a/notes"}
    assert bystander not in sys.modules


async def test_a_capability_that_is_missing_is_said_before_anything_is_made() -> None:
    made: list[SessionSetup] = []

    def build(given: SessionSetup) -> Part:
        made.append(given)
        return Part()

    error = await refusal(
        part("a", build),
        part("mine", lambda _: Part(), needs=("tasks", "attachments")),
        capabilities=("attachments", "engine"),
    )
    assert told(error) == (
        "plugin 'mine' (lash-core 0.1.0): session plugin 'mine' needs 'tasks', which neither the host nor the store of "
        "session 's1' has (there is: attachments, engine)"
    )
    assert (error.plugin, made) == ("mine", [])


async def test_what_a_part_needs_may_be_there() -> None:
    manager = manager_of(part("mine", lambda _: Part(), needs=("tasks",)))
    hooks = await manager.open_session(setup(capabilities=("tasks", "durable_store")))
    assert hooks.components == {"plugin/lash-core/mine/mine"}


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda _: 1 / 0, "build() failed: ZeroDivisionError: division by zero"),
        (lambda _: sys.exit(3), "build() failed: it called sys.exit(3)"),
        (lambda _: None, "NoneType is no session plugin: it must have def snapshot(self)"),
    ],
)
async def test_a_part_that_cannot_be_built_stops_the_opening_and_those_before_it_are_closed(
    build: Any, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    closed: list[str] = []

    def closes(name: str) -> Any:
        return part(name, lambda _: Part(name, closed))

    error = await refusal(closes("a"), closes("b"), part("c", build), closes("d"))
    assert told(error) == f"plugin 'c' (lash-core 0.1.0): session plugin 'c': {reason}"
    assert sorted(closed) == ["a", "b"]
    assert caplog.messages == []


async def test_a_part_that_breaks_a_rule_is_closed_too() -> None:
    closed: list[str] = []

    class Wrong(Part):
        schema_version = 0

    await refusal(part("mine", lambda _: Wrong("wrong", closed)))
    assert closed == ["wrong"]


async def test_a_class_that_inherits_from_the_protocol_has_all_of_it() -> None:
    class Least(SessionPlugin):
        pass

    hooks = await open_hooks(part("mine", lambda _: Least()))
    await hooks.restore({})
    assert hooks.snapshots() == {}
    await hooks.close()


async def test_a_class_without_the_protocol_is_refused() -> None:
    class Bare:
        schema_version = 1

        def snapshot(self) -> None: ...

        async def restore(self, schema_version: int, snapshot: object) -> None: ...

        async def close(self) -> None: ...

    class AsyncSnapshot(Bare):
        async def snapshot(self) -> None: ...  # type: ignore[override]

    class SyncRestore(Bare):
        def restore(self, schema_version: int, snapshot: object) -> None: ...  # type: ignore[override]

    class ShortRestore(Bare):
        async def restore(self, snapshot: object) -> None: ...  # type: ignore[override]

    class NoClose(Bare):
        close = None  # type: ignore[assignment]

    class TextVersion(Bare):
        schema_version = "1"  # type: ignore[assignment]

    assert await (await open_hooks(part("mine", lambda _: Bare()))).restore({})
    told = "is no session plugin: it must have"
    assert await why(lambda _: AsyncSnapshot()) == f"AsyncSnapshot {told} def snapshot(self)"
    assert await why(lambda _: SyncRestore()) == f"SyncRestore {told} async def restore(self, schema_version, snapshot)"
    assert (
        await why(lambda _: ShortRestore()) == f"ShortRestore {told} async def restore(self, schema_version, snapshot)"
    )
    assert await why(lambda _: NoClose()) == f"NoClose {told} async def close(self)"
    assert await why(lambda _: TextVersion()) == "TextVersion.schema_version must be a number from 1, and is '1'"


async def test_a_wrong_handler_is_refused_when_the_session_opens() -> None:
    class Sync(Part):
        @handles(lash_on_words)  # type: ignore[arg-type]
        def hear(self, context: Said) -> None: ...  # type: ignore[misc]

    class Async(Part):
        @handles(lash_contribute_words)  # type: ignore[arg-type]
        async def more(self, context: Said) -> list[str]:  # type: ignore[misc]
            return []

    class Short(Part):
        @handles(lash_on_words)  # type: ignore[arg-type]
        async def hear(self) -> None: ...  # type: ignore[misc]

    class Long(Part):
        @handles(lash_on_words)  # type: ignore[arg-type]
        async def hear(self, context: Said, more: int) -> None: ...  # type: ignore[misc]

    class Twice(Part):
        @handles(lash_on_words)
        async def hear(self, context: Said) -> None: ...

        @handles(lash_on_words)
        async def listen(self, context: Said) -> None: ...

    class Static(Part):
        @staticmethod
        @handles(lash_on_words)  # type: ignore[arg-type]
        async def hear(context: Said) -> None: ...

    assert await why(lambda _: Sync()) == "Sync.hear() must be an async function: lash_on_words is an observer"
    assert await why(lambda _: Async()) == (
        "Async.more() must be a plain function, not async: lash_contribute_words is an offer"
    )
    assert await why(lambda _: Short()) == (
        "Short.hear() -> 'None' cannot implement lash_on_words(context): it must take exactly that"
    )
    assert await why(lambda _: Long()) == (
        "Long.hear(context: 'Said', more: 'int') -> 'None' cannot implement lash_on_words(context): "
        "it must take exactly that"
    )
    assert await why(lambda _: Twice()) == "Twice.hear() and .listen() both handle lash_on_words; merge them"
    assert await why(lambda _: Static()) == "Static.hear handles lash_on_words: it must be a plain method"


async def test_a_hook_that_does_not_exist_is_found_with_the_one_that_was_meant() -> None:
    from lash_hookspecs.markers import observe

    @observe(since="0.1")
    async def lash_on_word(context: Said) -> None: ...

    class Misspelt(Part):
        @handles(lash_on_word)
        async def hear(self, context: Said) -> None: ...

    class Offers(Part):
        @handles(lash_offer_modes)
        def modes(self, context: OfferContext) -> list[ModeOffer]:
            return []

    assert await why(lambda _: Misspelt()) == (
        "Misspelt.hear() handles hook 'lash_on_word', which does not exist; did you mean 'lash_on_words'?"
    )
    assert await why(lambda _: Offers()) == (
        "Offers.modes() handles lash_offer_modes, which is asked once per process; use @implements"
    )


async def test_a_method_that_looks_like_a_handler_and_is_none_is_refused() -> None:
    class Unmarked(Part):
        async def lash_on_words(self, context: Said) -> None: ...

    class Misspelt(Part):
        async def lash_on_word(self, context: Said) -> None: ...

    class Marked(Part):
        @hookimpl(specname="lash_on_words")
        async def hear(self, context: Said) -> None: ...

    class Handles(Part):
        @handles(lash_on_words)
        async def hear(self, context: Said) -> None: ...

    class Overrides(Handles):
        async def hear(self, context: Said) -> None: ...

    assert await why(lambda _: Unmarked()) == (
        "Unmarked.lash_on_words() is named like a hook and handles none; mark it with @handles(lash_on_words)"
    )
    assert await why(lambda _: Misspelt()) == (
        "Misspelt.lash_on_word() is named like a hook and handles none; "
        "mark it with @handles(…); did you mean 'lash_on_words'?"
    )
    assert await why(lambda _: Marked()) == (
        "Marked.hear() is marked @implements, which is for module-level functions; use @handles"
    )
    assert await why(lambda _: Overrides()) == (
        "Overrides.hear() overrides a handler of lash_on_words and is none; mark it with @handles(lash_on_words)"
    )


async def test_a_handler_is_inherited() -> None:
    class Hears(Part):
        @handles(lash_transform_words)
        async def hear(self, context: Said) -> str:
            return self.answer()

        def answer(self) -> str:
            return "hears"

    class Inherits(Hears):
        def answer(self) -> str:
            return "inherits"

    class Again(Hears):
        @handles(lash_transform_words)
        async def hear(self, context: Said) -> str:
            return "again"

    assert await (await open_hooks(part("a", lambda _: Inherits()))).transform(lash_transform_words, SAID) == "inherits"
    assert await (await open_hooks(part("a", lambda _: Again()))).transform(lash_transform_words, SAID) == "again"


@pytest.mark.parametrize(
    ("offer", "reason"),
    [
        (
            SessionPluginOffer(name="a/b", build=lambda _: Part()),
            "lash_offer_session_plugins returned an offer of 'a/b'; the name may have no '/'",
        ),
        (
            SessionPluginOffer(name="a", build=lambda _: Part(), needs="tasks"),  # type: ignore[arg-type]
            "lash_offer_session_plugins returned an offer of 'a' whose needs are 'tasks', not words",
        ),
    ],
)
def test_a_wrong_offer_is_refused(offer: SessionPluginOffer, reason: str) -> None:
    @implements(lash_offer_session_plugins)
    def parts(context: OfferContext) -> list[SessionPluginOffer]:
        return [offer]

    with pytest.raises(PluginError) as caught:
        manager_of(plugin("mine", parts))
    assert told(caught.value) == f"plugin 'mine' (lash-core 0.1.0) is failed: {reason}"


async def test_two_parts_of_one_name_in_one_plugin_are_refused() -> None:
    @implements(lash_offer_session_plugins)
    def parts(context: OfferContext) -> list[SessionPluginOffer]:
        return [SessionPluginOffer(name="a", build=lambda _: Part())] * 2

    assert told(await refusal(plugin("mine", parts))) == (
        "plugin 'mine' (lash-core 0.1.0) is failed: lash_offer_session_plugins offers 'a' more than once"
    )


async def test_closing_closes_every_part_once_and_nobody_handles_anything_after_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    closed: list[str] = []

    class Broken(Part):
        @handles(lash_on_words)
        async def hear(self, context: Said) -> None: ...

        async def close(self) -> None:
            raise ValueError("no")

    hooks = await open_hooks(part("a", lambda _: Broken()), part("b", lambda _: Part("b", closed)))
    assert hooks.handles(lash_on_words)
    with caplog.at_level(logging.ERROR, "lash.plugins"):
        await hooks.close()
        await hooks.close()
    assert closed == ["b"]
    assert not hooks.handles(lash_on_words)
    assert [told(message) for message in caplog.messages] == [
        "plugin 'a' (lash-core 0.1.0): close() of session plugin 'a' failed: ValueError: no"
    ]
