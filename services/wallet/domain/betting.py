"""Bets, wins, rollbacks and the end of rounds."""

from services.wallet.domain import limits
from services.wallet.domain.book import Book, Draft, Leg, Refused, RoundName
from services.wallet.domain.operations import Bet, CloseRound, GameOperation, Rollback, Win
from services.wallet.domain.policy import KeyScope, Policy, Stance, WinShort
from services.wallet.domain.result import Flag
from services.wallet.domain.reuse import keep_words
from services.wallet.domain.rows import Bonus, Posting, Round, Transfer, Wallet
from services.wallet.domain.spending import (
    Split,
    covers,
    in_proportion,
    legs_for,
    split_stake,
)
from services.wallet.domain.values import (
    BonusId,
    BonusState,
    HouseKind,
    Kind,
    LimitKind,
    Outcome,
    Restriction,
    RoundState,
    pack_key,
)

_WEIGHT_WHOLE = 10_000


def reference_name(policy: Policy, operation: Win | Rollback) -> tuple[str, str, bytes] | None:
    """Tells under which key the original of a win or a rollback is stored."""
    if not operation.reference:
        return None
    kind: Kind | None = None
    if policy.key_scope is KeyScope.SOURCE_AND_KIND:
        kind = (operation.reference_kind if isinstance(operation, Rollback) else None) or Kind.BET
    key = operation.key
    return key.tenant, key.source, pack_key(operation.reference, kind)


