"""The paper's experiments, re-run: pairs × scalers × attacks × defenses, judged by the field's definitions."""

from .classifier import Network, load_network, train
from .defenses import DEFENSES, Defense, Linear, register_defense
from .figures import plot_curves, plot_heat
from .formats import FORMATS, SUFFIXES
from .options import DEFAULT_SCALERS, Attack, Job, Options, Settings, jobs_of
from .pairs import PAPER_RATIOS, Pair, draw_pairs, pair_images
from .records import Record, Verdict, read_records
from .run import described, evaluate
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
    "Job",
    "Linear",
    "Network",
    "Options",
    "Pair",
    "Rate",
    "Record",
    "Result",
    "Settings",
    "Verdict",
    "alarms",
    "described",
    "draw_pairs",
    "evaluate",
    "feasible",
    "jobs_of",
    "judge",
    "load_network",
    "pair_images",
    "plot_curves",
    "plot_heat",
    "pooled",
    "read_records",
    "register_defense",
    "summarise",
    "train",
]
