"""Read conditions on the columns of samples.parquet, such as "sex == 'female' and age >= 18".

Python's own parser reads the text and nothing of it is ever executed: names of columns, numbers, text, comparisons,
`and`, `or`, `not`, `in` and `is null` are all that is accepted. `shards.selection.rows` finds the rows that fulfil one.
"""

import ast
import warnings
from collections.abc import Sequence

from shards.errors import SubsetError

EXAMPLE = "sex == 'female' and age >= 18"
MOST_CHARACTERS, MOST_PARTS, DEEPEST = 2000, 300, 20
LARGEST = 2.0**63
"""Largest number that may be compared with, either way: sample ids are below it."""
ANY_COLUMN = "column"
"""Name that stands for any column: column['Pleural Effusion']."""

_OPERATORS = {
    **{ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="},
    **{ast.In: "in", ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not"},
}


def parse(text: str) -> ast.expr:
    """Parse a condition. Raises SubsetError for anything that is not one, or is too long or too deep."""
    if len(text) > MOST_CHARACTERS:
        raise SubsetError(
            f"a condition on rows of {len(text):,} characters is too long ({MOST_CHARACTERS:,}): shorten it"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of backslashes in text
            found = ast.parse(text.replace("\n", " ").strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        raise SubsetError(f"{_cut(text)!r} is no condition on rows ({said}). Write it as in {EXAMPLE!r}") from error
    try:
        _check_size(found)
        _check(found)
    except SubsetError as error:
        raise SubsetError(f"{_cut(text)!r}: {error}") from error
    return found


def text_of(condition: ast.expr) -> str:
    """Write a condition in one way, however it was spelled."""
    if isinstance(condition, ast.BoolOp):
        word = " and " if isinstance(condition.op, ast.And) else " or "
        return word.join(_bracketed(value) for value in condition.values)
    if isinstance(condition, ast.UnaryOp) and isinstance(condition.op, ast.Not):
        return f"not {_bracketed(condition.operand)}"
    if isinstance(condition, ast.Compare):
        words = [text_of(condition.left)]
        for op, right in zip(condition.ops, condition.comparators, strict=True):
            words += [_OPERATORS[type(op)], text_of(right)]
        return " ".join(words)
    if isinstance(condition, ast.Tuple | ast.List | ast.Set):
        values = [text_of(value) for value in condition.elts]
        return f"({', '.join(values)}{',' if len(values) == 1 else ''})"
    return "null" if _is_null(condition) else ast.unparse(condition)


def clauses(condition: ast.expr) -> list[ast.expr]:
    """The conditions that are joined by `and` at the top, in their order."""
    if isinstance(condition, ast.BoolOp) and isinstance(condition.op, ast.And):
        return [clause for value in condition.values for clause in clauses(value)]
    return [condition]


def joined(conditions: Sequence[ast.expr]) -> ast.expr:
    """Join conditions by `and`."""
    every = [clause for condition in conditions for clause in clauses(condition)]
    return every[0] if len(every) == 1 else ast.BoolOp(ast.And(), every)


def column_name(node: ast.AST) -> str | None:
    """Name of a column as it is written, None for anything else: a bare name, or column['any name']."""
    if isinstance(node, ast.Name) and node.id != "null":
        return node.id
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == ANY_COLUMN:
        key = node.slice
        return key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else None
    return None


def literal(node: ast.expr) -> object:
    """A number, with its sign, or text; None for anything else."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = node.operand.value if isinstance(node.operand, ast.Constant) else None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return -value if isinstance(node.op, ast.USub) else value
    return node.value if isinstance(node, ast.Constant) else None


def _bracketed(node: ast.expr) -> str:
    return f"({text_of(node)})" if isinstance(node, ast.BoolOp) else text_of(node)


def _check_size(node: ast.expr) -> None:
    """Raise SubsetError for more parts, or a deeper nesting, than a person writes; the rest may then recurse."""
    parts, level, depth = 0, [node], 0
    while level:
        parts, depth = parts + len(level), depth + 1
        if parts > MOST_PARTS or depth > DEEPEST:
            raise SubsetError(f"it has more than {MOST_PARTS} parts or is nested more than {DEEPEST} deep: simplify it")
        level = [child for one in level for child in ast.iter_child_nodes(one) if isinstance(child, ast.expr)]


def _check(node: ast.expr) -> None:
    """Raise SubsetError for what is no condition."""
    if isinstance(node, ast.BoolOp):
        for value in node.values:
            _check(value)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        _check(node.operand)
    elif isinstance(node, ast.Compare):
        left = node.left
        for op, right in zip(node.ops, node.comparators, strict=True):
            _check_comparison(left, op, right)
            left = right
    elif column_name(node) is not None:
        shown = ast.unparse(node)
        raise SubsetError(f"{shown} alone is no condition: write {shown} == 1 for a label, or compare it otherwise")
    else:
        raise SubsetError(f"{_shown(node)} is no condition: compare columns with values, as in {EXAMPLE!r}")


def _check_comparison(left: ast.expr, op: ast.cmpop, right: ast.expr) -> None:
    if isinstance(op, ast.Is | ast.IsNot):
        if column_name(left) is None or not _is_null(right):
            raise SubsetError(f"`is` compares a column with null only: {_shown(left)} is null, or is not null")
        return
    _check_value(left)
    if isinstance(op, ast.In | ast.NotIn):
        if not isinstance(right, ast.Tuple | ast.List | ast.Set) or not right.elts:
            raise SubsetError(
                f"after `in` there are values in brackets, as in ap_pa in ('AP', 'PA'), not {_shown(right)}"
            )
        for value in right.elts:
            _check_value(value)
            if column_name(value) is not None:
                raise SubsetError(f"after `in` there are values only, not the column {_shown(value)}")
        if column_name(left) is None:
            raise SubsetError(f"before `in` there is a column, not {_shown(left)}")
        return
    _check_value(right)
    if column_name(left) is None and column_name(right) is None:
        raise SubsetError(f"{_shown(left)} and {_shown(right)} are both values: compare a column")


def _check_value(node: ast.expr) -> None:
    """Raise SubsetError for what is neither a column, nor a number, nor text."""
    if _is_null(node):
        raise SubsetError("a comparison with null is never true: write `is null` or `is not null`")
    if column_name(node) is not None:
        return
    value = literal(node)
    if isinstance(value, bool):
        raise SubsetError(f"no column holds {value}: labels are 1, 0, -1 (uncertain) or null")
    if not isinstance(value, str | int | float):
        raise SubsetError(f"{_shown(node)} is neither a column, nor a number, nor text in quotes")
    if not isinstance(value, str) and not abs(value) < LARGEST:
        raise SubsetError(f"{_shown(node)} is larger than any value of a column")


def _is_null(node: ast.expr) -> bool:
    constant = isinstance(node, ast.Constant) and node.value is None
    return constant or (isinstance(node, ast.Name) and node.id == "null")


def _shown(node: ast.expr) -> str:
    return _cut(ast.unparse(node), 60)


def _cut(text: str, most: int = 200) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
