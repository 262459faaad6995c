"""BackOfficeService: what operators do by hand, each time under their own name."""

from collections.abc import Callable
from typing import Any, TypeVar

from croupier.wallet.v1 import back_office_service_pb2 as back_office
from croupier.wallet.v1 import back_office_service_pb2_grpc

from services.kit.call import caller
from services.wallet.domain import Bucket, Operation, Result, unpack_id, version_set_by
from services.wallet.messages import (
    balance_message,
    entry_message,
    liability_message,
    policy_message,
    result_message,
)
from services.wallet.reporting import ReportingService
from services.wallet.service import WalletService
from services.wallet.servicer import office_operations as operations
from services.wallet.servicer.answering import accepted, submitted
from services.wallet.servicer.operations import Trace, player, running_trace
from services.wallet.sources import TENANT
from services.wallet.store import StatementQuery

_PAGE_SIZE = 50

ResponseT = TypeVar("ResponseT")


class BackOfficeServicer(back_office_service_pb2_grpc.BackOfficeServiceServicer):
    """Translates between operators and the ledger."""

    def __init__(self, service: WalletService, reporting: ReportingService) -> None:
        """Takes the ledger.

        Args:
            service: The use cases that move money.
            reporting: The use cases that only read.
        """
        self._service = service
        self._reporting = reporting

    async def HoldDeposit(
        self, request: back_office.HoldDepositRequest, context: Any
    ) -> back_office.HoldDepositResponse:
        """Announces a deposit."""
        return await self._booked(
            context, operations.hold_deposit, request, back_office.HoldDepositResponse
        )

    async def HoldWithdrawal(
        self, request: back_office.HoldWithdrawalRequest, context: Any
    ) -> back_office.HoldWithdrawalResponse:
        """Sets cash aside."""
        return await self._booked(
            context, operations.hold_withdrawal, request, back_office.HoldWithdrawalResponse
        )

    async def CaptureHold(
        self, request: back_office.CaptureHoldRequest, context: Any
    ) -> back_office.CaptureHoldResponse:
        """Posts a hold."""
        return await self._booked(
            context, operations.capture_hold, request, back_office.CaptureHoldResponse
        )

    async def ReleaseHold(
        self, request: back_office.ReleaseHoldRequest, context: Any
    ) -> back_office.ReleaseHoldResponse:
        """Frees a hold."""
        return await self._booked(
            context, operations.release_hold, request, back_office.ReleaseHoldResponse
        )

    async def MoveFunds(
        self, request: back_office.MoveFundsRequest, context: Any
    ) -> back_office.MoveFundsResponse:
        """Moves money between buckets."""
        return await self._booked(
            context, operations.move_funds, request, back_office.MoveFundsResponse
        )

    async def ExchangeFunds(
        self, request: back_office.ExchangeFundsRequest, context: Any
    ) -> back_office.ExchangeFundsResponse:
        """Exchanges cash into another currency: two linked moves."""
        group, rounded_off = operations.exchange_funds(
            request, caller().subject_id, running_trace()
        )
        given, received = accepted(
            context, group.operations, await self._service.submit_group(group)
        )
        return back_office.ExchangeFundsResponse(
            given=result_message(given), received=result_message(received), rounded_off=rounded_off
        )

    async def AdjustBalance(
        self, request: back_office.AdjustBalanceRequest, context: Any
    ) -> back_office.AdjustBalanceResponse:
        """Corrects a balance."""
        return await self._booked(
            context, operations.adjust_balance, request, back_office.AdjustBalanceResponse
        )

    async def GrantBonus(
        self, request: back_office.GrantBonusRequest, context: Any
    ) -> back_office.GrantBonusResponse:
        """Gives a bonus."""
        result = await self._submit(context, operations.grant_bonus, request)
        return back_office.GrantBonusResponse(
            result=result_message(result),
            bonus_id="" if result.bonus_id is None else unpack_id(result.bonus_id),
        )

    async def ForfeitBonus(
        self, request: back_office.ForfeitBonusRequest, context: Any
    ) -> back_office.ForfeitBonusResponse:
        """Ends a bonus."""
        return await self._booked(
            context, operations.forfeit_bonus, request, back_office.ForfeitBonusResponse
        )

    async def SetOperatorLimit(
        self, request: back_office.SetOperatorLimitRequest, context: Any
    ) -> back_office.SetOperatorLimitResponse:
        """Sets or lifts the operator's limit."""
        return await self._booked(
            context, operations.set_limit, request, back_office.SetOperatorLimitResponse
        )

    async def SetPolicy(
        self, request: back_office.SetPolicyRequest, context: Any
    ) -> back_office.SetPolicyResponse:
        """Sets a source's policy."""
        result = await self._submit(context, operations.set_policy, request)
        version = version_set_by(
            tenant=result.key.tenant,
            seq=result.seq,
            create_time=result.create_time,
            detail=result.detail,
        )
        return back_office.SetPolicyResponse(
            result=result_message(result), policy=policy_message(version)
        )

    async def GetPolicy(
        self, request: back_office.GetPolicyRequest, context: Any
    ) -> back_office.GetPolicyResponse:
        """Gets the policy that judges a source."""
        del context
        version = await self._reporting.get_policy(TENANT, request.source)
        return back_office.GetPolicyResponse(policy=policy_message(version))

    async def ListPolicies(
        self, request: back_office.ListPoliciesRequest, context: Any
    ) -> back_office.ListPoliciesResponse:
        """Lists versions of policies."""
        del context
        page = await self._reporting.list_policies(
            TENANT,
            request.source,
            page_size=request.page_size or _PAGE_SIZE,
            token=request.page_token,
        )
        return back_office.ListPoliciesResponse(
            policies=map(policy_message, page.versions), next_page_token=page.next_page_token
        )

    async def GetBalanceAt(
        self, request: back_office.GetBalanceAtRequest, context: Any
    ) -> back_office.GetBalanceAtResponse:
        """Gets a past balance."""
        del context
        balance = await self._reporting.get_balance_at(
            player(request.player_id),
            request.currency_code,
            operations.micros("time", request.time),
        )
        return back_office.GetBalanceAtResponse(balance=balance_message(balance))

    async def GetStatement(
        self, request: back_office.GetStatementRequest, context: Any
    ) -> back_office.GetStatementResponse:
        """Gets a page of a statement."""
        del context
        page = await self._reporting.get_statement(
            StatementQuery(
                player_id=player(request.player_id),
                currency_code=request.currency_code,
                bucket=Bucket(request.bucket or Bucket.CASH),
                start=operations.micros("start_time", request.start_time),
                end=operations.micros("end_time", request.end_time),
            ),
            page_size=request.page_size or _PAGE_SIZE,
            token=request.page_token,
        )
        return back_office.GetStatementResponse(
            entries=[entry_message(line) for line in page.lines],
            next_page_token=page.next_page_token,
            opening_balance_minor_units=page.opening_balance,
            closing_balance_minor_units=page.closing_balance,
        )

    async def GetLiability(
        self, request: back_office.GetLiabilityRequest, context: Any
    ) -> back_office.GetLiabilityResponse:
        """Gets what is owed to all players."""
        del request, context
        liabilities, seq = await self._reporting.get_liabilities()
        return back_office.GetLiabilityResponse(
            liabilities=map(liability_message, liabilities), seq=seq
        )

    async def _booked(
        self,
        context: Any,
        read: Callable[[Any, str, Trace], Operation],
        request: Any,
        response: Callable[..., ResponseT],
    ) -> ResponseT:
        """Runs the one movement that a request asks for, and answers with what it came to."""
        result = await self._submit(context, read, request)
        return response(result=result_message(result))

    async def _submit(
        self, context: Any, read: Callable[[Any, str, Trace], Operation], request: Any
    ) -> Result:
        operation = read(request, caller().subject_id, running_trace())
        return await submitted(self._service, context, operation)
