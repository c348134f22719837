"""A signal stops a command that writes files, unless the files are already complete."""

import signal

import pytest

from selfinstruct.cli.signals import stopped_by_signals


def test_a_second_signal_does_not_stop_the_cleanup() -> None:
    before = signal.getsignal(signal.SIGTERM)
    done = []

    def work() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
            done.append("work")
        finally:
            signal.raise_signal(signal.SIGINT)
            done.append("cleanup")

    with pytest.raises(KeyboardInterrupt), stopped_by_signals():
        work()
    assert done == ["cleanup"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_no_signal_stops_a_held_command() -> None:
    with stopped_by_signals() as hold:
        hold()
        signal.raise_signal(signal.SIGINT)


def test_hold_raises_a_swallowed_signal() -> None:
    with stopped_by_signals() as hold:
        with pytest.raises(KeyboardInterrupt):  # lost in a weak-reference callback
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            hold()
