from pathlib import Path
from uuid import uuid4

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from scripts.mesh.pki import DevelopmentAuthority
from services.kit import migrations
from tests.conftest import Connect
from tests.kit.postgres import shared_server
from tests.kit.tokens import TokenIssuer
from tests.wallet.running import running_wallet

STATES = health_pb2.HealthCheckResponse


@pytest.mark.postgresql
async def test_wallet_is_not_healthy_without_the_store_of_payments(
    authority: DevelopmentAuthority, tokens: TokenIssuer, connect: Connect, tmp_path: Path
) -> None:
    server = shared_server()
    names: dict[str, str] = {}

    def database(package: str) -> str:
        names[package] = f"health_{uuid4().hex}"
        return server.create_database(names[package])

    async with running_wallet(
        authority=authority,
        tokens=tokens,
        connect=connect,
        database_url=database,
        folder=tmp_path,
        migrate=True,
    ) as wallet:
        watch = health_pb2_grpc.HealthStub(wallet.connect("edge")).Watch(
            health_pb2.HealthCheckRequest(), timeout=60
        )
        assert (await watch.read()).status == STATES.SERVING
        server.drop_database(names["services.wallet.payments"])
        assert (await watch.read()).status == STATES.NOT_SERVING
        again = server.create_database(names["services.wallet.payments"])
        await migrations.upgrade(again, "services.wallet.payments")
        assert (await watch.read()).status == STATES.SERVING
        watch.cancel()
