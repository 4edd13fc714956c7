"""The graph and its read model against a simple reference: a dict of parents and a list of messages (G1 to G6)."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from lash_core.graph import conversation as conversation_module
from lash_core.graph.conversation import Conversation
from lash_core.graph.session_graph import Healed, SessionGraph
from lash_hookspecs.errors import CorruptSession, UnreadableData
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.models import AssistantTurn, ToolTurn, UserTurn
from lash_hookspecs.records.payloads import (
    Message,
    ModeEvent,
    Payload,
    PluginNode,
    TextPart,
    ToolCallPart,
    ToolInvocation,
    decode_payload,
    kind_of,
)
from lash_hookspecs.records.tools import ToolCall, ToolResult


def node(node_id: str, parent: str | None, payload: Payload | None = None, timestamp: int = 1) -> Node:
    payload = payload or user(f"text of {node_id}")
    return Node(node_id, parent, timestamp, kind_of(payload), payload.to_bytes())


def chain(*node_ids: str) -> list[Node]:
    return [node(node_id, parent) for node_id, parent in zip(node_ids, (None, *node_ids), strict=False)]


def user(text: str) -> Message:
    return Message(role="user", parts=(TextPart(text=text),))


def asking(*call_ids: str) -> Message:
    return Message(
        role="assistant", parts=tuple(ToolCallPart(call=ToolCall(call_id=call_id, tool="t")) for call_id in call_ids)
    )


def answered(call_id: str) -> ToolInvocation:
    return ToolInvocation(result=ToolResult(call_id=call_id, tool="t", output=f"of {call_id}"))


def ids(graph: SessionGraph) -> list[str]:
    return [each.node_id for each in graph.path]


def shown(conversation: Conversation) -> list[str]:
    """What a model is shown, as JSON texts."""
    return [message.model_dump_json() for message in conversation.provider_messages()]


payloads = st.one_of(
    st.text("xyz", min_size=1, max_size=2).map(user),
    st.lists(st.sampled_from("abcd"), max_size=3).map(lambda names: asking(*names)),
    st.sampled_from("abcd").map(answered),
    st.just(ModeEvent(mode="m", data=1)),
    st.just(PluginNode(plugin="p", type="t")),
)


class GraphWalk(RuleBasedStateMachine):
    """Append, branch, rewrite, lose the leaf and heal, load again; in any order."""

    @initialize()
    def begin(self) -> None:
        self.graph = SessionGraph()
        self.conversation = Conversation()
        self.stored: list[Node] = []
        self.leaf: str | None = None
        self.last_path: list[str] = []

    def expected(self) -> list[str]:
        """The reference: walk the parents."""
        parents = {each.node_id: each.parent_node_id for each in self.stored}
        path: list[str] = []
        at = self.leaf
        while at is not None:
            path.insert(0, at)
            at = parents[at]
        return path

    def put(self, new: list[Payload], *, unknown: bool = False) -> None:
        nodes: list[Node] = []
        parent = self.leaf
        for payload in new:
            made = node(f"n{len(self.stored) + len(nodes)}", parent, payload, timestamp=len(self.stored))
            nodes.append(attrs.evolve(made, kind="of a later version", payload=b'{"new": 1}') if unknown else made)
            parent = made.node_id
        self.graph.extend(nodes)
        for each in nodes:
            decoded = decode_payload(each)
            if decoded is not None:
                self.conversation.add(each, decoded)
        self.stored += nodes
        self.leaf = parent

    @rule(new=st.lists(payloads, min_size=1, max_size=4))
    def append(self, new: list[Payload]) -> None:
        self.put(new)

    @rule()
    def append_a_kind_of_a_later_version(self) -> None:
        self.put([user("x")], unknown=True)

    @rule(data=st.data())
    def branch(self, data: st.DataObject) -> None:
        self.leaf = data.draw(st.sampled_from([None, *(each.node_id for each in self.stored)]))
        self.graph.set_leaf(self.leaf)
        self.conversation = Conversation(self.graph.path)

    @precondition(lambda self: self.leaf is not None)
    @rule(data=st.data())
    def rewrite(self, data: st.DataObject) -> None:
        """Branch to an ancestor, then copy some messages of the old path behind it; each keeps its id."""
        old = list(self.graph.path)
        cut = data.draw(st.integers(0, len(old) - 1))
        copies: list[Payload] = []
        for each in old[cut:]:
            payload = decode_payload(each)
            if isinstance(payload, Message) and data.draw(st.booleans()):
                copies.append(payload.evolve(id=payload.id or each.node_id))
            elif isinstance(payload, ToolInvocation):
                copies.append(payload)
        self.leaf = old[cut].parent_node_id
        self.graph.set_leaf(self.leaf)
        self.conversation = Conversation(self.graph.path)
        if copies:
            self.put(copies)

    @precondition(lambda self: self.leaf is not None)
    @rule(known=st.booleans())
    def lose_the_leaf_and_heal(self, known: bool) -> None:
        last_path = ids(self.graph) if known else []
        self.graph = SessionGraph(self.stored, "lost")
        assert self.graph.dangling
        assert ids(self.graph) == []
        newest = [each.node_id for each in self.stored if each.kind == "message"]
        on_path = [node_id for node_id in last_path if node_id in newest]
        self.leaf = on_path[-1] if on_path else newest[-1] if newest else None
        assert self.graph.heal(last_path) == Healed("lost", self.leaf)
        assert self.graph.heal(last_path) is None
        self.conversation = Conversation(self.graph.path)

    @rule()
    def load_again_from_what_is_stored(self) -> None:
        self.graph = SessionGraph(self.stored, self.leaf)
        self.conversation = Conversation(self.graph.path)

    @rule()
    def forget_what_is_off_the_path(self) -> None:
        self.graph.trim()
        assert len(self.graph) == len(self.graph.path)
        self.graph = SessionGraph(self.stored, self.leaf)

    @invariant()
    def the_path_is_the_one_of_the_parents(self) -> None:
        assert ids(self.graph) == self.expected()
        assert self.graph.leaf == self.leaf
        assert not self.graph.dangling

    @invariant()
    def nothing_stored_has_changed(self) -> None:
        assert [self.graph.get(each.node_id) for each in self.stored] == self.stored
        assert list(self.graph) == self.stored

    @invariant()
    def the_conversation_kept_up_equals_one_read_from_scratch(self) -> None:
        fresh = Conversation(self.graph.path)
        assert shown(self.conversation) == shown(fresh)
        assert self.conversation.unanswered == fresh.unanswered
        assert self.conversation.call_ids == fresh.call_ids
        assert self.conversation.items == fresh.items


GraphWalk.TestCase.settings = settings(max_examples=60, stateful_step_count=20)
TestGraphWalk = GraphWalk.TestCase


@pytest.mark.parametrize("length", [0, 10, 1_000])
def test_appending_decodes_and_visits_only_what_is_new(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []
    nodes = chain(*(f"n{number}" for number in range(length)))
    graph, conversation = SessionGraph(nodes, nodes[-1].node_id if nodes else None), Conversation(nodes)

    def count(each: Node) -> Payload | None:
        decoded.append(each.node_id)
        return decode_payload(each)

    def refuse(self: SessionGraph, leaf: str | None) -> list[Node]:
        raise AssertionError("appending walked the path")

    monkeypatch.setattr(conversation_module, "decode_payload", count)
    monkeypatch.setattr(SessionGraph, "_walk", refuse)
    entries = len(conversation.provider_messages())
    path, items = graph.path, conversation.items
    graph.extend([node("new-1", graph.leaf), node("new-2", "new-1")])
    conversation.add(graph.path[-2], user("1"))
    conversation.add(graph.path[-1], user("2"))
    assert decoded == []
    assert graph.path is path, "the path grows in place"
    assert conversation.items is items
    assert len(conversation.provider_messages()) == entries + 2


def test_a_leaf_that_is_not_there_is_kept_until_somebody_heals_it() -> None:
    graph = SessionGraph(chain("a", "b"), "gone")
    assert (graph.leaf, graph.dangling, ids(graph)) == ("gone", True, [])


def test_nodes_without_a_leaf_are_legal() -> None:
    graph = SessionGraph(chain("a", "b"))
    assert (graph.leaf, graph.dangling, len(graph)) == (None, False, 2)
    assert graph.heal() is None


def corrupt(make: Any) -> tuple[str, tuple[str, ...], str]:
    with pytest.raises(CorruptSession) as caught:
        make()
    return caught.value.kind, caught.value.node_ids, str(caught.value)


def test_moving_to_a_node_that_is_not_there_names_it() -> None:
    graph = SessionGraph(chain("a"), "a")
    assert corrupt(lambda: graph.set_leaf("b")) == ("dangling_leaf", ("b",), "leaf b is not stored")
    assert ids(graph) == ["a"]


def test_a_missing_parent_is_named_with_its_child() -> None:
    nodes = [node("b", "a"), node("c", "b")]
    assert corrupt(lambda: SessionGraph(nodes, "c")) == (
        "dangling_parent",
        ("b", "a"),
        "node b follows a, which is not stored; `lash store check --repair` mends it",
    )


def test_parents_that_go_in_a_circle_are_named() -> None:
    nodes = [node("a", "c"), node("b", "a"), node("c", "b"), node("d", "c")]
    assert corrupt(lambda: SessionGraph(nodes, "d")) == (
        "parent_cycle",
        ("a", "b", "c", "d"),
        "the parents of node c go in a circle; `lash store check --repair` mends it",
    )


@pytest.mark.parametrize("again", [["a"], ["c", "a"], ["c", "c"]], ids=["resident", "behind a new one", "twice"])
def test_a_node_id_that_comes_twice_is_refused_and_nothing_is_taken_in(again: list[str]) -> None:
    graph = SessionGraph(chain("a", "b"), "b")
    twice = again[-1]
    assert corrupt(lambda: graph.insert([node(node_id, "b") for node_id in again])) == (
        "duplicate_node",
        (twice,),
        f"node {twice} is there already; a node id is unique in its graph",
    )
    assert (len(graph), ids(graph)) == (2, ["a", "b"])


def test_an_appended_node_must_follow_the_leaf() -> None:
    graph = SessionGraph(chain("a", "b"), "b")
    assert corrupt(lambda: graph.extend([node("c", "a")])) == (
        "dangling_parent",
        ("c",),
        "node c follows a, but the leaf is b",
    )
    assert (len(graph), ids(graph)) == (2, ["a", "b"])


def test_healing_prefers_the_newest_message_of_the_last_known_path() -> None:
    nodes = [*chain("a", "b"), node("tool", "b", answered("x"), 9), node("elsewhere", "a", timestamp=99)]
    graph = SessionGraph(nodes, "gone")
    assert graph.heal(["a", "b", "tool", "gone"]) == Healed("gone", "b")
    assert ids(graph) == ["a", "b"]


def test_healing_without_a_known_path_takes_the_newest_message_of_all() -> None:
    nodes = [*chain("a", "b"), node("elsewhere", "a", timestamp=99), node("event", "b", ModeEvent(mode="m"), 100)]
    graph = SessionGraph(nodes, "gone")
    assert graph.heal() == Healed("gone", "elsewhere")


def test_of_messages_of_one_commit_the_one_stored_last_is_the_newest() -> None:
    graph = SessionGraph(chain("a", "b", "c"), "gone")
    assert graph.heal() == Healed("gone", "c")


def test_healing_passes_by_hidden_messages_and_those_without_a_root() -> None:
    hidden = attrs.evolve(node("hidden", "a", timestamp=8), hidden=True)
    graph = SessionGraph([*chain("a"), hidden, node("torn", "lost", timestamp=9)], "gone")
    assert graph.heal() == Healed("gone", "a")


def test_healing_a_graph_without_messages_empties_the_path() -> None:
    graph = SessionGraph([node("event", None, ModeEvent(mode="m"))], "gone")
    assert graph.heal() == Healed("gone", None)
    assert (graph.leaf, ids(graph)) == (None, [])


@given(st.binary(max_size=20), st.text(min_size=1).filter(lambda kind: kind not in ("message", "tool")), st.booleans())
def test_a_node_of_an_unknown_kind_keeps_its_bytes_and_is_skipped(body: bytes, kind: str, hidden: bool) -> None:
    if kind in ("mode_event", "state_snapshot", "plugin"):
        return
    strange = Node("b", "a", 2, kind, body, hidden)
    graph = SessionGraph([*chain("a"), strange], "b")
    assert graph.path[-1] is strange
    assert (graph.path[-1].payload, graph.path[-1].hidden) == (body, hidden)
    assert shown(Conversation(graph.path)) == shown(Conversation(chain("a")))


def test_a_payload_that_does_not_fit_its_kind_is_named_with_its_node() -> None:
    with pytest.raises(UnreadableData) as caught:
        Conversation([Node("n1", None, 1, "message", b'{"role": "nobody"}')])
    assert str(caught.value) == "node n1 cannot be read: role: Input should be 'system', 'user' or 'assistant'"


def test_a_part_of_a_later_version_is_kept_and_not_shown() -> None:
    body = {"role": "assistant", "parts": [{"kind": "video", "frames": 3}, {"kind": "text", "text": "hi"}]}
    strange = Node("n1", None, 1, "message", json.dumps(body).encode())
    decoded = decode_payload(strange)
    assert decoded is not None
    assert json.loads(decoded.to_bytes()) == body
    assert Conversation([strange]).provider_messages() == (AssistantTurn(parts=(TextPart(text="hi"),)),)


def test_a_message_that_says_nothing_is_not_shown() -> None:
    silent = Message(role="assistant", parts=(TextPart(text=" \n"),))
    assert Conversation([node("a", None, silent)]).provider_messages() == ()


def test_a_result_of_a_call_made_by_code_answers_no_message() -> None:
    by_code = ToolInvocation(result=ToolResult(call_id="x", tool="t"), call=ToolCall(call_id="x", tool="t"))
    conversation = Conversation([node("a", None, by_code), node("b", "a", user("hi"))])
    assert conversation.provider_messages() == (UserTurn(text="hi"),)
    assert conversation.call_ids == {"x"}, "the id is used all the same"


def test_a_message_and_its_copy_on_one_path_are_shown_once() -> None:
    nodes = [node("a", None, user("hi")), node("b", "a", user("hi").evolve(id="a"))]
    assert Conversation(nodes).provider_messages() == (UserTurn(text="hi"),)


def test_a_late_result_stands_beside_its_call() -> None:
    nodes = [
        node("a", None, asking("x", "y")),
        node("b", "a", user("and now?")),
        node("c", "b", answered("y")),
        node("d", "c", answered("x")),
    ]
    _, results, last = Conversation(nodes).provider_messages()
    assert isinstance(results, ToolTurn)
    assert [result.output for result in results.results] == ["of x", "of y"]
    assert last == UserTurn(text="and now?")
