"""The system prompt: layers are merged, gated and rendered. Nothing here does I/O."""

from __future__ import annotations

from lash_core.prompts.rendering import DEFAULT_TEMPLATE, Prompt, RenderedSection, merge_layers, render_prompt
from lash_core.prompts.sources import PromptBuilder, PromptSources

__all__ = [
    "DEFAULT_TEMPLATE",
    "Prompt",
    "PromptBuilder",
    "PromptSources",
    "RenderedSection",
    "merge_layers",
    "render_prompt",
]
