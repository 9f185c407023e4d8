"""What the engine's values have in common.

msgspec makes them: a changed copy costs a twelfth of a named tuple's, and they are stored as they are.
"""

from msgspec import Struct


class Immutable(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """A value that never changes, and refers to nothing that refers back to it. Written as an array of its fields."""
