"""What of a tool's output a model sees (S11)."""

from __future__ import annotations

from typing import Literal

__all__ = ["extract"]


def extract(text: str, limit: int, keep: Literal["head", "tail"], ref: str) -> str:
    """Cut an output to its first or last characters, and say where the whole is.

    Args:
        text: The output, longer than ``limit``.
        limit: Characters that are kept.
        keep: Which end.
        ref: The blob that holds the whole.
    """
    end = "first" if keep == "head" else "last"
    note = f"[cut: the {end} {limit:,} of {len(text):,} characters; the whole is kept as blob {ref}]"
    return f"{text[:limit]}\n{note}" if keep == "head" else f"{note}\n{text[-limit:]}"
