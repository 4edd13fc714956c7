"""Background tasks on the in-memory store and on SQLite."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from lash_core.stores.memory import MemoryBackend
from lash_hookspecs.protocols.stores import StoreBackend
from lash_store_sql.sqlite import open_sqlite
from task_scene import Scene, Work


@pytest.fixture(params=["memory", "sqlite"])
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    """An empty store; at the end no host leaves an asyncio task behind."""
    backend: StoreBackend = MemoryBackend()
    if request.param == "sqlite":
        backend = await open_sqlite(f"sqlite:///{tmp_path}/tasks.db", True)
    before = asyncio.all_tasks()
    scene = Scene(backend)
    yield scene
    for host in scene.hosts:
        await host.close()
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    await backend.close()
    assert left == set()


@pytest.fixture
def work() -> Work:
    return Work()
