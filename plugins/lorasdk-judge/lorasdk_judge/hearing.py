"""Gets a verdict for each case: several at a time, with one repair of what is no verdict, and none made up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lorasdk import InferenceError
from lorasdk_judge.endpoint import Endpoint, open_endpoint
from lorasdk_judge.options import JudgeOptions
from lorasdk_judge.prompt import Case, repair_request
from lorasdk_judge.reply import Reply
from lorasdk_judge.spending import Spending
from lorasdk_judge.verdict import NoVerdictError, Verdict, read_verdict, shortened

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam


class RefusalError(Exception):
    """The judge will not judge this case."""


@dataclass
class Hearing:
    """One round of questions to a judge."""

    options: JudgeOptions
    spending: Spending
    place: str
    """Where the recipe names the evaluator."""
    keep: Callable[[str, Verdict], None]
    """Called with each case's key and verdict as soon as there is one, so that nothing paid for is lost."""
    failures: dict[int, Exception] = field(default_factory=dict)
    """Row to why it got no verdict."""
    refuses_form: bool = False
    """Whether the endpoint turned out to refuse enforcing the verdict's form."""

    async def hear(self, cases: Sequence[Case]) -> None:
        """Get a verdict for each case, or a failure.

        Raises:
            InferenceError: the endpoint cannot be used; requests under way are abandoned.
        """
        from anyio import CancelScope

        waiting = iter(cases)
        async with open_endpoint(self.options, self.spending, self.place) as endpoint:
            workers = [asyncio.ensure_future(self._work(endpoint, waiting)) for _ in range(self.options.max_parallel)]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                with CancelScope(shield=True):  # a stop must not cut short how it is obeyed
                    await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, endpoint: Endpoint, waiting: Iterator[Case]) -> None:
        for case in waiting:
            try:
                self.keep(case.key, await self._verdict(endpoint, case))
            except (NoVerdictError, RefusalError) as error:
                self.failures[case.row] = error

    async def _verdict(self, endpoint: Endpoint, case: Case) -> Verdict:
        messages: list[ChatCompletionMessageParam] = [
            {"role": "system", "content": case.system},
            {"role": "user", "content": case.user},
        ]
        reply = await self._reply(endpoint, case, messages)
        try:
            return self._read(reply)
        except NoVerdictError as error:
            messages += [
                {"role": "assistant", "content": reply.text or "(nothing)"},
                {"role": "user", "content": repair_request(str(error), self.options)},
            ]
        return self._read(await self._reply(endpoint, case, messages))

    async def _reply(self, endpoint: Endpoint, case: Case, messages: Sequence[ChatCompletionMessageParam]) -> Reply:
        structured = self.options.structured_output and not self.refuses_form
        try:
            return await endpoint.ask(messages, row=case.row, structured=structured)
        except InferenceError as error:
            if not structured or error.code != "judge.request-refused":
                raise
            # It may be the form that is refused. If it is the row, plain text is refused too, and that is raised.
            reply = await endpoint.ask(messages, row=case.row, structured=False)
            self.refuses_form = True
            return reply

    def _read(self, reply: Reply) -> Verdict:
        if reply.refusal:
            raise RefusalError(f"it refuses: {shortened(reply.refusal)}")
        if reply.cut_off:
            raise NoVerdictError("it was cut off at the endpoint's limit of tokens")
        try:
            return read_verdict(reply.text, self.options)
        except NoVerdictError as error:
            raise NoVerdictError(f"{error}; it said {shortened(reply.text)!r}") from error
