"""``lash plugins check``: what a manifest says against what the code does; the plugin's code is imported for it."""

from __future__ import annotations

from pathlib import Path

import attrs
import click
from lash_hookspecs.settings import SettingsTable

from lash_core.cli.options import Shared, common
from lash_core.cli.output import print_json, print_text, stdout_kept
from lash_core.cli.plugin_lookup import find_plugins
from lash_core.plugins import PluginManager, PluginSettings
from lash_core.plugins.checking import Made, Subject, differences_of, examine
from lash_core.plugins.manifest import ManifestError
from lash_core.plugins.manifest_writing import refreshed
from lash_core.plugins.projects import first_on_path, installed_subject, is_project, read_project
from lash_core.settings_file import write_whole

__all__ = ["check_plugins"]


@attrs.frozen
class _Checked:
    """What came out for one plugin."""

    subject: Subject
    findings: tuple[str, ...]
    written: bool


@click.command("check")
@click.argument("plugin", metavar="[NAME|PATH]", required=False)
@click.option("--write", is_flag=True, help="Make the manifest, or change it to what the code does.")
@common
def check_plugins(shared: Shared, plugin: str | None, write: bool) -> None:
    """Compare the manifests of plugins with their code, which is imported for it; ends with 1 if they differ.

    PATH is the folder of a project, which need not be installed. Without NAME and PATH all plugins are checked that may
    be imported.
    """
    settings = shared.settings().plugins
    if plugin is not None and is_project(plugin):
        project = read_project(Path(plugin))
        with first_on_path(project.roots):
            checked = [_check(subject, settings.table_of(subject.name), write) for subject in project.subjects]
    else:
        checked = [_check(each, settings.table_of(each.name), write) for each in _installed(settings, plugin)]
    if shared.json:
        print_json([_document(each) for each in checked])
    else:
        for each in checked:
            _print(each)
    if any(each.findings for each in checked):
        click.get_current_context().exit(1)


def _installed(settings: PluginSettings, word: str | None) -> list[Subject]:
    records = PluginManager.discover(settings).records
    if word is not None:
        return [installed_subject(record, records) for record in find_plugins(records, word)]
    return [installed_subject(record, records) for record in records if not record.is_barred]


def _check(subject: Subject, table: SettingsTable, write: bool) -> _Checked:
    with stdout_kept():
        made = examine(subject, table)
    findings = tuple(differences_of(subject, made))
    if not (findings and write):
        return _Checked(subject, findings, False)
    problem = _write(subject, made)
    return _Checked(subject, (problem,) if problem else tuple(differences_of(subject, made)), not problem)


def _write(subject: Subject, made: Made) -> str:
    """Write the manifest; why that cannot be done, if it cannot."""
    file = subject.manifest_file
    if subject.read_only:
        return f"{file} is not written: {subject.read_only}"
    if made.nothing_known:
        return f"{file} is not written: {'; '.join(made.problems)}"
    try:
        write_whole(file, refreshed(file.read_text(encoding="utf-8") if file.is_file() else "", subject, made))
    except (OSError, ValueError, ManifestError) as error:
        return f"{file} cannot be written: {error}"
    return ""


def _print(checked: _Checked) -> None:
    if checked.written:
        print_text(f"{checked.subject.label}: wrote {checked.subject.manifest_file}")
    elif not checked.findings:
        print_text(f"{checked.subject.label}: manifest and code agree")
    for finding in checked.findings:
        print_text(f"{checked.subject.label}: {finding}")


def _document(checked: _Checked) -> dict[str, object]:
    return {
        "name": checked.subject.name,
        "manifest": str(checked.subject.manifest_file),
        "findings": list(checked.findings),
        "written": checked.written,
    }
