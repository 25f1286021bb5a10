"""Money: assets, integer atoms, exact rationals, and the only places where either is rounded or split.

Owns: Asset, Money, Exact, rounding, allocation of atoms. Does not own: prices, accounts, who pays whom.
"""

from apportion.money.allocate import GRID, Split, allocate, common, hand_out, level, residues, settle, spread
from apportion.money.asset import Asset, parse_asset
from apportion.money.exact import Exact
from apportion.money.money import ATOMS_MAX, Money
from apportion.money.rounding import Rounding, quantize, round_to

__all__ = [
    "ATOMS_MAX",
    "Asset",
    "GRID",
    "Exact",
    "Money",
    "Rounding",
    "Split",
    "allocate",
    "common",
    "hand_out",
    "level",
    "parse_asset",
    "quantize",
    "residues",
    "settle",
    "round_to",
    "spread",
]
