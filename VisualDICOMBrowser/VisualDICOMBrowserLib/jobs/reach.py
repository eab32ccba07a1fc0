"""Which servers do not answer at all, so that nobody waits for one after the other to find that out again.

The policy
----------
* A try *counts* if no connection could be made, or no byte came for too long. Whatever else a server does, refusals
  included, shows that it is there; what went wrong on this computer, or was cancelled, says nothing.
* After four of them in a row, which is as often as a job tries by itself, a server is *out of reach*. Then
  one job at a time may try it again, after 5 s, and 10, 20, 40 and 60 s at most from one time to the next.
* Meanwhile its jobs stay in the queue and keep their tries: only the one that tries it spends one of its own.
* Who asks for an answer (a search, a picture) is told at once, unless the last try is 5 s old: then he tries.
  The same holds for whatever the user asks for or retries by hand: it need not wait longer than for 5 s after
  the last try. A test of the server (C-ECHO) is always made.
* The first answer ends it.

No threads, no locks: the scheduler's lock guards it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from ..domain.errors import BadData, PeerError, PeerStalled, ServerUnreachable
from .clock import Clock
from .description import JobDescription, JobKind, Stamp
from .job import Outcome
from .states import JobState


@dataclass(frozen=True)
class ReachPolicy:
    """The numbers of the policy above.

    :param failures: in a row, after which a server is out of reach.
    :param delays: seconds from one try to the next; the last one is for all that follow.
    """

    failures: int = 4
    delays: tuple[float, ...] = (5.0, 10.0, 20.0, 40.0, 60.0)


@dataclass
class _Silence:
    """Failures in a row of one server.

    :ivar since: of the first one.
    :ivar last: when the last one ended, on the monotonic clock.
    :ivar next_at: when it may be tried again.
    :ivar tries: how often it was tried since it is out of reach.
    :ivar trying: id of the job that tries it now.
    """

    since: Stamp
    failures: int = 0
    last: float = 0.0
    next_at: float = 0.0
    tries: int = 0
    trying: str = ""


@dataclass
class Reach:
    """See the module."""

    clock: Clock
    policy: ReachPolicy = field(default_factory=ReachPolicy)
    _silent: dict[str, _Silence] = field(default_factory=dict)

    def is_lost(self, server: str | None) -> bool:
        """Tell whether a server is out of reach."""
        silence = self._silent.get(server or "")
        return silence is not None and silence.failures >= self.policy.failures

    def is_doubtful(self, server: str | None) -> bool:
        """Tell whether the last try failed."""
        return (server or "") in self._silent

    def next_try(self, server: str) -> float:
        """Return when a server that is out of reach may be tried again, on the monotonic clock."""
        return self._silent[server].next_at

    def sentence(self, server: str) -> str:
        """Say of a server that is out of reach since when, and until when; empty for another one."""
        if not self.is_lost(server):
            return ""
        silence = self._silent[server]
        left = max(0.0, silence.next_at - self.clock.monotonic())
        since, then = _hour(silence.since.wall), _hour(self.clock.wall() + left)
        return f"{server} has not answered since {since}; it is tried again at {then}."

    def lets(self, job: JobDescription) -> bool:
        """Tell whether a job may be taken from the queue."""
        if not self.is_lost(job.server) or job.kind is JobKind.ECHO or job.kind.awaited:
            return True
        return self._may_try(self._silent[job.server or ""])

    def begin(self, job: JobDescription) -> ServerUnreachable | None:
        """Note that a job was taken; return what it fails with at once, None if it may try."""
        if not self.is_lost(job.server) or job.kind is JobKind.ECHO:
            return None
        server = job.server or ""
        silence = self._silent[server]
        if job.kind.awaited:
            self.hurry(server)
        if not self._may_try(silence):
            return ServerUnreachable(self.sentence(server), retryable=False)
        silence.trying = job.job_id
        return None

    def hurry(self, server: str | None) -> bool:
        """Let a server be tried soon, since somebody asks for it; tell whether that changed anything."""
        silence = self._silent.get(server or "")
        if silence is None or silence.next_at <= silence.last + self.policy.delays[0]:
            return False
        silence.next_at = silence.last + self.policy.delays[0]
        return True

    def end(self, job: JobDescription, outcome: Outcome, *, alone: bool = True) -> bool:
        """Take over what a try came to; tell whether that changed something about its server.

        :param alone: no other server took part, as a proxy does, which may be the one that did not answer.
        """
        server = job.server
        if server is None:
            return False
        was_trying = self._let_go(server, job.job_id)
        if isinstance(outcome.error, (ServerUnreachable, PeerStalled)):
            return alone and self._note_failure(server, tried=was_trying)
        if outcome.state is JobState.CANCELLED or not _is_answer(outcome):
            return was_trying
        was_lost = self.is_lost(server)
        self._silent.pop(server, None)
        return was_lost

    def forgive(self) -> None:
        """Forget everything: the configuration changed."""
        self._silent.clear()

    def _may_try(self, silence: _Silence) -> bool:
        return not silence.trying and self.clock.monotonic() >= silence.next_at

    def _let_go(self, server: str, job_id: str) -> bool:
        silence = self._silent.get(server)
        if silence is None or silence.trying != job_id:
            return False
        silence.trying = ""
        return True

    def _note_failure(self, server: str, *, tried: bool) -> bool:
        now = Stamp(self.clock.monotonic(), self.clock.wall())
        silence = self._silent.setdefault(server, _Silence(now))
        was_lost = self.is_lost(server)
        silence.failures += 1
        silence.last = now.monotonic
        if not self.is_lost(server) or (was_lost and not tried):
            return False
        silence.next_at = now.monotonic + self.policy.delays[min(silence.tries, len(self.policy.delays) - 1)]
        silence.tries += 1
        return True


def _is_answer(outcome: Outcome) -> bool:
    """Tell whether a try shows that somebody is there: it worked, or the server did something wrong."""
    return outcome.error is None or isinstance(outcome.error, (PeerError, BadData))


def _hour(wall: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(wall))
