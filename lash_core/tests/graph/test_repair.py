"""Whatever part of a turn became durable: after repair a model can be asked again (T6)."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from lash_core.graph.conversation import Conversation, repair
from lash_hookspecs.records.graph import Node
from lash_hookspecs.records.models import AssistantTurn, ModelMessage, ToolTurn, UserTurn
from lash_hookspecs.records.payloads import Message, Part, Payload, TextPart, ToolCallPart, ToolInvocation, kind_of
from lash_hookspecs.records.tools import ToolCall, ToolResult, ToolStatus


def complaints(messages: Sequence[ModelMessage]) -> list[str]:
    """What a strict provider would answer 400 to, found without any code of ours."""
    found: list[str] = []
    seen: set[str] = set()
    for at, message in enumerate(messages):
        if isinstance(message, AssistantTurn):
            calls = [part.call.call_id for part in message.parts if isinstance(part, ToolCallPart)]
            texts = [part.text for part in message.parts if isinstance(part, TextPart)]
            if not calls and not "".join(texts).strip():
                found.append(f"message {at} says nothing")
            found += [f"call {call_id} comes twice" for call_id in calls if call_id in seen or calls.count(call_id) > 1]
            seen.update(calls)
            after = messages[at + 1] if at + 1 < len(messages) else None
            results = [result.call_id for result in after.results] if isinstance(after, ToolTurn) else []
            if results != calls:
                found.append(f"message {at} has the calls {calls} and behind it the results {results}")
        elif isinstance(message, ToolTurn):
            before = messages[at - 1] if at else None
            if not isinstance(before, AssistantTurn) or not message.results:
                found.append(f"the results of message {at} follow no call")
    return found


def nodes_of(payloads: Sequence[Payload]) -> list[Node]:
    return [
        Node(f"n{at}", f"n{at - 1}" if at else None, at, kind_of(payload), payload.to_bytes())
        for at, payload in enumerate(payloads)
    ]


def repaired(payloads: Sequence[Payload]) -> tuple[list[Payload], Conversation]:
    mended = [*payloads, *repair(Conversation(nodes_of(payloads)))]
    return mended, Conversation(nodes_of(mended))


ids = st.sampled_from(["a", "b", "c", "d", "e", "f"])
users = st.builds(lambda text: Message(role="user", parts=(TextPart(text=text),)), st.sampled_from(["go", "on"]))
parts = st.lists(
    st.one_of(
        ids.map(lambda call_id: ToolCallPart(call=ToolCall(call_id=call_id, tool="t"))),
        st.sampled_from(["", " ", "hm"]).map(lambda text: TextPart(text=text)),
    ),
    max_size=4,
)
assistants = parts.map(lambda made: Message(role="assistant", parts=tuple(made)))
statuses: st.SearchStrategy[ToolStatus] = st.sampled_from(["ok", "error", "cancelled"])
results = st.builds(
    lambda call_id, status: ToolInvocation(result=ToolResult(call_id=call_id, tool="t", status=status)), ids, statuses
)
wild_logs: st.SearchStrategy[list[Payload]] = st.lists(st.one_of(users, assistants, results), max_size=14)


@st.composite
def turns(draw: st.DrawFn) -> list[Payload]:
    """Logs as turns make them: calls with fresh or used ids, some of their results, in any order, here or later."""
    log: list[Payload] = []
    late: list[Payload] = []
    for _ in range(draw(st.integers(1, 4))):
        log.append(draw(users))
        for _ in range(draw(st.integers(0, 3))):
            message = draw(assistants)
            log.append(message)
            made: list[Payload] = [
                ToolInvocation(result=ToolResult(call_id=call.call_id, tool="t", status=draw(statuses)))
                for call in draw(st.permutations(message.tool_calls))
            ]
            for result in made:
                draw(st.sampled_from([log, log, late, []])).append(result)
    return [*log, *late]


logs = st.one_of(wild_logs, turns())


@given(logs, st.integers(0, 14))
def test_every_prefix_of_every_log_can_be_sent_to_a_model_after_repair(log: list[Payload], cut: int) -> None:
    _, conversation = repaired(log[:cut])
    assert complaints(conversation.provider_messages()) == []
    assert conversation.unanswered == ()


@given(logs, st.integers(0, 14))
def test_what_is_shown_before_repair_is_valid_too(log: list[Payload], cut: int) -> None:
    assert complaints(Conversation(nodes_of(log[:cut])).provider_messages()) == []


@given(logs)
def test_repairing_twice_adds_nothing(log: list[Payload]) -> None:
    _, conversation = repaired(log)
    assert repair(conversation) == ()


@given(logs, st.sampled_from(["interrupted", "outcome_unknown", "cancelled"]))
def test_a_call_without_a_result_gets_one_marked_result(log: list[Payload], status: ToolStatus) -> None:
    conversation = Conversation(nodes_of(log))
    missing = [call.call_id for call in conversation.unanswered]
    added = repair(conversation, dict.fromkeys(missing, status))
    assert [each.result.call_id for each in added] == missing
    assert {each.result.status for each in added} <= {status}
    assert all(each.result.error_code == status and each.result.output for each in added)


@given(logs)
def test_repair_keeps_every_result_that_is_there(log: list[Payload]) -> None:
    def told(conversation: Conversation) -> list[ToolResult]:
        return [
            result
            for message in conversation.provider_messages()
            if isinstance(message, ToolTurn)
            for result in message.results
            if result.status in ("ok", "error", "cancelled")
        ]

    _, after = repaired(log)
    assert told(after) == told(Conversation(nodes_of(log)))


@given(logs)
def test_a_late_result_does_not_undo_a_repair(log: list[Payload]) -> None:
    mended, conversation = repaired(log)
    late: list[Payload] = [
        ToolInvocation(result=ToolResult(call_id=call_id, tool="t", output="late"))
        for call_id in sorted(conversation.call_ids)
    ]
    assert Conversation(nodes_of([*mended, *late])).provider_messages() == conversation.provider_messages()


@given(logs)
def test_repair_only_reads(log: list[Payload]) -> None:
    conversation = Conversation(nodes_of(log))
    before = conversation.provider_messages()
    repair(conversation)
    assert conversation.provider_messages() == before


def test_an_unknown_outcome_is_said_in_words_that_a_model_understands() -> None:
    log: list[Payload] = [Message(role="assistant", turn_index=3, parts=(_call("x"),))]
    assert repair(Conversation(nodes_of(log))) == (
        ToolInvocation(
            result=ToolResult(
                call_id="x",
                tool="t",
                status="outcome_unknown",
                error_code="outcome_unknown",
                output="The outcome of this call is unknown: the process stopped while it ran. "
                "It may have taken effect.",
            ),
            turn_index=3,
        ),
    )


def _call(call_id: str) -> Part:
    return ToolCallPart(call=ToolCall(call_id=call_id, tool="t"))


def test_the_checker_itself_complains() -> None:
    two = AssistantTurn(parts=(_call("x"), _call("y")))
    both = ToolTurn(results=(ToolResult(call_id="x", tool="t"), ToolResult(call_id="y", tool="t")))
    assert complaints([UserTurn(text="go"), two, both]) == []
    swapped = both.evolve(results=tuple(reversed(both.results)))
    wrong: list[list[ModelMessage]] = [
        [two],
        [two, swapped],
        [two, both.evolve(results=both.results[:1])],
        [both],
        [two, both, two, both],
        [AssistantTurn(parts=(TextPart(text=" "),))],
    ]
    assert all(complaints(messages) for messages in wrong)
