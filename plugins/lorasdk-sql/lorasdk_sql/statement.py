"""The query as SQLAlchemy reads it: its bound parameters, and what can be said of it without a database."""

from __future__ import annotations

import re
from difflib import get_close_matches

from sqlalchemy import TextClause, bindparam, text

from lorasdk.contracts import LoadContext
from lorasdk.errors import Problem
from lorasdk_sql.options import SqlOptions

ORDERED = re.compile(r"\border\s+by\b", re.IGNORECASE)


def make_statement(options: SqlOptions) -> TextClause:
    """The query with its parameters; a list becomes as many of them as it has items."""
    return text(options.query).bindparams(
        *(
            bindparam(name, list(value), expanding=True) if isinstance(value, tuple) else bindparam(name, value)
            for name, value in options.parameters.items()
        )
    )


def statement_problems(options: SqlOptions, context: LoadContext) -> list[Problem]:
    """Parameters without a value, values without a parameter, several statements, and rows in no order."""
    named = list(text(options.query).compile().params)
    missing = [name for name in named if name not in options.parameters]
    unused = [name for name in options.parameters if name not in named]
    problems = [_missing(name, unused, options, context) for name in missing]
    problems += [_unused(name, named, context) for name in unused]
    # Not parsed: what is a literal is the database's to say, and a second statement could write.
    if ";" in options.query.rstrip().removesuffix(";"):
        problems.append(_several(context))
    if not ORDERED.search(options.query):
        problems.append(_unordered(context))
    return problems


def _missing(name: str, unused: list[str], options: SqlOptions, context: LoadContext) -> Problem:
    near = get_close_matches(name, unused, n=1)
    add = f"rename parameters.{near[0]} to {name}" if near else f"add parameters: {{{name}: …}}"
    return Problem(
        code="sql.missing-parameter",
        message=f"the query's parameter :{name} has no value",
        place=context.place,
        field=f"data.{context.split}.parameters",
        found=", ".join(options.parameters) or "no parameters",
        fix=f"{add}; where the query means a plain colon, write \\:{name}",
    )


def _unused(name: str, named: list[str], context: LoadContext) -> Problem:
    near = get_close_matches(name, named, n=1)
    return Problem(
        code="sql.unused-parameter",
        message=f"the query has no parameter :{name}",
        place=context.place,
        field=f"data.{context.split}.parameters.{name}",
        allowed=", ".join(named) or "no parameters, since the query names none",
        fix=f"did you mean {near[0]!r}?" if near else f"write :{name} into the query, or delete the parameter",
    )


def _several(context: LoadContext) -> Problem:
    return Problem(
        code="sql.several-statements",
        message="a semicolon may only end the query",
        place=context.place,
        field=f"data.{context.split}.query",
        allowed="one statement",
        fix="leave the other statements out; a text with a semicolon can be a bound parameter",
    )


def _unordered(context: LoadContext) -> Problem:
    return Problem(
        code="sql.no-order",
        message="the query says no order, so the same rows may come in another one next time",
        place=context.place,
        field=f"data.{context.split}.query",
        allowed="a query with ORDER BY",
        fix="end the query with ORDER BY and columns that tell its rows apart, such as ORDER BY id",
    )
