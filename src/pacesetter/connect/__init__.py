"""Connectors: Pacesetter's recipes, rules and schedules inside other frameworks.

    from pacesetter import connect

    scheduler = connect.torch.scheduler(optimizer, "warmup(500) >> cosine()", total_steps=10_000)

Each connector is a module of the framework's name; it is imported, and the framework with it, when it is first used.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pacesetter.connect import keras as keras
    from pacesetter.connect import lightning as lightning
    from pacesetter.connect import optax as optax
    from pacesetter.connect import torch as torch
    from pacesetter.connect import transformers as transformers

__all__ = ["keras", "lightning", "optax", "torch", "transformers"]


def __getattr__(name: str) -> ModuleType:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{name}")
