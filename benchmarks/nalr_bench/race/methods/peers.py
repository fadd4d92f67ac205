"""The methods of other packages that find their own rate, or say that they need little tuning.

Their defaults, but for what their authors advise; no weight decay.
"""

from __future__ import annotations

from nalr_bench.race.methods.method import PROBLEM, TASK, Kind
from nalr_bench.race.methods.peer import OptimizerSpec, Peer
from nalr_bench.race.methods.schedules import WARM_UP
from nalr_bench.race.problems.entry import MOMENTUM

HEAVY_BALL = ("momentum", MOMENTUM)
LOOP = ("foreach", False)  # a surface is one tensor
SCHEDULE_FREE_SGD = OptimizerSpec("schedulefree", "SGDScheduleFree", (LOOP,), WARM_UP, judged="eval")
SCHEDULE_FREE_ADAMW = OptimizerSpec("schedulefree", "AdamWScheduleFree", (LOOP,), WARM_UP, judged="eval")
D_ADAPT_SGD = OptimizerSpec("dadaptation", "DAdaptSGD")
D_ADAPT_MOMENTUM = OptimizerSpec("dadaptation", "DAdaptSGD", (HEAVY_BALL,))
D_ADAPT_ADAM = OptimizerSpec("dadaptation", "DAdaptAdam")
PRODIGY = OptimizerSpec("prodigyopt", "Prodigy")
DOG = OptimizerSpec("dog", "DoG", judged="average")
MECHANIC_SGD = OptimizerSpec("mechanic_pytorch", "SGD", (LOOP,))
MECHANIC_MOMENTUM = OptimizerSpec("mechanic_pytorch", "SGD", (LOOP, HEAVY_BALL))
MECHANIC_ADAMW = OptimizerSpec("mechanic_pytorch", "AdamW", (LOOP, ("weight_decay", 0.0)))
MOMO = OptimizerSpec("momo", "Momo", takes_loss=True)
MOMO_ADAM = OptimizerSpec("momo", "MomoAdam", takes_loss=True)

BOTH: tuple[Kind, ...] = (PROBLEM, TASK)
SURFACE: tuple[Kind, ...] = (PROBLEM,)
NETWORK: tuple[Kind, ...] = (TASK,)

PEERS = (
    # Schedule-free (Defazio et al. 2024) advises a warm-up and a tuned rate; 1 and .0025 are the defaults.
    Peer("schedule-free sgd", "sgd", SCHEDULE_FREE_SGD, 1.0, "constant", 0.0, SURFACE),
    Peer("schedule-free momentum given lr", "momentum", SCHEDULE_FREE_SGD, None, "constant", 0.0, NETWORK),
    Peer("schedule-free adamw", "adamw", SCHEDULE_FREE_ADAMW, 0.0025, "constant", 0.0, SURFACE),
    Peer("schedule-free adamw given lr", "adamw", SCHEDULE_FREE_ADAMW, None, "constant", 0.0, NETWORK),
    # D-Adaptation (Defazio and Mishchenko 2023) advises lr 1 and the schedule that one would use anyway.
    Peer("d-adapt sgd", "sgd", D_ADAPT_SGD, 1.0, "constant", 0.0, SURFACE),
    Peer("d-adapt sgd linear", "sgd", D_ADAPT_SGD, 1.0, "linear", 0.0, SURFACE),
    Peer("d-adapt momentum linear", "momentum", D_ADAPT_MOMENTUM, 1.0, "linear", WARM_UP, BOTH),
    Peer("d-adapt adam linear", "adamw", D_ADAPT_ADAM, 1.0, "linear", WARM_UP, BOTH),
    # Prodigy (Mishchenko and Defazio 2024) advises lr 1, no schedule or a cosine, and no warm-up.
    Peer("prodigy", "adamw", PRODIGY, 1.0, "constant", 0.0, SURFACE),
    Peer("prodigy cosine", "adamw", PRODIGY, 1.0, "cosine", 0.0, BOTH),
    # DoG (Ivgi et al. 2023) takes no rate, and is to be judged by its average.
    Peer("dog", "sgd", DOG, 1.0, "constant", 0.0, SURFACE),
    Peer("dog momentum", "momentum", DOG, 1.0, "constant", 0.0, NETWORK),
    # Mechanic (Cutkosky et al. 2023) advises any schedule with any rate, 1 for instance.
    Peer("mechanic sgd linear", "sgd", MECHANIC_SGD, 1.0, "linear", 0.0, SURFACE),
    Peer("mechanic momentum linear", "momentum", MECHANIC_MOMENTUM, 1.0, "linear", WARM_UP, BOTH),
    Peer("mechanic adamw linear", "adamw", MECHANIC_ADAMW, 1.0, "linear", WARM_UP, BOTH),
    # MoMo (Schaipp et al. 2023), with a momentum of .9 by itself, takes the loss to be bounded by 0: the only
    # method that is told how far there is to go. 1 and .01 are the advised rates.
    Peer("momo", "sgd", MOMO, 1.0, "constant", 0.0, SURFACE),
    Peer("momo given lr", "momentum", MOMO, None, "constant", 0.0, NETWORK),
    Peer("momo-adam", "adamw", MOMO_ADAM, 0.01, "constant", 0.0, SURFACE),
    Peer("momo-adam given lr", "adamw", MOMO_ADAM, None, "constant", 0.0, NETWORK),
)
"""Rows of: name, family, optimizer, lr, schedule, its warm-up, what it races on."""
