"""The postman: each letter once as far as anybody can tell, tried again later, given up for ever, with what is gone."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest

from apportion.engine.billing import issue
from apportion.engine.engine import Engine
from apportion.engine.statements.postman import TRIES, Postman
from apportion.model.delivery import Letter, LetterLine
from apportion.model.party import Payer
from apportion.model.profile import Billing, Profile
from apportion.model.statement import Document
from tests.book import catalog
from tests.sessions import Proved
from tests.unit.engine.test_statement_forms import ride


class Port:
    """A mail server of the test's: what it answers, and what it took."""

    def __init__(self) -> None:
        self.answers: list[str | Exception] = []
        self.taken: list[Letter] = []

    async def send(self, write: Callable[[], Letter]) -> str:
        letter = write()
        answer = self.answers.pop(0) if self.answers else ""
        if isinstance(answer, Exception):
            raise answer
        if not answer:
            self.taken.append(letter)
        return answer


class AtOnce:
    """The outside, without a thread: what is submitted is done when it is asked for."""

    def submit(self, work: Callable[[], Coroutine[Any, Any, Any]], seconds: float, ended: Callable[..., None]) -> None:
        coroutine = work()
        try:
            coroutine.send(None)
        except StopIteration as done:
            ended(done.value, None)
        except Exception as error:
            ended(None, error)


class Post:
    """A payer who wants her statement by e-mail, and a postman."""

    def __init__(self) -> None:
        payer = Payer("ada", "EUR", credit="100", profile="mail", email="ada@example.org")
        found = msgspec.structs.replace(
            catalog(), payers={"ada": payer}, profiles={"mail": Profile("mail", billing=Billing(channel="email"))}
        )
        self.rig = Proved(found)
        self.engine = self.rig.engine
        self.port, self.alerts = Port(), list[str]()
        self.postman = Postman(self.engine, self.port, AtOnce(), self.write, written, self.alerts.append)
        self.engine.charge([ride(1, 3)])
        (self.bill, *_) = issue(self.engine, "2024-03", "ada")

    def write(self, note: Callable[[Engine], None]) -> None:
        note(self.engine)

    def line(self) -> LetterLine:
        (course,) = [one for one in self.engine.store.all_courses(self.engine.tenant) if one.id.startswith("ltr_")]
        return msgspec.json.decode(course.line, type=LetterLine)


def written(document: Document, address: str) -> Letter:
    return Letter(document.id, address, document.number, "text")


@pytest.fixture
def post() -> Post:
    return Post()


def test_a_statement_is_sent_once(post: Post) -> None:
    post.postman.look()
    post.postman.look()
    (letter,) = post.port.taken
    assert (letter.id, letter.to, post.line().state, post.line().due) == (post.bill.id, "ada@example.org", "sent", "")


def test_what_is_not_taken_is_sent_again_later(post: Post) -> None:
    post.port.answers = ["451", TimeoutError()]
    post.postman.look()
    assert (post.line().state, post.line().reason) == ("waiting", "451")
    post.postman.look()  # not due yet
    assert not post.port.taken and post.line().n == 3
    post.rig.clock.move(10)
    post.postman.look()
    assert post.line().reason == "timeouterror"
    post.rig.clock.move(60)
    post.postman.look()
    assert post.line().state == "sent" and len(post.port.taken) == 1 and not post.alerts


def test_what_is_refused_for_ever_is_told(post: Post) -> None:
    post.port.answers = ["550"]
    post.postman.look()
    assert (post.line().state, post.line().reason, post.alerts) == ("failed", "550", [post.bill.id])


def test_after_so_many_tries_it_is_given_up(post: Post) -> None:
    post.port.answers = ["421"] * TRIES
    for _ in range(TRIES):
        post.rig.clock.move(4000)
        post.postman.look()
    assert post.line().state == "failed" and len(post.alerts) == 1


def test_who_was_forgotten_gets_nothing(post: Post) -> None:
    post.engine.forget("ada")
    post.postman.look()
    assert (post.line().state, post.line().reason, post.port.taken) == ("failed", "forgotten", [])


def test_who_no_longer_wants_it_by_e_mail_gets_none(post: Post) -> None:
    payer = Payer("ada", "EUR", credit="100")
    post.engine.apply(msgspec.structs.replace(catalog(), payers={"ada": payer}))
    post.postman.look()
    assert (post.line().state, post.line().reason, post.port.taken) == ("failed", "no_address", [])


def test_a_letter_that_was_on_its_way_when_a_node_died_is_sent_again(post: Post) -> None:
    post.port.answers = [KeyboardInterrupt]  # type: ignore[list-item]

    class Dies(AtOnce):
        def submit(self, work: Any, seconds: float, ended: Callable[..., None]) -> None:
            work().close()  # the node is gone before anybody hears of it

    Postman(post.engine, post.port, Dies(), post.write, written).look()
    assert post.line().n == 2 and post.line().state == "waiting"
    post.port.answers = []
    post.postman.look()
    assert not post.port.taken  # it may still be on its way
    post.rig.clock.move(120)
    post.postman.look()
    assert post.line().state == "sent" and len(post.port.taken) == 1
