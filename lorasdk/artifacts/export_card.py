"""The ``README.md`` of an exported model: what it is, and how far it is from the model that was trained."""

from __future__ import annotations

from lorasdk.artifacts.export_passport import ExportPassport
from lorasdk.artifacts.passport import VerificationPart

TEMPLATE = "export_card.md.jinja"


def export_card(passport: ExportPassport) -> str:
    """The card's text; the same for the same passport."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(  # noqa: S701 - Markdown, of names and numbers
        loader=PackageLoader("lorasdk.artifacts", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(TEMPLATE).render(
        passport=passport,
        name=passport.adapter.recipe["name"],
        verified=verified_line(passport.verification),
        gguf=next((name for name in passport.files if name.endswith(".gguf")), None),
    )


def verified_line(verification: VerificationPart) -> str:
    """What a comparison gave, in one sentence."""
    if verification.largest_difference is None or verification.tolerance is None:
        return f"It was not compared with the model in memory: {verification.reason}."
    measured = (
        f"log-probabilities differ by at most {verification.largest_difference:.2g} nats on {verification.prompts} "
        f"fixed prompts and {verification.rows} test rows ({verification.positions} positions, all tokens)"
    )
    if verification.verdict == "same":
        return f"Read back from the disk it was compared with the model that it was made from: {measured}."
    return (
        f"**It does not answer like the model that it was made from**: {measured}, where {verification.tolerance:g} "
        "would pass."
    )
