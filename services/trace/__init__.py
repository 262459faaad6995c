"""The embedded trace backend: OTLP in, SQLite, Jaeger's JSON query API and a page out."""
