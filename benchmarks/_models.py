"""Models that are no built-in task's, for the same images: some cannot be stacked, some gain nothing by it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Recurrent(nn.Module):
    """An LSTM that reads an image row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.LSTM(8, 48, batch_first=True)
        self.head = nn.Linear(48, 10)

    def forward(self, images: Tensor) -> Tensor:
        read: Tensor = self.rows(images.squeeze(1))[0]
        scores: Tensor = self.head(read[:, -1])
        return scores


class Sorted(nn.Module):
    """Takes another path where the batch is bright, which no stack of lanes can."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(64, 64)
        self.second = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.relu(self.first(images.flatten(1)))
        scores: Tensor = self.second(hidden if float(hidden.detach().mean()) > 0 else -hidden)
        return scores


def normalised() -> nn.Module:
    """Convolutions with batch norm."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(32, 10),
    )  # fmt: skip


def spectral() -> nn.Module:
    """Spectral norm replaces its buffers, which cannot be stacked."""
    norm = nn.utils.parametrizations.spectral_norm
    return nn.Sequential(nn.Flatten(), norm(nn.Linear(64, 64)), nn.ReLU(), norm(nn.Linear(64, 10)))


def wide() -> nn.Module:
    """Large matrices: each lane keeps the multiplier units busy by itself."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 1024), nn.ReLU(), nn.Linear(1024, 512), nn.ReLU(), nn.Linear(512, 10)
    )


def dropped() -> nn.Module:
    """Dropout between layers."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 10))


MODELS: dict[str, Callable[[], nn.Module]] = {
    "lstm": Recurrent,
    "batch norm": normalised,
    "dropout": dropped,
    "wide": wide,
    "spectral norm": spectral,
    "branches on values": Sorted,
}
