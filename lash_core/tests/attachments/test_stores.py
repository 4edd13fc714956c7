"""The stores of attachments: what is put can be got, by anybody, and nothing else is given for it."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from lash_core.attachments.cache import ByteCache
from lash_core.attachments.folder import FolderAttachments
from lash_core.attachments.session_store import SessionAttachments
from lash_core.stores.memory import MemoryBackend
from lash_hookspecs.errors import MissingAttachment, StoreUnavailable, UnreadableData
from lash_hookspecs.protocols.attachments import AttachmentStore
from lash_hookspecs.records.attachments import AttachmentRef
from pictures import PNG, png

Make = Callable[[Path], AttachmentStore]


def in_a_session(folder: Path) -> AttachmentStore:
    return SessionAttachments(MemoryBackend().session("s"), "s")


@pytest.fixture(params=[FolderAttachments, in_a_session], ids=["folder", "session"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> AttachmentStore:
    made: AttachmentStore = request.param(tmp_path / "files")
    assert isinstance(made, AttachmentStore)
    return made


def place(root: Path, ref: AttachmentRef) -> Path:
    return root / "sha256" / ref.id[:2] / ref.id


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if not path.is_dir()]


@pytest.mark.parametrize("data", [b"", b"x", PNG, bytes(1 << 20)], ids=["empty", "one byte", "picture", "a megabyte"])
async def test_what_was_put_can_be_got(store: AttachmentStore, data: bytes) -> None:
    ref = await store.put(data, name="photo.png")
    assert ref == AttachmentRef.of(data, name="photo.png")
    assert await store.get(ref) == data
    await store.close()
    await store.close()


async def test_what_was_never_put_is_missing(store: AttachmentStore) -> None:
    ref = AttachmentRef.of(b"never", name="never.txt")
    with pytest.raises(MissingAttachment) as caught:
        await store.get(ref)
    assert caught.value.attachment_id == ref.id
    assert str(caught.value).startswith("attachment never.txt (application/octet-stream, 5 bytes) is not in ")


async def test_a_name_or_type_of_its_own_makes_no_second_file(tmp_path: Path) -> None:
    store = FolderAttachments(tmp_path)
    first = await store.put(b"same", name="a.txt", media_type="text/plain")
    again = await store.put(b"same", name="../../b", media_type="text/csv")
    assert (first.id, first.name, again.name) == (again.id, "a.txt", "b")
    assert files(tmp_path) == [place(tmp_path, first)]


async def test_one_session_finds_what_another_one_of_the_store_has_put() -> None:
    backend = MemoryBackend()
    ref = await SessionAttachments(backend.session("a"), "a").put(PNG)
    assert await SessionAttachments(backend.session("b"), "b").get(ref) == PNG
    assert (await backend.stats()).blobs == 1


async def test_changed_bytes_are_told_and_mended_by_putting_them_again(tmp_path: Path) -> None:
    store = FolderAttachments(tmp_path)
    ref = await store.put(PNG, name="p.png")
    for changed in (PNG[:-1], PNG[:-1] + b"!", PNG + b"!", b""):
        place(tmp_path, ref).write_bytes(changed)
        with pytest.raises(UnreadableData) as caught:
            await store.get(ref)
        assert str(caught.value) == (
            f"attachment p.png (image/png, {len(PNG)} bytes) cannot be read: its bytes are not those of {ref.id}"
        )
        await store.put(PNG)
        assert await store.get(ref) == PNG


async def test_changed_bytes_in_a_sessions_store_are_told() -> None:
    backend = MemoryBackend()
    store = SessionAttachments(backend.session("s"), "s")
    ref = await store.put(PNG)
    backend.blobs[ref.id] = b"other"
    with pytest.raises(UnreadableData, match="its bytes are not those of"):
        await store.get(ref)


async def test_only_the_owner_may_read_what_is_kept(tmp_path: Path) -> None:
    ref = await FolderAttachments(tmp_path / "new" / "files").put(PNG)
    path = place(tmp_path / "new" / "files", ref)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in path.parents[:3]} == {0o700}


@pytest.mark.parametrize("step", ["sha256", "shelf", "file"])
async def test_no_link_below_the_root_is_followed(tmp_path: Path, step: str) -> None:
    root, outside = tmp_path / "files", tmp_path / "outside"
    store = FolderAttachments(root)
    ref = await store.put(PNG)
    target = {"sha256": root / "sha256", "shelf": place(root, ref).parent, "file": place(root, ref)}[step]
    target.rename(outside)
    target.symlink_to(outside)
    with pytest.raises(UnreadableData, match="a link or something else stands where the file should be"):
        await store.get(ref)
    before = files(outside) or outside.read_bytes()
    if step == "file":
        await store.put(PNG)  # the link itself is replaced
        assert await store.get(ref) == PNG
        assert not target.is_symlink()
    else:
        with pytest.raises(StoreUnavailable):
            await store.put(PNG)
    assert (files(outside) or outside.read_bytes()) == before


async def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "files").symlink_to("real")
    store = FolderAttachments(tmp_path / "files")
    ref = await store.put(PNG)
    assert place(tmp_path / "real", ref).read_bytes() == PNG


async def test_a_pipe_in_the_place_of_a_file_is_neither_read_nor_waited_for(tmp_path: Path) -> None:
    store = FolderAttachments(tmp_path)
    ref = await store.put(PNG)
    place(tmp_path, ref).unlink()
    os.mkfifo(place(tmp_path, ref))
    with pytest.raises(UnreadableData):
        await asyncio.wait_for(store.get(ref), 10)
    await asyncio.wait_for(store.put(PNG), 10)
    assert await store.get(ref) == PNG


@pytest.mark.parametrize("identity", ["../secret", "..", "/etc/passwd", "sha256", "a\0b", ""])
async def test_an_id_that_is_none_is_missing_and_leads_nowhere(tmp_path: Path, identity: str) -> None:
    (tmp_path / "secret").write_text("canary")
    store = FolderAttachments(tmp_path / "files")
    await store.put(PNG)
    ref = AttachmentRef.model_construct(id=identity, media_type="text/plain", size=1, name=None)
    with pytest.raises(MissingAttachment):
        await store.get(ref)


async def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FolderAttachments(tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    (tmp_path / "sha256" / AttachmentRef.of(PNG).id[:2]).mkdir(parents=True)
    with pytest.raises(StoreUnavailable) as caught:
        await store.put(PNG)
    assert str(caught.value) == f"attachments in {tmp_path}: No space left on device"
    assert caught.value.code == "store_full"
    assert files(tmp_path) == []


WRITER = """
import asyncio, sys
from pathlib import Path
from lash_core.attachments.folder import FolderAttachments

