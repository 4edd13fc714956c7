"""An open session: what every door of a runtime works on, and the one way to write to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import attrs
from lash_hookspecs.errors import CommitDenied, LashError, NodeMissing, SessionDeleted, SessionExists, SessionMissing, TurnError
from lash_hookspecs.protocols.stores import SessionStore
from lash_hookspecs.records.events import StoredEvent
from lash_hookspecs.records.state import HeadDocument, PluginFingerprint, SessionConfig
from lash_hookspecs.records.store import Absent, Deleted, Head, Holder, Receipt
from lash_hookspecs.records.usage import UsageRow
from lash_hookspecs.specs.persistence import CommitProposed, Committed, lash_guard_commit, lash_on_committed

from lash_core.runtime.environment import RuntimeEnvironment
from lash_core.runtime.lease import HeldLease, is_live, read_lease, take_lease
from lash_core.runtime.parts import SessionParts, open_parts
from lash_core.runtime.policy import SessionPolicy, SessionSpec, resolve_policy
from lash_core.runtime.process import this_process
from lash_core.runtime.resident import Change, ResidentSession
from lash_core.runtime.services import Services
from lash_core.runtime.slot import WriteSlot

__all__ = ["OpenSession"]


class OpenSession:
    """A session in memory with its plugins, tools and mode.

    Attributes:
        env: Shared services.
        spec: What the caller set.
        resident: Head, graph and conversation.
        parts: Plugins, tools and mode of the session.
        slot: One write at a time.
        services: What plugins and tools may ask of it.
        holder_elsewhere: Who runs a turn in another runtime, as last seen.
        durable: Whether what is committed outlives the process.
    """

    parts: SessionParts

    def __init__(self, env: RuntimeEnvironment, spec: SessionSpec, resident: ResidentSession, *, durable: bool) -> None:
        """Hold the pieces; `open` brings them to life."""
        self.env = env
        self.spec = spec
        self.resident = resident
        self.durable = durable
        self.holder = this_process(env.name)
        self.holder_elsewhere: Holder | None = None
        self.slot = WriteSlot(resident.session_id, self.holder)
        self.services = Services(self)
        self._events: list[StoredEvent] = []
        self._usage: list[UsageRow] = []
        self._stale = False

    @property
    def session_id(self) -> str:
        """The session."""
        return self.resident.session_id

    @property
    def store(self) -> SessionStore:
        """The session's store."""
        return self.resident.store

    @property
    def document(self) -> HeadDocument:
        """The head's document as last seen."""
        return self.resident.document

    @property
    def config(self) -> SessionConfig:
        """What the caller set over what is stored (L3)."""
        return self.spec.over(self.document.config)

    @property
    def fingerprint(self) -> tuple[PluginFingerprint, ...]:
        """The plugins that take part (P8)."""
        config = self.config
        return self.env.plugins.taking_part(
            mode=config.mode, provider=config.model.partition(":")[0], tool_sets=self.env.tool_sets
        )

    async def policy(self) -> SessionPolicy:
        """Resolve what turns are run with; asks the provider for what nobody has set (L3)."""
        config = self.config
        provider = self.env.providers.get(config.model.partition(":")[0])
        prompt = self.spec.prompt or PromptLayer()
        return await resolve_policy(config, provider, self.env.termination.limits, prompt)

    # Reading

    async def open(self) -> None:
        """Read what is stored and build what is alive, in the documented order (L1)."""
        found = await self.resident.refresh()
        self.check_create(found)
        await self.see_lease()
        self.parts = await open_parts(self)

    async def refresh(self) -> Absent | Deleted | Head:
        """Read what others have committed; plugins, tools and mode follow when what they kept is another."""
        found = await self.resident.refresh()
        if isinstance(found, Head):
            await self.follow_components()
        return found

    async def follow_components(self) -> None:
        """Build plugins, tools and mode again if somebody else changed what they keep, or a commit of theirs failed."""
        if self._stale or self.parts.refs != self.resident.component_refs:
            await self.parts.close()
            self.parts = await open_parts(self, again=True)
            self._stale = False

    async def see_lease(self) -> None:
        """See whether a turn runs elsewhere."""
        lease = await read_lease(self.store)
        mine = lease is not None and lease.holder.instance == self.holder.instance
        self.holder_elsewhere = lease.holder if lease is not None and is_live(lease) and not mine else None

    def check_create(self, found: Absent | Deleted | Head) -> None:
        """Hold the session to what the caller wants of it.

        Raises:
            SessionExists, SessionMissing: It is there, or is not.
        """
        if self.spec.create is True and isinstance(found, Head):
            raise SessionExists(f"session {self.session_id!r} exists already", session_id=self.session_id)
        if self.spec.create is False and not isinstance(found, Head):
            what = "was deleted" if isinstance(found, Deleted) else "does not exist"
            raise SessionMissing(f"session {self.session_id!r} {what}", session_id=self.session_id)

    async def refuse_unknown_node(self, node_id: str) -> None:
        """Hold a node id to the session's graph.

        Raises:
            NodeMissing: It is not in it.
        """
        if not await self.store.nodes([node_id]):
            raise NodeMissing(
                f"session {self.session_id!r} has no node {node_id!r}; `lash sessions tree` lists them",
                session_id=self.session_id,
            )

    # Writing

    @contextlib.asynccontextmanager
    async def writing(self, doing: str = "") -> AsyncIterator[HeldLease | None]:
        """Hold the session for a write: alone in this runtime, under the lease, and up to date.

        Args:
            doing: What for; a word for the message that refuses it while a turn is unfinished. Empty allows that.

        Raises:
            SessionBusy: Something writes already, here or elsewhere.
            SessionDeleted: It was deleted while it was open.
            TurnError: A turn is unfinished.
        """
        async with self.slot:
            await self.refuse_if_not_as_specified()
            if doing:
                self.refuse_interrupted(doing)
            async with self.leased() as lease:
                yield lease

    @contextlib.asynccontextmanager
    async def leased(self) -> AsyncIterator[HeldLease | None]:
        """Hold the lease, and see what was committed before it was taken: the session may be another's by now."""
        lease = await take_lease(self.session_id, self.store, self.holder, self.env)
        head = self.resident.head
        self.resident.epoch = lease.epoch if lease is not None else (head.epoch if head is not None else 0)
        self.holder_elsewhere = None
        try:
            await self.refuse_if_not_as_specified()
            yield lease
        finally:
            if lease is not None:
                with contextlib.suppress(LashError):  # it expires by itself; the caller's outcome is another
                    await lease.release()

    async def refuse_if_not_as_specified(self) -> None:
        """Catch up, and hold the session to what it was when it was opened."""
        known = self.resident.head
        found = await self.refresh()
        if known is None:
            self.check_create(found)
        elif not isinstance(found, Head) or found.incarnation != known.incarnation:
            raise SessionDeleted(
                f"session {self.session_id!r} was deleted while it was open", session_id=self.session_id
            )

    def refuse_interrupted(self, what: str) -> None:
        """Hold whoever would move the session under an unfinished turn."""
        if self.document.open_turn is not None:
            raise TurnError(
                f"session {self.session_id!r} has an unfinished turn: continue or abandon it before you {what}",
                session_id=self.session_id,
            )

    async def commit(self, change: Change) -> Receipt:
        """Store a change together with what plugins, tools and mode keep, and with what waits for a commit.

        Raises:
            CommitDenied: A plugin refused it; nothing was written.
            StoreError: It failed; the resident state is as it was (T7).
        """
        change = self._complete(change)
        hooks = self.parts.hooks
        if hooks.handles(lash_guard_commit):
            await self._ask_guards(change)
        events, usage = len(self._events), len(self._usage)
        try:
            receipt = await self.resident.commit(change)
        except BaseException:
            self._stale = True
            del self._usage[:usage]  # the resident session keeps it until it is known whether the commit is stored
            raise
        del self._events[:events]
        del self._usage[:usage]
        self.parts.refs = self.resident.component_refs
        await hooks.notify(
            lash_on_committed,
            Committed(
                session=self.services,
                session_id=self.session_id,
                step=change.step,
                revision=receipt.revision,
                receipt=receipt,
            ),
        )
        return receipt

    def note(self, event: StoredEvent) -> None:
        """Keep an event for the next commit."""
        self._events.append(event)

    def file_usage(self, row: UsageRow) -> None:
        """Keep usage for the next commit (T7)."""
        self._usage.append(row)

    @property
    def unsaved(self) -> bool:
        """Whether something waits for a commit."""
        return bool(self._events or self._usage or self.resident.unflushed) or self.parts.changed(self.resident)

    def _complete(self, change: Change) -> Change:
        return attrs.evolve(
            change,
            events=(*self._events, *change.events),
            usage=(*self._usage, *change.usage),
            components={**self.parts.snapshots(), **change.components},
            plugins=self.fingerprint,
        )

    async def _ask_guards(self, change: Change) -> None:
        denial = await self.parts.hooks.guard(
            lash_guard_commit,
            CommitProposed(
                session=self.services,
                session_id=self.session_id,
                step=change.step,
                node_count=len(change.payloads) + len(change.nodes),
            ),
        )
        if denial is not None:
            raise CommitDenied(
                f"{denial.plugin} refused the commit {change.step!r} of session {self.session_id!r}: {denial.reason}",
                session_id=self.session_id,
                step=change.step,
            )
