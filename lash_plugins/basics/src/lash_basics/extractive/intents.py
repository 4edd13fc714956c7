"""What a user may want, as data."""

from __future__ import annotations

from typing import Literal

import attrs

__all__ = [
    "Again",
    "Cannot",
    "Count",
    "Extreme",
    "Find",
    "Intent",
    "ListFiles",
    "Named",
    "Occurrences",
    "Outline",
    "Question",
    "Read",
    "Recall",
    "Remember",
    "Reshape",
    "Search",
    "SmallTalk",
    "Summarise",
    "Target",
    "Unknown",
    "Write",
]


@attrs.frozen(kw_only=True)
class Target:
    """What a request is about, as it was said.

    Attributes:
        mentions: Names of files or folders.
        kind: A kind of files.
        folder: A folder to stay in.
        ordinals: Places in the last answer: "the second one".
        pronoun: ``one`` for "it", ``many`` for "them".
        project: Everything here.
        answer: The last answer itself.
        each: Each file for itself.
    """

    mentions: tuple[str, ...] = ()
    kind: str | None = None
    folder: str | None = None
    ordinals: tuple[int, ...] = ()
    pronoun: Literal["", "one", "many"] = ""
    project: bool = False
    answer: bool = False
    each: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing was said."""
        return attrs.evolve(self, each=False) == Target()


@attrs.frozen(kw_only=True)
class SmallTalk:
    """A greeting, thanks, or a question about the model."""

    topic: str


@attrs.frozen(kw_only=True)
class ListFiles:
    """What files are there?"""

    target: Target
    sizes: bool = False
    deep: bool = False
    count_only: bool = False
    folders: bool = False


@attrs.frozen(kw_only=True)
class Read:
    """Show a file: ``first`` counts from 1, or from the end when it is negative; 0 continues."""

    target: Target
    first: int = 1
    lines: int | None = None


@attrs.frozen(kw_only=True)
class Find:
    """Where is the file of that name?"""

    name: str


@attrs.frozen(kw_only=True)
class Named:
    """Something that is either a file's name or a subject."""

    name: str
    question: str
    wants: Literal["summary", "place", "text"] = "text"


@attrs.frozen(kw_only=True)
class Search:
    """Which files hold a text?"""

    phrase: str
    target: Target = Target()
    literal: bool = False
    definition: bool = False
    topic: bool = False
    yes_no: bool = False


@attrs.frozen(kw_only=True)
class Count:
    """How many lines, words …?"""

    units: tuple[str, ...]
    target: Target


@attrs.frozen(kw_only=True)
class Occurrences:
    """How many times does a text occur?"""

    phrase: str
    target: Target
    noun: str = ""


@attrs.frozen(kw_only=True)
class Extreme:
    """Which file is the longest, the smallest …?"""

    unit: str
    most: bool
    target: Target


@attrs.frozen(kw_only=True)
class Summarise:
    """Summarise files, the last answer, or a text that the user gave."""

    target: Target
    text: str | None = None
    sentences: int | None = None
    words: int | None = None
    bullets: bool = False


@attrs.frozen(kw_only=True)
class Outline:
    """The headings of a document, the definitions of a program, the columns of a table."""

    target: Target
    what: str


@attrs.frozen(kw_only=True)
class Write:
    """Write a text, the last answer, or the answer to another request, to a file."""

    path: str
    text: str | None = None
    source: Intent | None = None
    append: bool = False


@attrs.frozen(kw_only=True)
class Reshape:
    """The last answer in another size."""

    change: Literal["shorter", "longer", "exactly", "go on"]
    sentences: int | None = None
    words: int | None = None
    bullets: bool = False


@attrs.frozen(kw_only=True)
class Again:
    """The last request about something else: "and notes.txt?"."""

    target: Target
    phrase: str


@attrs.frozen(kw_only=True)
class Recall:
    """What was said before; ``which`` counts from 1, or from the end when it is negative."""

    who: Literal["user", "model", "both", "count", "fact"]
    which: int = -1
    about: str = ""


@attrs.frozen(kw_only=True)
class Remember:
    """Something to keep in mind: it is in the conversation."""

    fact: str


@attrs.frozen(kw_only=True)
class Cannot:
    """Something that this model cannot do."""

    deed: str


@attrs.frozen(kw_only=True)
class Question:
    """A question about contents."""

    text: str
    target: Target = Target()


@attrs.frozen(kw_only=True)
class Unknown:
    """Something that was not understood."""

    text: str


Intent = (
    Again
    | Cannot
    | Count
    | Extreme
    | Find
    | ListFiles
    | Named
    | Occurrences
    | Outline
    | Question
    | Read
    | Recall
    | Remember
    | Reshape
    | Search
    | SmallTalk
    | Summarise
    | Unknown
    | Write
)
