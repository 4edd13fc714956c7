"""The process behind a `Nursery`: ``python -m lash_conformance.worker FD MODULE FILE NAME``.

It reads orders from its socket, a JSON object a line. ``{"do": …}`` comes with two file descriptors, forks a worker and
answers its pid; ``{"wait": pid}`` answers how it ended.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import resource
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

from lash_hookspecs.errors import HeadRevisionConflict, LashError, StoreUnavailable
from lash_hookspecs.protocols.stores import StoreBackend
from lash_hookspecs.records.store import Head, StreamEntry, Writer

from lash_conformance.build import Author, chain, holder
from lash_conformance.deeds import INCARNATION, OPERATIONS
from lash_conformance.place import Opener

Order = dict[str, Any]

#: Seconds after which a worker that a test forgot ends by itself.
LIFETIME = 300


def say(**line: Any) -> None:
    """Write one line, whole."""
    os.write(1, json.dumps(line).encode() + b"\n")


def wait() -> None:
    """Stand still until the test says to go on."""
    os.read(0, 1)


async def _follow(author: Author) -> None:
    head = await author.store.head()
    if isinstance(head, Head):
        author.revision, author.leaf = head.revision, head.leaf


async def race(backend: StoreBackend, order: Order) -> None:
    """Commit to one session at whatever revision is found there, as often as the order says."""
    author = Author(backend, order["session"])
    await author.store.head()
    say(ready=True)
    wait()
    for _ in range(order["attempts"]):
        await _follow(author)
        following = author.next(chain(2, author.leaf))
        try:
            receipt = await author.store.commit(following)
        except HeadRevisionConflict:
            say(conflict=following.commit_id)
        else:
            say(
                receipt=receipt.commit_id,
                revision=receipt.revision,
                digest=receipt.digest,
                nodes=[each.node_id for each in following.nodes],
            )


async def write(backend: StoreBackend, order: Order) -> None:
    """Commit to a session of its own, and say each receipt, until somebody ends it or ``count`` is reached."""
    author = Author(backend, order["session"])
    await _follow(author)
    say(ready=True)
    for _ in range(order.get("count", 1_000_000)):
        following = author.next(chain(3, author.leaf))
        say(sent=following.commit_id)
        try:
            receipt = await author.store.commit(following)
        except LashError as error:
            say(refused=type(error).__name__, typed=isinstance(error, StoreUnavailable))
            return
        author.revision, author.leaf = receipt.revision, following.leaf
        say(receipt=receipt.commit_id, revision=receipt.revision, digest=receipt.digest)


async def hold(backend: StoreBackend, order: Order) -> None:
    """Take the lease, commit, stand still, and then try to commit and to append as if nothing had happened."""
    store: Any = backend.session(order["session"])
    lease = await store.take_lease(holder("zombie", "zombie"), order["ttl"])
    author = Author(backend, order["session"], writer=Writer(INCARNATION, lease.epoch))
    await author.turn()
    say(epoch=lease.epoch)
    wait()
    attempts: list[Awaitable[Any]] = [
        author.turn(),
        author.store.append("inbox", [StreamEntry("late", b"")], writer=author.writer),
        store.renew_lease(lease, order["ttl"]),
    ]
    for attempt in attempts:
        try:
            await attempt
        except LashError as error:
            say(refused=type(error).__name__)
        else:
            say(refused=None)


async def operate(backend: StoreBackend, order: Order) -> None:
    """Do one operation; the place where it dies is in the order."""
    say(ready=True)
    await OPERATIONS[order["operation"]].do(Author(backend, order["session"]))


async def fill(backend: StoreBackend, order: Order) -> None:
    """Commit with a limit on the size of files until it is refused; say what is stored; make room; go on."""
    author = Author(backend, order["session"])
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (order["limit"], hard))
    for _ in range(200):
        following = author.next(chain(1, author.leaf, payload=b"x" * 20_000))
        try:
            receipt = await author.store.commit(following)
        except LashError as error:
            say(refused=type(error).__name__, typed=isinstance(error, StoreUnavailable))
            break
        author.revision, author.leaf = receipt.revision, following.leaf
    say(full=author.revision, leaf=author.leaf)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    author.revision = (await author.store.commit(following)).revision
    author.leaf = following.leaf
    await author.turn()
    say(revision=author.revision, leaf=author.leaf)


async def read_only(backend: StoreBackend, order: Order) -> None:
    """Read a session, and try to write it."""
    author = Author(backend, order["session"])
    await _follow(author)
    say(revision=author.revision, nodes=len(await author.store.graph()))
    try:
        await author.turn()
    except LashError as error:
        say(refused=type(error).__name__, typed=isinstance(error, StoreUnavailable))
    else:
        say(refused=None)


def obey_modes() -> None:
    """Give up what lets root write where no mode allows it; only Linux knows how.

    The header of ``capset`` and the numbers are those of linux/capability.h: version 3, the calling thread, and the
    capabilities DAC_OVERRIDE, DAC_READ_SEARCH and FOWNER left out.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = struct.pack("Ii", 0x20080522, 0), ctypes.create_string_buffer(24)
    libc.capget(header, data)
    effective, *others = struct.unpack("6I", data.raw)
    if libc.capset(header, struct.pack("6I", effective & ~0b1110, *others)) != 0:
        raise OSError(ctypes.get_errno(), "capset failed")


DEEDS: dict[str, Callable[[StoreBackend, Order], Awaitable[None]]] = {
    "fill": fill,
    "hold": hold,
    "operate": operate,
    "race": race,
    "read_only": read_only,
    "write": write,
}


def crash_point(number: int) -> Callable[[str], None]:
    """Give what the store calls between its steps: the call of this number is the last."""
    count = 0

    def at(step: str) -> None:
        nonlocal count
        count += 1
        if count > number:
            say(died_at=step)
            os.kill(os.getpid(), signal.SIGKILL)

    return at


async def _work(opener: Opener, order: Order) -> None:
    seams = {"crash_point": crash_point(order["die_at"])} if "die_at" in order else {}
    try:
        backend = await opener.function(order["url"], order.get("create", False), **seams)
    except LashError as error:
        say(refused=type(error).__name__, typed=isinstance(error, StoreUnavailable), opening=True)
        return
    await DEEDS[order["do"]](backend, order)
    say(done=True)
    await backend.close()


def _child(opener: Opener, order: Order, fds: list[int]) -> None:
    code = 1
    try:
        signal.alarm(LIFETIME)
        os.dup2(fds[0], 1)
        os.dup2(fds[1], 0)
        if order["do"] == "read_only" and os.geteuid() == 0:
            obey_modes()
        asyncio.run(_work(opener, order))
        code = 0
    except BaseException as error:  # noqa: BLE001  whatever it is, the test shall see it
        traceback.print_exc()
        say(broken=f"{type(error).__name__}: {error}")
    finally:
        os._exit(code)


def main() -> None:
    """Serve until the socket closes."""
    fd, module, file, name = sys.argv[1:]
    orders = socket.socket(fileno=int(fd))
    opener = Opener.find(module, file, name)
    while True:
        line, fds, _, _ = socket.recv_fds(orders, 1 << 20, 2)
        if not line:
            return
        order = json.loads(line)
        if "wait" in order:
            answer = {"status": os.waitpid(order["wait"], 0)[1]}
        else:
            pid = os.fork()
            if pid == 0:
                orders.close()
                _child(opener, order, fds)
            answer = {"pid": pid}
        for each in fds:
            os.close(each)
        orders.sendall(json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    main()
