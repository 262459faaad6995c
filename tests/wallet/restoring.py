"""Restores a ledger again and again until it is killed: `python -m tests.wallet.restoring`."""

import asyncio
import contextlib
import sys
from pathlib import Path

from services.wallet.store import LeaseTakenError
from tests.wallet.backups import restored


async def again_and_again(backup: Path, url: str) -> None:
    while True:
        # A server takes a moment to notice that the client before was killed.
        with contextlib.suppress(LeaseTakenError):
            await restored(backup, url, replace=True)
            sys.stdout.write("restored\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(again_and_again(Path(sys.argv[1]), sys.argv[2]))
