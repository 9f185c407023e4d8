"""Keyset paging: rows on the far side of a position, by several columns at once."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, literal, tuple_


def below(columns: Sequence[Any], position: Sequence[Any]) -> ColumnElement[bool]:
    """Whether a row stands below a position. Values are bound as their columns' types are on this engine."""
    values = [literal(value, column.type) for column, value in zip(columns, position, strict=True)]
    compared: ColumnElement[bool] = tuple_(*columns) < tuple_(*values)
    return compared
