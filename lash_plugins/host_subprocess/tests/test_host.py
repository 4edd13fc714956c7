"""A child for each turn: what it is given, what it may use, how it ends, what is left of it."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import Any

import pytest
from lash_hookspecs.errors import ConfigurationError, HostError
from lash_hookspecs.protocols.hosts import Host
from lash_hookspecs.specs.offers import OfferContext
from lash_host_subprocess import ChildLimits, SubprocessHost
from lash_host_subprocess.plugin import hosts

from lash_plugins.host_subprocess.tests.scripted import ScriptedRunner

ONCE = ChildLimits(restarts=0)


async def run(*scripts: str, limits: ChildLimits = ONCE) -> ScriptedRunner:
    runner = ScriptedRunner(list(scripts))
    await SubprocessHost(limits).run_turn(runner)
    return runner


async def failure(*scripts: str, limits: ChildLimits = ONCE) -> str:
    with pytest.raises(HostError) as caught:
        await run(*scripts, limits=limits)
    assert (caught.value.host, caught.value.session_id) == ("subprocess", "s")
    return caught.value.message


def children() -> set[str]:
    return {pid for listed in Path("/proc/self/task").glob("*/children") for pid in listed.read_text().split()}


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def gone(pid: int) -> bool:
    async with asyncio.timeout(10):
        while runs(pid):  # noqa: ASYNC110  the kernel ends it
            await asyncio.sleep(0.005)
    return True


async def test_a_child_gets_its_order_and_says_what_it_likes_line_by_line() -> None:
    runner = await run("say(order); say('x' * 200_000); os.write(1, b'half '); os.write(1, b'a line\\n'); say('done')")
    assert runner.told == ["order 1", "x" * 200_000, "half a line", "done"]


async def test_what_a_child_is_told_is_in_neither_its_arguments_nor_its_environment() -> None:
    runner = await run("say(any('order' in text for text in [*sys.argv, *os.environ.values()])); say('done')")
    assert runner.told == ["False", "done"]


async def test_a_turn_whose_child_dies_is_continued_by_the_next_one() -> None:
    runner = await run("say(order); os.kill(os.getpid(), 9)", "say(order); say('done')", limits=ChildLimits())
    assert runner.told == ["order 1", "order 2", "done"]


async def test_the_error_tells_signal_and_last_words() -> None:
    message = await failure(
        "sys.stderr.write('first\\n' * 30 + 'the last words\\n'); sys.stderr.flush(); os.kill(os.getpid(), 11)"
    )
    head, _, words = message.partition("; it said last:\n")
    assert head == (
        "host 'subprocess' could not bring the turn of session 's' to its end: its child process was killed by SIGSEGV"
    )
    assert words.startswith("first\n" * 19 + "the last words\n. The turn is interrupted; continue it with")


async def test_the_error_tells_the_exit_code() -> None:
    assert "its child process ended with exit code 7 before the turn was done. The turn" in await failure("os._exit(7)")


async def test_a_child_that_runs_too_long_is_killed_with_what_it_started() -> None:
    started = "import subprocess; say(subprocess.Popen(['sleep', '100']).pid); time.sleep(100)"
    before, runner = children(), ScriptedRunner([started])
    with pytest.raises(HostError, match=re.escape("ran longer than 0.5 s and was killed")):
        await SubprocessHost(ChildLimits(restarts=0, seconds=0.5)).run_turn(runner)
    assert not runner.told or await gone(int(runner.told[0]))
    assert children() <= before


async def test_a_child_that_computes_too_long_is_killed() -> None:
    message = await failure("while True: pass", limits=ChildLimits(restarts=0, cpu_seconds=1))
    assert "was killed by SIGXCPU (its limit is 1 s of processor time)" in message


async def test_a_child_gets_no_more_memory_than_it_may_have() -> None:
    script = "try: bytearray(400_000_000)\nexcept MemoryError: say('refused')\nsay('done')"
    assert (await run(script, limits=ChildLimits(memory_mb=300))).told == ["refused", "done"]
    assert (await run("bytearray(400_000_000); say('done')")).told == ["done"]


async def test_a_wish_reaches_the_child() -> None:
    runner = ScriptedRunner(["say('ready'); say(sys.stdin.readline().strip()); say('done')"])
    running = asyncio.create_task(SubprocessHost(ONCE).run_turn(runner))
    await runner.heard.wait()
    runner.wished.set()
    await running
    assert runner.told == ["ready", "stop", "done"]


async def test_a_child_that_does_not_heed_a_wish_is_killed() -> None:
    runner = ScriptedRunner(["say('ready'); time.sleep(100)"])
    running = asyncio.create_task(SubprocessHost(ChildLimits(restarts=0, grace=0.1)).run_turn(runner))
    await runner.heard.wait()
    runner.wished.set()
    with pytest.raises(HostError, match=re.escape("did not end the turn within 0.1 s and was killed")):
        await running


async def test_a_run_that_is_cancelled_leaves_no_process() -> None:
    before, runner = children(), ScriptedRunner(["say(os.getpid()); time.sleep(100)"])
    running = asyncio.create_task(SubprocessHost().run_turn(runner))
    await runner.heard.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await gone(int(runner.told[0]))
    assert children() <= before


async def test_closing_kills_what_still_runs() -> None:
    host, runner = SubprocessHost(ONCE), ScriptedRunner(["say(os.getpid()); time.sleep(100)"])
    running = asyncio.create_task(host.run_turn(runner))
    await runner.heard.wait()
    await host.close()
    with pytest.raises(HostError, match="was killed because the host was closed"):
        await running
    await host.close()


async def test_a_child_leads_a_process_group_of_its_own() -> None:
    runner = await run("say(os.getpgrp() == os.getpid()); say('done')")
    assert runner.told == ["True", "done"]
    assert os.getpgrp()


def test_the_host_is_offered_with_the_limits_of_the_settings() -> None:
    [offer] = hosts(OfferContext(api="0.1", settings={"seconds": 2.5, "memory_mb": 512, "restarts": 0}))
    host = offer.build()
    assert (offer.name, host.name, offer.tasks) == ("subprocess", "subprocess", None)
    assert isinstance(host, Host)
    assert not host.capabilities.own_process
    assert host._limits == ChildLimits(seconds=2.5, memory_mb=512, restarts=0)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "table",
    [{"second": 1}, {"seconds": 0}, {"seconds": "soon"}, {"memory_mb": 1.5}, {"restarts": -1}, {"cpu_seconds": 0}],
    ids=str,
)
def test_a_setting_that_cannot_be_is_named(table: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(table))):
        hosts(OfferContext(api="0.1", settings=table))
