"""A turn's order: what another process needs in order to run it, as one line of JSON (H5).

Nothing in it is pickled. What cannot be told as JSON cannot go there, and a session that needs it is refused when it
opens (H1).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from lash_hookspecs.errors import ConfigurationError, redact_url
from lash_hookspecs.protocols.tracing import TraceSink
from lash_hookspecs.records.prompts import PromptLayer
from lash_hookspecs.records.state import SessionConfig
from lash_hookspecs.records.tools import ToolAccess
from lash_hookspecs.records.traces import TraceContext
from lash_hookspecs.records.turn import TurnLimits
from lash_hookspecs.toolkit import FunctionTools

from lash_core.plugins.portable import describe
from lash_core.runtime.conflicts import ConflictPolicy
from lash_core.runtime.environment import Residency, RetryPolicy, RuntimeEnvironment, TerminationPolicy, now_us
from lash_core.runtime.policy import SessionSpec

if TYPE_CHECKING:
    from lash_hookspecs.protocols.stores import SessionStore, StoreBackend

    from lash_core.plugins.manager import PluginManager

__all__ = ["ORDER_VERSION", "Order", "refuse_unportable"]

#: Grows when a worker of the version before would misread an order.
ORDER_VERSION = 1

#: What of an environment is told as it is.
_PLAIN = ("name", "lease_ttl", "max_tool_output", "max_attachment", "attachment_cache", "plugin_policy", "trace_bodies")


@attrs.frozen(kw_only=True)
class Order:
    """What a worker is told.

    Attributes:
        session_id: The session.
        turn_id: The turn.
        epoch: That of the lease which is handed over; ``None`` where the store has none.
        on_conflict: What becomes of the tail when somebody else commits first.
        store: The store's URL; without its secrets if the order is.
        tenant: Whose sessions.
        secrets: Whether the order has what is secret.
        plugins: How the plugin manager is built.
        spec: What the caller set for the session.
        env: What the worker's environment is like.
    """

    session_id: str
    turn_id: str
    epoch: int | None
    on_conflict: ConflictPolicy
    store: str = attrs.field(repr=redact_url)
    tenant: str
    secrets: bool
    plugins: Mapping[str, Any] = attrs.field(repr=False)
    spec: Mapping[str, Any] = attrs.field(repr=False)
    env: Mapping[str, Any] = attrs.field(repr=False)

    @classmethod
    def of(
        cls,
        env: RuntimeEnvironment,
        spec: SessionSpec,
        *,
        turn_id: str,
        epoch: int | None,
        on_conflict: ConflictPolicy,
        secrets: bool,
    ) -> Order:
        """Describe a turn of a session that was not refused."""
        assert env.store_url is not None
        return cls(
            session_id=spec.session_id,
            turn_id=turn_id,
            epoch=epoch,
            on_conflict=on_conflict,
            store=env.store_url if secrets else redact_url(env.store_url),
            tenant=env.tenant,
            secrets=secrets,
            plugins=describe(env.plugins, secrets=secrets) or {},
            spec=_spec_document(spec, secrets),
            env=_environment_document(env),
        )

    @classmethod
    def from_bytes(cls, body: bytes) -> Order:
        """Read an order.

        Raises:
            ConfigurationError: It is none, or one of another version.
        """
        try:
            document = json.loads(body)
            version = document.pop("version")
            if version != ORDER_VERSION:
                raise ConfigurationError(
                    f"the order is of version {version}, this worker takes version {ORDER_VERSION}: run the same "
                    "lash-core where turns are handed over and where they are carried out"
                )
            return cls(**document)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ConfigurationError(f"this is no order of a turn: {error}") from error

    def to_bytes(self) -> bytes:
        """Encode as one line of UTF-8 JSON."""
        return json.dumps({"version": ORDER_VERSION, **attrs.asdict(self)}).encode()

    def session_spec(self) -> SessionSpec:
        """Give what the caller set; the session must exist."""
        told = dict(self.spec)
        for name, kind in (("tool_access", ToolAccess), ("prompt", PromptLayer)):
            if told.get(name) is not None:
                told[name] = kind.model_validate(told[name])
        return SessionSpec(session_id=self.session_id, create=False, **told)

    def environment(self, plugins: PluginManager, store: StoreBackend, trace: TraceSink) -> RuntimeEnvironment:
        """Build the worker's environment.

        Args:
            plugins: Its plugins.
            store: Its store.
            trace: Where its trace goes, if one is wanted.
        """
        told = self.env
        level = told["trace_level"]
        return RuntimeEnvironment(
            plugins=plugins,
            store=store,
            store_url=self.store,
            tenant=self.tenant,
            residency=Residency(told["residency"]),
            root=Path(told["root"]),
            tool_sets=None if told["tool_sets"] is None else tuple(told["tool_sets"]),
            retry=RetryPolicy(**told["retry"]),
            prompt=PromptLayer.model_validate(told["prompt"]),
            termination=TerminationPolicy(
                limits=TurnLimits.model_validate(told["limits"]), unfinished=told["unfinished"]
            ),
            trace=trace if level else None,
            trace_level=level or "standard",
            trace_context=TraceContext.model_validate(told["trace_context"] or {}),
            **{name: told[name] for name in _PLAIN},
        )


def refuse_unportable(env: RuntimeEnvironment, own_store: SessionStore | None = None) -> None:
    """Hold a session whose turns run in other processes to what can go there (H1).

    Args:
        env: Its environment.
        own_store: Its own store, if it is none of the environment's.

    Raises:
        ConfigurationError: Something cannot; names all of it, each with what to do.
    """
    if env.host.capabilities.own_process:
        return
    found = [*_store_obstacles(env, own_store), *_obstacles(env)]
    if found:
        raise ConfigurationError(
            f"host {env.host.name!r} runs turns in other processes, and not everything here can go there: "
            + "; ".join(found)
        )


def _store_obstacles(env: RuntimeEnvironment, own_store: SessionStore | None) -> Iterator[str]:
    if own_store is not None:
        yield "the session has a store of its own: give the environment a database that has it"
    elif env.store is None or env.store.capabilities.durability == "none":
        yield "the sessions are held in memory: open a store that other processes see, such as sqlite:///agents.db"
    elif "concurrent" not in env.store.capabilities.levels:
        yield f"store {env.store.name} has no leases (level 'concurrent'): use one that has"
    elif env.store_url is None:
        yield "nobody says by what URL the store is opened: set store_url beside it"


def _obstacles(env: RuntimeEnvironment) -> Iterator[str]:
    if env.tools is not None and not (isinstance(env.tools, FunctionTools) and not env.tools.specs()):
        names = ", ".join(spec.name for spec in env.tools.specs())
        yield f"the tools of the app ({names or 'a provider'}) are objects of this process: offer them in a plugin"
    if describe(env.plugins, secrets=True) is None:
        yield "the plugins are objects of this process: find installed ones, with PluginManager.discover"
    if env.tasks is not None:
        yield "the background tasks run in this process: leave the task host out (tasks=None)"
    if env.attachments is not None:
        yield "the attachment store is an object of this process: leave files in the session's store"
    if env.session_store_factory is not None:
        yield "session_store_factory is a function of this process: leave it out"
    if env.clock is not now_us or env.sleep is not asyncio.sleep:
        yield "clock and sleep are functions of this process: leave them out"


def _spec_document(spec: SessionSpec, secrets: bool) -> dict[str, Any]:
    """Tell what the caller set of the configuration, and the prompt, which is not stored."""
    names = {*SessionConfig.model_fields, "prompt"} & set(attrs.fields_dict(SessionSpec))
    if not secrets:  # they may hold a credential; what the turn began with is stored
        names.discard("model_settings")
    told = {name: value for name in sorted(names) if (value := getattr(spec, name)) is not None}
    return {name: _json(value) for name, value in told.items()}


def _environment_document(env: RuntimeEnvironment) -> dict[str, Any]:
    return {
        **{name: getattr(env, name) for name in _PLAIN},
        "residency": env.residency.value,
        "root": str(env.root.absolute()),
        "tool_sets": env.tool_sets,
        "retry": attrs.asdict(env.retry),
        "prompt": _json(env.prompt),
        "limits": _json(env.termination.limits),
        "unfinished": env.termination.unfinished,
        "trace_level": env.trace_level if env.trace is not None else None,
        "trace_context": _json(env.trace_context),
    }


def _json(value: Any) -> Any:
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value
