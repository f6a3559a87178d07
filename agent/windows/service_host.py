"""The agent as a Windows service: answers the service control manager from within Python.

A service's process has to call StartServiceCtrlDispatcher at once and to say how it stands;
no program does that for another one. Source: Microsoft, "Service Control Dispatcher", "Writing a
ServiceMain Function", "SERVICE_STATUS". The work runs in a thread; when the manager wants
the service to stop, or Windows shuts down, ``stop`` is called and the work's end waited for.
"""

import ctypes
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from agent.commands.windows.sc import RUNNING, START_PENDING, STOP_PENDING, STOPPED
from agent.errors import TerminalError

_OWN_PROCESS = 0x10
_CONTROL_STOP, _CONTROL_INTERROGATE, _CONTROL_SHUTDOWN = 1, 4, 5
_ACCEPT_STOP_AND_SHUTDOWN = 0x1 | 0x4
_SERVICE_SPECIFIC = 1066  # ERROR_SERVICE_SPECIFIC_ERROR
_NOT_IMPLEMENTED = 120  # ERROR_CALL_NOT_IMPLEMENTED
_NO_CONTROLLER = 1063  # ERROR_FAILED_SERVICE_CONTROLLER_CONNECT
_WAIT_HINT = 30_000  # milliseconds that the manager gives the next step


class _Status(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_uint32),
        ("state", ctypes.c_uint32),
        ("accepted", ctypes.c_uint32),
        ("exit", ctypes.c_uint32),
        ("specific", ctypes.c_uint32),
        ("checkpoint", ctypes.c_uint32),
        ("wait_hint", ctypes.c_uint32),
    ]


class ServiceHost:
    """Runs ``work`` as the service ``name``; ``work`` returns an exit status.

    ``stop`` is called in another thread and must not block.
    """

    def __init__(self, name: str, work: Callable[[], int], stop: Callable[[], None]) -> None:
        self._name = name
        self._work = work
        self._stop = stop
        self._handle: Any = None
        self._library: Any = None

    def run(self) -> None:
        """Serve until the service has stopped.

        TerminalError RW238 where the process was not started by the service control manager.
        """
        try:
            self._library = ctypes.WinDLL("advapi32", use_last_error=True)  # type: ignore[attr-defined,unused-ignore]
        except AttributeError as error:
            raise _not_a_service("this is no Windows") from error
        function = ctypes.WINFUNCTYPE  # type: ignore[attr-defined,unused-ignore]
        main = function(None, ctypes.c_uint32, ctypes.c_void_p)(self._main)
        handler = function(
            ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_void_p
        )
        self._handler = handler(self._control)
        register = self._library.RegisterServiceCtrlHandlerExW
        register.restype = ctypes.c_void_p
        register.argtypes = [ctypes.c_wchar_p, handler, ctypes.c_void_p]
        table = (_entry(type(main)) * 2)()
        table[0].name, table[0].main = self._name, main
        if not self._library.StartServiceCtrlDispatcherW(table):
            number = ctypes.get_last_error()  # type: ignore[attr-defined,unused-ignore]
            known = "it was not started as a service" if number == _NO_CONTROLLER else ""
            raise _not_a_service(known or f"StartServiceCtrlDispatcher failed with {number}")

    def _main(self, count: int, words: Any) -> None:  # noqa: ANN401, ARG002 - of the interface
        register = self._library.RegisterServiceCtrlHandlerExW
        self._handle = ctypes.c_void_p(register(self._name, self._handler, None))
        self._say(RUNNING)
        status = 1
        try:
            status = self._work()
        finally:
            self._say(STOPPED, status)

    def _control(self, control: int, kind: int, data: Any, context: Any) -> int:  # noqa: ANN401, ARG002 - of the interface
        if control in (_CONTROL_STOP, _CONTROL_SHUTDOWN):
            self._say(STOP_PENDING)
            with suppress(Exception):  # the manager must get its answer
                threading.Thread(target=self._stop, daemon=True).start()
            return 0
        return 0 if control == _CONTROL_INTERROGATE else _NOT_IMPLEMENTED

    def _say(self, state: int, exit_status: int = 0) -> None:
        is_pending = state in (START_PENDING, STOP_PENDING)
        status = _Status(
            type=_OWN_PROCESS,
            state=state,
            accepted=_ACCEPT_STOP_AND_SHUTDOWN if state == RUNNING else 0,
            exit=_SERVICE_SPECIFIC if exit_status else 0,
            specific=exit_status,
            wait_hint=_WAIT_HINT if is_pending else 0,
        )
        self._library.SetServiceStatus(self._handle, ctypes.byref(status))


def _entry(main: type) -> type[Any]:
    class Entry(ctypes.Structure):
        _fields_ = [("name", ctypes.c_wchar_p), ("main", main)]

    return Entry


def _not_a_service(problem: str) -> TerminalError:
    return TerminalError(
        "RW238",
        f"the agent cannot run as a Windows service: {problem}",
        "Start it with sc start, or run `agent service` in a console",
    )
