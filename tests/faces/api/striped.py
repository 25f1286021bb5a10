"""localstripe in a process of its own, and a node that takes cards by it with the Stripe SDK."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path
from typing import Any

from tests.faces.api.nodes import NodeProcess

KEY, SECRET = "sk_test_12345", "whsec_localstripe"
OK, DECLINED_AT_ATTACH = "4242424242424242", "4000000000000002"
DECLINED, AUTHENTICATION = "4000000000000341", "4000002500003155"


class LocalStripe:
    """A server that speaks as Stripe does."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "localstripe", "--port", str(self.port), "--from-scratch"]
        self._process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert time.monotonic() < end, "localstripe did not start"
                time.sleep(0.05)

    def ask(self, method: str, path: str, **form: Any) -> Any:
        """One request with a form, as a browser or another program of ours would send it."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {"authorization": f"Bearer {KEY}", "content-type": "application/x-www-form-urlencoded"}
        line.request(method, path, urllib.parse.urlencode(form) if form else None, headers)
        content = line.getresponse().read()
        line.close()
        return json.loads(content)

    def listen(self, node: NodeProcess) -> None:
        """Send the node what happens."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        form = {"url": f"{node.url}/v1/processors/stripe/events", "secret": SECRET}
        headers = {"content-type": "application/x-www-form-urlencoded", "authorization": f"Bearer {KEY}"}
        line.request("POST", "/_config/webhooks/ours", urllib.parse.urlencode(form), headers)
        answer = line.getresponse()
        assert answer.status < 300, answer.read()
        line.close()

    def method(self, number: str) -> str:
        """A payment method as the processor's own script makes it of a card that a person types."""
        card = {"card[number]": number, "card[exp_month]": "12", "card[exp_year]": "2030", "card[cvc]": "123"}
        return str(self.ask("POST", "/v1/payment_methods", type="card", **card)["id"])

    def intents(self) -> list[Any]:
        return list(self.ask("GET", "/v1/payment_intents?limit=100")["data"])

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(10)


def striped_node(store: Path, stripe: LocalStripe, *words: str) -> NodeProcess:
    """A node that takes cards by it."""
    secrets = {"APPORTION_PAYMENTS_KEY": KEY, "APPORTION_PAYMENTS_SECRET": SECRET}
    os.environ.update(secrets)
    try:
        node = NodeProcess(
            store, "--payments", f"stripe+{stripe.url}", "--payment-call", "5", "--payment-pause", "1",
            "--allow-private-addresses", *words,
        )  # fmt: skip
    finally:
        for name in secrets:
            del os.environ[name]
    kept = store.parent / "operator"
    if node.first_key:
        kept.write_text(node.first_key)
    node.first_key = kept.read_text()
    stripe.listen(node)
    return node
