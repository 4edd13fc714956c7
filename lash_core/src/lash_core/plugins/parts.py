"""The parts of one open session that plugins made, and what is kept of them (P10, P12)."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import attrs
from lash_hookspecs.errors import ConfigurationError, PluginError, UnreadableData

from lash_core.plugins.calls import Failed, Handler, what_happened
from lash_core.plugins.hook_calls import Caller
from lash_core.plugins.part_classes import PartClasses
from lash_core.plugins.records import PluginRecord
from lash_core.plugins.registration import Invalid

if TYPE_CHECKING:
    from lash_hookspecs.protocols.session_plugins import SessionPlugin
    from lash_hookspecs.specs.offers import SessionPluginOffer, SessionSetup

__all__ = ["PREFIX", "Part", "build_part", "check_needs", "close_parts", "handlers_of", "restore_parts"]

#: What the names of plugins' components begin with.
PREFIX = "plugin/"

#: Seconds that the parts have to take up their snapshots, and to close.
_RESTORE_DEADLINE = 30.0
_CLOSE_DEADLINE = 5.0

_JSON = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))


@attrs.define(eq=False)
class Part:
    """A plugin's part of one session.

    Attributes:
        record: The plugin.
        name: What the plugin calls the part.
        session_id: The session.
        plugin: The object that the plugin made.
        component: What its snapshot is called among the components of a commit.
        version: The version of what it keeps; it stays what it was when the part was checked.
        suspends: The methods of the protocol that may.
    """

    record: PluginRecord
    name: str
    session_id: str
    plugin: SessionPlugin
    component: str = attrs.field(init=False)
    version: int = 0
    suspends: frozenset[str] = frozenset(("restore", "close"))

    @component.default
    def _component(self) -> str:
        return f"{PREFIX}{self.record.identity}/{self.name}"

    @cached_property
    def _saving(self) -> Handler:
        return self.calling("snapshot", lambda _: self.plugin.snapshot())

    def snapshot(self, caller: Caller) -> bytes | None:
        """Give its snapshot in an envelope; ``None`` when it has nothing to keep.

        Raises:
            PluginError: It fails, or gives what is no JSON.
        """
        data = caller.call(self._saving, None)
        if isinstance(data, Failed):
            raise self.error(f"snapshot() {data.reason}", "snapshot") from data.error
        if data is None:
            return None
        try:
            return _JSON.encode({"schema_version": self.version, "data": data}).encode()
        except Exception as error:  # what is in it may be a class of the plugin's
            raise self.error(f"snapshot() must return JSON: {error}", "snapshot") from error

    def read(self, body: bytes) -> tuple[int, Any]:
        """Open an envelope: the version that wrote it, and the snapshot.

        Raises:
            UnreadableData: It is none.
            PluginError: A newer version wrote it.
        """
        try:
            envelope = json.loads(body.decode())
            version, data = envelope["schema_version"], envelope["data"]
            if type(version) is not int or version < 1:
                raise ValueError(f"schema_version is {version!r}")
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            reason = f"{type(error).__name__}: {error}"
            row = f"component {self.component!r}"
            raise UnreadableData(row=row, reason=reason, session_id=self.session_id) from error
        if version > self.version:
            raise self.error(
                f"the session keeps a snapshot of schema version {version}, and this version of the plugin reads "
                f"none above {self.version}; install a newer one",
                "restore",
            )
        return version, data

    def calling(self, method: str, function: Callable[[Any], Any]) -> Handler:
        """Make the call of a method of the protocol one like that of a hook."""
        shown = f"{method}() of session plugin {self.name!r}"
        return Handler(self.record, shown, function, method in self.suspends)

    def error(self, told: str, step: str) -> PluginError:
        """Give the error that says what went wrong with it."""
        return _error(self.record, self.name, told, self.session_id, step)


def check_needs(record: PluginRecord, offer: SessionPluginOffer, setup: SessionSetup) -> None:
    """Compare what a part needs with what there is (H1).

    Raises:
        ConfigurationError: Something is missing; the message names the plugin and it.
    """
    missing = [repr(need) for need in offer.needs if need not in setup.capabilities]
    if missing:
        there = ", ".join(sorted(setup.capabilities)) or "nothing"
        raise ConfigurationError(
            f"{record.label}: session plugin {offer.name!r} needs {', '.join(missing)}, which neither the host nor the "
            f"store of session {setup.session_id!r} has (there is: {there})",
            session_id=setup.session_id,
            plugin=record.name,
            step="open",
        )


def build_part(record: PluginRecord, offer: SessionPluginOffer, setup: SessionSetup, caller: Caller) -> Part:
    """Let a plugin make its part of a session, which is to be checked then.

    Raises:
        PluginError: It cannot be built.
    """
    shown = f"build() of session plugin {offer.name!r}"
    made = caller.call(Handler(record, shown, offer.build), setup)
    if isinstance(made, Failed):
        raise _error(record, offer.name, f"build() {made.reason}", setup.session_id, "open") from made.error
    return Part(record, offer.name, setup.session_id, made)


def handlers_of(part: Part, classes: PartClasses) -> list[Handler]:
    """Check a part, once, and give its methods that handle hooks.

    Raises:
        PluginError: It breaks a rule.
    """
    record, plugin = part.record, part.plugin
    try:
        known = classes.known(type(plugin))
        part.version, part.suspends = _version_of(plugin), known.suspends
        return [Handler(record, each.hook, getattr(plugin, each.method), each.suspends) for each in known.handled]
    except Invalid as error:
        raise part.error(str(error), "open") from None
    except Exception as error:  # a property of it, or its __getattr__
        raise part.error(f"it cannot be looked at: {what_happened(error)}", "open") from error


def _version_of(plugin: SessionPlugin) -> int:
    version = plugin.schema_version
    if type(version) is not int or version < 1:
        raise Invalid(f"{type(plugin).__name__}.schema_version must be a number from 1, and is {version!r}")
    return version


async def restore_parts(parts: Sequence[Part], kept: Sequence[tuple[int, Any]], caller: Caller) -> None:
    """Hand over to each part what was kept of it.

    Raises:
        PluginError: One fails or takes too long; of several, the first in the plugins' order is told.
    """
    handlers = [
        part.calling("restore", lambda _, part=part, one=one: part.plugin.restore(*one))  # type: ignore[misc]
        for part, one in zip(parts, kept, strict=True)
    ]
    for part, answer in zip(parts, await caller.ask(handlers, None, _RESTORE_DEADLINE), strict=True):
        if isinstance(answer, Failed):
            raise part.error(f"restore() {answer.reason}", "restore") from answer.error


async def close_parts(parts: Sequence[Part], caller: Caller) -> None:
    """Close parts; what goes wrong is logged."""
    handlers = [
        part.calling("close", lambda _, part=part: part.plugin.close())  # type: ignore[misc]  # bound early, per round
        for part in parts
        if part.version or _can_close(part.plugin)
    ]
    await caller.tell(handlers, None, _CLOSE_DEADLINE)


def _can_close(broken: object) -> bool:
    """Tell whether a part that broke a rule can be closed all the same."""
    return inspect.iscoroutinefunction(getattr(type(broken), "close", None))


def _error(record: PluginRecord, name: str, told: str, session_id: str, step: str) -> PluginError:
    return PluginError(
        f"{record.label}: session plugin {name!r}: {told}", session_id=session_id, plugin=record.name, step=step
    )
