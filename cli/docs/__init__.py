"""The generated files: golden schemas, flow, settings, asyncapi and openapi in docs/, Grafana dashboards."""
