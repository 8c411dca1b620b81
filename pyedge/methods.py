"""The paper's learning methods and the arms of its ablations by name: a neuron, a rule, and their company."""

from dataclasses import dataclass
from typing import Literal

from pyedge.errors import ConfigError
from pyedge.neuron import IF, LIF, SRM, Neuron
from pyedge.rules import MPDED, STDED, AlphaED, Rule, Surrogate, stbp


@dataclass(frozen=True)
class Method:
    """How neurons fire and learn, and the paper's choices around them.

    pool, norm, readout, loss, bias : as in `pyedge.architectures.Style` and a recipe.
    """

    neuron: Neuron
    rule: Rule
    pool: Literal["max", "adjusted", "mean"]
    norm: Literal["batch", "weight", "none"]
    readout: Literal["linear", "spiking"]
    loss: str
    bias: bool


Times = tuple[float, float, float]  # tau_m, tau_s, tau_grad of the alpha kernel, in steps

NAMES = ("std_ed", "if_fixed", "alpha", "alpha_exact", "mpd_ed", "lif_fixed", "stbp")


def method(name: str, surrogate: Surrogate | None = None, times: Times = (5.0, 3.0, 2.5)) -> Method:
    """One of:

    std_ed       IF kernel and adaptive threshold, Eq. 6-14
    if_fixed     the same with a fixed threshold (ablation: baseline with the IF kernel)
    alpha        alpha kernel, fixed threshold, exponential h(t) in place of dK/dt (the ablation's baseline)
    alpha_exact  the same with dK/dt as it is, which reverses gradients
    mpd_ed       LIF and adaptive threshold, masked surrogate, Eq. 15-21
    lif_fixed    the same with a fixed threshold (the ablation's baseline)
    stbp         LIF and fixed threshold, surrogate at every step
    """
    surrogate = surrogate or Surrogate()
    tau_m, tau_s, tau_grad = times
    pairs: dict[str, tuple[Neuron, Rule]] = {
        "std_ed": (IF(), STDED()),
        "if_fixed": (IF(alpha=0.0), STDED()),
        "alpha": (SRM(tau_m, tau_s), AlphaED(tau_grad)),
        "alpha_exact": (SRM(tau_m, tau_s), AlphaED(None)),
        "mpd_ed": (LIF(), MPDED(surrogate)),
        "lif_fixed": (LIF(alpha=0.0), MPDED(surrogate)),
        "stbp": (LIF(alpha=0.0), stbp(surrogate)),
    }
    if name not in pairs:
        raise ConfigError(f"method {name!r} is unknown; choose from {', '.join(NAMES)}")
    neuron, rule = pairs[name]
    if name in ("std_ed", "if_fixed", "alpha", "alpha_exact"):
        return Method(neuron, rule, "adjusted", "weight", "spiking", "enhanced_spike_count", False)
    return Method(neuron, rule, "max", "batch", "linear", "tet", True)
