"""Roles of accounts: every one can be asked for by its name."""

from __future__ import annotations

from typing import get_args

from apportion.model.account import Role, RoleName


def test_every_role_has_the_name_that_callers_say() -> None:
    assert set(get_args(RoleName)) == {"", *(role.value for role in Role)}
