"""Signing keys: made, published, used and forgotten in time."""

from collections.abc import Sequence
from datetime import datetime

import structlog

from services.kit.clock import Clock
from services.kit.database import Database, Transaction, retry_on_race
from services.kit.ids import new_id
from services.security import access_tokens
from services.security.access_tokens import Signer
from services.security.domain import signing_keys as rules
from services.security.domain.signing_keys import RotationRules, SigningKey
from services.security.sealing import Sealer
from services.security.store import signing_keys as store

_log = structlog.get_logger()


class SigningKeys:
    """The keys that sign and verify access tokens.

    They are read from the store each time, so that all replicas agree at once on which one signs;
    only the opened private halves are remembered.
    """

    def __init__(
        self, database: Database, *, clock: Clock, sealer: Sealer, rotation: RotationRules
    ) -> None:
        """Takes where the keys are, what opens them and how they follow each other."""
        self._database = database
        self._clock = clock
        self._sealer = sealer
        self._rotation = rotation
        self._signers: dict[str, Signer] = {}

    @retry_on_race
    async def rotate(self) -> None:
        """Makes the first key, or the next one when it is due, and deletes what expired.

        Of several replicas that do so at once one succeeds; the others fail on the key's number,
        try again and find nothing left to do.
        """
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await store.delete_expired(connection, now)
            keys = await store.list_all(connection)
            activate_time = rules.next_activation(keys, now, self._rotation)
            if activate_time is None:
                return
            made = self._new_key(keys, activate_time=activate_time)
            await store.add(connection, made, create_time=now)
            await store.retire(
                connection,
                before_number=made.number,
                expire_time=rules.predecessor_expiry(activate_time, self._rotation),
            )
        _log.info(
            "signing key made",
            signing_key_id=made.signing_key_id,
            activate_time=activate_time.isoformat(),
        )

    async def published(self) -> Sequence[SigningKey]:
        """Returns the keys that verify access tokens, newest first."""
        async with self._database.snapshot() as connection:
            keys = await store.list_all(connection)
        return rules.published(keys, self._clock.now())

    async def signer(self, connection: Transaction) -> Signer:
        """Returns what signs now.

        Raises:
            SealBrokenError: The key-encryption key does not open it.
        """
        keys = await store.list_all(connection)
        key = rules.signing(keys, self._clock.now())
        found = self._signers.get(key.signing_key_id)
        if found is None:
            found = Signer(
                key.signing_key_id,
                self._sealer.open(key.private_key_sealed, row=_row(key.signing_key_id)),
            )
            # Only keys that still exist are remembered.
            existing = {each.signing_key_id for each in keys}
            self._signers = {
                known: signer for known, signer in self._signers.items() if known in existing
            }
            self._signers[key.signing_key_id] = found
        return found

    async def check(self) -> None:
        """Opens every private key, so that a server with a wrong key-encryption key stops.

        Raises:
            SealBrokenError: One does not open.
        """
        async with self._database.snapshot() as connection:
            keys = await store.list_all(connection)
        for key in keys:
            self._sealer.open(key.private_key_sealed, row=_row(key.signing_key_id))

    def _new_key(self, keys: Sequence[SigningKey], *, activate_time: datetime) -> SigningKey:
        signing_key_id = new_id()
        pair = access_tokens.new_key_pair()
        return SigningKey(
            signing_key_id=signing_key_id,
            number=max((key.number for key in keys), default=0) + 1,
            x=pair.x,
            y=pair.y,
            private_key_sealed=self._sealer.seal(pair.private_key, row=_row(signing_key_id)),
            activate_time=activate_time,
            expire_time=None,
        )


def _row(signing_key_id: str) -> str:
    return f"signing_key/{signing_key_id}"
