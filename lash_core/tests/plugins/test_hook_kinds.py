"""The four kinds of hook: who is called, what comes out, and what becomes of a plugin that misbehaves (P4, P7)."""

from __future__ import annotations

import asyncio
import logging
import reprlib
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hook_kinds import (
    Said,
    function,
    lash_contribute_words,
    lash_guard_words,
    lash_on_words,
    lash_transform_word_list,
    lash_transform_words,
    manager_of,
    open_hooks,
    plugin,
    setup,
    told,
)
from lash_core.plugins import PluginManager
from lash_core.plugins.calls import may_suspend
from lash_hookspecs.errors import PluginError
from lash_hookspecs.markers import handles, hook_info, hookimpl
from lash_hookspecs.specs.decisions import ALLOW, Allow, Decision, Deny
from lash_hookspecs.specs.models import StreamText, lash_transform_stream_text
from lash_hookspecs.specs.persistence import lash_on_committed

if TYPE_CHECKING:
    from lash_core.tests.plugins.conftest import Site

SAID = Said()

Hook = Callable[[Said], Coroutine[Any, Any, Any]]


async def suspends(context: Said) -> None:
    await asyncio.sleep(0)


async def fails(context: Said) -> Any:
    raise ValueError("I am broken")


async def fails_later(context: Said) -> Any:
    await asyncio.sleep(0)
    raise ValueError("I am broken")


async def exits(context: Said) -> Any:
    sys.exit(3)


async def exits_later(context: Said) -> Any:
    await asyncio.sleep(0)
    sys.exit(3)


class Unspeakable(BaseException):
    def __str__(self) -> str:
        raise ValueError("it has no text")


async def ends_all(context: Said) -> Any:
    raise Unspeakable


async def closes(context: Said) -> Any:
    raise GeneratorExit


async def closes_later(context: Said) -> Any:
    await asyncio.sleep(0)
    raise GeneratorExit


async def cancels(context: Said) -> Any:
    raise asyncio.CancelledError


async def cancels_later(context: Said) -> Any:
    task = asyncio.current_task()
    assert task
    task.cancel()
    await asyncio.sleep(0)


async def hangs(context: Said) -> Any:
    await asyncio.Event().wait()


BROKEN: list[tuple[Hook, str]] = [
    (fails, "failed: ValueError: I am broken"),
    (fails_later, "failed: ValueError: I am broken"),
    (exits, "failed: it called sys.exit(3)"),
    (exits_later, "failed: it called sys.exit(3)"),
    (ends_all, "failed: Unspeakable, whose text cannot be told"),
    (closes, "failed: GeneratorExit: "),
    (closes_later, "failed: GeneratorExit: "),
    (cancels, "cancelled itself"),
    (cancels_later, "cancelled itself"),
    (hangs, "missed its deadline of 0.01 s and was cancelled"),
]

