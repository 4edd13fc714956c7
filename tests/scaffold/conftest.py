"""What one run of the tests makes once: the project's wheels, and a folder of what others made."""

from __future__ import annotations

from pathlib import Path

import pytest
from fresh_environment import FreshEnvironment, build_wheels, link_third_parties


@pytest.fixture(scope="session")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheels of the project."""
    wheels = tmp_path_factory.mktemp("wheels")
    build_wheels(wheels)
    return wheels


@pytest.fixture(scope="session")
def third_parties(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is installed here and is none of the project's."""
    folder = tmp_path_factory.mktemp("others") / "site"
    link_third_parties(folder)
    return folder


@pytest.fixture
def author(wheelhouse: Path, third_parties: Path, tmp_path: Path) -> FreshEnvironment:
    """An environment where nothing of the project is installed yet."""
    return FreshEnvironment.make(tmp_path / "environment", wheelhouse, third_parties)
