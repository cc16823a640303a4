"""Fills in the templates: every value is escaped for where it goes, and every number keeps its exact value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from lorasdk.report.figures import FORMATS
from lorasdk.report.plain_text import fence, markdown, visible

if TYPE_CHECKING:
    from jinja2 import Environment


def as_html(template: str, values: Mapping[str, object]) -> str:
    """Fill in a template of a page; a number becomes ``<data value="0.8125">81.3%</data>``."""
    from markupsafe import Markup

    def shown(written: Callable[[float], str]) -> Callable[[float], Markup]:
        return lambda value: Markup('<data value="{}">{}</data>').format(repr(value), written(value))

    def harmless(value: object) -> object:
        return value if isinstance(value, Markup) else visible(str(value))

    environment = _environment(harmless)
    environment.filters |= {name: shown(written) for name, written in FORMATS.items()}
    environment.filters["svg"] = Markup  # what `inline_svg` made
    return environment.get_template(template).render(values)


def as_markdown(template: str, values: Mapping[str, object]) -> str:
    """Fill in a template of Markdown."""
    from markupsafe import Markup

    def shown(written: Callable[[float], str]) -> Callable[[float], Markup]:
        return lambda value: Markup(written(value))  # noqa: S704 - digits

    def harmless(value: object) -> Markup:
        return value if isinstance(value, Markup) else Markup(markdown(str(value)))  # noqa: S704 - escaped here

    def fenced(text: str) -> Markup:
        marks = fence(text)
        return Markup(f"{marks}text\n{visible(text)}\n{marks}")  # noqa: S704 - no fence inside is as long

    environment = _environment(harmless)
    environment.filters |= {name: shown(written) for name, written in FORMATS.items()}
    environment.filters["fenced"] = fenced
    return environment.get_template(template).render(values)


def _environment(harmless: Callable[[object], object]) -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("lorasdk.report"),
        autoescape=True,
        finalize=harmless,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
