"""History, added up again: it comes to what the planner has, and it finds what cannot be."""

from collections.abc import Callable
from typing import Any

import pytest

from services.wallet.domain import (
    BonusId,
    BonusState,
    Capture,
    Entry,
    ForfeitBonus,
    GrantBonus,
    HoldId,
    HouseKind,
    IfRefused,
    Key,
    Kind,
    LimitKind,
    Micros,
    OpenWallet,
    Outcome,
    Period,
    PolicyVersion,
    Release,
    Restriction,
    Result,
    Scope,
    SetLimit,
    SetPolicy,
    SetRestriction,
    Transfer,
    WinShort,
)
from services.wallet.domain.history import Finding, History
from services.wallet.domain.policy import Policies, policy_of
from tests.wallet.passbook import DAY, HOUR, OTHER, PLAYER, START, Passbook
from tests.wallet.test_history import PLAYERS, Workload, in_memory

Log = list[tuple[Transfer, list[Entry]]]


def log_of(book: Passbook) -> Log:
    return [
        (transfer, [entry for entry in book.entries if entry.seq == transfer.seq])
        for transfer in book.transfers
    ]


def added_up(log: Log) -> History:
    history = History(0)
    for transfer, entries in log:
        history.add(transfer, entries)
    return history


def state_of(book: Passbook) -> dict[str, dict[Any, Any]]:
    """Lists the planner's rows as the tables have them."""
    loaded = book.loaded
    accounts = [
        account
        for wallet in loaded.wallets.values()
        for account in (wallet.cash, wallet.bonus, wallet.locked)
    ]
    accounts += [each for each in loaded.houses.values() if each.version]
    limits = [each for counters in loaded.limits.values() for each in counters]
    return {
        "player": {(each.player_id,): each for each in loaded.players.values()},
        "account": {(each.account_id,): each for each in accounts},
        "hold": {(each.hold_id,): each for each in loaded.holds.values()},
        "round": {(each.round_id,): each for each in loaded.rounds.values()},
        "bonus": {(each.bonus_id,): each for each in loaded.bonuses.values()},
        "limit_counter": {
            (each.player_id, each.scope, each.kind, each.currency_code, each.period): each
            for each in limits
        },
    }


def assert_adds_up(book: Passbook) -> None:
    history = added_up(log_of(book))
    assert history.findings == []
    for table, rows in state_of(book).items():
        summed = history.tables[table]
        assert set(summed) == set(rows), table
        for identity, columns in summed.items():
            row = {name: getattr(rows[identity], name) for name in columns}
            assert columns == row, (table, identity)


@pytest.mark.parametrize("seed", range(10, 16))
def test_all_state_of_the_planner_is_the_sum_of_its_history(seed: int) -> None:
    workload = Workload(seed)
    debt = {"rollback_win_short": WinShort.DEBT, "debt_limit": 300} if seed % 2 else {}
    book = Passbook(opened=False, partial_rollback=True, **debt)
    for player_id in PLAYERS:
        for currency_code in ("EUR", "USD"):
            book.apply(OpenWallet(key=book.key(), player_id=player_id, currency_code=currency_code))
    for _ in range(100):
        book.now = Micros(book.now + workload.random.randint(0, 5 * HOUR))
        workload.learn(in_memory(book, workload.batch(book.now)))
    assert_adds_up(book)


# The same, one rule after the other.


def grant(book: Passbook, amount: int, required: int, **values: Any) -> BonusId:
    fields: dict[str, Any] = {
        "key": book.key(),
        "player_id": PLAYER,
        "currency_code": "EUR",
        "expire_time": Micros(START + 30 * DAY),
    }
    granted = book.apply(GrantBonus(amount=amount, wager_required=required, **(fields | values)))
    assert granted.bonus_id is not None
    return granted.bonus_id


def limit(book: Passbook, kind: LimitKind, most: int | None, **values: Any) -> Result:
    fields: dict[str, Any] = {"scope": Scope.PLAYER, "period": Period.DAY} | values
    return book.apply(
        SetLimit(
            key=book.key(),
            player_id=PLAYER,
            currency_code="EUR",
            limit_kind=kind,
            max_amount=most,
            **fields,
        )
    )


