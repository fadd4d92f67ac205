"""Hooks that end with the object that they serve."""

from __future__ import annotations

from collections.abc import Iterable
from weakref import finalize

from torch.utils.hooks import RemovableHandle


class Handles:
    """Handles of hooks that serve one object, taken away when it dies, if not before.

    A hook must hold its owner weakly, and never what it hangs on: a tensor's hooks lie where the collector of
    cycles does not look, so a hook that reaches its own tensor keeps it for ever.

    Parameters
    ----------
    owner : object
        Whom the hooks serve.
    handles : iterable of RemovableHandle
        As torch's `register_…` functions return them.
    """

    def __init__(self, owner: object, handles: Iterable[RemovableHandle]) -> None:
        self._finish = finalize(owner, _remove, list(handles))
        self._finish.atexit = False

    def __bool__(self) -> bool:
        """Whether the hooks are there."""
        return self._finish.alive

    def remove(self) -> None:
        """Take the hooks away."""
        self._finish()


def _remove(handles: list[RemovableHandle]) -> None:
    for handle in handles:
        handle.remove()
