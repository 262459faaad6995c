"""Runs a program that does not outlive the process that started it, even if that is killed.

`python -I -S guard.py PARENT PROGRAM ARGUMENT …`, where PARENT is the process id of the caller.

On Linux the kernel is asked to kill this process when the caller's thread dies, and then this
process becomes the program. Elsewhere there is no such request: the guard stays, with the program
as its child, and watches its standard input, which the caller holds open and never writes to. When
that ends, so does the program. Nothing but the standard library is imported: it starts in some
20 milliseconds.
"""

import os
import signal
import subprocess
import sys
import threading

_PR_SET_PDEATHSIG = 1
_USAGE = 64
# Asks for the portable way on Linux too.
_WATCH = "--watch"


def main(arguments: list[str]) -> int:
    """Runs the program; returns its exit code where it did not take this process over."""
    watches = arguments[:1] == [_WATCH]
    if watches:
        arguments = arguments[1:]
    if len(arguments) < 2:  # noqa: PLR2004 (the caller and the program)
        sys.stderr.write(f"usage: guard.py [{_WATCH}] PARENT PROGRAM [ARGUMENT …]\n")
        return _USAGE
    parent, command = int(arguments[0]), arguments[1:]
    if watches or not sys.platform.startswith("linux"):
        return _watch(command)
    _die_with_parent()
    # The caller may have died before the request reached the kernel.
    if os.getppid() != parent:
        return 1
    os.execvp(command[0], command)  # noqa: S606 (the caller chose the program)
    return 1


def _die_with_parent() -> None:
    import ctypes  # noqa: PLC0415 (only Linux needs it)

    # SIGKILL, since a program that hangs would ignore anything else. It loses nothing: what was
    # answered is on disk.
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")


def _watch(command: list[str]) -> int:
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, frame: child.send_signal(received))  # noqa: ARG005

    def kill_at_end() -> None:
        while os.read(0, 1):
            pass
        child.kill()

    threading.Thread(target=kill_at_end, daemon=True).start()
    code = child.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
