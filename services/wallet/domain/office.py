"""Opening wallets, moving and correcting balances, and setting by what is judged."""

from typing import Any

from services.wallet.domain import limits
from services.wallet.domain.book import Book, Draft, Leg, Refused, player_accounts
from services.wallet.domain.operations import (
    Adjust,
    Move,
    OpenWallet,
    Operation,
    SetLimit,
    SetPolicy,
    SetRestriction,
)
from services.wallet.domain.policy import WinShort, version_set_by
from services.wallet.domain.result import Flag
from services.wallet.domain.rows import NOT_STORED, Account, LimitCounter, Player, Wallet
from services.wallet.domain.values import Bucket, HouseKind, Micros, Outcome

_IN_COLUMNS = frozenset({"player_id", "currency_code", "amount", "bonus_id", "chargeback"})


def content_of(operation: Operation) -> dict[str, Any]:
    """Collects the content that has no column of its own, for the detail of the transfer."""
    content = {name: getattr(operation, name) for name in operation.CONTENT}
    return {
        name: int(value) if isinstance(value, int) else value
        for name, value in content.items()
        if name not in _IN_COLUMNS
    }


def plan_open_wallet(book: Book, draft: Draft, operation: OpenWallet) -> None:
    """Makes the player and the accounts that are missing."""
    draft.currency_code = operation.currency_code
    tenant = operation.key.tenant
    player = book.players.get(operation.player_id)
    if player is None:
        player = Player(
            version=1,
            stored_version=NOT_STORED,
            player_id=operation.player_id,
            tenant=tenant,
            shard=book.shard,
            restrictions=0,
        )
        book.add(book.players, operation.player_id, player)
    elif player.tenant != tenant:
        raise Refused(Outcome.PLAYER_NOT_FOUND)
    name = (operation.player_id, operation.currency_code)
    wallet = book.wallets.get(name)
    if wallet is None:
        accounts = player_accounts(player, operation.currency_code, shard=book.shard, seq=draft.seq)
        wallet = Wallet(player, *accounts)
        book.add(book.wallets, name, wallet)
    draft.wallet = wallet


def plan_move(book: Book, draft: Draft, operation: Move) -> None:
    """Moves money between two buckets, or between one and the exchange account."""
    draft.detail = content_of(operation)
    if not operation.rate:
        # Only the halves of an exchange have one.
        del draft.detail["rate"]
    draft.currency_code = operation.currency_code
    draft.amount = amount = operation.amount
    draft.wallet = wallet = book.wallet(
        operation.player_id, operation.currency_code, operation.key.tenant
    )
    debit = _account(book, wallet, operation.debit, operation)
    credit = _account(book, wallet, operation.credit, operation)
    if operation.debit is not None and debit.available < amount:
        raise Refused(Outcome.INSUFFICIENT_FUNDS)
    book.post(draft, (Leg(debit, debit=amount), Leg(credit, credit=amount)))


def plan_adjust(book: Book, draft: Draft, operation: Adjust) -> None:
    """Raises or lowers a bucket against the house."""
    draft.detail = content_of(operation)
    draft.currency_code = operation.currency_code
    draft.amount = operation.amount
    if operation.chargeback:
        draft.flags |= Flag.CHARGEBACK
    draft.wallet = wallet = book.wallet(
        operation.player_id, operation.currency_code, operation.key.tenant
    )
    account = _account(book, wallet, operation.bucket, operation)
    house = book.house(HouseKind.ADJUSTMENT, operation.key.source, operation.currency_code)
    if operation.amount > 0:
        book.post(
            draft, (Leg(house, debit=operation.amount), Leg(account, credit=operation.amount))
        )
        return
    taken, lowest = -operation.amount, 0
    if (
        operation.chargeback
        and operation.bucket is Bucket.CASH
        and draft.policy.rollback_win_short is WinShort.DEBT
    ):
        lowest = -draft.policy.debt_limit
    if account.available - lowest < taken:
        raise Refused(Outcome.INSUFFICIENT_FUNDS)
    book.post(draft, (Leg(account, debit=taken), Leg(house, credit=taken)))
    if account.available < account.floor:
        account.floor = lowest


def plan_set_restriction(book: Book, draft: Draft, operation: SetRestriction) -> None:
    """Replaces one party's restrictions."""
    told = {"reason": operation.reason, "actor": operation.actor}
    draft.detail = content_of(operation) | {name: each for name, each in told.items() if each}
    player = book.player(operation.player_id, operation.key.tenant)
    book.touch(player)
    player.restrict(operation.scope, operation.restrictions)


def plan_set_limit(book: Book, draft: Draft, operation: SetLimit) -> None:
    """Sets a limit at once, or for later. A new maximum always replaces one that is to come."""
    draft.detail = content_of(operation)
    draft.currency_code = operation.currency_code
    draft.wallet = book.wallet(operation.player_id, operation.currency_code, operation.key.tenant)
    counter = _counter(book, operation)
    book.touch(counter)
    limits.bring_up_to_date(counter, book.now)
    if operation.start_time is None or operation.start_time <= book.now:
        counter.max_amount = operation.max_amount
        counter.next_max = counter.next_time = None
    else:
        counter.next_max, counter.next_time = operation.max_amount, operation.start_time


def plan_set_policy(book: Book, draft: Draft, operation: SetPolicy) -> None:
    """Adds a version of a source's policy, which judges what is planned after it."""
    draft.detail = content_of(operation)
    tenant, source = operation.key.tenant, operation.source
    scope = book.policies.of(tenant, source).key_scope
    # The key of this very operation counts, if it is the source's own.
    has_keys = source == operation.key.source or book.has_keys(tenant, source)
    if operation.key_scope is not scope and has_keys:
        raise Refused(Outcome.KEY_SCOPE_FIXED, scope_in_use=int(scope))
    policy_id, version = book.policies.next_numbers(tenant, source)
    draft.detail |= {"policy_id": policy_id, "version": version}
    book.set_policy(
        version_set_by(tenant=tenant, seq=draft.seq, create_time=book.now, detail=draft.detail)
    )


def _counter(book: Book, operation: SetLimit) -> LimitCounter:
    counters = book.limits.get(operation.player_id, [])
    for counter in counters:
        if (counter.scope, counter.kind, counter.currency_code, counter.period) == (
            operation.scope,
            operation.limit_kind,
            operation.currency_code,
            operation.period,
        ):
            return counter
    made = LimitCounter(
        version=0,
        stored_version=NOT_STORED,
        player_id=operation.player_id,
        scope=operation.scope,
        kind=operation.limit_kind,
        currency_code=operation.currency_code,
        period=operation.period,
        max_amount=None,
        used=0,
        window_seq=0,
        window_end=Micros(0),
        next_max=None,
        next_time=None,
    )
    # A list of its own, so that undoing brings the old one back.
    book.replace(book.limits, operation.player_id, [*counters, made])
    return made


def _account(
    book: Book, wallet: Wallet, bucket: Bucket | None, operation: Move | Adjust
) -> Account:
    if bucket is None:
        return book.house(HouseKind.FX, operation.key.source, operation.currency_code)
    return wallet.account(bucket)
