"""The settings: flags over ``LASH_*`` variables over ``lash.toml`` over defaults; each value knows where it came from.

A ``lash.toml`` is looked for in the current folder and upwards; a ``pyproject.toml`` with a ``[tool.lash]`` table
counts as well, and the nearest file wins. Paths in a file are relative to it::

    [lash]
    store = "sqlite:///agents.db"
    tenant = "acme"
    model = "openai:gpt-5"
    mode = "standard"
    root = "docs"
    host = "embedded"

    [lash.plugins]                  # each as name, distribution, or distribution/name
    allow = ["lash-basics"]         # only these may be imported
    deny = ["some-distribution"]
    default-deny = true             # nothing but what allow names
    required = ["lash-basics"]      # no plugin is used while one of these is missing
    disabled = ["some-plugin"]      # written by `lash plugins disable`
    local-plugins = ["dice.py"]     # plugins in single files
    locked = true                   # import nothing that differs from lash-plugins.lock

    [lash.stores]
    prod = "postgresql://ann:${DB_PASSWORD}@db/agents"   # a store by name: --store prod
    redis = "lash-redis"            # who answers for a scheme that two distributions claim

    [lash.modes]                    # also providers, tools, hosts, commands
    standard = "lash-basics"        # the same for other names

    [lash.plugin.some-plugin]       # the plugin's own settings
    timeout = 5
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import attrs
from lash_hookspecs.errors import ConfigurationError, StoreUnavailable, redact_url
from lash_hookspecs.settings import VARIABLES

from lash_core.plugins.manifest import KINDS, did_you_mean
from lash_core.plugins.records import PluginSettings

__all__ = ["Settings", "StoreLocation", "load_settings", "locate_store", "make_default_store"]

_KEYS = ("store", "tenant", "model", "mode", "root", "host")
_TABLES = ("plugins", "plugin", *KINDS)
_PLUGIN_SWITCHES = ("default-deny", "locked")
_PLUGIN_LISTS = ("allow", "deny", "required", "disabled", "local-plugins")
_FOLDER = ".lash"
_DATABASE = "sessions.db"


def _redacted(url: str | None) -> str:
    return repr(url and redact_url(url))


@attrs.frozen(kw_only=True)
class Settings:
    """All settings of a process.

    Attributes:
        store: The store's URL; ``None`` when nothing names one, then `locate_store` finds the default.
        tenant: Whose sessions in the store; empty for the default tenant.
        model: ``provider`` or ``provider:model``; ``None`` when nothing names one, then the session's own holds.
        mode: The execution mode; ``None`` when nothing names one, then the session's own holds.
        root: The folder that file tools may not leave.
        host: Where turns run; ``None`` when nothing names one, then in the command's own process.
        store_name: The store's name in the file, when it was chosen by it.
        plugins: What is said about plugins.
        sources: Key → where its value came from: ``--store``, ``LASH_STORE``, a file's path, or ``default``.
        file: The file that was read, if any.
    """

    store: str | None = attrs.field(default=None, repr=_redacted)
    tenant: str = ""
    model: str | None = None
    mode: str | None = None
    root: Path = attrs.field(factory=Path.cwd)
    host: str | None = None
    store_name: str | None = None
    plugins: PluginSettings = attrs.field(factory=PluginSettings)
    sources: Mapping[str, str] = attrs.field(factory=dict)
    file: Path | None = None


@attrs.frozen
class StoreLocation:
    """Where the sessions are.

    Attributes:
        url: The store's URL; may hold a password, so it stays out of reprs.
        exists: Whether it holds anything; taken for granted when somebody gave the URL.
        came_from: Who named it, as in `Settings.sources`.
        path: The default store's database file; ``None`` for a URL that somebody gave.
        name: The store's name in the settings file, if it was chosen by it.
    """

    url: str = attrs.field(repr=_redacted)
    exists: bool
    came_from: str
    path: Path | None = None
    name: str | None = None

    @property
    def shown(self) -> str:
        """The store's name, else its URL without secrets."""
        return self.name or redact_url(self.url)


