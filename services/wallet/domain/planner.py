"""Plans a batch: decides each operation in order, on the working copy."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from services.wallet.domain import betting, bonuses, office, operations, payments
from services.wallet.domain.book import Book, Draft, KeyName, Refused, RoundName
from services.wallet.domain.fingerprint import fingerprint
from services.wallet.domain.operations import Group, Operation
from services.wallet.domain.policy import KeyScope, Policies
from services.wallet.domain.result import Answer, Reused, result_of
from services.wallet.domain.reuse import differing_fields, keep_words
from services.wallet.domain.rows import Bonus, Hold, Posting, Wallet
from services.wallet.domain.validation import InvalidOperationError, check_operation
from services.wallet.domain.values import (
    WALLET_SOURCE,
    BonusId,
    BonusState,
    HoldId,
    HoldState,
    Key,
    Kind,
    Outcome,
    PlayerId,
    Restriction,
    pack_key,
    unpack_id,
    unpack_key,
)

_Plan = Callable[[Book, Draft, Any], None]

_PLANS: dict[Kind, _Plan] = {
    Kind.DEPOSIT: payments.plan_deposit,
    Kind.HOLD_DEPOSIT: payments.plan_hold_deposit,
    Kind.WITHDRAW: payments.plan_withdraw,
    Kind.CAPTURE: payments.plan_capture,
    Kind.RELEASE: payments.plan_release,
    Kind.BET: betting.plan_bet,
    Kind.WIN: betting.plan_win,
    Kind.ROLLBACK: betting.plan_rollback,
    Kind.CLOSE_ROUND: betting.plan_close_round,
    Kind.MOVE: office.plan_move,
    Kind.ADJUST: office.plan_adjust,
    Kind.GRANT_BONUS: bonuses.plan_grant,
    Kind.FORFEIT_BONUS: bonuses.plan_forfeit,
    Kind.SET_LIMIT: office.plan_set_limit,
    Kind.SET_RESTRICTION: office.plan_set_restriction,
    Kind.OPEN_WALLET: office.plan_open_wallet,
    Kind.SET_POLICY: office.plan_set_policy,
}


@dataclass(frozen=True, slots=True)
class Submission:
    """An operation with what is worked out once, before it waits for its batch.

    Attributes:
        name: The key as stored.
        reference: The key of the original, if the operation has one.
    """

    operation: Operation
    name: KeyName
    fingerprint: bytes
    reference: KeyName | None


@dataclass(frozen=True, slots=True)
class Lookup:
    """A question for what is recorded under a key.

    Attributes:
        kind: What the operation is, for sources that use one id for several kinds.
        name: The key as stored.
    """

    key: Key
    kind: Kind | None
    name: KeyName


@dataclass(frozen=True, slots=True)
class Unit:
    """What is planned as one: a single operation, or a linked group.

    Attributes:
        linked: Whether the operations apply whole or not at all.
        alone: Whether it makes a batch by itself, since it changes by what the next are judged.
        wake: With no operation: only brings this player up to date.
        lookup: With no operation: only tells what is recorded under a key, if anything.
    """

    submissions: tuple[Submission, ...] = ()
    linked: bool = False
    alone: bool = False
    wake: PlayerId | None = None
    lookup: Lookup | None = None

    def concerns(self, sources: Iterable[tuple[str, str]]) -> bool:
        """Tells whether one of these tenants and sources asks."""
        if self.lookup is not None:
            return self.lookup.name[:2] in sources
        return any(each.name[:2] in sources for each in self.submissions)


@dataclass(slots=True)
class Needs:
    """What must be loaded before a batch is planned."""

    keys: set[KeyName]
    players: set[PlayerId]
    rounds: set[RoundName]
    holds: set[HoldId]
    bonuses: set[BonusId]
    sources: set[tuple[str, str]]


def submission_of(operation: Operation, policies: Policies) -> Submission:
    """Works out key, fingerprint and reference."""
    key = operation.key
    policy = policies.of(key.tenant, key.source)
    kind = operation.KIND if policy.key_scope is KeyScope.SOURCE_AND_KIND else None
    reference = None
    if isinstance(operation, operations.Win | operations.Rollback):
        reference = betting.reference_name(policy, operation)
    return Submission(
        operation=operation,
        name=(key.tenant, key.source, pack_key(key.id, kind)),
        fingerprint=fingerprint(operation),
        reference=reference,
    )


def unit_of(asked: Operation | Group, policies: Policies) -> Unit:
    """Checks the form of what is asked, and works out what its batch needs to know.

    Raises:
        InvalidOperationError: An operation breaks a rule of form.
    """
    linked = isinstance(asked, Group)
    asked_for = asked.operations if isinstance(asked, Group) else (asked,)
    for each in asked_for:
        check_operation(each, policies)
    return Unit(
        tuple(submission_of(each, policies) for each in asked_for),
        linked=linked,
        alone=isinstance(asked, operations.SetPolicy),
    )


def lookup_of(key: Key, kind: Kind | None, policies: Policies) -> Lookup:
    """Works out under which key an operation would be stored.

    Raises:
        InvalidOperationError: Its source uses one id for several kinds, and none is given.
    """
    policy = policies.of(key.tenant, key.source)
    by_kind = policy.key_scope is KeyScope.SOURCE_AND_KIND
    if by_kind and kind is None:
        raise InvalidOperationError(
            "kind", "is missing: this source's ids are unique within a kind"
        )
    return Lookup(key, kind, (key.tenant, key.source, pack_key(key.id, kind if by_kind else None)))


def renewed(unit: Unit, policies: Policies) -> Unit:
    """Works a unit out anew: policies have changed since it was admitted.

    Raises:
        InvalidOperationError: An operation breaks a rule of form by now.
    """
    for each in unit.submissions:
        check_operation(each.operation, policies)
    lookup = unit.lookup
    return replace(
        unit,
        submissions=tuple(submission_of(each.operation, policies) for each in unit.submissions),
        lookup=None if lookup is None else lookup_of(lookup.key, lookup.kind, policies),
    )


def needs_of(units: Iterable[Unit]) -> Needs:
    """Collects what a batch touches by its own words; what that refers to is the store's part."""
    needs = Needs(set(), set(), set(), set(), set(), set())
    for unit in units:
        if unit.wake is not None:
            needs.players.add(unit.wake)
        if unit.lookup is not None:
            needs.keys.add(unit.lookup.name)
        for submission in unit.submissions:
            operation = submission.operation
            needs.keys.add(submission.name)
            needs.players.add(operation.player_id)
            if submission.reference is not None:
                needs.keys.add(submission.reference)
            if isinstance(operation, operations.GameOperation):
                if operation.round_key:
                    needs.rounds.add(betting.round_name(operation))
            else:
                _need_what_is_named(needs, operation)
    return needs


