from typing import Any

from croupier.event.v1 import feed_service_pb2, feed_service_pb2_grpc

from tests.security.doubles import Security, refused


async def test_feed_tells_who_came_and_went(security: Security) -> None:
    player = await security.player()
    feed: Any = feed_service_pb2_grpc.FeedServiceStub(security.channel("analytics"))
    stream = feed.Subscribe(feed_service_pb2.SubscribeRequest(), timeout=30)
    request = feed_service_pb2.SubscribeRequest
    assert not (await stream.read()).events
    (event,) = (await stream.read()).events
    assert event.seq == 1
    assert event.login_succeeded.subject_id == player.player_id
    assert event.create_time.ToMicroseconds() == int(security.clock.now().timestamp() * 1_000_000)
    # A follower that is there already learns of what happens.
    await security.login()
    (event,) = (await stream.read()).events
    assert event.seq == 2
    stream.cancel()
    again = feed.Subscribe(request(after_seq=1), timeout=30)
    assert not (await again.read()).events
    assert (await again.read()).events[0].seq == 2
    again.cancel()


async def test_only_followers_read_the_feed(security: Security) -> None:
    feed: Any = feed_service_pb2_grpc.FeedServiceStub(security.channel("edge"))
    stream = feed.Subscribe(feed_service_pb2.SubscribeRequest(), timeout=30)
    await refused(
        stream.read(),
        "PERMISSION_DENIED",
        "CALLER_NOT_ALLOWED",
        caller="edge",
        method="croupier.event.v1.FeedService/Subscribe",
    )
