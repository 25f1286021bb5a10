"""Rate: what usage costs, who earns the fee and who pays it.

Owns: pricing, portions of providers, shares of payers. Does not own: measuring, booking, statements.
"""

from apportion.stages.rate.allocate import Allocated, allocate_fee
from apportion.stages.rate.amounts import Amounts, charge_amounts
from apportion.stages.rate.apportion import Apportioned, by_cost_alone, by_weight, by_wholesale
from apportion.stages.rate.compose import Passed, composed, settled
from apportion.stages.rate.inverse import affordable, grantable
from apportion.stages.rate.least_cost import assign, capped_dues, share_capped
from apportion.stages.rate.linear import Linear, joined
from apportion.stages.rate.price import Pricer, compile_tariff
from apportion.stages.rate.priced import Priced, net_of

__all__ = [
    "Allocated",
    "Amounts",
    "Apportioned",
    "Linear",
    "Passed",
    "Priced",
    "Pricer",
    "affordable",
    "allocate_fee",
    "assign",
    "by_cost_alone",
    "by_weight",
    "by_wholesale",
    "charge_amounts",
    "compile_tariff",
    "composed",
    "capped_dues",
    "grantable",
    "joined",
    "net_of",
    "settled",
    "share_capped",
]
