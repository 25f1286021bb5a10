"""Statement: what a payer is shown and asked for, from charges already booked.

Owns: composing, minor units, rendering. Does not own: prices, booking, the payment itself.
"""

from apportion.stages.statement.compose import Heading, Stated, compose_remittance, compose_statement
from apportion.stages.statement.figures import amount_of, day, decimals, grouped, price_of, quantity, span
from apportion.stages.statement.render import as_csv, as_text
from apportion.stages.statement.tally import PayerTally, ProviderTally, atoms_of
from apportion.stages.statement.told import Manner
from apportion.stages.statement.words import Words

__all__ = [
    "Heading",
    "Manner",
    "PayerTally",
    "ProviderTally",
    "Stated",
    "Words",
    "amount_of",
    "as_csv",
    "as_text",
    "atoms_of",
    "compose_remittance",
    "compose_statement",
    "day",
    "decimals",
    "grouped",
    "price_of",
    "quantity",
    "span",
]
