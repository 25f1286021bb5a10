"""Credit: may it start, and who stands for it.

Owns: the factors of trust, the prediction, the limit it allows, fitting a model; a payer's trail of statements and
payments; in which order a share is drawn. Does not own: reading the books, changing a credit line, holds, sending
reminders.
"""

from apportion.stages.credit.factors import FACTORS, Factor, features
from apportion.stages.credit.fitting import auc, fit
from apportion.stages.credit.trail import Trail, due_at
from apportion.stages.credit.trust import (
    check_model,
    decide,
    explain,
    limit,
    model_version,
    paid_volume,
    predict,
    wordless,
)

__all__ = [
    "FACTORS",
    "Factor",
    "Trail",
    "auc",
    "check_model",
    "decide",
    "due_at",
    "explain",
    "features",
    "fit",
    "limit",
    "model_version",
    "paid_volume",
    "predict",
    "wordless",
]
