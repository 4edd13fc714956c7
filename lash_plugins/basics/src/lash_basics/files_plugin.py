"""The plugin ``file-tools``: offers tools that read, search and write the files of one folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lash_hookspecs import implements
from lash_hookspecs.specs.offers import OfferContext, ToolOffer, ToolSetup, lash_offer_tools

if TYPE_CHECKING:
    from lash_hookspecs.protocols.tools import ToolProvider


@implements(lash_offer_tools)
def tools(context: OfferContext) -> list[ToolOffer]:
    """Offer the tool set ``files``."""
    return [ToolOffer(name="files", build=_build)]


def _build(setup: ToolSetup) -> ToolProvider:
    from lash_basics.files import file_tools

    return file_tools(setup.root)
