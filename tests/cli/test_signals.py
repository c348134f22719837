"""Signals: a command is stopped with nothing left over, or when it is too late not at all."""

import signal

import pytest

from selfinstruct.cli.signals import stopped_by_signals


def test_a_signal_stops_a_command_and_a_second_one_does_not_stop_the_tidying_up() -> None:
    before = signal.getsignal(signal.SIGTERM)
    done = []

    def work() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
            done.append("work")
        finally:
            signal.raise_signal(signal.SIGINT)
            done.append("tidying up")

    with pytest.raises(KeyboardInterrupt), stopped_by_signals():
        work()
    assert done == ["tidying up"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_while_files_get_their_names_no_signal_stops_a_command() -> None:
    with stopped_by_signals() as hold:
        hold()
        signal.raise_signal(signal.SIGINT)


def test_a_signal_that_python_swallowed_counts_before_files_get_their_names() -> None:
    with stopped_by_signals() as hold:
        with pytest.raises(KeyboardInterrupt):  # as a callback of a weak reference would
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            hold()
