"""Two nodes on one database and one processor with two faces: refunds, chargebacks and cards are each taken once."""

from __future__ import annotations

import signal
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.faces.api.processor import fund, until
from tests.faces.api.till import Faces, clearing, paid, posted, refund, refunded, taking_node
from tests.postgres.server import dsn_of
from tests.postgres.test_payments import Database


def test_two_nodes_give_back_once_also_when_one_is_killed(tmp_path: Path) -> None:
    store: Any = Database(dsn_of())
    store.parent = tmp_path
    faces = Faces()
    one = taking_node(store, faces)
    fund(one, ada="tok_ok", ben="tok_ok")
    payments = {payer: paid(one, payer, "one", method="tok_refund_timeout") for payer in ("ada", "ben")}
    two = taking_node(store, faces)
    made = [refund(node, payments["ada"], "r", "6").json for node in (one, two)]
    assert made[0] == made[1]
    one.stop(signal.SIGKILL)
    one = taking_node(store, faces)
    assert refunded(one, made[0]["id"]) == refunded(two, made[0]["id"]) == "succeeded"
    faces.dispute(payments["ben"], "lost")
    until(lambda: [c["state"] for c in two.ask("GET", "/v1/chargebacks").json["data"]] == ["lost"])
    assert (posted(two, "ada"), posted(one, "ben")) == (19, 5)
    assert [one_["given"] for one_ in faces.refunds().values()] == [1]
    faces.do("POST", "/deposits")
    until(lambda: Decimal(clearing(two)["balance"]) == 0 and clearing(two)["remainders"] == [])
    assert one.stop() == 0 and two.stop() == 0
    faces.stop()
