"""What lives as long as an open session: its plugins, its tools, its mode, and what each of them keeps (L1, S6)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs
from lash_hookspecs.errors import PluginError, UnreadableData
from lash_hookspecs.protocols.modes import ExecutionMode, ModeTools, RestorableMode
from lash_hookspecs.protocols.tools import ToolProvider
from lash_hookspecs.records.store import blob_ref
from lash_hookspecs.records.tools import ToolState
from lash_hookspecs.specs.offers import SessionSetup, ToolSetup
from lash_hookspecs.specs.restore import (
    ModeRestored,
    ModeStateRead,
    ToolsRestored,
    ToolStateRead,
    lash_on_mode_restored,
    lash_on_tools_restored,
    lash_transform_mode_state,
    lash_transform_tool_state,
)
from pydantic import JsonValue, ValidationError

from lash_core.plugins.session_hooks import SessionHooks
from lash_core.runtime.actions import Offered, gather_actions
from lash_core.runtime.hook_log import hook_log
from lash_core.runtime.policy import check_mode
from lash_core.runtime.report import RestoreReport
from lash_core.tools.hooks import ToolHooks
from lash_core.tools.registry import ToolRegistry
from lash_core.tools.surface import ToolSurface

if TYPE_CHECKING:
    from lash_core.runtime.opened import OpenSession

__all__ = ["MODE", "TOOLS", "SessionParts", "open_parts"]

#: The component that holds the tool state.
TOOLS = "tools"

#: The component that holds what the mode keeps from turn to turn.
MODE = "mode"


@attrs.define(kw_only=True)
class SessionParts:
    """The live parts of one open session.

    Attributes:
        hooks: The session's plugins.
        registry: Its tools, with where they come from.
        tools: What of them it may see and call.
        mode: Its execution mode.
        session_state: What the mode keeps from turn to turn, as of the last commit.
        refs: The stored component refs that these parts stand for.
        fresh: For a session that was never committed, what its parts began with: component name → ref.
        report: What became of what was stored.
        actions: What a host may ask of its plugins, by name.
    """

    hooks: SessionHooks
    registry: ToolRegistry
    tools: ToolSurface
    mode: ExecutionMode
    session_state: JsonValue = None
    refs: Mapping[str, str] = attrs.field(factory=dict)
    fresh: Mapping[str, str] = attrs.field(factory=dict)
    report: RestoreReport = attrs.field(factory=RestoreReport)
    actions: Mapping[str, Offered] = attrs.field(factory=dict)

    def snapshots(self) -> dict[str, bytes]:
        """Give what tools, plugins and mode keep, as component bodies."""
        bodies = {TOOLS: self.registry.export_state().to_bytes(), **self.hooks.snapshots()}
        mode = self.mode_body(self.session_state)
        return bodies if mode is None else {**bodies, MODE: mode}

    @property
    def components(self) -> frozenset[str]:
        """The names of what these parts may keep; one that `snapshots` leaves out is to be dropped."""
        return frozenset({TOOLS, MODE}) | self.hooks.components

    def mode_body(self, session_state: JsonValue) -> bytes | None:
        """Encode what the mode keeps; ``None`` for nothing."""
        if session_state is None:
            return None
        kept = {"mode": self.mode.name, "version": self.mode.version, "state": session_state}
        return json.dumps(kept, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()

    async def close(self) -> None:
        """Let go of the plugins' parts."""
        await self.hooks.close()


async def open_parts(session: OpenSession, brought: Mapping[str, bytes] | None = None) -> SessionParts:
    """Build the parts of a session and give each what it kept, in the documented order (L1).

    Args:
        session: The session; its head, graph and policy are there.
        brought: Bodies by component name to take up instead of those that its head names.

    Raises:
        PluginError: A plugin, or the mode, could not be built or restored; names it. Nothing stays open. Or other
            plugins take part than in the last commit, and the environment's policy is ``strict`` (P8).
        MissingBlob, UnreadableData: What was stored cannot be read (S6, S9).
    """
    if brought is not None:
        refs, bodies = {name: blob_ref(body) for name, body in brought.items()}, brought
    else:
        refs = dict(session.resident.component_refs)
        bodies = await session.resident.component_bodies(refs)
    mode = _build_mode(session)
    changes = await session.plugins.compare()
    hooks = await session.env.plugins.open_session(_setup(session, mode), hook_log(session))
    try:
        registry = ToolRegistry(_tool_sources(session, mode))
        surface = ToolSurface(
            registry,
            mode=mode.name,
            access=session.config.tool_access,
            hooks=ToolHooks(hooks, session.services),
        )
        parts = SessionParts(
            hooks=hooks,
            registry=registry,
            tools=surface,
            mode=mode,
            refs=refs,
            report=RestoreReport(plugins=changes, healed=session.resident.healed),
        )
        await _restore_tools(session, parts, bodies.get(TOOLS))
        snapshots = await hooks.restore({name: body for name, body in bodies.items() if name.startswith("plugin/")})
        parts.report = attrs.evolve(parts.report, snapshots=snapshots)
        await _restore_mode(session, parts, bodies.get(MODE))
        parts.actions = gather_actions(session, hooks)
        if session.resident.head is None:
            parts.fresh = {name: blob_ref(body) for name, body in parts.snapshots().items()}
    except BaseException:
        await hooks.close()
        raise
    return parts


