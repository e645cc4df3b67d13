"""Models of Lightning and transformers, unmodified: every lane is what plain PyTorch makes of them."""

import warnings
from collections import UserDict

import pytest
import torch
from torch.utils.data import DataLoader

import pacesetter as ps
from pacesetter.engine.batches import batch_length, to_device
from tests.engine.helpers import PLANS, lanes_of, trained
from tests.engine.models import EXAMPLES, TEXTS, Rows, case_of
from tests.engine.test_models import check_against_plain, task_of

WORDS, CLASSES = TEXTS
NO_TRAINER = "ignore:You are trying to `self.log:UserWarning"
IN_SINGLE = 3e-6
"""These models compute their loss in single precision, whatever that of their weights."""


@pytest.fixture(scope="module")
def models():
    """The models; imported late, because these packages take seconds."""
    from tests.engine import framework_models

    return framework_models


def training_step(module, batch):
    """What a task needs to train a LightningModule."""
    return module.training_step(batch, 0)["loss"]


@pytest.mark.filterwarnings(NO_TRAINER)
@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_a_lightning_module_trains_by_its_own_step(models, plan) -> None:
    """A LightningModule's `training_step` is the objective; what it logs goes nowhere, and stops nothing."""
    check_against_plain(case_of(models.Classifier, loss=None, objective=training_step, rule="adam", lr=0.01), plan)


@pytest.mark.parametrize("engine", PLANS)
def test_what_is_logged_without_a_trainer_is_said_once(models, engine) -> None:
    """However many steps a study makes, Lightning's word on its missing Trainer is shown once."""
    task = task_of(case_of(models.Classifier, loss=None, objective=training_step), steps=40, evaluations=10)
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("default")
        ps.compare(task, lr=[0.01, 0.1], optimizers=["sgd", "adam"], seeds=1, engine=engine)
    assert ["is not registered" in str(word.message) for word in shown] == [True]


def own_loss(model, batch):
    """What a task needs to train a model of transformers."""
    return model(**batch).loss


def rows(part: slice) -> Rows:
    """Words, which of them are padding, and the class of each row."""
    seen = torch.ones_like(WORDS)
    seen[::2, -2:] = 0
    return Rows(input_ids=WORDS[part], attention_mask=seen[part], labels=CLASSES[part])


OF_CLASSES = {"train": rows(slice(EXAMPLES)), "valid": rows(slice(EXAMPLES, None))}
OF_WORDS = {
    "train": Rows(input_ids=WORDS[:EXAMPLES], labels=WORDS[:EXAMPLES]),
    "valid": Rows(input_ids=WORDS[EXAMPLES:], labels=WORDS[EXAMPLES:]),
}
OWN = {"loss": None, "objective": own_loss, "rule": "adamw", "lr": 0.01}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@pytest.mark.parametrize("name", ["classifier", "with_low_rank"])
def test_a_transformers_model_trains_by_its_own_loss(models, name, plan) -> None:
    """A model of transformers with padded rows, dropout and labels in its batches, all trained or adapters alone."""
    check_against_plain(case_of(getattr(models, name), **OF_CLASSES, **OWN), plan)


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_a_transformers_language_model(models, plan) -> None:
    """A causal language model with tied weights, its own loss and all three kinds of updates."""
    updates = {"accumulate": 2, "clip_norm": 0.5, "lr_ratios": {"transformer.h": 0.5}}
    ratios = {name: 0.5 for name, _ in models.language_model().named_parameters() if name.startswith("transformer.h.")}
    case = case_of(models.language_model, **OF_WORDS, **OWN, updates=updates, ratios=ratios)
    check_against_plain(case, plan, IN_SINGLE)


def test_frozen_weights_come_back_as_they_were(models) -> None:
    """With adapters alone trained, all frozen weights are returned, bit for bit."""
    case = case_of(models.with_low_rank, **OF_CLASSES, **OWN)
    task = task_of(case)
    for plan in PLANS.values():
        weights = {}
        (lane,) = lanes_of(task, [0.1], "adam")
        trained(task, [lane], plan, on_weights=weights.__setitem__)
        torch.manual_seed(lane.seed)
        untrained = task.make_model()
        for name, p in untrained.named_parameters():
            assert torch.equal(weights[lane][name], p) != p.requires_grad, name


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_batches_of_a_class_of_their_own(models, plan) -> None:
    """Rows of different lengths, padded by the loader into transformers' own batches, train and count as many rows."""
    examples = [
        {"input_ids": row[: 3 + i % 4], "labels": label}
        for i, (row, label) in enumerate(zip(WORDS, CLASSES, strict=True))
    ]
    loader = DataLoader(examples[:EXAMPLES], 16, shuffle=True, drop_last=True, collate_fn=models.padded)
    valid = DataLoader(examples[EXAMPLES:], 16, collate_fn=models.padded)
    case = case_of(models.classifier, train=loader, valid=valid, **OWN)
    check_against_plain(case, plan)


def test_a_batch_keeps_its_class() -> None:
    """Mappings that are no dicts are moved to the device, counted, and keep their class; the old one is not changed."""
    batch = UserDict({"x": torch.zeros(3, 2), "more": {"y": torch.zeros(3)}})
    moved = to_device(batch, torch.device("meta"))
    assert type(moved) is UserDict
    assert moved["x"].is_meta
    assert moved["more"]["y"].is_meta
    assert not batch["x"].is_meta
    assert batch_length(batch) == 3
