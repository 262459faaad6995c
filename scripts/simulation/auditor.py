"""Keeps the model beside the ledger: follows its log, and checks every answer that left it."""

from collections import Counter
from collections.abc import Iterator

from scripts.simulation.workload import Unit, operations_of
from services.kit.errors import ServiceError
from services.wallet.domain import Answer, Group, Kind, Operation, Posting, Result
from services.wallet.domain.fingerprint import fingerprint
from services.wallet.domain.result import result_of
from services.wallet.domain.values import WALLET_SOURCE, pack_key
from services.wallet.errors import KeyReusedError
from services.wallet.service import WalletService
from tests.simulation.comparison import (
    answer_differences,
    audit,
    differences,
    engine_state,
    model_state,
)
from tests.simulation.model import Ledger, Reply

_PAGE = 500

Name = tuple[str, str, bytes]
Content = tuple[Name, bytes]
"""A key as stored, and what was sent under it."""


class DivergenceError(AssertionError):
    """The ledger did something that the model says it must not."""

    def __init__(self, what: object, *, expected: object, got: object) -> None:
        super().__init__(f"{what}\n  expected: {expected}\n  got:      {got}")


class Auditor:
    """Knows what was sent, what was answered and what the log says, and holds each to the others.

    Attributes:
        outcomes: How often each outcome is in the log.
        checked: The last transfer that was held against the model.
    """

    def __init__(self) -> None:
        self._model = Ledger()
        self._sent: dict[Content, Operation] = {}
        self._groups: dict[Content, Group] = {}
        self._acknowledged: dict[Content, Result] = {}
        self._reused: dict[Content, Operation] = {}
        self._logged: dict[Name, tuple[bytes, int]] = {}
        self._unread: dict[int, Content] = {}
        self.outcomes: Counter[str] = Counter()
        self.checked = 0

    # What callers see.

    def sends(self, unit: Unit) -> None:
        """Notes what is about to be sent."""
        for operation in operations_of(unit):
            content = self._content(operation)
            self._sent[content] = operation
            if isinstance(unit, Group):
                self._groups.setdefault(content, unit)

    def answered(self, operation: Operation, answer: Answer | ServiceError) -> None:
        """Checks an answer: the same operation never has two, replayed or not.

        Raises:
            DivergenceError: It had another one before.
        """
        content = self._content(operation)
        if isinstance(answer, KeyReusedError):
            self._reused[content] = operation
            return
        if not isinstance(answer, Answer):
            return
        before = self._acknowledged.setdefault(content, answer.result)
        if before != answer.result:
            raise DivergenceError(f"a replay of {operation}", expected=before, got=answer.result)
        self._unread[answer.result.seq] = content

    # What the ledger says.

    async def check(self, service: WalletService, *, whole: bool) -> None:
        """Follows the log to its end, and compares what is kept; `whole` adds up all anew.

        Raises:
            DivergenceError: Names the first operation on which the two differ.
        """
        while page := await service.read_log(after_seq=self.checked, limit=_PAGE):
            # A group is judged whole, so a page never ends within one.
            for postings in self._units(page, last=len(page) < _PAGE):
                self._follow(postings)
        self._check_answers()
        got = await engine_state(service.database)
        for each in differences(model_state(self._model), got):
            raise DivergenceError(
                f"after transfer {self.checked}, {each.what}",
                expected=each.expected,
                got=each.got,
            )
        if whole:
            for finding in await audit(service.database):
                raise DivergenceError("the audit of the ledger", expected="nothing", got=finding)

    async def final_read(self, service: WalletService) -> int:
        """Asks for every key whose caller never got an answer: stored, or absent for ever."""
        doubtful = [each for each in self._sent if each not in self._acknowledged]
        for content in doubtful:
            operation = self._sent[content]
            expected = self._logged.get(content[0])
            try:
                found = await service.get_transfer(operation.key, kind=operation.KIND)
            except ServiceError as error:
                if expected is not None:
                    raise DivergenceError(
                        f"GetTransfer of {operation.key}", expected=expected, got=error
                    ) from None
                continue
            if expected is None or expected[1] != found.result.seq:
                raise DivergenceError(
                    f"GetTransfer of {operation.key}", expected=expected, got=found.result
                )
        return len(doubtful)

    def _units(self, page: list[Posting], *, last: bool) -> Iterator[list[Posting]]:
        """Divides a page into what was planned as one: single transfers, and groups."""
        unit: list[Posting] = []
        for posting in page:
            group_no = posting.transfer.group_no
            if unit and (group_no is None or group_no != unit[0].transfer.group_no):
                if posting.transfer.kind is Kind.TOMBSTONE and group_no is None:
                    unit.append(posting)
                    continue
                yield unit
                unit = []
            unit.append(posting)
        if unit and (last or unit[0] is page[0]):
            yield unit

    def _follow(self, postings: list[Posting]) -> None:
        for posting in postings:
            self._note(posting)
        first = postings[0].transfer
        self.checked = postings[-1].transfer.seq
        own = [each for each in postings if each.transfer.kind is not Kind.TOMBSTONE]
        if first.source == WALLET_SOURCE:
            self._model.wake(first.player_id, first.create_time)
            if first.kind is Kind.RELEASE_BONUS:
                # What set it off may have been a replay, which leaves no transfer of its own.
                self._model.settle(first.player_id)
            return
        if not own:
            raise DivergenceError(f"transfer {first.seq}", expected="its rollback", got=first)
        contents = [self._content_of(each) for each in own]
        for posting, content in zip(own, contents, strict=True):
            if content not in self._sent:
                raise DivergenceError(
                    f"transfer {posting.transfer.seq}", expected="what was sent", got=posting
                )
        if first.group_no is None:
            operation = self._sent[contents[0]]
            new_id = first.hold_id or first.bonus_id
            reply = self._model.apply(operation, first.create_time, new_id)
            self._compare(operation, reply, own[0])
        else:
            self._follow_group(own, contents)

    def _follow_group(self, own: list[Posting], contents: list[Content]) -> None:
        """Applies a group as it was sent: legs that were known before have no transfer now."""
        group = self._groups[contents[-1]]
        logged = dict(zip(contents, own, strict=True))
        legs = list(group.operations)
        found = [logged.get(self._content(leg)) for leg in legs]
        ids = [
            None if each is None else each.transfer.hold_id or each.transfer.bonus_id
            for each in found
        ]
        now = own[0].transfer.create_time
        replies = self._model.apply_group(legs, now, ids)
        if not set(logged) <= {self._content(leg) for leg in legs}:
            raise DivergenceError("a group", expected=group, got=[each.transfer for each in own])
        compared = set()
        for leg, reply, posting in zip(legs, replies, found, strict=True):
            # The same key twice in a group is one operation.
            if posting is not None and posting.transfer.seq not in compared:
                compared.add(posting.transfer.seq)
                self._compare(leg, reply, posting)

    def _compare(self, operation: Operation, reply: Reply, posting: Posting) -> None:
        result = result_of(posting)
        if reply.replayed or reply.outcome is None:
            raise DivergenceError(operation, expected=reply, got=f"applied again: {result}")
        for each in answer_differences(reply, result):
            raise DivergenceError(
                f"transfer {result.seq}, {each.what[0]} of {operation}",
                expected=each.expected,
                got=each.got,
            )

    def _note(self, posting: Posting) -> None:
        transfer = posting.transfer
        name = (transfer.tenant, transfer.source, transfer.key)
        if name in self._logged:
            raise DivergenceError(f"key {name}", expected=self._logged[name], got=transfer)
        self._logged[name] = (transfer.fingerprint, transfer.seq)
        self.outcomes[transfer.outcome.name] += 1
        content = self._unread.pop(transfer.seq, None)
        if content is not None:
            self._check_stored(content, posting)

    def _check_stored(self, content: Content, posting: Posting) -> None:
        stored, told = result_of(posting), self._acknowledged[content]
        if stored != told:
            raise DivergenceError("what is stored of an answer", expected=told, got=stored)

    def _check_answers(self) -> None:
        """No acknowledged operation is lost; and a key that was called reused is another's."""
        for seq, content in list(self._unread.items()):
            if seq > self.checked:
                told = self._acknowledged[content]
                raise DivergenceError("an acknowledged operation", expected=told, got="not stored")
            del self._unread[seq]
        for content, operation in self._reused.items():
            stored = self._logged.get(content[0])
            if stored is None or stored[0] == content[1]:
                raise DivergenceError(
                    f"KEY_REUSED for {operation}", expected="another content", got=stored
                )
        self._reused.clear()

    def _content(self, operation: Operation) -> Content:
        tenant, source, id_, kind = self._model.name(operation)
        return (tenant, source, pack_key(id_, kind)), fingerprint(operation)

    def _content_of(self, posting: Posting) -> Content:
        transfer = posting.transfer
        return (transfer.tenant, transfer.source, transfer.key), transfer.fingerprint
