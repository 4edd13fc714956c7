"""The most central sentences of a text.

Continuous LexRank (G. Erkan, D. Radev: LexRank: Graph-based Lexical Centrality as Salience in Text Summarization,
2004): the stationary distribution of a walk over sentences whose steps are as likely as two sentences are similar,
joined with a prior for early sentences; near repetitions are passed over.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from lash_basics.extractive.language import STOP_WORDS, stem, words_of
from lash_basics.extractive.prose import Sentence

__all__ = ["central_sentences"]

#: Sentences that are compared with each other; of a longer text, the first ones and every n-th of the rest.
MAX_SENTENCES = 300

_DAMPING = 0.85
_ROUNDS = 20
_REPETITION = 0.6
_LEANS_BACK = re.compile(
    r"^(?:this|these|those|that|it|they|he|she|however|but|also|then|so|and|such|here|both|"
    r"otherwise)\b",
    re.IGNORECASE,
)

Vector = dict[str, float]


def central_sentences(sentences: Sequence[Sentence], most: int) -> list[Sentence]:
    """Choose up to ``most`` sentences, in the order in which they stand in the text."""
    pool = _sampled([sentence for sentence in sentences if not sentence.text.endswith(":")] or list(sentences))
    vectors = _vectors(pool)
    scores = [rank * _weight(sentence) for rank, sentence in zip(_ranks(vectors), pool, strict=True)]
    chosen: list[int] = []
    for at in sorted(range(len(pool)), key=lambda at: (-scores[at], at)):
        if len(chosen) == most:
            break
        if all(_similarity(vectors[at], vectors[other]) < _REPETITION for other in chosen):
            chosen.append(at)
    return [pool[at] for at in sorted(chosen)]


def _sampled(sentences: list[Sentence]) -> list[Sentence]:
    if len(sentences) <= MAX_SENTENCES:
        return sentences
    head = MAX_SENTENCES // 2
    step = math.ceil((len(sentences) - head) / (MAX_SENTENCES - head))
    return sentences[:head] + sentences[head::step]


def _vectors(sentences: Sequence[Sentence]) -> list[Vector]:
    bags = [Counter(stem(word) for word in words_of(sentence.text) if word not in STOP_WORDS) for sentence in sentences]
    spread = Counter(word for bag in bags for word in bag)
    vectors = []
    for bag in bags:
        vector = {word: number * (1 + math.log(len(bags) / spread[word])) for word, number in bag.items()}
        length = math.sqrt(sum(weight * weight for weight in vector.values())) or 1.0
        vectors.append({word: weight / length for word, weight in vector.items()})
    return vectors


def _similarity(one: Vector, other: Vector) -> float:
    if len(one) > len(other):
        one, other = other, one
    return sum(weight * other[word] for word, weight in one.items() if word in other)


def _ranks(vectors: list[Vector]) -> list[float]:
    """Walk over the similarities; scaled so that the most central sentence has 1."""
    size = len(vectors)
    edges: list[list[tuple[int, float]]] = [[] for _vector in vectors]
    for one in range(size):
        for other in range(one):
            weight = _similarity(vectors[one], vectors[other])
            if weight > 0:
                edges[one].append((other, weight))
                edges[other].append((one, weight))
    totals = [sum(weight for _other, weight in near) or 1.0 for near in edges]
    ranks = [1.0] * size
    for _round in range(_ROUNDS):
        ranks = [
            1 - _DAMPING + _DAMPING * sum(ranks[other] * weight / totals[other] for other, weight in near)
            for near in edges
        ]
    highest = max(ranks, default=1.0)
    return [rank / highest for rank in ranks]


def _weight(sentence: Sentence) -> float:
    """How well a sentence stands alone, and how early it comes."""
    words = len(sentence.text.split())
    weight = 0.5 + 1.5 / (1 + 0.5 * sentence.place)
    if sentence.opens:
        weight *= 1.15
    if not 6 <= words <= 45:
        weight *= 0.5 if words <= 80 else 0.15
    if _LEANS_BACK.match(sentence.text) and sentence.place:
        weight *= 0.6
    if sentence.text.endswith("?"):
        weight *= 0.3
    elif "http" in sentence.text or not sentence.text.endswith((".", "!", "…")):
        weight *= 0.6
    return weight
