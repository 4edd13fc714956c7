"""Pages, labels, tenants, writers and conflicts, as an operator sees them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
from lash_core.app import Lash as App
from lash_hookspecs.records.models import ModelReply, ReplyChunk
from lash_hookspecs.records.payloads import TextPart
from lash_hookspecs.records.store import Commit, Head, Writer

if TYPE_CHECKING:
    from types import ModuleType

    from tests.cli.conftest import Lash

STORE = ("--store", "kept:one")


def ids(out: str) -> list[str]:
    return [row["session_id"] for row in json.loads(out)]


def make_sessions(count: int) -> None:
    """Make sessions s0, s1, …; the even ones belong to u1."""

    async def make() -> None:
        async with App.open("kept:one") as lash:
            for number in range(count):
                session = await lash.session(f"s{number}", labels={"user": f"u{number % 2 + 1}", "kind": "chat"})
                await session.turn("Hello")

    asyncio.run(make())


def test_sessions_are_listed_by_label_and_page_by_page(lash: Lash) -> None:
    make_sessions(7)
    assert ids(lash("sessions", "list", "--label", "user=u1", "--json", *STORE).out) == ["s0", "s2", "s4", "s6"]
    both = ("--label", "user=u2", "--label", "kind=chat")
    first = lash("sessions", "list", *both, "--limit", "2", "--json", *STORE)
    assert (ids(first.out), first.err) == (["s1", "s3"], "lash: there are more; --after s3 goes on\n")
    lash("run", "Hello", "--session", "s2b", *STORE)
    rest = lash("sessions", "list", *both, "--limit", "2", "--after", "s3", "--json", *STORE)
    assert (ids(rest.out), rest.err) == (["s5"], "")
    assert lash("sessions", "list", "--label", "user=u3", *STORE).out == ""


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (("user",), "--label takes KEY=VALUE, and got 'user'"),
        (("=u1",), "--label takes KEY=VALUE, and got '=u1'"),
        (("user=u1", "user=u2"), "no session has label 'user' twice: 'u1' and 'u2'"),
    ],
)
def test_a_label_that_cannot_be_is_refused(lash: Lash, pairs: tuple[str, ...], message: str) -> None:
    options = [option for pair in pairs for option in ("--label", pair)]
    ran = lash("sessions", "list", *options, *STORE)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err.replace("\n", " ")


def test_a_tenant_sees_its_own_sessions_alone(lash: Lash, monkeypatch: pytest.MonkeyPatch) -> None:
    for tenant in ("acme", "umbrella"):
        assert lash("run", "Hello", "--session", "s", "--tenant", tenant, *STORE).code == 0
    lash("run", "Hello", "--session", "more", "--tenant", "acme", *STORE)
    assert ids(lash("sessions", "list", "--tenant", "acme", "--json", *STORE).out) == ["more", "s"]
    monkeypatch.setenv("LASH_TENANT", "umbrella")
    assert ids(lash("sessions", "list", "--json", *STORE).out) == ["s"]
    assert lash("sessions", "show", "more", *STORE).code == 2
    monkeypatch.delenv("LASH_TENANT")
    assert ids(lash("sessions", "list", "--json", *STORE).out) == []


def test_who_wrote_under_each_epoch_is_told(lash: Lash) -> None:
    lash("run", "Hello", "--session", "s1", *STORE)
    lash("run", "Hello again", "--session", "s1", *STORE)
    told = json.loads(lash("sessions", "writers", "s1", "--json", *STORE).out)
    assert [(each["epoch"], each["commits"], each["last_revision"]) for each in told] == [(1, 2, 2), (2, 2, 4)]
    assert all(each["writer"].startswith("lash run (pid ") for each in told)
    assert [each["holds_lease"] for each in told] == [False, False]
    table = lash("sessions", "writers", "s1", "--limit", "1", *STORE).out.splitlines()
    assert table[0].split() == ["EPOCH", "WRITER", "COMMITS", "REVISION", "LAST", "COMMIT"]
    assert [line.split()[0] for line in table[1:]] == ["2"]
    assert lash("sessions", "writers", "nobody", *STORE).code == 2


def test_who_holds_the_lease_is_marked_before_the_first_commit_of_the_epoch(lash: Lash, dummies: ModuleType) -> None:
    seen: list[Any] = []

    async def answer(request: Any) -> AsyncIterator[ReplyChunk]:
        store = dummies.STORES["kept:one"].session("s1")
        seen.append((await store.lease()).epoch)
        yield ReplyChunk(reply=ModelReply(parts=(TextPart(text="x"),)))

    dummies.ANSWERS.append(answer)
    lash("run", "Hello", "--session", "s1", *STORE)
    store = dummies.STORES["kept:one"].session("s1")
    holder = asyncio.run(_taken(store))
    told = json.loads(lash("sessions", "writers", "s1", "--json", *STORE).out)
    assert [(each["epoch"], each["commits"], each["holds_lease"]) for each in told] == [(1, 2, False), (2, 0, True)]
    assert told[1]["writer"] == holder
    assert "holds the lease" in lash("sessions", "writers", "s1", *STORE).out


async def _taken(store: Any) -> str:
    from lash_core.process import this_process

    return str((await store.take_lease(this_process("another"), 60)).holder.describe())


def conflicting(dummies: ModuleType) -> Any:
    """An answer of the model, before which somebody else commits."""

    async def answer(request: Any) -> AsyncIterator[ReplyChunk]:
        store = dummies.STORES["kept:one"].session("s1")
        head: Head = await store.head()
        await store.commit(
            Commit(
                session_id="s1",
                commit_id="rogue",
                writer=Writer(head.incarnation, head.epoch),
                expected_revision=head.revision,
                leaf=head.leaf,
                state=head.state,
                record=b'{"step": "append"}',
                committed_at=1,
                components=head.components,
                open_turn=head.open_turn,
            )
        )
        yield ReplyChunk(reply=ModelReply(parts=(TextPart(text="paid for"),)))

    return answer


def test_a_lost_conflict_exits_3_and_prints_the_leaf_that_was_kept(lash: Lash, dummies: ModuleType) -> None:
    dummies.ANSWERS.append(conflicting(dummies))
    ran = lash("run", "Hello", "--session", "s1", "--on-conflict", "branch", *STORE)
    assert ran.code == 3
    leaf = ran.out.strip()
    assert f"is kept as a branch that ends at node {leaf}" in ran.err
    lash("turns", "abandon", "s1", *STORE)
    assert lash("branch", "s1", leaf, *STORE).code == 0
    shown = json.loads(lash("sessions", "show", "s1", "--json", *STORE).out)
    assert shown["path"][-1]["node_id"] == leaf


def test_a_lost_conflict_tells_programs_the_leaf(lash: Lash, dummies: ModuleType) -> None:
    dummies.ANSWERS.append(conflicting(dummies))
    ran = lash("run", "Hello", "--session", "s1", "--on-conflict", "branch", "--json", *STORE)
    error = json.loads(ran.out)["error"]
    assert (ran.code, error["code"], error["session_id"]) == (3, "conflict_branched", "s1")
    nodes = json.loads(lash("sessions", "tree", "s1", "--json", *STORE).out)["nodes"]
    assert error["leaf"] in [node["node_id"] for node in nodes]


def test_a_conflict_gives_the_tail_up_unless_asked_and_queueing_is_refused_by_name(
    lash: Lash, dummies: ModuleType
) -> None:
    dummies.ANSWERS.append(conflicting(dummies))
    ran = lash("run", "Hello", "--session", "s1", *STORE)
    assert (ran.code, ran.out) == (3, "")
    assert "somebody else committed first" in ran.err
    queued = lash("run", "Hello", "--session", "s1", "--on-conflict", "queue", *STORE)
    assert queued.code == 2
    assert "on_conflict='queue' needs input that waits for the next turn" in queued.err
