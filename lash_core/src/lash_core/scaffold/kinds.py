"""The kinds of plugins that there are templates for."""

from __future__ import annotations

import attrs

__all__ = ["KINDS", "Kind"]


@attrs.frozen
class Kind:
    """What differs between the kinds besides their files.

    Attributes:
        offers: The kind of offer, as a manifest names it.
        noun: What a plugin of this kind adds; ends in the word before the name of what is offered.
        needs: Distributions that the sources import besides ``lash-hookspecs``.
    """

    offers: str
    noun: str
    needs: tuple[str, ...] = ()


KINDS = {
    "store": Kind("stores", "a store with the scheme", ("attrs>=24.1",)),
    "host": Kind("hosts", "the host"),
    "mode": Kind("modes", "the execution mode", ("pydantic>=2.7",)),
    "provider": Kind("providers", "the model provider"),
    "tools": Kind("tools", "the tool set"),
}
