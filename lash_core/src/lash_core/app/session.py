"""A session that is open, as an app sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from lash_hookspecs.protocols.tasks import SessionTasks
from lash_hookspecs.protocols.tools import Attachment
from lash_hookspecs.records.attachments import AttachmentRef
from lash_hookspecs.records.events import Event
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.models import ModelReply
from lash_hookspecs.records.payloads import Message, ToolInvocation
from lash_hookspecs.records.retention import DeleteReport
from lash_hookspecs.records.sessions import CompletionRequest, SessionCreateRequest
from lash_hookspecs.records.state import HeadDocument, SessionConfig
from lash_hookspecs.records.store import Head, Holder
from lash_hookspecs.records.turn import TurnInput, TurnLimits, TurnResult
from lash_hookspecs.records.usage import UsageRow
from pydantic import JsonValue

from lash_core.app.turn import Turn
from lash_core.attachments.reading import Attachable, read_attachment
from lash_core.graph.conversation import Item
from lash_core.runtime.children import Child
from lash_core.runtime.conflicts import ConflictPolicy, check_conflict_policy
from lash_core.runtime.parked import ParkedSession
from lash_core.runtime.reading import EventCursor, SequencedEvent
from lash_core.runtime.runtime import LashRuntime
from lash_core.runtime.text import check_text

if TYPE_CHECKING:
    from lash_core.app.lash import Lash

__all__ = ["Session"]


class Session:
    """A session that is open."""

    def __init__(self, runtime: LashRuntime, lash: Lash) -> None:
        """Wrap a runtime; `Lash.session` does it."""
        self.runtime = runtime
        self.closed = False
        self._lash = lash

    @property
    def id(self) -> str:
        """The session's id."""
        return self.runtime.session_id

    @property
    def head(self) -> Head | None:
        """The stored head as last seen; ``None`` before the first turn."""
        return self.runtime.head

    @property
    def document(self) -> HeadDocument:
        """Configuration, ledger and turn state as last seen."""
        return self.runtime.document

    @property
    def interrupted(self) -> bool:
        """Whether a turn is unfinished and nobody works on it (L14)."""
        return self.runtime.interrupted

    @property
    def running(self) -> bool:
        """Whether a turn runs, here or elsewhere, as last seen."""
        return self.runtime.running

    @property
    def holder(self) -> Holder | None:
        """Who runs a turn elsewhere, as last seen."""
        return self.runtime.holder

    async def refresh(self) -> None:
        """See what others have committed."""
        await self.runtime.refresh()

    async def turn(
        self,
        text: str,
        *,
        attachments: Sequence[Attachable] = (),
        source_key: str | None = None,
        limits: TurnLimits | None = None,
        resume: bool = False,
        on_conflict: ConflictPolicy = "raise",
    ) -> TurnResult:
        """Run one turn and give its result; see `stream`."""
        turn = self.stream(
            text,
            attachments=attachments,
            source_key=source_key,
            limits=limits,
            resume=resume,
            on_conflict=on_conflict,
        )
        return await turn.result()

    def stream(
        self,
        text: str,
        *,
        attachments: Sequence[Attachable] = (),
        source_key: str | None = None,
        limits: TurnLimits | None = None,
        resume: bool = False,
        on_conflict: ConflictPolicy = "raise",
    ) -> Turn:
        """Begin one turn; it runs whether or not its events are read.

        Args:
            text: What the user says; may be empty beside attachments.
            attachments: Files: paths, bytes, `Attachment` objects, or what `attach` gave.
            source_key: The caller's own key for this input.
            limits: What the turn may use; the agent's limits by default.
            resume: Whether an interrupted turn is continued before this one, instead of abandoned.
            on_conflict: What becomes of what the turn has made when somebody else commits before it can: ``raise``
                gives it up, ``branch`` keeps it beside the active path and raises `ConflictBranched` with its leaf.

        Raises:
            ConfigurationError: There is no such ``on_conflict``.
            InvalidInput: The text cannot be stored. What else can go wrong is raised by `Turn.result`:
                `InvalidInput` for an attachment, `SessionBusy`, `ConfigurationError`, `StoreError`.
        """
        checked, chosen = check_text(text, alone=not attachments), limits or self._lash.agent.limits
        policy = check_conflict_policy(on_conflict)

        async def begun(emit: Callable[[Event], None]) -> TurnResult:
            refs, files = await self._read(attachments)
            turn_input = TurnInput(text=checked, source_key=source_key, attachments=refs)
            return await self.runtime.turn(turn_input, chosen, emit, resume=resume, files=files, on_conflict=policy)

        return Turn(self.runtime, begun)

    async def attach(
        self, data: str | Path | bytes | Attachment, *, name: str | None = None, media_type: str | None = None
    ) -> AttachmentRef:
        """Store a file now, for turns that follow soon; a file that no message refers to is garbage after a while.

        Args:
            data: The bytes, or the path of a file.
            name: What it is called; by default the name of the file.
            media_type: Counts where the bytes do not show it.

        Raises:
            InvalidInput: It cannot be read, or is too large.
            StoreError: It cannot be stored.
        """
        file = await read_attachment(data, self._lash.env.max_attachment)
        named = Attachment(file.data, media_type or file.media_type, name or file.name)
        return await self.runtime.attach(named)

    async def _read(self, given: Sequence[Attachable]) -> tuple[tuple[AttachmentRef, ...], dict[str, bytes]]:
        refs: list[AttachmentRef] = []
        files: dict[str, bytes] = {}
        for each in given:
            if isinstance(each, AttachmentRef):
                refs.append(each)
                continue
            file = await read_attachment(each, self._lash.env.max_attachment)
            refs.append(file.ref())
            files[refs[-1].id] = file.data
        return tuple(refs), files

    def continue_turn(self) -> Turn:
        """Continue the interrupted turn: what is finished is not repeated (T6)."""
        return Turn(self.runtime, self.runtime.continue_turn)

    async def abandon_turn(self) -> TurnResult:
        """Give the interrupted turn up: it ends as stopped, its unanswered calls marked."""
        return await self.runtime.abandon_turn()

    async def messages(self) -> list[Message | ToolInvocation]:
        """Give the messages and tool results of the active path, oldest first."""
        return [item.payload for item in await self.items() if isinstance(item.payload, (Message, ToolInvocation))]

    async def items(self) -> list[Item]:
        """Give the nodes of the active path with their payloads, root first."""
        await self.runtime.refresh()
        return self.runtime.items

    async def tree(self) -> Sequence[Node]:
        """Give all nodes of the graph, forks' included, in the order in which they were stored."""
        return await self._lash.store.session(self.id).graph()

    async def branch(self, node_id: str) -> None:
        """Make another node the leaf; the next turn follows it (L11).

        Raises:
            NodeMissing: The session has no such node.
            TurnError: A turn is unfinished.
        """
        await self.runtime.branch_to(node_id)

    async def fork(self, session_id: str, *, at: str | None = None) -> Session:
        """Make a new session that begins where this one is, or at a node of it; shares its nodes (S12).

        Raises:
            SessionExists: There is a session of that name.
        """
        session = Session(await self.runtime.fork(session_id, at=at), self._lash)
        self._lash._sessions[session.id] = session
        return session

    def events(self, after: EventCursor | str | None = None) -> AsyncIterator[SequencedEvent]:
        """Replay every committed event behind a cursor, once and in order (T9).

        Args:
            after: The cursor of the last event that was read; all of them by default.

        Raises:
            InvalidInput: The text is no cursor.
        """
        return self.runtime.events(after)

    @property
    def tasks(self) -> SessionTasks | None:
        """The session's background tasks (H2)."""
        return self.runtime.tasks

    async def update_config(self, **changes: Any) -> SessionConfig:
        """Change the stored configuration, such as ``model`` or ``instructions``; committed at once.

        Raises:
            PolicyError: A field does not exist or a value cannot be; names the field.
            TurnError: A turn is unfinished.
        """
        return await self.runtime.update_session_config(**changes)

    async def compact(self, instructions: str = "") -> bool:
        """Let the installed rewriters shorten the history; the old path stays as a branch. Tells if anything changed.

        Raises:
            PluginError: A rewriter failed; nothing changed.
            TurnError: A turn is unfinished.
        """
        return await self.runtime.rewrite_history(instructions)

    async def create_session(self, request: SessionCreateRequest) -> Child:
        """Start a child, or a successor (H3).

        Raises:
            SessionExists: There is a session of that name.
        """
        return await self.runtime.create_session(request)

    async def invoke(self, name: str, arguments: Mapping[str, JsonValue] | None = None) -> JsonValue:
        """Ask a plugin for one of its actions; see `LashRuntime.invoke`."""
        return await self.runtime.invoke(name, arguments or {})

    async def complete(self, request: CompletionRequest) -> ModelReply:
        """Ask a model outside the conversation; the usage goes into this session's ledger (T8).

        Raises:
            ModelError: The call failed for good.
        """
        return await self.runtime.complete(request)

    def usage(self) -> tuple[UsageRow, ...]:
        """Give the ledger: one row per source and model (T8)."""
        return self.runtime.document.usage

    async def delete(self, *, with_forks: bool = False) -> DeleteReport | None:
        """Delete the session (S8); see `Lash.delete`."""
        report = await self.runtime.delete(with_forks=with_forks)
        await self.close()
        return report

    async def park(self) -> ParkedSession:
        """Close the session and give a handle that resumes it anywhere (L7)."""
        parked = await self.runtime.park()
        self._forget()
        return parked

    async def close(self) -> None:
        """Cancel a turn that runs here and forget the session; may be called twice."""
        try:
            await self.runtime.close()
        finally:
            self._forget()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Park where the store is durable, else close; an error on the way never masks the original one (L12)."""
        try:
            await self.runtime.__aexit__(kind, error, trace)
        finally:
            self._forget()

    async def leave(self) -> None:
        """Cancel a turn that runs here, keep what is not kept yet, and forget the session."""
        try:
            await self.runtime.leave()
        finally:
            self._forget()

    def _forget(self) -> None:
        self.closed = True
        if self._lash._sessions.get(self.id) is self:
            del self._lash._sessions[self.id]
