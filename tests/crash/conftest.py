"""A session that crashes: its server, its store, its ledger, and the processes that work on it."""

from __future__ import annotations

import importlib.util
import itertools
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from crash_lives import Life, Nursery, until
from crash_oracle import Database, check_ledger, check_receipts, check_requests, check_usage

SESSION = "s1"
KEY = "sk-crash-0123456789"

if "strict_server" not in sys.modules:  # the provider's tests import it in the same way
    spec = importlib.util.spec_from_file_location("strict_server", Path(__file__).parents[1] / "strict_server.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules["strict_server"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["strict_server"])

if TYPE_CHECKING:
    from strict_server import Reply, StrictServer


class Model:
    """Answers as `default_reply` does; names its n-th answer and reports 2**n tokens for it.

    Attributes:
        hold: Answer → chunk behind which it stops for ever; the file of `Scene.held` tells.
    """

    def __init__(self, held: Path) -> None:
        self.hold: dict[int, int] = {}
        self._held = held
        self._numbers = itertools.count()

    def __call__(self, body: dict[str, Any]) -> Reply:
        from strict_server import default_reply

        number = next(self._numbers)
        reply = default_reply(body)
        calls = [replace(call, id=f"call-{number}-{place}") for place, call in enumerate(reply.tool_calls)]
        text = () if calls else ("answer ", f"#{number}", "# ", *(word + " " for word in reply.text[0].split()))
        usage = {"prompt_tokens": 2**number, "completion_tokens": 1, "total_tokens": 2**number + 1}
        reply = replace(reply, text=text, tool_calls=calls, usage=usage)
        if number in self.hold:
            chunk = self.hold[number]
            never = self._held.with_name("never")
            reply = replace(reply, touch={chunk: self._held}, wait_for={chunk + 1: never})
        return reply


class Scene:
    """One session, and everything outside of it that can tell what happened."""

    def __init__(self, folder: Path, nursery: Nursery, server: StrictServer) -> None:
        self.folder = folder
        self.server = server
        self.held = folder / "held"
        self.gate = folder / "gate"
        self.database = Database(folder / "sessions.db")
        self.ledger = folder / "ledger"
        self.model = server.respond = Model(self.held)
        self.lives: list[Life] = []
        self.crashes = 0
        self.environment = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": KEY}
        self._nursery = nursery

    @property
    def db(self) -> Path:
        return self.folder / "sessions.db"

    def bear(self, *do: tuple[str, ...], session: str = SESSION, **order: Any) -> Life:
        """Start a worker that does these steps."""
        life = self._nursery.bear(
            self.folder,
            db=str(self.db),
            ledger=str(self.ledger),
            env=self.environment,
            session=session,
            do=do,
            **order,
        )
        self.lives.append(life)
        return life

    def work(self, *do: tuple[str, ...], **order: Any) -> Life:
        """Start a worker and wait until it has done it all."""
        life = self.bear(*do, **order)
        assert life.end() == 0, life.lines[-1]
        return life

    def kill_at(self, mark: str, *do: tuple[str, ...], **order: Any) -> Life:
        """Start a worker and kill it where it stands still; behind its mark came at most other calls' results."""
        life = self.bear(*do, **order)
        life.told(at=mark)
        life.kill()
        *_, place = (place for place, line in enumerate(life.lines) if "at" in line)
        assert life.lines[place]["at"] == mark
        assert not any("receipt" in line or "done" in line or "error" in line for line in life.lines[place:])
        self.crashes += 1
        return life

    def kill_in_stream(self, answer: int, chunk: int, *do: tuple[str, ...], **order: Any) -> Life:
        """Start a worker and kill it when that chunk of that answer has been sent and no other will be."""
        self.model.hold[answer] = chunk
        life = self.bear(*do, **order)
        until(self.held.exists, "the chunk")
        self.held.unlink()
        life.kill()
        asked = self.server.requests[-1]
        assert asked.ended.wait(30)
        assert asked.outcome == "client_gone"
        self.crashes += 1
        return life

    def judge(self, session: str = SESSION) -> int:
        """Ask the oracle; give the number of unknown model calls."""
        database, requests = self.database, self.server.requests
        told = [line for life in self.lives for line in life.lines]
        receipts = check_receipts(database, session, told)
        assert 0 < receipts <= len(database.records(session)) <= receipts + self.crashes
        path = database.path(session)
        check_requests(self.server.bodies, [each.status for each in requests], path)
        check_ledger(self.ledger, database.results(session))
        state = database.state(session)
        assert state is not None
        assert state.get("open_turn") is None
        return check_usage(database, session, len(requests), self.crashes)


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Where workers come from."""
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture
def scene(tmp_path: Path, nursery: Nursery) -> Iterator[Scene]:
    """A session in an empty folder."""
    from strict_server import StrictServer

    with StrictServer(key=KEY) as server:
        scene = Scene(tmp_path, nursery, server)
        yield scene
        for life in scene.lives:
            if life.status is None:
                os.kill(life.pid, signal.SIGCONT)
            life.close()
