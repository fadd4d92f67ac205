"""A copy of a training state, to return to after a blow-up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch.optim import Optimizer

from nalr.torch.undo.trees import Tree, copied, is_plain, mapped, write

PARTS = ("parameters", "buffers")
"""What must be as it was when the copy was taken; the optimizer's state may have grown since."""


class Snapshot:
    """Copy of an optimizer's parameters and state, taken and restored in place, bit for bit.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        Its parameters, its state of each, and the entries of its parameter groups are copied, such as the `d`
        of Prodigy. Not its learning rates, which `restore` leaves alone, nor attributes of the object.
    model : torch.nn.Module, optional
        Whose buffers are copied too, such as the running statistics of batch normalisation.
    device : device, optional
        Where the copies live; beside what is copied, if not given. "cpu" frees the accelerator's memory for
        the price of a transfer, through pinned memory where that is CUDA's.

    Attributes
    ----------
    taken : bool
        Whether there is something to restore.

    Notes
    -----
    Memory: `nbytes`, the size of parameters, state and buffers; 3 times the parameters for Adam. It is
    allocated by the first `take` and reused by later ones; state that appears later is added.

    Cost: `take` and `restore` read and write each byte once. With `device="cpu"` each also waits for the
    accelerator, since the copies are read by the host.

    Random numbers, data loaders, gradient scalers and schedulers are not part of it.

    Examples
    --------
    >>> weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    >>> optimizer = torch.optim.SGD([weight], lr=0.1)
    >>> snapshot = Snapshot(optimizer)
    >>> snapshot.take()
    >>> _ = weight.data.fill_(float("nan"))  # a blow-up
    >>> optimizer.param_groups[0]["lr"] = 0.05
    >>> snapshot.restore()
    >>> weight.tolist(), optimizer.param_groups[0]["lr"], snapshot.nbytes
    ([1.0, 2.0], 0.05, 8)
    """

    def __init__(
        self,
        optimizer: Optimizer,
        model: Module | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        self._optimizer = optimizer
        self._model = model
        self._device = None if device is None else torch.device(device)
        self._copies: Tree = {}
        self._homes: Tree = {}  # of the same form, with the name of the device in place of each tensor
        self.taken = False

    def __repr__(self) -> str:
        return f"Snapshot(taken={self.taken}, nbytes={self.nbytes})"

    @property
    def nbytes(self) -> int:
        """Bytes that the copies hold; 0 before `take`."""
        sizes: list[int] = []
        mapped(lambda tensor: sizes.append(tensor.nbytes), self._copies)
        return sum(sizes)

    @property
    def fits(self) -> bool:
        """Whether `restore` can write what was taken: parameters and buffers are as they were then."""
        if not self.taken:
            return False
        live, copies = self._live(), self._copies
        if len(live["groups"]) != len(copies["groups"]):
            return False
        return all(_forms(live[part]) == _forms(copies[part]) for part in PARTS)

    @property
    def finite(self) -> bool:
        """Whether every parameter is, at present."""
        return all(bool(torch.isfinite(p).all()) for p in self._live()["parameters"])

    def forget(self) -> None:
        """Give up the copies and their memory; there is nothing to restore then."""
        self._copies, self._homes, self.taken = {}, {}, False

    @torch.no_grad()
    def take(self) -> None:
        """Copy the present state, into the memory of the last copy where it fits.

        Raises
        ------
        TypeError
            If the optimizer's state holds something other than tensors, numbers, strings and None, in
            dictionaries, lists and tuples. Nothing can be restored then.
        """
        self.taken = False  # until the copy is whole
        live = self._live()
        self._copies = copied(live, self._copies, self._device)
        self._homes = mapped(lambda tensor: str(tensor.device), live)
        self._wait(live)
        self.taken = True

    @torch.no_grad()
    def restore(self) -> None:
        """Write the copy back into the same tensors; delete state that did not exist when it was taken.

        Raises
        ------
        RuntimeError
            If nothing was taken.
        ValueError
            If the parameters or buffers are not those that were copied.
        """
        if not self.taken:
            raise RuntimeError("`restore` needs a snapshot to return to. Call `take` first.")
        live = self._live()
        for part in PARTS:
            now, then = _forms(live[part]), _forms(self._copies[part])
            if now != then:
                raise ValueError(f"`restore` needs the {part} that were copied, {then}, got {now}.")
        restored = write(live, self._copies, self._homes)
        self._put_state(restored["state"])
        for group, entries in zip(self._optimizer.param_groups, restored["groups"], strict=True):
            group.update(entries)
        self._wait(live)

    def state_dict(self) -> dict[str, Any]:
        """Return the copies themselves, in plain containers that `torch.load(weights_only=True)` reads.

        The next `take` writes into them: save or copy what you get.
        """
        return {"taken": self.taken, "copies": self._copies, "homes": self._homes}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Hold what `state`, from `state_dict`, holds; nothing is restored yet.

        Raises
        ------
        ValueError
            If `state` is not a snapshot's.
        """
        if not isinstance(state, Mapping) or set(state) != {"taken", "copies", "homes"}:
            raise ValueError(f"`state` must come from `Snapshot.state_dict()`, got {type(state).__name__}.")
        self._copies, self._homes = copied(state["copies"], None, self._device), state["homes"]
        self.taken = bool(state["taken"])

    def _wait(self, tree: Tree) -> None:
        """Wait for transfers between CUDA and the host, before the host reads or changes either end."""
        if self._device is not None and self._device.type == "cpu":
            devices: set[torch.device] = set()
            mapped(lambda tensor: devices.add(tensor.device), tree)
            for device in devices:
                if device.type == "cuda":
                    torch.cuda.current_stream(device).synchronize()

    def _live(self) -> Tree:
        """Return what is to be copied: the objects themselves, parameters by number."""
        groups = self._optimizer.param_groups
        parameters = [parameter for group in groups for parameter in group["params"]]
        keys = {id(parameter): i for i, parameter in enumerate(parameters)}
        state = self._optimizer.state
        return {
            "parameters": [parameter.detach() for parameter in parameters],
            "state": {keys.get(id(key), key): _checked(value) for key, value in state.items()},
            "groups": [
                {
                    key: value
                    for key, value in group.items()
                    if key not in ("params", "lr") and is_plain(value)
                }
                for group in groups
            ],
            "buffers": dict(self._model.named_buffers()) if self._model else {},
        }

    def _put_state(self, entries: dict[Any, Any]) -> None:
        parameters = [parameter for group in self._optimizer.param_groups for parameter in group["params"]]
        state = self._optimizer.state
        state.clear()
        for key, value in entries.items():
            state[parameters[key] if isinstance(key, int) else key] = value


def _forms(tree: Tree) -> Tree:
    return mapped(_shape_and_type, tree)


def _shape_and_type(tensor: Tensor) -> str:
    return f"{tensor.dtype} {tuple(tensor.shape)}"


def _checked(tree: Tree) -> Tree:
    if not is_plain(tree):
        raise TypeError(
            f"The optimizer's state must hold tensors and plain values to be copied, got {tree!r}."
        )
    return tree