def resolve(book: Passbook, hold: Result, amount: int | None) -> Result:
    assert hold.hold_id is not None
    fields: dict[str, Any] = {"key": book.key(source="till"), "player_id": PLAYER}
    fields["hold_id"] = HoldId(hold.hold_id)
    return book.apply(
        Release(**fields) if amount is None else Capture(amount=amount or None, **fields)
    )


def test_a_round_adds_up_through_stakes_wins_and_their_reversals() -> None:
    book = Passbook(partial_rollback=True)
    book.give(60)
    grant(book, 100, 10_000)
    book.apply(book.bet(90, id="b", round_key="r"))
    book.apply(book.win(300, id="w", round_key="r", reference="b"))
    played = next(iter(book.loaded.rounds.values()))
    assert (played.staked_cash, played.staked_bonus) == (60, 30)
    assert (played.won_cash, played.won_bonus, played.wins) == (200, 100, 1)
    book.apply(book.rollback("w", amount=30, round_key="r"))
    assert (played.won_cash, played.won_bonus, played.wins) == (180, 90, 1)
    assert_adds_up(book)
    book.apply(book.rollback("b", amount=45, round_key="r"))
    assert (played.staked_cash, played.staked_bonus) == (30, 15)
    book.apply(book.rollback("w", round_key="r"))
    assert (played.won_cash, played.won_bonus) == (0, 0)
    assert_adds_up(book)


@pytest.mark.parametrize("close_round", [False, True])
def test_a_reversal_takes_nothing_from_a_round_that_only_it_names(close_round: object) -> None:
    """The bet named no round, so no round had counted it."""
    book = Passbook()
    book.give(100)
    book.apply(book.bet(10, id="b"))
    book.apply(book.bet(20, round_key="r"))
    taken = book.apply(book.rollback("b", round_key="r", close_round=close_round))
    assert (taken.outcome, book.cash) == (Outcome.APPLIED, 80)
    played = next(iter(book.loaded.rounds.values()))
    assert (taken.round_id, played.staked_cash) == (played.round_id, 20)
    assert_adds_up(book)


@pytest.mark.parametrize("captured", [None, 0, 30])
@pytest.mark.parametrize("direction", ["in", "out"])
def test_a_hold_adds_up_however_it_ends(direction: str, captured: int | None) -> None:
    book = Passbook()
    book.give(100)
    limit(book, LimitKind.DEPOSIT, 1000)
    if direction == "in":
        hold = book.apply(book.hold_deposit(70, expire_time=Micros(START + DAY)))
    else:
        hold = book.apply(book.withdraw(70))
    assert_adds_up(book)
    assert resolve(book, hold, captured).outcome is Outcome.APPLIED
    assert_adds_up(book)


def test_a_hold_that_expired_adds_up() -> None:
    book = Passbook()
    limit(book, LimitKind.DEPOSIT, 1000, period=Period.WEEK)
    book.apply(book.hold_deposit(70, expire_time=Micros(START + HOUR)))
    book.now = Micros(START + HOUR)
    book.wake()
    assert book.transfers[-1].kind is Kind.EXPIRE_HOLD
    assert_adds_up(book)


@pytest.mark.parametrize("end", ["released", "forfeited", "expired", "queued"])
def test_a_bonus_adds_up_however_it_ends(end: str) -> None:
    book = Passbook()
    first = grant(book, 100, 100)
    second = grant(book, 50, 1000)
    # The house account of the second source is first used by what the ledger does by itself.
    third = grant(book, 20, 10, key=book.key(source="promotions"), max_bet=5, rules_version=3)
    if end == "released":
        book.apply(book.bet(100))
    elif end == "forfeited":
        for bonus_id in (first, second):
            book.apply(ForfeitBonus(key=book.key(), player_id=PLAYER, bonus_id=bonus_id))
    elif end == "expired":
        book.now = Micros(START + 30 * DAY)
        book.wake()
    states = {
        "released": (BonusState.RELEASED, BonusState.ACTIVE, BonusState.QUEUED),
        "forfeited": (BonusState.FORFEITED, BonusState.FORFEITED, BonusState.ACTIVE),
        "expired": (BonusState.EXPIRED,) * 3,
        "queued": (BonusState.ACTIVE, BonusState.QUEUED, BonusState.QUEUED),
    }
    bonuses = book.loaded.bonuses
    if end == "forfeited":
        book.wake()
    assert tuple(bonuses[each].state for each in (first, second, third)) == states[end]
    assert_adds_up(book)


