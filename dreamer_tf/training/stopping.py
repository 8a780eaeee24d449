"""SIGTERM, SIGHUP and Ctrl-C as a request to finish the step and save."""

import _thread
import contextlib
import os
import signal
import socket
import sys
import threading
import time

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ONE_REQUEST_SECONDS = 1.0
"""Launchers and ``timeout`` send a signal to the group and to the process: that is one request."""


class StopSignals:
    """Notes these signals while it is entered; a later Ctrl-C ends the process at once.

    In an interactive session, such as a notebook, whose variables are more than this run, the later
    Ctrl-C is a ``KeyboardInterrupt`` instead. A SIGHUP that is ignored already, as under ``nohup``,
    stays ignored, and so does a signal that a program around Python handles.

    A thread learns of the signals, because the main thread may be inside a long TensorFlow call
    and would notice a second Ctrl-C only afterwards. Outside the main thread, where Python cannot
    handle signals, nothing is noted and they keep their effect.
    """

    def __init__(self, on_stop):
        """Listens to no signal before it is entered.

        Args:
          on_stop: Function of a text, called once in that thread when a stop is requested.
        """
        self._on_stop = on_stop
        self._signal = None
        self._first = 0.0  # When it was asked for.
        self._is_urgent = False
        self._sockets = None
        self._thread = None
        self._old_descriptor = None
        self._old_handlers = {}

    @property
    def requested(self):
        """The signal that asked for a stop, or None."""
        return self._signal

    def request(self, number):
        """Asks for a stop as a signal does, unless one was asked for before.

        Args:
          number: The ``signal.Signals`` that stands for the reason.
        """
        if self._signal is None:
            self._first = time.monotonic()
            self._signal = number

    def __enter__(self):
        if threading.current_thread() is not threading.main_thread():
            return self
        receiver, sender = self._sockets = socket.socketpair()
        sender.setblocking(False)
        # Python writes to this descriptor at once for signals that have a handler in Python.
        self._old_descriptor = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        heeded = [number for number in _SIGNALS if not _stays(number)]
        self._old_handlers = {number: signal.signal(number, self._handle) for number in heeded}
        self._thread = threading.Thread(target=self._listen, args=[receiver], daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        if self._sockets is None:
            return
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_descriptor)
        receiver, sender = self._sockets
        sender.close()
        self._thread.join()
        receiver.close()
        self._sockets = None

    def _listen(self, receiver):
        while received := receiver.recv(1):
            if received[0] not in _SIGNALS:
                continue
            if self._signal is None:
                self.request(signal.Signals(received[0]))
                self._on_stop(
                    f"{self._signal.name}: finishing the step, then saving; a further Ctrl-C ends "
                    f"at once, and loses what was learned since the last checkpoint"
                )
            elif received[0] == signal.SIGINT and self._is_another():
                if not hasattr(sys, "ps1"):
                    os._exit(128 + signal.SIGINT)
                if not self._is_urgent:
                    self._is_urgent = True
                    _thread.interrupt_main()  # Calls `_handle`, which may have been too early.

    def _is_another(self):
        return time.monotonic() - self._first > _ONE_REQUEST_SECONDS

    def _handle(self, *_):
        """Does nothing at first: the thread is told through the descriptor."""
        if self._is_urgent:
            raise KeyboardInterrupt


@contextlib.contextmanager
def ending_at_once():
    """Within it these signals end the process, also inside of a long call that is not Python.

    For while others are waited for and nothing is to be saved. Outside the main thread, where
    Python cannot handle signals, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    # One that is ignored stays so; None is that of a program around Python.
    heeded = [n for n, handler in handlers.items() if handler not in (signal.SIG_IGN, None)]
    for number in heeded:
        signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, handlers[number])


def ignore():
    """Ignores these signals from now on; for a process that another one ends."""
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def _stays(number):
    handler = signal.getsignal(number)  # None: that of a program around Python.
    return handler is None or (number == signal.SIGHUP and handler is signal.SIG_IGN)
