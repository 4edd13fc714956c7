"""Random sequences of calls, held to a model (S1-S8, S12, S14 together)."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
from lash_conformance.clauses import Clauses
from lash_conformance.machine import run_machine
from lash_conformance.place import Place

__all__ = ["SequenceClauses"]

#: Sequences per run, and the most calls in one.
EXAMPLES, STEPS = 15, 30


class SequenceClauses(Clauses, level="core"):
    """Random sequences of calls, held to a model (S1-S8, S12, S14 together)."""

    durability: ClassVar[str]

    def test_ALL_model__any_sequence_of_calls_is_answered_as_the_contract_says(
        self, place: Place, tmp_path: Path
    ) -> None:
        failed = run_machine(place, lasting=self.durability != "none", examples=EXAMPLES * place.effort, steps=STEPS)
        if failed is not None:
            wrong, script = failed
            path = tmp_path / "replay.py"
            path.write_text(script, encoding="utf-8")
            pytest.fail(f"{wrong}\n\nThis script shows it again (it is in {path}, too):\n\n{script}", pytrace=False)
