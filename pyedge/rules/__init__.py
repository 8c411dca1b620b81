"""Learning rules: from a layer's window and the error of its spikes to the error of its currents."""

from pyedge.rules.mpd_ed import MPDED, stbp
from pyedge.rules.rule import Rule, is_event_driven
from pyedge.rules.std_ed import STDED, AlphaED
from pyedge.rules.surrogate import Surrogate

__all__ = ["MPDED", "STDED", "AlphaED", "Rule", "Surrogate", "is_event_driven", "stbp"]
