"""Prose is told from markup, and its central sentences are chosen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lash_basics.extractive.centrality import central_sentences
from lash_basics.extractive.prose import Sentence, blocks_of, headings_of, prose_of, sentences_in

MARKDOWN = """---
title: front matter
---
# A *title*

![badge](b.svg) [![other](c.svg)](d)

First sentence with a [link](x.md) and **bold** text. Second one, e.g. with an
abbreviation, goes over two lines.

- an item that is no sentence
1. another item

```sh
rm -rf code
```

| a | b |
|---|---|
| 1 | 2 |

    indented code here

Setext
------

> A quoted sentence is prose as well.

<!-- a comment -->
"""


def test_only_prose_is_prose() -> None:
    assert [sentence.text for sentence in prose_of(MARKDOWN, "x.md")] == [
        "First sentence with a link and bold text.",
        "Second one, e.g. with an abbreviation, goes over two lines.",
        "A quoted sentence is prose as well.",
    ]


def test_sentences_know_their_line_and_heading() -> None:
    first, second, third = prose_of(MARKDOWN, "x.md")
    assert (first.line, second.line, third.line) == (8, 8, 27)
    assert (first.heading, third.heading) == ("A title", "A title / Setext")


def test_headings_of_both_kinds_are_found() -> None:
    assert headings_of(MARKDOWN) == [(4, "A title"), (24, "Setext")]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("It costs 3.50 francs. Really!", ["It costs 3.50 francs.", "Really!"]),
        ("Use e.g. tea, i.e. a drink. Done", ["Use e.g. tea, i.e. a drink.", "Done"]),
        ('He said "stop." Then he left.', ['He said "stop."', "Then he left."]),
        ("Dr. Who met J. Smith. They ate.", ["Dr. Who met J. Smith.", "They ate."]),
        ("See a.b.c for more. v1.2.3 is out.", ["See a.b.c for more. v1.2.3 is out."]),
    ],
)
def test_sentences_end_where_they_end(text: str, sentences: list[str]) -> None:
    assert sentences_in(text) == sentences


def test_a_central_sentence_wins_over_an_aside() -> None:
    texts = [
        "The weather was fine on that day in spring.",
        "The queue keeps jobs in one file for all workers.",
        "Workers take jobs from the queue and finish them.",
        "A job that a worker loses goes back to the queue.",
    ]
    chosen = central_sentences([Sentence(text, 1, at + 5) for at, text in enumerate(texts)], 1)
    assert "queue" in chosen[0].text


@given(st.lists(st.text(alphabet="abcde .", min_size=1, max_size=40), max_size=30), st.integers(1, 8))
def test_a_choice_is_bounded_and_in_order(texts: list[str], most: int) -> None:
    sentences = [Sentence(text, at, at) for at, text in enumerate(texts)]
    chosen = central_sentences(sentences, most)
    assert len(chosen) <= most
    assert [sentence.place for sentence in chosen] == sorted({sentence.place for sentence in chosen})
    assert bool(chosen) == bool(texts)


@given(st.text(alphabet="#-=*`|> \n\tab.1<![]()", max_size=200))
def test_any_text_is_cut_into_blocks(text: str) -> None:
    for block in blocks_of(text):
        assert 1 <= block.line <= text.count("\n") + 1
