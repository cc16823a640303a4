"""Counts what judging costs: requests, tokens and, where the recipe gives prices, money."""

from __future__ import annotations

from dataclasses import dataclass

from lorasdk_judge.options import JudgeOptions

MILLION = 1_000_000


@dataclass
class Spending:
    """What scoring one model has used so far."""

    options: JudgeOptions
    requests: int = 0
    """HTTP requests sent, repeated ones included."""
    cached: int = 0
    """Verdicts that came from the cache."""
    tokens_in: int = 0
    """Tokens that the judge read, by the endpoint's count."""
    tokens_out: int = 0
    """Tokens that the judge wrote, by the endpoint's count."""
    uncounted: int = 0
    """Replies for which the endpoint gave no count."""

    def count(self, tokens_in: int, tokens_out: int) -> None:
        """Add what one reply used."""
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out

    @property
    def cost(self) -> float | None:
        """In the unit of the prices; None without prices."""
        price_in, price_out = self.options.input_price, self.options.output_price
        if price_in is None or price_out is None:
            return None
        return (self.tokens_in * price_in + self.tokens_out * price_out) / MILLION

    @property
    def exhausted(self) -> bool:
        """Whether the recipe's `max_cost` is reached."""
        return self.options.max_cost is not None and self.cost is not None and self.cost >= self.options.max_cost

    def __str__(self) -> str:
        cost = "" if self.cost is None else f", cost {self.cost:.6g} in the unit of the prices"
        gap = f"; replies without a token count, not in it: {self.uncounted}" if self.uncounted else ""
        return (
            f"requests {self.requests}, verdicts from the cache {self.cached}, "
            f"tokens in {self.tokens_in}, tokens out {self.tokens_out}{cost}{gap}"
        )
