"""From layers to text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs
from lash_hookspecs.records.prompts import (
    PROMPT_SLOTS,
    AppendToSlot,
    PromptContribution,
    PromptLayer,
    PromptOperation,
    PromptSection,
    PromptTemplate,
)

__all__ = ["DEFAULT_TEMPLATE", "Prompt", "RenderedSection", "merge_layers", "render_prompt"]

#: The template where no layer has one: the known slots in order, without titles.
DEFAULT_TEMPLATE = PromptTemplate.of(*PROMPT_SLOTS)


@attrs.frozen
class RenderedSection:
    """A section of a prompt, as it came out.

    Attributes:
        slot: Its slot.
        contributions: How many pieces are in it.
        text: The whole of it, title included.
    """

    slot: str
    contributions: int
    text: str


@attrs.frozen
class Prompt:
    """A rendered system prompt.

    Attributes:
        text: What the model gets; empty when there is nothing to say.
        sections: Its parts, in order.
    """

    text: str
    sections: tuple[RenderedSection, ...]


def merge_layers(layers: Iterable[PromptLayer]) -> PromptLayer:
    """Make one layer of many, earlier ones first; of their templates the last one counts."""
    template: PromptTemplate | None = None
    operations: list[PromptOperation] = []
    for layer in layers:
        template = template if layer.template is None else layer.template
        operations.extend(layer.operations)
    return PromptLayer(template=template, operations=tuple(operations))


def render_prompt(layers: Iterable[PromptLayer], tools: Iterable[str] = ()) -> Prompt:
    """Render what layers say, earlier ones first.

    A slot's pieces are sorted by priority, then by layer; of two that say the same with the same priority the first
    one stays. Sections without a piece are skipped. Slots that the template does not name come last.

    Args:
        layers: Earliest first.
        tools: Names of the tools that are available to the model.
    """
    merged = merge_layers(layers)
    slots = _fill(merged)
    available = frozenset(tools)
    sections = [
        rendered
        for section in _sections(merged.template or DEFAULT_TEMPLATE, slots)
        if (rendered := _render(section, _chosen(slots.get(section.slot, []), available)))
    ]
    return Prompt("\n\n".join(section.text for section in sections), tuple(sections))


def _fill(layer: PromptLayer) -> dict[str, list[PromptContribution]]:
    slots: dict[str, list[PromptContribution]] = {}
    for operation in layer.operations:
        if not isinstance(operation, AppendToSlot):
            slots.pop(operation.slot, None)
        if operation.op != "clear":
            slots.setdefault(operation.slot, []).extend(operation.contributions)
    return slots


def _chosen(contributions: list[PromptContribution], tools: frozenset[str]) -> list[PromptContribution]:
    """Drop what is blank, gated or said already, and sort the rest."""
    chosen: dict[tuple[int, str], PromptContribution] = {}
    for each in contributions:
        if each.content.strip() and tools.issuperset(each.requires_tools):
            chosen.setdefault((each.priority, each.content), each)
    return sorted(chosen.values(), key=lambda each: each.priority)


def _sections(template: PromptTemplate, slots: Mapping[str, object]) -> list[PromptSection]:
    """Give the template's sections, each slot once, then the slots that it does not name."""
    sections = {section.slot: section for section in reversed(template.sections)}
    named = list(dict.fromkeys(section.slot for section in template.sections))
    known = [slot for slot in PROMPT_SLOTS if slot in slots and slot not in sections]
    others = sorted(slot for slot in slots if slot not in sections and slot not in PROMPT_SLOTS)
    return [*(sections[slot] for slot in named), *(PromptSection(slot=slot) for slot in (*known, *others))]


def _render(section: PromptSection, contributions: list[PromptContribution]) -> RenderedSection | None:
    if not contributions:
        return None
    pieces = [f"## {each.title}\n\n{each.content}" if each.title else each.content for each in contributions]
    if section.title:
        pieces.insert(0, f"# {section.title}")
    return RenderedSection(section.slot, len(contributions), "\n\n".join(pieces))
