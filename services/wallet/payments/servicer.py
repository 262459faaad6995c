"""Payments over gRPC: messages in and out, no rules."""

from typing import Any

from croupier.type.v1 import money_pb2
from croupier.wallet.v1 import payment_pb2, payment_service_pb2, payment_service_pb2_grpc

from services.kit.call import caller, current_call
from services.kit.clock import to_micros
from services.kit.money import Money
from services.wallet.messages import timestamp
from services.wallet.payments.domain import Payment, PaymentId, PaymentState
from services.wallet.payments.service import PaymentService


class PaymentServicer(payment_service_pb2_grpc.PaymentServiceServicer):
    """Translates between the contract and the use cases."""

    def __init__(self, service: PaymentService) -> None:
        """Takes the use cases."""
        self._service = service

    async def CreateDeposit(
        self, request: payment_service_pb2.CreateDepositRequest, context: Any
    ) -> payment_service_pb2.CreateDepositResponse:
        """Begins a deposit of the calling player."""
        del context
        payment = await self._service.create_deposit(
            player_id=caller().subject_id,
            request_id=request.request_id,
            amount=Money(
                currency_code=request.amount.currency_code,
                minor_units=request.amount.minor_units,
            ),
            return_url=request.return_url,
        )
        return payment_service_pb2.CreateDepositResponse(payment=payment_message(payment))

    async def GetPayment(
        self, request: payment_service_pb2.GetPaymentRequest, context: Any
    ) -> payment_service_pb2.GetPaymentResponse:
        """Gets a payment of the calling player."""
        del context
        payment = await self._service.get_payment(
            PaymentId(request.payment_id), player_id=caller().subject_id
        )
        return payment_service_pb2.GetPaymentResponse(payment=payment_message(payment))

    async def HandleWebhook(
        self, request: payment_service_pb2.HandleWebhookRequest, context: Any
    ) -> payment_service_pb2.HandleWebhookResponse:
        """Takes a PSP's signed report."""
        del context
        await self._service.handle_webhook(
            psp=request.psp, body=request.http_body.data, metadata=current_call.get().metadata
        )
        return payment_service_pb2.HandleWebhookResponse()


def payment_message(payment: Payment) -> payment_pb2.Payment:
    """Renders a payment; its checkout is shown while it can be used."""
    pending = payment.state is PaymentState.PENDING
    return payment_pb2.Payment(
        payment_id=payment.payment_id,
        direction=payment_pb2.Payment.DIRECTION_DEPOSIT,
        state=payment_pb2.Payment.State.ValueType(payment.state),
        amount=money_pb2.Money(
            currency_code=payment.amount.currency_code, minor_units=payment.amount.minor_units
        ),
        psp=payment.psp,
        checkout_url=payment.checkout_url if pending else "",
        authorization_number=payment.authorization_number,
        failure=payment.failure,
        create_time=timestamp(to_micros(payment.create_time)),
        update_time=timestamp(to_micros(payment.update_time)),
    )
