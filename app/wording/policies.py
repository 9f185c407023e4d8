"""From a FHIR Questionnaire to an instrument's wording: item by item, by code, never by position or display."""

from collections.abc import Iterator, Sequence

from app.errors import Fault, Invalid
from app.instruments import Instrument, Item
from app.patients.policies import invisible
from app.wording.models import FhirAnswerOption, FhirItem, WordedChoice, WordedItem

_LOINC = "http://loinc.org"
# What says the value of an answer. Sources: HL7 FHIR R4, StructureDefinition ordinalValue; FHIR R5, itemWeight.
_VALUES = (
    "http://hl7.org/fhir/StructureDefinition/ordinalValue",
    "http://hl7.org/fhir/StructureDefinition/itemWeight",
)


def worded(instrument: Instrument, items: Sequence[FhirItem]) -> list[WordedItem]:
    """The text of each item and of each of its answers. Raises Invalid, which names every item that is missing, comes
    twice, or whose answers are others."""
    found = list(_flat(items, "/item"))
    faults: list[Fault] = []
    worded_items: list[WordedItem] = []
    for item in instrument.items or (_whole(instrument),):
        named = f"{item.loinc} or {item.number}" if item.loinc else str(item.number)
        mine = [(place, one) for place, one in found if _is(item, one)]
        if len(mine) != 1:
            rule = f"must have item {item.number} in it, by linkId or code {named}"
            if mine:
                rule = f"must have item {item.number} once, by linkId or code {named}"
            faults.append(Fault("pointer", "/item", rule))
            continue
        place, one = mine[0]
        faults += _text_faults(place, one.text)
        choices = _choices(place, one.options, faults)
        values = [choice.value for choice in choices]
        is_scale = not instrument.items and not choices
        if not is_scale and sorted(values) != list(range(item.min, item.max + 1)):
            rule = f"must have each value from {item.min} to {item.max} once"
            faults.append(Fault("pointer", f"{place}/answerOption", rule))
        ordered = sorted(choices, key=lambda choice: choice.value)
        worded_items.append(WordedItem(number=item.number, text=(one.text or "").strip(), choices=ordered))
    if faults:
        raise Invalid(errors=faults[:20])
    return worded_items


def _whole(instrument: Instrument) -> Item:
    """A scale that is one question, as an item."""
    low, high = int(instrument.value(instrument.points[0])), int(instrument.value(instrument.points[-1]))
    return Item(1, instrument.name, low, high, instrument.loinc)


def _flat(items: Sequence[FhirItem], at: str) -> Iterator[tuple[str, FhirItem]]:
    for place, item in enumerate(items):
        yield f"{at}/{place}", item
        yield from _flat(item.item, f"{at}/{place}/item")


def _is(ours: Item, theirs: FhirItem) -> bool:
    last = theirs.link_id.rstrip("/").rsplit("/", 1)[-1]
    if ours.loinc is not None:
        codes = [coding.code for coding in theirs.code if coding.system == _LOINC]
        if codes:
            return ours.loinc in codes
        if last == ours.loinc:
            return True
    return last == str(ours.number)


def _choices(place: str, options: Sequence[FhirAnswerOption], faults: list[Fault]) -> list[WordedChoice]:
    found = []
    for number, option in enumerate(options):
        value, text = _value(option), None if option.coding is None else option.coding.display
        at = f"{place}/answerOption/{number}"
        if value is None:
            faults.append(Fault("pointer", at, "must say its value: valueInteger, or ordinalValue or itemWeight"))
            continue
        faults += _text_faults(at, text) if option.coding is not None else []
        found.append(WordedChoice(value=value, text=(text or str(value)).strip()))
    return found


def _value(option: FhirAnswerOption) -> int | None:
    if option.integer is not None:
        return option.integer
    extensions = [*option.extension, *(option.coding.extension if option.coding is not None else [])]
    value = next((one.decimal for one in extensions if one.url in _VALUES and one.decimal is not None), None)
    return int(value) if value is not None and value == int(value) else None


def _text_faults(place: str, text: str | None) -> list[Fault]:
    if text is None or not text.strip():
        return [Fault("pointer", f"{place}/text", "is required")]
    name = invisible(text, joiners=True)
    return [Fault("pointer", f"{place}/text", f"must not contain {name}")] if name else []