def test_limits_add_up_over_changes_windows_and_what_is_taken_back() -> None:
    book = Passbook()
    book.give(1000)
    later = Micros(START + 30 * HOUR)
    for period in Period:
        limit(book, LimitKind.WAGER, 500, period=period)
        limit(book, LimitKind.LOSS, 400, period=period, scope=Scope.OPERATOR)
    limit(book, LimitKind.WAGER, 900, start_time=later)
    limit(book, LimitKind.DEPOSIT, None)
    book.apply(book.bet(100, id="b1"))
    book.apply(book.bet(0))
    book.apply(book.win(30, id="w1"))
    book.now = Micros(START + 5 * HOUR)
    book.apply(book.rollback("w1"))
    assert_adds_up(book)
    # In the window after it: the day begins anew, week and month go on, and the new maximum holds.
    book.now = Micros(START + 31 * HOUR)
    book.apply(book.bet(40, id="b2"))
    book.apply(book.rollback("b1"))
    book.apply(book.rollback("b2"))
    assert_adds_up(book)
    # At the very moment at which the window has ended, nothing is left to be taken back from.
    book.apply(book.bet(20, id="b3"))
    book.now = Micros(book.now + DAY)
    book.apply(book.rollback("b3"))
    limit(book, LimitKind.WAGER, 300, start_time=Micros(book.now))
    assert_adds_up(book)
    limit(book, LimitKind.WAGER, 800, start_time=Micros(book.now + HOUR))
    limit(book, LimitKind.WAGER, None, start_time=Micros(book.now + 2 * HOUR))
    book.now = Micros(book.now + 3 * HOUR)
    limit(book, LimitKind.WAGER, 800, start_time=Micros(book.now + HOUR))
    assert_adds_up(book)


def test_a_limit_adds_up_at_the_very_moment_at_which_it_begins() -> None:
    book = Passbook()
    book.give(100)
    limit(book, LimitKind.WAGER, 50)
    limit(book, LimitKind.WAGER, 90, start_time=Micros(START + HOUR))
    book.now = Micros(START + HOUR)
    assert book.apply(book.bet(90)).outcome is Outcome.APPLIED
    assert_adds_up(book)


def test_a_wallet_that_is_opened_again_adds_up() -> None:
    book = Passbook()
    book.give(10)
    book.apply(OpenWallet(key=book.key(), player_id=PLAYER, currency_code="EUR"))
    book.give(20)
    assert_adds_up(book)


def test_what_another_tenant_was_refused_adds_up() -> None:
    book = Passbook()
    book.give(10)
    refused = book.apply(book.bet(1, key=Key("u", "studio", "1")))
    assert (refused.outcome, refused.available) == (Outcome.PLAYER_NOT_FOUND, None)
    assert_adds_up(book)


def test_locked_deposits_are_no_deposits_to_a_limit() -> None:
    book = Passbook()
    limit(book, LimitKind.DEPOSIT, 100)
    book.apply(book.deposit(80))
    locked = book.apply(book.deposit(80, if_refused=IfRefused.LOCK))
    assert locked.outcome is Outcome.APPLIED_LOCKED
    assert book.loaded.limits[PLAYER][0].used == 80
    assert_adds_up(book)


def test_restrictions_of_both_parties_add_up() -> None:
    book = Passbook()
    for scope, bits in (
        (Scope.PLAYER, Restriction.SELF_EXCLUDED),
        (Scope.OPERATOR, Restriction.FROZEN),
        (Scope.PLAYER, Restriction.NO_BONUS),
        (Scope.OPERATOR, Restriction.NO_WITHDRAW),
    ):
        book.apply(SetRestriction(key=book.key(), player_id=PLAYER, scope=scope, restrictions=bits))
        assert_adds_up(book)


def test_policies_add_up_and_judge_from_the_next_transfer_on() -> None:
    book = Passbook()
    book.policies = Policies([])
    history = History(0)
    assert list(history.tables["policy"]) == [(1,)]
    for number, debt in ((2, 300), (3, 70)):
        policy = SetPolicy(
            key=book.key(source="office"),
            source="studio",
            rollback_win_short=WinShort.DEBT,
            debt_limit=debt,
            reason="r",
            actor="a",
        )
        assert book.apply(policy).detail["policy_id"] == number
        book.apply(book.win(1))
        assert book.transfers[-1].policy_id == number
    history = added_up(log_of(book))
    assert history.findings == []
    assert history.debt_max == 300
    assert [row["seq"] for row in history.tables["policy"].values()] == [None, 2, 4]
    newest = history.tables["policy"][3,]
    assert policy_of(PolicyVersion(policy_id=3, **newest)) == book.policies.of("t", "studio")
    assert [history.policy_id_of("t", source) for source in ("studio", "office")] == [3, 1]


