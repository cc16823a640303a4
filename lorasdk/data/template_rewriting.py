"""Rewrites a parsed chat template so that each of its steps asks the budget first.

What Jinja compiles to a call of its environment (operators, filters, calls) is met there. Loops, literal text,
comparisons, slices and lists are compiled to bare Python, so these are given filters to pass through.
"""

from __future__ import annotations

from jinja2 import nodes
from jinja2.exceptions import SecurityError

CHARGE, STEP, BUILT, CONCATENATE = "charge()", "step()", "built()", "concatenate()"
"""Filters of ours, under names that no template can write."""


def rewrite(template: nodes.Template) -> None:
    """Change a template in place.

    Raises:
        SecurityError: it stores something under a name of Python's own.
    """
    _rewrite_fields(template)


def _rewrite_fields(node: nodes.Node) -> None:
    for name, value in node.iter_fields():
        if isinstance(value, nodes.Node):
            setattr(node, name, _rewritten(value))
        elif isinstance(value, list):
            parts = [_rewritten(part) if isinstance(part, nodes.Node) else part for part in value]
            setattr(node, name, [each for part in parts for each in _with_charge(part)])


def _rewritten(node: nodes.Node) -> nodes.Node:
    _rewrite_fields(node)
    match node:
        case nodes.NSRef() if node.attr.startswith("_"):
            raise SecurityError(f"a chat template cannot store {node.attr!r}")
        case nodes.For():
            if not (node.body and isinstance(node.body[0], nodes.ExprStmt)):
                node.body.insert(0, nodes.ExprStmt(_charge(0)))
            if node.test is not None:
                node.test = nodes.And(_charge(0), node.test)
        case nodes.Compare():
            node.expr = _filtered(node.expr, STEP)
        case nodes.Concat():
            return _filtered(nodes.List(node.nodes), CONCATENATE)
        case nodes.List() if all(isinstance(item, nodes.Const) for item in node.items):
            return node
        case nodes.List() | nodes.Dict() | nodes.Tuple(ctx="load") | nodes.Getitem(arg=nodes.Slice()):
            return _filtered(node, BUILT)
    return node


def _with_charge(part: object) -> list[object]:
    """A statement, behind one that pays for the literal text it writes."""
    written = part.nodes if isinstance(part, nodes.Output) else []
    literal = sum(len(each.data) for each in written if isinstance(each, nodes.TemplateData))
    return [nodes.ExprStmt(_charge(literal)), part] if literal else [part]


def _charge(characters: int) -> nodes.Filter:
    return _filtered(nodes.Const(characters), CHARGE)


def _filtered(value: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(value, name, [], [], None, None)
