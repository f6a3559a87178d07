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

from attrs import evolve, frozen

from agent.clock import Clock
from agent.errors import (
    CodedError,
    StepFailedError,
    TerminalError,
    TransientError,
    UnwritableFileError,
)
from agent.journal import Journal, JournalEntry
from agent.retry import RetryPolicy, retry
from agent.wire.step import OUTLIVES_RESTART
from agent.wire.work import OperationEvent

_log = logging.getLogger(__name__)

_FOREVER = RetryPolicy(first=1.0, cap=20.0)  # below the least silence that ends work
_SILENCE_SECONDS = 10.0
_TEXT_LIMIT = 4000


class EventStream:
    """The events of one claimed attempt; ``progress`` may be called from any thread.

    Inside ``running`` a thread sends progress every ``interval`` seconds when there is
    some, and every 10 s when there is none, so that silence means trouble. ``send`` is
    ``WorkChannel.event``. ``entry`` is a new one, or what the journal has of an attempt that goes
    on.
    """

    def __init__(
        self,
        send: Callable[[str, OperationEvent], None],
        entry: JournalEntry,
        journal: Journal,
        clock: Clock,
        interval: float = 1.0,
    ) -> None:
        self._send = send
        self._journal = journal
        self._clock = clock
        self._interval = interval
        self._entry = entry
        self._sending = threading.Lock()
        self._closed = threading.Event()
        self._counts: tuple[int, int, int] | None = None
        self._stopped: TerminalError | None = None
        self._stopped_at = 0.0
        self._thread = threading.Thread(
            target=self._send_progress,
            name=f"{threading.current_thread().name} progress",
            daemon=True,
        )

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

    def overdue(self) -> float:
        """Return for how many seconds the running step should have stopped; negative: not at all.

        It should from the moment on at which the server refused.
        """
        if self._stopped is None:
            return float("-inf")
        return self._clock.monotonic() - self._stopped_at

    def error(self) -> TerminalError | None:
        """Return the server's refusal; None where it has not refused."""
        return self._stopped

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

    @property
    def disks_written(self) -> bool:
        """Return whether this attempt or an earlier one began to write to a disk."""
        return self._entry.disks_written

    def writing(self) -> None:
        """Note that a disk is written from now on; raises once the server has refused."""
        self.check()
        with self._sending:
            self._entry = evolve(self._entry, disks_written=True)
            self._journal.write(self._entry)

    def failed(self, error: CodedError, seconds: float | None = None) -> None:
        """Deliver why the attempt ends here; TransientError where ``seconds`` did not suffice."""
        entry = self._entry
        event = failure(error, entry.attempt, step=entry.step, sequence=entry.sequence + 1)
        self._conclude(event, "", seconds)

    def done(self, finish: str) -> None:
        """Deliver the success of the whole attempt; ``finish`` is what the machine does next."""
        self._conclude(self._event("done", self._entry.step), finish)

    def _event(self, kind: str, step: int) -> OperationEvent:
        return OperationEvent(self._entry.attempt, 1, kind, step)

    def _conclude(self, event: OperationEvent, finish: str, seconds: float | None = None) -> None:
        self._counts = None
        self._deliver(event, finish, seconds)
        self._journal.clear()

    def _deliver(
        self, event: OperationEvent, finish: str | None = None, seconds: float | None = None
    ) -> None:
        """Send until acknowledged, or for so many seconds; every try has the same number.

        With ``finish`` the event is the last one.
        """
        self.check()
        policy = evolve(_FOREVER, limit=seconds)
        with self._sending:
            numbered = self._number(event, finish)
            try:
                retry(lambda: self._send(self._entry.operation, numbered), policy, self._clock)
            except TerminalError as error:
                self._stop(error)
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

    def _stop(self, error: TerminalError) -> None:
        self._stopped_at = self._clock.monotonic()
        self._stopped = error

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
            self._stop(error)


def failure(error: CodedError, attempt: int, *, step: int, sequence: int) -> OperationEvent:
    """Return the event that says why an attempt ends at a step."""
    known = error.found if isinstance(error, StepFailedError) else {}
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


@frozen
class Unfinished:
    """What an earlier process of the agent was at, and how that ended."""

    entry: JournalEntry
    final: OperationEvent
    refusal: str = ""
    """What the server said where it does not want to hear of it."""

    @property
    def is_done(self) -> bool:
        """Return whether all steps were done and the server knows."""
        return self.final.kind == "done" and not self.refusal

    @property
    def cause(self) -> str:
        """Return why it is not, in one line."""
        return self.refusal or f"{self.final.code}: {self.final.message}. {self.final.action}."


def going_on(journal: Journal) -> JournalEntry | None:
    """Return the attempt of an earlier process that goes on; None where there is none.

    It does where the agent was started again in a step that can be done once more: it asked for
    the restart itself, or the machine lost its power.
    """
    entry = journal.read()
    if entry is None or entry.work is None or entry.final is not None:
        return None
    steps = entry.work.steps
    goes_on = entry.step < len(steps) and isinstance(steps[entry.step], OUTLIVES_RESTART)
    return entry if goes_on else None


def unfinished(journal: Journal) -> Unfinished | None:
    """Return what an earlier process of the agent was at; None where it was at nothing.

    An attempt whose end had been reached ended so. One that was interrupted failed: it is
    not begun again, because what it had done is not known.
    """
    entry = journal.read()
    if entry is None:
        return None
    error = TerminalError(
        "RW564",
        "the agent was started again in the middle of this operation",
        "Look at the machine's log, then run the operation again",
    )
    final = entry.final or failure(
        error, entry.attempt, step=entry.step, sequence=entry.sequence + 1
    )
    journal.write(evolve(entry, sequence=final.sequence, final=final))
    return Unfinished(entry, final)


def report_unfinished(
    send: Callable[[str, OperationEvent], None], journal: Journal, clock: Clock, found: Unfinished
) -> Unfinished:
    """Tell the server how it ended, however long that takes; return it with the answer."""
    operation = found.entry.operation
    try:
        retry(lambda: send(operation, found.final), _FOREVER, clock)
    except TerminalError as error:
        _log.warning("the server does not want the end of %s: %s", operation, error.cause)
        found = evolve(found, refusal=str(error))
    journal.clear()
    return found
