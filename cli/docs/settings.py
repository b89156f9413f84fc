"""docs/settings.md: every environment variable, from the settings classes."""

import importlib
import json
from collections.abc import Iterator
from pathlib import Path, PurePath
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from shared.topics import PACKAGES

PATH = Path("docs/settings.md")
MODULES = ("shared.runtime.settings", *(f"{package}.settings" for package in PACKAGES.values()), "cli.settings")
HEAD = """# Settings

Generated from the settings classes by `python -m cli.docs`; do not edit. Every setting is an environment variable.
The defaults are the strict ones: TLS and SASL for Kafka, TLS for PostgreSQL. A process whose settings are wrong refuses
to start and names the variable. `labelstream up` and `labelstream demo` set what their own broker and database need.
"""


def classes() -> Iterator[type[BaseSettings]]:
    """Every settings class that is read from the environment: those with a prefix of their own."""
    for name in MODULES:
        module = importlib.import_module(name)
        for value in vars(module).values():
            is_settings = isinstance(value, type) and issubclass(value, BaseSettings)
            if is_settings and value.__module__ == name and value.model_config.get("env_prefix"):
                yield value


def variables(cls: type[BaseSettings]) -> dict[str, FieldInfo]:
    """The fields by the environment variable that sets them; a nested settings class has variables of its own."""
    prefix = cls.model_config.get("env_prefix", "")
    own = {name: field for name, field in cls.model_fields.items() if not _is_settings(field.annotation)}
    return {f"{prefix}{name}".upper(): field for name, field in own.items()}


def _is_settings(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseSettings)


def describe_type(annotation: Any) -> str:
    """A type as an operator reads it."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return " or ".join(describe_type(each) for each in arguments if each is not type(None))
    if origin is Literal:
        return ", ".join(str(value) for value in arguments)
    if origin is not None or (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return "JSON"
    if annotation is SecretStr:
        return "secret"
    if isinstance(annotation, type) and issubclass(annotation, PurePath):
        return "path"
    names = {int: "integer", float: "number", str: "text", bool: "true or false"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def describe_default(field: FieldInfo) -> str:
    default = field.default
    if default is PydanticUndefined:
        return "required"
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    if default is None or default == "":
        return "none"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default if isinstance(default, str | int | float | PurePath) else json.dumps(default, default=str)}`"


def section(cls: type[BaseSettings]) -> str:
    about = (cls.__doc__ or "").strip().splitlines()[0]
    lines = [
        f"\n## `{cls.model_config.get('env_prefix')}*`\n",
        f"{about}\n",
        "| variable | type | default | meaning |",
        "|---|---|---|---|",
    ]
    for name, field in sorted(variables(cls).items()):
        meaning = (field.description or "").replace("|", "\\|")
        lines.append(f"| `{name}` | {describe_type(field.annotation)} | {describe_default(field)} | {meaning} |")
    return "\n".join([*lines, ""])


def page() -> str:
    """The whole page."""
    return HEAD + "".join(section(cls) for cls in classes())