# What history contradicts by itself.


def busy() -> Passbook:
    """A ledger in which everything that a finding is about has happened."""
    book = Passbook(partial_rollback=True)
    for player_id, currency_code in ((PLAYER, "USD"), (OTHER, "EUR")):
        book.apply(OpenWallet(key=book.key(), player_id=player_id, currency_code=currency_code))
    book.give(100)
    grant(book, 50, 1000)
    book.apply(book.bet(10, id="bet", round_key="r"))
    book.apply(book.win(30, id="win", round_key="r"))
    book.apply(book.rollback("bet", amount=4, id="first"))
    book.apply(book.rollback("bet", amount=6, id="second"))
    book.apply(book.bet(5, id="plain", round_key="r"))
    book.apply(book.rollback("plain", id="undo", round_key="r"))
    hold = book.apply(book.withdraw(20, id="hold"))
    resolve(book, hold, 20)
    book.apply(book.bet(1000, id="refused"))
    return book


def index_of(log: Log, name: str) -> int:
    [found] = [
        index for index, (transfer, _) in enumerate(log) if transfer.key == b"\x02" + name.encode()
    ]
    return found


SELF = -1


def edit(name: str, **columns: Any) -> Callable[[Log], None]:
    def change(log: Log) -> None:
        index = index_of(log, name)
        if columns.get("original_seq") == SELF:
            columns["original_seq"] = log[index][0].seq
        log[index] = (log[index][0]._replace(**columns), log[index][1])

    return change


def edit_leg(name: str, leg: int, **added: int) -> Callable[[Log], None]:
    """Adds to the columns of a leg."""

    def change(log: Log) -> None:
        entry = log[index_of(log, name)][1][leg]
        more: dict[str, Any] = {key: getattr(entry, key) + value for key, value in added.items()}
        log[index_of(log, name)][1][leg] = entry._replace(**more)

    return change


def drop(name: str) -> Callable[[Log], None]:
    def change(log: Log) -> None:
        del log[index_of(log, name)]

    return change


def give_entries_to_a_refusal(log: Log) -> None:
    entries = log[index_of(log, "bet")][1]
    log[index_of(log, "refused")][1].extend(entries)


def resolve_twice(log: Log) -> None:
    capture = next(each for each, _ in log if each.kind is Kind.CAPTURE)
    log.append((capture._replace(seq=log[-1][0].seq + 1), []))


def end_a_bonus_twice(log: Log) -> None:
    granted = next(each for each, _ in log if each.kind is Kind.GRANT_BONUS)
    for kind in (Kind.RELEASE_BONUS, Kind.FORFEIT_BONUS):
        ended = granted._replace(seq=log[-1][0].seq + 1, kind=kind, cash_after=None)
        log.append((ended, []))


