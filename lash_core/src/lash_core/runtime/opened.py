"""An open session: what every door of a runtime works on, and the one way to write to it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

import attrs
from lash_hookspecs.errors import (
    CommitDenied,
    LashError,
    NodeMissing,
    SessionDeleted,
    SessionExists,
    SessionMissing,
    TurnError,
)
from lash_hookspecs.protocols.stores import SessionStore, StoreBackend
from lash_hookspecs.records.events import ChildUsage, Event, StoredEvent
from lash_hookspecs.records.prompts import PromptLayer
from lash_hookspecs.records.state import HeadDocument, SessionConfig
from lash_hookspecs.records.store import (
    Absent,
    Consumed,
    Deleted,
    Head,
    Holder,
    Receipt,
    StreamEntry,
    Writer,
    blob_ref,
)
from lash_hookspecs.records.usage import UsageRow
from lash_hookspecs.specs.persistence import CommitProposed, Committed, lash_guard_commit, lash_on_committed
from pydantic import TypeAdapter

from lash_core.process import this_process
from lash_core.prompts.sources import PromptBuilder
from lash_core.runtime.environment import RuntimeEnvironment
from lash_core.runtime.lease import HeldLease, is_live, read_lease, take_lease
from lash_core.runtime.parts import SessionParts, open_parts
from lash_core.runtime.plugin_set import PluginSet
from lash_core.runtime.policy import SessionPolicy, SessionSpec, resolve_policy
from lash_core.runtime.resident import Change, ResidentSession
from lash_core.runtime.services import Services
from lash_core.runtime.slot import WriteSlot

if TYPE_CHECKING:
    from lash_core.runtime.children import Child
    from lash_core.runtime.turn_run import TurnRun

__all__ = ["USAGE", "USAGE_ROWS", "OpenSession"]

_log = logging.getLogger("lash.runtime")

#: The stream in which children file what they used.
USAGE = "usage"

#: Encodes and decodes what they file.
USAGE_ROWS: TypeAdapter[list[UsageRow]] = TypeAdapter(list[UsageRow])


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
        backend: The database that other sessions of it are in.
        durable: Whether what is committed outlives the process.
        scope_id: Tells this runtime from any other one of the session; in traces.
        tasks: Its background tasks; ``None`` where there is no task host.
        children: Sessions that it has started and holds, by id.
        reports_to: The open session that started it, which its usage is told to as it happens.
        run: The turn that runs.
        prompts: Renders the system prompt.
        plugins: Who takes part, and who did in the last commit (P8).
    """

    parts: SessionParts

    def __init__(
        self,
        env: RuntimeEnvironment,
        spec: SessionSpec,
        resident: ResidentSession,
        backend: StoreBackend,
        *,
        durable: bool,
    ) -> None:
        """Hold the pieces; `open` brings them to life."""
        self.env = env
        self.spec = spec
        self.resident = resident
        self.backend = backend
        self.durable = durable
        self.scope_id = resident.scope_id
        self.children: dict[str, Child] = {}
        self.tasks = (
            env.tasks.attach(resident.session_id, resident.store, database=backend) if env.tasks is not None else None
        )
        self.reports_to: OpenSession | None = None
        self.run: TurnRun | None = None
        self.prompts = PromptBuilder()
        self.plugins = PluginSet(self)
        self.holder = this_process(env.name)
        self.holder_elsewhere: Holder | None = None
        self.slot = WriteSlot(resident.session_id, self.holder)
        self.services = Services(self)
        self._events: list[StoredEvent] = []
        self._usage: list[UsageRow] = []
        self._successor: str | None = None
        self._usage_filed = False
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
    def capabilities(self) -> frozenset[str]:
        """What plugins may count on here (H1)."""
        found = {"tasks": self.env.tasks is not None, "durable_store": self.durable, "sharing": self.shares}
        return frozenset(name for name, has in found.items() if has)

    @property
    def shares(self) -> bool:
        """Whether a new session can share this one's nodes (S12)."""
        return "sharing" in self.backend.capabilities.levels and self.env.store is not None

    async def policy(self, config: SessionConfig | None = None) -> SessionPolicy:
        """Resolve what turns are run with; asks the provider for what nobody has set (L3).

        Args:
            config: Another configuration than the session's own.
        """
        config = config or self.config
        provider = self.env.providers.get(config.model.partition(":")[0])
        prompt = self.spec.prompt or PromptLayer()
        return await resolve_policy(config, provider, self.env.termination.limits, prompt)

    # Reading

    async def open(self) -> None:
        """Read what is stored and build what is alive, in the documented order (L1)."""
        found = await self.resident.refresh()
        self.check_create(found)
        await self.see_lease()
        self._usage_filed = isinstance(found, Head) and bool(await self.store.read(USAGE, limit=1))
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
            await self.rebuild_parts()

    async def rebuild_parts(self) -> None:
        """Build plugins, tools and mode again from what is stored now."""
        await self.take_parts(await open_parts(self))

    async def take_parts(self, parts: SessionParts) -> None:
        """Go on with other plugins' parts, tools and mode."""
        before, self.parts = self.parts, parts
        self._stale = False
        await before.close()

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
        change = await self._complete(change)
        hooks = self.parts.hooks
        if hooks.handles(lash_guard_commit):
            await self._ask_guards(change)
        events, usage = len(self._events), len(self._usage)
        first = self.resident.head is None
        used = (*self.resident.unflushed, *change.usage)
        try:
            receipt = await self.resident.commit(change)
        except BaseException:
            self._stale = True
            del self._usage[:usage]  # the resident session keeps it until it is known whether the commit is stored
            raise
        del self._events[:events]
        del self._usage[:usage]
        self.plugins.committed(change.plugins)
        if first and self.tasks is not None:
            await self.tasks.flush()
        self._successor = None
        self._usage_filed = self._usage_filed and not any(each.stream == USAGE for each in change.consumed)
        self.parts.refs = self.resident.component_refs
        await self._report_usage(used, receipt)
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

    def tell(self, event: Event) -> None:
        """Give an event to whoever reads the turn that runs."""
        if self.run is not None:
            self.run.emit(event)

    def file_usage(self, *rows: UsageRow) -> None:
        """Keep usage for the next commit (T7)."""
        self._usage.extend(rows)

    def link_successor(self, successor: str) -> None:
        """Let the next commit say who took over."""
        self._successor = successor

    @property
    def unsaved(self) -> bool:
        """Whether something waits for a commit."""
        waiting = self._events or self._usage or self._successor or self._usage_filed or self.resident.unflushed
        return bool(waiting) or self._snapshots_changed()

    def _snapshots_changed(self) -> bool:
        stored, kept = self.resident.component_refs, self.parts.snapshots()
        if any(stored.get(name) != blob_ref(body) for name, body in kept.items()):
            return True
        return bool(self.parts.dropped(kept) & stored.keys())

    async def _complete(self, change: Change) -> Change:
        rows, filed = await self._filed_usage()
        document = change.document
        if not change.all_components:
            kept = {**self.parts.snapshots(), **change.components}
            change = attrs.evolve(change, components=kept, dropped=self.parts.dropped(kept))
        plugins = change.plugins or self.plugins.of(self.spec.over(document.config))
        return attrs.evolve(
            change,
            document=document if self._successor is None else document.evolve(successor=self._successor),
            events=(*await self.plugins.events(plugins), *self._events, *change.events),
            usage=(*self._usage, *rows, *change.usage),
            consumed=(*change.consumed, *filed),
            plugins=plugins,
        )

    async def _filed_usage(self) -> tuple[list[UsageRow], list[Consumed]]:
        """Read what children have filed in the session's stream."""
        if not self._usage_filed:
            return [], []
        entries = await self.store.read(USAGE)
        rows = [row for entry in entries for row in USAGE_ROWS.validate_json(entry.body)]
        return rows, [Consumed(USAGE, entries[-1].sequence)] if entries else []

    async def _report_usage(self, usage: Sequence[UsageRow], receipt: Receipt) -> None:
        """File a child's usage with its parent, where it outlives both; tell it live (H3, T8)."""
        link = self.document.parent
        if link is None or link.relation != "child" or not usage:
            return
        rows = [row.evolve(source=link.usage_source) for row in usage]
        parent = self.reports_to
        if parent is not None:
            for row in rows:
                parent.tell(ChildUsage(session_id=self.session_id, row=row))
        store = parent.store if parent is not None else self.backend.session(link.session_id)
        try:
            head = await store.head()
            if isinstance(head, Head):
                entry = StreamEntry(
                    f"{self.session_id}:{receipt.revision}", USAGE_ROWS.dump_json(rows, exclude_none=True)
                )
                await store.append(USAGE, [entry], writer=Writer(head.incarnation, None))
        except LashError as error:
            _log.warning("usage of session %s is not in the ledger of its parent: %s", self.session_id, error)
        else:
            if parent is not None and isinstance(head, Head):
                parent._usage_filed = True
            elif parent is not None:
                parent.file_usage(*rows)

    async def _ask_guards(self, change: Change) -> None:
        denial = await self.parts.hooks.guard(
            lash_guard_commit,
            CommitProposed(
                session=self.services,
                session_id=self.session_id,
                step=change.step,
                node_count=len(change.payloads) + len(change.nodes),
                bytes=sum(map(len, change.components.values())) + sum(len(node.payload) for node in change.nodes),
            ),
        )
        if denial is not None:
            raise CommitDenied(
                f"{denial.plugin} refused the commit {change.step!r} of session {self.session_id!r}: {denial.reason}",
                session_id=self.session_id,
                step=change.step,
            )
