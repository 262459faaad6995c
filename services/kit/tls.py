"""Mutual TLS inside the mesh: a caller is who its certificate says.

Each service holds a certificate of the mesh's authority with the URI `spiffe://croupier/<name>` and
the DNS name `<name>`. A server learns the caller from the URI; a client insists on the DNS name.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

TRUST_DOMAIN = "spiffe://croupier/"
_PREFIX = TRUST_DOMAIN.encode()


@dataclass(frozen=True, slots=True)
class Identity:
    """The files by which a process proves who it is, PEM."""

    certificate: Path
    key: Path
    authority: Path

    def server_credentials(self) -> grpc.ServerCredentials:
        """Credentials for a server that admits only certificates of the authority."""
        return grpc.ssl_server_credentials(
            [(self.key.read_bytes(), self.certificate.read_bytes())],
            root_certificates=self.authority.read_bytes(),
            require_client_auth=True,
        )

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """Credentials for calls to other services."""
        return grpc.ssl_channel_credentials(
            root_certificates=self.authority.read_bytes(),
            private_key=self.key.read_bytes(),
            certificate_chain=self.certificate.read_bytes(),
        )


def service_of(context: Any) -> str | None:
    """Returns the service at the other end, by its certificate; None if it proved nothing."""
    # The identities of a TLS peer are the subject alternative names of its certificate.
    for name in context.peer_identities() or ():
        if name.startswith(_PREFIX):
            return str(name[len(_PREFIX) :], "ascii")
    return None
