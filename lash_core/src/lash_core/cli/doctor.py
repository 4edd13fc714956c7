"""``lash doctor``: what is installed and configured, and what is wrong with it; no plugin is imported for it (P3)."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click
from lash_hookspecs.errors import ConfigurationError, LashError, redact_url

from lash_core.builtins import BUILTINS
from lash_core.cli.options import Shared, common
from lash_core.cli.output import one_line, print_json, print_table, print_text
from lash_core.config import Settings, StoreLocation, locate_store
from lash_core.plugins import PluginManager, PluginRecord
from lash_core.version import HOOKSPEC_API, core_version

if TYPE_CHECKING:
    from lash_core.cli.session_checks import SessionCheck

__all__ = ["doctor"]

_BROKEN = ("failed", "incompatible", "conflicting")


@attrs.define
class _Report:
    """What was looked at, and what is wrong.

    Attributes:
        settings: The settings, or the defaults when they cannot be read.
        plugins: The installed plugins.
        location: Where the sessions are; ``None`` when that cannot be told.
        sessions: What was found of the sessions; ``None`` when nobody asked.
        findings: What is wrong: about what, and how.
    """

    settings: Settings
    plugins: PluginManager
    location: StoreLocation | None = None
    sessions: list[SessionCheck] | None = None
    findings: list[tuple[str, str]] = attrs.field(factory=list)


@click.command()
@click.option("--sessions", is_flag=True, help="Look into the store as well: which sessions would not resume here?")
@common
def doctor(shared: Shared, sessions: bool) -> int:
    """Say what is installed and configured, and what is wrong with it; changes nothing. Ends with 1 if anything is."""
    report = _examine(shared)
    if sessions:
        _examine_sessions(shared, report)
    if shared.json:
        print_json(_document(report))
    else:
        _print(report)
    return 1 if report.findings else 0


def _examine(shared: Shared) -> _Report:
    findings: list[tuple[str, str]] = []
    try:
        settings = shared.settings()
    except ConfigurationError as error:
        findings.append(("settings", error.message))
        settings = Settings(store=shared.store, sources={"store": "--store"} if shared.store else {})
    report = _Report(settings, PluginManager.discover(settings.plugins, builtins=BUILTINS), findings=findings)
    findings += [(record.label, f"{record.state}: {record.reason}") for record in _installed(report) if _broken(record)]
    findings += [("required plugins", error.message) for error in report.plugins.requirements()]
    findings += _unknown_names(report)
    try:
        report.location = locate_store(settings)
    except LashError as error:
        findings.append(("store", error.message))
    else:
        findings += _without_a_scheme(report.plugins, report.location)
    return report


def _installed(report: _Report) -> list[PluginRecord]:
    return [record for record in report.plugins.records if record.origin != "app"]


def _broken(record: PluginRecord) -> bool:
    return record.state in _BROKEN


def _unknown_names(report: _Report) -> Iterator[tuple[str, str]]:
    settings, plugins = report.settings, report.plugins
    provider = settings.model.partition(":")[0] if settings.model is not None else None
    for kind, what, name in (
        ("modes", "mode", settings.mode),
        ("providers", "model", provider),
        ("hosts", "host", settings.host),
    ):
        if name is not None:
            try:
                plugins.holder(kind, name)
            except ConfigurationError as error:
                yield f"{what} (from {settings.sources.get(what, 'default')})", error.message
        elif not plugins.names(kind):
            yield (
                what,
                f"no installed plugin offers a {what}; the usual ones come with: pip install 'lash-core[standard]'",
            )


def _without_a_scheme(plugins: PluginManager, location: StoreLocation) -> Iterator[tuple[str, str]]:
    scheme, colon, _ = location.url.partition(":")
    if not colon:
        yield "store", f"{redact_url(location.url)!r} is no store URL: it must begin with a scheme"
        return
    try:
        plugins.holder("stores", scheme)
    except ConfigurationError as error:
        yield "store", error.message


def _examine_sessions(shared: Shared, report: _Report) -> None:
    """Open the store, which imports its plugin, and look at every session."""
    from lash_core.app import of_tenant, open_backend
    from lash_core.cli.opening import run_async
    from lash_core.cli.session_checks import check_sessions

    location = report.location
    report.sessions = []
    try:
        tenant = shared.settings().tenant
    except ConfigurationError:
        return  # it is a finding; what those settings would not let be imported is not known
    if location is None or location.exists is False:
        return

    found = report.sessions  # what was found before a failure is told

    async def look() -> None:
        store = await open_backend(report.plugins, location.url, False)
        try:
            async for check in check_sessions(of_tenant(store, tenant), report.plugins):
                found.append(check)
        finally:
            await store.close()

    try:
        run_async(look(), shared)
    except LashError as error:
        if ("store", error.message) not in report.findings:
            report.findings.append(("store", error.message))
    report.findings += [(f"session {check.session_id}", problem) for check in found for problem in check.problems]


def _exists(location: StoreLocation) -> bool | None:
    """Tell whether a store is there, as far as that can be seen without its plugin."""
    if location.path is not None:
        return location.exists
    rest = location.url.partition("?")[0]
    if not rest.startswith("sqlite:///") or rest.startswith("sqlite:///:"):
        return None
    try:
        return Path(rest.removeprefix("sqlite:///")).is_file()
    except OSError:
        return None


def _named(location: StoreLocation) -> str:
    url = redact_url(location.url)
    return f"{location.name}, {url}" if location.name else url


def _versions() -> dict[str, str]:
    return {
        "lash-core": core_version(),
        "hook API": HOOKSPEC_API,
        "Python": platform.python_version(),
        "platform": sys.platform,
    }


def _values(settings: Settings) -> dict[str, Any]:
    values = {"model": settings.model, "mode": settings.mode, "root": str(settings.root), "host": settings.host}
    return {key: {"value": value, "from": settings.sources.get(key, "default")} for key, value in values.items()}


def _document(report: _Report) -> dict[str, Any]:
    settings, location = report.settings, report.location
    return {
        "versions": _versions(),
        "settings": {"file": str(settings.file) if settings.file else None, **_values(settings)},
        "store": {
            "url": redact_url(location.url),
            "name": location.name,
            "from": location.came_from,
            "exists": _exists(location),
        }
        if location
        else None,
        "plugins": [
            {
                "name": record.name,
                "distribution": record.distribution,
                "version": record.version,
                "state": record.state,
                "reason": record.reason,
            }
            for record in _installed(report)
        ],
        "sessions": None
        if report.sessions is None
        else {
            "checked": len({check.session_id for check in report.sessions}),
            "notes": [
                {"session_id": check.session_id, "message": note} for check in report.sessions for note in check.notes
            ],
        },
        "findings": [{"about": about, "message": message} for about, message in report.findings],
    }


def _print(report: _Report) -> None:
    print_text(" · ".join(f"{what} {version}" for what, version in _versions().items()))
    settings, location = report.settings, report.location
    print_text(f"settings file: {settings.file or 'none'}")
    for key, told in _values(settings).items():
        if told["value"] is not None:
            print_text(f"{key}: {told['value']} (from {told['from']})")
    if location is not None:
        there = {True: "exists", False: "does not exist yet", None: "not looked at"}[_exists(location)]
        print_text(f"store: {_named(location)} (from {location.came_from}; {there})")
    print_table(
        ("PLUGIN", "DISTRIBUTION", "VERSION", "STATE", "REASON"),
        [
            (record.name, record.distribution, record.version, record.state, record.reason)
            for record in _installed(report)
        ],
    )
    if report.sessions is not None:
        print_text(f"sessions checked: {len({check.session_id for check in report.sessions})}")
        for check in report.sessions:
            for note in check.notes:
                print_text(f"note: session {check.session_id}: {note}")
    for about, message in report.findings:
        print_text(one_line(f"! {about}: {message}"))
    print_text("nothing is wrong" if not report.findings else f"{len(report.findings)} found")
