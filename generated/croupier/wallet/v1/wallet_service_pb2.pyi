import datetime

from buf.validate import validate_pb2 as _validate_pb2
from croupier.options.v1 import options_pb2 as _options_pb2
from croupier.type.v1 import money_pb2 as _money_pb2
from croupier.wallet.v1 import wallet_pb2 as _wallet_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OpenWalletRequest(_message.Message):
    __slots__ = ("player_id", "currency_code")
    PLAYER_ID_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    player_id: str
    currency_code: str
    def __init__(self, player_id: _Optional[str] = ..., currency_code: _Optional[str] = ...) -> None: ...

class OpenWalletResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: _wallet_pb2.Result
    def __init__(self, result: _Optional[_Union[_wallet_pb2.Result, _Mapping]] = ...) -> None: ...

class SetRestrictionsRequest(_message.Message):
    __slots__ = ("request_id", "player_id", "restrictions")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PLAYER_ID_FIELD_NUMBER: _ClassVar[int]
    RESTRICTIONS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    player_id: str
    restrictions: _containers.RepeatedScalarFieldContainer[_wallet_pb2.Restriction]
    def __init__(self, request_id: _Optional[str] = ..., player_id: _Optional[str] = ..., restrictions: _Optional[_Iterable[_Union[_wallet_pb2.Restriction, str]]] = ...) -> None: ...

class SetRestrictionsResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: _wallet_pb2.Result
    def __init__(self, result: _Optional[_Union[_wallet_pb2.Result, _Mapping]] = ...) -> None: ...

class DepositRequest(_message.Message):
    __slots__ = ("request_id", "player_id", "amount", "authorization_number")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PLAYER_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    AUTHORIZATION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    player_id: str
    amount: _money_pb2.Money
    authorization_number: str
    def __init__(self, request_id: _Optional[str] = ..., player_id: _Optional[str] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., authorization_number: _Optional[str] = ...) -> None: ...

class DepositResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: _wallet_pb2.Result
    def __init__(self, result: _Optional[_Union[_wallet_pb2.Result, _Mapping]] = ...) -> None: ...

class BetRequest(_message.Message):
    __slots__ = ("source", "transaction_id", "player_id", "amount", "round_id", "game_id", "close_round", "wager_weight_bp")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    PLAYER_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    ROUND_ID_FIELD_NUMBER: _ClassVar[int]
    GAME_ID_FIELD_NUMBER: _ClassVar[int]
    CLOSE_ROUND_FIELD_NUMBER: _ClassVar[int]
    WAGER_WEIGHT_BP_FIELD_NUMBER: _ClassVar[int]
    source: str
    transaction_id: str
    player_id: str
    amount: _money_pb2.Money
    round_id: str
    game_id: str
    close_round: bool
    wager_weight_bp: int
    def __init__(self, source: _Optional[str] = ..., transaction_id: _Optional[str] = ..., player_id: _Optional[str] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., round_id: _Optional[str] = ..., game_id: _Optional[str] = ..., close_round: _Optional[bool] = ..., wager_weight_bp: _Optional[int] = ...) -> None: ...

class BetResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: _wallet_pb2.Result
    def __init__(self, result: _Optional[_Union[_wallet_pb2.Result, _Mapping]] = ...) -> None: ...

class WinRequest(_message.Message):
    __slots__ = ("source", "transaction_id", "player_id", "amount", "round_id", "reference_transaction_id", "game_id", "close_round")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    PLAYER_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    ROUND_ID_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    GAME_ID_FIELD_NUMBER: _ClassVar[int]
    CLOSE_ROUND_FIELD_NUMBER: _ClassVar[int]
    source: str
    transaction_id: str
    player_id: str
    amount: _money_pb2.Money
    round_id: str
    reference_transaction_id: str
    game_id: str
    close_round: bool
    def __init__(self, source: _Optional[str] = ..., transaction_id: _Optional[str] = ..., player_id: _Optional[str] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., round_id: _Optional[str] = ..., reference_transaction_id: _Optional[str] = ..., game_id: _Optional[str] = ..., close_round: _Optional[bool] = ...) -> None: ...

class WinResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: _wallet_pb2.Result
    def __init__(self, result: _Optional[_Union[_wallet_pb2.Result, _Mapping]] = ...) -> None: ...

class RollbackRequest(_message.Message):
    __slots__ = ("source", "transaction_id", "player_id", "currency_code", "original_transaction_id", "round_id", "game_id", "close_round")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    PLAYER_ID_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    ORIGINAL_TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_ID_FIELD_NUMBER: _ClassVar[int]
    GAME_ID_FIELD_NUMBER: _ClassVar[int]
    CLOSE_ROUND_FIELD_NUMBER: _ClassVar[int]
    source: str
    transaction_id: str
    player_id: str
    currency_code: str
    original_transaction_id: str
    round_id: str
    game_id: str
    close_round: bool
    def __init__(self, source: _Optional[str] = ..., transaction_id: _Optional[str] = ..., player_id: _Optional[str] = ..., currency_code: _Optional[str] = ..., original_transaction_id: _Optional[str] = ..., round_id: _Optional[str] = ..., game_id: _Optional[str] = ..., close_round: _Optional[bool] = ...) -> None: ...

class RollbackResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: _wallet_pb2.Result
    def __init__(self, result: _Optional[_Union[_wallet_pb2.Result, _Mapping]] = ...) -> None: ...

class CloseRoundRequest(_message.Message):
    __slots__ = ("source", "transaction_id", "player_id", "currency_code", "round_id", "game_id")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    PLAYER_ID_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    ROUND_ID_FIELD_NUMBER: _ClassVar[int]
    GAME_ID_FIELD_NUMBER: _ClassVar[int]
    source: str
    transaction_id: str
    player_id: str
    currency_code: str
    round_id: str
    game_id: str
    def __init__(self, source: _Optional[str] = ..., transaction_id: _Optional[str] = ..., player_id: _Optional[str] = ..., currency_code: _Optional[str] = ..., round_id: _Optional[str] = ..., game_id: _Optional[str] = ...) -> None: ...

class CloseRoundResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: _wallet_pb2.Result
    def __init__(self, result: _Optional[_Union[_wallet_pb2.Result, _Mapping]] = ...) -> None: ...

class GetTransferRequest(_message.Message):
    __slots__ = ("source", "transaction_id")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    source: str
    transaction_id: str
    def __init__(self, source: _Optional[str] = ..., transaction_id: _Optional[str] = ...) -> None: ...

class GetTransferResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: _wallet_pb2.Result
    def __init__(self, result: _Optional[_Union[_wallet_pb2.Result, _Mapping]] = ...) -> None: ...

class GetBalanceRequest(_message.Message):
    __slots__ = ("player_id", "currency_code")
    PLAYER_ID_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    player_id: str
    currency_code: str
    def __init__(self, player_id: _Optional[str] = ..., currency_code: _Optional[str] = ...) -> None: ...

class GetBalanceResponse(_message.Message):
    __slots__ = ("balance",)
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    balance: _wallet_pb2.Balance
    def __init__(self, balance: _Optional[_Union[_wallet_pb2.Balance, _Mapping]] = ...) -> None: ...

class ListBalancesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListBalancesResponse(_message.Message):
    __slots__ = ("balances",)
    BALANCES_FIELD_NUMBER: _ClassVar[int]
    balances: _containers.RepeatedCompositeFieldContainer[_wallet_pb2.Balance]
    def __init__(self, balances: _Optional[_Iterable[_Union[_wallet_pb2.Balance, _Mapping]]] = ...) -> None: ...

class WatchBalancesRequest(_message.Message):
    __slots__ = ("after_seq",)
    AFTER_SEQ_FIELD_NUMBER: _ClassVar[int]
    after_seq: int
    def __init__(self, after_seq: _Optional[int] = ...) -> None: ...

class WatchBalancesResponse(_message.Message):
    __slots__ = ("balance", "heartbeat", "end")
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    balance: _wallet_pb2.Balance
    heartbeat: Heartbeat
    end: StreamEnd
    def __init__(self, balance: _Optional[_Union[_wallet_pb2.Balance, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., end: _Optional[_Union[StreamEnd, _Mapping]] = ...) -> None: ...

class ListEntriesRequest(_message.Message):
    __slots__ = ("currency_code", "bucket", "page_size", "page_token")
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    BUCKET_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    currency_code: str
    bucket: _wallet_pb2.Bucket
    page_size: int
    page_token: str
    def __init__(self, currency_code: _Optional[str] = ..., bucket: _Optional[_Union[_wallet_pb2.Bucket, str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListEntriesResponse(_message.Message):
    __slots__ = ("entries", "next_page_token")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[_wallet_pb2.Entry]
    next_page_token: str
    def __init__(self, entries: _Optional[_Iterable[_Union[_wallet_pb2.Entry, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("time",)
    TIME_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class StreamEnd(_message.Message):
    __slots__ = ("cause",)
    class Cause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        CAUSE_UNSPECIFIED: _ClassVar[StreamEnd.Cause]
        CAUSE_DRAINING: _ClassVar[StreamEnd.Cause]
        CAUSE_TOKEN_EXPIRED: _ClassVar[StreamEnd.Cause]
        CAUSE_MAX_AGE: _ClassVar[StreamEnd.Cause]
    CAUSE_UNSPECIFIED: StreamEnd.Cause
    CAUSE_DRAINING: StreamEnd.Cause
    CAUSE_TOKEN_EXPIRED: StreamEnd.Cause
    CAUSE_MAX_AGE: StreamEnd.Cause
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    cause: StreamEnd.Cause
    def __init__(self, cause: _Optional[_Union[StreamEnd.Cause, str]] = ...) -> None: ...
