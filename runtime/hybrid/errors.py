"""What the parts of a hybrid refuse."""

from __future__ import annotations


class NotUnderstood(ValueError):
    """A text that is not, or not for certain, a call of one expert. The message says why."""


class ExpertError(ValueError):
    """An expert that there is not, arguments that it does not take, a call that failed, or an experts file that is wrong."""
