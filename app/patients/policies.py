"""Rules of what a patient is called: which texts are one and the same, and which characters nobody can see."""

import unicodedata

# Characters that show nothing, though Unicode counts them as letters, marks or symbols. Source: Unicode 15,
# DerivedCoreProperties.txt (Default_Ignorable_Code_Point), and the blank of Braille.
_BLANK_LETTERS = frozenset({0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0})
_BLANK_RANGES = ((0x180B, 0x180F), (0xFE00, 0xFE0F), (0xE0100, 0xE01EF))
# Persian and several scripts of India need these between letters.
_JOINERS = frozenset("\u200c\u200d")


def trimmed(text: str) -> str:
    """The text without blanks around it, in Unicode's composed form (NFC)."""
    return unicodedata.normalize("NFC", text).strip()


def caseless(text: str) -> str:
    """What two spellings of one identifier have in common. Source: the Unicode Standard, D145, canonical caseless
    matching."""
    decomposed = unicodedata.normalize("NFD", trimmed(text))
    return unicodedata.normalize("NFC", decomposed.casefold())


def invisible(text: str, *, joiners: bool = False) -> str | None:
    """The name of the first character that nobody can see or tell from a space; None if there is none. `joiners`: those
    between letters are allowed, as names of people need them."""
    for character in text:
        if joiners and character in _JOINERS:
            continue
        code, category = ord(character), unicodedata.category(character)
        is_blank = code in _BLANK_LETTERS or any(first <= code <= last for first, last in _BLANK_RANGES)
        if is_blank or category[0] == "C" or (category[0] == "Z" and character != " "):
            unnamed = "a control character" if category == "Cc" else "a character without a name"
            return f"{unicodedata.name(character, unnamed)} (U+{code:04X})"
    return None
