"""From a method and a path to the operation of the table."""

from __future__ import annotations

from apportion.engine.operations import OPERATIONS, Operation
from apportion.faces.api.problems import Declined

_ID_MAX = 120
_EXACT: dict[str, dict[str, Operation]] = {}
_WITH_ID: dict[tuple[str, str], dict[str, Operation]] = {}
for _operation in OPERATIONS:
    assert _operation.roles, f"{_operation.name} declares no permission"
    _before, _mark, _after = _operation.path.partition("{id}")
    if _mark:
        _WITH_ID.setdefault((_before, _after), {})[_operation.method] = _operation
    else:
        _EXACT.setdefault(_before, {})[_operation.method] = _operation


def find(method: str, path: str) -> tuple[Operation, str]:
    """The operation at an address, and the id in it.

    Raises:
        Declined: there is none, or it takes another method.
    """
    found, id = _EXACT.get(path), ""
    if found is None:
        for (before, after), methods in _WITH_ID.items():
            if path.startswith(before) and path.endswith(after):
                id = path[len(before) : len(path) - len(after)]
                if id and "/" not in id and len(id) <= _ID_MAX:
                    found = methods
                    break
    if found is None:
        raise Declined("no_route", "", "See /docs for all addresses.")
    if method not in found:
        allowed = ", ".join(sorted(found))
        raise Declined("method", f"It takes {allowed}.", "See /docs.", (("allow", allowed),))
    return found[method], id
