"""The ledger's time: the machine's clock, which may neither go back nor run ahead."""

from datetime import timedelta

import structlog

from services.kit.clock import MICROSECOND, SteadyClock, from_micros, to_micros
from services.wallet.domain.values import Micros

_log = structlog.get_logger()


class ClockAheadError(Exception):
    """The machine's clock has run ahead of the time that has passed."""


class LedgerTime:
    """Stamps batches, as long as the machine's clock can be believed.

    A stamp is for ever, and what is due by it expires. So a clock that is set forward must not
    become the ledger's time: what it says is held against how much time has really passed since
    the reign began. At that moment nothing tells whether it is right, and it is believed.
    """

    def __init__(self, clock: SteadyClock, *, ahead_max: timedelta) -> None:
        """Takes the clock.

        Args:
            clock: The machine's.
            ahead_max: How far it may run ahead.
        """
        self._clock = clock
        self._ahead_max = ahead_max
        # By how much the ledger's time was beyond the steady clock when the reign began.
        self._offset = 0
        self._trusted = True

    def begin(self, last_time: Micros) -> None:
        """Believes the clock from now on, if it says no less than the last batch."""
        now = to_micros(self._clock.now())
        self._offset = max(now, last_time) - self._elapsed()
        self._trusted = True
        rested = (now - last_time) * MICROSECOND
        if last_time and rested > self._ahead_max:
            _log.warning(
                "ledger was at rest",
                rested=str(rested),
                now=from_micros(now).isoformat(),
            )

    def stamp(self, last_time: Micros) -> Micros:
        """Returns the time of a batch that follows one of `last_time`.

        Raises:
            ClockAheadError: The clock cannot be believed.
        """
        now = self._believed()
        return max(now, last_time)

    def check(self) -> None:
        """Raises while the clock cannot be believed.

        Raises:
            ClockAheadError: It has run too far ahead.
        """
        self._believed()

    def _believed(self) -> Micros:
        now = to_micros(self._clock.now())
        ahead = (now - self._offset - self._elapsed()) * MICROSECOND
        trusted = ahead <= self._ahead_max
        if trusted is not self._trusted:
            self._trusted = trusted
            self._tell(ahead)
        if not trusted:
            message = f"the clock is {ahead} ahead"
            raise ClockAheadError(message)
        return Micros(now)

    def _tell(self, ahead: timedelta) -> None:
        if self._trusted:
            _log.warning("clock believed again")
        else:
            _log.critical(
                "clock ran ahead",
                ahead=str(ahead),
                advice="nothing is written until the clock agrees with the time that has passed "
                "since this process took the ledger; if it is right now, and was wrong before, "
                "start the wallet again",
            )

    def _elapsed(self) -> int:
        return self._clock.elapsed() // MICROSECOND
