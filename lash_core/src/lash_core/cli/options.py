"""The options that every subcommand takes, before it or after it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import click

from lash_core.config import Settings, load_settings

__all__ = ["Shared", "common"]


@attrs.define
class Shared:
    """What the shared options say.

    Attributes:
        store: ``--store``; kept out of reprs, it may hold a password.
        tenant: ``--tenant``.
        json: ``--json``.
        debug: ``--debug``.
        locked: ``--locked``, which stands before the command.
    """

    store: str | None = attrs.field(default=None, repr=False)
    tenant: str | None = None
    json: bool = False
    debug: bool = False
    locked: bool = False

    @classmethod
    def guess(cls, arguments: Sequence[str]) -> Shared:
        """Look for the flags before anything is parsed, so that a usage error is told in the form asked for."""
        end = arguments.index("--") if "--" in arguments else len(arguments)
        return cls(json="--json" in arguments[:end], debug="--debug" in arguments[:end])

    def settings(self, **flags: str | None) -> Settings:
        """Read the settings, with ``--store``, ``--tenant`` and what else the command's flags say."""
        settings = load_settings({"store": self.store, "tenant": self.tenant, **flags})
        return attrs.evolve(settings, plugins=attrs.evolve(settings.plugins, locked=True)) if self.locked else settings


def common(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``--store``, ``--tenant``, ``--json`` and ``--debug``, and hand it a `Shared` as ``shared``."""

    @click.option("--store", metavar="URL", help="The store's URL; .lash/ here or above by default.")
    @click.option("--tenant", metavar="NAME", help="Whose sessions in the store; the default tenant's by default.")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
    @click.option("--debug", is_flag=True, help="Show tracebacks.")
    @functools.wraps(function)
    def wrapped(store: str | None, tenant: str | None, as_json: bool, debug: bool, **rest: Any) -> Any:
        ctx = click.get_current_context()
        shared = ctx.find_object(Shared) or Shared()
        shared.store = store if store is not None else shared.store
        shared.tenant = tenant if tenant is not None else shared.tenant
        shared.json = shared.json or as_json
        shared.debug = shared.debug or debug
        ctx.obj = shared
        return function(shared=shared, **rest)

    return wrapped
