"""pyedge: spiking networks that keep learning on a microcontroller."""

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # some megabytes, seldom wanted

        return version("pyedge")
    raise AttributeError(f"module 'pyedge' has no attribute {name!r}")