def _need_what_is_named(needs: Needs, operation: Operation) -> None:
    if isinstance(operation, operations.Capture | operations.Release):
        needs.holds.add(operation.hold_id)
    elif isinstance(operation, operations.ForfeitBonus):
        needs.bonuses.add(operation.bonus_id)
    elif isinstance(operation, operations.SetPolicy):
        needs.sources.add((operation.key.tenant, operation.source))


class Planner:
    """Plans the units of one batch, one after the other, on its book."""

    def __init__(self, book: Book) -> None:
        self.book = book

    def plan(self, unit: Unit) -> list[Answer | Reused]:
        """Decides a unit. Earlier units of the batch count as stored."""
        if unit.lookup is not None:
            known = self.book.known.get(unit.lookup.name)
            return [] if known is None else [Answer(result_of(known), replayed=True)]
        if unit.wake is not None:
            self._bring_up_to_date(unit.wake)
        for submission in unit.submissions:
            self._bring_up_to_date(submission.operation.player_id)
        if unit.linked:
            answers = self._plan_group(unit.submissions)
        else:
            answers = [self._plan_one(submission) for submission in unit.submissions]
        if self.book.bonuses:
            for submission in unit.submissions:
                self._release_bonuses(submission.operation.player_id)
        return answers

    def _plan_one(self, submission: Submission) -> Answer | Reused:
        known = self.book.known.get(submission.name)
        if known is not None:
            return _answer_known(known, submission)
        return Answer(result_of(self._decide(submission)), replayed=False)

    def _plan_group(self, submissions: tuple[Submission, ...]) -> list[Answer | Reused]:
        book = self.book
        mark = book.begin_undo()
        group_no = book.next_seq
        answers: list[Answer | Reused] = []
        failed: int | None = None
        refusal: Draft | None = None
        for index, submission in enumerate(submissions):
            known = book.known.get(submission.name)
            if known is not None:
                answer = _answer_known(known, submission)
                answers.append(answer)
                if isinstance(answer, Reused) or not answer.result.outcome.success:
                    failed = index
                    break
                continue
            draft = self._draft(submission)
            self._judge(draft)
            if not draft.outcome.success:
                failed, refusal = index, draft
                break
            answers.append(Answer(result_of(self._write(draft, group_no=group_no)), replayed=False))
        if failed is None:
            book.end_undo()
            return answers
        book.undo(mark)
        return [
            self._fail_leg(submission, refusal if index == failed else None, group_no)
            for index, submission in enumerate(submissions)
        ]

    def _fail_leg(
        self, submission: Submission, refusal: Draft | None, group_no: int
    ) -> Answer | Reused:
        """Stores a leg of a group that failed: with its own refusal, or with the group's."""
        known = self.book.known.get(submission.name)
        if known is not None:
            return _answer_known(known, submission)
        draft = refusal if refusal is not None else self._draft(submission)
        if refusal is None:
            self._look(draft)
            draft.outcome = Outcome.LINKED_FAILED
        else:
            self._rebase(draft)
            # What was undone tells nobody any more what it was called.
            keep_words(draft)
        return Answer(result_of(self._write(draft, group_no=group_no)), replayed=False)

    def _decide(self, submission: Submission) -> Posting:
        draft = self._draft(submission)
        self._judge(draft)
        return self._write(draft)

    def _draft(self, submission: Submission) -> Draft:
        operation = submission.operation
        key = operation.key
        return Draft(
            operation=operation,
            key=submission.name[2],
            fingerprint=submission.fingerprint,
            policy=self.book.policies.of(key.tenant, key.source),
            kind=operation.KIND,
            seq=self.book.next_seq,
        )

    def _judge(self, draft: Draft) -> None:
        """Applies the operation to the book, or leaves the book as it was and names the refusal."""
        try:
            _PLANS[draft.kind](self.book, draft, draft.operation)
        except Refused as refused:
            draft.outcome = refused.outcome
            draft.bonus_amount = draft.wager_delta = 0
            draft.reversal_no = None
            draft.detail.pop("shortfall", None)
            draft.detail.pop("settled", None)
            draft.detail.update(refused.detail)
            keep_words(draft)

    def _write(self, draft: Draft, *, group_no: int | None = None) -> Posting:
        posting = self.book.record(draft, group_no=group_no)
        if draft.bars is not None:
            self._bar(draft, draft.bars)
        return posting

    def _look(self, draft: Draft) -> None:
        """Fills in what is known of an operation that is not judged at all."""
        draft.amount = getattr(draft.operation, "amount", None) or 0
        keep_words(draft)
        draft.wallet = self._wallet_of(draft)

    def _wallet_of(self, draft: Draft) -> Wallet | None:
        """Finds the wallet whose balance the answer may tell: never that of another tenant."""
        operation = draft.operation
        if draft.currency_code is None:
            return None
        wallet = self.book.wallets.get((operation.player_id, draft.currency_code))
        if wallet is None or wallet.player.tenant != operation.key.tenant:
            return None
        return wallet

    def _rebase(self, draft: Draft) -> None:
        """Takes out of a refusal what was undone with its group."""
        book = self.book
        draft.seq = book.next_seq
        if draft.bars is not None:
            draft.original_seq = draft.seq + 1
        elif draft.original is not None:
            original = draft.original.transfer
            now_stored = book.known.get((original.tenant, original.source, original.key))
            draft.original = now_stored
            draft.original_seq = now_stored.transfer.seq if now_stored is not None else None
        if draft.round is not None:
            draft.round = book.rounds_by_id.get(draft.round.round_id)
            draft.round_state = draft.round.state if draft.round is not None else None
        if draft.bonus_id is not None and draft.bonus_id not in book.bonuses:
            draft.bonus_id = None
        draft.wallet = self._wallet_of(draft)

    def _bar(self, rollback: Draft, name: KeyName) -> None:
        """Occupies the key of an original that nobody has seen, so that it is refused later."""
        operation = rollback.operation
        draft = Draft(
            operation=Operation(
                key=Key(name[0], name[1], unpack_key(name[2])),
                player_id=operation.player_id,
                trace_id=operation.trace_id,
            ),
            key=name[2],
            fingerprint=_own_fingerprint(Kind.TOMBSTONE, name),
            policy=rollback.policy,
            kind=Kind.TOMBSTONE,
            seq=self.book.next_seq,
            outcome=Outcome.TOMBSTONED,
            currency_code=rollback.currency_code,
            original_seq=rollback.seq,
            # It answers whoever comes late under this key, and that may be another player.
            wallet=None,
            game_id=rollback.game_id,
        )
        self.book.record(draft)

    # What the wallet does by itself.

    def _bring_up_to_date(self, player_id: PlayerId) -> None:
        """Expires what is due and lets the next bonus begin.

        Before each unit, so that it makes no difference how a history is cut into batches.
        """
        book = self.book
        if not book.holds and not book.bonuses:
            return
        for hold in list(book.holds.values()):
            if (
                hold.player_id == player_id
                and hold.state is HoldState.PENDING
                and hold.expire_time is not None
                and hold.expire_time <= book.now
            ):
                self._expire_hold(hold)
        if not book.bonuses:
            return
        for bonus in self._bonuses_of(player_id, BonusState.ACTIVE, BonusState.QUEUED):
            if bonus.expire_time <= book.now:
                self._end_bonus(bonus, Kind.EXPIRE_BONUS, BonusState.EXPIRED)
        self._activate_bonuses(player_id)

    def _release_bonuses(self, player_id: PlayerId) -> None:
        """Releases what has been wagered; a bonus that begins with nothing to wager follows."""
        for bonus in self._bonuses_of(player_id, BonusState.ACTIVE, BonusState.QUEUED):
            self._activate_bonuses(player_id)
            if bonus.state is BonusState.ACTIVE and bonus.wager_done >= bonus.wager_required:
                self._end_bonus(bonus, Kind.RELEASE_BONUS, BonusState.RELEASED)
        self._activate_bonuses(player_id)

    def _activate_bonuses(self, player_id: PlayerId) -> None:
        book = self.book
        for bonus in self._bonuses_of(player_id, BonusState.QUEUED):
            wallet = book.wallets[player_id, bonus.currency_code]
            if book.active_bonus(
                player_id, bonus.currency_code
            ) is None and not wallet.player.restricted(Restriction.NO_BONUS):
                draft = self._own_draft(Kind.ACTIVATE_BONUS, bonus.bonus_id, wallet)
                bonuses.book_grant(book, draft, bonus, wallet)
                book.record(draft)

    def _bonuses_of(self, player_id: PlayerId, *states: BonusState) -> list[Bonus]:
        """Lists a player's bonuses in the order in which they were granted."""
        return sorted(
            (
                bonus
                for bonus in self.book.bonuses.values()
                if bonus.player_id == player_id and bonus.state in states
            ),
            key=lambda bonus: bonus.bonus_id,
        )

    def _expire_hold(self, hold: Hold) -> None:
        wallet = self.book.wallets[hold.player_id, hold.currency_code]
        draft = self._own_draft(Kind.EXPIRE_HOLD, hold.hold_id, wallet)
        draft.hold_id = hold.hold_id
        payments.free_hold(self.book, draft, hold, wallet, HoldState.EXPIRED)
        self.book.record(draft)

    def _end_bonus(self, bonus: Bonus, kind: Kind, state: BonusState) -> None:
        wallet = self.book.wallets[bonus.player_id, bonus.currency_code]
        draft = self._own_draft(kind, bonus.bonus_id, wallet)
        bonuses.end_bonus(self.book, draft, bonus, wallet, state)
        self.book.record(draft)

    def _own_draft(self, kind: Kind, of_id: bytes, wallet: Wallet) -> Draft:
        player = wallet.player
        own_id = f"{kind.name.lower()}:{unpack_id(of_id)}"
        key = Key(player.tenant, WALLET_SOURCE, own_id)
        packed = pack_key(own_id)
        return Draft(
            operation=Operation(key=key, player_id=player.player_id),
            key=packed,
            fingerprint=_own_fingerprint(kind, (key.tenant, key.source, packed)),
            policy=self.book.policies.of(key.tenant, key.source),
            kind=kind,
            seq=self.book.next_seq,
            currency_code=wallet.cash.currency_code,
            wallet=wallet,
        )


def _own_fingerprint(kind: Kind, name: KeyName) -> bytes:
    tenant, source, key = name
    content = b"%d:%s:%s:%s" % (kind, tenant.encode(), source.encode(), key)
    return hashlib.blake2b(content, digest_size=16).digest()


def _answer_known(known: Posting, submission: Submission) -> Answer | Reused:
    stored = known.transfer
    if stored.kind is Kind.TOMBSTONE:
        return Answer(result_of(known), replayed=False)
    if stored.fingerprint == submission.fingerprint:
        return Answer(result_of(known), replayed=True)
    return Reused(submission.operation.key, differing_fields(known, submission.operation))
