"""The settings of services that have an outbox."""

from datetime import timedelta

from pydantic import Field

from services.kit.settings import Every, ServerSettings


class FeedSettings(ServerSettings):
    """Who follows the service's feed, and how long its events are kept."""

    feed_consumers: frozenset[str] | None = None
    """The services that follow the feed, by the names in their certificates, as in
    `["analytics"]`. Events go once all of these have handled them, and everybody else who ever
    followed. Unset: nobody said who needs them, so all are kept."""
    feed_keep: timedelta = Field(timedelta(days=90), ge=timedelta(0), le=timedelta(days=36_525))
    """How long an event is kept at least, whoever has handled it."""
    feed_prune_every: Every = timedelta(minutes=1)
    """How often events are looked for that may go."""
