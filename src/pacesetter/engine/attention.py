"""Attention of stacked lanes by torch's fused kernel, which knows no lane axis: lanes become part of its batch."""

from typing import Any

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

__all__ = ["FoldedAttention"]

FUSED_DIMENSIONS = 4
"""The fused kernel takes [batch, heads, length, width]."""


class FoldedAttention(TorchFunctionMode):
    """Inside, `scaled_dot_product_attention` under `vmap` is one call of the fused kernel over all lanes.

    Left alone is what the kernel cannot do, or what would draw random numbers for each lane: dropout, other shapes.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention and len(args) >= 3:
            given = dict(zip(("attn_mask", "dropout_p", "is_causal"), args[3:], strict=False)) | kwargs
            fits = all(t.dim() == FUSED_DIMENSIONS for t in args[:3]) and not given.get("enable_gqa")
            if fits and not given.get("dropout_p"):
                options = (given.get("attn_mask"), given.get("is_causal", False), given.get("scale"))
                return _Attention.apply(*args[:3], *options)  # type: ignore[no-untyped-call]  # torch's own gap
        return func(*args, **kwargs)


class _Attention(torch.autograd.Function):
    """Attention whose form under `vmap` is ours; outside of it nobody calls it."""

    @staticmethod
    def forward(query: Any, key: Any, value: Any, mask: Any, causal: bool, scale: float | None) -> torch.Tensor:
        return _attention(query, key, value, mask, causal, scale)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Nothing is kept: gradients go through what `vmap` calls."""

    @staticmethod
    def vmap(info: Any, in_dims: Any, query: Any, key: Any, value: Any, mask: Any, causal: bool, scale: Any) -> Any:
        """All lanes at once: [lanes, batch, heads, length, width] as [lanes * batch, ...]."""
        lanes = info.batch_size
        stacks = [_in_front(t, axis, lanes) for t, axis in zip((query, key, value), in_dims[:3], strict=True)]
        batch = stacks[0].shape[1]
        if mask is not None and in_dims[3] is not None:
            # A mask of each lane's own: its axes stand before those of a lane's attention.
            mask = _in_front(mask, in_dims[3], lanes)
            mask = mask.reshape(lanes, *[1] * (stacks[0].dim() - mask.dim()), *mask.shape[1:])
            return _attention(*stacks, mask, causal, scale), 0
        if mask is not None and mask.dim() == FUSED_DIMENSIONS and mask.shape[0] > 1:
            mask = mask.repeat(lanes, 1, 1, 1)
        folded = [t.reshape(lanes * t.shape[1], *t.shape[2:]) for t in stacks]
        with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]):
            found = _attention(*folded, mask, causal, scale)
        return found.reshape(lanes, batch, *found.shape[1:]), 0


def _attention(*given: Any) -> torch.Tensor:
    query, key, value, mask, causal, scale = given
    return F.scaled_dot_product_attention(query, key, value, mask, 0.0, causal, scale=scale)


def _in_front(tensor: torch.Tensor, axis: int | None, lanes: int) -> torch.Tensor:
    return tensor.expand(lanes, *tensor.shape) if axis is None else tensor.movedim(axis, 0)
