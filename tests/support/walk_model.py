"""What a lifecycle walk expects of its sessions, kept as plain values; it knows nothing of the product."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs

__all__ = ["Committed", "Expected", "Kept", "Place", "Turn"]


@attrs.frozen(kw_only=True)
class Kept:
    """What a commit keeps beside the nodes.

    Attributes:
        overrides: Tool name → level, where the session says one.
        counter: What the counter plugin keeps.
        version: The schema version that it was kept with; 0 when nothing is kept.
    """

    overrides: Mapping[str, str] = attrs.field(factory=dict)
    counter: int = 0
    version: int = 0

    def overridden(self, changes: Mapping[str, str | None]) -> Kept:
        """Give the same with other overrides."""
        merged = {**self.overrides, **changes}
        return attrs.evolve(self, overrides={name: level for name, level in merged.items() if level is not None})


@attrs.frozen
class Place:
    """A node of a path.

    Attributes:
        node_id: Its id.
        text: What a user, an app or the model's last answer says; empty for anything else.
    """

    node_id: str
    text: str = ""


@attrs.frozen
class Committed:
    """A commit that was made: where it stands, and what it kept."""

    leaf: str | None
    kept: Kept


@attrs.frozen
class Origin:
    """What the session was that another one began in the history of.

    Attributes:
        session: It; may have ended since, or have been made anew.
        incarnation: Which one it was.
        revision: How many commits it had.
    """

    session: Expected
    incarnation: int
    revision: int


@attrs.frozen(kw_only=True)
class Turn:
    """A turn on its way.

    Attributes:
        said: The user's text.
        tools: How many calls the model makes of it.
        answered: Model calls whose answer is durable and in no commit yet.
        passed: Whether its boundary is committed.
    """

    said: str
    tools: int
    answered: int = 0
    passed: bool = False


@attrs.define
class Expected:
    """One session.

    Attributes:
        path: The active path.
        kept: What its last commit kept.
        commits: All commits, oldest first.
        revision: The number of them.
        calls: Model calls in the ledger.
        instructions: The stored system prompt.
        turn: A turn that has begun and not ended.
        begun: Turns that have begun.
        nodes: Every node that this session has committed, and those of the path that it was forked with.
        plugins: The plugins that took part in the last commit, with their versions.
        origin: What it was forked from.
        incarnation: Grows when the session is deleted.
        deleted: Whether it is deleted now.
    """

    path: tuple[Place, ...] = ()
    kept: Kept = attrs.field(factory=Kept)
    commits: list[Committed] = attrs.field(factory=list)
    revision: int = 0
    calls: int = 0
    instructions: str = ""
    turn: Turn | None = None
    begun: int = 0
    nodes: list[str] = attrs.field(factory=list)
    plugins: Mapping[str, str] = attrs.field(factory=dict)
    origin: Origin | None = None
    incarnation: int = 0
    deleted: bool = False

    @property
    def exists(self) -> bool:
        """Whether a store has it."""
        return self.revision > 0

    @property
    def leaf(self) -> str | None:
        """The last node of the path."""
        return self.path[-1].node_id if self.path else None

    @property
    def texts(self) -> list[str]:
        """What is said on the path."""
        return [place.text for place in self.path if place.text]

    def add(self, place: Place) -> None:
        """Put a node behind the leaf."""
        self.path += (place,)
        self.nodes.append(place.node_id)

    def commit(self, kept: Kept, plugins: Mapping[str, str]) -> None:
        """Make a commit of what was added."""
        self.kept, self.plugins = kept, plugins
        self.revision += 1
        self.deleted = False
        self.commits.append(Committed(self.leaf, kept))

    def rewind(self, path: Sequence[Place], plugins: Mapping[str, str]) -> None:
        """Make a commit that goes back to the end of another path."""
        kept = self.kept_at(path)
        self.path = tuple(path)
        self.commit(kept, plugins)

    def kept_at(self, path: Sequence[Place]) -> Kept:
        """Give what was kept by the newest commit that stood nearest to the end of a path (L11)."""
        depths = {place.node_id: depth for depth, place in enumerate(path)}
        past = self.past
        standing = [(depths[each.leaf], number) for number, each in enumerate(past) if each.leaf in depths]
        return past[max(standing)[1]].kept if standing else Kept()

    @property
    def past(self) -> list[Committed]:
        """All commits that count, oldest first: those of what it was forked from, while that is there, and its own."""
        origin = self.origin
        if origin is None or not origin.session.exists or origin.session.incarnation != origin.incarnation:
            return self.commits
        earlier = origin.session.past
        own = len(earlier) - len(origin.session.commits)
        return earlier[: own + origin.revision] + self.commits

    def lose(self, node_ids: Iterable[str]) -> None:
        """Forget nodes that it was forked with and stands on no more: the session that made them is deleted."""
        gone = set(node_ids) - {place.node_id for place in self.path}
        self.nodes = [node_id for node_id in self.nodes if node_id not in gone]

    def end(self) -> None:
        """Delete it; its name is free."""
        self.__init__(incarnation=self.incarnation + 1, deleted=True)  # type: ignore[misc]
