"""What every string of the contract keeps to."""

from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

NUL = "U+0000 is not allowed; remove it at the source"


class NoNul:
    """An annotation of strings: U+0000 is refused, which PostgreSQL cannot store. Checked without a call of Python."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        plain = handler(source)
        checked = core_schema.custom_error_schema(
            core_schema.str_schema(pattern=r"^[^\x00]*$"), custom_error_type="nul_character", custom_error_message=NUL
        )
        document = {"pydantic_js_functions": [lambda _, describe: describe(plain)]}  # JSON Schema knows nothing of it
        return core_schema.chain_schema([plain, checked], metadata=document)
