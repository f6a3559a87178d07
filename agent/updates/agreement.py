"""Asking the person at the machine before packages are installed.

They answer with ``rackwright-agent now`` or ``rackwright-agent postpone TIME``, as they do about a
restart: over the same socket, which is of whatever waits.
"""

import logging
import threading

from attrs import evolve

from agent.shutdown.control import ControlSocket, Person, Request, require_logged_in
from agent.shutdown.pending import PoliteWays
from agent.updates.due import Facts, closed
from agent.updates.kept import UpdateState

_log = logging.getLogger(__name__)
_MOST_NAMED = 5
_HOW = "`rackwright-agent now` agrees, `rackwright-agent postpone 2h` puts it off."


class Agreement:
    """What people are asked and have answered. The answers come in a thread of the socket's."""

    def __init__(self, polite: PoliteWays | None) -> None:
        self._polite = polite
        self._lock = threading.Lock()
        self._control: ControlSocket | None = None
        self._question = ""
        self._agreed = False
        self._postponed = 0

    def ask(self, state: UpdateState, facts: Facts) -> UpdateState:
        """Return the state with what people have answered; ask them where that is still to be done.

        Nobody is asked about what could not begin anyway, nor before the time that they chose.
        """
        orders = state.orders
        if self._polite is None or not orders.confirm or state.agreed or not facts.users:
            self.close()
            return state
        with self._lock:
            agreed, postponed = self._agreed, self._postponed
            self._agreed, self._postponed = False, 0
        if agreed or postponed:
            self.close()
            until = facts.seconds + postponed if postponed else 0
            return evolve(state, agreed=agreed, postponed=until)
        if closed(orders, facts) or state.postponed > facts.seconds:
            self.close()
        elif self._control is None:
            self._open(state, self._polite)
        return state

    def close(self) -> None:
        """Ask no more."""
        control, self._control = self._control, None
        if control is not None:
            control.close()

    def _open(self, state: UpdateState, polite: PoliteWays) -> None:
        names = ", ".join(state.found[:_MOST_NAMED])
        more = len(state.found) - _MOST_NAMED
        self._question = f"{names}{f' and {more} more' if more > 0 else ''} waits to be installed"
        self._control = ControlSocket(polite.socket, self._answer)
        self._control.open()
        shown = polite.people.tell(f"{self._question}. {_HOW}", "normal")
        _log.info("asked for agreement: %s (to: %s)", self._question, ", ".join(shown) or "nobody")

    def _answer(self, request: Request, person: Person) -> str:
        if request.command == "status":
            return f"{self._question}; {_HOW}"
        people = self._polite.people.blockers() if self._polite else ()
        require_logged_in(person, {each.uid for each in people})
        with self._lock:
            if request.command == "now":
                self._agreed = True
                return "it is installed now"
            self._postponed = request.seconds
        return "it is asked again later"