broken = pytest.mark.parametrize(("does", "reason"), BROKEN, ids=[does.__name__ for does, _ in BROKEN])


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Give those who hang little time, and nobody else."""

    def shorten(spec: Any) -> None:
        monkeypatch.setattr(spec, "lash_hook", attrs.evolve(hook_info(spec), deadline=0.01))

    return shorten


async def failure(step: Coroutine[Any, Any, object]) -> PluginError:
    with pytest.raises(PluginError) as caught:
        await step
    return caught.value


# --- observers


async def test_observers_are_told_together() -> None:
    first, second = asyncio.Event(), asyncio.Event()
    ended = []

    async def one(context: Said) -> None:
        first.set()
        await second.wait()
        ended.append("one")

    async def two(context: Said) -> None:
        await first.wait()
        second.set()
        ended.append("two")

    hooks = await open_hooks(function(lash_on_words, one), function(lash_on_words, two))
    await hooks.notify(lash_on_words, SAID)
    assert sorted(ended) == ["one", "two"]


@broken
async def test_an_observer_that_misbehaves_is_logged_and_harms_nobody(
    does: Hook, reason: str, caplog: pytest.LogCaptureFixture, hurry: Callable[[Any], None]
) -> None:
    if does is hangs:
        hurry(lash_on_words)
    heard = []

    async def works(context: Said) -> None:
        heard.append(context)

    hooks = await open_hooks(function(lash_on_words, does), function(lash_on_words, works))
    with caplog.at_level(logging.ERROR, "lash.plugins"):
        await hooks.notify(lash_on_words, SAID)
    assert heard == [SAID]
    assert [told(message) for message in caplog.messages] == [
        f"plugin '{does.__name__}' (lash-core 0.1.0): lash_on_words {reason}"
    ]


async def test_an_observer_that_answers_something_is_said(caplog: pytest.LogCaptureFixture) -> None:
    async def answers(context: Said) -> str:
        return "yes"

    hooks = await open_hooks(function(lash_on_words, answers))
    with caplog.at_level(logging.ERROR, "lash.plugins"):
        await hooks.notify(lash_on_words, SAID)
    assert [told(message) for message in caplog.messages] == [
        "plugin 'answers' (lash-core 0.1.0): lash_on_words must return nothing, and returned 'yes'"
    ]


async def test_one_that_is_late_has_ended_when_the_caller_goes_on(hurry: Callable[[Any], None]) -> None:
    hurry(lash_on_words)
    ended = []

    async def tidies_up(context: Said) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(context)

    hooks = await open_hooks(function(lash_on_words, tidies_up))
    await hooks.notify(lash_on_words, SAID)
    assert ended == [SAID]


async def test_one_that_ignores_its_cancellation_is_named_and_does_not_hold_the_caller(
    hurry: Callable[[Any], None], caplog: pytest.LogCaptureFixture
) -> None:
    hurry(lash_on_words)
    free = asyncio.Event()

    async def stubborn(context: Said) -> None:
        while not free.is_set():
            try:
                await free.wait()
            except asyncio.CancelledError:
                continue

    hooks = await open_hooks(function(lash_on_words, stubborn))
    with caplog.at_level(logging.ERROR, "lash.plugins"):
        await hooks.notify(lash_on_words, SAID)
    assert not free.is_set()
    free.set()
    assert told(caplog.messages[0]) == (
        "plugin 'stubborn' (lash-core 0.1.0): lash_on_words was cancelled, does not end, and goes on alone"
    )


@pytest.mark.parametrize("kind", ["observe", "transform", "guard"])
async def test_cancelling_the_caller_cancels_the_hook_and_is_not_lost(kind: str) -> None:
    started = asyncio.Event()
    ended = []

    async def swallows(context: Said) -> Any:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            ended.append(context)

    spec = {"observe": lash_on_words, "transform": lash_transform_words, "guard": lash_guard_words}[kind]
    hooks = await open_hooks(function(spec, swallows))
    calls = {
        "observe": hooks.notify(lash_on_words, SAID),
        "transform": hooks.transform(lash_transform_words, SAID),
        "guard": hooks.guard(lash_guard_words, SAID),
    }
    task = asyncio.ensure_future(calls.pop(kind))
    for other in calls.values():
        other.close()
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [SAID]


@pytest.mark.parametrize("waits", [False, True])
async def test_a_context_variable_of_a_hook_stays_with_it(waits: bool) -> None:
    variable: ContextVar[str] = ContextVar("variable")
    variable.set("the caller's")
    seen = []

    async def at_once(context: Said) -> None:
        seen.append(variable.get())
        variable.set("the hook's")

    async def later(context: Said) -> None:
        await at_once(context)

    hooks = await open_hooks(function(lash_on_words, later if waits else at_once))
    await hooks.notify(lash_on_words, SAID)
    assert (seen, variable.get()) == (["the caller's"], "the caller's")


# --- transforms


async def test_each_transform_gets_what_the_one_before_made() -> None:
    async def one(context: Said) -> str:
        return f"{context.words} 1"

    async def two(context: Said) -> str:
        await asyncio.sleep(0)
        return f"{context.words} 2"

    async def three(context: Said) -> str:
        return f"{context.words} 3"

    hooks = await open_hooks(*(function(lash_transform_words, each) for each in (three, one, two)))
    # By name, as the distribution is one: one, three, two.
    assert await hooks.transform(lash_transform_words, SAID) == "so 1 3 2"
    assert SAID.words == "so"


async def test_without_a_transform_the_value_is_the_one_of_the_context() -> None:
    hooks = await open_hooks()
    assert await hooks.transform(lash_transform_words, Said(words="as it was")) == "as it was"


@broken
async def test_a_transform_that_misbehaves_fails_the_step(
    does: Hook, reason: str, hurry: Callable[[Any], None]
) -> None:
    if does is hangs:
        hurry(lash_transform_words)

    async def later_one(context: Said) -> str:
        raise AssertionError("it is not asked any more")

    hooks = await open_hooks(function(lash_transform_words, does), function(lash_transform_words, later_one))
    error = await failure(hooks.transform(lash_transform_words, SAID))
    assert told(error) == f"plugin '{does.__name__}' (lash-core 0.1.0): lash_transform_words {reason}"
    assert (error.plugin, error.step, error.session_id) == (does.__name__, "lash_transform_words", "s1")


async def test_what_a_transform_raised_is_the_cause() -> None:
    hooks = await open_hooks(function(lash_transform_words, fails))
    error = await failure(hooks.transform(lash_transform_words, SAID))
    assert isinstance(error.__cause__, ValueError)


@pytest.mark.parametrize(
    ("spec", "value", "wrong"),
    [
        (lash_transform_words, None, "lash_transform_words must return str, and returned None"),
        (lash_transform_words, b"so", "lash_transform_words must return str, and returned b'so'"),
        (
            lash_transform_word_list,
            ["so"],
            "lash_transform_word_list must return tuple of str or int, and returned ['so']",
        ),
        (
            lash_transform_word_list,
            ("so", None),
            "lash_transform_word_list must return tuple of str or int, and it holds None",
        ),
    ],
)
async def test_a_transform_of_the_wrong_type_is_refused(spec: Any, value: object, wrong: str) -> None:
    async def mine(context: Said) -> object:
        return value

    hooks = await open_hooks(function(spec, mine))
    assert told(await failure(hooks.transform(spec, SAID))) == f"plugin 'mine' (lash-core 0.1.0): {wrong}"


async def test_items_of_each_type_that_is_named_are_right() -> None:
    async def mine(context: Said) -> tuple[object, ...]:
        return (*context.word_list, 1, "two")

    hooks = await open_hooks(function(lash_transform_word_list, mine))
    words: object = await hooks.transform(lash_transform_word_list, Said(word_list=("zero",)))
    assert words == ("zero", 1, "two")


# --- guards


def allows(asked: list[str], name: str, decision: Decision = ALLOW) -> Any:
    async def guard(context: Said) -> Decision:
        asked.append(name)
        return decision

    guard.__name__ = name
    return function(lash_guard_words, guard)


async def test_what_all_guards_allow_is_allowed() -> None:
    asked: list[str] = []
    hooks = await open_hooks(allows(asked, "one"), allows(asked, "two", Allow()))
    assert await hooks.guard(lash_guard_words, SAID) is None
    assert asked == ["one", "two"]


async def test_without_a_guard_everything_is_allowed() -> None:
    assert await (await open_hooks()).guard(lash_guard_words, SAID) is None


async def test_one_denial_is_enough_the_first_is_told_and_all_are_asked() -> None:
    asked: list[str] = []
    hooks = await open_hooks(
        allows(asked, "c", Deny("too late")),
        allows(asked, "a"),
        allows(asked, "b", Deny("too long")),
        allows(asked, "d"),
    )
    denial = await hooks.guard(lash_guard_words, SAID)
    assert denial
    assert (told(denial.plugin), denial.reason) == ("plugin 'b' (lash-core 0.1.0)", "too long")
    assert asked == ["a", "b", "c", "d"]


async def test_guards_are_asked_together() -> None:
    first, second = asyncio.Event(), asyncio.Event()

    async def one(context: Said) -> Decision:
        first.set()
        await second.wait()
        return ALLOW

    async def two(context: Said) -> Decision:
        await first.wait()
        second.set()
        return ALLOW

    hooks = await open_hooks(function(lash_guard_words, one), function(lash_guard_words, two))
    assert await hooks.guard(lash_guard_words, SAID) is None


@broken
async def test_a_guard_that_misbehaves_denies_and_is_logged(
    does: Hook, reason: str, caplog: pytest.LogCaptureFixture, hurry: Callable[[Any], None]
) -> None:
    if does is hangs:
        hurry(lash_guard_words)
    hooks = await open_hooks(function(lash_guard_words, does), allows([], "zealous", Deny("never")))
    with caplog.at_level(logging.ERROR, "lash.plugins"):
        denial = await hooks.guard(lash_guard_words, SAID)
    assert denial
    label = f"plugin '{does.__name__}' (lash-core 0.1.0)"
    assert (told(denial.plugin), denial.reason) == (label, f"lash_guard_words {reason}")
    assert [told(message) for message in caplog.messages] == [f"{label}: lash_guard_words {reason}, which denies"]


@pytest.mark.parametrize("answer", [None, True, "no", Allow, Deny(3)])  # type: ignore[arg-type]
async def test_a_guard_that_answers_nonsense_denies(answer: object) -> None:
    async def mine(context: Said) -> object:
        return answer

    denial = await (await open_hooks(function(lash_guard_words, mine))).guard(lash_guard_words, SAID)
    assert denial
    assert denial.reason == f"lash_guard_words must answer Allow or Deny, not {reprlib.repr(answer)}"


# --- offers


async def test_what_plugins_offer_is_gathered_with_their_names() -> None:
    def b(context: Said) -> list[str]:
        return [context.words, "more"]

    def a(context: Said) -> tuple[str, ...]:
        return ("first",)

    hooks = await open_hooks(function(lash_contribute_words, b), function(lash_contribute_words, a))
    assert [(told(label), item) for label, item in hooks.collect(lash_contribute_words, SAID)] == [
        ("plugin 'a' (lash-core 0.1.0)", "first"),
        ("plugin 'b' (lash-core 0.1.0)", "so"),
        ("plugin 'b' (lash-core 0.1.0)", "more"),
    ]


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        (lambda context: 1 / 0, "failed: ZeroDivisionError: division by zero"),
        (lambda context: sys.exit("bye"), "failed: it called sys.exit('bye')"),
        (lambda context: "so", "must return a list of str, and returned 'so'"),
        (lambda context: ["so", 3], "must return a list of str, and it holds 3"),
    ],
)
async def test_a_wrong_offer_fails_the_step(does: Any, reason: str) -> None:
    hooks = await open_hooks(plugin("mine", hookimpl(specname="lash_contribute_words")(does)))
    with pytest.raises(PluginError) as caught:
        hooks.collect(lash_contribute_words, SAID)
    assert told(caught.value) == f"plugin 'mine' (lash-core 0.1.0): lash_contribute_words {reason}"


# --- what is common to them


async def test_a_session_knows_whether_anybody_handles_a_hook() -> None:
    hooks = await open_hooks(function(lash_on_words, suspends))
    assert hooks.handles(lash_on_words)
    assert not hooks.handles(lash_guard_words)


async def test_a_hook_is_not_called_as_another_kind() -> None:
    hooks = await open_hooks(function(lash_guard_words, suspends))
    with pytest.raises(TypeError, match=r"^lash_guard_words is of kind guard, not observe$"):
        await hooks.notify(lash_guard_words, SAID)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spec", "word"),
    [(lash_on_words, "an observer"), (lash_transform_words, "a transform"), (lash_guard_words, "a guard")],
)
def test_a_hook_that_must_be_async_is_refused_when_it_is_not(spec: Any, word: str) -> None:
    def mine(context: Said) -> None: ...

    with pytest.raises(PluginError) as caught:
        manager_of(function(spec, mine))
    assert told(caught.value) == (
        f"plugin 'mine' (lash-core 0.1.0) is failed: mine_0() must be an async function: {spec.__name__} is {word}"
    )


def test_a_method_mark_on_a_function_is_refused() -> None:
    async def mine(context: Said) -> None: ...

    mark: Any = handles(lash_on_words)
    with pytest.raises(PluginError) as caught:
        manager_of(plugin("mine", mark(mine)))
    assert told(caught.value) == (
        "plugin 'mine' (lash-core 0.1.0) is failed: mine_0() is marked @handles(lash_on_words), "
        "which is for methods of a session plugin; use @implements"
    )


HEAD = "from lash_hookspecs import *\nfrom lash_hookspecs.specs.persistence import *\n"


def installed(site: Site, code: str, hooks: str) -> PluginManager:
    manifest = f'requires_api = "0.1"\nhooks = [{hooks}]\n'
    site.add("dist-a", {"a": "dummy_a"}, {"dummy_a/__init__.py": HEAD + code, "dummy_a/lash-plugin.toml": manifest})
    return PluginManager.discover()


async def test_a_guard_that_cannot_be_imported_is_never_passed_over(site: Site) -> None:
    manager = installed(site, "raise ValueError('no')", '"lash_guard_commit"')
    for _ in range(2):
        error = await failure(manager.open_session(setup()))
        assert str(error) == "plugin 'a' (dist-a 1.0) is failed: it cannot be imported: ValueError: no"


async def test_an_observer_that_cannot_be_imported_is_left_out(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    manager = installed(site, "raise ValueError('no')", '"lash_on_committed"')
    with caplog.at_level(logging.ERROR, "lash.plugins"):
        hooks = await manager.open_session(setup())
    assert not hooks.handles(lash_on_committed)
    assert caplog.messages == [
        "plugin 'a' (dist-a 1.0) is not told of what happens: plugin 'a' (dist-a 1.0) is failed: "
        "it cannot be imported: ValueError: no"
    ]


async def test_a_hook_that_a_manifest_misspells_stops_the_opening(site: Site) -> None:
    manager = installed(site, "", '"lash_guard_comit"')
    assert str(await failure(manager.open_session(setup()))) == (
        "plugin 'a' (dist-a 1.0) is failed: hook lash_guard_comit: the manifest lists it, but the plugin does not "
        "implement it; did you mean 'lash_guard_commit'?"
    )


async def test_the_order_of_calls_is_that_of_the_manifests(site: Site) -> None:
    code = "from lash_hookspecs import implements\nfrom lash_hookspecs.specs.models import *\n"
    code += "@implements(lash_transform_stream_text)\n"
    code += "async def text(context): return context.text + {name!r}\n"
    for name, extra in (("a", 'after = ["c"]'), ("b", ""), ("c", "")):
        manifest = f'requires_api = "0.1"\nhooks = ["lash_transform_stream_text"]\n{extra}\n'
        files = {
            f"dummy_{name}/__init__.py": code.format(name=name),
            f"dummy_{name}/lash-plugin.toml": manifest,
        }
        site.add(f"dist-{name}", {name: f"dummy_{name}"}, files)
    hooks = await PluginManager.discover().open_session(setup())
    context = StreamText(session=setup().services, session_id="s1", text="")
    assert await hooks.transform(lash_transform_stream_text, context) == "bca"


def test_each_kind_of_waiting_is_seen_in_a_function() -> None:
    async def plain(context: Said) -> list[int]:
        async def inner() -> None:
            await asyncio.sleep(0)

        return [number * 2 for number in range(3)]

    async def loops(rows: AsyncIterator[int]) -> None:
        async for _ in rows:
            pass

    async def enters(lock: asyncio.Lock) -> None:
        async with lock:
            pass

    async def comprehends(rows: AsyncIterator[int]) -> list[int]:
        return [row async for row in rows]

    class Object:
        async def __call__(self, context: Said) -> None: ...

    assert not may_suspend(plain)
    assert all(may_suspend(each) for each in (suspends, loops, enters, comprehends, Object()))
