"""E-mail: by which mail server a node sends statements to payers who want them so."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from apportion.errors import Misconfigured

if TYPE_CHECKING:
    from apportion.faces.api.node import Node

_PASSWORD = "APPORTION_SMTP_PASSWORD"


@Parameter(name="*")
@dataclass(frozen=True)
class Mailing:
    """By which mail server statements are sent, and from whom."""

    smtp: Annotated[
        str,
        Parameter(
            help="A mail server for statements, such as smtp://user@mail.example.org:587; its password is read from "
            f"{_PASSWORD}. None when not given."
        ),
    ] = ""
    smtp_from: Annotated[str, Parameter(help="The address that statements are sent from.")] = ""

    def begin(self, node: Node, *, private: bool) -> None:
        """Let a node send statements, when there is a mail server.

        Raises:
            Misconfigured: its address is none that may be called, or nobody is named as the sender.
        """
        from apportion.wiring import open_mail

        if self.smtp and "@" not in self.smtp_from:
            raise Misconfigured("--smtp needs --smtp-from, such as billing@example.org.")
        if self.smtp:
            node.mail_by(open_mail(self.smtp, self.smtp_from, os.environ.get(_PASSWORD, ""), private=private))


MAILING = Mailing()
