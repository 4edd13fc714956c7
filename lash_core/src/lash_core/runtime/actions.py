"""Actions: typed requests that a host makes of the plugins of an open session."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
from lash_hookspecs.errors import InvalidInput, LashError, PluginConflict, PluginError, SessionError, UnknownName
from lash_hookspecs.specs.actions import ActionContext, PluginAction, lash_offer_actions
from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from lash_core.plugins.calls import what_happened

if TYPE_CHECKING:
    from lash_core.plugins.session_hooks import SessionHooks
    from lash_core.runtime.opened import OpenSession

__all__ = ["ActionInfo", "Offered", "gather_actions", "invoke"]


@attrs.frozen(kw_only=True)
class ActionInfo:
    """An action that a host may invoke.

    Attributes:
        name: What it is called.
        plugin: Whose it is, for people.
        description: What it does, for people.
        arguments: The JSON schema of its arguments.
        result: The JSON schema of its result; ``None`` for any JSON value.
    """

    name: str
    plugin: str
    description: str
    arguments: Mapping[str, JsonValue]
    result: Mapping[str, JsonValue] | None


@attrs.frozen
class Offered:
    """An action with the plugin that offers it.

    Attributes:
        plugin: The plugin, for messages.
        action: The action.
    """

    plugin: str
    action: PluginAction

    @property
    def info(self) -> ActionInfo:
        """What hosts are told of it."""
        action = self.action
        return ActionInfo(
            name=action.name,
            plugin=self.plugin,
            description=action.description,
            arguments=action.arguments.model_json_schema(),
            result=None if action.result is None else TypeAdapter(action.result).json_schema(),
        )


def gather_actions(session: OpenSession, hooks: SessionHooks) -> dict[str, Offered]:
    """Ask the plugins of a session for their actions: by name, sorted.

    Raises:
        PluginConflict: Two have one name; names both plugins.
        PluginError: One is no action, or a plugin failed; names the plugin.
    """
    found: dict[str, Offered] = {}
    context = ActionContext(session=session.services, session_id=session.session_id)
    for plugin, action in hooks.collect(lash_offer_actions, context):
        problem = _problem(action)
        if problem:
            raise PluginError(
                f"{plugin}: action {action.name!r}: {problem}",
                session_id=session.session_id,
                plugin=plugin,
                step="open",
            )
        if action.name in found:
            raise PluginConflict(
                f"action {action.name!r} is offered by {found[action.name].plugin} and by {plugin}; rename one of them",
                session_id=session.session_id,
                plugin=plugin,
                step="open",
            )
        found[action.name] = Offered(plugin, action)
    return dict(sorted(found.items()))


async def invoke(session: OpenSession, name: str, arguments: Mapping[str, Any]) -> JsonValue:
    """Invoke an action of an open session.

    Raises:
        SessionError: The session was closed.
        UnknownName: It has no such action.
        InvalidInput: The arguments do not fit; the action was not run.
        PluginError: The action failed, or gave what it had not promised; names plugin and action.
        LashError: What the action met when it acted on the session.
    """
    if session.slot.closed:
        raise SessionError(f"session {session.session_id!r} was closed; open it again", session_id=session.session_id)
    offered = session.parts.actions.get(name)
    if offered is None:
        raise _unknown(session, name)
    given = _checked(session, offered.action, arguments)
    try:
        value = await offered.action.run(given)
    except LashError:
        raise
    except (Exception, SystemExit) as error:  # a plugin is a stranger's code
        raise _failed(session, offered, f"failed: {what_happened(error)}") from error
    try:
        return _result(offered.action, value)
    except (ValidationError, PydanticSerializationError, ValueError) as error:
        raise _failed(session, offered, f"gave a result that it had not promised: {_told(error)}") from error


def _problem(action: Any) -> str:
    """Tell what is wrong with what a stranger's code made."""
    if not isinstance(action.name, str) or not action.name.strip():
        return "its name is empty"
    if not (inspect.isclass(action.arguments) and issubclass(action.arguments, BaseModel)):
        return f"arguments must be a pydantic model, not {action.arguments!r}"
    if not inspect.iscoroutinefunction(action.run):
        return "run must be an async function"
    return ""


def _checked(session: OpenSession, action: PluginAction, arguments: Mapping[str, Any]) -> BaseModel:
    try:
        return action.arguments.model_validate(dict(arguments))
    except ValidationError as error:
        raise InvalidInput(
            f"the arguments of action {action.name!r} do not fit: {_told(error)}", session_id=session.session_id
        ) from error


def _result(action: PluginAction, value: Any) -> JsonValue:
    adapter: TypeAdapter[Any] = TypeAdapter(JsonValue if action.result is None else action.result)
    answer: JsonValue = adapter.dump_python(adapter.validate_python(value), mode="json")
    return answer


def _told(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    problems = [
        f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" if problem["loc"] else problem["msg"]
        for problem in error.errors(include_url=False, include_input=False)
    ]
    return "; ".join(dict.fromkeys(problems))


def _unknown(session: OpenSession, name: str) -> UnknownName:
    known = session.parts.actions
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; there are: {', '.join(known) or 'none'}"
    return UnknownName(
        f"no plugin of session {session.session_id!r} offers an action {name!r}{hint}", session_id=session.session_id
    )


def _failed(session: OpenSession, offered: Offered, told: str) -> PluginError:
    return PluginError(
        f"{offered.plugin}: action {offered.action.name!r} {told}",
        session_id=session.session_id,
        plugin=offered.plugin,
        step="action",
    )
