"""The ledger over gRPC: messages in and out, no rules. One module for each service."""

from services.wallet.servicer.back_office import BackOfficeServicer
from services.wallet.servicer.ledger import WalletServicer
from services.wallet.servicer.posting import PostingServicer

__all__ = ["BackOfficeServicer", "PostingServicer", "WalletServicer"]
