"""Ctrl-C for work that should end at a good moment: once asks for that, twice stops now."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Interrupt:
    """Whether Ctrl-C was pressed."""

    def __init__(self) -> None:
        self.pressed = False

    def stop(self) -> bool:
        """Whether to stop at the next good moment."""
        return self.pressed


@contextmanager
def gently(text: str = "stopping after this epoch; Ctrl-C again stops now") -> Iterator[Interrupt]:
    """Within it, the first Ctrl-C says `text` and makes `stop()` true; the second one raises.

    Outside the main thread, and where interrupts are ignored (`nohup`), it changes nothing.
    """
    hand, before = Interrupt(), signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
        yield hand
        return

    def pressed(*_) -> None:
        if hand.pressed:
            raise KeyboardInterrupt
        hand.pressed = True
        with suppress(OSError):  # what reads it may have died of the same Ctrl-C
            os.write(2, f"\neffcnn: {text}\n".encode())  # print may be in the middle of a line

    signal.signal(signal.SIGINT, pressed)
    try:
        yield hand
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)
