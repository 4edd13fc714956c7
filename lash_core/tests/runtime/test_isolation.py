"""A plugin that misbehaves in a hook, whichever it is, is named, and harms neither session, commit nor neighbours."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from every_hook import SPECS, Life, alike, bad, good, right_answer
from lash_hookspecs.markers import hook_info


class Stop(BaseException):
    """What is no Exception."""


def misbehaviours(spec: Callable[..., Any]) -> dict[str, Callable[[Any], Any]]:
    """What a plugin may do in a hook."""

    def fails(context: Any) -> Any:
        raise ValueError("I am broken")

    def stops(context: Any) -> Any:
        raise Stop("I stop all")

    async def never_ends(context: Any) -> Any:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return right_answer(spec, context)

    def coroutine(does: Callable[[Any], Any]) -> Callable[[Any], Any]:
        async def waits(context: Any) -> Any:
            await asyncio.sleep(0)
            return does(context)

        return waits

    if hook_info(spec).kind == "offer":
        return {"I am broken": fails, "I stop all": stops, "must return": lambda context: 7}
    wrong = "must answer Allow or Deny" if hook_info(spec).kind == "guard" else "must return"
    return {
        "I am broken": coroutine(fails),
        "I stop all": coroutine(stops),
        wrong: coroutine(lambda context: Stop),
        "missed its deadline of 0.005 s": never_ends,
    }


@pytest.mark.parametrize("hook", SPECS)
async def test_whatever_a_plugin_does_in_a_hook_it_is_named_and_nobody_is_harmed(
    hook: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = SPECS[hook]
    info = hook_info(spec)
    life = Life()
    await life.begin()
    begun = await life.stored()
    for told, does in misbehaviours(spec).items():
        heard: list[tuple[str, str]] = []
        life.told.clear()
        caplog.clear()
        with monkeypatch.context() as patched, caplog.at_level(logging.ERROR, "lash.plugins"):
            if told.startswith("missed"):
                patched.setattr(spec, "lash_hook", attrs.evolve(info, deadline=0.005))
            await life.go_on(bad(spec, does), good(heard))
        said = "\n".join((*caplog.messages, *life.told))
        assert "plugin 'bad' (lash-core " in said
        assert f": {hook} " in said
        assert told in said
        assert info.kind != "guard" or any(word in said for word in ("denied", "stopped", "CommitDenied"))
        if info.kind in ("observe", "guard"):
            assert hook in [name for name, _ in heard], "the neighbour is called all the same"
        if info.kind == "observe":
            assert all(": PluginError" not in each and ": failed" not in each for each in life.told)
    stored = await life.stored()
    assert [body for body in begun if b"first" in body] == [body for body in stored if b"first" in body]
    await life.go_on()
    assert not [each for each in life.told[-9:] if "Error" in each], "the sessions go on without it"


async def test_every_hook_is_called_in_the_life_that_these_tests_watch() -> None:
    life, heard = Life(), list[tuple[str, str]]()
    await life.begin()
    await life.go_on(good(heard))
    assert {name for name, _ in heard} == SPECS.keys()


async def test_what_a_plugin_changes_of_what_it_was_given_nobody_else_sees() -> None:
    lives = []
    for spoils in (False, True):
        life, heard = Life(), list[tuple[str, str]]()
        await life.begin()
        await life.go_on(good([], "first", spoils=spoils), good(heard))
        requests = [alike(request.model_dump_json()) for request in life.model.requests]
        lives.append((heard, requests, life.given, await life.stored()))
        assert not [each for each in life.told if "Error" in each]
    left_alone, spoiled = lives
    for alone, one_that_had_a_spoiler in zip(left_alone, spoiled, strict=True):
        assert one_that_had_a_spoiler == alone
