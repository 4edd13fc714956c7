"""What model calls cost."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from lash_hookspecs.records.model_base import Record

__all__ = ["TokenUsage", "UsageRow", "add_usage", "merge_ledger", "subtract_usage"]


class TokenUsage(Record):
    """Tokens of one or more model calls.

    Attributes:
        input_tokens: Tokens sent, cached ones included.
        output_tokens: Tokens received, reasoning ones included.
        cached_input_tokens: The part of the input that the provider read from its cache.
        reasoning_tokens: The part of the output that was reasoning.
        cost: US dollars as the provider reported them; ``None`` when it reports none.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    reasoning_tokens: int = 0
    cost: Decimal | None = None

    @property
    def total_tokens(self) -> int:
        """Input plus output."""
        return self.input_tokens + self.output_tokens


class UsageRow(Record):
    """The usage of one source and model (T8).

    Attributes:
        source: What the calls were for: ``turn``, later ``subagent``, ``compaction`` …
        model: The model's name as the session knows it.
        usage: The sum over responses that became durable.
        calls: How many those are.
        unknown_calls: Calls that were sent and whose response never became durable, because a process died.
    """

    source: str
    model: str
    usage: TokenUsage = TokenUsage()
    calls: int = 0
    unknown_calls: int = 0


def add_usage(one: TokenUsage, other: TokenUsage) -> TokenUsage:
    """Add two usages; the cost of one that reports none counts as nothing."""
    cost = None if one.cost is None and other.cost is None else (one.cost or 0) + (other.cost or Decimal(0))
    return TokenUsage(
        input_tokens=one.input_tokens + other.input_tokens,
        output_tokens=one.output_tokens + other.output_tokens,
        cached_input_tokens=one.cached_input_tokens + other.cached_input_tokens,
        reasoning_tokens=one.reasoning_tokens + other.reasoning_tokens,
        cost=cost,
    )


def subtract_usage(whole: TokenUsage, part: TokenUsage) -> TokenUsage:
    """Give what is left of a usage without a part that was added to it."""
    cost = None if whole.cost is None else whole.cost - (part.cost or Decimal(0))
    return TokenUsage(
        input_tokens=whole.input_tokens - part.input_tokens,
        output_tokens=whole.output_tokens - part.output_tokens,
        cached_input_tokens=whole.cached_input_tokens - part.cached_input_tokens,
        reasoning_tokens=whole.reasoning_tokens - part.reasoning_tokens,
        cost=cost,
    )


def merge_ledger(ledger: Iterable[UsageRow], deltas: Iterable[UsageRow]) -> tuple[UsageRow, ...]:
    """Add deltas to a ledger: one row per source and model, in order of first appearance."""
    rows: dict[tuple[str, str], UsageRow] = {}
    for row in (*ledger, *deltas):
        key = (row.source, row.model)
        known = rows.get(key)
        rows[key] = (
            row
            if known is None
            else UsageRow(
                source=row.source,
                model=row.model,
                usage=add_usage(known.usage, row.usage),
                calls=known.calls + row.calls,
                unknown_calls=known.unknown_calls + row.unknown_calls,
            )
        )
    return tuple(rows.values())
