"""Where torch computes."""

from __future__ import annotations

import torch

from .errors import ArgumentError


def torch_device(name: str | None) -> torch.device:
    """The device of that name, as torch has them ("cpu", "cuda", "cuda:1"); None: the CPU. Raises ArgumentError where there is no
    such device, or none that has float64."""
    try:
        number = torch.ones(1, dtype=torch.float64, device=name or "cpu")
        number.item()  # "meta" has none
        return number.device
    except (RuntimeError, AssertionError, NotImplementedError, TypeError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ArgumentError(f"device {name!r}: {reason}") from None
