"""The schema. The file is a cache of what happened: an older layout is dropped, not migrated."""

# Marks the file as ours, so that no other database is ever dropped by mistake ("CrTr").
APPLICATION_ID = 0x43725472
SCHEMA_VERSION = 1

TABLES = ("spans", "traces", "operations", "origins", "services")

# AUTOINCREMENT: an id is not given twice, so that a span never shows the wrong service after the
# least used names were deleted.
# A root's parent is an empty blob, not NULL: NULLs would differ from each other in the unique
# index, and a batch that an exporter sends twice would then be stored twice.
# That index is the only full one on spans. Its last two columns make it answer by itself which
# services a trace touches and who called whom; each further index would cost every insert.
SCHEMA = """
CREATE TABLE services (
    service_id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    last_used_us INTEGER NOT NULL
);
CREATE TABLE operations (
    operation_id INTEGER PRIMARY KEY AUTOINCREMENT,
    service_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    kind INTEGER NOT NULL,
    last_used_us INTEGER NOT NULL,
    UNIQUE (service_id, name, kind)
);
CREATE TABLE origins (
    origin_id INTEGER PRIMARY KEY AUTOINCREMENT,
    service_id INTEGER NOT NULL,
    resource BLOB NOT NULL,
    scope BLOB NOT NULL,
    last_used_us INTEGER NOT NULL,
    UNIQUE (resource, scope)
);
CREATE TABLE traces (
    trace_id BLOB NOT NULL PRIMARY KEY,
    start_us INTEGER NOT NULL,
    end_us INTEGER NOT NULL,
    last_seen_us INTEGER NOT NULL,
    byte_count INTEGER NOT NULL,
    has_error INTEGER NOT NULL,
    is_notable INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX traces_by_start ON traces (start_us);
CREATE INDEX traces_by_retention ON traces (is_notable, last_seen_us, byte_count);
CREATE TABLE spans (
    span_key INTEGER PRIMARY KEY,
    trace_id BLOB NOT NULL,
    span_id BLOB NOT NULL,
    service_id INTEGER NOT NULL,
    parent_span_id BLOB NOT NULL,
    origin_id INTEGER NOT NULL,
    operation_id INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    start_us INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    is_error INTEGER NOT NULL,
    transaction_id TEXT,
    raw BLOB NOT NULL,
    UNIQUE (trace_id, span_id, service_id, parent_span_id)
);
CREATE INDEX spans_by_transaction ON spans (transaction_id) WHERE transaction_id IS NOT NULL;
"""
