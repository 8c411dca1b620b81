"""pyedge: spiking networks that keep learning on a microcontroller."""

from importlib.metadata import version

__version__ = version("pyedge")
