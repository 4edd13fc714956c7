"""A folder that cannot be left.

Every path is walked one component at a time from an open descriptor of the root, never following a link by itself:
a link is read and its target walked in the same way, within the root. So neither ``..``, nor an absolute path, nor a
link, nor a link that is swapped in meanwhile leads outside. Names that begin with a dot are not there.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import fcntl
import os
import secrets
import stat
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import attrs
from lash_hookspecs.errors import ToolError
from lash_hookspecs.records.text import clean_text

__all__ = ["Entry", "Folder"]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

#: Links followed on the way to one file; more are taken for a loop.
_MAX_LINKS = 20


@attrs.frozen
class Entry:
    """A file or folder below the root.

    Attributes:
        path: Relative to the root, with ``/``.
        is_folder: Whether it is a folder.
        size: Bytes of a file; 0 for a folder.
    """

    path: str
    is_folder: bool
    size: int = 0


@attrs.frozen
class _Place:
    """Where a path led: an open folder and a name in it that is no link; the name is empty for the folder itself."""

    folder: int
    name: str
    path: str


class Folder:
    """The files below a root.

    Raises (every method):
        ToolError: The path leaves the root, is hidden, is not there or not of the right kind; the text tells the
            model what to do.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def entries(self, path: str) -> list[Entry]:
        """List a folder, folders first, each kind by name; links show as what they lead to inside the root."""
        with self._folder(path) as (descriptor, shown):
            found = [self._entry(descriptor, shown, name) for name in _names(descriptor)]
        return sorted((entry for entry in found if entry), key=lambda entry: (not entry.is_folder, entry.path))

    def walk(self, path: str = ".") -> Iterator[Entry]:
        """Give everything below a folder, by path, or the file itself; links are passed over.

        What a link leads to inside the root is met at its own place.
        """
        if not self.is_folder(path):
            yield self.entry(path)
            return
        pending = [path]
        while pending:
            try:
                children = self._children(pending.pop())
            except ToolError:  # removed or swapped meanwhile
                continue
            yield from (child for child in children if not child.is_folder)
            folders = [child for child in children if child.is_folder]
            yield from folders
            pending.extend(child.path for child in reversed(folders))

    def entry(self, path: str) -> Entry:
        """Tell what a path is."""
        with self._place(path) as place:
            if not place.name:
                return Entry(place.path or ".", True)
            status = _status(place)
            if stat.S_ISDIR(status.st_mode):
                return Entry(place.path, True)
            _require_regular(place.path, status)
            return Entry(place.path, False, status.st_size)

    def is_folder(self, path: str) -> bool:
        """Tell whether a path is a folder."""
        return self.entry(path).is_folder

    @contextlib.contextmanager
    def open(self, path: str) -> Iterator[BinaryIO]:
        """Open a regular file for reading; never blocks on a pipe or a device."""
        with self._place(path) as place:
            if not place.name or stat.S_ISDIR(_status(place).st_mode):
                raise ToolError(f"{place.path or '.'} is a folder; use list_files to see what is in it")
            status = _status(place)
            _require_regular(place.path, status)
            _refuse_in_use(place.path, status)
            descriptor = _open(place.name, _FILE, place.folder, place.path)
        with os.fdopen(descriptor, "rb") as file:
            _require_regular(place.path, os.fstat(file.fileno()))
            yield file

    def write(self, path: str, data: bytes) -> tuple[str, bool]:
        """Write a file as one step: a reader sees the old content or the new one; missing folders are made.

        Returns:
            The path as it is shown, and whether a file was replaced.
        """
        with self._place(path, make_folders=True) as place:
            if not place.name:
                raise ToolError(f"{place.path or '.'} is a folder; give the name of a file in it")
            mode = _mode_to_keep(place)
            with _wrapped(place.path):
                _replace(place, data, 0o666 if mode is None else mode, keep=mode is not None)
            return place.path, mode is not None

    def _entry(self, descriptor: int, folder: str, name: str) -> Entry | None:
        path = f"{folder}/{name}" if folder else name
        try:
            status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                return attrs.evolve(self.entry(path), path=path)
        except (OSError, ToolError):
            return None
        return _plain_entry(path, status)

    def _children(self, path: str) -> list[Entry]:
        with self._folder(path) as (descriptor, shown):
            found = []
            for name in _names(descriptor):
                try:
                    status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                except OSError:
                    continue
                entry = _plain_entry(f"{shown}/{name}" if shown else name, status)
                if entry:
                    found.append(entry)
        return sorted(found, key=lambda entry: entry.path)

    @contextlib.contextmanager
    def _folder(self, path: str) -> Iterator[tuple[int, str]]:
        with self._place(path) as place:
            if not place.name:
                yield place.folder, place.path
                return
            _status(place)
            try:
                descriptor = os.open(place.name, _DIRECTORY, dir_fd=place.folder)
            except NotADirectoryError:
                raise ToolError(f"{place.path} is a file, not a folder; use read_file to see it") from None
            except OSError as error:
                raise _refusal(place.path, error) from error
            try:
                yield descriptor, place.path
            finally:
                os.close(descriptor)

    @contextlib.contextmanager
    def _place(self, path: str, *, make_folders: bool = False) -> Iterator[_Place]:
        with contextlib.ExitStack() as stack:
            walk = _Walk(self.root, path, stack, make_folders)
            yield walk.run()


