"""Compares what a plugin's manifest says with its code, which is imported for it: for authors."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
from lash_hookspecs.settings import SettingsTable
from lash_hookspecs.specs.offers import OfferContext
from lash_hookspecs.version import HOOKSPEC_API

from lash_core.plugins.calls import what_happened
from lash_core.plugins.installed import GROUP
from lash_core.plugins.local import import_local
from lash_core.plugins.manifest import OFFER_HOOKS, Manifest, ManifestError
from lash_core.plugins.offers import call_offer, compare, names_of
from lash_core.plugins.registration import Invalid, Registry
from lash_core.plugins.settings_models import import_model

__all__ = ["Made", "Subject", "differences_of", "examine"]


@attrs.frozen(kw_only=True)
class Subject:
    """A plugin to check.

    Attributes:
        name: Its name.
        label: The plugin, for messages.
        value: What its entry point refers to; of a local plugin, the file's path.
        manifest_file: Where its manifest is, or has to be.
        siblings: All entry points of the distribution in its package, its own included.
        read: Reads the manifest.
        read_only: Why its manifest may not be written; empty when it may.
    """

    name: str
    label: str
    value: str
    manifest_file: Path
    siblings: tuple[str, ...]
    read: Callable[[], Manifest]
    read_only: str = ""


@attrs.frozen(kw_only=True)
class Made:
    """What the code of a plugin makes.

    Attributes:
        hooks: The hooks that it implements.
        offers: Kind → the names that it offers; a kind that could not be asked for is missing.
        models: The models that it read its settings by, as ``package.module:Model``.
        problems: What is wrong with it, whatever the manifest says.
    """

    hooks: frozenset[str] = frozenset()
    offers: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    models: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def nothing_known(self) -> bool:
        """Whether the code could not be looked at."""
        return not self.hooks and bool(self.problems)


def examine(subject: Subject, settings: SettingsTable) -> Made:
    """Import a plugin and ask it for its offers; whatever goes wrong is a problem of it."""
    try:
        plugin = _import(subject)
        found = Registry().check(plugin)
    except Invalid as error:
        return Made(problems=(str(error),))
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # noqa: BLE001  a plugin's sys.exit must not end the command
        return Made(problems=(f"it cannot be imported: {what_happened(error)}",))
    context = OfferContext(api=HOOKSPEC_API, settings=settings)
    asked = {kind: _ask(kind, found[hook], context) for kind, hook in OFFER_HOOKS.items() if hook in found}
    return Made(
        hooks=frozenset(found),
        offers={kind: names for kind, names in asked.items() if isinstance(names, tuple)},
        models=tuple(f"{model.__module__}:{model.__qualname__}" for model in context.settings.models),
        problems=tuple(problem for problem in asked.values() if isinstance(problem, str)),
    )


def differences_of(subject: Subject, made: Made) -> Iterator[str]:
    """Tell in what a manifest and the code differ, and what is wrong with either."""
    yield from made.problems
    try:
        manifest = subject.read()
    except ManifestError as error:
        yield str(error)
        return
    yield from _settings(manifest, made)
    if made.nothing_known:
        return
    implied = {OFFER_HOOKS[kind] for kind in made.offers}
    for hook in sorted((manifest.all_hooks ^ made.hooks) - implied):
        listed = hook in manifest.all_hooks
        yield (
            f"hook {hook}: the manifest lists it, but the plugin does not implement it"
            if listed
            else f"hook {hook}: the plugin implements it, but the manifest does not list it"
        )
    for kind, names in made.offers.items():
        told = manifest.offers.get(kind, ())
        if set(names) != set(told):
            yield f"{OFFER_HOOKS[kind]} offers {_list(names)}, but the manifest's offers.{kind} names {_list(told)}"
        elif OFFER_HOOKS[kind] not in manifest.all_hooks:
            yield f"hook {OFFER_HOOKS[kind]}: the plugin implements it, but the manifest does not list it"


def _import(subject: Subject) -> object:
    if subject.value.endswith(".py"):
        return import_local(Path(subject.value))
    return importlib.metadata.EntryPoint(subject.name, subject.value, GROUP).load()


def _ask(kind: str, function: Callable[..., Any], context: OfferContext) -> tuple[str, ...] | str:
    """Ask for the offers of a kind: their names, or what went wrong."""
    hook = OFFER_HOOKS[kind]
    try:
        made = call_offer(hook, function, context)
        names = tuple(name for offer in made for name in names_of(offer))
        compare(kind, names, made)
    except Invalid as error:
        return str(error)
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # noqa: BLE001  as above
        return f"{hook} failed: {what_happened(error)}"
    return names


def _settings(manifest: Manifest, made: Made) -> Iterator[str]:
    if manifest.settings_model:
        try:
            import_model(manifest.settings_model)
        except Invalid as error:
            yield str(error)
    elif made.models:
        yield f"it reads its settings by {' and '.join(made.models)}, but the manifest has no settings.model"


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(repr(name) for name in sorted(names)) or "nothing"
