"""The data folder of a mesh: lock, ports, secrets, certificates, databases, logs."""

import base64
import contextlib
import fcntl
import hashlib
import json
import os
import random
import secrets
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from scripts.mesh.pki import DevelopmentAuthority

# Below the range from which systems give ports to outgoing connections, so that a remembered port
# is likely to be free the next time.
_PORT_MIN = 10_000
_PORT_MAX = 32_767
_PORT_TRIES_MAX = 200
# What every system takes for the path of a Unix socket.
_SOCKET_LENGTH_MAX = 100


class FolderError(Exception):
    """The folder cannot be had; the message is a sentence for whoever chose it."""


class FolderInUseError(FolderError):
    """Another mesh runs on the folder."""


class FolderUnusableError(FolderError):
    """The folder cannot be made, or written to."""

    def __init__(self, path: Path, error: Exception) -> None:
        """Names the folder, and tells what the system said."""
        why = error.strerror if isinstance(error, OSError) else None
        super().__init__(f"{path} cannot be used: {why or error}")


class PortTakenError(Exception):
    """A port that cannot be another one is taken."""


class DataFolder:
    """A folder that belongs to one mesh; only its owner can read it."""

    def __init__(self, path: Path) -> None:
        """Makes the folder if it is missing.

        Raises:
            FolderUnusableError: It cannot be made.
        """
        try:
            # One name for one folder, however it is written: it is printed, locked and remembered.
            self.path = path.resolve()
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            for name in ("logs", "secrets", "databases", "edge"):
                (self.path / name).mkdir(exist_ok=True, mode=0o700)
        # (Python 3.11 and 3.12 call a loop of links a RuntimeError.)
        except (OSError, RuntimeError) as error:
            raise FolderUnusableError(path, error) from None
        self.logs = self.path / "logs"
        self.edge = self.path / "edge"
        self.description = self.path / "mesh.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps others off the folder while the block runs, and however it ends.

        Raises:
            FolderInUseError: Somebody else is there.
            FolderUnusableError: It cannot be written to.
        """
        try:
            descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise FolderUnusableError(self.path, error) from None
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(descriptor, 32).decode().strip() or "unknown"
                message = f"{self.path} is in use by process {holder}"
                raise FolderInUseError(message) from None
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            # The kernel drops the lock with the descriptor, also when this process is killed.
            os.close(descriptor)

    def authority(self) -> DevelopmentAuthority:
        """Opens the development authority, and makes it if it is missing."""
        return DevelopmentAuthority(self.path / "pki")

    def secret(self, name: str, make: Callable[[], str]) -> Path:
        """Returns the file of a secret, and makes the secret if it is missing."""
        file = self.path / "secrets" / name
        if not file.exists():
            write_private(file, make())
        return file

    def database(self, name: str) -> Path:
        """Returns the path of an SQLite file."""
        return self.path / "databases" / f"{name}.db"

    def socket(self, name: str) -> Path:
        """Returns a path for a Unix socket: in the folder, or elsewhere if that is too deep."""
        path = self.edge / f"{name}.sock"
        if len(str(path)) <= _SOCKET_LENGTH_MAX:
            return path
        # The same for the same folder, so that nothing piles up; refused if it is another user's.
        digest = hashlib.sha256(str(self.path).encode()).hexdigest()[:16]
        short = Path(tempfile.gettempdir()) / f"croupier-{digest}"
        short.mkdir(exist_ok=True, mode=0o700)
        if short.stat().st_uid != os.getuid():
            raise PermissionError(f"{short} belongs to somebody else")
        return short / f"{name}.sock"

    def remembered_ports(self, names: tuple[str, ...]) -> dict[str, int]:
        """Returns which ports these had the last time; nothing for those that are new."""
        file = self.path / "ports.json"
        remembered: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
        return {name: remembered[name] for name in names if name in remembered}

    def ports(
        self,
        names: tuple[str, ...],
        *,
        fixed: Mapping[str, int],
        preferred: Mapping[str, int] = MappingProxyType({}),
    ) -> dict[str, int]:
        """Gives each name a free port: the same as the last time if that is free.

        Args:
            names: Who needs one.
            fixed: Ports that must be these.
            preferred: Ports to try the first time.

        Raises:
            PortTakenError: One of the fixed ports is taken.
        """
        remembered = self.remembered_ports(names)
        given: dict[str, int] = {}
        for name in names:
            if name in fixed:
                if not _is_free(fixed[name]):
                    raise PortTakenError(f"port {fixed[name]} for {name} is taken")
                given[name] = fixed[name]
                continue
            port = remembered.get(name, preferred.get(name, 0))
            reserved = {*given.values(), *fixed.values()}
            if port == 0 or port in reserved or not _is_free(port):
                port = _free_port(reserved)
            given[name] = port
        write_private(self.path / "ports.json", json.dumps(given, indent=2) + "\n")
        return given


def random_secret(prefix: str = "") -> str:
    """Makes a secret of 256 bits, as text."""
    return prefix + secrets.token_urlsafe(32)


def random_key() -> str:
    """Makes a key of 256 bits, base64url."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def read_secret(file: Path) -> str:
    """Reads a secret; empty if there is none."""
    return file.read_text().strip() if file.exists() else ""


def write_private(file: Path, text: str) -> None:
    """Writes a file that only its owner can read, whole or not at all."""
    partial = file.with_name(f"{file.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(text)
    partial.replace(file)


def _is_free(port: int) -> bool:
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        # As servers bind: a port that only lingers in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _free_port(reserved: set[int]) -> int:
    for _ in range(_PORT_TRIES_MAX):
        port = random.randint(_PORT_MIN, _PORT_MAX)  # noqa: S311 (not a secret)
        if port not in reserved and _is_free(port):
            return port
    raise PortTakenError(f"no free port between {_PORT_MIN} and {_PORT_MAX}")
