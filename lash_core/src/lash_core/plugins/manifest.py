"""The manifest of a plugin: what it offers, told without importing it (P2)."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
from lash_hookspecs.version import api_satisfies

from lash_core.version import HOOKSPEC_API

__all__ = [
    "KINDS",
    "LARGEST",
    "MANIFEST",
    "OFFER_HOOKS",
    "SESSION_PLUGINS",
    "IncompatibleApi",
    "Manifest",
    "ManifestError",
    "did_you_mean",
    "find_manifest",
    "package_folders",
    "parse_toml",
    "read_manifest",
    "read_text",
]

#: The file's name; it lies in the plugin's top-level package.
MANIFEST = "lash-plugin.toml"

#: The most bytes that a manifest may have.
LARGEST = 1 << 16

#: The most dots in a line of a manifest. The time to parse a key is quadratic in them: 8,000 take a second.
_MOST_DOTS = 200

#: What can be offered under a name that is asked for, and the word for one of it.
KINDS = {
    "stores": "store scheme",
    "modes": "mode",
    "providers": "model provider",
    "tools": "tool set",
    "hosts": "host",
    "commands": "command",
}

#: What else can be offered: every session gets all of it, so its names are the plugin's own business.
SESSION_PLUGINS = "session_plugins"

#: The hook that offers a kind.
OFFER_HOOKS = {kind: f"lash_offer_{kind}" for kind in (*KINDS, SESSION_PLUGINS)}

_REFERENCE = re.compile(r"^[^\W\d]\w*(\.\w+)*:[^\W\d]\w*$")

_KEYS = ("requires_api", "hooks", "before", "after", "offers", "settings")


class ManifestError(Exception):
    """A manifest that is missing or wrong; the text is the reason."""


class IncompatibleApi(ManifestError):
    """The plugin needs another hook API than this host implements."""


@attrs.frozen(kw_only=True)
class Manifest:
    """What a plugin says about itself.

    Attributes:
        requires_api: The hook API version that it was written for, ``major.minor``.
        hooks: The hooks that it implements.
        before: Plugins that come after it in the order of calls (P5).
        after: Plugins that come before it.
        offers: Kind (see `KINDS` and `SESSION_PLUGINS`) → names.
        settings_model: The pydantic model of its settings as ``package.module:Model``; empty for none.
    """

    requires_api: str = HOOKSPEC_API
    hooks: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    offers: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    settings_model: str = ""

    @property
    def all_hooks(self) -> frozenset[str]:
        """The hooks, those that ``offers`` implies included."""
        return frozenset(self.hooks) | {OFFER_HOOKS[kind] for kind in self.offers if kind in OFFER_HOOKS}

    @property
    def runtime_hooks(self) -> frozenset[str]:
        """The hooks that are called while sessions run; not those that only make offers."""
        return frozenset(self.hooks) - set(OFFER_HOOKS.values())

    @classmethod
    def parse(cls, table: Mapping[str, Any]) -> Manifest:
        """Read a table strictly.

        The API version is compared first, so that a manifest of a later version is told from a wrong one.

        Raises:
            IncompatibleApi: The plugin needs another hook API.
            ManifestError: A key is missing, unknown or of the wrong type.
        """
        required = table.get("requires_api")
        if not isinstance(required, str):
            raise ManifestError("requires_api is missing" if required is None else "requires_api must be a string")
        _check_api(required)
        _known(table, _KEYS, "key")
        offers = _table(table, "offers")
        kinds = (*KINDS, SESSION_PLUGINS)
        _known(offers, kinds, "kind of offer")
        return cls(
            requires_api=required,
            hooks=_names(table, "hooks"),
            before=_names(table, "before"),
            after=_names(table, "after"),
            offers={kind: names for kind in kinds if (names := _names(offers, kind, "offers."))},
            settings_model=_settings_model(_table(table, "settings")),
        )


def package_folders(package: str) -> list[Path]:
    """Find the folders of a plugin's top-level package, nearly always one; imports nothing.

    Raises:
        ManifestError: There is none.
    """
    try:
        spec = importlib.util.find_spec(package)
    except Exception as error:  # any finder on sys.meta_path may raise anything
        raise ManifestError(f"its package {package!r} cannot be found: {error}") from error
    if spec is None:
        raise ManifestError(f"its package {package!r} cannot be found")
    if spec.submodule_search_locations is None:
        raise ManifestError(f"{package!r} is a single module; a plugin is a package with a {MANIFEST} in it")
    return [Path(folder) for folder in spec.submodule_search_locations]


def find_manifest(package: str) -> Path:
    """Find the manifest of a plugin's top-level package; imports nothing.

    Raises:
        ManifestError: There is none.
    """
    for folder in package_folders(package):
        path = folder / MANIFEST
        try:
            if path.is_file():
                return path
        except OSError as error:
            raise ManifestError(f"{package}/{MANIFEST}: {error}") from error
    raise ManifestError(
        f"its package {package!r} has no {MANIFEST}; its author makes one with: lash plugins check PATH --write"
    )


def read_manifest(path: Path, name: str, siblings: Collection[str]) -> Manifest:
    """Read the manifest of one entry point.

    Args:
        path: The file.
        name: The entry point's name.
        siblings: All entry points of the distribution in this package.

    Raises:
        ManifestError: It is wrong.
    """
    try:
        return Manifest.parse(_choose(parse_toml(read_text(path, LARGEST)), name, siblings))
    except IncompatibleApi:
        raise
    except (OSError, ValueError, RecursionError, ManifestError) as error:
        raise ManifestError(f"{path.parent.name}/{path.name}: {error}") from error


def read_text(path: Path, largest: int) -> str:
    """Read a file of a plugin's author.

    Args:
        path: The file.
        largest: The most bytes that it may have.

    Raises:
        OSError, ValueError: It cannot be read, is too large, or is not UTF-8.
    """
    with path.open("rb") as file:
        body = file.read(largest + 1)
    if len(body) > largest:
        raise ValueError(f"it has more than {largest:,} bytes")
    return body.decode("utf-8").removeprefix("\ufeff")


def parse_toml(text: str) -> dict[str, Any]:
    """Parse a manifest's text, in bounded time.

    Raises:
        ValueError, RecursionError: It is too large, too deep, or no TOML.
    """
    if len(text) > LARGEST:
        raise ValueError(f"it has more than {LARGEST:,} characters")
    if any(line.count(".") > _MOST_DOTS for line in text.split("\n")):
        raise ValueError(f"a line has more than {_MOST_DOTS} dots")
    return tomllib.loads(text)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Give ``; did you mean 'x'?``, or nothing when no known word is near."""
    import difflib

    near = difflib.get_close_matches(word, sorted(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _choose(table: Mapping[str, Any], name: str, siblings: Collection[str]) -> Mapping[str, Any]:
    if "plugin" not in table:
        if len(siblings) > 1:
            raise ManifestError(
                f"it describes one plugin, but there are {len(siblings)}: give each a table, such as [plugin.{name}]"
            )
        return table
    if len(table) > 1:
        other = next(key for key in table if key != "plugin")
        raise ManifestError(f"{other!r} stands beside the [plugin.…] tables; put it into one of them")
    tables = _table(table, "plugin")
    if name not in tables:
        raise ManifestError(f"there is no table [plugin.{name}]{did_you_mean(name, tables)}")
    return _table(tables, name, "plugin.")


def _check_api(required: str) -> None:
    try:
        fits = api_satisfies(HOOKSPEC_API, required)
    except ValueError as error:
        raise ManifestError(f"requires_api: {error}") from error
    if not fits:
        raise IncompatibleApi(f"needs hook API {required}; this lash-core implements {HOOKSPEC_API}")


def _known(table: Mapping[str, Any], keys: Collection[str], what: str) -> None:
    for key in table:
        if key not in keys:
            raise ManifestError(f"unknown {what} {key!r}{did_you_mean(key, keys)}")


def _table(table: Mapping[str, Any], key: str, prefix: str = "") -> Mapping[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise ManifestError(f"{prefix}{key} must be a table")
    return value


def _settings_model(table: Mapping[str, Any]) -> str:
    _known(table, ("model",), "key of [settings]")
    model = table.get("model", "")
    if not isinstance(model, str) or (model and not _REFERENCE.match(model)):
        raise ManifestError(f"settings.model must be of the form 'package.module:Model', not {model!r}")
    return model


def _names(table: Mapping[str, Any], key: str, prefix: str = "") -> tuple[str, ...]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        raise ManifestError(f"{prefix}{key} must be a list of names")
    for name in value:
        if not name.isprintable():  # a terminal would obey it
            raise ManifestError(f"{prefix}{key} holds {name!r}, which cannot be printed")
    return tuple(value)
