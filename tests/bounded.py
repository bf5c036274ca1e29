"""Work that might hang is done by a process of its own, which is ended when its time is over."""

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable
from typing import Any


def apart(seconds: float, work: Callable[..., object], *args: Any) -> None:
    """Do some work in a fresh process; it and what it started are ended after so many seconds.

    A signal would not do: what waits inside of a compiled library, as Ray does, hears none.

    Args:
        seconds: Most time.
        work: A function of a module, not a local one.
        args: What it is given.

    Raises:
        TimeoutError: If it does not end in time.
        AssertionError: If it ends with an error, which is on the child's standard error.
    """
    process = multiprocessing.get_context("spawn").Process(target=_lead, args=(work, *args))
    process.start()
    process.join(seconds)
    is_late = process.is_alive()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid or 0, signal.SIGKILL)
    process.join()
    if is_late:
        raise TimeoutError(f"{work.__name__} took over {seconds:g} seconds")
    assert process.exitcode == 0, f"{work.__name__} ended with code {process.exitcode}"


def _lead(work: Callable[..., object], *args: Any) -> None:
    os.setsid()
    work(*args)
