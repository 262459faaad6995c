"""Each kind of tampering is found."""

# ruff: noqa: S608 (the statements are this file's own, and tampering is what they are for)

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.kit.database import Database
from services.wallet.domain import Key, Outcome, Win
from services.wallet.domain.history import Finding
from services.wallet.service import WalletService
from services.wallet.verify import Anchor, Audit, Progress
from tests.kit.clock import ManualClock
from tests.wallet.teller import PLAYER, corrected, findings, head_of, tamper

HISTORY = ("transfer", "entry", "batch")


async def test_a_ledger_that_nobody_touched_is_sound(ledger: Database) -> None:
    events = [each async for each in Audit(ledger).run()]
    assert [each for each in events if isinstance(each, Finding)] == []
    last = events[-1]
    assert isinstance(last, Progress)
    assert last.transfers == last.of > 25


async def test_an_anchor_of_its_own_past_is_accepted(ledger: Database) -> None:
    progress = [each async for each in Audit(ledger).run() if isinstance(each, Progress)]
    assert await findings(ledger, *(each.head for each in progress)) == []


async def test_history_cannot_be_changed_through_the_front_door(ledger: Database) -> None:
    for table in HISTORY:
        for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET shard = 1"):
            with pytest.raises(DBAPIError):
                async with ledger.transaction() as connection:
                    await connection.execute(text(statement))


BET = "(SELECT seq FROM transfer WHERE kind = 9 AND amount = 1100)"
LAST = "(SELECT last_seq FROM shard)"


# A wallet in another currency that no transfer has opened, and that no entry has filled.
MONEY_FROM_NOTHING = (
    "INSERT INTO account (account_id, shard, player_id, house_kind, source, currency_code, bucket,"
    " debits_posted, credits_posted, debits_pending, credits_pending, floor, version)"
    " SELECT account_id + 1048576, shard, player_id, house_kind, source, 'JPY', bucket,"
    " 0, 1000000, 0, 0, 0, 0 FROM account WHERE bucket = 1"
)


DEFAULT_EDITED = """UPDATE policy SET switches = '{"split_stake": 0}' WHERE policy_id = 1"""
POLICY_FROM_NOWHERE = (
    "INSERT INTO policy (policy_id, tenant, source, version, switches, create_time)"
    " VALUES (4, 't', 'studio', 1, '{\"win_without_reference\": 1}', 0)"
)


