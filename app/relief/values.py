"""What the engine's values have in common.

msgspec makes them: a changed copy costs a tenth of a named tuple's, and they are stored as they are.
"""

from msgspec import Struct


class Value(Struct, frozen=True, array_like=True, gc=False):
    """A value that never changes and refers to nothing that refers back to it. Stored as an array of its fields."""
