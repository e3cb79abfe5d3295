"""Read conditions on the columns of samples.parquet, such as "sex == 'female' and age >= 18", and find their rows.

Python's own parser reads the text and nothing of it is ever executed: names of columns, numbers, text, comparisons,
`and`, `or`, `not`, `in` and `is null` are all that is accepted. A value that is unknown fulfils no condition but
`is null`: neither `age >= 18` nor `not age >= 18` selects an image whose age is unknown.
"""

import ast
import difflib
import math
import operator
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from shards.errors import SubsetError

EXAMPLE = "sex == 'female' and age >= 18"
MOST_CHARACTERS, MOST_PARTS, DEEPEST = 2000, 300, 20
LARGEST = 2.0**63
"""Largest number that may be compared with, either way: sample ids are below it."""

VOCABULARY: Mapping[str, tuple[str, ...]] = {
    "projection": ("frontal", "lateral"),
    "ap_pa": ("AP", "PA", "LL", "RL"),
    "sex": ("female", "male"),
    "split": ("train", "valid", "test"),
}
"""Columns of a few words: another word is a mistake, not a condition that nothing fulfils."""

Mask = npt.NDArray[np.bool_]

_ORDERS = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_OPERATORS = {
    **{ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="},
    **{ast.In: "in", ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not"},
}
_ANY_COLUMN = "column"  # column['Pleural Effusion']
_SHOWN = 10


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


def fulfilled(condition: ast.expr, samples: pd.DataFrame) -> Mask:
    """Whether each row fulfils the condition, bool [N]. Raises SubsetError for an unknown column or a value that the
    column cannot have."""
    return _answer(condition, samples).yes


def columns_of(condition: ast.expr, samples: pd.DataFrame) -> list[str]:
    """Names of the columns that a condition is about, in their order."""
    names = [_column_name(node) for node in ast.walk(condition) if isinstance(node, ast.Name | ast.Subscript)]
    found = [_resolved(name, samples) for name in names if name not in (None, "null", _ANY_COLUMN)]
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class _Answer:
    """For each row: yes, no, or neither where a value is unknown."""

    yes: Mask
    no: Mask


@dataclass(frozen=True)
class _Column:
    """Values of a column or a literal. known: where there is a value. name: None of a literal."""

    values: Any
    known: Mask | bool
    is_text: bool
    name: str | None


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
    elif _column_name(node) is not None:
        shown = ast.unparse(node)
        raise SubsetError(f"{shown} alone is no condition: write {shown} == 1 for a label, or compare it otherwise")
    else:
        raise SubsetError(f"{_shown(node)} is no condition: compare columns with values, as in {EXAMPLE!r}")


def _check_comparison(left: ast.expr, op: ast.cmpop, right: ast.expr) -> None:
    if isinstance(op, ast.Is | ast.IsNot):
        if _column_name(left) is None or not _is_null(right):
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
            if _column_name(value) is not None:
                raise SubsetError(f"after `in` there are values only, not the column {_shown(value)}")
        if _column_name(left) is None:
            raise SubsetError(f"before `in` there is a column, not {_shown(left)}")
        return
    _check_value(right)
    if _column_name(left) is None and _column_name(right) is None:
        raise SubsetError(f"{_shown(left)} and {_shown(right)} are both values: compare a column")


def _check_value(node: ast.expr) -> None:
    """Raise SubsetError for what is neither a column, nor a number, nor text."""
    if _is_null(node):
        raise SubsetError("a comparison with null is never true: write `is null` or `is not null`")
    if _column_name(node) is not None:
        return
    value = _literal(node)
    if isinstance(value, bool):
        raise SubsetError(f"no column holds {value}: labels are 1, 0, -1 (uncertain) or null")
    if not isinstance(value, str | int | float):
        raise SubsetError(f"{_shown(node)} is neither a column, nor a number, nor text in quotes")
    if not isinstance(value, str) and not abs(value) < LARGEST:
        raise SubsetError(f"{_shown(node)} is larger than any value of a column")


def _column_name(node: ast.AST) -> str | None:
    """Name of a column as it is written, None for anything else: a bare name, or column['any name']."""
    if isinstance(node, ast.Name) and node.id != "null":
        return node.id
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == _ANY_COLUMN:
        key = node.slice
        return key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else None
    return None


def _is_null(node: ast.expr) -> bool:
    constant = isinstance(node, ast.Constant) and node.value is None
    return constant or (isinstance(node, ast.Name) and node.id == "null")


def _literal(node: ast.expr) -> object:
    """A number, with its sign, or text; None for anything else."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = node.operand.value if isinstance(node.operand, ast.Constant) else None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return -value if isinstance(node.op, ast.USub) else value
    return node.value if isinstance(node, ast.Constant) else None


def _shown(node: ast.expr) -> str:
    return _cut(ast.unparse(node), 60)


def _cut(text: str, most: int = 200) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


def _answer(node: ast.expr, samples: pd.DataFrame) -> _Answer:
    if isinstance(node, ast.UnaryOp):
        inner = _answer(node.operand, samples)
        return _Answer(inner.no, inner.yes)
    if isinstance(node, ast.BoolOp):
        parts = [_answer(value, samples) for value in node.values]
        return _all(parts) if isinstance(node.op, ast.And) else _any(parts)
    assert isinstance(node, ast.Compare)  # `parse` has seen to it
    return _all(list(_links(node, samples)))


def _all(parts: Sequence[_Answer]) -> _Answer:
    return _Answer(_every([part.yes for part in parts]), _some([part.no for part in parts]))


def _any(parts: Sequence[_Answer]) -> _Answer:
    return _Answer(_some([part.yes for part in parts]), _every([part.no for part in parts]))


def _every(masks: Sequence[Mask]) -> Mask:
    return np.asarray(np.stack(masks).all(axis=0))


def _some(masks: Sequence[Mask]) -> Mask:
    return np.asarray(np.stack(masks).any(axis=0))


def _links(node: ast.Compare, samples: pd.DataFrame) -> Iterator[_Answer]:
    """The single comparisons of a chain such as 18 <= age < 60."""
    left = node.left
    for op, right in zip(node.ops, node.comparators, strict=True):
        yield _comparison(left, op, right, samples)
        left = right


def _comparison(left: ast.expr, op: ast.cmpop, right: ast.expr, samples: pd.DataFrame) -> _Answer:
    first = _operand(left, samples)
    if isinstance(op, ast.Is | ast.IsNot):
        known = np.broadcast_to(np.asarray(first.known), len(samples))
        return _Answer(~known, known) if isinstance(op, ast.Is) else _Answer(known, ~known)
    if isinstance(op, ast.In | ast.NotIn):
        assert isinstance(right, ast.Tuple | ast.List | ast.Set)
        found = _any([_compared(first, ast.Eq(), _operand(value, samples), len(samples)) for value in right.elts])
        return found if isinstance(op, ast.In) else _Answer(found.no, found.yes)
    return _compared(first, op, _operand(right, samples), len(samples))


def _compared(first: _Column, op: ast.cmpop, second: _Column, rows: int) -> _Answer:
    if first.is_text != second.is_text:
        text, number = (first, second) if first.is_text else (second, first)
        told = [f"{one.name} is a column" if one.name else f"{one.values!r} is a value" for one in (text, number)]
        raise SubsetError(f"{told[0]} of text, {told[1]} of numbers: these cannot be compared")
    if first.is_text and not isinstance(op, ast.Eq | ast.NotEq):
        name = first.name or second.name
        raise SubsetError(f"{name} is a column of text: compare it by ==, != or in")
    for column, value in ((first, second), (second, first)):
        _refuse_strange_word(column, value)
    known = np.broadcast_to(np.asarray(first.known) & np.asarray(second.known), rows)
    found = np.broadcast_to(np.asarray(_ORDERS[type(op)](first.values, second.values), dtype=bool), rows)
    return _Answer(found & known, ~found & known)


def _refuse_strange_word(column: _Column, value: _Column) -> None:
    words = VOCABULARY.get(column.name or "")
    if words is None or value.name is not None:
        return
    there = sorted({*words, *(word for word in column.values if isinstance(word, str))})
    if value.values not in there:
        raise SubsetError(f"{column.name} is {' or '.join(there)}, never {value.values!r}")


def _operand(node: ast.expr, samples: pd.DataFrame) -> _Column:
    name = _column_name(node)
    if name is None:
        value = _literal(node)
        return _Column(value, True, isinstance(value, str), None)
    column = samples[_resolved(name, samples)]
    is_text = not pd.api.types.is_numeric_dtype(column)
    return _Column(
        column.to_numpy(object if is_text else None), column.notna().to_numpy(bool), is_text, str(column.name)
    )


def _resolved(name: str, samples: pd.DataFrame) -> str:
    """Name of the column of samples.parquet that is meant: itself, or with `_` for whatever no name may hold."""
    known = [str(column) for column in samples.columns]
    if name in known:
        return name
    alike = [column for column in known if re.sub(r"\W", "_", column) == name]
    if len(alike) == 1:
        return alike[0]
    if alike:
        raise SubsetError(f"{name} may be {' or '.join(alike)}: write {_ANY_COLUMN}[{alike[0]!r}]")
    close = difflib.get_close_matches(name.lower(), [column.lower() for column in known], 3, 0.6)
    meant = [column for column in known if column.lower() in close]
    hint = f"did you mean {' or '.join(meant)}? " if meant else ""
    raise SubsetError(f"there is no column {name}; {hint}there are {', '.join(known)}")


def values_there(samples: pd.DataFrame, column: str) -> str:
    """Describe the values of a column: how often each word of a few occurs, or the range of numbers."""
    values, unknown = samples[column].dropna(), int(samples[column].isna().sum())
    more = f", unknown {unknown}" if unknown else ""
    if values.empty:
        return f"{column}: unknown everywhere"
    if pd.api.types.is_numeric_dtype(values) and values.nunique() > _SHOWN:
        return f"{column}: {values.min():g} to {values.max():g}{more}"
    counts = values.value_counts()
    shown = ", ".join(f"{_word(value)} {count}" for value, count in counts.head(_SHOWN).items())
    others = f" and {len(counts) - _SHOWN} more" if len(counts) > _SHOWN else ""
    return f"{column}: {shown}{others}{more}"


def _word(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) and math.isfinite(value) else str(value)
