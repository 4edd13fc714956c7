"""Layers, gates and the cache of the system prompt (invariant 84)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lash_core.prompts import PromptBuilder, PromptSources, merge_layers, render_prompt
from lash_hookspecs.records.prompts import (
    PROMPT_SLOTS,
    AppendToSlot,
    ClearSlot,
    PromptContribution,
    PromptLayer,
    PromptTemplate,
    ReplaceSlot,
)
from pydantic import ValidationError

SLOTS = st.sampled_from([*PROMPT_SLOTS, "memory", "aside"])
TOOLS = st.sampled_from(["search", "book"])
CONTRIBUTIONS = st.builds(
    PromptContribution,
    slot=SLOTS,
    content=st.sampled_from(["", " \n", "one", "two", "three\nlines", "four"]),
    title=st.sampled_from(["", "Title"]),
    priority=st.integers(-1, 1),
    requires_tools=st.lists(TOOLS, max_size=2).map(tuple),
)
MANY = st.lists(CONTRIBUTIONS, max_size=3).map(tuple)
OPERATIONS = st.one_of(
    st.builds(AppendToSlot, slot=SLOTS, contributions=MANY),
    st.builds(ReplaceSlot, slot=SLOTS, contributions=MANY),
    st.builds(ClearSlot, slot=SLOTS),
)
TEMPLATES = st.builds(
    PromptTemplate.of, st.sampled_from(["intro", "memory"]), guidance=st.sampled_from(["", "What to mind"])
)
LAYERS = st.builds(PromptLayer, template=st.none() | TEMPLATES, operations=st.lists(OPERATIONS, max_size=4).map(tuple))


def text(*layers: PromptLayer, tools: tuple[str, ...] = ()) -> str:
    return render_prompt(layers, tools).text


@given(st.lists(LAYERS, max_size=4), st.frozensets(TOOLS))
def test_merged_layers_render_what_the_layers_render(layers: list[PromptLayer], tools: frozenset[str]) -> None:
    assert render_prompt([merge_layers(layers)], tools) == render_prompt(layers, tools)


@given(LAYERS, LAYERS, LAYERS)
def test_merging_is_associative_and_the_empty_layer_changes_nothing(
    one: PromptLayer, two: PromptLayer, three: PromptLayer
) -> None:
    assert one.then(two).then(three) == one.then(two.then(three)) == merge_layers([one, two, three])
    assert PromptLayer().then(one) == one == one.then(PromptLayer())


@given(st.lists(LAYERS, max_size=3), SLOTS, CONTRIBUTIONS, CONTRIBUTIONS)
def test_a_replaced_slot_holds_what_replaced_it_and_what_came_later(
    earlier: list[PromptLayer], slot: str, first: PromptContribution, later: PromptContribution
) -> None:
    both = [*earlier, PromptLayer().replace(slot, first), PromptLayer().append(slot, later)]
    alone = [PromptLayer().append(slot, first, later)]
    assert in_slot(both, slot) == in_slot([*templates(earlier), *alone], slot)


@given(st.lists(LAYERS, max_size=3), SLOTS)
def test_clearing_a_slot_empties_it_and_no_other(earlier: list[PromptLayer], slot: str) -> None:
    before, after = render_prompt(earlier), render_prompt([*earlier, PromptLayer().clear(slot)])
    assert after.sections == tuple(each for each in before.sections if each.slot != slot)


@given(st.lists(LAYERS, max_size=3), st.frozensets(TOOLS))
def test_layers_survive_json(layers: list[PromptLayer], tools: frozenset[str]) -> None:
    again = [PromptLayer.from_bytes(layer.to_bytes()) for layer in layers]
    assert again == layers
    assert render_prompt(again, tools) == render_prompt(layers, tools)


@given(st.lists(LAYERS, max_size=4))
def test_every_slot_is_rendered_at_most_once_and_never_blank(layers: list[PromptLayer]) -> None:
    sections = render_prompt(layers, ["search", "book"]).sections
    assert len({each.slot for each in sections}) == len(sections)
    assert all(each.contributions and each.text.strip() for each in sections)


def in_slot(layers: list[PromptLayer], slot: str) -> list[str]:
    return [each.text for each in render_prompt(layers).sections if each.slot == slot]


def templates(layers: list[PromptLayer]) -> list[PromptLayer]:
    return [PromptLayer(template=layer.template) for layer in layers]


def test_known_slots_come_in_their_order_whatever_the_order_of_the_layers() -> None:
    layers = [PromptLayer().append(slot, slot) for slot in reversed(PROMPT_SLOTS)]
    assert text(*layers) == "intro\n\nexecution\n\nguidance\n\nproject\n\ncontext\n\nenvironment"


def test_pieces_are_sorted_by_priority_and_then_by_layer() -> None:
    late = PromptContribution(slot="guidance", content="last", priority=1)
    layer = PromptLayer().append("guidance", late, "first").append("guidance", "second")
    assert text(layer) == "first\n\nsecond\n\nlast"


def test_what_is_said_twice_with_one_priority_is_rendered_once_where_it_was_said_first() -> None:
    again = PromptContribution(slot="guidance", content="be brief", title="Again")
    other = PromptContribution(slot="guidance", content="be brief", priority=5)
    assert text(PromptLayer().append("guidance", "be brief", "be kind", again, other)) == (
        "be brief\n\nbe kind\n\nbe brief"
    )


def test_a_replacement_is_put_into_the_slot_that_it_replaces() -> None:
    moved = PromptContribution(slot="context", content="new")
    layer = PromptLayer().replace("guidance", moved)
    assert [(each.slot, each.text) for each in render_prompt([layer]).sections] == [("guidance", "new")]


def test_a_contribution_waits_for_all_the_tools_that_it_requires() -> None:
    gated = PromptContribution(slot="guidance", content="search, then book", requires_tools=("search", "book"))
    layer = PromptLayer().append("intro", "hello").append("guidance", gated)
    assert text(layer, tools=("search",)) == "hello"
    assert text(layer, tools=("search", "book", "pay")) == "hello\n\nsearch, then book"


def test_a_gated_contribution_hides_no_equal_one() -> None:
    gated = PromptContribution(slot="guidance", content="same", requires_tools=("search",))
    assert text(PromptLayer().append("guidance", gated, "same")) == "same"


def test_the_last_template_counts_and_gives_order_and_titles() -> None:
    first = PromptLayer().arrange(PromptTemplate.of("guidance", intro="Ignored")).append("guidance", "be brief")
    second = PromptLayer().arrange(PromptTemplate.of("intro", memory="What you remember")).append("intro", "hello")
    third = PromptLayer().append("memory", PromptContribution(slot="memory", content="no meat", title="Food"))
    assert text(first, second, third) == "hello\n\n# What you remember\n\n## Food\n\nno meat\n\nbe brief"


def test_slots_that_no_template_names_come_last() -> None:
    layer = PromptLayer().arrange(PromptTemplate.of("environment"))
    layer = layer.append("zoo", "z").append("aside", "a").append("guidance", "g").append("intro", "i")
    assert text(layer.append("environment", "e")) == "e\n\ni\n\ng\n\na\n\nz"


def test_a_slot_that_a_template_names_twice_stands_where_it_is_named_first() -> None:
    sections = (*PromptTemplate.of(intro="First").sections, *PromptTemplate.of("guidance", intro="Second").sections)
    layer = PromptLayer(template=PromptTemplate(sections=sections)).append("intro", "hello").append("guidance", "g")
    assert text(layer) == "# First\n\nhello\n\ng"


def test_a_slot_has_a_plain_name() -> None:
    with pytest.raises(ValidationError, match="String should match pattern"):
        PromptLayer().append("Not a slot", "text")


@given(st.text().filter(lambda said: said.strip() != ""))
def test_instructions_alone_are_the_prompt_to_the_letter(instructions: str) -> None:
    assert PromptBuilder().build(PromptSources(instructions=instructions)).text == instructions


def test_without_anything_to_say_the_prompt_is_empty() -> None:
    assert PromptBuilder().build(PromptSources(instructions=" \n")).text == ""
    assert PromptBuilder().build(PromptSources()).text == ""


def test_the_order_is_mode_plugins_environment_session_turn() -> None:
    sources = PromptSources(
        mode=PromptLayer().append("intro", "mode"),
        plugins=(PromptContribution(slot="intro", content="plugin"),),
        environment=PromptLayer().append("intro", "environment"),
        instructions="instructions",
        session=PromptLayer().append("intro", "session"),
        turn=PromptLayer().append("intro", "turn"),
    )
    built = PromptBuilder().build(sources)
    assert built.text.split("\n\n") == ["mode", "plugin", "environment", "instructions", "session", "turn"]


def test_a_session_may_clear_what_plugins_say() -> None:
    plugin = PromptContribution(slot="guidance", content="always apologise")
    cleared = PromptSources(plugins=(plugin,), instructions="hello", session=PromptLayer().clear("guidance"))
    assert PromptBuilder().build(cleared).text == "hello"


def test_an_unchanged_prompt_is_not_rendered_again() -> None:
    builder = PromptBuilder()
    layer = PromptLayer().append("context", "it is late")
    first = builder.build(PromptSources(instructions="hello", turn=layer), ["search"])
    same = PromptSources(instructions="hello", turn=PromptLayer.from_bytes(layer.to_bytes()))
    assert builder.build(same, frozenset({"search"})) is first
    changed = [
        (PromptSources(instructions="hello"), ["search"]),
        (PromptSources(instructions="hello", turn=layer), []),
        (PromptSources(instructions="hello", session=layer), ["search"]),
    ]
    assert all(builder.build(sources, tools) is not first for sources, tools in changed)
