"""The system prompt as data: contributions to slots, and layers that add to them or take away."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lash_hookspecs.records.model_base import Record

__all__ = [
    "PROMPT_SLOTS",
    "AppendToSlot",
    "ClearSlot",
    "PromptContribution",
    "PromptLayer",
    "PromptOperation",
    "PromptSection",
    "PromptTemplate",
    "ReplaceSlot",
    "SlotName",
]

#: The slots of the default template, in the order in which they are rendered: who the model is, how it works, what it
#: should mind, what the project says, what holds at the moment, where it runs.
PROMPT_SLOTS = ("intro", "execution", "guidance", "project", "context", "environment")

#: A slot's name; one that no template names is rendered behind those that it names.
SlotName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]


class PromptContribution(Record):
    """A piece of the system prompt.

    Attributes:
        slot: Where it goes; one of `PROMPT_SLOTS` or a template's own.
        content: Its text; nothing is rendered for a blank one.
        title: A heading above it.
        priority: Lower ones come first within their slot; equal ones in the order of the layers.
        requires_tools: It is left out unless all of these tools are available to the model.
    """

    slot: SlotName
    content: str
    title: str = ""
    priority: int = 0
    requires_tools: tuple[str, ...] = ()


class PromptSection(Record):
    """A slot's place in a template.

    Attributes:
        slot: The slot.
        title: A heading above what is in it.
    """

    slot: SlotName
    title: str = ""


class PromptTemplate(Record):
    """Which slots there are, in order. Of several layers' templates the last one counts."""

    sections: tuple[PromptSection, ...]

    @classmethod
    def of(cls, *slots: str, **titled: str) -> PromptTemplate:
        """Make a template of slots without a title, then titled ones: ``of("intro", memory="What you remember")``."""
        plain = [PromptSection(slot=slot) for slot in slots]
        return cls(sections=(*plain, *(PromptSection(slot=slot, title=title) for slot, title in titled.items())))


class AppendToSlot(Record):
    """Put contributions into a slot, after what is there."""

    op: Literal["append"] = "append"
    slot: SlotName
    contributions: tuple[PromptContribution, ...]


class ReplaceSlot(Record):
    """Drop what earlier operations put into a slot, and put contributions there instead."""

    op: Literal["replace"] = "replace"
    slot: SlotName
    contributions: tuple[PromptContribution, ...]


class ClearSlot(Record):
    """Drop what earlier operations put into a slot."""

    op: Literal["clear"] = "clear"
    slot: SlotName


PromptOperation = Annotated[AppendToSlot | ReplaceSlot | ClearSlot, Field(discriminator="op")]


class PromptLayer(Record):
    """What one party does to the system prompt; its operations are done in order, after those of earlier layers.

    Layers never change: each method gives a new one.

    ::

        layer = PromptLayer().replace("intro", "You book trains.").append("guidance", "Ask before you pay.")

    Attributes:
        template: The slots and their order; ``None`` leaves them as they are.
        operations: What is done to slots.
    """

    template: PromptTemplate | None = None
    operations: tuple[PromptOperation, ...] = ()

    def append(self, slot: str, *contents: str | PromptContribution) -> PromptLayer:
        """Add to a slot; a contribution is put into this slot, whatever its own says."""
        return self._with(AppendToSlot(slot=slot, contributions=_contributions(slot, contents)))

    def replace(self, slot: str, *contents: str | PromptContribution) -> PromptLayer:
        """Put this into a slot instead of what earlier layers put there; what later ones append still applies."""
        return self._with(ReplaceSlot(slot=slot, contributions=_contributions(slot, contents)))

    def clear(self, slot: str) -> PromptLayer:
        """Drop what earlier layers put into a slot; what later ones append still applies."""
        return self._with(ClearSlot(slot=slot))

    def arrange(self, template: PromptTemplate) -> PromptLayer:
        """Set the slots and their order."""
        return self.evolve(template=template)

    def then(self, later: PromptLayer) -> PromptLayer:
        """Give the layer that does what this one does, and then what a later one does."""
        return PromptLayer(
            template=self.template if later.template is None else later.template,
            operations=(*self.operations, *later.operations),
        )

    def _with(self, operation: AppendToSlot | ReplaceSlot | ClearSlot) -> PromptLayer:
        return self.evolve(operations=(*self.operations, operation))


def _contributions(slot: str, contents: tuple[str | PromptContribution, ...]) -> tuple[PromptContribution, ...]:
    return tuple(
        PromptContribution(slot=slot, content=each) if isinstance(each, str) else each.evolve(slot=slot)
        for each in contents
    )
