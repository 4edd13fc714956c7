"""What becomes of a turn when somebody else commits before it can (T7)."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from lash_core.runtime.runtime import LashRuntime
from lash_hookspecs.errors import ConfigurationError, ConflictBranched, HeadRevisionConflict, WriterFenced
from lash_hookspecs.records.events import TailKept
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.models import ModelReply, ModelRequest
from lash_hookspecs.records.payloads import Message, ToolInvocation, decode_payload, kind_of
from lash_hookspecs.records.state import CommitDocument
from lash_hookspecs.records.store import Commit, Head, Holder, Writer
from lash_hookspecs.records.turn import TurnInput, TurnLimits, TurnResult
from lash_hookspecs.toolkit import FunctionTools
from lifetimes import DurableBackend, environment, opened, said, say, steps, texts
from probes import calls, says

from lash_core import Residency, tool

BOTH = pytest.mark.parametrize("residency", list(Residency), ids=lambda each: each.value)


@tool(kind="read_only")
async def look() -> str:
    return "seen"


async def head_of(backend: DurableBackend) -> Head:
    head = await backend.session("s").head()
    assert isinstance(head, Head)
    return head


async def commit_meanwhile(backend: DurableBackend) -> None:
    """Commit what another writer would that has no lease and knows of none."""
    head = await head_of(backend)
    message = said("mine first")
    node = Node(secrets.token_hex(16), head.leaf, 1, kind_of(message), message.to_bytes())
    await backend.session("s").commit(
        Commit(
            session_id="s",
            commit_id=secrets.token_hex(8),
            writer=Writer(head.incarnation, head.epoch),
            expected_revision=head.revision,
            leaf=node.node_id,
            state=head.state,
            record=CommitDocument(step="append").to_bytes(),
            committed_at=1,
            nodes=(node,),
            components=head.components,
            open_turn=head.open_turn,
        )
    )


async def take_over(backend: DurableBackend) -> None:
    """Take the session over, as a worker does who finds the lease expired, and begin to work."""
    store = backend.session("s")
    lease = await store.lease()
    other = Holder("other", "elsewhere", 1, "", "other")
    await store.take_lease(other, 60, replacing=lease.epoch if lease else None)
    await commit_meanwhile(backend)


def after(does: Callable[[DurableBackend], Awaitable[None]], backend: DurableBackend, reply: ModelReply) -> Any:
    """An answer before which somebody else does something."""

    async def answer(request: ModelRequest) -> ModelReply:
        await does(backend)
        return reply

    return answer


async def turn(runtime: LashRuntime, policy: Any) -> Any:
    return await runtime.turn(TurnInput(text="b"), TurnLimits(), on_conflict=policy)


async def kept_texts(backend: DurableBackend, leaf: str) -> list[str]:
    payloads = [decode_payload(node) for node in await backend.session("s").path(leaf)]
    return [payload.text for payload in payloads if isinstance(payload, Message)]


@BOTH
@pytest.mark.parametrize(("meanwhile", "cause"), [(commit_meanwhile, HeadRevisionConflict), (take_over, WriterFenced)])
async def test_a_tail_that_was_paid_for_is_kept_beside_the_winners_path(
    meanwhile: Any, cause: type[Exception], residency: Residency
) -> None:
    backend = DurableBackend()
    reply = after(meanwhile, backend, says("paid for", input_tokens=7))
    runtime = await opened(environment(backend, says("one"), reply, residency=residency))
    await say(runtime, "a")
    with pytest.raises(ConflictBranched, match="is kept as a branch that ends at node") as caught:
        await turn(runtime, "branch")
    assert isinstance(caught.value.__cause__, cause)
    assert caught.value.leaf in caught.value.message
    assert await kept_texts(backend, caught.value.leaf) == ["a", "one", "b", "paid for"]
    head = await head_of(backend)
    assert head.leaf is not None
    assert await kept_texts(backend, head.leaf) == ["a", "one", "b", "mine first"]
    assert runtime.head == head, "what is resident is what is stored"
    assert texts(runtime) == ["a", "one", "b", "mine first"]
    assert [row.usage.input_tokens for row in runtime.view().usage] == [7], "and counted once"
    [told] = [each.event async for each in runtime.events() if isinstance(each.event, TailKept)]
    assert told.leaf == caught.value.leaf
    await runtime.close()
    again = await opened(environment(backend))
    assert [row.usage.input_tokens for row in again.view().usage] == [7]
    if lease := await backend.session("s").lease():
        await backend.session("s").release_lease(lease)
    await again.abandon_turn()
    await again.branch_to(caught.value.leaf)
    assert (await say(again, "c")).outcome == "finished"
    assert texts(again)[-4:] == ["b", "paid for", "c", "ok"]


@pytest.mark.parametrize("policy", ["raise", None])
async def test_a_conflict_is_raised_unless_one_says_otherwise_and_nothing_is_written(policy: str | None) -> None:
    backend = DurableBackend()
    runtime = await opened(environment(backend, after(commit_meanwhile, backend, says("paid for", input_tokens=7))))
    with pytest.raises(HeadRevisionConflict, match="somebody else committed first"):
        await (say(runtime, "b") if policy is None else turn(runtime, policy))
    assert "kept" not in steps(backend)
    await runtime.abandon_turn()
    assert [row.usage.input_tokens for row in runtime.view().usage] == [7], "usage rides the next commit"


async def test_what_a_tool_did_is_kept_with_the_call_that_asked_for_it() -> None:
    backend = DurableBackend()
    answers = [calls(("look", {})), after(commit_meanwhile, backend, calls(("look", {}), text="again"))]
    runtime = await opened(environment(backend, *answers, tools=FunctionTools([look])))
    with pytest.raises(ConflictBranched) as caught:
        await turn(runtime, "branch")
    payloads = [decode_payload(node) for node in await backend.session("s").path(caught.value.leaf)]
    assert any(isinstance(payload, Message) and payload.text == "again" for payload in payloads)
    await runtime.abandon_turn()
    await runtime.branch_to(caught.value.leaf)
    assert (await say(runtime, "c")).outcome == "finished"
    results = [each for each in runtime.view().payloads if isinstance(each, ToolInvocation)]
    assert [each.result.output for each in results] == ["seen", "seen"]


@BOTH
async def test_a_winner_goes_on_behind_what_a_loser_keeps(residency: Residency) -> None:
    backend, asked, lost = DurableBackend(), asyncio.Event(), asyncio.Event()
    store = backend.session("s")
    winning: list[asyncio.Task[TurnResult]] = []

    async def win(request: ModelRequest) -> ModelReply:
        asked.set()
        await lost.wait()
        return says("won", input_tokens=5)

    async def lose(request: ModelRequest) -> ModelReply:
        lease = await store.lease()
        assert lease is not None
        await store.release_lease(lease)  # as good as expired
        winning.append(asyncio.create_task(say(winner, "w")))
        await asked.wait()
        return says("paid for", input_tokens=7)

    winner = await opened(environment(backend, win, residency=residency))
    loser = await opened(environment(backend, lose, residency=residency))
    with pytest.raises(ConflictBranched) as caught:
        await turn(loser, "branch")
    lost.set()
    assert (await winning[0]).outcome == "finished"
    assert await kept_texts(backend, caught.value.leaf) == ["b", "paid for"]
    assert texts(winner) == ["b", "w", "won"]
    assert sum(row.usage.input_tokens for row in winner.view().usage) == 12
    again = await opened(environment(backend))
    assert again.view().usage == winner.view().usage
    assert steps(backend)[-2:] == ["final", "final"], "the winner's commit was made anew behind the loser's"


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("queue", "on_conflict='queue' needs input that waits for the next turn, which this version has not"),
        ("merge", "on_conflict cannot be 'merge': it must be 'raise' or 'branch'"),
    ],
)
async def test_another_policy_is_refused_before_anything_is_written(policy: str, message: str) -> None:
    backend = DurableBackend()
    runtime = await opened(environment(backend))
    with pytest.raises(ConfigurationError, match=message):
        await turn(runtime, policy)
    assert backend.commits == []


async def test_a_session_deleted_meanwhile_keeps_nothing() -> None:
    backend = DurableBackend()

    async def replace(backend: DurableBackend) -> None:
        head = await head_of(backend)
        await backend.session("s").delete(incarnation=head.incarnation, deleted_at=1)
        await say(await opened(environment(backend)), "another life")

    runtime = await opened(environment(backend, after(replace, backend, says("paid for"))))
    with pytest.raises(Exception, match="deleted"):
        await turn(runtime, "branch")
    assert await kept_texts(backend, (await head_of(backend)).leaf or "") == ["another life", "ok"]
