"""The spec gate: what the contract says now is what its snapshot says, and what was published stays as it was."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs
from lash_hookspecs.version import HOOKSPEC_API

from tests.specs.changes import Change, changes, next_version
from tests.specs.describe import Entry, described, parsed, written

__all__ = ["Snapshot", "problems", "publish", "snapshots", "write_snapshot"]

ROOT = Path(__file__).parents[2]
FOLDER = Path("hookspecs/api")

_HEAD = """\
# The hook API {version}, line by line: each hook, and what each __all__ of lash_hookspecs names.
# `make specs` writes this file; nobody edits it. docs/promises.md says what may change in it, and when.
published: {published}

"""
_NO = "no"


@attrs.frozen
class Snapshot:
    """The hook API as it was written down.

    Attributes:
        version: ``major.minor``.
        published: Whether plugins may have been written against it, so that it stays as it is.
        whole: Whether a published one is as it was on that day.
        entries: What it says.
    """

    version: str
    published: bool
    whole: bool
    entries: Mapping[str, Entry]


def snapshots(root: Path = ROOT) -> list[Snapshot]:
    """Read all snapshots, the oldest first."""
    paths = (root / FOLDER).glob("*.txt")
    return [_read(path) for path in sorted(paths, key=lambda path: _numbers(path.stem))]


def problems(root: Path = ROOT, *, version: str = HOOKSPEC_API, now: Mapping[str, Entry] | None = None) -> list[str]:
    """Tell what is wrong with the contract and its snapshots; nothing when nothing is.

    Args:
        root: The checkout.
        version: The hook API version that the sources state.
        now: What the sources say.
    """
    now = described() if now is None else now
    found = snapshots(root)
    told = [_edited(each) for each in found if not each.whole]
    published = [each for each in found if each.published]
    own = next((each for each in found if each.version == version), None)
    if published:
        told += _against_published(published[-1], now, version)
    if own is None:
        told.append(f"{FOLDER}/{version}.txt is not there: run `make specs` and commit what it writes")
    elif not own.published and (differ := changes(own.entries, now)):
        told.append(
            f"the hook API is not what {FOLDER}/{version}.txt says. {version} is not published, so it may change: "
            f"tell authors in a fragment changelog.d/+NAME.hook-api.md, run `make specs` and commit what it writes."
            f"\n{_lines(differ)}"
        )
    if not _is_announced(root, version):
        told.append(
            f"no fragment changelog.d/+NAME.hook-api.md says `Hook API {version}`: tell authors what the version brings"
        )
    return told


def write_snapshot(root: Path = ROOT, *, version: str = HOOKSPEC_API, now: Mapping[str, Entry] | None = None) -> None:
    """Write the snapshot of this version, unless it is published: that one stays."""
    path = root / FOLDER / f"{version}.txt"
    if not (path.exists() and _read(path).published):
        body = written((described() if now is None else now).values())
        path.write_text(_HEAD.format(version=version, published=_NO) + body, encoding="utf-8")


def publish(root: Path = ROOT, *, version: str = HOOKSPEC_API) -> None:
    """Declare a version published: from now on its snapshot stays as it is."""
    path = root / FOLDER / f"{version}.txt"
    body = _body(path.read_text(encoding="utf-8"))
    path.write_text(_HEAD.format(version=version, published=f"yes, sha256 {_digest(body)}") + body, encoding="utf-8")


def _against_published(last: Snapshot, now: Mapping[str, Entry], version: str) -> list[str]:
    differ = changes(last.entries, now)
    needed = next_version(last.version, differ)
    if _numbers(version) >= _numbers(needed):
        return []
    return [
        f"hook API {last.version} is published, and the contract is not what {FOLDER}/{last.version}.txt says. Take "
        f'the change back, or bring it as {needed}: HOOKSPEC_API = "{needed}" in lash_hookspecs/version.py, a fragment '
        f"changelog.d/+NAME.hook-api.md that says `Hook API {needed}`, a plugin tests/frozen/api_"
        f"{needed.replace('.', '_')}, then `make specs`.\n{_lines(differ)}"
    ]


def _edited(snapshot: Snapshot) -> str:
    return (
        f"{FOLDER}/{snapshot.version}.txt was edited after it was published: restore it with `git checkout` from the "
        "commit that published it"
    )


def _is_announced(root: Path, version: str) -> bool:
    news = [*(root / "changelog.d").glob("*.hook-api.md"), root / "CHANGELOG.md"]
    words = re.compile(rf"Hook API {re.escape(version)}(?!\d)")
    return any(words.search(path.read_text(encoding="utf-8")) for path in news if path.exists())


def _lines(differ: Iterable[Change]) -> str:
    return "\n".join(f"  {change}" for change in differ)


def _read(path: Path) -> Snapshot:
    text = path.read_text(encoding="utf-8")
    (state,) = [line.removeprefix("published: ") for line in text.splitlines() if line.startswith("published: ")]
    body = _body(text)
    return Snapshot(path.stem, state != _NO, state in (_NO, f"yes, sha256 {_digest(body)}"), parsed(body))


def _body(text: str) -> str:
    return text.partition("\n\n")[2]


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