@pytest.mark.parametrize(
    ("statements", "check"),
    [
        # Edits.
        ([f"UPDATE transfer SET amount = 1099 WHERE seq = {BET}"], "chain"),
        ([f"UPDATE transfer SET outcome = 2 WHERE seq = {BET}"], "chain"),
        (["UPDATE transfer SET game_id = 'other' WHERE seq = 9"], "chain"),
        (["UPDATE transfer SET detail = '{}' WHERE kind = 15"], "history"),
        (["UPDATE transfer SET detail = replace(detail, 'ann', 'eve') WHERE kind = 2"], "chain"),
        (["UPDATE transfer SET outcome = 99 WHERE seq = 5"], "history"),
        (["UPDATE transfer SET create_time = create_time - 1 WHERE seq = 5"], "chain"),
        ([f"UPDATE entry SET debit_posted = 1 WHERE seq = {BET} AND leg = 0"], "sum"),
        (["UPDATE entry SET balance_after = balance_after + 1 WHERE seq = 5"], "version"),
        (["UPDATE batch SET epoch = 0 WHERE batch_no = 3"], "chain"),
        (["UPDATE batch SET create_time = 1 WHERE batch_no = 3"], "chain"),
        (["UPDATE batch SET hash = prev_hash WHERE batch_no = 3"], "chain"),
        # Removals.
        (["DELETE FROM entry WHERE seq = 5 AND leg = 0"], "sum"),
        ([f"DELETE FROM entry WHERE seq = {BET}"], "chain"),
        (["DELETE FROM transfer WHERE seq = 9"], "seq"),
        (["DELETE FROM transfer WHERE seq = 9", "DELETE FROM entry WHERE seq = 9"], "chain"),
        (["DELETE FROM batch WHERE batch_no = 4"], "chain"),
        ([f"DELETE FROM transfer WHERE seq = {LAST}"], "seq"),
        (["DELETE FROM batch WHERE batch_no = (SELECT last_batch FROM shard)"], "chain"),
        # Another order.
        (
            [
                "UPDATE transfer SET seq = 1000 WHERE seq = 3",
                "UPDATE transfer SET seq = 3 WHERE seq = 4",
                "UPDATE transfer SET seq = 4 WHERE seq = 1000",
            ],
            "chain",
        ),
        # Additions.
        (
            [
                (
                    "INSERT INTO entry SELECT shard, seq, 9, account_id, 1000, 0, 0, 0, 0, 0"
                    f" FROM entry WHERE seq = {BET} AND leg = 0"
                )
            ],
            "chain",
        ),
        ([f"UPDATE entry SET seq = 1000 WHERE seq = {BET}"], "chain"),
        # The head.
        (["UPDATE shard SET last_seq = last_seq + 1"], "seq"),
        (
            ["UPDATE shard SET head_hash = (SELECT prev_hash FROM batch WHERE batch_no = 2)"],
            "chain",
        ),
        (["UPDATE shard SET epoch = 0"], "chain"),
        # What is only summed up.
        (["UPDATE account SET credits_posted = credits_posted + 1 WHERE bucket = 1"], "account"),
        (["UPDATE account SET credits_pending = 0 WHERE bucket = 1"], "account"),
        (["UPDATE account SET version = version + 1 WHERE house_kind = 9"], "account"),
        (["UPDATE account SET source = 'other' WHERE house_kind = 9"], "account"),
        ([MONEY_FROM_NOTHING], "account"),
        ([MONEY_FROM_NOTHING], "liability"),
        (["UPDATE account SET floor = -5000 WHERE bucket = 1"], "floor"),
        (["UPDATE account SET floor = -1 WHERE bucket = 2"], "floor"),
        (["UPDATE hold SET state = 2 WHERE state = 0"], "hold"),
        (["UPDATE hold SET posted_amount = 39 WHERE state = 1"], "hold"),
        (["UPDATE round SET state = 1 WHERE round_key = 'r1'"], "round"),
        (["UPDATE round SET staked_bonus = 0 WHERE round_key = 'r1'"], "round"),
        (["UPDATE bonus SET wager_done = 0"], "bonus"),
        (["UPDATE bonus SET state = 3 WHERE state = 2"], "bonus"),
        (["UPDATE limit_counter SET used = 0"], "limit_counter"),
        (["UPDATE limit_counter SET max_amount = 9001"], "limit_counter"),
        (["UPDATE player SET restrictions = 0"], "player"),
        # Policies: how a source is judged, who said so, and which judged what.
        (["UPDATE policy SET switches = '{}' WHERE policy_id = 2"], "policy"),
        (["UPDATE policy SET source = 'studio' WHERE policy_id = 2"], "policy"),
        (["UPDATE policy SET tenant = 'u' WHERE policy_id = 2"], "policy"),
        (["UPDATE policy SET version = 7 WHERE policy_id = 3"], "policy"),
        (["UPDATE policy SET create_time = create_time - 1 WHERE policy_id = 2"], "policy"),
        (["UPDATE policy SET seq = seq - 1 WHERE policy_id = 2"], "policy"),
        (["UPDATE policy SET actor = 'b' WHERE policy_id = 2"], "policy"),
        (["UPDATE policy SET reason = '' WHERE policy_id = 3"], "policy"),
        ([DEFAULT_EDITED], "policy"),
        (["UPDATE policy SET create_time = 1 WHERE policy_id = 1"], "policy"),
        (["DELETE FROM policy WHERE policy_id = 2"], "policy"),
        (["DELETE FROM policy WHERE policy_id = 3"], "policy"),
        (["DELETE FROM policy WHERE policy_id = 1"], "policy"),
        ([POLICY_FROM_NOWHERE], "policy"),
        (["UPDATE policy SET policy_id = 4 WHERE policy_id = 3"], "policy"),
        ([f"UPDATE transfer SET policy_id = 2 WHERE seq = {BET}"], "judge"),
        (["UPDATE transfer SET detail = replace(detail, '70', '71') WHERE kind = 22"], "chain"),
        (["DELETE FROM limit_counter"], "limit_counter"),
    ],
    ids=lambda value: "; ".join(value) if isinstance(value, list) else value,
)
async def test_tampering_is_found(ledger: Database, statements: list[str], check: str) -> None:
    await tamper(ledger, *statements)
    found = await findings(ledger)
    assert check in {each.check for each in found}, list(map(str, found))