class _Walk:
    """One walk from the root to a path."""

    def __init__(self, root: Path, path: str, stack: contextlib.ExitStack, make_folders: bool) -> None:
        self.root = root
        self.asked = path
        self.stack = stack
        self.make_folders = make_folders
        self.links = 0
        self.pending = deque(self._parts(path))
        #: Open descriptors from the root down to where the walk is, and their names.
        self.descriptors: list[int] = []
        self.names: list[str] = []

    def run(self) -> _Place:
        try:
            self._push(os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), None)
        except OSError as error:
            raise ToolError(f"the folder of this session cannot be opened: {error.strerror}") from error
        while self.pending:
            name = self.pending.popleft()
            if name == "..":
                self._up()
            elif (link := self._link(name)) is not None:
                self._follow(link)
            elif self.pending:
                self._down(name)
            else:
                return _Place(self.descriptors[-1], name, "/".join([*self.names, name]))
        return _Place(self.descriptors[-1], "", "/".join(self.names))

    def _parts(self, path: str) -> list[str]:
        if "\0" in path:
            raise ToolError("a path cannot hold a NUL character")
        if path.startswith("/"):
            root = str(self.root).rstrip("/")
            if path != root and not path.startswith(f"{root}/"):
                raise self._outside()
            path = path[len(root) :]
        parts = [part for part in path.split("/") if part not in ("", ".")]
        for part in parts:
            if part.startswith(".") and part != "..":
                raise ToolError(f"{self.asked} is hidden: names that begin with a dot are not shown, read or written")
        return parts

    def _outside(self) -> ToolError:
        return ToolError(
            f"{self.asked} is outside of the session's folder; give a path relative to it, such as docs/guide.md"
        )

    def _push(self, descriptor: int, name: str | None) -> None:
        self.stack.callback(os.close, descriptor)
        self.descriptors.append(descriptor)
        if name is not None:
            self.names.append(name)

    def _up(self) -> None:
        if not self.names:
            raise self._outside()
        self.descriptors.pop()
        self.names.pop()

    def _link(self, name: str) -> str | None:
        try:
            return os.readlink(name, dir_fd=self.descriptors[-1])
        except OSError:  # no link, or not there: opening it will tell
            return None

    def _follow(self, target: str) -> None:
        self.links += 1
        if self.links > _MAX_LINKS:
            raise ToolError(f"{self.asked} goes through too many links")
        if target.startswith("/"):
            del self.descriptors[1:]
            self.names.clear()
        self.pending.extendleft(reversed(self._parts(target)))

    def _down(self, name: str) -> None:
        shown = "/".join([*self.names, name])
        if self.make_folders:
            with contextlib.suppress(FileExistsError), _wrapped(shown):
                os.mkdir(name, dir_fd=self.descriptors[-1])
        self._push(_open(name, _DIRECTORY, self.descriptors[-1], shown), name)


def _names(descriptor: int) -> list[str]:
    return [name for name in os.listdir(descriptor) if not name.startswith(".")]


def _plain_entry(path: str, status: os.stat_result) -> Entry | None:
    if stat.S_ISDIR(status.st_mode):
        return Entry(path, True)
    return Entry(path, False, status.st_size) if stat.S_ISREG(status.st_mode) else None


def _open(name: str, flags: int, folder: int, shown: str) -> int:
    try:
        return os.open(name, flags, dir_fd=folder)
    except OSError as error:
        raise _missing(name, folder, shown) if error.errno == errno.ENOENT else _refusal(shown, error) from error


def _status(place: _Place) -> os.stat_result:
    try:
        return os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)
    except FileNotFoundError:
        raise _missing(place.name, place.folder, place.path) from None
    except OSError as error:
        raise _refusal(place.path, error) from error


def _require_regular(shown: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ToolError(f"{shown} is not a regular file (it is a pipe, a socket, a device or a link); it is not opened")


def _refuse_in_use(shown: str, status: os.stat_result) -> None:
    """Refuse a file that this process itself has open for writing, such as the session's own database.

    Closing a file drops every POSIX lock that the process has on it, whoever took them: to read a database here would
    let another process write into it in the middle of our own commit.
    """
    if (status.st_dev, status.st_ino) in _written():
        raise ToolError(f"{shown} is in use by this process itself (the session's store, perhaps); it is not opened")


def _written() -> set[tuple[int, int]]:
    """The files that are open for writing, but for the standard streams."""
    found = set()
    with contextlib.suppress(FileNotFoundError):  # no such folder on this system
        for descriptor in [int(each.name) for each in Path("/dev/fd").iterdir()]:
            with contextlib.suppress(OSError):  # closed meanwhile
                if descriptor > 2 and fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY:
                    status = os.fstat(descriptor)
                    found.add((status.st_dev, status.st_ino))
    return found


def _missing(name: str, folder: int, shown: str) -> ToolError:
    near = difflib.get_close_matches(name, _names(folder), n=1)
    hint = f"did you mean {clean_text(near[0])}?" if near else "use find_files or list_files to see what there is"
    return ToolError(f"{shown} does not exist; {hint}")


def _refusal(shown: str, error: OSError) -> ToolError:
    if error.errno == errno.ENOTDIR:
        return ToolError(f"{shown} is not a folder")
    return ToolError(f"{shown} cannot be opened: {error.strerror}")


@contextlib.contextmanager
def _wrapped(shown: str) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        raise ToolError(f"{shown} cannot be written: {error.strerror}") from error


def _mode_to_keep(place: _Place) -> int | None:
    try:
        status = os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)
    except OSError:
        return None
    if stat.S_ISDIR(status.st_mode):
        raise ToolError(f"{place.path} is a folder; give the name of a file in it")
    _require_regular(place.path, status)
    _refuse_in_use(place.path, status)
    return stat.S_IMODE(status.st_mode) & 0o777


def _replace(place: _Place, data: bytes, mode: int, *, keep: bool) -> None:
    temporary = f".lash-{secrets.token_hex(8)}"
    descriptor = os.open(temporary, _NEW_FILE, mode, dir_fd=place.folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if keep:
                os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, place.name, src_dir_fd=place.folder, dst_dir_fd=place.folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=place.folder)
        raise
