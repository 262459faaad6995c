"""Composes the interceptors around a servicer's methods, once, when the server starts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

import grpc

from services.kit.call import Call, current_call
from services.kit.contract import Level, Method, UndeclaredError, methods_of
from services.kit.errors import OverloadedError, ServiceError, UnavailableError
from services.kit.interceptors import deadline, errors
from services.kit.interceptors.authentication import Authenticator, authenticate
from services.kit.interceptors.authorization import authorize
from services.kit.interceptors.telemetry import CallTelemetry
from services.kit.interceptors.validation import ValidatedRequests, decoder, validate

_RETRY_AFTER = timedelta(milliseconds=250)

Unary = Callable[[Any, Any], Awaitable[Any]]
Stream = Callable[[Any, Any], AsyncIterator[Any]]


class Load:
    """How many unary calls are under way in this server, and whether it takes more."""

    def __init__(self, calls_max: int) -> None:
        """Bounds them."""
        self.calls_max = calls_max
        self.calls = 0
        self._drained: asyncio.Event | None = None

    def admit(self) -> None:
        """Refuses a call if the server drains, or if it is one too many of those counted.

        Raises:
            OverloadedError: Nothing was done for the call.
            UnavailableError: Nothing was done for the call.
        """
        if self.calls > self.calls_max:
            raise OverloadedError(retry_after=_RETRY_AFTER)
        if self._drained is not None:
            raise UnavailableError(dependency="server", retry_after=_RETRY_AFTER)

    def leave(self) -> None:
        """Counts a call off."""
        self.calls -= 1
        if self._drained is not None and not self.calls:
            self._drained.set()

    async def drain(self) -> None:
        """Takes no more calls, and returns when the last one has ended."""
        self._drained = asyncio.Event()
        if self.calls:
            await self._drained.wait()


class Chain:
    """Wraps the methods of the services of one server."""

    def __init__(
        self,
        *,
        authenticators: Mapping[Level, Authenticator],
        calls_max: int,
        default_deadline: timedelta,
    ) -> None:
        """Builds the chain.

        Args:
            authenticators: How each level that the server's methods declare is proved.
            calls_max: How many unary calls may be under way at once.
            default_deadline: For unary calls without one.
        """
        self._authenticators = authenticators
        self.load = Load(calls_max)
        self._default_deadline_s = default_deadline.total_seconds()

    def wrap(
        self, service: str, handlers: "Mapping[str, grpc.RpcMethodHandler[Any, Any]]"
    ) -> "dict[str, grpc.RpcMethodHandler[Any, Any]]":
        """Wraps all methods of a service.

        Raises:
            UndeclaredError: A method does not say whom it admits, or the server cannot prove it.
        """
        methods = methods_of(service)
        return {name: self._wrap(methods[name], handler) for name, handler in handlers.items()}

    def _wrap(self, method: Method, handler: Any) -> "grpc.RpcMethodHandler[Any, Any]":
        if method.level not in self._authenticators:
            raise UndeclaredError(
                f"{method.full_name} is for {method.level.name}, which this server cannot prove"
            )
        coders = {
            "request_deserializer": decoder(handler.request_deserializer),
            "response_serializer": handler.response_serializer,
        }
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(
                self._unary(method, handler.unary_unary), **coders
            )
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(
                self._stream(method, handler.unary_stream, validated=True), **coders
            )
        if handler.stream_stream:
            return grpc.stream_stream_rpc_method_handler(
                self._stream(method, handler.stream_stream, validated=False), **coders
            )
        raise UndeclaredError(f"{method.full_name}: a stream of requests with one answer")

    def _unary(self, method: Method, serve: Unary) -> Unary:
        telemetry = CallTelemetry(method.full_name)
        authenticator = self._authenticators[method.level]
        load = self.load
        default_s = self._default_deadline_s

        async def answer(request: Any, context: Any) -> Any:
            call = Call(method, context)
            started = telemetry.begin(call)
            load.calls += 1
            try:
                load.admit()
                timeout_s = deadline.impose(call, default_s=default_s)
                call.caller = await authenticate(call, authenticator)
                authorize(call.caller, method)
                validate(request)
                current_call.set(call)
                if timeout_s is None:
                    response = await serve(request, context)
                else:
                    async with asyncio.timeout(timeout_s):
                        response = await serve(request, context)
            except asyncio.CancelledError:
                telemetry.end(started, call, grpc.StatusCode.CANCELLED)
                raise
            except Exception as error:  # noqa: BLE001 (whatever it is, the caller gets a status)
                known = errors.expected(error, call, request)
                telemetry.end(started, call, known.code, known.reason)
                await errors.abort(call, known)
            finally:
                load.leave()
            telemetry.end(started, call)
            return response

        return answer

    def _stream(self, method: Method, serve: Stream, *, validated: bool) -> Stream:
        telemetry = CallTelemetry(method.full_name)
        authenticator = self._authenticators[method.level]
        load = self.load

        async def answer(request: Any, context: Any) -> AsyncIterator[Any]:
            call = Call(method, context)
            started = telemetry.begin(call)
            failure: ServiceError | None = None
            try:
                load.admit()
                call.caller = await authenticate(call, authenticator)
                authorize(call.caller, method)
                if validated:
                    validate(request)
                current_call.set(call)
                requests = request if validated else ValidatedRequests(request)
                async for response in serve(requests, context):
                    yield response
            except (asyncio.CancelledError, GeneratorExit):
                telemetry.end(started, call, grpc.StatusCode.CANCELLED)
                raise
            except Exception as error:  # noqa: BLE001 (whatever it is, the caller gets a status)
                failure = errors.expected(error, call, request)
            if failure is not None:
                telemetry.end(started, call, failure.code, failure.reason)
                await errors.abort(call, failure)
            telemetry.end(started, call)

        return answer
