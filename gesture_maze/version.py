"""The version of the distribution, the one place where it is written, and how its extras are installed."""

__version__ = "0.1.0"


def install_hint(*extras: str) -> str:
    """Return the command that installs extras: from the wheel, because no registry has the package yet."""
    wheel = f"dist/gesture_maze-{__version__}-py3-none-any.whl"
    return f"pip install '{wheel}[{','.join(extras)}]' (make dist builds it in a checkout)"
