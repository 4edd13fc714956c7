"""Each call of a plugin is told to whoever wants to know: whose, how long it took, what became of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hook_kinds import (
    Said,
    function,
    lash_contribute_words,
    lash_guard_words,
    lash_on_words,
    lash_transform_words,
    manager_of,
    part,
    setup,
)
from lash_core.plugins.hook_calls import HookCall
from lash_core.plugins.session_hooks import SessionHooks
from lash_hookspecs.errors import PluginError
from lash_hookspecs.markers import hook_info
from lash_hookspecs.protocols.session_plugins import SessionPlugin
from lash_hookspecs.specs.decisions import ALLOW, Deny

SAID = Said()


def answering(answer: Any) -> Callable[[Said], Any]:
    async def answers(context: Said) -> Any:
        await asyncio.sleep(0)
        return answer

    return answers


def raising(error: BaseException) -> Callable[[Said], Any]:
    async def answers(context: Said) -> Any:
        raise error

    return answers


def offering(answer: Any) -> Callable[[Said], Any]:
    def answers(context: Said) -> Any:
        return answer

    return answers


async def hangs(context: Said) -> None:
    await asyncio.Event().wait()


async def called(spec: Any, does: Callable[[Said], Any]) -> HookCall:
    """Call a hook of one plugin; the one record of it."""
    told: list[HookCall] = []
    does.__name__ = "mine"
    hooks = await manager_of(function(spec, does)).open_session(setup(), told.append)
    with contextlib.suppress(PluginError):
        await _call(hooks, spec)
    (call,) = told
    return call


async def _call(hooks: SessionHooks, spec: Any) -> None:
    kind = hook_info(spec).kind
    if kind == "offer":
        hooks.collect(spec, SAID)
    else:
        calls: dict[str, Any] = {"observe": hooks.notify, "transform": hooks.transform, "guard": hooks.guard}
        await calls[kind](spec, SAID)


@pytest.mark.parametrize(
    ("spec", "does", "outcome", "reason"),
    [
        (lash_on_words, answering(None), "answered", ""),
        (lash_on_words, answering(3), "wrong_type", "must return nothing, and returned 3"),
        (lash_on_words, raising(ValueError("no")), "failed", "failed: ValueError: no"),
        (lash_on_words, hangs, "late", "missed its deadline of 0.01 s and was cancelled"),
        (lash_on_words, raising(asyncio.CancelledError()), "cancelled", "cancelled itself"),
        (lash_transform_words, answering("so"), "unchanged", ""),
        (lash_transform_words, answering("else"), "changed", ""),
        (lash_transform_words, answering(3), "wrong_type", "must return str, and returned 3"),
        (lash_guard_words, answering(ALLOW), "allowed", ""),
        (lash_guard_words, answering(Deny("too long")), "denied", "too long"),
        (lash_guard_words, answering("no"), "wrong_type", "must answer Allow or Deny, not 'no'"),
        (lash_guard_words, raising(SystemExit(3)), "failed", "failed: it called sys.exit(3)"),
        (lash_contribute_words, offering(["a"]), "answered", ""),
        (lash_contribute_words, offering("a"), "wrong_type", "must return a list of str, and returned 'a'"),
    ],
)
async def test_what_became_of_a_call_is_told(
    spec: Any, does: Callable[[Said], Any], outcome: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if does is hangs:
        monkeypatch.setattr(spec, "lash_hook", attrs.evolve(hook_info(spec), deadline=0.01))
    call = await called(spec, does)
    assert (call.outcome, call.reason) == (outcome, reason)
    assert (call.session_id, call.hook, call.plugin, call.distribution) == ("s1", spec.__name__, "mine", "lash-core")
    assert call.milliseconds >= 0


async def test_a_call_that_is_cancelled_with_its_caller_is_told() -> None:
    told: list[HookCall] = []
    began = asyncio.Event()

    async def waits(context: Said) -> None:
        began.set()
        await asyncio.Event().wait()

    hooks = await manager_of(function(lash_on_words, waits)).open_session(setup(), told.append)
    calling = asyncio.ensure_future(hooks.notify(lash_on_words, SAID))
    await began.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert [call.outcome for call in told] == ["cancelled"]


async def test_the_methods_of_a_session_plugin_are_told_too() -> None:
    class Mine(SessionPlugin): ...

    told: list[HookCall] = []
    hooks = await manager_of(part("mine", lambda _: Mine())).open_session(setup(), told.append)
    await hooks.restore({})
    hooks.snapshots()
    await hooks.close()
    assert [call.hook.partition("(")[0] for call in told] == ["build", "restore", "snapshot", "close"]
    assert told[0].hook == "build() of session plugin 'mine'"


async def test_whoever_is_told_and_fails_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def fails(call: HookCall) -> None:
        raise ValueError("I do not want to know")

    async def mine(context: Said) -> str:
        return "else"

    hooks = await manager_of(function(lash_transform_words, mine)).open_session(setup(), fails)
    assert await hooks.transform(lash_transform_words, SAID) == "else"
    assert caplog.messages[0].endswith("lash_transform_words was called, and whoever is told of it failed")
