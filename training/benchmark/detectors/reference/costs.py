"""What one more event costs, and what is kept for a source, after so many events. Reads clocks.

A network is asked as serving asks it: event by event, with whatever it has to keep. What the recurrent one
keeps does not grow. A convolution keeps the events in its reach, attention the keys and values of all
(longer than it was trained for, to show how that grows).
"""

import time
from collections.abc import Callable

import torch
from msgspec import Struct
from torch import Tensor, nn

from detector.records import FIRST_TEMPLATE
from training.benchmark.detectors.reference.networks import (
    HEADS,
    LAYERS,
    SIZE,
    WINDOW,
    Attention,
    Convolution,
)

LENGTHS = (16, 128, 1_024, 8_192)
ROUNDS = 50
FLOAT_BYTES = 4
TOKEN_BYTES = 2
VOCABULARY = 64


class Cost(Struct, frozen=True):
    """One network after so many events of a source."""

    network: str
    length: int
    us_per_event: float
    state_bytes: int


def costs() -> list[Cost]:
    """Every network after every length, on one thread of this machine's CPU."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            return [_cost(name, length) for name in STEPS for length in LENGTHS]
    finally:
        torch.set_num_threads(threads)


def _cost(name: str, length: int) -> Cost:
    step, state_bytes = STEPS[name](length)
    step()
    began = time.thread_time()
    for _ in range(ROUNDS):
        step()
    return Cost(name, length, 1e6 * (time.thread_time() - began) / ROUNDS, state_bytes)


def _recurrent(_length: int) -> tuple[Callable[[], object], int]:
    cell, output = nn.GRUCell(16, SIZE), nn.Linear(SIZE, VOCABULARY)
    event, hidden = torch.zeros(1, 16), torch.zeros(1, SIZE)
    return lambda: output(cell(event, hidden)), SIZE * FLOAT_BYTES


def _windowed(length: int) -> tuple[Callable[[], object], int]:
    layers, output = nn.LSTM(16, SIZE, 2, batch_first=True), nn.Linear(SIZE, VOCABULARY)
    window = torch.zeros(1, min(length, WINDOW), 16)
    return lambda: output(layers(window)[0][:, -1]), min(length, WINDOW) * TOKEN_BYTES


def _convolution(length: int) -> tuple[Callable[[], object], int]:
    network = Convolution(VOCABULARY).eval()
    reach = min(length, network.reach)
    tokens = _tokens(reach)
    return lambda: network(tokens), reach * TOKEN_BYTES


def _attention(length: int) -> tuple[Callable[[], object], int]:
    """One query against the keys and values that were kept, in each layer."""
    network = Attention(VOCABULARY).eval()
    kept = [torch.zeros(1, HEADS, length, SIZE // HEADS) for _ in range(2)]
    layers = [layer for layer in network.layers.layers if isinstance(layer, nn.TransformerEncoderLayer)]
    event = torch.zeros(1, 1, SIZE)

    def step() -> Tensor:
        found = event
        for layer in layers:
            found = found + _attended(layer, layer.norm1(found), kept[0], kept[1])
            found = found + layer.linear2(layer.linear1(layer.norm2(found)).relu())
        return network.output(found)  # type: ignore[no-any-return]

    return step, 2 * LAYERS * length * SIZE * FLOAT_BYTES


def _attended(layer: nn.TransformerEncoderLayer, event: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    attention = layer.self_attn
    weights, biases = attention.in_proj_weight, attention.in_proj_bias
    query, key, value = nn.functional.linear(event, weights, biases).view(3, 1, HEADS, 1, -1)
    found = nn.functional.scaled_dot_product_attention(
        query, torch.cat((keys, key), dim=2), torch.cat((values, value), dim=2)
    )
    out: Tensor = attention.out_proj(found.reshape(1, 1, SIZE))
    return out


def _tokens(length: int) -> Tensor:
    return torch.full((1, length), FIRST_TEMPLATE)


STEPS: dict[str, Callable[[int], tuple[Callable[[], object], int]]] = {
    "gru": _recurrent,
    "deeplog": _windowed,
    "temporal convolution": _convolution,
    "transformer": _attention,
}
