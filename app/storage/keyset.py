"""Keyset paging: rows on the far side of a position, by several columns at once."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, literal, tuple_


def below(columns: Sequence[Any], position: Sequence[Any]) -> ColumnElement[bool]:
    """Whether a row stands below a position. Values are bound as their columns' types are on this engine."""
    compared: ColumnElement[bool] = tuple_(*columns) < _bound(columns, position)
    return compared


def above(columns: Sequence[Any], position: Sequence[Any]) -> ColumnElement[bool]:
    """Whether a row stands above a position."""
    compared: ColumnElement[bool] = tuple_(*columns) > _bound(columns, position)
    return compared


def _bound(columns: Sequence[Any], position: Sequence[Any]) -> Any:
    return tuple_(*(literal(value, column.type) for column, value in zip(columns, position, strict=True)))
