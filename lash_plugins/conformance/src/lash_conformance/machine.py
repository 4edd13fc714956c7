"""A Hypothesis state machine: any sequence of calls is answered as the reference answers it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

import attrs
from hypothesis import HealthCheck, Phase, assume, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.store import Commit, Consumed, Fork, Head, Lease, StreamEntry, Writer, blob_ref

from lash_conformance.build import holder
from lash_conformance.place import Place
from lash_conformance.reference import Reference, Refused
from lash_conformance.replay import TERM, Replay

__all__ = ["Machine", "run_machine"]

_HOLDERS = (holder("ann", "one"), holder("bob", "two"))

_NAMES = st.sampled_from("abc")
_SMALL = st.integers(0, 3)


@attrs.define
class Script:
    """The calls of one run, as Python that makes them again."""

    place: Place
    lines: list[str] = attrs.field(factory=list)

    def call(
        self, session_id: str, method: str, arguments: tuple[Any, ...], options: dict[str, Any], answer: Any
    ) -> None:
        """Add a call with its right answer."""
        given = [repr(session_id), repr(method), *map(repr, arguments)]
        given += [f"{name}={value!r}" for name, value in options.items()]
        self.lines.append(f"await store.call({', '.join([*given, f'answer={answer!r}'])})")

    def text(self) -> str:
        """Give the whole script."""
        kept = {name: value for name, value in self.place.fields.items() if name not in ("folder", "name")}
        given = {**self.place.opener.address, "url": self.place.template, **kept}
        words = [f"{name}={value!r}" for name, value in given.items()]
        if self.place.clock is not None:
            words.append("clock=True")
        body = "\n".join(f"        {line}" for line in self.lines)
        return (
            "import asyncio\n\nfrom lash_conformance.replay import *\n\n\nasync def main() -> None:\n"
            f"    async with replaying({', '.join(words)}) as store:\n{body}\n\n\nasyncio.run(main())\n"
        )


class Machine(RuleBasedStateMachine):
    """Makes calls on a store and on the reference, and compares each answer.

    The numbers that the rules draw choose among what is there, so that most of what is drawn means something.
    """

    run: ClassVar[Callable[[Any], Any]]
    place: ClassVar[Place]
    backend: ClassVar[StoreBackend]
    levels: ClassVar[frozenset[str]]
    lasting: ClassVar[bool]
    examples: ClassVar[int] = 0
    #: The script of the last run that failed; after shrinking, of the smallest.
    failed: ClassVar[tuple[str, str] | None] = None

    def __init__(self) -> None:
        super().__init__()
        cls = type(self)
        cls.examples += 1
        self.prefix = f"r{cls.examples}-"
        self.made = 0
        self.reference = Reference()
        self.script = Script(cls.place)
        self.store = Replay(cls.place, cls.backend)
        self.lives: dict[str, int] = {}
        self.past: list[Commit] = []
        self.leases: dict[str, Lease] = {}

    # What the rules are made of.

    def check(self, session_id: str, method: str, *arguments: Any, **options: Any) -> Any:
        """Make one call; give the right answer."""
        try:
            answer = getattr(self.reference, method)(session_id, *arguments, **options)
        except Refused as refused:
            answer = refused
        self.script.call(session_id, method, arguments, options, answer)
        self._do(self.store.call(session_id, method, *arguments, answer=answer, **options))
        return answer

    def _do(self, call: Any) -> None:
        cls = type(self)
        try:
            cls.run(call)
        except Exception as error:
            cls.failed = (f"{type(error).__name__}: {error}", self.script.text())
            raise

    def session(self, letter: str) -> str:
        """Name a session of this run."""
        return self.prefix + letter

    def ident(self) -> str:
        """Make an id."""
        self.made += 1
        return f"{self.prefix}{self.made:02d}"

    def writer(self, session_id: str, back: int = 0) -> Writer:
        """Give the writer of the session's present life, or of one before."""
        return Writer(f"{session_id}.{self.lives.get(session_id, 0) - back}", self.reference.name(session_id).fence)

    def granted(self, session_id: str, epoch: int) -> int:
        """Bound an epoch where epochs come from leases: nobody has one that was never given."""
        return min(epoch, self.reference.name(session_id).floor) if "concurrent" in self.levels else epoch

    def following(self, session_id: str, back: int, count: int, **fields: Any) -> Commit:
        """Make a commit that the store has to take, but for what the fields say."""
        head = self.reference.head(session_id)
        fork: Fork | None = fields.get("fork")
        known = list(self.reference.graph(fork.session_id if fork else session_id))
        parent = fork.leaf if fork else head.leaf if isinstance(head, Head) else None
        if known and back and not fork:
            parent = known[-1 - back % len(known)].node_id
        nodes: list[Node] = []
        for _ in range(count):
            node_id = self.ident()
            nodes.append(Node(node_id, nodes[-1].node_id if nodes else parent, 1_000_000, "message", node_id.encode()))
        given: dict[str, Any] = {
            "session_id": session_id,
            "commit_id": self.ident(),
            "writer": self.writer(session_id),
            "expected_revision": head.revision if isinstance(head, Head) else None,
            "nodes": tuple(nodes),
            "leaf": nodes[-1].node_id if nodes else parent,
            "state": b"state %d" % self.made,
            "record": b"record %d" % self.made,
            "committed_at": 2_000_000 + self.made,
        }
        return Commit(**given | fields)

    def commit(self, commit: Commit) -> None:
        """Send a commit and remember it."""
        self.past.append(commit)
        self.check(commit.session_id, "commit", commit)

    # The rules.

    @rule(letter=_NAMES, back=st.integers(0, 5), count=_SMALL)
    def go_on(self, letter: str, back: int, count: int) -> None:
        """Append behind the leaf, or elsewhere."""
        self.commit(self.following(self.session(letter), back, count))

    @rule(letter=_NAMES, count=_SMALL, body=st.sampled_from([b"", b"one", b"two" * 100]), used=_SMALL)
    def say_more(self, letter: str, count: int, body: bytes, used: int) -> None:
        """Append with blobs, labels, an open turn and used-up entries."""
        ref = blob_ref(body)
        self.commit(
            self.following(
                self.session(letter),
                0,
                count,
                components={"part": ref},
                blobs={ref: body},
                labels={"used": str(used)},
                open_turn=f"turn {used}" if used else None,
                consumed=(Consumed("s", used), Consumed("t", 1)),
            )
        )

    @rule(letter=_NAMES, body=st.sampled_from([b"", b"one", b"never"]), refs=st.booleans())
    def refer(self, letter: str, body: bytes, refs: bool) -> None:
        """Refer to a blob that may not be there, from a component or from a node."""
        session_id, ref = self.session(letter), blob_ref(self.prefix.encode() + body)
        fields: dict[str, Any] = {"components": {"part": ref}}
        if refs:
            node_id = self.ident()
            fields = {"nodes": (Node(node_id, None, 1, "tool", b"{}", refs=(ref,)),), "leaf": node_id}
        self.commit(self.following(session_id, 0, 0, **fields))

    @rule(letter=_NAMES, bodies=st.lists(st.sampled_from([b"", b"one", b"two"]), max_size=2))
    def put(self, letter: str, bodies: list[bytes]) -> None:
        """Put blobs and get them back."""
        own = [self.prefix.encode() + body for body in bodies]
        self.check(self.session(letter), "put_blobs", own)
        self.check(self.session(letter), "get_blobs", [blob_ref(body) for body in own])
        self.check(self.session(letter), "get_blobs", [blob_ref(self.prefix.encode() + b"never put")])

    @rule(letter=_NAMES, revision=st.none() | st.integers(0, 5))
    def swap(self, letter: str, revision: int | None) -> None:
        """Expect whatever revision."""
        self.commit(self.following(self.session(letter), 0, 1, expected_revision=revision))

    @rule(letter=_NAMES, epoch=_SMALL)
    def come_late(self, letter: str, epoch: int) -> None:
        """Write with whatever epoch."""
        session_id = self.session(letter)
        writer = Writer(self.writer(session_id).incarnation, self.granted(session_id, epoch))
        self.commit(self.following(session_id, 0, 1, writer=writer))

    @precondition(lambda self: self.past)
    @rule(which=st.integers(0, 9), epoch=_SMALL, other=st.booleans())
    def replay(self, which: int, epoch: int, other: bool) -> None:
        """Send a commit again, by another writer, or with other content."""
        past = self.past[-1 - which % len(self.past)]
        writer = Writer(past.writer.incarnation, self.granted(past.session_id, epoch))
        again = attrs.evolve(past, writer=writer, committed_at=3)
        self.check(past.session_id, "commit", attrs.evolve(again, record=b"other") if other else again)

    @precondition(lambda self: self.past)
    @rule(which=st.integers(0, 9))
    def repeat_a_node(self, which: int) -> None:
        """Bring a node that the graph may have already."""
        past = self.past[-1 - which % len(self.past)]
        assume(past.nodes)
        first = attrs.evolve(past.nodes[0], parent_node_id=None)
        self.commit(self.following(past.session_id, 0, 0, nodes=(first,), leaf=first.node_id))

    @rule(letter=_NAMES, other=_NAMES)
    def mistake(self, letter: str, other: str) -> None:
        """Hand a commit to the store of another session."""
        assume(letter != other)
        self.check(self.session(letter), "commit", self.following(self.session(other), 0, 1))

    @precondition(lambda self: "sharing" in self.levels)
    @rule(letter=_NAMES, source=_NAMES, back=st.integers(0, 9), count=_SMALL)
    def fork(self, letter: str, source: str, back: int, count: int) -> None:
        """Begin a session on the graph of another."""
        known = self.reference.graph(self.session(source))
        leaf = known[-1 - back % len(known)].node_id if known and back else None
        self.commit(self.following(self.session(letter), 0, count, fork=Fork(self.session(source), leaf)))

    @rule(letter=_NAMES, stream=st.sampled_from("st"), keys=st.lists(_SMALL, max_size=3), fenced=st.booleans())
    def append(self, letter: str, stream: str, keys: list[int], fenced: bool) -> None:
        """Append to a stream."""
        session_id = self.session(letter)
        writer = self.writer(session_id)
        entries = [StreamEntry(f"k{key}", b"%d" % self.made) for key in keys]
        self.check(session_id, "append", stream, entries, writer=writer if fenced else Writer(writer.incarnation, None))

    @rule(letter=_NAMES, stream=st.sampled_from("st"), upto=st.integers(0, 6))
    def trim(self, letter: str, stream: str, upto: int) -> None:
        """Trim a stream, and append behind what is left."""
        session_id = self.session(letter)
        writer = self.writer(session_id)
        self.check(session_id, "trim", stream, upto, writer=writer)
        self.check(session_id, "append", stream, [StreamEntry("behind", b"")], writer=writer)

    @rule(letter=_NAMES)
    def delete(self, letter: str) -> None:
        """Delete a session; its name begins another life."""
        session_id = self.session(letter)
        gone = self.writer(session_id).incarnation
        if not isinstance(self.check(session_id, "delete", incarnation=gone, deleted_at=7), Refused):
            self.lives[session_id] = self.lives.get(session_id, 0) + 1

    @rule(letter=_NAMES, back=st.integers(1, 2))
    def write_from_the_grave(self, letter: str, back: int) -> None:
        """Write as an incarnation that was deleted."""
        session_id = self.session(letter)
        assume(self.lives.get(session_id, 0) >= back)
        dead = self.writer(session_id, back)
        self.check(session_id, "commit", self.following(session_id, 0, 1, writer=dead))
        self.check(session_id, "append", "s", [StreamEntry("late", b"")], writer=dead)
        self.check(session_id, "trim", "s", 1, writer=dead)
        self.check(session_id, "delete", incarnation=dead.incarnation, deleted_at=8)

    @precondition(lambda self: "concurrent" in self.levels)
    @rule(letter=_NAMES, who=st.sampled_from(_HOLDERS), dead=st.booleans())
    def take(self, letter: str, who: Any, dead: bool) -> None:
        """Take the lease, also of somebody who is known to be dead."""
        session_id = self.session(letter)
        replacing = self.reference.name(session_id).fence if dead else None
        options = {"replacing": replacing} if dead else {}
        taken = self.check(session_id, "take_lease", who, TERM, **options)
        if isinstance(taken, tuple):
            self.leases[session_id] = Lease(who, taken[1], TERM)

    @precondition(lambda self: self.leases)
    @rule(which=st.integers(0, 2), method=st.sampled_from(["renew_lease", "release_lease"]))
    def keep_or_release(self, which: int, method: str) -> None:
        """Renew or release a lease that may be somebody else's by now."""
        session_id = sorted(self.leases)[which % len(self.leases)]
        lease = self.leases[session_id]
        self.check(session_id, method, lease, *([TERM] if method == "renew_lease" else []))

    @precondition(lambda self: "concurrent" in self.levels and self.place.clock is not None)
    @rule()
    def expire(self) -> None:
        """Let time pass."""
        self.reference.expire()
        self.script.lines.append("store.expire()")
        self.store.expire()

    @precondition(lambda self: self.lasting)
    @rule()
    def reopen(self) -> None:
        """Close the store and open it again."""
        self.script.lines.append("await store.reopen()")
        self._do(self.store.reopen())
        type(self).backend = self.store.backend

    @rule(letter=_NAMES, x=st.integers(0, 9), y=st.integers(0, 5))
    def look(self, letter: str, x: int, y: int) -> None:
        """Read parts."""
        session_id = self.session(letter)
        nodes = self.reference.graph(session_id)
        self.check(session_id, "records", after=y, limit=x)
        self.check(session_id, "read", "s", after=y, limit=x)
        if nodes:
            leaf = nodes[x % len(nodes)].node_id
            above = self.reference.path(session_id, leaf)
            self.check(session_id, "path", leaf, last=y)
            self.check(session_id, "path", leaf, after=above[y % len(above)].node_id, last=x)
            self.check(session_id, "graph", after=leaf, limit=y)
            self.check(session_id, "nodes", [leaf, "nobody", nodes[0].node_id])

    def teardown(self) -> None:
        """Read everything."""
        failed = type(self).failed
        if failed is not None and failed[1] == self.script.text():
            return
        for letter in "abc":
            session_id = self.session(letter)
            head = self.check(session_id, "head")
            self.check(session_id, "graph")
            self.check(session_id, "records")
            for stream in "st":
                self.check(session_id, "read", stream)
            if isinstance(head, Head) and head.leaf is not None:
                self.check(session_id, "path", head.leaf)
            if "concurrent" in self.levels:
                self.check(session_id, "lease")
        leased = "concurrent" in self.levels
        listed = [
            (
                session_id,
                self.reference.lives[session_id].head.revision,
                self.reference.lease(session_id) if leased else None,
            )
            for session_id in sorted(self.reference.lives)
        ]
        self.script.lines.append(f"await store.listing({self.prefix!r}, answer={listed!r})")
        self._do(self.store.listing(self.prefix, answer=listed))


def run_machine(place: Place, *, lasting: bool, examples: int, steps: int) -> tuple[str, str] | None:
    """Run random sequences on one store; give what went wrong in the smallest that fails, and its script.

    Args:
        place: Where the store is.
        lasting: Whether it may be closed and opened again.
        examples: How many sequences.
        steps: The most calls of one.
    """
    with asyncio.Runner() as runner:
        backend = runner.run(place.open())
        made: type[Machine] = type(
            "Store",
            (Machine,),
            {
                "run": staticmethod(runner.run),
                "place": place,
                "backend": backend,
                "levels": backend.capabilities.levels,
                "lasting": lasting,
            },
        )
        chosen = settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            print_blob=False,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate, Phase.shrink],
        )
        try:
            run_state_machine_as_test(made, settings=chosen)
        except (Flaky, Exception):
            if made.failed is None:
                raise
        finally:
            runner.run(place.close())
    return made.failed
