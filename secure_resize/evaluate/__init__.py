"""The paper's experiments, re-run: pairs × scalers × attacks × defenses, judged by the field's definitions."""

from .classifier import Network, load_network, train
from .defenses import DEFENSES, Defense, Linear, get_defense, register_defense
from .figures import plot_curves, plot_heat
from .formats import FORMATS, SUFFIXES
from .options import DEFAULT_SCALERS, Attack, Options, Task, plan
from .pairs import PAPER_RATIOS, Pair, draw_pairs, pair_images
from .run import described, evaluate, read_records
from .summary import Rate, Result, alarms, feasible, pooled, summarise
from .verdicts import judge

__all__ = [
    "DEFAULT_SCALERS",
    "DEFENSES",
    "FORMATS",
    "PAPER_RATIOS",
    "SUFFIXES",
    "Attack",
    "Defense",
    "Linear",
    "Network",
    "Options",
    "Pair",
    "Rate",
    "Result",
    "Task",
    "alarms",
    "described",
    "draw_pairs",
    "evaluate",
    "feasible",
    "get_defense",
    "judge",
    "load_network",
    "pair_images",
    "plan",
    "plot_curves",
    "plot_heat",
    "pooled",
    "read_records",
    "register_defense",
    "summarise",
    "train",
]
