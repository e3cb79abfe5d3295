"""Find the rows of samples.parquet that fulfil a condition (`shards.selection.condition`), and tell what is there.

A value that is unknown fulfils no condition but `is null`: neither `age >= 18` nor `not age >= 18` selects an image
whose age is unknown.
"""

import ast
import difflib
import math
import operator
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from shards.errors import SubsetError
from shards.selection.condition import ANY_COLUMN, column_name, literal

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
_SHOWN = 10


def fulfilled(condition: ast.expr, samples: pd.DataFrame) -> Mask:
    """Whether each row fulfils the condition, bool [N]. Raises SubsetError for an unknown column or a value that the
    column cannot have."""
    return _answer(condition, samples).yes


def columns_of(condition: ast.expr, samples: pd.DataFrame) -> list[str]:
    """Names of the columns that a condition is about, in their order."""
    names = [column_name(node) for node in ast.walk(condition) if isinstance(node, ast.Name | ast.Subscript)]
    found = [_resolved(name, samples) for name in names if name not in (None, "null", ANY_COLUMN)]
    return list(dict.fromkeys(found))


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
    name = column_name(node)
    if name is None:
        value = literal(node)
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
        raise SubsetError(f"{name} may be {' or '.join(alike)}: write {ANY_COLUMN}[{alike[0]!r}]")
    close = difflib.get_close_matches(name.lower(), [column.lower() for column in known], 3, 0.6)
    meant = [column for column in known if column.lower() in close]
    hint = f"did you mean {' or '.join(meant)}? " if meant else ""
    raise SubsetError(f"there is no column {name}; {hint}there are {', '.join(known)}")


def _word(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) and math.isfinite(value) else str(value)
