"""Which changes of a project an open round cannot outlive."""

from shared.events import ProjectSpec
from shared.labels import ChoicesSchema, RatingSchema
from shared.labels.schema import ChoiceSchema, ObjectSchema


def outdated(pinned: ProjectSpec, current: ProjectSpec) -> bool:
    """Whether answers under the pinned version could be wrong under the current one.

    So it is when a class is gone or renamed, when the kind of label is another, or when a rating's scale has changed. A
    class added, or any change of policy, is compatible.
    """
    old, new = pinned.label, current.label
    if old.kind != new.kind or pinned.data != current.data:
        return True
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
