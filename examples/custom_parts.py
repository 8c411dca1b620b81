"""Parts of one's own: a neuron, a surrogate and a loss are frozen dataclasses that plug in (about 5 s)."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from pyedge import recipe, task
from pyedge.layers import Dense, Spiking
from pyedge.losses import LossResult
from pyedge.model import Network
from pyedge.neuron import LIF, Spike, aft_window
from pyedge.rules import MPDED
from pyedge.trainer import TrainConfig, evaluate, fit


@dataclass(frozen=True)
class ArcTan:
    """A surrogate: any function of u - theta."""

    slope: float = 3.0

    def __call__(self, distance: np.ndarray) -> np.ndarray:
        return 1 / (1 + (self.slope * distance) ** 2)


@dataclass(frozen=True)
class Refractory:
    """A neuron: AFT-LIF whose spike is lost when it follows another at once."""

    base: LIF = field(default_factory=LIF)

    @property
    def decay(self) -> float:
        return self.base.decay

    def run(self, current: np.ndarray, window: int) -> Spike:
        run = aft_window(current, window, self.base.params(window, current.dtype))
        fired = run.fired.copy()
        for t in range(1, window):
            fired[t] &= ~fired[t - 1]
        return run._replace(fired=fired)


@dataclass(frozen=True)
class Hinge:
    """A loss: the target's mean output should lead every other by a margin."""

    margin: float = 1.0
    readouts = ("linear",)

    def __call__(self, outputs: np.ndarray, labels: np.ndarray) -> LossResult:
        score, each = outputs.mean(axis=0), np.arange(len(labels))
        lead = score - score[each, labels][:, None] + self.margin
        lead[each, labels] = 0
        wrong = (lead > 0).astype(score.dtype)
        wrong[each, labels] = -wrong.sum(axis=1)
        error = np.broadcast_to(wrong / (len(labels) * len(outputs)), outputs.shape)
        return LossResult(float(np.maximum(lead, 0).sum() / len(labels)), error)


wanted = recipe.read(Path(__file__).parent / "recipes" / "wrist.toml")
wanted = replace(wanted, stages=wanted.stages[-1:])  # the wearer's own sessions only
data = task.open_task(wanted)
network = Network(
    task.network_of(wanted, data.encoder, len(data.classes)).input,
    (Dense(64), Spiking(Refractory()), Dense(len(data.classes))),
    wanted.network.steps,
)
config = TrainConfig(epochs=4, loss=Hinge(), rule=MPDED(ArcTan()))
train, test = data.stage(wanted.stages[0]), data.new()[1]
fitted = fit(network, config, (task.inputs_of(data.encoder, train.rows), train.labels))
found = evaluate(network, fitted.params, task.inputs_of(data.encoder, test.rows), test.labels)
print(
    f"accuracy on the unseen session: {found.accuracy:.3f}, firing rate {found.firing_rates['spiking1']:.3f}"
)
