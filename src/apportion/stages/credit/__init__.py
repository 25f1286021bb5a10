"""Credit: may it start, and who stands for it.

Owns: the factors of trust, the prediction, the limit it allows, fitting a model. Does not own: reading the books,
changing a credit line, holds, dunning.
"""

from apportion.stages.credit.factors import FACTORS, Factor, features
from apportion.stages.credit.fitting import auc, fit
from apportion.stages.credit.trust import decide, explain, limit, model_version, paid_volume, predict

__all__ = [
    "FACTORS",
    "Factor",
    "auc",
    "decide",
    "explain",
    "features",
    "fit",
    "limit",
    "model_version",
    "paid_volume",
    "predict",
]
