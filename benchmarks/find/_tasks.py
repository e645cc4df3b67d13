"""The tasks that searches are scored on: real data, small enough that every rate can be trained under many seeds.

Constants of the search are to be chosen on those of `TUNED_ON` alone, and reported on the others. (Those that it has
now were chosen with the figures of both in sight.)
"""

from collections.abc import Callable
from dataclasses import replace
from pydoc_data.topics import topics

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from torch import Tensor, nn

from pacesetter import tasks
from pacesetter.tasks import Task, accuracy

OPTIMIZERS = ("sgd(momentum=0.9)", "adam")
SCHEDULES = ("constant", "cosine")
TUNED_ON = ("digits-mlp", "breast-cancer", "digits-autoencoder", "chars-gru")


def digits_mlp() -> Task:
    """Built in: 440 updates of a small fully connected network."""
    return tasks.load("digits-mlp")


def digits_cnn() -> Task:
    """Built in: 440 updates of a small convolutional network."""
    return tasks.load("digits-cnn")


def digits_autoencoder() -> Task:
    """Digits through eight numbers and back, mean squared error."""

    def model() -> nn.Module:
        return nn.Sequential(
            nn.Flatten(), nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 8), nn.Linear(8, 48), nn.ReLU(), nn.Linear(48, 64)
        )

    given = tasks.load("digits-mlp")
    (images, _), (held, _) = given.train, given.valid
    pair = (images, images.flatten(1))
    return Task(
        model=model, loss=F.mse_loss, train=pair, valid=(held, held.flatten(1)), batch_size=64, steps=440,
        name="digits-autoencoder",
    )  # fmt: skip


def digits_noisy() -> Task:
    """A network with batch norm, a fifth of whose training labels are wrong."""

    def model() -> nn.Module:
        return nn.Sequential(
            nn.Flatten(), nn.Linear(64, 128), nn.BatchNorm1d(128), nn.ReLU(),
            nn.Linear(128, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10),
        )  # fmt: skip

    given = tasks.load("digits-mlp")
    images, labels = given.train
    chance = np.random.RandomState(1)
    wrong = torch.from_numpy(chance.rand(len(labels)) < 0.2)
    other = torch.from_numpy(chance.randint(0, 10, len(labels)))
    labels = torch.where(wrong, other, labels)
    return Task(
        model=model, loss=F.cross_entropy, train=(images, labels), valid=given.valid, batch_size=32, steps=450,
        metrics={"accuracy": accuracy}, name="digits-noisy",
    )  # fmt: skip


def breast_cancer() -> Task:
    """569 patients, 30 measurements, two classes: validation data is small."""
    x, y = load_breast_cancer(return_X_y=True)
    return _tabular("breast-cancer", x, y, 2, F.cross_entropy, batch_size=32, steps=300)


def wine() -> Task:
    """178 wines, 13 measurements, three classes: very little data."""
    x, y = load_wine(return_X_y=True)
    return _tabular("wine", x, y, 3, F.cross_entropy, batch_size=16, steps=200)


def diabetes() -> Task:
    """442 patients, ten measurements, the progress of a disease, mean squared error."""
    x, y = load_diabetes(return_X_y=True)
    y = ((y - y.mean()) / y.std()).astype(np.float32)[:, None]
    return _tabular("diabetes", x, y, 1, F.mse_loss, batch_size=32, steps=300)


def _tabular(
    name: str, x: np.ndarray, y: np.ndarray, outputs: int, loss: Callable[..., Tensor], batch_size: int, steps: int
) -> Task:
    x = ((x - x.mean(0)) / x.std(0)).astype(np.float32)
    order = np.random.RandomState(0).permutation(len(x))
    rows, held = order[len(x) // 4 :], order[: len(x) // 4]
    data = [(torch.from_numpy(x[part]), torch.from_numpy(y[part])) for part in (rows, held)]

    def model() -> nn.Module:
        return nn.Sequential(nn.Linear(x.shape[1], 64), nn.Tanh(), nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, outputs))

    return Task(model=model, loss=loss, train=data[0], valid=data[1], batch_size=batch_size, steps=steps, name=name)


class _Characters(nn.Module):
    """A GRU that predicts each next character."""

    def __init__(self, kinds: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(kinds, 24)
        self.read = nn.GRU(24, 48, batch_first=True)
        self.head = nn.Linear(48, kinds)

    def forward(self, text: Tensor) -> Tensor:
        scores: Tensor = self.head(self.read(self.embedding(text))[0])
        return scores


def chars_gru() -> Task:
    """A GRU on the text of Python's own documentation, 24 characters at a time."""
    text = "\n".join(topics[name] for name in sorted(topics))[:60_000]
    kinds = sorted(set(text))
    numbers = torch.tensor([kinds.index(character) for character in text])
    windows = (len(numbers) - 1) // 24
    now, then = numbers[: windows * 24].view(-1, 24), numbers[1 : windows * 24 + 1].view(-1, 24)
    train = windows * 9 // 10
    return Task(
        model=lambda: _Characters(len(kinds)),
        loss=lambda output, target: F.cross_entropy(output.transpose(1, 2), target),
        train=(now[:train], then[:train]), valid=(now[train:], then[train:]), batch_size=32, steps=300,
        name="chars-gru",
    )  # fmt: skip


TASKS: dict[str, Callable[[], Task]] = {
    make.__name__.replace("_", "-"): make
    for make in (
        digits_mlp, digits_cnn, digits_autoencoder, digits_noisy, breast_cancer, wine, diabetes, chars_gru,
    )
}  # fmt: skip


def load(name: str) -> Task:
    """The task called so, which validates at its end alone."""
    return replace(TASKS[name](), evaluations=1)
