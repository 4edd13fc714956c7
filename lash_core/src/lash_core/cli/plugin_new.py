"""``lash plugins new``: writes a package that works, for its author to change."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lash_core.cli.options import Shared, common
from lash_core.cli.output import print_json, print_text, to_stderr
from lash_core.plugins import PluginManager
from lash_core.scaffold.kinds import KINDS

if TYPE_CHECKING:
    from lash_core.scaffold.names import PluginNames

__all__ = ["new"]


@click.command()
@click.argument("kind", type=click.Choice(sorted(KINDS)), metavar="KIND")
@click.argument("name", metavar="NAME")
@click.option(
    "--into",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default=Path(),
    help="Where the folder NAME is made; the current folder by default.",
)
@common
def new(shared: Shared, kind: str, name: str, into: Path) -> None:
    """Write a new plugin: a package that works, with its tests.

    KIND is store, host, mode, provider or tools; NAME is the distribution's, such as lash-acme.
    """
    from lash_core.scaffold.names import PluginNames
    from lash_core.scaffold.writing import files_of, write_plugin

    names = PluginNames.of(name)
    names.check_free(KINDS[kind], PluginManager.discover(shared.settings().plugins).records)
    texts = files_of(kind, names)
    folder = into / names.distribution
    write_plugin(folder, texts)
    if names.hint:
        to_stderr(f"lash: {names.hint}")
    if shared.json:
        print_json(_document(kind, names, folder, texts))
    else:
        print_text("\n".join(_lines(kind, names, folder, texts)))


def _document(kind: str, names: PluginNames, folder: Path, texts: dict[str, str]) -> dict[str, object]:
    return {
        "kind": kind,
        "distribution": names.distribution,
        "package": names.package,
        "offers": {KINDS[kind].offers: [names.short]},
        "folder": str(folder.absolute()),
        "files": list(texts),
    }


def _lines(kind: str, names: PluginNames, folder: Path, texts: dict[str, str]) -> list[str]:
    told = [f"{names.distribution}: {KINDS[kind].noun} {names.short!r}"]
    told += [f"  {folder / path}" for path in texts]
    return [*told, f"Next: cd {os.fspath(folder)}, and do what README.md says."]
