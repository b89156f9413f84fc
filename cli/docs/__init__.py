"""The generated files: golden schemas, docs/flow.md, docs/settings.md, docs/asyncapi, docs/openapi.json."""