def load_settings(
    flags: Mapping[str, str | None] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Settings:
    """Read the settings.

    Args:
        flags: What the command line says, by key; ``None`` and missing mean that it says nothing.
        environ: The environment; the process's own by default.
        cwd: Where to start looking for a file; the current folder by default.

    Raises:
        ConfigurationError: A file cannot be read, has an unknown key, or a value of the wrong type.
    """
    environ = os.environ if environ is None else environ
    cwd = Path.cwd() if cwd is None else cwd
    file, table = _find_table(cwd)
    told = _check(table, file) if file else {}
    values: dict[str, str] = {}
    stores = {name: url for name, url in told.get("stores", {}).items() if _is_url(url)}
    chosen = None
    sources: dict[str, str] = {}
    for key in _KEYS:
        value, source = _pick(key, flags or {}, environ, told, file)
        sources[key] = source
        if value is not None and key == "store" and value in stores and file is not None:
            chosen = value
            url = _filled(stores[value], environ, f"{file}: lash.stores.{value}")
            values[key] = _resolve(key, url, str(file), file, cwd)
        elif value is not None:
            _check_store_name(key, value, source, stores)
            values[key] = _resolve(key, value, source, file, cwd)
    return Settings(
        store=values.get("store"),
        tenant=values.get("tenant", ""),
        model=values.get("model"),
        mode=values.get("mode"),
        root=Path(values.get("root", cwd)),
        host=values.get("host"),
        store_name=chosen,
        plugins=_plugin_settings(told, file, environ),
        sources=sources,
        file=file,
    )


def locate_store(settings: Settings, *, cwd: Path | None = None) -> StoreLocation:
    """Find the store: the one that the settings name, else ``.lash`` in the current folder or above it.

    Raises:
        StoreUnavailable: There is a default store that may not be looked at.
    """
    if settings.store is not None:
        source = settings.sources.get("store", "--store")
        return StoreLocation(settings.store, True, source, name=settings.store_name)
    cwd = (Path.cwd() if cwd is None else cwd).absolute()
    above = (parent / _FOLDER for parent in (cwd, *cwd.parents))
    folder = next((each for each in above if _allowed(each.is_dir)), cwd / _FOLDER)
    path = folder / _DATABASE
    # A file without a byte is one that `make_default_store` left behind when its process died.
    try:
        exists = path.is_file() and path.stat().st_size > 0
    except PermissionError as error:
        raise StoreUnavailable(f"cannot open the default store {path}: permission denied") from error
    return StoreLocation(_sqlite_url(path, cwd), exists, "default", path)


def make_default_store(location: StoreLocation) -> None:
    """Make the folder and the empty database file of the default store, private to the user.

    Raises:
        StoreUnavailable: The folder cannot be written.
    """
    if location.path is None or location.exists:
        return
    folder = location.path.parent
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        ignore = folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
        os.close(os.open(location.path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreUnavailable(
            f"the default store {location.path} cannot be made: {error.strerror}; "
            "go to a folder that you can write to, or name a store with --store"
        ) from error


def _find_table(cwd: Path) -> tuple[Path | None, Mapping[str, Any]]:
    for folder in (cwd.absolute(), *cwd.absolute().parents):
        for name, keys in (("lash.toml", ("lash",)), ("pyproject.toml", ("tool", "lash"))):
            path = folder / name
            if not _allowed(path.is_file):
                continue
            table = _read(path) if name == "lash.toml" or _mentions_lash(path) else {}
            if name == "lash.toml":
                _known(table, ("lash",), path, "")
            for key in keys:
                table = _sub(table, key, path)
            if table or name == "lash.toml":
                return path, table
    return None, {}


def _allowed(found: Callable[[], bool]) -> bool:
    """Ask about a path; one that we may not look at is as good as absent."""
    try:
        return found()
    except PermissionError:
        return False


def _mentions_lash(path: Path) -> bool:
    """Tell whether a pyproject.toml is ours to parse: a broken one of another tool is none of our business."""
    try:
        return b"tool.lash" in path.read_bytes()
    except OSError:
        return False


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: {error}") from error


def _check(table: Mapping[str, Any], file: Path) -> Mapping[str, Any]:
    _known(table, (*_KEYS, *_TABLES), file, "lash.")
    for key in _KEYS:
        if not isinstance(table.get(key, ""), str):
            raise ConfigurationError(f"{file}: lash.{key} must be a string")
    _check_plugins(_sub(table, "plugins", file, "lash."), file)
    for kind in KINDS:
        for name, distribution in _sub(table, kind, file, "lash.").items():
            if not isinstance(distribution, str):
                what = "a URL or the name of a distribution" if kind == "stores" else "the name of a distribution"
                raise ConfigurationError(f"{file}: lash.{kind}.{name} must be {what}")
    own = _sub(table, "plugin", file, "lash.")
    for name in own:
        _sub(own, name, file, "lash.plugin.")
    return table


def _check_plugins(plugins: Mapping[str, Any], file: Path) -> None:
    _known(plugins, (*_PLUGIN_LISTS, *_PLUGIN_SWITCHES), file, "lash.plugins.")
    for key in _PLUGIN_LISTS:
        told = plugins.get(key, [])
        if not isinstance(told, list) or not all(isinstance(word, str) and word for word in told):
            what = "paths" if key == "local-plugins" else "plugin names"
            raise ConfigurationError(f"{file}: lash.plugins.{key} must be a list of {what}")
    for key in _PLUGIN_SWITCHES:
        if not isinstance(plugins.get(key, False), bool):
            raise ConfigurationError(f"{file}: lash.plugins.{key} must be true or false")


def _plugin_settings(table: Mapping[str, Any], file: Path | None, environ: Mapping[str, str]) -> PluginSettings:
    plugins = table.get("plugins", {})
    folder = file.parent if file else Path()
    return PluginSettings(
        allow=tuple(plugins["allow"]) if "allow" in plugins else None,
        deny=tuple(plugins.get("deny", ())),
        default_deny=plugins.get("default-deny", False),
        required=tuple(plugins.get("required", ())),
        disabled=tuple(plugins.get("disabled", ())),
        local_plugins=tuple(folder / Path(path).expanduser() for path in plugins.get("local-plugins", ())),
        table="tool.lash.plugins" if file and file.name == "pyproject.toml" else "lash.plugins",
        locked=plugins.get("locked", False),
        file=file,
        settled={
            kind: {name: told for name, told in table[kind].items() if not _is_url(told)}
            for kind in KINDS
            if kind in table
        },
        tables=table.get("plugin", {}),
        variables={name: value for name, value in environ.items() if name.startswith(VARIABLES)},
    )


def _is_url(text: str) -> bool:
    """Tell a store's URL from the name of a distribution, which holds no colon."""
    return ":" in text or text.startswith("$")


def _filled(url: str, environ: Mapping[str, str], where: str) -> str:
    """Put in what the environment holds; within a URL a value is quoted, so that a password may be any text."""

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if not environ.get(name):
            raise ConfigurationError(f"{where}: the environment has no {name}")
        return environ[name] if found[0] == url else quote(environ[name], safe="")

    return re.sub(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", value, url)


def _check_store_name(key: str, value: str, source: str, stores: Mapping[str, str]) -> None:
    if key == "store" and stores and ":" not in value:
        raise ConfigurationError(
            f"{source}: there is no store {value!r} among {', '.join(sorted(stores))}"
            f"{did_you_mean(value, tuple(stores))}"
        )


def _pick(
    key: str, flags: Mapping[str, str | None], environ: Mapping[str, str], told: Mapping[str, Any], file: Path | None
) -> tuple[str | None, str]:
    flag = flags.get(key)
    if flag is not None:
        return flag, f"--{key}"
    variable = f"LASH_{key.upper()}"
    if environ.get(variable):  # set but empty means "not set", as for most variables
        return environ[variable], variable
    if key in told:
        return cast(str, told[key]), str(file)
    return None, "default"


def _resolve(key: str, value: str, source: str, file: Path | None, cwd: Path) -> str:
    """Make what a file says relative to that file, not to wherever the command runs."""
    if not value:
        raise ConfigurationError(f"{source}: {key} is empty")
    base = file.parent if file and source == str(file) else cwd
    if key == "root":
        root = base / Path(value).expanduser()
        if not root.is_dir():
            raise ConfigurationError(f"{source}: the root {str(root)!r} is not a folder")
        return str(root)
    if key == "store" and base != cwd and value.startswith("sqlite:///") and not value.startswith("sqlite:////"):
        rest = value.removeprefix("sqlite:///")
        return value if rest.startswith(":memory:") else _sqlite_url(base / rest, cwd)
    return value


def _sqlite_url(path: Path, cwd: Path) -> str:
    """Name a file at or above the current folder; relative to it where a folder's name would begin the options."""
    return f"sqlite:///{os.path.relpath(path, cwd) if '?' in str(path) else path}"


def _known(table: Mapping[str, Any], keys: tuple[str, ...], file: Path, prefix: str) -> None:
    for key in table:
        if key not in keys:
            raise ConfigurationError(f"{file}: unknown key {prefix + key!r}{did_you_mean(key, keys)}")


def _sub(table: Mapping[str, Any], key: str, file: Path, prefix: str = "") -> dict[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise ConfigurationError(f"{file}: {prefix}{key} must be a table")
    return value
