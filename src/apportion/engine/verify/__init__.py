"""The proof: everything that the books say, computed again from an export or a copied store.

Owns: the chain, the balance of the books, the rating of every charge, the derived tables. Does not own: any write.
"""

from apportion.engine.verify.exported import verify_export
from apportion.engine.verify.stored import verify_store
from apportion.engine.verify.verdict import Finding, Outside, Verdict

__all__ = ["Finding", "Outside", "Verdict", "verify_export", "verify_store"]
