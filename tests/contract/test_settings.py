"""Settings have bounds: no slip of the finger starts a busy loop or a queue without an end."""

import importlib
import math
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, get_args

import annotated_types
import pytest
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

_NUMBERS = (int, float, timedelta)


def files() -> list[Path]:
    return [*Path("services").rglob("settings.py"), *Path("scripts").rglob("settings.py")]


def settings() -> list[type[BaseSettings]]:
    for file in files():
        importlib.import_module(".".join(file.with_suffix("").parts))
    return sorted(set(_below(BaseSettings)), key=lambda each: each.__module__)


def _below(kind: type[BaseSettings]) -> Iterator[type[BaseSettings]]:
    for each in kind.__subclasses__():
        if each.__module__.startswith(("services.", "scripts.")):
            yield each
        yield from _below(each)


def numbers() -> list[Any]:
    """Lists each field that holds a number or a duration, with its class."""
    return [
        pytest.param(field, id=f"{each.__module__}.{each.__name__}.{name}")
        for each in settings()
        for name, field in each.model_fields.items()
        if name in each.__annotations__ and is_number(field.annotation)
    ]


def is_number(annotation: Any) -> bool:
    return annotation in _NUMBERS or any(is_number(part) for part in get_args(annotation))


def bounds(field: FieldInfo) -> tuple[list[Any], list[Any]]:
    lower: list[Any] = []
    upper: list[Any] = []
    for each in field.metadata:
        if isinstance(each, annotated_types.Ge):
            lower.append(each.ge)
        elif isinstance(each, annotated_types.Gt):
            lower.append(each.gt)
        elif isinstance(each, annotated_types.Le):
            upper.append(each.le)
        elif isinstance(each, annotated_types.Lt):
            upper.append(each.lt)
    return lower, upper


def test_all_settings_are_looked_at() -> None:
    declared = {
        str(file)
        for folder in ("services", "scripts")
        for file in Path(folder).rglob("*.py")
        if re.search(r"^class \w+\(\w*Settings\):", file.read_text(), re.MULTILINE)
    }
    assert declared == {str(file) for file in files()}
    # Each service, the kit and its feed, the trace backend, both sandboxes and the edge.
    assert len(settings()) == len(files()) == 11


@pytest.mark.parametrize("field", numbers())
def test_number_or_duration_has_bounds_that_are_enforced(field: FieldInfo) -> None:
    lower, upper = bounds(field)
    assert lower, "no lower bound"
    assert upper, "no upper bound"
    least, most = max(lower), min(upper)
    assert least < most
    held: TypeAdapter[Any] = TypeAdapter(
        Annotated[field.annotation, *field.metadata]  # type: ignore[arg-type] # made here
    )
    beyond: list[Any]
    if isinstance(most, timedelta):
        step = timedelta(microseconds=1)
        beyond = [least - step, most + step, timedelta.max, timedelta.min]
    else:
        beyond = [least - 1, most + 1, 2**63]
        if field.annotation is float:
            beyond += [math.inf, -math.inf, math.nan]
    for value in beyond:
        with pytest.raises(ValidationError):
            held.validate_python(value)
    if not field.is_required():
        assert held.validate_python(field.default) == field.default


def test_work_that_is_always_done_again_is_never_a_busy_loop() -> None:
    pauses = {
        f"{each.__module__}.{name}": bounds(field)[0]
        for each in settings()
        for name, field in each.model_fields.items()
        if name.endswith("_every")
    }
    assert "services.wallet.settings.reconcile_every" in pauses
    assert all(min(lower) >= timedelta(milliseconds=1) for lower in pauses.values())
