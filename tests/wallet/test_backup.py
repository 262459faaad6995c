"""What a backup holds, and what a restore replaces and leaves; `test_disaster` has the drill."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scripts.auditing.__main__ import app
from services.wallet.backup import (
    OccupiedError,
    TargetExistsError,
    UnsoundError,
    adopt,
    back_up,
)
from services.wallet.domain import Outcome
from services.wallet.service import WalletService
from services.wallet.store import LeaseTakenError
from services.wallet.store.copying import Copied, DamagedError, RevisionError
from tests.conftest import Templates
from tests.wallet.backups import (
    CLOCK,
    SPOILT,
    copied,
    deposit,
    everything,
    execute,
    file_of,
    files_in,
    findings,
    ignore,
    lose,
    restored,
    scalar,
    spoil,
    write,
    write_at_length,
)

# What a backup is.


async def test_backup_holds_what_its_ledger_held(wallet_url: str, tmp_path: Path) -> None:
    await write(wallet_url, range(20))
    before = await everything(wallet_url)
    made = await copied(wallet_url, tmp_path)
    assert made.path.parent == tmp_path
    assert made.path.stat().st_mode & 0o777 == 0o600
    assert made.size == made.path.stat().st_size
    assert made.last_seq == 21
    # One file that needs no other beside it.
    assert files_in(tmp_path) == [made.path]
    assert await everything(f"sqlite+aiosqlite:///{made.path}") == before
    assert await everything(wallet_url) == before


async def test_backup_of_a_file_is_of_one_moment_and_ends_beside_a_busy_writer(
    templates: Templates, tmp_path: Path
) -> None:
    url = templates.copy("services.wallet", "sqlite")
    await write(url, range(1))
    await write_at_length(url, 4_000)
    before = await everything(url)
    steps: list[Copied] = []

    def commit_between_steps(event: object) -> None:
        assert isinstance(event, Copied)
        steps.append(event)
        with contextlib.closing(sqlite3.connect(file_of(url), isolation_level=None)) as file:
            file.execute("UPDATE player SET version = version + 1")

    target = tmp_path / "backup.db"
    await back_up(url, target, clock=CLOCK, tell=commit_between_steps, verified=False)
    done = [each.done for each in steps]
    # SQLite would have begun anew after each commit.
    assert len(done) > 2
    assert done == sorted(set(done))
    assert done[-1] == steps[-1].of
    assert await everything(f"sqlite+aiosqlite:///{target}") == before
    assert await everything(url) != before


async def test_backup_overwrites_nothing(wallet_url: str, tmp_path: Path) -> None:
    target = tmp_path / "backup.db"
    target.write_text("yesterday's")
    with pytest.raises(TargetExistsError):
        await copied(wallet_url, target)
    assert target.read_text() == "yesterday's"
    assert files_in(tmp_path) == [target]


async def test_no_backup_is_made_of_a_ledger_that_is_not_sound(
    wallet_url: str, tmp_path: Path
) -> None:
    await write(wallet_url, range(3))
    await execute(wallet_url, "UPDATE account SET credits_posted = 1 WHERE bucket = 1")
    target = tmp_path / "backup.db"
    with pytest.raises(UnsoundError):
        await copied(wallet_url, target)
    assert files_in(tmp_path) == []
    made = await copied(wallet_url, target, verified=False)
    assert not made.verified
    with pytest.raises(UnsoundError):
        await restored(target, f"sqlite+aiosqlite:///{tmp_path}/other.db")
    assert await findings(wallet_url) != []


async def test_backup_of_a_ledger_of_another_version_is_not_called_sound(
    wallet_url: str, tmp_path: Path
) -> None:
    await execute(wallet_url, "UPDATE alembic_version SET version_num = '0000'")
    with pytest.raises(RevisionError):
        await copied(wallet_url, tmp_path / "backup.db")
    assert files_in(tmp_path) == []


async def test_backup_of_nothing_says_so(
    engine_name: str, database_url: Callable[[str], str], tmp_path: Path
) -> None:
    url = database_url("services.wallet")
    lose(url)
    with pytest.raises(DamagedError):
        await copied(url, tmp_path / "backup.db")
    assert engine_name != "sqlite" or not file_of(url).exists()
    assert files_in(tmp_path) == []


# What a restore does, and does not.


async def test_restore_makes_another_incarnation_and_keeps_what_was_there(
    wallet_url: str, tmp_path: Path
) -> None:
    await write(wallet_url, range(5))
    made = await copied(wallet_url, tmp_path / "backup.db")
    await write(wallet_url, range(9))
    old = (await everything(wallet_url))["shard"][0]
    done = await restored(made.path, wallet_url, replace=True)
    new = (await everything(wallet_url))["shard"][0]
    assert done.head == made.head
    assert (done.last_seq, done.lost) == (made.last_seq, 4)
    assert done.incarnation == new[2] != old[2]
    # No writer of the ledger that was lost can have been in that epoch.
    assert new[1] > old[1]
    assert await findings(wallet_url, made.head) == []
    if wallet_url.startswith("sqlite"):
        kept = file_of(wallet_url).with_name(done.replaced)
        kept_seq = await scalar(f"sqlite+aiosqlite:///{kept}", "SELECT last_seq FROM shard")
    else:
        schema = done.replaced.removeprefix("schema ")
        kept_seq = await scalar(wallet_url, f"SELECT last_seq FROM {schema}.shard")  # noqa: S608 (a name of ours)
    assert kept_seq == made.last_seq + 4
    await write(wallet_url, range(12))
    assert await findings(wallet_url, made.head) == []


async def test_ledger_that_cannot_be_read_is_replaced_when_asked_and_kept_as_it_is(
    wallet_url: str, tmp_path: Path
) -> None:
    await write(wallet_url, range(5))
    made = await copied(wallet_url, tmp_path / "backup.db")
    spoil(wallet_url)
    with pytest.raises(OccupiedError, match="cannot be read"):
        await restored(made.path, wallet_url)
    done = await restored(made.path, wallet_url, replace=True)
    assert done.lost is None
    assert await findings(wallet_url, made.head) == []
    await write(wallet_url, range(9))
    assert await findings(wallet_url, made.head) == []
    if wallet_url.startswith("sqlite"):
        kept = file_of(wallet_url).with_name(done.replaced)
        for path in (kept, kept.with_name(f"{kept.name}-wal")):
            content = path.read_bytes()
            assert content == SPOILT * len(content) != b"", path
    else:
        schema = done.replaced.removeprefix("schema ")
        kept_seq = f"SELECT max(seq) FROM {schema}.transfer"  # noqa: S608 (a name of ours)
        assert await scalar(wallet_url, kept_seq) == made.last_seq


@pytest.mark.parametrize("target_engine", ["sqlite", "postgresql"])
async def test_backup_of_either_engine_restores_to_both(
    wallet_url: str, templates: Templates, tmp_path: Path, target_engine: str
) -> None:
    await write(wallet_url, range(30))
    made = await copied(wallet_url, tmp_path / "backup.db")
    target = templates.copy("services.wallet", target_engine)
    content = made.path.read_bytes()
    # A ledger without a transfer may be replaced without a word.
    await restored(made.path, target)
    assert made.path.read_bytes() == content
    expected, found = await everything(wallet_url), await everything(target)
    assert expected.pop("shard")[0][3:] == found.pop("shard")[0][3:]
    assert found == expected
    service = WalletService(target, CLOCK)
    await service.start()
    assert (await service.submit(deposit(7))).replayed
    fresh = await service.submit(deposit(30))
    assert fresh.result.outcome is Outcome.APPLIED
    await service.stop()
    assert await findings(target, made.head) == []
    # History refuses to be changed there too.
    with pytest.raises(Exception, match="append-only"):
        await execute(target, "DELETE FROM policy")


async def test_ledger_that_is_there_is_not_replaced_unasked(
    wallet_url: str, tmp_path: Path
) -> None:
    await write(wallet_url, range(5))
    made = await copied(wallet_url, tmp_path / "backup.db")
    before = await everything(wallet_url)
    with pytest.raises(OccupiedError) as raised:
        await restored(made.path, wallet_url)
    assert raised.value.occupant.last_seq == made.last_seq
    assert await everything(wallet_url) == before


async def test_nothing_is_restored_under_a_writer_that_reigns(
    wallet_url: str, tmp_path: Path
) -> None:
    await write(wallet_url, range(5))
    made = await copied(wallet_url, tmp_path / "backup.db")
    service = WalletService(wallet_url, CLOCK)
    await service.start()
    with pytest.raises(LeaseTakenError):
        await restored(made.path, wallet_url, replace=True)
    with pytest.raises(LeaseTakenError):
        await adopt(wallet_url, tell=ignore)
    assert (await service.submit(deposit(6))).result.outcome is Outcome.APPLIED
    await service.stop()


def truncated(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def another_thing(path: Path) -> None:
    path.write_text("not a ledger\n" * 1_000)


def flipped(path: Path) -> None:
    """Changes one digit of an amount that history holds: pages and indexes stay whole."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as file:
        for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            file.execute(f"DROP TRIGGER {name}")
        file.execute("UPDATE transfer SET amount = amount + 1 WHERE seq = 3")


