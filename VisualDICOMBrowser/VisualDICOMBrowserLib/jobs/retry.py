"""Whether, and when, a failed job is tried again.

The policy
----------
* The strategy decides; the worker acts. No other layer retries, so that tries never multiply.
* Only errors that say ``retryable`` are tried again: no connection, a stalled or lost one, a transient
  rejection, a peer out of resources. A refusal, damaged data or a bug stays what it is.
* After the first try, up to three more, 1, 2 and 4 s later. Each delay is stretched or shortened by up to a
  fifth at random, so that jobs that failed together do not come back together.
* The count is per job, not per instance, and starts anew when the user asks for a retry.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from ..domain.errors import VisualDicomError


@dataclass(frozen=True)
class RetryDecision:
    """What to do after a failure.

    :ivar delay: seconds until the next try, or None to give up.
    :ivar reason: a sentence for the user.
    """

    delay: float | None
    reason: str


@dataclass(frozen=True)
class RetryStrategy:
    """The policy above.

    :param delays: seconds before each further try; their number is the number of retries.
    :param jitter: the part of a delay that is random, 0 to 1.
    :param random: returns numbers from 0 up to 1.
    """

    delays: tuple[float, ...] = (1.0, 2.0, 4.0)
    jitter: float = 0.2
    random: Callable[[], float] = random.random

    def decide(self, error: VisualDicomError, tries_done: int) -> RetryDecision:
        """Decide after ``tries_done`` tries, the failed one among them, the last of which ended in ``error``."""
        if not error.retryable or tries_done > len(self.delays):
            return RetryDecision(None, str(error))
        delay = self.delays[tries_done - 1] * (1 + self.jitter * (2 * self.random() - 1))
        tries = len(self.delays) + 1
        return RetryDecision(delay, f"{error} Trying again in {delay:.0f} s (try {tries_done + 1} of {tries}).")
