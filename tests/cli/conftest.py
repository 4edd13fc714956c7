"""The `lash` command in this process, with plugins of the tests' own.

The store keeps sessions in memory between two commands; the provider answers what a test puts into `ANSWERS`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import io
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import attrs
import pytest
from lash_core.cli.main import main

PACKAGE = "cli_dummies"

MODULE = """
from pathlib import Path

import attrs

from lash_core.stores.memory import MemoryBackend
from lash_hookspecs.markers import implements
from lash_hookspecs.specs.offers import (
    ModeOffer, ProviderOffer, StoreOffer, lash_offer_modes, lash_offer_providers, lash_offer_stores,
)
from lash_hookspecs.errors import UnknownName
from lash_hookspecs.records.models import ModelInfo, ModelReply, ReplyChunk, TextChunk
from lash_hookspecs.records.payloads import TextPart
from lash_hookspecs.records.usage import TokenUsage

ANSWERS, STORES, OPENED = [], {}, []

class Kept(MemoryBackend):
    async def close(self):
        pass

class Durable(Kept):
    @property
    def capabilities(self):
        return attrs.evolve(super().capabilities, durability="process")

async def open_kept(url, create):
    OPENED.append((url, create))
    if url.startswith("sqlite:///") and create:
        Path(url.removeprefix("sqlite:///")).write_text("kept")
    return STORES.setdefault(url, Durable() if url.startswith("durable:") else Kept())

class Scripted:
    async def model_info(self, model):
        if model == "unknown":
            raise UnknownName("provider 'scripted' has no model 'unknown'")
        return ModelInfo(notice="a notice \\x1b[31m of the model")

    async def stream(self, request):
        answer = ANSWERS.pop(0) if ANSWERS else "an answer"
        if callable(answer):
            async for chunk in answer(request):
                yield chunk
            return
        if isinstance(answer, Exception):
            yield TextChunk(text="half of ")
            raise answer
        for word in answer.split(" "):
            yield TextChunk(text=word)
        usage = TokenUsage(input_tokens=3, output_tokens=2)
        yield ReplyChunk(reply=ModelReply(parts=(TextPart(text=answer),), usage=usage))

    async def close(self):
        pass

@implements(lash_offer_stores)
def stores(context):
    return [StoreOffer(schemes=("kept", "durable", "sqlite"), open=open_kept)]

@implements(lash_offer_providers)
def providers(context):
    return [ProviderOffer(names=("offline", "scripted"), open=lambda name: Scripted())]
"""

MANIFEST = """
requires_api = "0.1"
hooks = ["lash_offer_stores", "lash_offer_providers"]
[offers]
stores = ["kept", "durable", "sqlite"]
providers = ["offline", "scripted"]
"""


@attrs.frozen
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str


Lash = Callable[..., Outcome]


@attrs.frozen
class Install:
    """Installs a distribution of one plugin, both of one name, beside the dummies; gives the name of its package."""

    site: Path

    def __call__(self, name: str, module: str, manifest: str | None) -> str:
        package = f"{name.replace('-', '_')}_dummy"
        _install(self.site, name, f"{name} = {package}\n")
        (self.site / package).mkdir()
        (self.site / package / "__init__.py").write_text(module)
        if manifest is not None:
            (self.site / package / "lash-plugin.toml").write_text(manifest)
        importlib.invalidate_caches()
        return package


def _install(folder: Path, distribution: str, entries: str) -> None:
    info = folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[lash.plugins]\n{entries}")


@pytest.fixture
def dummies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The tests' own plugins, and no others but the standard mode and compaction."""
    site = tmp_path / "site"
    _install(site, "lash-dummies", f"dummies = {PACKAGE}\n")
    _install(
        site, "lash-basics", "standard-mode = lash_basics.mode_plugin\ncompaction = lash_basics.compaction_plugin\n"
    )
    package = site / PACKAGE
    package.mkdir()
    (package / "__init__.py").write_text(MODULE)
    (package / "lash-plugin.toml").write_text(MANIFEST)
    monkeypatch.syspath_prepend(str(site))
    everything = importlib.metadata.distributions
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: everything(path=[str(site)]))
    importlib.invalidate_caches()
    yield importlib.import_module(PACKAGE)
    sys.modules.pop(PACKAGE, None)


@pytest.fixture
def lash(
    dummies: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Lash]:
    """Run the command in an empty folder; what it printed, and its exit code."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("LASH_STORE", "LASH_TENANT", "LASH_MODEL", "LASH_MODE", "LASH_ROOT"):
        monkeypatch.delenv(name, raising=False)
    logger = logging.getLogger("lash")
    before = (logger.handlers, logger.propagate)

    def call(*arguments: str, stdin: str = "") -> Outcome:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        code = main(arguments)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    yield call
    logger.handlers, logger.propagate = before


@pytest.fixture
def install(tmp_path: Path, lash: Lash) -> Iterator[Install]:
    """Install plugins that are forgotten after the test."""
    before = set(sys.modules)
    yield Install(tmp_path / "site")
    for name in {name for name in sys.modules if name.partition(".")[0].endswith("_dummy")} - before:
        del sys.modules[name]
