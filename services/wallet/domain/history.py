"""All other money state, added up anew from transfers and entries alone.

It shares no rule with the planner: it only sums what was recorded, and notes what history itself
contradicts. What a batch of rows means is told by the rows; nothing is decided again.
"""

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from services.wallet.domain.limit_history import Columns, Identity, LimitHistory, detail_of
from services.wallet.domain.policy import DEFAULT_VERSION, version_set_by
from services.wallet.domain.rows import Entry, PolicyVersion, Transfer
from services.wallet.domain.values import (
    BonusState,
    Bucket,
    HoldDirection,
    HoldState,
    Kind,
    LimitKind,
    Outcome,
    RoundState,
    account_code,
    account_id_of,
    derived_seq,
)

_ENDS_OF_BONUSES = {
    Kind.RELEASE_BONUS: BonusState.RELEASED,
    Kind.FORFEIT_BONUS: BonusState.FORFEITED,
    Kind.EXPIRE_BONUS: BonusState.EXPIRED,
}
_ENDS_OF_HOLDS = {
    Kind.CAPTURE: HoldState.POSTED,
    Kind.RELEASE: HoldState.VOIDED,
    Kind.EXPIRE_HOLD: HoldState.EXPIRED,
}
_RESTRICTION_BITS = 4


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it must be.

    Attributes:
        check: Which promise is concerned, in one word.
        place: Where: a table with the identity of a row, or a transfer.
        message: What was found, and what was expected.
    """

    check: str
    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.check}: {self.place}: {self.message}"


class History:
    """Sums of a shard's log up to some transfer, in the columns of the tables that cache them.

    Attributes:
        tables: For each table, by primary key, the columns that follow from history.
        findings: What history contradicts by itself.
        debt_max: The largest debt that a policy has ever granted.
    """

    def __init__(self, shard: int) -> None:
        self.shard = shard
        self.last_seq = 0
        self.last_time = 0
        self.findings: list[Finding] = []
        self.debt_max = 0
        self.tables: dict[str, dict[Identity, Columns]] = {
            name: {} for name in ("player", "account", "hold", "round", "bonus", "limit_counter")
        }
        # What reversals ask of their originals, at a few bytes a transfer.
        self._kinds = bytearray(1)
        self._amounts = array("q", [0])
        self._rounds = array("q", [0])
        self._reversals: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
        self._wallets: dict[tuple[bytes, str], tuple[int, int, int]] = {}
        self._limits = LimitHistory(self.tables["limit_counter"])
        self._judges: dict[tuple[str, str], int] = {}
        self.tables["policy"] = {}
        self._keep_policy(DEFAULT_VERSION)
        self._meanings: dict[Kind, Callable[[Transfer], None]] = {
            Kind.OPEN_WALLET: self._open_wallet,
            Kind.SET_RESTRICTION: self._restrict,
            Kind.SET_LIMIT: self._limits.set,
            Kind.DEPOSIT: self._deposit,
            Kind.HOLD_DEPOSIT: self._hold,
            Kind.WITHDRAW: self._hold,
            Kind.CAPTURE: self._resolve,
            Kind.RELEASE: self._resolve,
            Kind.EXPIRE_HOLD: self._resolve,
            Kind.BET: self._count_stake,
            Kind.WIN: self._count_win,
            Kind.ROLLBACK: self._reverse,
            Kind.SET_POLICY: self._set_policy,
        }

    # Adding.

    def add(self, transfer: Transfer, entries: Iterable[Entry]) -> None:
        """Adds the transfer that follows, with its entries in the order of their legs."""
        if transfer.seq != self.last_seq + 1:
            self._find("seq", transfer, f"follows {self.last_seq}")
        if transfer.create_time < self.last_time:
            self._find("time", transfer, f"is older than the one before, of {self.last_time}")
        self.last_seq, self.last_time = transfer.seq, transfer.create_time
        self._remember(transfer)
        if transfer.outcome.posted:
            self._apply(transfer)
        elif transfer.outcome.success and transfer.round_id is not None:
            # A rollback with nothing to reverse may close its round all the same.
            self._round(transfer)
        self._book(transfer, list(entries))

    def policy_id_of(self, tenant: str, source: str) -> int:
        """Tells which policy judges a source's next transfer."""
        return self._judges.get((tenant, source), DEFAULT_VERSION.policy_id)

    def _remember(self, transfer: Transfer) -> None:
        # A removed row leaves its place empty, so that the others keep theirs.
        missing = transfer.seq - len(self._kinds)
        if missing > 0:
            self._kinds.extend(bytes(missing))
            self._amounts.extend([0] * missing)
            self._rounds.extend([0] * missing)
        self._kinds.append(transfer.kind)
        self._amounts.append(transfer.amount)
        self._rounds.append(transfer.round_id or 0)

    def _book(self, transfer: Transfer, entries: list[Entry]) -> None:
        posted = pending = 0
        for entry in entries:
            self._add_entry(transfer, entry)
            posted += entry.credit_posted - entry.debit_posted
            pending += entry.credit_pending - entry.debit_pending
        if posted or pending:
            self._find("sum", transfer, f"its entries sum to {posted}, pending {pending}")
        if entries and not transfer.outcome.posted:
            self._find("sum", transfer, f"is {transfer.outcome.name} and has entries")
        if transfer.cash_after is not None and transfer.currency_code is not None:
            self._check_after(transfer, transfer.currency_code)

    def _add_entry(self, transfer: Transfer, entry: Entry) -> None:
        account = self.tables["account"].get((entry.account_id,))
        if account is None:
            account = self._open_account(transfer, entry.account_id)
        elif account["currency_code"] != transfer.currency_code:
            self._find("sum", transfer, f"books to an account in {account['currency_code']}")
        account["version"] += 1
        if entry.account_version != account["version"]:
            self._find(
                "version",
                transfer,
                f"leg {entry.leg} is number {entry.account_version} of account"
                f" {entry.account_id}, not {account['version']}",
            )
            account["version"] = entry.account_version
        account["debits_posted"] += entry.debit_posted
        account["credits_posted"] += entry.credit_posted
        account["debits_pending"] += entry.debit_pending
        account["credits_pending"] += entry.credit_pending
        balance = account["credits_posted"] - account["debits_posted"]
        if entry.balance_after != balance:
            self._find(
                "version", transfer, f"leg {entry.leg} leaves {balance}, not {entry.balance_after}"
            )

    def _check_after(self, transfer: Transfer, currency_code: str) -> None:
        accounts = self._wallets.get((transfer.player_id, currency_code))
        if accounts is None:
            return
        told = (transfer.cash_after, transfer.bonus_after, transfer.locked_after)
        summed = tuple(available(self.tables["account"][each,]) for each in accounts)
        if told != summed:
            self._find("sum", transfer, f"told the player {told}, and the entries come to {summed}")

    def _find(self, check: str, transfer: Transfer, message: str) -> None:
        self.findings.append(Finding(check, f"transfer {transfer.seq}", message))

    # Accounts.

    def _open_account(self, transfer: Transfer, account_id: int) -> Columns:
        code = account_code(account_id)
        account: Columns = {
            "shard": self.shard,
            "player_id": transfer.player_id if isinstance(code, Bucket) else None,
            "house_kind": 0 if isinstance(code, Bucket) else int(code),
            "source": "" if isinstance(code, Bucket) else self._house_source(transfer),
            "currency_code": transfer.currency_code,
            "bucket": int(code) if isinstance(code, Bucket) else 0,
            "debits_posted": 0,
            "credits_posted": 0,
            "debits_pending": 0,
            "credits_pending": 0,
            "version": 0,
        }
        self.tables["account"][account_id,] = account
        return account

    def _house_source(self, transfer: Transfer) -> str:
        """Tells whose house account a transfer was the first to use."""
        if transfer.bonus_id is not None and transfer.kind in (
            *_ENDS_OF_BONUSES,
            Kind.ACTIVATE_BONUS,
        ):
            return str(self.tables["bonus"][transfer.bonus_id,]["source"])
        if transfer.hold_id is not None:
            return str(self.tables["hold"][transfer.hold_id,]["source"])
        return transfer.source

    # What an applied transfer means.

    def _apply(self, transfer: Transfer) -> None:
        if transfer.round_id is not None:
            self._round(transfer)
        if transfer.bonus_id is not None:
            self._bonus(transfer)
        meaning = self._meanings.get(transfer.kind)
        if meaning is not None:
            meaning(transfer)

    def _open_wallet(self, transfer: Transfer) -> None:
        player_id, currency_code = transfer.player_id, transfer.currency_code
        players = self.tables["player"]
        if (player_id,) not in players:
            players[player_id,] = {
                "tenant": transfer.tenant,
                "shard": self.shard,
                "restrictions": 0,
            }
        if currency_code is None or (player_id, currency_code) in self._wallets:
            return
        cash, bonus, locked = (
            account_id_of(shard=self.shard, seq=transfer.seq, code=bucket) for bucket in Bucket
        )
        self._wallets[player_id, currency_code] = (cash, bonus, locked)
        for account_id in (cash, bonus, locked):
            self._open_account(transfer, account_id)

    def _restrict(self, transfer: Transfer) -> None:
        detail = detail_of(transfer)
        player = self.tables["player"][transfer.player_id,]
        shift = _RESTRICTION_BITS * int(detail["scope"])
        mask = (1 << _RESTRICTION_BITS) - 1 << shift
        player["restrictions"] = (
            player["restrictions"] & ~mask | int(detail["restrictions"]) << shift
        )

    # Policies.

    def _set_policy(self, transfer: Transfer) -> None:
        detail = detail_of(transfer)
        version = version_set_by(
            tenant=transfer.tenant,
            seq=transfer.seq,
            create_time=transfer.create_time,
            detail=detail,
        )
        self._keep_policy(version)
        self._judges[version.tenant, version.source] = version.policy_id
        self.debt_max = max(self.debt_max, detail["debt_limit"])

    def _keep_policy(self, version: PolicyVersion) -> None:
        policies = self.tables["policy"]
        columns = version._asdict()
        policies[columns.pop("policy_id"),] = columns

    # Deposits and holds.

    def _deposit(self, transfer: Transfer) -> None:
        if transfer.outcome is Outcome.APPLIED:
            self._limits.count(transfer, {LimitKind.DEPOSIT: transfer.amount})

    def _hold(self, transfer: Transfer) -> None:
        incoming = transfer.kind is Kind.HOLD_DEPOSIT
        name = (transfer.player_id, transfer.currency_code or "")
        self.tables["hold"][transfer.hold_id,] = {
            "shard": self.shard,
            "player_id": transfer.player_id,
            "account_id": self._wallets[name][0],
            "source": transfer.source,
            "currency_code": transfer.currency_code,
            "direction": int(HoldDirection.IN if incoming else HoldDirection.OUT),
            "amount": transfer.amount,
            "posted_amount": 0,
            "state": int(HoldState.PENDING),
            "create_time": transfer.create_time,
            **self._expire_time(transfer, incoming=incoming),
        }
        if incoming:
            self._limits.count(transfer, {LimitKind.DEPOSIT: transfer.amount})

    def _expire_time(self, transfer: Transfer, *, incoming: bool) -> Columns:
        """Tells when a hold ends; transfers of older versions do not say it of deposits."""
        if not incoming:
            return {"expire_time": None}
        detail = detail_of(transfer)
        return {"expire_time": detail["expire_time"]} if "expire_time" in detail else {}

    def _resolve(self, transfer: Transfer) -> None:
        hold = self.tables["hold"].get((transfer.hold_id,))
        if hold is None or hold["state"] != HoldState.PENDING:
            self._find("hold", transfer, "resolves a hold that is not pending")
            return
        hold["state"] = int(_ENDS_OF_HOLDS[transfer.kind])
        if transfer.kind is Kind.CAPTURE:
            hold["posted_amount"] = transfer.amount
        freed = hold["amount"] - hold["posted_amount"]
        if hold["direction"] == HoldDirection.IN and freed:
            self._limits.take_back(
                transfer, {LimitKind.DEPOSIT: freed}, since=derived_seq(transfer.hold_id or b"")
            )

    # Play.

    def _round(self, transfer: Transfer) -> None:
        rounds = self.tables["round"]
        played = rounds.get((transfer.round_id,))
        if played is None:
            played = rounds[transfer.round_id,] = {
                "shard": self.shard,
                "tenant": transfer.tenant,
                "source": transfer.source,
                "player_id": transfer.player_id,
                "currency_code": transfer.currency_code,
                "state": int(RoundState.OPEN),
                "staked_cash": 0,
                "staked_bonus": 0,
                "won_cash": 0,
                "won_bonus": 0,
                "wins": 0,
                "bonus_id": None,
            }
            # The opener names it; that of an older version does not.
            name = detail_of(transfer).get("round_key")
            if name is not None:
                played["round_key"] = name
        if transfer.round_state is not None:
            played["state"] = int(transfer.round_state)
        if not transfer.outcome.posted:
            return
        kind, sign = transfer.kind, 1
        if kind is Kind.ROLLBACK:
            seq = transfer.original_seq or 0
            if not 0 < seq < transfer.seq or self._rounds[seq] != transfer.round_id:
                # Its original was played in no round: it only names one, or closes it.
                return
            kind, sign = Kind(self._kinds[seq]), -1
        side = {Kind.BET: "staked", Kind.WIN: "won"}.get(kind)
        if side is not None:
            played[f"{side}_cash"] += sign * (transfer.amount - transfer.bonus_amount)
            played[f"{side}_bonus"] += sign * transfer.bonus_amount
        played["wins"] += transfer.kind is Kind.WIN
        if transfer.kind is Kind.BET and transfer.bonus_amount:
            played["bonus_id"] = transfer.bonus_id

    def _reverse(self, transfer: Transfer) -> None:
        seq = transfer.original_seq or 0
        if not 0 < seq < transfer.seq:
            self._find("reversal", transfer, f"reverses transfer {seq}")
            return
        total = self._reversals[seq]
        total[0] += 1
        total[1] += transfer.amount
        if transfer.reversal_no != total[0]:
            self._find("reversal", transfer, f"is reversal {transfer.reversal_no}, not {total[0]}")
        if total[1] > self._amounts[seq]:
            self._find(
                "reversal", transfer, f"reverses {total[1]} of {self._amounts[seq]} of {seq}"
            )
        cash = transfer.amount - transfer.bonus_amount
        if self._kinds[seq] == Kind.BET:
            undone = {LimitKind.WAGER: transfer.amount, LimitKind.LOSS: cash}
        else:
            undone = {LimitKind.LOSS: -cash}
        self._limits.take_back(transfer, undone, since=seq)

    def _count_stake(self, transfer: Transfer) -> None:
        if transfer.amount:
            cash = transfer.amount - transfer.bonus_amount
            self._limits.count(transfer, {LimitKind.WAGER: transfer.amount, LimitKind.LOSS: cash})

    def _count_win(self, transfer: Transfer) -> None:
        cash = transfer.amount - transfer.bonus_amount
        self._limits.take_back(transfer, {LimitKind.LOSS: cash}, since=transfer.seq)

    # Bonuses.

    def _bonus(self, transfer: Transfer) -> None:
        bonuses = self.tables["bonus"]
        if transfer.kind is Kind.GRANT_BONUS:
            detail = detail_of(transfer)
            bonuses[transfer.bonus_id,] = {
                "shard": self.shard,
                "player_id": transfer.player_id,
                "source": transfer.source,
                "currency_code": transfer.currency_code,
                "granted": transfer.amount,
                "wager_done": 0,
                **{
                    name: detail.get(name)
                    for name in (
                        "wager_required",
                        "max_bet",
                        "spend_order",
                        "state",
                        "expire_time",
                        "rules_version",
                    )
                },
            }
            return
        bonus = bonuses.get((transfer.bonus_id,))
        if bonus is None:
            self._find("bonus", transfer, "names a bonus that was never granted")
            return
        bonus["wager_done"] += transfer.wager_delta
        if transfer.kind is Kind.ACTIVATE_BONUS:
            bonus["state"] = int(BonusState.ACTIVE)
        elif transfer.kind in _ENDS_OF_BONUSES:
            if bonus["state"] > BonusState.ACTIVE:
                self._find("bonus", transfer, "ends a bonus that has ended")
            bonus["state"] = int(_ENDS_OF_BONUSES[transfer.kind])


def available(account: Columns) -> int:
    """What an account has beyond what is set aside."""
    return int(account["credits_posted"] - account["debits_posted"] - account["debits_pending"])
