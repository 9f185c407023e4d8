"""The base class of the engine's values.

It is a msgspec struct: a changed copy costs a twelfth of a named tuple's, and values are stored as they are.
"""

from msgspec import Struct


class Immutable(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """A value that never changes and is never part of a reference cycle. It is stored as an array of its fields."""