def torn(path: Path) -> None:
    """Overwrites a page in the middle."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 8_192 * 4_096)
        file.write(b"\xa5" * 4_096)


def in_use(path: Path) -> None:
    path.with_name(f"{path.name}-wal").write_bytes(b"frames")


@pytest.mark.parametrize("damage", [truncated, emptied, another_thing, flipped, torn, in_use])
async def test_damaged_backup_replaces_nothing(
    wallet_url: str, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    await write(wallet_url, range(200))
    made = await copied(wallet_url, tmp_path / "backup.db")
    before = await everything(wallet_url)
    damage(made.path)
    with pytest.raises((DamagedError, UnsoundError)):
        await restored(made.path, wallet_url, replace=True)
    assert await everything(wallet_url) == before
    assert await findings(wallet_url) == []
    if wallet_url.startswith("sqlite"):
        names = {
            each.name for each in file_of(wallet_url).parent.glob(f"*{file_of(wallet_url).name}*")
        }
        assert not any("restoring" in name or "replaced" in name for name in names)
    else:
        wanted = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'wallet%'"
        assert await scalar(wallet_url, wanted) == 1


async def test_backup_that_lacks_an_anchor_replaces_nothing(
    wallet_url: str, tmp_path: Path
) -> None:
    await write(wallet_url, range(5))
    made = await copied(wallet_url, tmp_path / "early.db")
    await write(wallet_url, range(9))
    later = await copied(wallet_url, tmp_path / "late.db")
    with pytest.raises(UnsoundError):
        await restored(made.path, wallet_url, replace=True, anchors=[later.head])
    done = await restored(later.path, wallet_url, replace=True, anchors=[made.head])
    assert done.lost == 0


async def test_backup_of_a_version_to_come_replaces_nothing(
    wallet_url: str, tmp_path: Path
) -> None:
    await write(wallet_url, range(5))
    made = await copied(wallet_url, tmp_path / "backup.db")
    with contextlib.closing(sqlite3.connect(made.path, isolation_level=None)) as file:
        file.execute("UPDATE alembic_version SET version_num = '9999'")
    before = await everything(wallet_url)
    with pytest.raises(RevisionError):
        await restored(made.path, wallet_url, replace=True)
    assert await everything(wallet_url) == before


async def test_restore_goes_on_where_another_was_cut_short(wallet_url: str, tmp_path: Path) -> None:
    await write(wallet_url, range(5))
    made = await copied(wallet_url, tmp_path / "backup.db")
    # What a process that was killed half-way leaves behind.
    if wallet_url.startswith("sqlite"):
        path = file_of(wallet_url)
        path.with_name(f".{path.name}.restoring").write_bytes(b"half")
        path.with_name(f".{path.name}.restoring-wal").write_bytes(b"half")
    else:
        await execute(wallet_url, "CREATE SCHEMA wallet_restoring")
        await execute(wallet_url, "CREATE TABLE wallet_restoring.shard (shard int)")
    await restored(made.path, wallet_url, replace=True)
    assert await findings(wallet_url, made.head) == []


async def test_frames_of_a_lost_file_do_not_reach_the_restored_one(
    templates: Templates, tmp_path: Path
) -> None:
    url = templates.copy("services.wallet", "sqlite")
    await write(url, range(5))
    made = await copied(url, tmp_path / "backup.db")
    # The file is gone; what its last writer had not written back lies beside it still.
    service = WalletService(url, CLOCK)
    await service.start()
    await asyncio.gather(*(service.submit(deposit(number)) for number in range(5, 50)))
    log = file_of(url).with_name(f"{file_of(url).name}-wal")
    frames = log.read_bytes()
    await service.stop()
    assert frames
    file_of(url).unlink()
    log.write_bytes(frames)
    await restored(made.path, url)
    assert await scalar(url, "SELECT last_seq FROM shard") == made.last_seq
    assert await findings(url, made.head) == []


# The commands.


async def ledger(*arguments: str) -> tuple[int, str]:
    done = await asyncio.to_thread(CliRunner().invoke, app, list(arguments))
    return done.exit_code, done.output


async def test_commands_tell_refusals_from_damage(wallet_url: str, tmp_path: Path) -> None:
    await write(wallet_url, range(5))
    backup, address = str(tmp_path / "backup.db"), ("--database", wallet_url)
    code, printed = await ledger("backup", backup, *address)
    assert (code, "the copy is sound" in printed) == (0, True)
    assert (await ledger("backup", backup, *address))[0] == 2
    code, printed = await ledger("restore", backup, *address)
    assert code == 2
    assert "it reaches to transfer 6; --replace keeps it" in printed
    code, printed = await ledger("restore", backup, *address, "--replace")
    assert code == 0
    assert "is kept as" in printed
    code, printed = await ledger("adopt", *address)
    assert (code, "acknowledged after transfer 6 is not in it" in printed) == (0, True)
    truncated(Path(backup))
    code, printed = await ledger("restore", backup, *address, "--replace")
    assert code == 1
    assert "nothing was replaced" in printed
    assert (await ledger("restore", str(tmp_path / "none.db"), *address))[0] == 2


async def test_command_says_how_much_the_replaced_ledger_had_more(
    wallet_url: str, tmp_path: Path
) -> None:
    await write(wallet_url, range(5))
    made = await copied(wallet_url, tmp_path / "backup.db")
    await write(wallet_url, range(8))
    anchor = f"{made.head.batch_no}:{made.head.hash.hex()}"
    code, printed = await ledger(
        "restore", str(made.path), "--database", wallet_url, "--replace", "--anchor", anchor
    )
    assert code == 0
    told = "3 transfers that were acknowledged are not in it: 7 to 9 of the ledger"
    assert told in printed


# Ledgers that other tools brought back.


async def test_adoption_of_an_unsound_ledger_changes_nothing(wallet_url: str) -> None:
    await write(wallet_url, range(3))
    await execute(wallet_url, "UPDATE account SET credits_posted = 1 WHERE bucket = 1")
    before = await everything(wallet_url)
    with pytest.raises(UnsoundError):
        await adopt(wallet_url, tell=ignore)
    assert await everything(wallet_url) == before
