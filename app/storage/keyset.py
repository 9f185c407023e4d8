"""Keyset paging: the condition that selects the rows below a position, compared by several columns at once."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, literal, tuple_


def below(columns: Sequence[Any], position: Sequence[Any]) -> ColumnElement[bool]:
    """The condition that a row's columns, as a tuple, are less than `position`. Values get the columns' types."""
    values = [literal(value, column.type) for column, value in zip(columns, position, strict=True)]
    compared: ColumnElement[bool] = tuple_(*columns) < tuple_(*values)
    return compared
