"""The signals, by the module in C: the public one builds enumerations, which takes milliseconds of every start."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    try:
        import _signal as signal
    except ImportError:
        import signal

__all__ = ["SIGNALS", "name_of", "signal"]

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Those that end an attempt."""


def name_of(number: int) -> str:
    """Return `SIGTERM` for 15; `signal 99` for one without a name."""
    for name in sorted(dir(signal)):
        if name.startswith("SIG") and not name.startswith("SIG_") and int(getattr(signal, name)) == number:
            return name
    return "signal {}".format(number)
