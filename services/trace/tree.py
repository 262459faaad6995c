"""A trace as a tree of text. Pure: Jaeger's JSON in, styled lines out, nothing printed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rich.text import Text

Json = Mapping[str, Any]

_SERVICE_STYLES = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan", "bright_magenta")
_BAR_WIDTH = 24
_NAME_WIDTH_MIN = 30
_DURATION_WIDTH = 9
_GAP = 2
_INDENT_MAX = 60
_BLANK = "   "
_MILLISECOND_US = 1_000
_SECOND_US = 1_000_000
_MINUTE_US = 60 * _SECOND_US
_REASON_TAGS = ("otel.status_description", "exception.message", "error.type")
# Envoy writes the older name.
_HTTP_STATUS_TAGS = ("http.response.status_code", "http.status_code")


@dataclass(frozen=True, slots=True)
class _Drawing:
    """The characters that a terminal can show."""

    fork: str
    last: str
    through: str
    block: str
    micro: str

    def duration(self, duration_us: int) -> str:
        return format_duration(duration_us).replace("µ", self.micro)


_UNICODE = _Drawing(fork="├─ ", last="└─ ", through="│  ", block="━", micro="µ")
_ASCII = _Drawing(fork="|- ", last="`- ", through="|  ", block="=", micro="u")


@dataclass(slots=True)
class TreeSpan:
    """A span with its place in the tree."""

    span_id: str
    service: str
    operation: str
    start_us: int
    duration_us: int
    failure: str | None
    """Why it failed; empty if it does not say."""
    parent_id: str | None
    children: list["TreeSpan"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Row:
    """A span with the guides in front of it and in front of what hangs below it."""

    span: TreeSpan
    guide: str
    below: str


@dataclass(frozen=True, slots=True)
class TraceTree:
    """The roots of a trace: spans without a parent, and those whose parent is not there."""

    trace_id: str
    roots: tuple[TreeSpan, ...]
    spans: tuple[TreeSpan, ...]
    missing_parents: int

    @property
    def start_us(self) -> int:
        """When the first span began."""
        return min(span.start_us for span in self.spans)

    @property
    def duration_us(self) -> int:
        """From the first beginning to the last end."""
        return max(span.start_us + span.duration_us for span in self.spans) - self.start_us


def arrange(trace: Json) -> TraceTree:
    """Makes the tree of a trace as `/api/traces/{id}` gives it.

    Raises:
        ValueError: The trace has no span.
    """
    spans: dict[str, TreeSpan] = {}
    for raw in trace["spans"]:
        # A span that two services report, or one that came twice, is shown once.
        spans.setdefault(raw["spanID"], _span(raw, trace["processes"]))
    if not spans:
        raise ValueError("the trace has no span")
    roots = []
    missing_parents = 0
    for span in spans.values():
        parent = spans.get(span.parent_id) if span.parent_id else None
        if parent is None:
            roots.append(span)
            missing_parents += span.parent_id is not None
        else:
            parent.children.append(span)
    for span in spans.values():
        span.children.sort(key=_start)
    roots.sort(key=_start)
    # Spans that are each other's ancestors hang below no root; the earliest stands for them.
    reached = _below(roots)
    hanging = [span for span in spans.values() if span.span_id not in reached]
    while hanging:
        first = min(hanging, key=_start)
        parent = spans[first.parent_id or ""]
        parent.children.remove(first)
        roots.append(first)
        reached = _below([first])
        hanging = [span for span in hanging if span.span_id not in reached]
    return TraceTree(trace["traceID"], tuple(roots), tuple(spans.values()), missing_parents)


def is_settled(trace: Json) -> bool:
    """Tells whether a trace hangs together: one span at the top, and no parent missing."""
    if not trace["spans"]:
        return False
    tree = arrange(trace)
    return tree.missing_parents == 0 and len(tree.roots) == 1


def render_trace(trace: Json, *, width: int | None = None, ascii_only: bool = False) -> Text:
    """Draws a trace: a head line, then one line a span with its duration and place in time.

    Args:
        trace: An element of `data` in Jaeger's JSON.
        width: How many columns a line may have, for names to be cut; None cuts nothing.
        ascii_only: Draws with ASCII, for a terminal without the characters for lines and blocks.
    """
    tree = arrange(trace)
    drawing = _ASCII if ascii_only else _UNICODE
    styles = _service_styles(tree)
    lines = [_head(tree, drawing)]
    lines.extend(
        Text(f"! {_clean(warning)}", style="yellow") for warning in trace.get("warnings") or ()
    )
    if tree.missing_parents:
        noun = "span has" if tree.missing_parents == 1 else "spans have"
        lines.append(Text(f"! {tree.missing_parents} {noun} a parent that is not here", "yellow"))
    rows = list(_walk(tree.roots, drawing))
    names = [_name(row, styles) for row in rows]
    name_width = max(name.cell_len for name in names)
    if width is not None:
        room = width - _DURATION_WIDTH - _BAR_WIDTH - 2 * _GAP
        name_width = min(max(_NAME_WIDTH_MIN, room), name_width)
    for row, line in zip(rows, names, strict=True):
        if line.cell_len > name_width:
            line.truncate(name_width, overflow="crop" if ascii_only else "ellipsis")
        line.pad_right(name_width - line.cell_len + _GAP)
        duration = drawing.duration(row.span.duration_us)
        line.append(duration.rjust(_DURATION_WIDTH), style="bold")
        line.append(" " * _GAP)
        style = "red" if row.span.failure is not None else styles[row.span.service]
        line.append(_bar(row.span, tree, drawing), style=style)
        lines.append(line)
        if row.span.failure is not None:
            reason = Text(row.below, style="dim")
            reason.append(f"! {row.span.failure or 'failed'}", style="bold red not dim")
            lines.append(reason)
    return Text("\n").join(lines)


def format_duration(duration_us: int) -> str:
    """Writes a duration in the unit that a person would choose."""
    if duration_us < _MILLISECOND_US:
        return f"{duration_us} µs"
    if duration_us < _SECOND_US:
        return f"{duration_us / _MILLISECOND_US:.2f} ms"
    if duration_us < _MINUTE_US:
        return f"{duration_us / _SECOND_US:.2f} s"
    minutes, rest = divmod(duration_us, _MINUTE_US)
    return f"{minutes} min {rest // _SECOND_US} s"


def _span(raw: Json, processes: Json) -> TreeSpan:
    tags = {tag["key"]: tag["value"] for tag in raw["tags"]}
    failure = None
    if tags.get("error") in (True, "true"):
        events = {item["key"]: item["value"] for log in raw["logs"] or () for item in log["fields"]}
        reasons = [str(found) for key in _REASON_TAGS if (found := tags.get(key, events.get(key)))]
        reasons += [f"HTTP {tags[key]}" for key in _HTTP_STATUS_TAGS if _is_set(tags.get(key))]
        failure = _clean(reasons[0]) if reasons else ""
    parent_id = next(
        (
            reference["spanID"]
            for reference in raw["references"] or ()
            if reference["refType"] == "CHILD_OF" and reference["traceID"] == raw["traceID"]
        ),
        None,
    )
    process = raw.get("process") or processes.get(raw.get("processID", ""), {})
    return TreeSpan(
        span_id=raw["spanID"],
        service=_clean(process.get("serviceName", "?")),
        operation=_clean(raw["operationName"]),
        start_us=raw["startTime"],
        duration_us=raw["duration"],
        failure=failure,
        # A span that names itself as its parent is a root.
        parent_id=parent_id if parent_id != raw["spanID"] else None,
    )


def _is_set(status: object) -> bool:
    """Envoy writes the status 0 where no answer came."""
    return status not in (None, "", "0", 0)


def _below(roots: Iterable[TreeSpan]) -> set[str]:
    reached: set[str] = set()
    waiting = list(roots)
    while waiting:
        span = waiting.pop()
        if span.span_id not in reached:
            reached.add(span.span_id)
            waiting.extend(span.children)
    return reached


def _walk(roots: tuple[TreeSpan, ...], drawing: _Drawing) -> Iterable[_Row]:
    """Yields the spans from top to bottom, each with the lines that lead to it."""
    waiting = [_Row(root, "", "") for root in reversed(roots)]
    while waiting:
        row = waiting.pop()
        children = row.span.children
        yield replace(row, below=row.below + (drawing.through if children else _BLANK))
        # Deeper spans stand below each other: a very deep trace would leave no room for names.
        indent = row.below[:_INDENT_MAX]
        waiting.extend(
            _Row(
                child,
                indent + (drawing.last if child is children[-1] else drawing.fork),
                indent + (_BLANK if child is children[-1] else drawing.through),
            )
            for child in reversed(children)
        )


def _name(row: _Row, styles: Mapping[str, str]) -> Text:
    name = Text()
    name.append(row.guide, style="dim")
    name.append(row.span.service, style=f"bold {styles[row.span.service]}")
    name.append(f" {row.span.operation}", style="red" if row.span.failure is not None else "")
    return name


def _bar(span: TreeSpan, tree: TraceTree, drawing: _Drawing) -> str:
    """Draws when a span ran as a part of the whole; the shortest span still gets a mark."""
    total = max(tree.duration_us, 1)
    left = min(_BAR_WIDTH - 1, (span.start_us - tree.start_us) * _BAR_WIDTH // total)
    length = max(1, min(_BAR_WIDTH - left, round(span.duration_us * _BAR_WIDTH / total)))
    return " " * left + drawing.block * length


def _head(tree: TraceTree, drawing: _Drawing) -> Text:
    failed = sum(span.failure is not None for span in tree.spans)
    services = len({span.service for span in tree.spans})
    head = Text("trace ")
    head.append(_clean(tree.trace_id), style="bold")
    head.append(
        f"  {drawing.duration(tree.duration_us)}, {_count(len(tree.spans), 'span')}, "
        f"{_count(services, 'service')}"
    )
    if failed:
        head.append(f", {_count(failed, 'error')}", style="bold red")
    return head


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _service_styles(tree: TraceTree) -> dict[str, str]:
    services = sorted({span.service for span in tree.spans})
    return {
        service: _SERVICE_STYLES[index % len(_SERVICE_STYLES)]
        for index, service in enumerate(services)
    }


def _clean(text: object) -> str:
    """Replaces what is not printable: a span's name must not be able to steer the terminal."""
    return "".join(letter if letter.isprintable() else "�" for letter in str(text))


def _start(span: TreeSpan) -> int:
    return span.start_us
