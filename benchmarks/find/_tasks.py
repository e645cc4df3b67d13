"""The tasks that searches are scored on, small enough that every rate can be trained under many seeds.

Constants of the search were chosen on those of `TUNED_ON`, with the figures of the next four in sight. Those of `FRESH`
came later, when the model's constants were chosen. Faults that they showed were mended, so they are not wholly clean.
Those of `UNSEEN` came when all of that was done; one fault that they showed was mended too.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from _text import text
from _unseen import adding, chars_reader, digits_dropout, digits_linear, robust
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine, make_friedman1
from torch import Tensor, nn

from pacesetter import tasks
from pacesetter.tasks import Task, accuracy

OPTIMIZERS = ("sgd(momentum=0.9)", "adam")
SCHEDULES = ("constant", "cosine")
TUNED_ON = ("digits-mlp", "breast-cancer", "digits-autoencoder", "chars-gru")
FRESH = ("friedman", "spirals", "digits-attention", "digits-deep", "chars-mlp")
UNSEEN = ("digits-linear", "digits-dropout", "adding", "robust", "chars-reader")


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
    numbers, kinds = text()
    windows = (len(numbers) - 1) // 24
    now, then = numbers[: windows * 24].view(-1, 24), numbers[1 : windows * 24 + 1].view(-1, 24)
    train = windows * 9 // 10
    return Task(
        model=lambda: _Characters(kinds),
        loss=lambda output, target: F.cross_entropy(output.transpose(1, 2), target),
        train=(now[:train], then[:train]), valid=(now[train:], then[train:]), batch_size=32, steps=300,
        name="chars-gru",
    )  # fmt: skip


def chars_mlp() -> Task:
    """The character after eight others, by embeddings and a fully connected network."""
    numbers, kinds = text()
    rows = numbers[:12_008].unfold(0, 9, 1)
    given, then = rows[:, :8].contiguous(), rows[:, 8].contiguous()

    def model() -> nn.Module:
        return nn.Sequential(nn.Embedding(kinds, 16), nn.Flatten(), nn.Linear(128, 64), nn.Tanh(), nn.Linear(64, kinds))

    return Task(
        model=model, loss=F.cross_entropy, train=(given[:10_000], then[:10_000]),
        valid=(given[10_000:], then[10_000:]), batch_size=64, steps=400, name="chars-mlp",
    )  # fmt: skip


def friedman() -> Task:
    """A mean and a variance from ten numbers (Friedman 1991): the likelihood's logarithm, which may be negative."""
    x, y = make_friedman1(1500, noise=1.0, random_state=0)
    x, y = torch.tensor(x - 0.5, dtype=torch.float32), torch.tensor((y - 14) / 15, dtype=torch.float32)

    def model() -> nn.Module:
        return nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))

    def loss(output: Tensor, target: Tensor) -> Tensor:
        mean, spread = output.unbind(1)
        return F.gaussian_nll_loss(mean, target, F.softplus(spread))

    return Task(
        model=model, loss=loss, train=(x[:1000], y[:1000]), valid=(x[1000:], y[1000:]), batch_size=50, steps=400,
        name="friedman",
    )  # fmt: skip


def spirals() -> Task:
    """Three spirals in the plane, one in another, by a deep and narrow network."""
    chance = np.random.RandomState(0)
    kind, way = chance.randint(0, 3, 1600), chance.rand(1600) ** 0.5
    angle = 2 * np.pi * (1.25 * way + kind / 3)
    places = np.stack([way * np.cos(angle), way * np.sin(angle)], 1) + 0.03 * chance.randn(1600, 2)
    x, y = torch.tensor(2 * places, dtype=torch.float32), torch.from_numpy(kind)

    def model() -> nn.Module:
        wide = [layer for _ in range(3) for layer in (nn.Linear(32, 32), nn.ReLU())]
        return nn.Sequential(nn.Linear(2, 32), nn.ReLU(), *wide, nn.Linear(32, 3))

    return Task(
        model=model, loss=F.cross_entropy, train=(x[:1000], y[:1000]), valid=(x[1000:], y[1000:]), batch_size=50,
        steps=600, name="spirals",
    )  # fmt: skip


def digits_deep() -> Task:
    """Six layers of tanh without norms, a network that trains badly; few of the digits, label smoothing."""

    def model() -> nn.Module:
        deep = [layer for _ in range(5) for layer in (nn.Linear(40, 40), nn.Tanh())]
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 40), nn.Tanh(), *deep, nn.Linear(40, 10))

    given = tasks.load("digits-mlp")
    images, labels = given.train
    return Task(
        model=model, loss=nn.CrossEntropyLoss(label_smoothing=0.1), train=(images[:500], labels[:500]),
        valid=given.valid, batch_size=25, steps=400, name="digits-deep",
    )  # fmt: skip


class _Rows(nn.Module):
    """One layer of attention over the eight rows of a digit."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(8, 32)
        self.place = nn.Parameter(torch.randn(8, 32) * 0.02)
        self.first, self.second, self.last = nn.LayerNorm(32), nn.LayerNorm(32), nn.LayerNorm(32)
        self.asked, self.mixed = nn.Linear(32, 96), nn.Linear(32, 32)
        self.wide = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32))
        self.head = nn.Linear(32, 10)

    def forward(self, images: Tensor) -> Tensor:
        x = self.enter(images.flatten(1).unflatten(1, (8, 8))) + self.place
        heads = self.asked(self.first(x)).unflatten(2, (3, 4, 8)).permute(2, 0, 3, 1, 4)
        x = x + self.mixed(F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2))
        scores: Tensor = self.head(self.last(x + self.wide(self.second(x))).mean(1))
        return scores


def digits_attention() -> Task:
    """A small transformer on digits, with layer norm."""
    given = tasks.load("digits-mlp")
    return Task(
        model=_Rows, loss=F.cross_entropy, train=given.train, valid=given.valid, batch_size=32, steps=300,
        name="digits-attention",
    )  # fmt: skip


TASKS: dict[str, Callable[[], Task]] = {
    make.__name__.replace("_", "-"): make
    for make in (
        digits_mlp, digits_cnn, digits_autoencoder, digits_noisy, breast_cancer, wine, diabetes, chars_gru,
        friedman, spirals, digits_attention, digits_deep, chars_mlp,
        digits_linear, digits_dropout, adding, robust, chars_reader,
    )
}  # fmt: skip


def load(name: str) -> Task:
    """The task called so, which validates at its end alone."""
    return replace(TASKS[name](), evaluations=1)
