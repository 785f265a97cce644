"""The API application behind the edge: reads, operation pages, OpenAPI."""
