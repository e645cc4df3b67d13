"""A two-layer character transformer on the text of Python's own documentation, as `help()` prints it."""

from pydoc_data.topics import topics

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pacesetter.tasks._task import Task, accuracy

BATCH_SIZE = 16
STEPS = 300
CONTEXT = 64
WIDTH = 64
HEADS = 4
LAYERS = 2
INNER = 2 * WIDTH  # of the feed-forward layers: half the usual width, a quarter less time
LENGTH = 440_000  # characters used; every Python since 3.11 has more
VALIDATION = 64  # windows (4,096 characters): a steady mean, and 21 evaluations stay cheap beside the training
CHARACTERS = "\n" + "".join(map(chr, range(32, 127)))  # fixed, so that the model is the same in every Python


class Block(nn.Module):
    """Causal self-attention and a feed-forward layer, each normalised before and added to its input."""

    def __init__(self) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(WIDTH)
        self.attention = nn.Linear(WIDTH, 3 * WIDTH)
        self.joined = nn.Linear(WIDTH, WIDTH)
        self.before_feed_forward = nn.LayerNorm(WIDTH)
        self.feed_forward = nn.Sequential(nn.Linear(WIDTH, INNER), nn.GELU(), nn.Linear(INNER, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        """[batch, time, width] to the same."""
        batch, time, _ = x.shape
        heads = self.attention(self.before_attention(x)).view(batch, time, 3, HEADS, WIDTH // HEADS)
        query, key, value = heads.permute(2, 0, 3, 1, 4).unbind(0)
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.joined(seen.transpose(1, 2).reshape(batch, time, WIDTH))
        added: Tensor = self.feed_forward(self.before_feed_forward(x))
        return x + added


class CharacterTransformer(nn.Module):
    """Predicts each next character of a text from those before it."""

    def __init__(self) -> None:
        super().__init__()
        self.character = nn.Embedding(len(CHARACTERS), WIDTH)
        self.place = nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, len(CHARACTERS))

    def forward(self, characters: Tensor) -> Tensor:
        """[batch, time] of character numbers to [batch, time, characters] of scores."""
        x = self.character(characters) + self.place.weight[: characters.shape[-1]]
        scores: Tensor = self.head(self.norm(self.blocks(x)))
        return scores


def make_model() -> nn.Module:
    """Two blocks of width 64 with four heads: 83,552 weights."""
    return CharacterTransformer()


def loss(output: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of the next character, in nats."""
    return F.cross_entropy(output.flatten(0, 1), target.flatten())


def make_data() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """((characters, next characters) to train on, the same to validate on), each int64 [windows, 64].

    The last tenth of the text validates, by windows spread evenly over it. The text is that of the running Python, so
    losses differ a little between its versions.
    """
    text = "\n".join(topics[name] for name in sorted(topics))[:LENGTH]
    number = {character: index for index, character in enumerate(CHARACTERS)}
    unknown = number["?"]
    numbers = torch.tensor([number.get(character, unknown) for character in text])
    windows = (len(numbers) - 1) // CONTEXT
    now = numbers[: windows * CONTEXT].view(windows, CONTEXT)
    then = numbers[1 : windows * CONTEXT + 1].view(windows, CONTEXT)
    train = windows * 9 // 10
    valid = torch.linspace(train, windows - 1, VALIDATION).round().long()
    return (now[:train], then[:train]), (now[valid], then[valid])


def task() -> Task:
    """The task `docs-gpt`."""
    train, valid = make_data()
    return Task(
        model=make_model,
        loss=loss,
        train=train,
        valid=valid,
        batch_size=BATCH_SIZE,
        steps=STEPS,
        metrics={"accuracy": accuracy},
        name="docs-gpt",
    )