def _build_mode(session: OpenSession) -> ExecutionMode:
    is_new = session.resident.head is None
    name = check_mode(session.session_id, session.spec, session.document.config, is_new=is_new)
    return session.env.plugins.mode(name).build()


def _setup(session: OpenSession, mode: ExecutionMode) -> SessionSetup:
    parent = session.document.parent
    return SessionSetup(
        session_id=session.session_id,
        parent_session_id=parent.session_id if parent else None,
        authority=parent.authority if parent else None,
        mode=mode.name,
        root=session.env.root,
        capabilities=session.capabilities,
        services=session.services,
    )


def _tool_sources(session: OpenSession, mode: ExecutionMode) -> Iterator[tuple[str, ToolProvider]]:
    if isinstance(mode, ModeTools):
        yield f"mode {mode.name!r}", mode.tools()
    setup = ToolSetup(session_id=session.session_id, root=session.env.root)
    for offer in session.plugins.tool_sets:
        yield f"tool set {offer.name!r}", offer.build(setup)
    if session.env.tools is not None:
        yield "the app", session.env.tools


async def _restore_tools(session: OpenSession, parts: SessionParts, body: bytes | None) -> None:
    if body is None:
        return
    try:
        state = ToolState.from_bytes(body)
    except ValidationError as error:
        raise _unreadable(
            session, TOOLS, str(error.errors(include_url=False, include_input=False)[0]["msg"])
        ) from error
    read = ToolStateRead(session=session.services, session_id=session.session_id, state=state)
    restored = parts.registry.restore_state(await parts.hooks.transform(lash_transform_tool_state, read))
    parts.report = attrs.evolve(parts.report, tools=restored)
    told = ToolsRestored(
        session=session.services,
        session_id=session.session_id,
        overridden=restored.overridden,
        added=restored.new,
        missing=restored.vanished,
    )
    await parts.hooks.notify(lash_on_tools_restored, told)


async def _restore_mode(session: OpenSession, parts: SessionParts, body: bytes | None) -> None:
    if body is None:
        return
    mode = parts.mode
    kept = _read_mode(session, body)
    version: int = kept["version"]
    if version > mode.version:
        raise PluginError(
            f"mode {mode.name!r} has version {mode.version}, and session {session.session_id!r} keeps a state of "
            f"version {version}: install a newer one",
            session_id=session.session_id,
            step="restore",
        )
    read = ModeStateRead(
        session=session.services, session_id=session.session_id, mode=mode.name, version=version, state=kept["state"]
    )
    state = await parts.hooks.transform(lash_transform_mode_state, read)
    parts.session_state = _upgrade(session, mode, version, state)
    told = ModeRestored(
        session=session.services,
        session_id=session.session_id,
        mode=mode.name,
        stored_version=version,
        version=mode.version,
    )
    await parts.hooks.notify(lash_on_mode_restored, told)


def _upgrade(session: OpenSession, mode: ExecutionMode, version: int, state: JsonValue) -> JsonValue:
    what = f"mode {mode.name!r} version {mode.version} cannot take up its state of version {version}"
    if not isinstance(mode, RestorableMode):
        if version == mode.version:
            return state
        raise PluginError(f"{what}: it has no restore()", session_id=session.session_id, step="restore")
    try:
        return mode.restore(version, state)
    except Exception as error:  # a mode is a stranger's code
        message = f"{what}: {type(error).__name__}: {error}"
        raise PluginError(message, session_id=session.session_id, step="restore") from error


def _read_mode(session: OpenSession, body: bytes) -> Mapping[str, Any]:
    try:
        kept: Any = json.loads(body)
    except ValueError as error:
        raise _unreadable(session, MODE, str(error)) from error
    if not isinstance(kept, dict) or not isinstance(kept.get("version"), int) or "state" not in kept:
        raise _unreadable(session, MODE, "it is no state of a mode")
    return kept


def _unreadable(session: OpenSession, component: str, reason: str) -> UnreadableData:
    return UnreadableData(row=f"component {component!r}", reason=reason, session_id=session.session_id)
