"""Small models of Lightning and transformers, as their users write them."""

import lightning
import torch
import torch.nn.functional as F
from torch import nn
from transformers import BatchEncoding, BertConfig, BertForSequenceClassification, GPT2Config, GPT2LMHeadModel

from tests.engine.models import LowRank, perceptron


class Classifier(lightning.LightningModule):
    """A module with its training step, its optimizer and its log."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.body = perceptron(nn.Dropout(0.2), nn.BatchNorm1d(width))

    def forward(self, x):
        return self.body(x)

    def training_step(self, batch, batch_idx):
        inputs, targets = batch
        loss = F.cross_entropy(self(inputs), targets)
        self.log("train_loss", loss, prog_bar=True)
        self.log_dict({"share_right": (self(inputs).argmax(-1) == targets).float().mean()})
        return {"loss": loss}

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def language_model() -> nn.Module:
    """A tiny GPT-2, whose input and output share their weights."""
    return GPT2LMHeadModel(
        GPT2Config(vocab_size=11, n_positions=8, n_embd=8, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=1)
    )


def classifier() -> nn.Module:
    """A tiny BERT."""
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    return BertForSequenceClassification(BertConfig(vocab_size=11, max_position_embeddings=8, num_labels=3, **sizes))


def with_low_rank() -> nn.Module:
    """The classifier, frozen, with adapters at its attention and a head that is trained."""
    model = classifier().requires_grad_(False)
    attention = model.bert.encoder.layer[0].attention.self
    attention.query, attention.value = LowRank(attention.query), LowRank(attention.value)
    model.classifier.requires_grad_(True)
    return model


def padded(examples) -> BatchEncoding:
    """Rows of different lengths as one batch, in the class in which transformers has them."""
    longest = max(len(e["input_ids"]) for e in examples)
    ids = [F.pad(e["input_ids"], (0, longest - len(e["input_ids"]))) for e in examples]
    seen = [F.pad(torch.ones_like(e["input_ids"]), (0, longest - len(e["input_ids"]))) for e in examples]
    labels = torch.stack([e["labels"] for e in examples])
    return BatchEncoding({"input_ids": torch.stack(ids), "attention_mask": torch.stack(seen), "labels": labels})