def plan_bet(book: Book, draft: Draft, operation: Bet) -> None:
    """Takes a stake from the buckets, in order, and counts it everywhere it counts."""
    wallet = _begin(book, draft, operation)
    draft.amount = amount = operation.amount
    if wallet.player.restricted(Restriction.NO_BET):
        raise Refused(Outcome.PLAYER_RESTRICTED)
    round_ = _find_round(book, draft, operation)
    if round_ is not None and round_.state is RoundState.CLOSED:
        raise Refused(Outcome.ROUND_CLOSED)
    bonus = book.active_bonus(operation.player_id, operation.currency_code)
    parts = _divide_stake(draft, wallet, amount, bonus, round_)
    counted = {LimitKind.WAGER: amount, LimitKind.LOSS: parts.cash}
    limits.check(book, operation.player_id, operation.currency_code, counted)
    if bonus is not None:
        _check_bonus_maximum(draft, bonus, parts)
    if amount and not covers(wallet, parts):
        raise Refused(Outcome.INSUFFICIENT_FUNDS)

    game = book.house(HouseKind.GAME, operation.key.source, operation.currency_code)
    book.post(
        draft,
        (
            Leg(wallet.cash, debit=parts.cash),
            Leg(wallet.bonus, debit=parts.bonus),
            Leg(game, credit=amount),
        ),
    )
    draft.bonus_amount = parts.bonus
    if amount:
        limits.count(book, operation.player_id, operation.currency_code, counted)
    if bonus is not None:
        _wager(book, draft, bonus, amount * operation.wager_weight // _WEIGHT_WHOLE)
    if operation.round_key:
        round_ = _enter_round(book, draft, operation, round_)
        round_.staked_cash += parts.cash
        round_.staked_bonus += parts.bonus
        if parts.bonus:
            round_.bonus_id = draft.bonus_id


def plan_win(book: Book, draft: Draft, operation: Win) -> None:
    """Pays a win to the buckets that the stakes came from."""
    wallet = _begin(book, draft, operation)
    draft.amount = amount = operation.amount
    stakes, bonus_id = _referenced_stake(book, draft, operation)
    round_ = _find_round(book, draft, operation)
    if round_ is not None:
        if round_.state is RoundState.CLOSED:
            if draft.policy.win_after_close is Stance.REFUSE:
                raise Refused(Outcome.ROUND_CLOSED)
            draft.outcome = Outcome.APPLIED_LATE
        staked = Split(round_.staked_cash, round_.staked_bonus)
        if staked.total:
            stakes, bonus_id = staked, round_.bonus_id

    parts = in_proportion(amount, stakes)
    game = book.house(HouseKind.GAME, operation.key.source, operation.currency_code)
    legs = legs_for(book, wallet, parts, bonus_id, credit=True)
    book.post(draft, [Leg(game, debit=amount), *legs])
    draft.bonus_amount = parts.bonus
    draft.bonus_id = bonus_id if parts.bonus else None
    won = {LimitKind.LOSS: parts.cash}
    limits.take_back(book, operation.player_id, operation.currency_code, won, since=book.next_seq)
    if operation.round_key:
        round_ = _enter_round(book, draft, operation, round_)
        round_.won_cash += parts.cash
        round_.won_bonus += parts.bonus
        round_.wins += 1


def plan_rollback(book: Book, draft: Draft, operation: Rollback) -> None:
    """Takes a bet or a win back, or bars one that has not been seen yet."""
    wallet = _begin(book, draft, operation)
    original = _find_original(book, draft, operation, kinds=(Kind.BET, Kind.WIN))
    draft.amount = operation.amount or 0
    if original is None:
        key, name = operation.key, reference_name(draft.policy, operation)
        # A rollback under the very id of its original occupies that key by itself.
        if name != (key.tenant, key.source, draft.key):
            draft.bars = name
            # The tombstone is the transfer after this one.
            draft.original_seq = draft.seq + 1
        if draft.policy.rollback_unknown is Stance.REFUSE:
            raise Refused(Outcome.REFERENCE_NOT_FOUND)
        draft.outcome = Outcome.NOTHING_TO_REVERSE
    elif original.kind is Kind.TOMBSTONE:
        draft.outcome = Outcome.ALREADY_REVERSED
    elif not original.outcome.posted:
        draft.outcome = Outcome.NOTHING_TO_REVERSE
    else:
        _reverse(book, draft, operation, wallet, original)
    _close_after_rollback(book, draft, operation)
    keep_words(draft)


def plan_close_round(book: Book, draft: Draft, operation: CloseRound) -> None:
    """Ends a round."""
    _begin(book, draft, operation)
    round_ = _find_round(book, draft, operation)
    if round_ is not None and round_.state is RoundState.CLOSED:
        draft.outcome = Outcome.ALREADY_CLOSED
        draft.round_state = RoundState.CLOSED
        return
    _enter_round(book, draft, operation, round_)


def _divide_stake(
    draft: Draft, wallet: Wallet, amount: int, bonus: Bonus | None, round_: Round | None
) -> Split:
    active_id = bonus.bonus_id if bonus is not None else None
    if round_ is not None and round_.staked_bonus and round_.bonus_id != active_id:
        # What a round wins follows the bonus that was staked in it, and so it can be of one only.
        return Split(amount, 0)
    order = draft.policy.spend_order
    if bonus is not None and bonus.spend_order is not None:
        order = bonus.spend_order
    return split_stake(wallet, amount, order=order, split=draft.policy.split_stake)


def _check_bonus_maximum(draft: Draft, bonus: Bonus, parts: Split) -> None:
    # A bonus never restricts cash: its maximum is for stakes that use its money.
    if bonus.max_bet is not None and parts.bonus and parts.total > bonus.max_bet:
        draft.bonus_id = bonus.bonus_id
        raise Refused(Outcome.BONUS_MAX_BET, max_bet=bonus.max_bet)


def _referenced_stake(book: Book, draft: Draft, operation: Win) -> tuple[Split, BonusId | None]:
    """Finds what is left of the bet that a win refers to."""
    if not operation.reference:
        if draft.policy.win_without_reference is Stance.REFUSE:
            raise Refused(Outcome.REFERENCE_NOT_FOUND)
        return Split(0, 0), None
    original = _find_original(book, draft, operation, kinds=(Kind.BET,))
    if original is None:
        raise Refused(Outcome.REFERENCE_NOT_FOUND, reference=operation.reference)
    if original.kind is Kind.TOMBSTONE:
        raise Refused(Outcome.REFERENCE_REVERSED)
    if not original.outcome.posted:
        raise Refused(Outcome.REFERENCE_REFUSED)
    taken_back = _taken_back(book, original)
    stake = _left_of(original, taken_back)
    if taken_back and stake.total == 0:
        raise Refused(Outcome.REFERENCE_REVERSED)
    return stake, original.bonus_id


def _reverse(
    book: Book, draft: Draft, operation: Rollback, wallet: Wallet, original: Transfer
) -> None:
    taken_back = _taken_back(book, original)
    left = _left_of(original, taken_back)
    # The reversal of a zero stake or a zero win is a reversal all the same: it happens once.
    if taken_back and left.total == 0:
        draft.outcome = Outcome.ALREADY_REVERSED
        return
    round_ = book.rounds_by_id.get(original.round_id) if original.round_id is not None else None
    draft.round = round_
    draft.round_state = round_.state if round_ is not None else None
    if (
        original.kind is Kind.BET
        and round_ is not None
        and (round_.state is RoundState.CLOSED or round_.wins)
    ):
        if draft.policy.rollback_settled_bet is Stance.REFUSE:
            raise Refused(Outcome.REFERENCE_SETTLED)
        draft.detail["settled"] = True
    if operation.amount is not None and operation.amount > left.total:
        raise Refused(Outcome.OVER_REVERSED)
    draft.amount = left.total if operation.amount is None else operation.amount
    parts = in_proportion(draft.amount, left)
    draft.bonus_amount = parts.bonus
    draft.bonus_id = original.bonus_id
    if original.kind is Kind.BET:
        _return_stake(book, draft, wallet, original, parts)
    else:
        _take_win_back(book, draft, wallet, original, parts)
    draft.reversal_no = len(taken_back) + 1
    if draft.amount < left.total:
        # So that followers know a part from the last one.
        draft.detail["left"] = left.total - draft.amount
    if round_ is not None:
        book.touch(round_)
        if original.kind is Kind.BET:
            round_.staked_cash -= parts.cash
            round_.staked_bonus -= parts.bonus
        else:
            round_.won_cash -= parts.cash
            round_.won_bonus -= parts.bonus


def _return_stake(
    book: Book, draft: Draft, wallet: Wallet, original: Transfer, parts: Split
) -> None:
    currency_code = wallet.cash.currency_code
    game = book.house(HouseKind.GAME, original.source, currency_code)
    legs = legs_for(book, wallet, parts, original.bonus_id, credit=True)
    book.post(draft, [Leg(game, debit=draft.amount), *legs])
    counted = {LimitKind.WAGER: draft.amount, LimitKind.LOSS: parts.cash}
    limits.take_back(book, original.player_id, currency_code, counted, since=original.seq)
    bonus = book.bonuses.get(original.bonus_id) if original.bonus_id is not None else None
    if bonus is not None and bonus.state is BonusState.ACTIVE and original.wager_delta:
        # What is left of the progress goes in the proportion of what is left of the stake, so
        # that the last reversal takes exactly the rest.
        taken_back = _taken_back(book, original)
        left = _left_of(original, taken_back).total
        progress = original.wager_delta + sum(each.wager_delta for each in taken_back)
        _wager(book, draft, bonus, -(progress * draft.amount // left) if left else -progress)


def _take_win_back(
    book: Book, draft: Draft, wallet: Wallet, original: Transfer, parts: Split
) -> None:
    currency_code = wallet.cash.currency_code
    game = book.house(HouseKind.GAME, original.source, currency_code)
    wanted = legs_for(book, wallet, parts, original.bonus_id, credit=False)
    legs = [Leg(game, credit=draft.amount)]
    shortfall, floor = 0, wallet.cash.floor
    for leg in wanted:
        if leg.account.player_id is not None:
            lowest = 0
            if leg.account is wallet.cash and draft.policy.rollback_win_short is WinShort.DEBT:
                lowest = -draft.policy.debt_limit
                floor = min(floor, lowest)
            # What an earlier debt has left is not touched further than this policy allows.
            missing = leg.debit - max(leg.account.available - lowest, 0)
            if missing > 0:
                if draft.policy.rollback_win_short is WinShort.REFUSE:
                    raise Refused(Outcome.INSUFFICIENT_FUNDS)
                leg.debit -= missing
                shortfall += missing
        legs.append(leg)
    if shortfall:
        draft.outcome = Outcome.APPLIED_CLAMPED
        draft.detail["shortfall"] = shortfall
        loss = book.house(HouseKind.ROLLBACK_LOSS, draft.operation.key.source, currency_code)
        legs.append(Leg(loss, debit=shortfall))
    book.post(draft, legs)
    if wallet.cash.available < wallet.cash.floor:
        wallet.cash.floor = floor
    lost_again = {LimitKind.LOSS: -parts.cash}
    limits.take_back(book, original.player_id, currency_code, lost_again, since=original.seq)


def _begin(book: Book, draft: Draft, operation: GameOperation) -> Wallet:
    draft.currency_code = operation.currency_code
    draft.game_id = operation.game_id
    if isinstance(operation, CloseRound) or operation.close_round:
        draft.flags |= Flag.CLOSE_ROUND
    draft.wallet = wallet = book.wallet(
        operation.player_id, operation.currency_code, operation.key.tenant
    )
    return wallet


def round_name(operation: GameOperation) -> RoundName:
    """Tells under which name the money side of the operation's round is stored."""
    key = operation.key
    return key.tenant, key.source, operation.player_id, operation.round_key


def _find_round(book: Book, draft: Draft, operation: GameOperation) -> Round | None:
    if not operation.round_key:
        return None
    round_ = book.rounds.get(round_name(operation))
    if round_ is not None:
        if round_.currency_code != operation.currency_code:
            raise Refused(Outcome.REFERENCE_MISMATCH)
        draft.round = round_
        draft.round_state = round_.state
    return round_


def _enter_round(book: Book, draft: Draft, operation: GameOperation, round_: Round | None) -> Round:
    """Finds or makes the round, for an operation that is applied, and closes it if asked to."""
    if round_ is None:
        round_ = book.open_round(draft, round_name(operation), RoundState.OPEN)
    else:
        book.touch(round_)
    if draft.flags & Flag.CLOSE_ROUND:
        round_.state = RoundState.CLOSED
    draft.round = round_
    draft.round_state = round_.state
    return round_


def _close_after_rollback(book: Book, draft: Draft, operation: Rollback) -> None:
    if draft.round is None and operation.round_key:
        round_ = book.rounds.get(round_name(operation))
        if round_ is not None and round_.currency_code != operation.currency_code:
            return
        if operation.close_round:
            _enter_round(book, draft, operation, round_)
        elif round_ is not None:
            draft.round, draft.round_state = round_, round_.state
    elif draft.round is not None and operation.close_round:
        _enter_round(book, draft, operation, draft.round)


def _find_original(
    book: Book, draft: Draft, operation: Win | Rollback, *, kinds: tuple[Kind, ...]
) -> Transfer | None:
    name = reference_name(draft.policy, operation)
    posting: Posting | None = book.known.get(name) if name is not None else None
    if posting is None:
        return None
    original = posting.transfer
    if isinstance(operation, Rollback) and operation.reference_kind is not None:
        kinds = (operation.reference_kind,)
    if (
        original.player_id != operation.player_id
        or original.currency_code != operation.currency_code
        or original.kind not in (*kinds, Kind.TOMBSTONE)
    ):
        raise Refused(Outcome.REFERENCE_MISMATCH, reference=operation.reference)
    draft.original = posting
    draft.original_seq = original.seq
    return original


def _taken_back(book: Book, original: Transfer) -> list[Transfer]:
    return book.reversals.get(original.seq, [])


def _left_of(original: Transfer, taken_back: list[Transfer]) -> Split:
    bonus = original.bonus_amount - sum(each.bonus_amount for each in taken_back)
    total = original.amount - sum(each.amount for each in taken_back)
    return Split(total - bonus, bonus)


def _wager(book: Book, draft: Draft, bonus: Bonus, progress: int) -> None:
    draft.bonus_id = bonus.bonus_id
    draft.wager_delta = progress
    if progress:
        book.touch(bonus)
        bonus.wager_done += progress
