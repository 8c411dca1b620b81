"""One side of bench_train, in a process of its own: reads "threads steps", answers milliseconds a step, the
median, and of processor time the least.

Arguments: side (pyedge, snntorch, spikingjelly, compiled), case, data file, steps of warm-up. The first
answer says what it is, the one to an empty line its peak memory in MiB.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Step = Callable[[int], float]  # trains on that batch, returns the loss
CASES: dict[
    str, tuple[int, tuple[int, ...]]
] = {  # window, layers' sizes; no sizes: the convolutional network
    "32C5-P2-64C5-P2-1024": (5, ()),
    "34x34x2-200-10": (30, (2312, 200, 10)),
    "16-512-5": (39, (16, 512, 5)),
}


def pyedge(case: str, xs: Any, ys: Any) -> tuple[Step, Callable[[int], None], Callable[[], Any]]:
    from pyedge.layers import Conv, Dense, MaxPool, Spiking
    from pyedge.losses import TET
    from pyedge.model import Input, Network, dense_network
    from pyedge.ops import native
    from pyedge.optim import AdamW
    from pyedge.trainer import TrainConfig, step

    window, sizes = CASES[case]
    if sizes:
        inputs, hidden, classes = sizes
        network = dense_network(Input("spikes", (inputs,)), (hidden,), classes, window)
        xs = [native.OPS.spikes(x) for x in xs]  # as training does, once
    else:
        conv: Any = {"bias": False, "init_scheme": "he_normal", "standardize": True}
        layers = (Conv(32, 5, **conv), Spiking(), MaxPool(2), Conv(64, 5, **conv), Spiking(), MaxPool(2))
        layers = (*layers, Dense(1024, init_scheme="he_normal"), Spiking(), Dense(10))
        network = Network(Input("static", xs[0].shape[1:]), layers, window)
    config = TrainConfig(loss=TET(), optimizer=AdamW(1e-3), clip_norm=None, backend="native")
    params = network.init(0)
    state = config.optimizer.init(params)
    record: Any = None

    def run(n: int) -> float:
        nonlocal params, state, record
        record = None  # its memory is this step's
        params, state, value, record = step(network, config, params, state, xs[n], ys[n])
        return value

    def facts() -> Any:
        return {"rates": network.firing_rates(record), "isa": native.isa()}

    return run, native.use_threads, facts


def peer(side: str, case: str, xs: Any, ys: Any) -> tuple[Step, Callable[[int], None], Callable[[], Any]]:
    from importlib.metadata import version

    import torch
    from torch import nn
    from torch.nn import functional

    window, sizes = CASES[case]
    package = "snntorch" if side == "snntorch" else "spikingjelly"

    class Standardized(nn.Module):
        """Weight standardization with gain and bias, as ours."""

        def __init__(self, layer: nn.Conv2d) -> None:
            super().__init__()
            self.layer = layer
            outputs = layer.weight.shape[0]
            self.axes = tuple(range(1, layer.weight.dim()))
            shape = (outputs, *(1,) * len(self.axes))
            self.gain = nn.Parameter(torch.full(shape, float((2 / layer.weight[0].numel()) ** 0.5)))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            w = self.layer.weight
            centred = w - w.mean(self.axes, keepdim=True)
            n = max(w[0].numel() - 1, 1)
            deviation = ((centred**2).sum(self.axes, keepdim=True) / n + 1e-5).sqrt()
            w = centred / deviation * self.gain
            return functional.conv2d(x, w, self.layer.bias, padding=self.layer.padding)

    class Neurons(nn.Module):
        """Leaky integrate-and-fire over a window, (T, ...): tau 1/2, reset to 0, triangle."""

        def __init__(self) -> None:
            super().__init__()
            if side == "snntorch":
                import snntorch
                from snntorch import surrogate

                self.cell = snntorch.Leaky(
                    beta=0.5, threshold=1.0, spike_grad=surrogate.triangular(1.0), reset_mechanism="zero"
                )
            else:
                from spikingjelly.activation_based import neuron, surrogate

                self.cell = neuron.LIFNode(
                    tau=2.0,
                    decay_input=False,
                    v_threshold=1.0,
                    v_reset=0.0,
                    surrogate_function=surrogate.PiecewiseQuadratic(alpha=1.0),
                    step_mode="m",
                )

        def forward(self, current: torch.Tensor) -> torch.Tensor:
            if side != "snntorch":
                return self.cell(current)
            membrane, spikes = self.cell.reset_mem(), []
            for step in current:
                spike, membrane = self.cell(step, membrane)
                spikes.append(spike)
            return torch.stack(spikes)

    def each(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
        """A layer without time, on all steps at once."""
        return layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            if sizes:
                self.first = nn.Linear(sizes[0], sizes[1])
                self.readout = nn.Linear(sizes[1], sizes[2])
                self.neurons = nn.ModuleList([Neurons()])
                return
            self.conv1 = Standardized(nn.Conv2d(1, 32, 5, padding=2))
            self.conv2 = Standardized(nn.Conv2d(32, 64, 5, padding=2))
            self.dense = nn.Linear(3136, 1024)
            self.pool = nn.MaxPool2d(2)
            self.readout = nn.Linear(1024, 10)
            self.neurons = nn.ModuleList([Neurons() for _ in range(3)])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if sizes:
                return self.readout(self.neurons[0](self.first(x)))
            current = self.conv1(x)  # static: once a window
            s = self.neurons[0](current.expand(window, *current.shape))
            s = self.neurons[1](each(self.conv2, each(self.pool, s)))
            s = self.neurons[2](self.dense(each(self.pool, s).flatten(2)))
            return self.readout(s)

    torch.manual_seed(0)
    net = Net()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    inputs = [torch.from_numpy(x.astype(np.float32)) for x in xs]
    if not sizes:
        inputs = [x.permute(0, 3, 1, 2).contiguous() for x in inputs]
    labels = [torch.from_numpy(y) for y in ys]

    def loss_of(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        out = net(x)
        return functional.cross_entropy(out.flatten(0, 1), y.repeat(window))

    compute = torch.compile(loss_of) if side == "compiled" else loss_of

    def run(n: int) -> float:
        if package == "spikingjelly":
            from spikingjelly.activation_based import functional as reset

            reset.reset_net(net)
        optimizer.zero_grad(set_to_none=True)
        loss = compute(inputs[n], labels[n])
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return run, torch.set_num_threads, lambda: {"version": version(package)}


def main() -> None:
    side, case, data, warm = sys.argv[1:5]
    stored = np.load(data)
    xs, ys = list(stored["x"]), list(stored["y"])
    run, threads, facts = (pyedge if side == "pyedge" else lambda *a: peer(side, *a))(case, xs, ys)
    threads(1)
    for n in range(int(warm)):
        run(n % len(xs))
    answer(facts())
    for line in sys.stdin:
        if not line.strip():
            answer(peak_memory())
            continue
        wanted, steps = map(int, line.split())
        threads(wanted)
        run(0)
        times, busy = [], []
        for n in range(steps):
            start, begin = time.perf_counter(), time.process_time()
            run(n % len(xs))
            times.append(1e3 * (time.perf_counter() - start))
            busy.append(1e3 * (time.process_time() - begin))
        answer([float(np.median(times)), min(busy)])


def peak_memory() -> float:
    """MiB. Not from getrusage, which starts with what the parent had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def answer(value: Any) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main()
