"""What the server hears while an attempt runs.

Progress events carry the latest counts, at most once a second; one that is lost is not
sent again. All other events are delivered in order, at least once, however long it takes.
The server's answer is also how the agent learns that it was fenced; the next call
from the running step then raises, which stops the step.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import evolve

from agent.clock import Clock
from agent.errors import (
    CodedError,
    FinishedWorkError,
    TerminalError,
    TransientError,
    UnwritableFileError,
)
from agent.journal import Journal, JournalEntry
from agent.retry import RetryPolicy, retry
from agent.wire.work import OperationEvent, Work

_log = logging.getLogger(__name__)

_FOREVER = RetryPolicy(first=1.0, cap=20.0)  # below the least silence that ends work
_SILENCE_SECONDS = 10.0
_TEXT_LIMIT = 4000


class EventStream:
    """The events of one claimed attempt; ``progress`` may be called from any thread.

    Inside ``running`` a thread sends progress every ``interval`` seconds when there is
    some, and every 10 s when there is none, so that silence means trouble. ``send`` is
    ``WorkChannel.event``.
    """

    def __init__(
        self,
        send: Callable[[str, OperationEvent], None],
        work: Work,
        journal: Journal,
        clock: Clock,
        interval: float = 1.0,
    ) -> None:
        self._send = send
        self._journal = journal
        self._clock = clock
        self._interval = interval
        self._entry = JournalEntry(work.operation, work.attempt)
        self._sending = threading.Lock()
        self._closed = threading.Event()
        self._counts: tuple[int, int, int] | None = None
        self._stopped: TerminalError | None = None
        self._thread = threading.Thread(target=self._send_progress, name="progress", daemon=True)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Keep the attempt in the journal from now on, and progress flowing meanwhile."""
        self._journal.write(self._entry)
        self._thread.start()
        try:
            yield
        finally:
            self._closed.set()
            self._thread.join()

    def check(self) -> None:
        """Raise the server's refusal, if it has refused: nothing more may be done then."""
        if self._stopped is not None:
            raise self._stopped

    def step_started(self, step: int) -> None:
        """Say so before the step touches anything; blocks until the server has heard it."""
        self._deliver(self._event("step-started", step))
        self._counts = (step, 0, 0)

    def progress(self, done: int, total: int) -> None:
        """Note the bytes done of the running step; raises once the server has refused."""
        self.check()
        self._counts = (self._entry.step, done, total)

    def step_done(self, result: dict[str, str]) -> None:
        """Deliver the step's result."""
        step, done, total = self._counts or (self._entry.step, 0, 0)
        self._counts = None
        event = self._event("step-done", step)
        self._deliver(evolve(event, bytes_done=done, bytes_total=total, result=result))

    def failed(self, error: CodedError) -> None:
        """Deliver why the attempt ends here."""
        entry = self._entry
        event = failure(error, entry.attempt, step=entry.step, sequence=entry.sequence + 1)
        self._conclude(event, "stay")

    def done(self, finish: str) -> None:
        """Deliver the success of the whole attempt; ``finish`` is what the machine does next."""
        self._conclude(self._event("done", self._entry.step), finish)

    def _event(self, kind: str, step: int) -> OperationEvent:
        return OperationEvent(self._entry.attempt, 1, kind, step)

    def _conclude(self, event: OperationEvent, finish: str) -> None:
        self._counts = None
        self._deliver(event, finish)
        self._journal.clear()

    def _deliver(self, event: OperationEvent, finish: str | None = None) -> None:
        """Send until acknowledged; every try has the same sequence number.

        With ``finish`` the event is the last one.
        """
        self.check()
        with self._sending:
            numbered = self._number(event, finish)
            try:
                retry(lambda: self._send(self._entry.operation, numbered), _FOREVER, self._clock)
            except TerminalError as error:
                self._stopped = error
                raise

    def _number(self, event: OperationEvent, finish: str | None = None) -> OperationEvent:
        """Return the event with the next number, kept in the journal before it is sent."""
        sequence = self._entry.sequence + 1
        numbered = evolve(event, sequence=sequence)
        self._entry = evolve(self._entry, sequence=sequence, step=event.step)
        if finish is not None:
            self._entry = evolve(self._entry, final=numbered, finish=finish)
        self._journal.write(self._entry)
        return numbered

    def _send_progress(self) -> None:
        sent: tuple[int, int, int] | None = None
        quiet = 0.0
        while not self._closed.wait(self._interval):
            quiet += self._interval
            # No progress is sent while another event is being delivered.
            if not self._sending.acquire(blocking=False):
                continue
            try:
                counts = self._counts
                if counts is not None and (counts != sent or quiet >= _SILENCE_SECONDS):
                    sent, quiet = counts, 0.0
                    self._try_progress(*counts)
            finally:
                self._sending.release()

    def _try_progress(self, step: int, done: int, total: int) -> None:
        event = evolve(self._event("progress", step), bytes_done=done, bytes_total=total)
        try:
            self._send(self._entry.operation, self._number(event))
        except (TransientError, UnwritableFileError) as error:
            _log.info("progress not delivered: %s", error.cause)
        except TerminalError as error:
            _log.warning("stopping: %s", error.cause)
            self._stopped = error


def failure(error: CodedError, attempt: int, *, step: int, sequence: int) -> OperationEvent:
    """Return the event that says why an attempt ends at a step."""
    known = {"finished": error.finished} if isinstance(error, FinishedWorkError) else {}
    return OperationEvent(
        attempt=attempt,
        sequence=sequence,
        kind="failed",
        step=step,
        code=error.code,
        message=error.cause[:_TEXT_LIMIT],
        action=error.action[:_TEXT_LIMIT],
        result=known,
    )


def report_unfinished(
    send: Callable[[str, OperationEvent], None], journal: Journal, clock: Clock
) -> str | None:
    """Tell the server how an attempt of an earlier process ended; return what to do next.

    An attempt whose end had been reached is reported as it ended, and its ``finish``
    returned. One that was interrupted is reported as failed: it is not begun again,
    because what it had done is not known. None when nothing was unfinished, ``failed``
    after a failure.
    """
    entry = journal.read()
    if entry is None:
        return None
    final = entry.final or OperationEvent(
        attempt=entry.attempt,
        sequence=entry.sequence + 1,
        kind="failed",
        step=entry.step,
        code="RW564",
        message="the agent was started again in the middle of this operation",
        action="Look at the machine's log, then run the operation again",
    )
    journal.write(evolve(entry, sequence=final.sequence, final=final))
    try:
        retry(lambda: send(entry.operation, final), _FOREVER, clock)
    except TerminalError as error:
        _log.warning("the server does not want the end of %s: %s", entry.operation, error.cause)
        journal.clear()
        return "failed"
    journal.clear()
    return entry.finish if final.kind == "done" else "failed"
