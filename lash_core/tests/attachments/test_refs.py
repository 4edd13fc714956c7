"""What a reference says of a file comes from its bytes."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lash_hookspecs.errors import InvalidInput
from lash_hookspecs.protocols.tools import Attachment
from lash_hookspecs.records.attachments import AttachmentData, AttachmentRef, is_text, takes
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.models import ModelRequest, UserTurn
from lash_hookspecs.records.payloads import AttachmentPart, Message, TextPart, ToolInvocation, decode_payload, refs_of
from lash_hookspecs.records.store import blob_ref
from lash_hookspecs.records.tools import ToolResult
from pictures import BMP, GIF, JPEG, PDF, PNG, WEBP_LOSSLESS, WEBP_LOSSY, WEBP_WIDE
from pydantic import ValidationError


@given(st.binary(max_size=300), st.none() | st.text(max_size=300))
def test_identity_and_length_are_those_of_the_bytes_whatever_the_name(data: bytes, name: str | None) -> None:
    ref = AttachmentRef.of(data, name=name)
    assert (ref.id, ref.size) == (hashlib.sha256(data).hexdigest(), len(data))
    assert ref.id == blob_ref(data)
    assert AttachmentRef.from_bytes(ref.to_bytes()) == ref
    assert ref.name is None or not {"/", "\\", "\0", "\n"} & set(ref.name)


@pytest.mark.parametrize(
    ("data", "media_type", "size"),
    [
        (PNG, "image/png", (3, 2)),
        (JPEG, "image/jpeg", (19, 17)),
        (GIF, "image/gif", (7, 5)),
        (BMP, "image/bmp", (11, 13)),
        (WEBP_LOSSY, "image/webp", (23, 29)),
        (WEBP_LOSSLESS, "image/webp", (31, 37)),
        (WEBP_WIDE, "image/webp", (41, 43)),
        (PDF, "application/pdf", (None, None)),
    ],
    ids=["png", "jpeg", "gif", "bmp", "webp, lossy", "webp, lossless", "webp, extended", "pdf"],
)
def test_the_media_type_and_the_size_of_an_image_are_seen_in_the_bytes(
    data: bytes, media_type: str, size: tuple[int | None, int | None]
) -> None:
    ref = AttachmentRef.of(data, media_type="text/plain")
    assert (ref.media_type, ref.width, ref.height) == (media_type, *size)


@given(st.sampled_from([PNG, JPEG, GIF, BMP, WEBP_LOSSY, WEBP_LOSSLESS, WEBP_WIDE]), st.integers(0, 60))
def test_an_image_that_is_cut_off_is_a_file_all_the_same(data: bytes, length: int) -> None:
    ref = AttachmentRef.of(data[:length])
    assert (ref.width is None) == (ref.height is None)


@pytest.mark.parametrize(
    ("given_type", "told"),
    [
        (None, "application/octet-stream"),
        ("text/csv", "text/csv"),
        ("Text/HTML; charset=utf-8", "text/html"),
        ("image/png", "application/octet-stream"),
        ("application/pdf", "application/octet-stream"),
    ],
    ids=["none", "given", "with a parameter", "said to be an image", "said to be a PDF"],
)
def test_a_given_media_type_counts_where_the_bytes_do_not_show_it(given_type: str | None, told: str) -> None:
    assert AttachmentRef.of(b"BM, a text that is no bitmap", media_type=given_type).media_type == told


@pytest.mark.parametrize("wrong", ["png", "image/", "a b/c", "text/css\nx", "x" * 200 + "/y", ""])
def test_what_is_no_media_type_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidInput, match="is no media type; write one such as 'text/plain', or none"):
        AttachmentRef.of(b"x", media_type=wrong)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ann\\photo.png", "photo.png"),
        ("..", None),
        ("/", None),
        ("a\x1b[31m\n\u202eb", "a[31mb"),
        ("\ud800.png", "\ufffd.png"),
        ("n" * 300, "n" * 200),
        ("  ", None),
    ],
)
def test_a_name_is_for_people_and_never_a_path(name: str, kept: str | None) -> None:
    assert AttachmentRef.of(b"x", name=name).name == kept


@pytest.mark.parametrize("identity", ["", "AB" * 32, "../" + "0" * 61, "0" * 63, "0" * 64 + "\n"])
def test_an_id_is_nothing_but_a_digest(identity: str) -> None:
    with pytest.raises(ValidationError):
        AttachmentRef(id=identity, size=1)


@pytest.mark.parametrize(
    ("data", "name", "told"),
    [
        (b"plain words", None, "text/plain"),
        (b"a,b\n1,2\n", "Sales.CSV", "text/csv"),
        (b"# Title", "notes.md", "text/markdown"),
        (b"{}", "x.json", "application/json"),
        (b"\xff\xfe\x00", "x.txt", "application/octet-stream"),
        (b"a\0b", "x.txt", "application/octet-stream"),
        (PNG, "x.txt", "image/png"),
    ],
)
def test_text_is_seen_where_nobody_said_what_a_file_is(data: bytes, name: str | None, told: str) -> None:
    assert Attachment(data, name=name).ref().media_type == told


def test_a_file_says_what_it_is_without_its_bytes() -> None:
    assert AttachmentRef.of(b"x", name="one.bin").describe() == "one.bin (application/octet-stream, 1 byte)"
    assert Attachment(bytes(1234)).ref().describe() == "ad47fd9e8715 (application/octet-stream, 1,234 bytes)"
    assert repr(Attachment(b"secret", name="n")) == "Attachment(data=<6 bytes>, media_type=None, name='n')"
    data = AttachmentData(ref=AttachmentRef.of(PNG), data=PNG)
    assert "IHDR" not in repr(data)


def test_a_request_with_a_file_is_data() -> None:
    data = AttachmentData(ref=AttachmentRef.of(PNG), data=PNG)
    request = ModelRequest(model="m", messages=(UserTurn(text="see", attachments=(data,)),))
    assert b'"data":"iVBORw0KGgo' in request.to_bytes()
    assert ModelRequest.from_bytes(request.to_bytes()) == request


def test_a_node_refers_to_the_files_of_its_session_and_to_no_others() -> None:
    ours, theirs = AttachmentRef.of(b"ours"), AttachmentRef.of(b"theirs")
    message = Message(
        role="user",
        parts=(TextPart(text="x"), AttachmentPart(ref=ours), AttachmentPart(ref=theirs, stored="external")),
    )
    assert refs_of(message) == (ours.id,)
    assert decode_payload(Node("n", None, 1, "message", message.to_bytes())) == message
    result = ToolResult(call_id="c", tool="t", spilled=blob_ref(b"long"), attachments=(ours, ours, theirs))
    assert refs_of(ToolInvocation(result=result)) == (blob_ref(b"long"), ours.id, theirs.id)


def test_an_empty_prefix_takes_everything_and_no_prefix_nothing() -> None:
    assert takes(("",), "image/png")
    assert not takes((), "image/png")
    assert takes(("text/", "image/png"), "text/csv")
    assert is_text("application/problem+json")
    assert not is_text("image/png")
