"""What a session's turns are run with: what the caller set, over what is stored, over defaults (L3)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import attrs
from lash_hookspecs.errors import ConfigurationError, InvalidInput, PolicyError
from lash_hookspecs.protocols.models import ModelProvider
from lash_hookspecs.records.models import ModelInfo
from lash_hookspecs.records.prompts import PromptLayer
from lash_hookspecs.records.state import SessionConfig
from lash_hookspecs.records.tools import ToolAccess
from lash_hookspecs.records.turn import TurnLimits
from pydantic import JsonValue, ValidationError

from lash_core.runtime.text import check_storable

__all__ = [
    "DEFAULT_CONTEXT_WINDOW",
    "SessionPolicy",
    "SessionSpec",
    "check_config",
    "check_labels",
    "check_mode",
    "check_spec",
    "refuse_mode",
    "resolve_policy",
]

_log = logging.getLogger("lash.runtime")

#: Tokens that a model is taken to hold when neither the caller nor the provider says (L3).
DEFAULT_CONTEXT_WINDOW = 32_768


@attrs.frozen(kw_only=True)
class SessionSpec:
    """What a caller sets for a session; ``None`` keeps what is stored, else the default (L3).

    Attributes:
        session_id: The session; empty for a fresh one (L2).
        create: ``None`` opens or creates, ``True`` must be new, ``False`` must exist.
        labels: For a new session.
        ttl: Seconds after its last commit when the session may be deleted, whole; zero for never. ``None`` keeps what
            is stored, never by default. Another one than the stored rides the next commit.
        model: ``provider`` or ``provider:model``.
        mode: The execution mode; a session keeps the one that it began with (P11).
        instructions: The system prompt.
        model_settings: Passed to the provider; kept out of reprs, they may hold a credential.
        context_window: Tokens that the model can take.
        tool_access: The tools that it may call and those that it never sees.
        mode_options: Given to the mode at the beginning of each turn.
        prompt: The session's own prompt layer; it is not stored, so whoever opens the session brings it.
    """

    session_id: str = ""
    create: bool | None = None
    labels: Mapping[str, str] | None = None
    ttl: float | None = None
    model: str | None = None
    mode: str | None = None
    instructions: str | None = None
    model_settings: dict[str, JsonValue] | None = attrs.field(default=None, repr=False)
    context_window: int | None = None
    tool_access: ToolAccess | None = None
    mode_options: dict[str, JsonValue] | None = None
    prompt: PromptLayer | None = None

    def over(self, config: SessionConfig) -> SessionConfig:
        """Lay what was set over a configuration.

        Raises:
            PolicyError: A value cannot be; names the field.
        """
        return check_config(config.evolve(**self.config_fields))

    def agreeing_with(self, config: SessionConfig) -> SessionSpec:
        """Give what was set, changed so that it no longer overrides a configuration that came later."""
        return attrs.evolve(self, **{name: getattr(config, name) for name in self.config_fields})

    @property
    def config_fields(self) -> dict[str, Any]:
        """What was set of the stored configuration; a field that only the configuration has is nobody's to set here."""
        given = {name: getattr(self, name, None) for name in SessionConfig.model_fields}
        return {name: value for name, value in given.items() if value is not None}


@attrs.frozen(kw_only=True)
class SessionPolicy:
    """What the turns of a session are run with.

    Attributes:
        config: What is stored of it.
        context_window: Tokens that the model can take.
        limits: What one turn may use unless it brings limits of its own (T12).
        prompt: The session's own prompt layer.
        model_info: What the provider says of the model.
        assumed: Whether nobody said the context size, so that it is `DEFAULT_CONTEXT_WINDOW`.
    """

    config: SessionConfig
    context_window: int
    limits: TurnLimits
    prompt: PromptLayer
    model_info: ModelInfo
    assumed: bool = False

    def warn_if_assumed(self) -> None:
        """Say that nobody knows the context size, where somebody is about to rely on it."""
        if self.assumed:
            _log.warning(
                "nobody says how many tokens %s can take: %d are assumed; set context_window",
                self.config.model,
                self.context_window,
            )


def check_config(config: SessionConfig) -> SessionConfig:
    """Refuse values that cannot be.

    Raises:
        PolicyError: Names the field.
    """
    window = config.context_window
    if window is not None and window <= 0:
        raise PolicyError(f"context_window must be at least 1 token, not {window}")
    for field in ("model", "mode"):
        if not getattr(config, field):
            raise PolicyError(f"{field} must not be empty; leave it out to keep what is stored")
    return config


def check_spec(spec: SessionSpec) -> None:
    """Hold what a caller sets to what can be stored and read again, or its session could not be opened any more.

    Raises:
        PolicyError: A value cannot be; names the field.
    """
    try:
        config = SessionConfig.model_validate(spec.config_fields, strict=True)
        check_storable(config, "the session's configuration")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise PolicyError(
            f"{'.'.join(str(step) for step in first['loc'])}: {first['msg']}"
        ) from None  # it shows the value
    except InvalidInput as error:
        raise PolicyError(error.message) from None
    check_config(config)
    check_labels(spec.labels)


def check_labels(labels: Mapping[str, str] | None) -> None:
    """Hold labels to being pairs of texts.

    Raises:
        PolicyError: They are not.
    """
    given: Any = {} if labels is None else labels
    if not isinstance(given, Mapping) or not all(isinstance(each, str) for pair in given.items() for each in pair):
        raise PolicyError("labels: both names and values must be text")


async def resolve_policy(
    config: SessionConfig, provider: ModelProvider, limits: TurnLimits, prompt: PromptLayer
) -> SessionPolicy:
    """Ask the provider for what nobody has set.

    Args:
        config: What is set.
        provider: Who is asked.
        limits: What one turn may use.
        prompt: The session's prompt layer.

    Raises:
        UnknownName, ConfigurationError: The model cannot be used; see `ModelProvider.model_info`.
        PolicyError: The provider says a context size that cannot be.
    """
    info = await provider.model_info(config.model.partition(":")[2])
    window = config.context_window if config.context_window is not None else info.context_window
    assumed = window is None
    if window is None:
        window = DEFAULT_CONTEXT_WINDOW
    if window <= 0:
        raise PolicyError(f"the provider of {config.model!r} says context_window {window}; set one that is at least 1")
    return SessionPolicy(
        config=config, context_window=window, limits=limits, prompt=prompt, model_info=info, assumed=assumed
    )


def check_mode(session_id: str, spec: SessionSpec, stored: SessionConfig, *, is_new: bool) -> str:
    """Give the name of a session's mode.

    Raises:
        ConfigurationError: The caller wants another one than the session began with (P11).
    """
    wanted = spec.mode or stored.mode
    if not is_new and wanted != stored.mode:
        raise refuse_mode(session_id, stored.mode, wanted)
    return wanted


def refuse_mode(session_id: str, mode: str, wanted: str) -> ConfigurationError:
    """Give the error of a session that is wanted in another mode (P11)."""
    return ConfigurationError(
        f"session {session_id!r} runs in mode {mode!r}; a session keeps its mode, so start another session for mode "
        f"{wanted!r}",
        session_id=session_id,
    )