async def main(folder):
    store = FolderAttachments(folder)
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(40):
        data = bytes([number]) * 50_000
        ref = await store.put(data)
        assert await store.get(ref) == data

asyncio.run(main(Path(sys.argv[1])))
"""


def test_two_processes_may_write_the_same_files_at_once(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdin=-1, stdout=-1, stderr=-1, text=True)
        for _ in range(2)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:  # both are there before either begins
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    ended = [(writer.communicate(timeout=60)[1], writer.returncode)[::-1] for writer in writers]
    assert ended == [(0, ""), (0, "")]
    found = files(tmp_path)
    assert len(found) == 40
    assert {AttachmentRef.of(path.read_bytes()).id for path in found} == {path.name for path in found}


def test_the_cache_keeps_what_was_used_last_within_its_bytes() -> None:
    cache = ByteCache(10)
    cache.add("a", b"aaaa")
    cache.add("b", b"bbbb")
    assert cache.get("a") == b"aaaa"
    cache.add("c", b"cccc")
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (b"aaaa", None, b"cccc")
    cache.add("large", bytes(11))
    cache.add("a", b"aaaa")
    assert (cache.get("large"), cache.size) == (None, 8)


async def test_pictures_that_differ_in_a_pixel_are_two_files(store: AttachmentStore) -> None:
    refs = [await store.put(png(4, 4, shade)) for shade in range(5)]
    assert len({ref.id for ref in refs}) == 5
