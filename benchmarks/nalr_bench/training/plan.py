"""Which studies, at which sizes, and the figures to reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from nalr_bench.training import peers
from nalr_bench.training.options import STUDIES
from nalr_bench.training.run import Setup, mlp, random_batches, random_texts
from nalr_bench.training.samples import samples
from nalr_bench.training.steps import ours, plain, scheduled, twice, wrapped
from nalr_bench.training.study import PLAIN, Beats, Job, Step, Study, Variant

MLP_MOST, TRANSFORMER_MOST = 1.03, 1.02
AGAIN = "without, again"
"""A second run of the plain step: its deviation from 1 is the resolution of the machine."""

SLOW = 64
"""Steps between two of Cockpit's measurements."""

CLASSES = 10


@dataclass(frozen=True)
class Sizes:
    """Sizes of the models and their batches."""

    widths: tuple[int, ...] = (784, 1024, 1024, CLASSES)
    batch: int = 128
    letters: int = 96
    context: int = 128
    width: int = 256
    num_layers: int = 2
    texts: int = 16


@dataclass(frozen=True)
class Plan:
    """Studies in order, the setup for memory, and what was left out."""

    studies: list[Study]
    memory: Setup | None
    sampling: bool = False
    left_out: list[str] = field(default_factory=list)


def plan(quick: bool = False, only: Sequence[str] | None = None, sizes: Sizes | None = None) -> Plan:
    """Return the studies `only`, or all; with `quick` without peers that take seconds per step."""
    sizes = sizes or Sizes()
    layers, batch = "-".join(map(str, sizes.widths)), f"batch {sizes.batch}, AdamW"
    texts = f"width {sizes.width}, context {sizes.context}, batch {sizes.texts}, AdamW"
    setup = _mlp(sizes)
    studies = [
        Study("mlp", f"MLP {layers}, {batch}", partial(_step, setup, quick)),
        Study("accumulation", f"the same MLP, {batch}, in 2 backwards", partial(_accumulation, setup)),
        Study("transformer", f"transformer of {sizes.num_layers} layers, {texts}", partial(_texts, sizes)),
        Study("samples", f"tr Σ beside forward and backward, MLP {layers}", partial(samples, setup)),
    ]
    chosen = only or list(STUDIES)
    left_out = ["Cockpit: takes seconds per step, left out by --quick"] if quick and "mlp" in chosen else []
    return Plan(
        [s for s in studies if s.name in chosen],
        setup if "memory" in chosen else None,
        "sampling" in chosen,
        left_out,
    )


def _mlp(sizes: Sizes) -> Setup:
    from torch.nn import CrossEntropyLoss

    batches = random_batches((sizes.batch, sizes.widths[0]), sizes.widths[-1])
    return Setup(partial(mlp, sizes.widths), CrossEntropyLoss, batches)


def _step(setup: Setup, quick: bool) -> Job:
    """Return variants with one backward per step: ours by every source, and the peers."""
    most = MLP_MOST
    variants = [
        Variant(PLAIN, plain(setup.fresh())),
        Variant(AGAIN, plain(setup.fresh())),
        Variant("noise='steps'", ours(setup, scheduled, noise="steps"), most),
        Variant("noise='auto'", ours(setup, scheduled), most),
        Variant("noise='samples'", ours(setup, scheduled, True, noise="samples", source="samples"), most),
        Variant("NoiseAdaptiveOptimizer", ours(setup, wrapped), most),
    ]
    by_sample = Beats("noise='samples'")
    others: list[tuple[str, Callable[[Setup], Step], Beats, int]] = [
        ("AdaptDL", peers.adaptdl, Beats("noise='steps'"), 1),
        ("BackPACK Variance", peers.backpack_variance, by_sample, 1),
    ]
    if not quick:
        others += [
            ("Cockpit economy", partial(peers.cockpit, interval=1), by_sample, 1),
            (f"Cockpit economy, 1 in {SLOW}", partial(peers.cockpit, interval=SLOW), by_sample, SLOW),
        ]
    return _with_peers(setup, variants, others)


def _accumulation(setup: Setup) -> Job:
    """Return variants with two backwards per step, as fairscale's AdaScale needs."""
    name = "noise='auto'"
    variants = [
        Variant(PLAIN, plain(setup.fresh(), twice)),
        Variant(AGAIN, plain(setup.fresh(), twice)),
        Variant(name, ours(setup, scheduled, gradients=twice, source="microbatches"), MLP_MOST),
    ]
    return _with_peers(setup, variants, [("fairscale AdaScale", peers.adascale, Beats(name), 1)])


def _texts(sizes: Sizes) -> Job:
    from nalr_bench.training.transformer import Transformer, mean_loss

    setup = Setup(
        partial(Transformer, sizes.letters, sizes.context, sizes.width, sizes.num_layers),
        lambda: mean_loss,
        random_texts((sizes.texts, sizes.context), sizes.letters),
    )
    most = TRANSFORMER_MOST
    return Job(
        [
            Variant(PLAIN, plain(setup.fresh())),
            Variant(AGAIN, plain(setup.fresh())),
            Variant("noise='steps'", ours(setup, scheduled, noise="steps"), most),
            Variant("noise='auto'", ours(setup, scheduled), most),
            Variant("noise='samples'", ours(setup, scheduled, True, noise="samples", source="samples")),
        ]
    )


def _with_peers(
    setup: Setup, variants: list[Variant], others: list[tuple[str, Callable[[Setup], Step], Beats, int]]
) -> Job:
    """Return the variants and the peers that run."""
    variants, left_out = list(variants), []
    for name, make, beaten, period in others:
        step = peers.attempt(name, make, setup)
        if isinstance(step, str):
            left_out.append(step)
        else:
            variants.append(Variant(name, step, beaten=beaten, period=period))
    return Job(variants, left_out)
