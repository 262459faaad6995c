import pytest
from pydantic import ValidationError

from services.trace.settings import Address, Settings


@pytest.mark.parametrize(
    ("text", "address", "is_loopback"),
    [
        ("127.0.0.1:4317", ("127.0.0.1", 4317), True),
        ("localhost:0", ("localhost", 0), True),
        ("[::1]:4317", ("::1", 4317), True),
        ("0.0.0.0:4317", ("0.0.0.0", 4317), False),  # noqa: S104 (nothing is bound)
        ("[::]:4317", ("::", 4317), False),
        ("10.1.2.3:1", ("10.1.2.3", 1), False),
        ("trace.example:80", ("trace.example", 80), False),
    ],
)
def test_an_address_is_read(text: str, address: tuple[str, int], *, is_loopback: bool) -> None:
    parsed = Address.parse(text)
    assert parsed == address
    assert str(parsed) == text
    assert parsed.is_loopback is is_loopback


@pytest.mark.parametrize("text", ["", "4317", ":4317", "localhost:", "localhost:x", "h:65536"])
def test_an_address_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="is not host:port"):
        Settings(grpc_listen=text)


@pytest.mark.parametrize("name", ["grpc_listen", "http_listen"])
def test_an_address_that_others_reach_needs_a_word(name: str) -> None:
    with pytest.raises(ValidationError, match="CROUPIER_TRACE_ALLOW_REMOTE=true"):
        Settings(**{name: "0.0.0.0:4317"})  # type: ignore[arg-type]
    assert Settings(**{name: "0.0.0.0:4317"}, allow_remote=True).allow_remote  # type: ignore[arg-type]


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROUPIER_TRACE_RETENTION_HOURS", "0.5")
    monkeypatch.setenv("CROUPIER_TRACE_ALLOWED_HOSTS", '["traces.example"]')
    settings = Settings()
    assert settings.retention.ordinary.total_seconds() == 1_800
    assert settings.allowed_hosts == ("traces.example",)


def test_notable_traces_are_never_kept_shorter() -> None:
    settings = Settings(retention_hours=100, notable_retention_hours=1)
    assert settings.retention.notable == settings.retention.ordinary