async def test_what_was_judged_by_a_policy_that_nobody_set_is_found(
    ledger: Database, wallet_url: str, clock: ManualClock
) -> None:
    await tamper(ledger, POLICY_FROM_NOWHERE)
    service = WalletService(wallet_url, clock)
    await service.start()
    key = Key("t", "studio", "judged")
    judged = await service.submit(Win(key=key, player_id=PLAYER, currency_code="EUR", amount=1))
    assert judged.result.outcome is Outcome.REFERENCE_NOT_FOUND
    await service.stop()
    await tamper(ledger, "DELETE FROM policy WHERE policy_id = 4")
    [found] = await findings(ledger)
    assert (found.check, found.place) == ("judge", f"transfer {judged.result.seq}")
    assert found.message == "names policy 4, and 1 was in force"


async def test_a_debt_is_as_deep_as_a_policy_that_was_set_allows(ledger: Database) -> None:
    # One that history does not know grants nothing.
    await tamper(
        ledger,
        "INSERT INTO policy (policy_id, tenant, source, version, switches, create_time)"
        " VALUES (4, 't', 'studio', 1, '{\"debt_limit\": 5000}', 0)",
        "UPDATE account SET floor = -71 WHERE bucket = 1",
    )
    assert {each.check for each in await findings(ledger)} == {"policy", "floor"}
    await tamper(ledger, "UPDATE account SET floor = -70 WHERE bucket = 1")
    assert {each.check for each in await findings(ledger)} == {"policy"}


CUT = [
    "DELETE FROM entry WHERE seq > 20",
    "DELETE FROM transfer WHERE seq > 20",
    "DELETE FROM batch WHERE first_seq > 20",
    (
        "UPDATE shard SET last_seq = 20, last_batch = (SELECT max(batch_no) FROM batch),"
        " head_hash = (SELECT hash FROM batch ORDER BY batch_no DESC LIMIT 1)"
    ),
]


async def test_a_tail_that_was_cut_off_cleanly_shows_against_an_anchor(ledger: Database) -> None:
    anchor = await head_of(ledger)
    await tamper(ledger, *CUT)
    # Whoever cuts makes the sums fit as well.
    assert await corrected(ledger) > 0
    assert await findings(ledger) == []
    assert [each.check for each in await findings(ledger, anchor)] == ["anchor"]


async def test_a_chain_that_was_sealed_anew_shows_against_an_anchor(ledger: Database) -> None:
    anchor = await head_of(ledger)
    other = Anchor(anchor.batch_no, bytes(32))
    assert [each.check for each in await findings(ledger, other)] == ["anchor"]


async def test_a_shard_that_does_not_exist_is_a_finding(ledger: Database) -> None:
    found = [each async for each in Audit(ledger, shard=7).run()]
    assert [each.check for each in found if isinstance(each, Finding)] == ["shard"]
