"""`ToolConformance`: what holds of a provider of tools (T2, T3)."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from lash_conformance.clauses import Clause, Clauses, needs
from lash_conformance.subject import Suite
from lash_conformance.suites.cancels import break_off
from lash_conformance.values import check_fits, check_json, check_schema, check_words, secrets_shown
from lash_hookspecs.protocols.tools import (
    Attachment,
    DynamicTools,
    LazyContracts,
    ToolCallContext,
    ToolOutput,
    ToolProvider,
)
from lash_hookspecs.records.tools import ToolCall, ToolSpec
from lash_hookspecs.specs.offers import ToolSetup
from lash_hookspecs.testing import FakeSession
from pydantic import JsonValue

__all__ = ["ToolConformance"]

#: Arguments that no tool can have wished for.
_WRONG: tuple[dict[str, JsonValue], ...] = (
    {},
    {"nobody_knows_this": 1},
    {"path": None, "text": [], "number": {}},
    {"path": "\x00", "text": "\x00", "number": float(10**300)},
)


class ToolConformance(Clauses, Suite, level="core", about="tools"):
    """Every clause of the contract that can be proved at a provider of tools, as tests.

    Derive from it, in a test module, and say how the tools are made and called::

        class TestMyTools(ToolConformance):
            build_tools = staticmethod(my_tools)
            calls = {"read_note": {"name": "milk"}, "write_note": {"name": "bread", "text": "rye"}}

            def prepare(self, setup):
                (setup.root / "milk").write_text("two litres")

    Attributes:
        build_tools: ``(ToolSetup) -> ToolProvider``, as a `ToolOffer` has it.
        calls: The arguments of a call that ends well, by the tool's name.
        failing: The arguments of a call that ends in an error, by the tool's name.
        slow_call: A tool and the arguments of a call that lasts until it is cancelled.
        unlisted: Names of tools that are not listed and are found by their names.
        secrets: What no error, text of a tool or repr may hold.
    """

    build_tools: ClassVar[Callable[..., ToolProvider]]
    calls: ClassVar[Mapping[str, Mapping[str, JsonValue]]] = {}
    failing: ClassVar[Mapping[str, Mapping[str, JsonValue]]] = {}
    slow_call: ClassVar[tuple[str, Mapping[str, JsonValue]] | None] = None
    unlisted: ClassVar[Sequence[str]] = ()
    secrets: ClassVar[tuple[str, ...]] = ()
    lash_kind = "tools"
    lash_requires = ("build_tools",)

    @classmethod
    def lash_title(cls) -> str:
        """Say what it is."""
        return "is a set of tools"

    @classmethod
    def lash_not_run(cls, clause: Clause) -> str | None:
        """Say why a test of a clause is left out for these tools."""
        missing = [need for need in clause.needs if not getattr(cls, need)]
        return f"not run: no {missing[0]}" if missing else None

    def prepare(self, setup: ToolSetup) -> None:
        """Put what the calls need where they look for it, such as files into ``setup.root``."""

    def look(self, setup: ToolSetup) -> object:
        """Give all that the tools could change, to be compared; by default the files below ``setup.root``."""
        return {
            str(path.relative_to(setup.root)): path.read_bytes() if path.is_file() else None
            for path in sorted(setup.root.rglob("*"))
        }

    @pytest.fixture
    def setup(self, tmp_path: Path) -> ToolSetup:
        """What the tools are built with: a folder of their own, prepared."""
        setup = ToolSetup(session_id="chat", root=tmp_path / "root")
        setup.root.mkdir()
        self.prepare(setup)
        return setup

    @pytest.fixture
    def tools(self, setup: ToolSetup) -> ToolProvider:
        """The tools."""
        return type(self).build_tools(setup)

    @pytest.fixture
    def patience(self, request: pytest.FixtureRequest) -> float:
        """Seconds after which a call is given up."""
        seconds: float = request.config.getoption("lash_patience")
        return seconds

    def test_T2_specs__each_tool_has_a_name_of_its_own_and_a_json_schema(self, tools: ToolProvider) -> None:
        specs = tools.specs()
        assert all(isinstance(spec, ToolSpec) for spec in specs), f"specs() must give ToolSpecs, not {specs!r}"
        names = [spec.name for spec in specs]
        assert len(names) == len(set(names)), f"two tools have one name: {sorted(names)}"
        for spec in specs:
            ToolSpec.model_validate(spec.model_dump())
            check_schema(spec)
            assert spec.description.strip(), f"{spec.name!r} has no description: no model will know what it is for"
            lazy = spec.input_schema is None and isinstance(tools, LazyContracts)
            assert spec.input_schema is not None or lazy, f"{spec.name!r} has no schema and the provider no contract()"
            retried = spec.retry.attempts > 1 and spec.kind == "side_effecting"
            assert not retried, f"{spec.name!r} is side_effecting and would be tried again"

    @needs("calls")
    def test_T2_specs__the_calls_of_this_class_fit_the_schemas(self, tools: ToolProvider) -> None:
        specs = {spec.name: spec for spec in tools.specs()}
        for name, arguments in self.calls.items():
            assert name in {*specs, *self.unlisted}, f"there is no tool {name!r}; there are {sorted(specs)}"
            if name in specs:
                check_fits(specs[name], arguments)

    async def test_P12_stable__the_list_is_the_same_each_time(self, tools: ToolProvider, setup: ToolSetup) -> None:
        first = [spec.model_dump() for spec in tools.specs()]
        assert [spec.model_dump() for spec in tools.specs()] == first, "specs() gives another list each time"
        assert [spec.model_dump() for spec in type(self).build_tools(setup).specs()] == first, (
            "each object has another list"
        )
        for name in self.calls:
            await _ended(self._call(tools, name))
        assert [spec.model_dump() for spec in tools.specs()] == first, "calls have changed the list"

    @needs("calls")
    async def test_T2_results__each_call_gives_json_text_or_files(self, tools: ToolProvider) -> None:
        for name in self.calls:
            _check_output(await self._call(tools, name), f"what {name!r} gives")
        self._others_are_not_run(tools)

    async def test_T2_arguments__whatever_is_asked_ends_in_an_answer_or_in_words(
        self, tools: ToolProvider, patience: float
    ) -> None:
        for name in self._quick(tools):
            for arguments in (*_WRONG, *_spoiled(self.calls.get(name, {}))):
                async with asyncio.timeout(patience):
                    answer = await _ended(self._call(tools, name, arguments))
                if isinstance(answer, BaseException):
                    check_words(answer, f"{name!r} called with {arguments!r}")

    @needs("failing")
    async def test_T2_errors__a_call_that_fails_says_why(self, tools: ToolProvider) -> None:
        for name, arguments in self.failing.items():
            answer = await _ended(self._call(tools, name, arguments))
            assert isinstance(answer, BaseException), f"{name!r} should have failed, and gave {answer!r}"
            check_words(answer, name)

    @needs("calls")
    async def test_T3_read_only__it_changes_nothing(self, tools: ToolProvider, setup: ToolSetup) -> None:
        for name in self._of_kind(tools, "read_only"):
            before = self.look(setup)
            await self._call(tools, name)
            assert self.look(setup) == before, f"{name!r} says read_only, and has changed something"

    @needs("calls")
    async def test_T3_idempotent__two_attempts_do_what_one_does(self, tools: ToolProvider, setup: ToolSetup) -> None:
        for name in self._of_kind(tools, "idempotent"):
            await self._call(tools, name)
            once = self.look(setup)
            await _ended(self._call(tools, name, attempt=2))
            assert self.look(setup) == once, f"{name!r} says idempotent, and a second attempt has done something more"

    @needs("calls")
    async def test_T3_parallel__calls_that_run_together_answer_as_they_do_alone(self, tools: ToolProvider) -> None:
        names = self._of_kind(tools, "read_only")
        alone = {name: await self._call(tools, name) for name in names}
        steady = [name for name in names if _same(await self._call(tools, name), alone[name])]
        together = [name for name in steady for _ in range(4)]
        answers = await asyncio.gather(
            *(self._call(tools, name, number=number) for number, name in enumerate(together))
        )
        for name, answer in zip(together, answers, strict=True):
            assert _same(answer, alone[name]), f"{name!r} answers otherwise while others run: {answer!r}"

    @needs("calls")
    async def test_T3_cancel__cancelled_at_any_await_a_tool_can_be_called_again(
        self, tools: ToolProvider, patience: float
    ) -> None:
        for name in self._of_kind(tools, "read_only"):
            for number in itertools.count():
                async with asyncio.timeout(patience):
                    if not await break_off(self._call(tools, name), number, "at once"):
                        break
            _check_output(await self._call(tools, name), f"what {name!r} gives after calls that were cancelled")

    @needs("slow_call")
    async def test_T3_cancel__a_call_that_is_cancelled_ends(self, tools: ToolProvider, patience: float) -> None:
        assert self.slow_call is not None
        name, arguments = self.slow_call
        task = asyncio.ensure_future(self._call(tools, name, arguments))
        ended, _ = await asyncio.wait([task], timeout=0.1)
        assert not ended, f"{name!r} was to last until it is cancelled, and ended: {task}"
        task.cancel()
        ended, _ = await asyncio.wait([task], timeout=patience)
        assert ended, f"{name!r} runs on {patience} s after it was cancelled"
        assert task.cancelled(), f"{name!r} was cancelled, and ended as if it had not been: {task}"

    async def test_T2_dynamic__a_tool_that_is_not_listed_is_found_by_its_name(self, tools: ToolProvider) -> None:
        if not isinstance(tools, DynamicTools):
            assert not self.unlisted, "the provider has no resolve()"
            pytest.skip("does not apply: the provider has no resolve()")
        if not self.unlisted:
            pytest.skip("not run: no unlisted")
        for name in self.unlisted:
            spec = await tools.resolve(name)
            assert isinstance(spec, ToolSpec), f"resolve({name!r}) gave {spec!r}"
            assert spec.name == name, f"resolve({name!r}) gave the tool {spec.name!r}"
        assert await tools.resolve("nobody_has_a_tool_of_this_name") is None

    async def test_T2_dynamic__a_schema_that_is_asked_for_is_one(self, tools: ToolProvider) -> None:
        if not isinstance(tools, LazyContracts):
            pytest.skip("does not apply: the provider has no contract()")
        for spec in tools.specs():
            if spec.input_schema is None:
                schema = await tools.contract(spec.name)
                check_schema(spec.evolve(input_schema=schema))
                assert await tools.contract(spec.name) == schema, f"contract({spec.name!r}) gives another each time"

    @needs("secrets")
    async def test_L13_secrets__nothing_that_others_read_holds_one(self, tools: ToolProvider) -> None:
        shown: list[object] = [tools, *(spec.model_dump() for spec in tools.specs())]
        for name, arguments in self.failing.items():
            shown.append(await _ended(self._call(tools, name, arguments)))
        for name in self._quick(tools):
            shown += [await _ended(self._call(tools, name, wrong)) for wrong in _WRONG]
        for each in shown:
            assert not secrets_shown(each, self.secrets), f"{type(each).__name__} shows a secret"

    async def _call(
        self,
        tools: ToolProvider,
        name: str,
        arguments: Mapping[str, JsonValue] | None = None,
        *,
        number: int = 1,
        attempt: int = 1,
    ) -> Any:
        given = dict(self.calls[name] if arguments is None else arguments)
        call = ToolCall(call_id=f"call-{number}", tool=name, arguments=given)
        context = ToolCallContext(
            session_id="chat",
            turn_id="turn-1",
            call=call,
            idempotency_key=f"chat/turn-1/{number}",
            session=FakeSession("chat"),
            attempt=attempt,
        )
        return await tools.run(context)

    def _quick(self, tools: ToolProvider) -> list[str]:
        """Give the tools that end by themselves."""
        slow = self.slow_call[0] if self.slow_call else None
        return [spec.name for spec in tools.specs() if spec.name != slow]

    def _of_kind(self, tools: ToolProvider, kind: str) -> list[str]:
        found = [spec.name for spec in tools.specs() if spec.kind == kind]
        if not found:
            pytest.skip(f"does not apply: no tool says {kind}")
        called = [name for name in found if name in self.calls]
        if not called:
            pytest.skip(f"not run: calls has none of {', '.join(found)}")
        return called

    def _others_are_not_run(self, tools: ToolProvider) -> None:
        missing = [name for name in self._quick(tools) if name not in self.calls]
        if missing:
            pytest.skip(f"not run: calls has none of {', '.join(missing)}")


async def _ended(call: Any) -> Any:
    """Give what a call gives or raises."""
    try:
        return await call
    except BaseException as error:  # noqa: BLE001  which errors there may be is what is looked at
        return error


def _check_output(output: Any, what: str) -> None:
    value = output.value if isinstance(output, ToolOutput) else output
    check_json(_without_files(value), what)


def _without_files(value: Any) -> Any:
    if isinstance(value, Attachment):
        return value.ref().describe()
    if isinstance(value, list):
        return [_without_files(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_files(item) for key, item in value.items()}
    return value


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _spoiled(arguments: Mapping[str, JsonValue]) -> list[dict[str, JsonValue]]:
    """Give sound arguments with one of them spoiled, each in turn."""
    wrong: tuple[JsonValue, ...] = (None, [], {"x": 1}, "\x00", -1)
    return [{**arguments, name: each} for name in arguments for each in wrong]
