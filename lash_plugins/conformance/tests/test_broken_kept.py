"""The kit is right about stores that keep their history wrongly: each fails just the test of what it does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lash_plugins.conformance.tests.running import failed, run_kit

pytest.importorskip("lash_core", reason="they are made of the store in memory")

from lash_plugins.conformance.tests import broken_kept

#: Tests of retention that are near to what its broken stores do.
NEAR = "S8 and (with_forks or gc_ or vacuum or beside_writers or expires)"


@pytest.mark.parametrize("words", [NEAR, pytest.param("S8", marks=pytest.mark.full)])
def test_a_store_that_keeps_its_history_wrongly_fails_just_that_test(words: str, tmp_path: Path) -> None:
    names = list(broken_kept.FAILS)
    stores = run_kit({"broken_kept": names}, tmp_path, words=words)["stores"]
    told = {str(store["store"]).rpartition("::")[2]: failed(store) for store in stores}
    print(json.dumps(told, indent=1))
    for name, sentence in broken_kept.FAILS.items():
        assert list(told[name]) == ["S8"]
        assert {each.partition(":")[0].partition("[")[0] for each in told[name]["S8"]} == {
            f"test_S8_retention__{sentence}"
        }
