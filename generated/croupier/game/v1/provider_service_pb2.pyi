from buf.validate import validate_pb2 as _validate_pb2
from croupier.game.v1 import game_pb2 as _game_pb2
from croupier.options.v1 import options_pb2 as _options_pb2
from croupier.type.v1 import money_pb2 as _money_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AuthenticateSessionRequest(_message.Message):
    __slots__ = ("session_token",)
    SESSION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    session_token: str
    def __init__(self, session_token: _Optional[str] = ...) -> None: ...

class AuthenticateSessionResponse(_message.Message):
    __slots__ = ("game_session", "balance")
    GAME_SESSION_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    game_session: _game_pb2.GameSession
    balance: _money_pb2.Money
    def __init__(self, game_session: _Optional[_Union[_game_pb2.GameSession, _Mapping]] = ..., balance: _Optional[_Union[_money_pb2.Money, _Mapping]] = ...) -> None: ...

class GetPlayerBalanceRequest(_message.Message):
    __slots__ = ("session_token",)
    SESSION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    session_token: str
    def __init__(self, session_token: _Optional[str] = ...) -> None: ...

class GetPlayerBalanceResponse(_message.Message):
    __slots__ = ("balance",)
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    balance: _money_pb2.Money
    def __init__(self, balance: _Optional[_Union[_money_pb2.Money, _Mapping]] = ...) -> None: ...

class PlaceBetRequest(_message.Message):
    __slots__ = ("session_token", "transaction_id", "round_id", "amount", "end_round")
    SESSION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    END_ROUND_FIELD_NUMBER: _ClassVar[int]
    session_token: str
    transaction_id: str
    round_id: str
    amount: _money_pb2.Money
    end_round: bool
    def __init__(self, session_token: _Optional[str] = ..., transaction_id: _Optional[str] = ..., round_id: _Optional[str] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., end_round: _Optional[bool] = ...) -> None: ...

class PlaceBetResponse(_message.Message):
    __slots__ = ("movement",)
    MOVEMENT_FIELD_NUMBER: _ClassVar[int]
    movement: _game_pb2.Movement
    def __init__(self, movement: _Optional[_Union[_game_pb2.Movement, _Mapping]] = ...) -> None: ...

class PayWinRequest(_message.Message):
    __slots__ = ("session_token", "transaction_id", "round_id", "amount", "bet_transaction_id", "end_round")
    SESSION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    BET_TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    END_ROUND_FIELD_NUMBER: _ClassVar[int]
    session_token: str
    transaction_id: str
    round_id: str
    amount: _money_pb2.Money
    bet_transaction_id: str
    end_round: bool
    def __init__(self, session_token: _Optional[str] = ..., transaction_id: _Optional[str] = ..., round_id: _Optional[str] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., bet_transaction_id: _Optional[str] = ..., end_round: _Optional[bool] = ...) -> None: ...

class PayWinResponse(_message.Message):
    __slots__ = ("movement",)
    MOVEMENT_FIELD_NUMBER: _ClassVar[int]
    movement: _game_pb2.Movement
    def __init__(self, movement: _Optional[_Union[_game_pb2.Movement, _Mapping]] = ...) -> None: ...

class RollBackRequest(_message.Message):
    __slots__ = ("session_token", "transaction_id", "original_transaction_id", "round_id", "end_round")
    SESSION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    ORIGINAL_TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_ID_FIELD_NUMBER: _ClassVar[int]
    END_ROUND_FIELD_NUMBER: _ClassVar[int]
    session_token: str
    transaction_id: str
    original_transaction_id: str
    round_id: str
    end_round: bool
    def __init__(self, session_token: _Optional[str] = ..., transaction_id: _Optional[str] = ..., original_transaction_id: _Optional[str] = ..., round_id: _Optional[str] = ..., end_round: _Optional[bool] = ...) -> None: ...

class RollBackResponse(_message.Message):
    __slots__ = ("movement",)
    MOVEMENT_FIELD_NUMBER: _ClassVar[int]
    movement: _game_pb2.Movement
    def __init__(self, movement: _Optional[_Union[_game_pb2.Movement, _Mapping]] = ...) -> None: ...

class EndRoundRequest(_message.Message):
    __slots__ = ("session_token", "transaction_id", "round_id")
    SESSION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_ID_FIELD_NUMBER: _ClassVar[int]
    session_token: str
    transaction_id: str
    round_id: str
    def __init__(self, session_token: _Optional[str] = ..., transaction_id: _Optional[str] = ..., round_id: _Optional[str] = ...) -> None: ...

class EndRoundResponse(_message.Message):
    __slots__ = ("movement",)
    MOVEMENT_FIELD_NUMBER: _ClassVar[int]
    movement: _game_pb2.Movement
    def __init__(self, movement: _Optional[_Union[_game_pb2.Movement, _Mapping]] = ...) -> None: ...
