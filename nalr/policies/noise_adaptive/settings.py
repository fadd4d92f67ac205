"""The constants of the default policy, each with what it does and why it has its value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NoiseAdaptiveSettings:
    """The constants of the policy: one set for all problems, optimizers and lengths of run.

    They were chosen on the tuning problems of ``nalr race`` alone; change one to learn what it buys (the
    ablations of ``nalr race --ablate`` do), not to tune a run.
    """

    # The start.
    first_gain: float = 0.5
    """The first step may promise at most this share of the loss, η|ḡ|² ≤ .5·|L|: more is past any minimum
    of a loss that ends near zero. A constant added to the loss loosens this guard, and nothing else."""
    first_gain_other: float = 0.1
    """The same of other optimizers' steps, known once made: those that follow keep their length, as gradients
    fall, and a network's units die of a few steps that are too long."""
    ramp: float = 1.0
    """Growth of log η over one window of the first search; a window has ten steps there."""
    ramp_floor_other: float = 0.1
    """The same with any other optimizer than plain SGD, which knows no edge that would end a search."""
    ramp_floor: float = 0.5
    """In a bump the signal says nothing, and in the first steps it is noise: search on at half speed."""
    ramp_pace: float = 0.5
    """Runs shorter than 2000 steps search faster, by (2000/T) to this power: some risk for some time."""
    ramp_end: float = 1.0
    """The first search ends where the signal is below zero by this many standard errors, with κ below 1."""

    # The displacement signal: would the run so far have ended lower with another rate?
    window_share: float = 0.125
    """Share of the steps since the last change over which the signal is averaged, and …"""
    window_least: float = 10.0
    """… the fewest of them."""
    speed: float = 1.0
    """Change of log η over one window at full signal: gains fall as 1/t, as in all stochastic approximation
    (Robbins & Monro 1951), but start again after a change."""
    doubt: float = 0.5
    """Standard errors within which the signal is taken for zero: noise must not move the rate."""
    certainty: float = 2.0
    """Standard errors at which the signal is full."""
    forgetting: float = 1.5
    """The displacement forgets this over the steps since the last change: then it stands for the last two
    thirds of them or so. Without it the far start drowns what the present rate does."""
    most_forgetting: float = 0.1
    """The largest share of the displacement forgotten in a step."""

    # The noise floor F: what of it is held against the rate. With a horizon the anneal will remove it.
    floor_growth: float = 0.5
    """Floors added to the signal before it counts as room to grow, …"""
    floor_growth_other: float = 0.25
    """The same with any other optimizer: their floors are less well known, …"""
    planned_shrink: float = 1.7
    """… before it counts against the rate, where the horizon is known, …"""
    open_shrink: float = 0.8
    """… and where it is not: there the rate must answer for its noise floor as it goes. Fast directions give
    the signal −1 to −2 floors; it looks back over two thirds of the run only, and so asks for too little."""
    most_floors: float = 2.0
    """The signal is at most this many floors below zero: the rest is the past's doing, not the rate's."""
    floor_share: float = 0.3
    """Growth ends where F reaches this share of all that the run has gained: no rate is worth more."""

    # Curvature along the step, where it can be measured: plain SGD.
    room: float = 0.8
    """κ at which growth ends; it fades towards it, by the larger of a quick and a slow average."""
    edge: float = 1.2
    """κ beyond which the rate backs off, …"""
    back_off: float = 0.05
    """… by this much of log η for each unit of κ, counted up to 2. Faster starves narrow valleys."""

    # Overlap of the fresh gradient with the last step, for any other optimizer.
    overlap_room: float = 0.1
    """Negative overlap at which growth ends: the steps then end, on average, uphill."""
    overlap_edge: float = 0.2
    """Negative overlap beyond which the rate backs off, …"""
    overlap_back_off: float = 0.02
    """… by this much of log η for each multiple of the edge."""
    longest_step: float = 0.05
    """Step over longest displacement at which growth begins to fade; it ends at twice that."""
    memory: float = 2.0
    """Steps of an optimizer with memory are longer than their share of noise by about this factor, which
    lies between 1 (none) and 4.4 (momentum .9, steps of noise alone)."""

    # Harm.
    growing: float = 1.0
    """Growth fades while the quick average of |ḡ|² is above its slow one, and ends at 1 + this times it."""
    harm_errors: float = 3.0
    """A rise of the smoothed loss is harm when it exceeds this many standard errors, and …"""
    harm_share: float = 0.4
    """… this share of all that the run has gained (passing bumps costs a little), and …"""
    harm_attributed: float = 0.3
    """… the gradients' own account shows at least this share of it, so that the steps did it, and …"""
    harm_reach: float = 0.25
    """… κ, if known, is above this: at smaller steps a rate cannot be at fault."""
    cut: float = 0.5
    """Rate factor on harm."""
    runaway_share: float = 3.0
    """A loss above its best by this many times all that was gained, and …"""
    runaway_noise: float = 10.0
    """… this many standard deviations of its noise, and above the first, has run away."""
    runaway_reach: float = 1.0
    """κ, if known, above which the steps did it."""
    blow_up: float = 100.0
    """|ḡ|² at this many times its average is an explosion, if κ, where known, is above …"""
    blow_up_reach: float = 2.0
    """… the edge of stability."""
    blow_up_cut: float = 0.3
    """Rate factor on an explosion, or 1/κ where that is less, but …"""
    blow_up_least: float = 0.001
    """… no less than this: κ is measured badly there."""
    blow_up_wait: int = 2
    """Steps before an explosion can be cut again: until the cut has shown."""
    early: int = 10
    """Steps from the start in which one step that ends further up the other side is an explosion too."""
    clip: float = 4.0
    """A gradient longer than this many root-mean-squares is shortened to it, for its own step."""

    # Kicks; their other constants are in `nalr.policies.noise_adaptive.kick`.
    kick_wait: float = 40.0
    """Steps of a reference run without progress that call for a kick; inf for a run without kicks."""
    kick_runaway_share: float = 2.0
    """A loss above its best by this many times all that was gained rolls a kick back at once."""

    # Change.
    change: float = 2.5
    """Standard errors of the quick signal that tell of a change, …"""
    change_rise: float = 6.0
    """… if the smoothed loss is this many of its own above its best (else networks near the edge of stability
    begin anew by chance, and end 1.5 times higher), …"""
    change_before: float = 4.0
    """… where the long signal had fewer than these …"""
    change_after: int = 100
    """… and this many steps have gone by since the last."""

    # The anneal to a known horizon.
    anneal_power: float = 3.0
    """With nothing but noise left the rate falls as (1 − t/T)³ from wherever it is; …"""
    anneal_slow: float = 4.0
    """… a slow gain of this many floors halves the speed of that fall: what still descends can wait."""
    anneal_slow_other: float = 1.0
    """The same with any other optimizer: their floors come out too high by as much."""
    anneal_floors: float = 1.2
    """Floors added to the signal for the slow gain, since fast directions take off one to two."""
    anneal_forced: float = 0.1
    """Share of the horizon over which the rate comes to zero in a straight line in any case."""
    plan: float = 0.85
    """Share of the horizon during which the peak rate still moves; then the anneal alone acts."""
    reference_steps: float = 2000.0
    """The horizon assumed, for the time of kicks and of the ramp, where none is known."""
