"""The life of a bonus: granted or queued, active, then released, forfeited or expired."""

from services.wallet.domain.book import Book, Draft, Leg, Refused
from services.wallet.domain.office import content_of
from services.wallet.domain.operations import ForfeitBonus, GrantBonus
from services.wallet.domain.rows import NOT_STORED, Bonus, Wallet
from services.wallet.domain.values import (
    BonusId,
    BonusState,
    HouseKind,
    Outcome,
    Restriction,
    derive_id,
)


def plan_grant(book: Book, draft: Draft, operation: GrantBonus) -> None:
    """Gives a bonus; while another one counts, it is only queued and nothing is booked."""
    draft.detail = content_of(operation)
    draft.currency_code = operation.currency_code
    draft.amount = operation.amount
    draft.wallet = wallet = book.wallet(
        operation.player_id, operation.currency_code, operation.key.tenant
    )
    if wallet.player.restricted(Restriction.NO_BONUS):
        raise Refused(Outcome.PLAYER_RESTRICTED)
    bonus = Bonus(
        version=1,
        stored_version=NOT_STORED,
        bonus_id=BonusId(derive_id(now=book.now, shard=book.shard, seq=draft.seq)),
        shard=book.shard,
        player_id=operation.player_id,
        source=operation.key.source,
        currency_code=operation.currency_code,
        granted=operation.amount,
        wager_required=operation.wager_required,
        wager_done=0,
        max_bet=operation.max_bet,
        spend_order=operation.spend_order,
        state=BonusState.QUEUED,
        expire_time=operation.expire_time,
        rules_version=operation.rules_version,
    )
    if book.active_bonus(operation.player_id, operation.currency_code) is None:
        book_grant(book, draft, bonus, wallet)
    draft.bonus_id = bonus.bonus_id
    draft.detail["state"] = int(bonus.state)
    book.add(book.bonuses, bonus.bonus_id, bonus)


def plan_forfeit(book: Book, draft: Draft, operation: ForfeitBonus) -> None:
    """Ends a bonus at somebody's wish."""
    draft.detail = content_of(operation)
    draft.bonus_id = operation.bonus_id
    book.player(operation.player_id, operation.key.tenant)
    bonus = book.bonuses.get(operation.bonus_id)
    if bonus is None:
        raise Refused(Outcome.BONUS_NOT_FOUND)
    if bonus.player_id != operation.player_id:
        raise Refused(Outcome.REFERENCE_MISMATCH)
    draft.currency_code = bonus.currency_code
    draft.wallet = wallet = book.wallet(bonus.player_id, bonus.currency_code, operation.key.tenant)
    if bonus.state not in {BonusState.ACTIVE, BonusState.QUEUED}:
        raise Refused(Outcome.BONUS_NOT_ACTIVE)
    end_bonus(book, draft, bonus, wallet, BonusState.FORFEITED)


def book_grant(book: Book, draft: Draft, bonus: Bonus, wallet: Wallet) -> None:
    """Books the money of a bonus and makes it the one that counts."""
    cost = book.house(HouseKind.BONUS_COST, bonus.source, bonus.currency_code)
    draft.amount = bonus.granted
    draft.bonus_id = bonus.bonus_id
    book.post(draft, (Leg(cost, debit=bonus.granted), Leg(wallet.bonus, credit=bonus.granted)))
    book.touch(bonus)
    bonus.state = BonusState.ACTIVE


def end_bonus(book: Book, draft: Draft, bonus: Bonus, wallet: Wallet, state: BonusState) -> None:
    """Empties the bonus bucket: to cash if the bonus is released, else back to the house."""
    draft.bonus_id = bonus.bonus_id
    left = max(wallet.bonus.available, 0) if bonus.state is BonusState.ACTIVE else 0
    draft.amount = left
    place = (
        wallet.cash
        if state is BonusState.RELEASED
        else book.house(HouseKind.BONUS_COST, bonus.source, bonus.currency_code)
    )
    book.post(draft, (Leg(wallet.bonus, debit=left), Leg(place, credit=left)))
    book.touch(bonus)
    bonus.state = state
