"""One peer of bench_online, in its own environment: reads "threads count", answers microseconds a sample."""

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

Step = Callable[[torch.Tensor, torch.Tensor], None]


def snntorch_model(shape: tuple[int, int, int], threshold: float) -> tuple[nn.Module, str]:
    import snntorch
    from snntorch import surrogate

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = nn.Linear(shape[0], shape[1])
            self.neurons = snntorch.Leaky(
                beta=0.5,
                threshold=threshold,
                spike_grad=surrogate.triangular(threshold),
                reset_mechanism="zero",
            )
            self.readout = nn.Linear(shape[1], shape[2])

        def spikes(self, x: torch.Tensor) -> torch.Tensor:
            current = self.hidden(x)
            membrane = self.neurons.reset_mem()
            spikes = []
            for t in range(len(x)):
                spike, membrane = self.neurons(current[t], membrane)
                spikes.append(spike)
            return torch.stack(spikes)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.readout(self.spikes(x).mean(0))

    return Net(), snntorch.__version__


def spikingjelly_model(shape: tuple[int, int, int], threshold: float) -> tuple[nn.Module, str]:
    from importlib.metadata import version

    from spikingjelly.activation_based import functional, neuron, surrogate

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = nn.Linear(shape[0], shape[1])
            self.neurons = neuron.LIFNode(
                tau=2.0,
                decay_input=False,
                v_threshold=threshold,
                v_reset=0.0,
                surrogate_function=surrogate.PiecewiseQuadratic(alpha=1.0 / threshold),
                step_mode="m",
            )
            self.readout = nn.Linear(shape[1], shape[2])

        def spikes(self, x: torch.Tensor) -> torch.Tensor:
            functional.reset_net(self)
            return self.neurons(self.hidden(x))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.readout(self.spikes(x).mean(0))

    return Net(), version("spikingjelly")


MODELS = {"snntorch": snntorch_model, "spikingjelly": spikingjelly_model}


def rate(name: str, shape: tuple[int, int, int], threshold: float, windows: torch.Tensor) -> float:
    torch.manual_seed(0)
    model = MODELS[name](shape, threshold)[0]
    with torch.no_grad():
        return float(torch.stack([model.spikes(w) for w in windows[:8]]).mean())


def main() -> None:
    name, inputs, hidden, classes, steps, wanted, spikes, labels_file = sys.argv[1:]
    shape = (int(inputs), int(hidden), int(classes))
    windows = torch.from_numpy(np.load(spikes).astype(np.float32)).unsqueeze(2)  # (n, T, 1, inputs)
    assert windows.shape[1] == int(steps)
    labels = torch.from_numpy(np.load(labels_file)).unsqueeze(1)
    low, high = 1e-3, 10.0
    while high - low > 0.005 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if rate(name, shape, middle, windows) > float(wanted) else (low, middle)
    torch.manual_seed(0)
    model, version = MODELS[name](shape, high)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    entropy = nn.CrossEntropyLoss()

    def step(x: torch.Tensor, y: torch.Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        entropy(model(x), y).backward()
        optimizer.step()

    for x, y in zip(windows[:16], labels[:16], strict=True):  # warm up
        step(x, y)
    answer({"rate": rate(name, shape, high, windows), "version": version})
    for line in sys.stdin:
        threads, count = map(int, line.split())
        torch.set_num_threads(threads)
        # Processor time is not stretched by a busy computer, but two threads only count by the clock.
        clock = time.process_time if threads == 1 else time.perf_counter
        times = []
        for n in range(count):
            x, y = windows[n % len(windows)], labels[n % len(labels)]
            start = clock()
            step(x, y)
            times.append(1e6 * (clock() - start))
        answer(statistics.median(times))


def answer(value: Any) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main()
