"""Label values as symbols of a small alphabet, for class mixes and for comparing people with models."""

from shared.labels import (
    Boxes,
    Choice,
    Choices,
    LabelValue,
    Masks,
    Mixed,
    Polygons,
    Rating,
    Relations,
    Segments,
    Spans,
    Tracks,
    Transcript,
    category,
)

NOTHING = "(none)"
MAX_SYMBOL = 200


def symbols(value: LabelValue) -> tuple[str, ...]:
    """The classes that a value names, each once, sorted; `(none)` where it names none.

    A set of choices counts once for each of its classes, a structured value once for each class of its objects, so the
    alphabet stays as small as the project's class list; parts of a mix count by themselves. Ratings are rounded to
    three digits.
    """
    if type(value) is Choice:  # nearly all of them; `match` asks the metaclass of pydantic, which is slow
        return (value.choice,)
    match value:
        case Choices():
            names = set(value.choices)
        case Rating():
            return (f"{value.rating:.3g}",)
        case Transcript():
            return (NOTHING if not value.text else "transcript",)
        case Spans() | Relations():
            names = {span.label for span in value.spans}
        case Boxes():
            names = {box.label for box in value.boxes}
        case Polygons():
            names = {polygon.label for polygon in value.polygons}
        case Masks():
            names = {mask.label for mask in value.masks}
        case Segments():
            names = {segment.label for segment in value.segments}
        case Tracks():
            names = {track.label for track in value.tracks}
        case Mixed():
            names = {f"{name}: {each}"[:MAX_SYMBOL] for name, part in value.parts.items() for each in symbols(part)}
    return tuple(sorted(names)) or (NOTHING,)


def agree(human: LabelValue, model: LabelValue) -> bool:
    """Whether a person's label equals the model's proposal: the same category, for structured values exactly."""
    return category(human) == category(model)
