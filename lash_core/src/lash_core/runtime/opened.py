"""An open session: what every door of a runtime works on, and the one way to write to it."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import attrs
from lash_hookspecs.errors import (
    CommitDenied,
    LashError,
    NodeMissing,
    SessionBindingMismatch,
    SessionDeleted,
    SessionExists,
    SessionMissing,
    TurnError,
)
from lash_hookspecs.protocols.stores import SessionStore, StoreBackend
from lash_hookspecs.protocols.tasks import AttachedTasks
from lash_hookspecs.records.events import Event
from lash_hookspecs.records.prompts import PromptLayer
from lash_hookspecs.records.state import HeadDocument, SessionConfig
from lash_hookspecs.records.store import Absent, Deleted, Head, Holder, Receipt, blob_ref
from lash_hookspecs.records.usage import merge_ledger
from lash_hookspecs.specs.persistence import CommitProposed, Committed, lash_guard_commit, lash_on_committed

from lash_core.attachments.files import SessionFiles
from lash_core.attachments.session_store import SessionAttachments
from lash_core.process import this_process
from lash_core.prompts.sources import PromptBuilder
from lash_core.runtime.child_usage import report
from lash_core.runtime.environment import RuntimeEnvironment
from lash_core.runtime.lease import HeldLease, is_live, read_lease, take_lease
from lash_core.runtime.parts import SessionParts, open_parts
from lash_core.runtime.plugin_set import PluginSet
from lash_core.runtime.policy import SessionPolicy, SessionSpec, resolve_policy
from lash_core.runtime.resident import Change, ResidentSession
from lash_core.runtime.services import Services
from lash_core.runtime.slot import WriteSlot
from lash_core.runtime.waiting import Waiting

if TYPE_CHECKING:
    from lash_core.runtime.children import Child
    from lash_core.runtime.turn_run import TurnRun

__all__ = ["OpenSession"]

#: Commits that only save: when one fails, what plugins, tools and mode keep stays as it is and rides the next one.
_SAVING = frozenset({"park", "close", "background", "completion"})


class OpenSession:
    """A session in memory with its plugins, tools and mode.

    Attributes:
        env: Shared services.
        spec: What the caller set.
        resident: Head, graph and conversation.
        parts: Plugins, tools and mode of the session.
        slot: One write at a time.
        files: What its messages and tool results refer to.
        services: What plugins and tools may ask of it.
        holder_elsewhere: Who runs a turn in another runtime, as last seen.
        backend: The database that other sessions of it are in.
        durable: Whether what is committed outlives the process.
        has_own_store: Whether its store is none of that database's.
        scope_id: Tells this runtime from any other one of the session; in traces.
        tasks: Its background tasks; ``None`` where there is no task host.
        children: Sessions that it has started and holds, by id.
        reports_to: The open session that started it, which its usage is told to as it happens.
        waiting: What the next commit takes along.
        written_off: Whether the session was deleted while it was open, and nothing was begun under its name since.
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
        has_own_store: bool = False,
    ) -> None:
        """Hold the pieces; `open` brings them to life."""
        self.env = env
        self.spec = spec
        self.resident = resident
        self.backend = backend
        self.durable = durable
        self.has_own_store = has_own_store
        self.scope_id = resident.scope_id
        self.children: dict[str, Child] = {}
        self.tasks = self._attach_tasks()
        self.reports_to: OpenSession | None = None
        self.run: TurnRun | None = None
        self.prompts = PromptBuilder()
        self.plugins = PluginSet(self)
        self.holder = resident.holder = this_process(env.name)
        self.holder_elsewhere: Holder | None = None
        self.slot = WriteSlot(resident.session_id, self.holder)
        self.services = Services(self)
        self.files = SessionFiles(
            SessionAttachments(resident.store, resident.session_id),
            env.attachments,
            max_bytes=min(env.max_attachment, backend.capabilities.max_value or env.max_attachment),
            cache_bytes=env.attachment_cache,
        )
        self.waiting = Waiting(self)
        self.written_off = False
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
        found = {
            "attachments": True,  # the session's own store keeps them
            "tasks": self.env.tasks is not None,
            "durable_store": self.durable,
            "sharing": self.shares,
        }
        return frozenset(name for name, has in found.items() if has)

    @property
    def shares(self) -> bool:
        """Whether a new session of the database can share this one's nodes (S12)."""
        return "sharing" in self.backend.capabilities.levels and not self.has_own_store

    @property
    def running(self) -> bool:
        """Whether a turn runs, here or elsewhere, as last seen."""
        return self.run is not None or (self.holder_elsewhere is not None and self.document.open_turn is not None)

    @property
    def interrupted(self) -> bool:
        """Whether a turn is unfinished and nobody works on it (L14)."""
        return self.document.open_turn is not None and not self.running

    @property
    def successor(self) -> str | None:
        """The session that took over, or will with the next commit."""
        return self.waiting.successor or self.document.successor

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
        if isinstance(found, Head) and found.session_id != self.session_id:
            raise SessionBindingMismatch(bound=found.session_id, requested=self.session_id)
        self.check_create(found)
        await self.see_lease()
        await self.waiting.see_streams()
        self.parts = await open_parts(self)

    def _attach_tasks(self) -> AttachedTasks | None:
        host = self.env.tasks
        return host.attach(self.session_id, self.store, database=self.backend) if host is not None else None

    async def stop_tasks(self) -> None:
        """Cancel the session's tasks, for it is deleted; a later one of its name has tasks of its own (H2)."""
        deleted, self.tasks = self.tasks, None
        if deleted is not None:
            await deleted.close(deleted=True)
            self.tasks = self._attach_tasks()

    async def give_up(self) -> None:
        """Let go of what an opening that failed has made."""
        async with contextlib.AsyncExitStack() as closing:
            if self.tasks is not None:
                closing.push_async_callback(self.tasks.detach)
            if hasattr(self, "parts"):
                closing.push_async_callback(self.parts.close)

    async def catch_up(self) -> None:
        """Read what others have committed; nothing while something writes here."""
        if not self.slot.taken:
            await self.refresh()

    async def refresh(self) -> Absent | Deleted | Head:
        """Read what others have committed; plugins, tools and mode follow when what they kept is another."""
        found = await self.resident.refresh()
        await self.follow_components()
        return found

    async def follow_components(self) -> None:
        """Build plugins, tools and mode again if somebody else changed what they keep, or a commit of theirs failed."""
        overrides = self.waiting.overrides()
        if self._stale or self.parts.refs != self.resident.component_refs:
            await self.rebuild_parts()
            for name in overrides.keys() & self.parts.registry.keys():
                self.parts.registry.set_availability([name], overrides[name])

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
    async def leased(self, handed: int | None = None) -> AsyncIterator[HeldLease | None]:
        """Hold the lease, and see what was committed before it was taken: the session may be another's by now.

        Args:
            handed: The epoch of a living holder that has handed the session over.
        """
        lease = await take_lease(self.session_id, self.store, self.holder, self.env, handed=handed)
        head = self.resident.head
        self.resident.epoch = lease.epoch if lease is not None else (head.epoch if head is not None else 0)
        self.holder_elsewhere = None
        try:
            await self.refuse_if_not_as_specified()
            await self.waiting.see_streams()
            yield lease
        finally:
            if lease is not None:
                with contextlib.suppress(LashError):  # it expires by itself; the caller's outcome is another
                    await lease.release()

    async def refuse_if_not_as_specified(self) -> None:
        """Catch up, and hold the session to what it was when it was opened."""
        known = self.resident.head
        found = await self.resident.refresh()
        if known is None:
            self.check_create(found)
        elif not isinstance(found, Head) or found.incarnation != known.incarnation:
            self.write_off()
            raise SessionDeleted(
                f"session {self.session_id!r} was deleted while it was open", session_id=self.session_id
            )
        await self.follow_components()

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
        riders = await self.waiting.board()
        change = await self._complete(self.waiting.added_to(change, riders))
        first, commit_id = self.resident.head is None, secrets.token_hex(8)
        try:
            if self.parts.hooks.handles(lash_guard_commit):
                await self._ask_guards(change)
            own = (*self.resident.unflushed, *change.usage, *change.journaled)
            reported = await report(self, commit_id, merge_ledger((), own))
            receipt = await self.resident.commit(change, commit_id)
        except BaseException:
            if self.resident.keeps(commit_id):
                self.waiting.handed_over(riders, commit_id)
                self._stale = self._stale or change.step not in _SAVING
            raise
        self.waiting.arrived(riders)
        self.written_off = False
        self.parts.refs = self.resident.component_refs
        self.plugins.committed(change.plugins)
        if first and self.tasks is not None:
            await self.tasks.flush()
        reported.tell()
        await self.parts.hooks.notify(
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

    def tell(self, event: Event) -> None:
        """Give an event to whoever reads the turn that runs."""
        if self.run is not None:
            self.run.emit(event)

    def write_off(self) -> None:
        """Forget what waits for a commit: the session is deleted, and no later one of its name owes it."""
        self.waiting.forget()
        self.resident.unflushed, self.resident.untold = (), ()
        self.written_off = True

    @property
    def unsaved(self) -> bool:
        """Whether something waits for a commit, what plugins, tools and mode keep included."""
        return bool(self.waiting) or self._snapshots_changed()

    async def live_components(self) -> dict[str, bytes]:
        """Give the component set as a commit would store it now.

        Raises:
            MissingBlob: Some of what is carried is gone (S6).
        """
        snapshots, stored = self.parts.snapshots(), self.resident.component_refs
        carried = {name: ref for name, ref in stored.items() if name not in self.parts.components}
        return {**await self.resident.component_bodies(carried), **snapshots}

    def _snapshots_changed(self) -> bool:
        stored = self.parts.fresh if self.resident.head is None else self.resident.component_refs
        snapshots = self.parts.snapshots()
        dropped = self.parts.components.difference(snapshots).intersection(stored)
        return bool(dropped) or any(stored.get(name) != blob_ref(body) for name, body in snapshots.items())

    async def _complete(self, change: Change) -> Change:
        """Add to a change who took part, and what plugins, tools and mode keep."""
        snapshots = {} if change.all_components else self.parts.snapshots()
        kept = {name: body for name, body in snapshots.items() if name not in change.dropped}
        components = {**kept, **change.components}
        plugins = change.plugins or self.plugins.of(self.spec.over(change.document.config))
        return attrs.evolve(
            change,
            events=(*await self.plugins.events(plugins), *change.events),
            components=components,
            dropped=self.parts.components.difference(components),
            plugins=plugins,
        )

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
