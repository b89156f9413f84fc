"""Which changes of a project an open round cannot outlive."""

from shared.events import ProjectSpec
from shared.labels import ChoicesSchema, LabelSchema, MixedSchema, RatingSchema
from shared.labels.schema import ChoiceSchema, ObjectSchema


def outdated(pinned: ProjectSpec, current: ProjectSpec) -> bool:
    """Whether answers under the pinned version could be wrong under the current one.

    So it is when a class is gone or renamed, when the kind of label is another, or when a rating's scale has changed. A
    class added, or any change of policy, is compatible. Of a mix of kinds the same holds for each part.
    """
    return pinned.data != current.data or _outdated(pinned.label, current.label)


def _outdated(old: LabelSchema, new: LabelSchema) -> bool:
    if old.kind != new.kind:
        return True
    if isinstance(old, MixedSchema) and isinstance(new, MixedSchema):
        missing = old.parts.keys() - new.parts.keys()
        asked = new.parts.keys() - set(new.optional) - old.parts.keys()
        return bool(missing or asked) or any(_outdated(part, new.parts[name]) for name, part in old.parts.items())
    if isinstance(old, RatingSchema):
        return old != new
    if isinstance(old, ChoiceSchema | ChoicesSchema | ObjectSchema) and isinstance(
        new, ChoiceSchema | ChoicesSchema | ObjectSchema
    ):
        gone = set(old.classes) - set(new.classes)
        if isinstance(old, ObjectSchema) and isinstance(new, ObjectSchema):
            gone |= set(old.relation_classes) - set(new.relation_classes)
        return bool(gone)
    return False
