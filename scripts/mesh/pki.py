"""A development authority: mutual TLS without anything to set up.

Production brings its own authority; services only see files.
"""

import ipaddress
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from services.kit.tls import TRUST_DOMAIN, Identity

_LIFE = timedelta(days=365)
_RENEW_BEFORE = timedelta(days=7)
_CLOCK_SKEW = timedelta(minutes=5)


class DevelopmentAuthority:
    """An authority whose key lies in a folder; makes certificates there when asked."""

    def __init__(self, folder: Path) -> None:
        """Opens the authority in `folder`, or makes it if it is missing or about to expire."""
        self._folder = folder
        self.certificate_path = folder / "authority.pem"
        key_path = folder / "authority.key"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not _is_current(self.certificate_path) or not key_path.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Croupier development")])
            certificate = (
                _builder(subject=name, issuer=name, key=key)
                .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                .add_extension(_key_usage(authority=True), critical=True)
                .sign(key, hashes.SHA256())
            )
            _write_key(key_path, key)
            _write(self.certificate_path, certificate.public_bytes(serialization.Encoding.PEM))
            for stale in folder.glob("*/certificate.pem"):
                stale.unlink()
        self._certificate = x509.load_pem_x509_certificate(self.certificate_path.read_bytes())
        loaded = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            message = f"{key_path} does not hold an EC key"
            raise TypeError(message)
        self._key = loaded

    def identity(self, service: str) -> Identity:
        """Returns the files that prove `service`, and makes them if they are missing or old."""
        folder = self._folder / service
        folder.mkdir(exist_ok=True, mode=0o700)
        identity = Identity(
            certificate=folder / "certificate.pem",
            key=folder / "key.pem",
            authority=self.certificate_path,
        )
        if not _is_current(identity.certificate) or not identity.key.exists():
            self._issue(service, identity)
        return identity

    def _issue(self, service: str, identity: Identity) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [
            x509.UniformResourceIdentifier(f"{TRUST_DOMAIN}{service}"),
            x509.DNSName(service),
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        ]
        certificate = (
            _builder(
                subject=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, service)]),
                issuer=self._certificate.subject,
                key=key,
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage(
                    [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
                ),
                critical=False,
            )
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        _write_key(identity.key, key)
        _write(identity.certificate, certificate.public_bytes(serialization.Encoding.PEM))


def _builder(
    *, subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _LIFE)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _is_current(path: Path) -> bool:
    if not path.exists():
        return False
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    return certificate.not_valid_after_utc - _RENEW_BEFORE > datetime.now(UTC)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    _write(
        path,
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def _write(path: Path, content: bytes) -> None:
    """Writes a file that only its owner can read, whole or not at all."""
    path.unlink(missing_ok=True)
    partial = path.with_suffix(".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    partial.replace(path)