CONTRADICTIONS: dict[str, tuple[Callable[[Log], None], str, str]] = {
    "a transfer is missing": (drop("win"), "seq", "follows "),
    "a transfer is older than the one before": (
        edit("win", create_time=START - 1),
        "time",
        f"is older than the one before, of {START}",
    ),
    "legs do not sum to zero": (edit_leg("bet", 0, debit_posted=1), "sum", "sum to -1, pending 0"),
    "pending legs do not sum to zero": (
        edit_leg("hold", 0, debit_pending=1),
        "sum",
        "sum to 0, pending -1",
    ),
    "a refusal has entries": (
        give_entries_to_a_refusal,
        "sum",
        "is INSUFFICIENT_FUNDS and has entries",
    ),
    "an account of another currency is booked to": (
        edit("win", currency_code="USD"),
        "sum",
        "books to an account in EUR",
    ),
    "the player was told another balance of cash": (
        edit("bet", cash_after=0),
        "sum",
        "told the player (0, 50, 0), and the entries come to (90, 50, 0)",
    ),
    "the player was told another balance of bonus": (
        edit("bet", bonus_after=51),
        "sum",
        "told the player (90, 51, 0)",
    ),
    "the player was told another balance of locked money": (
        edit("bet", locked_after=1),
        "sum",
        "told the player (90, 50, 1)",
    ),
    "the number of an entry is not the next": (
        edit_leg("bet", 0, account_version=1),
        "version",
        "leg 0 is number 3 of account",
    ),
    "an entry leaves another balance": (
        edit_leg("bet", 0, balance_after=1),
        "version",
        "leg 0 leaves 90, not 91",
    ),
    "a hold is resolved twice": (resolve_twice, "hold", "resolves a hold that is not pending"),
    "a reversal is of what comes later": (
        edit("undo", original_seq=1000),
        "reversal",
        "reverses transfer 1000",
    ),
    "a reversal is of itself": (
        edit("undo", original_seq=SELF),
        "reversal",
        "reverses transfer ",
    ),
    "a reversal is of nothing": (
        edit("undo", original_seq=None),
        "reversal",
        "reverses transfer 0",
    ),
    "a reversal is numbered wrongly": (
        edit("second", reversal_no=3),
        "reversal",
        "is reversal 3, not 2",
    ),
    "more is reversed than there was": (edit("bet", amount=9), "reversal", "reverses 10 of 9 of"),
    "a bonus was never granted": (
        edit("bet", bonus_id=BonusId(b"x" * 16)),
        "bonus",
        "names a bonus that was never granted",
    ),
    "a bonus ends twice": (end_a_bonus_twice, "bonus", "ends a bonus that has ended"),
}


def test_a_history_without_contradiction_has_no_finding() -> None:
    assert added_up(log_of(busy())).findings == []


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_a_contradiction_is_found_and_told(case: str) -> None:
    contradict, check, message = CONTRADICTIONS[case]
    log = log_of(busy())
    contradict(log)
    findings = added_up(log).findings
    told = [str(each) for each in findings if each.check == check]
    assert any(message in each for each in told), findings


def test_a_finding_names_its_transfer() -> None:
    log = log_of(busy())
    seq = log[index_of(log, "bet")][0].seq
    edit("bet", cash_after=0)(log)
    [finding] = added_up(log).findings
    assert finding.place == f"transfer {seq}"
    assert str(finding) == f"sum: transfer {seq}: {finding.message}"


def test_a_missing_transfer_is_one_finding_and_leaves_the_others_their_places() -> None:
    """What comes after a gap is judged by the right originals."""
    log = log_of(busy())
    gone = log.pop(index_of(log, "refused"))[0].seq
    follower = log[-1][0]._replace(seq=gone + 1, kind=Kind.TOMBSTONE, outcome=Outcome.TOMBSTONED)
    log.append((follower, []))
    assert [each.check for each in added_up(log).findings] == ["seq"]


def test_a_reversal_after_a_gap_is_judged_by_its_own_original() -> None:
    book = Passbook()
    book.give(100)
    limit(book, LimitKind.WAGER, 100)
    book.apply(book.bet(1, id="gone", player_id=OTHER))
    book.now = Micros(START + HOUR)
    book.apply(book.bet(10, id="bet"))
    book.now = Micros(START + 2 * DAY)
    book.apply(book.bet(5, id="of the next window"))
    book.apply(book.rollback("bet"))
    book.apply(book.rollback("of the next window", id="undo"))
    log = log_of(book)
    seq = log.pop(index_of(log, "gone"))[0].seq
    del log[index_of(log, "undo")]
    history = added_up(log)
    assert history.findings == [
        Finding("seq", f"transfer {seq + 1}", f"follows {seq - 1}"),
    ]
    [counter] = history.tables["limit_counter"].values()
    assert counter["used"] == 5, "what an earlier window counted is not taken from this one"


def test_a_house_account_is_of_the_source_that_used_it_first() -> None:
    book = Passbook()
    grant(book, 10, 0, key=Key("t", "promotions", "1"))
    hold = book.apply(book.withdraw(5, source="bank"))
    resolve(book, hold, None)
    sources = {
        (row["house_kind"], row["source"])
        for row in added_up(log_of(book)).tables["account"].values()
        if row["player_id"] is None
    }
    assert sources == {(HouseKind.BONUS_COST, "promotions"), (HouseKind.PSP, "bank")}
