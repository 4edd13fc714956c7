"""Folders for the end-to-end tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from lash_process import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """An empty folder to work in; what is beside it belongs to the test as well."""
    path = tmp_path / "work"
    path.mkdir()
    return Folder(path)
