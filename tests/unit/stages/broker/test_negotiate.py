"""The pieces of a negotiation: mandates, tactics, legal moves, auctions, and what the agent does with them."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from apportion.errors import RefusalCode, Refused
from apportion.model.negotiation import (
    TACTICS,
    Accept,
    Answer,
    Brief,
    Counter,
    Issues,
    Mandate,
    Move,
    Negotiation,
    NegotiationState,
    Proposal,
    Side,
    Stance,
    Tactic,
    Talk,
    Walk,
)
from apportion.money import parse_asset
from apportion.stages.broker.bargaining.auction import first_offer, second_price
from apportion.stages.broker.bargaining.mandate import brief_of, ceiling, draw, even, fits, public, worth
from apportion.stages.broker.bargaining.moves import check, heard, is_live, moved, opened
from apportion.stages.broker.bargaining.negotiate import awarded, step
from apportion.stages.broker.bargaining.tactics import ONE, open_with, read_pace, respond, risen

SEED = bytes(range(32))
BRIEF = Brief(limit=1000, seed=SEED, began=0, ends=60_000, rounds=10)


def prices(tactic: Tactic, counters: int = 9, **stance: int | str) -> list[int | None]:
    """What a provider with cost 600 and list price 1,000 says to counter-offers of 100, 130, 160 …"""
    bargains = Stance(1000, 600, tactic, **{"rounds": 8, **stance})
    talk, answer = open_with(bargains, 0)
    said: list[int | None] = [answer.terms and answer.terms.amount]
    for number in range(counters):
        talk, answer = respond(bargains, talk, Counter("p", Proposal(100 + 30 * number)), 250 * number)
        said.append(answer.terms and answer.terms.amount)
    return said


@pytest.mark.parametrize(
    "tactic, said",
    [
        ("fixed", [1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, None]),
        ("linear", [1000, 950, 900, 850, 800, 750, 700, 650, 600, None]),
        ("boulware", [1000, 1000, 999, 993, 975, 939, 874, 766, 600, None]),
        ("conceder", [1000, 763, 718, 687, 664, 645, 628, 614, 600, None]),
        ("tit-for-tat", [1000, 1000, 970, 940, 910, 880, 850, 820, 600, None]),
    ],
)
def test_how_each_tactic_gives_way(tactic: Tactic, said: list[int | None]) -> None:
    assert prices(tactic) == said


@pytest.mark.parametrize("tactic", TACTICS)
def test_provider_accepts_what_it_would_offer_next_and_never_less(tactic: Tactic) -> None:
    stance = Stance(1000, 600, tactic, rounds=4)
    talk, _ = open_with(stance, 0)
    for amount in (999, 1000, 1200):
        _, answer = respond(stance, talk, Counter("p", Proposal(amount)), 1)
        if answer.kind == "accept":
            assert answer.terms is not None and answer.terms.amount == amount
    assert respond(stance, talk, Counter("p", Proposal(1000)), 1)[1].kind == "accept"
    called = Counter("p", Proposal(600), last=True)
    assert respond(stance, talk, called, 1)[1].kind == ("offer" if tactic == "fixed" else "accept")
    below = respond(stance, talk, Counter("p", Proposal(599), last=True), 1)[1]
    assert below.kind == "offer" and below.final
    assert below.terms is not None and below.terms.amount == (1000 if tactic == "fixed" else 600)


def test_provider_asks_for_more_quality_what_it_costs() -> None:
    stance = Stance(1000, 600, "linear", rounds=4, quality=500, top=800, per_point=2)
    talk, _ = open_with(stance, 0)
    _, answer = respond(stance, talk, Counter("p", Proposal(100, quality=900)), 1)
    assert answer == Answer("offer", Proposal(900 + 600, 800, until=60_001))
    _, answer = respond(stance, talk, Counter("p", Proposal(1100, quality=600)), 1)
    assert answer == Answer("accept", Proposal(1100, 600, until=60_001))
    _, answer = respond(stance, talk, Counter("p", Proposal(1099, quality=600)), 1)
    assert answer == Answer("offer", Proposal(1100, 600, until=60_001))


def test_provider_does_not_accept_what_it_can_not_deliver() -> None:
    stance = Stance(1000, 600, capacity=500, begin=5000)
    talk, _ = open_with(stance, 0)
    assert respond(stance, talk, Counter("p", Proposal(2000, capacity=501)), 1)[1].kind == "offer"
    assert respond(stance, talk, Counter("p", Proposal(2000, capacity=500, begin=4999)), 1)[1].kind == "offer"
    accepted = respond(stance, talk, Counter("p", Proposal(2000, capacity=400, begin=6000)), 1)[1]
    assert accepted.kind == "accept"
    assert accepted.terms == Proposal(2000, capacity=500, begin=6000, until=60_001)


def test_provider_goes_to_its_reserve_when_its_time_is_over_and_then_leaves() -> None:
    stance = Stance(1000, 600, "boulware", rounds=50, ends=1000)
    talk, _ = open_with(stance, 0)
    talk, half = respond(stance, talk, Counter("p", Proposal(1)), 500)
    talk, last = respond(stance, talk, Counter("p", Proposal(2)), 1500)
    assert half.terms is not None and half.terms.amount == 975 and not half.final
    assert last.terms is not None and last.terms.amount == 600 and last.final
    assert respond(stance, talk, Counter("p", Proposal(900)), 1501)[1].kind == "decline"


def test_provider_may_keep_a_part_of_its_room_when_called() -> None:
    stance = Stance(1000, 600, "boulware", keep=25)
    talk, _ = open_with(stance, 0)
    _, answer = respond(stance, talk, Counter("p", Proposal(1), last=True), 1)
    assert answer.terms is not None and answer.terms.amount == 700


@pytest.mark.parametrize(
    "stance, field",
    [
        (Stance(500, 600), "reserve"),
        (Stance(500, -1), "reserve"),
        (Stance(500, 400, rounds=0), "stance"),
        (Stance(500, 400, keep=101), "stance"),
        (Stance(500, 400, pace="0"), "pace"),
        (Stance(500, 400, pace="3.14"), "pace"),
        (Stance(500, 400, pace="9" * 30), "pace"),
    ],
)
def test_stance_that_contradicts_itself_is_refused(stance: Stance, field: str) -> None:
    with pytest.raises(Refused) as refused:
        open_with(stance, 0)
    assert refused.value.refusal.field == field and refused.value.refusal.fix


def test_powers_are_whole_numbers() -> None:
    assert [risen(part, 4, 1, 1) for part in range(5)] == [0, 250_000, 500_000, 750_000, ONE]
    assert risen(1, 2, 4, 1) == 62_500
    assert risen(1, 16, 1, 4) == 500_000
    assert risen(5, 4, 1, 1) == ONE
    assert read_pace("3") == (3, 1) and read_pace("0.5") == (1, 2) and read_pace("2.5") == (5, 2)


# ── the mandate ───────────────────────────────────────────────────────────────────────────────────


def test_mandate_is_read_into_atoms_and_instants() -> None:
    mandate = Mandate("12.50", Issues(2, 1), 5, 20, "2.5", 300, 900, "2026-11-20T12:00:00+01:00")
    brief = brief_of(mandate, parse_asset("EUR"), SEED, 1_790_000_000_000)
    assert brief.limit == 1250
    assert brief.ends - brief.began == 20_000
    assert brief.pace == (5, 2)
    assert brief.begin_by == 1_795_172_400_000
    assert (brief.rounds, brief.quality, brief.capacity, brief.weights) == (5, 300, 900, Issues(2, 1))


@pytest.mark.parametrize(
    "mandate, seed, field, code",
    [
        (Mandate("0"), SEED, "limit", RefusalCode.BAD_AMOUNT),
        (Mandate("-1"), SEED, "limit", RefusalCode.BAD_AMOUNT),
        (Mandate("1.234"), SEED, "limit", RefusalCode.BAD_AMOUNT),
        (Mandate("a lot"), SEED, "limit", RefusalCode.BAD_AMOUNT),
        (Mandate("1" * 30), SEED, "amount", RefusalCode.OVERFLOW),
        (Mandate("1", pace="slow"), SEED, "pace", RefusalCode.BAD_QUANTITY),
        (Mandate("1"), b"short", "seed", RefusalCode.BAD_QUANTITY),
        (Mandate("1", begin_by="tomorrow"), SEED, "begin_by", RefusalCode.BAD_TIME),
        (Mandate("1", begin_by="2026-11-20T12:00:00"), SEED, "begin_by", RefusalCode.BAD_TIME),
        (Mandate("1", begin_by="1969-11-20T12:00:00Z"), SEED, "begin_by", RefusalCode.BAD_TIME),
    ],
)
def test_mandate_that_can_not_be_kept_is_refused(mandate: Mandate, seed: bytes, field: str, code: RefusalCode) -> None:
    with pytest.raises(Refused) as refused:
        brief_of(mandate, parse_asset("EUR"), seed, 0)
    assert (refused.value.refusal.field, refused.value.refusal.code) == (field, code)


def test_reserve_is_two_to_eight_percent_and_spread() -> None:
    ceilings = [ceiling(replace(BRIEF, limit=10**9, seed=bytes([n]) * 16)) for n in range(256)]
    assert min(ceilings) >= 920_000_000 and max(ceilings) <= 980_000_000
    assert min(ceilings) < 925_000_000 and max(ceilings) > 975_000_000
    assert draw(SEED, "reserve", 60_001) == draw(SEED, "reserve", 60_001)
    assert draw(SEED, "reserve", 10**9) != draw(SEED, "threshold", 10**9)


def test_mandate_holds_on_every_issue() -> None:
    brief = replace(BRIEF, quality=500, capacity=800, begin_by=9000)
    good = Proposal(1000, 500, 800, 9000)
    assert fits(brief, good)
    for worse in ({"amount": 1001}, {"quality": 499}, {"capacity": 799}, {"begin": 9001}):
        assert not fits(brief, replace(good, **worse))


def test_worth_weighs_price_quality_and_time_and_not_the_limit() -> None:
    brief = replace(BRIEF, weights=Issues(1, 1, 1), begin_by=10_000)
    cheap, good = Proposal(800, 0), Proposal(1000, 300)
    assert worth(brief, good, 800) > worth(brief, cheap, 800)  # 0.3 of 800 is more than 200
    assert worth(BRIEF, good, 800) < worth(BRIEF, cheap, 800)
    assert worth(brief, replace(cheap, begin=5000), 800) < worth(brief, cheap, 800)
    assert worth(replace(brief, limit=1), good, 800) == worth(brief, good, 800)
    amount = even(brief, good, worth(brief, cheap, 800), 800)
    assert amount == 1039
    assert worth(brief, replace(good, amount=1039), 800) > worth(brief, cheap, 800)
    assert worth(brief, replace(good, amount=1040), 800) == worth(brief, cheap, 800)


@pytest.mark.parametrize("limit", [1, 7, 60, 130, 131, 400, 650, 653, 10**6])
def test_public_proposals_lie_below_the_ceiling_whatever_the_limit(limit: int) -> None:
    for number in range(200):
        brief = replace(BRIEF, limit=limit, seed=number.to_bytes(16))
        first, middle = public(brief, 1000, 0), public(brief, 1000, ONE)
        assert 0 <= first <= middle <= min(200, ceiling(brief))


# ── legal moves ───────────────────────────────────────────────────────────────────────────────────


def talks() -> Negotiation:
    """North offers 900 until 10,000, South has offered nothing, West has declined."""
    negotiation = opened(["north", "south", "west"], 0)
    answers = {"north": Answer("offer", Proposal(900, 500, until=10_000)), "west": Answer("decline")}
    return heard(negotiation, answers, 100)


@pytest.mark.parametrize(
    "move, field, code",
    [
        (Counter("east", Proposal(1)), "provider", RefusalCode.UNKNOWN_PROVIDER),
        (Counter("south", Proposal(1)), "provider", RefusalCode.CONFLICT),
        (Counter("west", Proposal(1)), "provider", RefusalCode.PLAN_ENDED),
        (Counter("north", Proposal(-1)), "amount", RefusalCode.BAD_AMOUNT),
        (Counter("north", Proposal(2**63)), "amount", RefusalCode.BAD_AMOUNT),
        (Counter("north", Proposal(1, quality=1001)), "quality", RefusalCode.BAD_QUANTITY),
        (Counter("north", Proposal(1, capacity=-1)), "capacity", RefusalCode.BAD_QUANTITY),
        (Counter("north", Proposal(1, until=200)), "until", RefusalCode.BAD_TIME),
        (Counter("north", Proposal(1, begin=2**60)), "begin", RefusalCode.BAD_TIME),
        (Counter("north", Proposal(900, 500)), "terms", RefusalCode.CONFLICT),
        (Counter("north", Proposal(950, 400)), "terms", RefusalCode.CONFLICT),
        (Accept("south", Proposal(900, 500)), "provider", RefusalCode.PLAN_ENDED),
        (Accept("north", Proposal(899, 500, until=10_000)), "terms", RefusalCode.CONFLICT),
        (Accept("north", Proposal(900, 501, until=10_000)), "terms", RefusalCode.CONFLICT),
        (Accept("north", Proposal(900, 500, until=10_001)), "terms", RefusalCode.CONFLICT),
    ],
)
def test_illegal_moves_are_refused_and_change_nothing(move: Move, field: str, code: RefusalCode) -> None:
    before = talks()
    with pytest.raises(Refused) as refused:
        moved(before, move, 200)
    refusal = refused.value.refusal
    assert (refusal.field, refusal.code) == (field, code) and refusal.fix


def test_counter_then_agreement_on_what_came_back() -> None:
    counter = Counter("north", Proposal(700, 500))
    negotiation = moved(talks(), counter, 200)
    assert (negotiation.round, negotiation.sides["north"].counters) == (1, 1)
    negotiation = heard(negotiation, {"north": Answer("offer", Proposal(800, 500, until=20_000))}, 300)
    assert check(negotiation, Accept("north", Proposal(900, 500, until=10_000)), 300) is not None
    end = moved(negotiation, Accept("north", Proposal(800, 500, until=20_000)), 400)
    assert (end.state, end.provider, end.terms) == (
        NegotiationState.AGREED, "north", Proposal(800, 500, until=20_000)
    )  # fmt: skip
    for late in (counter, Walk(), Accept("north", Proposal(800, 500, until=20_000))):
        with pytest.raises(Refused) as refused:
            moved(end, late, 500)
        assert refused.value.refusal.code is RefusalCode.PLAN_ENDED


def test_the_same_counter_is_stale_until_the_provider_moves() -> None:
    counter = Counter("north", Proposal(700, 500))
    negotiation = moved(talks(), counter, 200)
    for answer in ({}, {"north": Answer("offer", Proposal(900, 500, until=12_000))}):
        negotiation = heard(negotiation, answer, 250)
        refusal = check(negotiation, counter, 300)
        assert refusal is not None and refusal.code is RefusalCode.CONFLICT
    assert check(negotiation, Counter("north", Proposal(650, 500)), 300) is None  # less than before is allowed
    negotiation = heard(negotiation, {"north": Answer("offer", Proposal(880, 500, until=12_000))}, 350)
    assert check(negotiation, counter, 400) is None


def test_expired_offers_are_not_accepted_and_declining_takes_nothing_back() -> None:
    offer = Proposal(900, 500, until=10_000)
    assert check(talks(), Accept("north", offer), 9_999) is None
    refusal = check(talks(), Accept("north", offer), 10_000)
    assert refusal is not None and refusal.code is RefusalCode.PLAN_ENDED
    gone = heard(talks(), {"north": Answer("decline")}, 300)
    assert check(gone, Accept("north", offer), 400) is None
    assert moved(gone, Walk(), 400).state is NegotiationState.WALKED


def test_a_dearer_offer_does_not_replace_one_that_binds() -> None:
    dearer = {"north": Answer("offer", Proposal(950, 500, until=99_000))}
    assert heard(talks(), dearer, 300).sides["north"].offer == Proposal(900, 500, until=10_000)
    assert heard(talks(), dearer, 10_000).sides["north"].offer == Proposal(950, 500, until=99_000)
    better = {"north": Answer("offer", Proposal(950, 501, until=99_000))}
    assert heard(talks(), better, 300).sides["north"].offer == Proposal(950, 501, until=99_000)


@pytest.mark.parametrize(
    "answer",
    [
        Answer("offer"),
        Answer("offer", Proposal(-1)),
        Answer("offer", Proposal(2**70)),
        Answer("offer", Proposal(1, quality=5000)),
        Answer("accept", Proposal(1)),
    ],
)
def test_nonsense_neither_wins_nor_harms(answer: Answer) -> None:
    assert heard(talks(), {"north": answer, "stranger": answer, "west": answer}, 100) == talks()


# ── without bargaining ────────────────────────────────────────────────────────────────────────────


def test_second_price_auction() -> None:
    bids = {"a": Proposal(700), "b": Proposal(600), "c": Proposal(1001)}
    assert second_price(BRIEF, bids) == second_price(BRIEF, dict(reversed(bids.items())))
    award = second_price(BRIEF, bids)
    assert award is not None and (award.provider, award.terms.amount) == ("b", 700)
    alone = second_price(BRIEF, {"b": Proposal(600), "c": Proposal(1001)})
    assert alone is not None and alone.terms.amount == 1000
    assert second_price(BRIEF, {"c": Proposal(1001)}) is None and second_price(BRIEF, {}) is None
    tie = second_price(BRIEF, {"b": Proposal(600), "a": Proposal(600)})
    assert tie is not None and (tie.provider, tie.terms.amount) == ("a", 600)


def test_second_price_counts_quality_by_its_weight() -> None:
    brief = replace(BRIEF, weights=Issues(1, 1))
    award = second_price(brief, {"a": Proposal(600, 200), "b": Proposal(700, 500)})
    assert award is not None and (award.provider, award.terms.amount) == ("b", 780)  # 0.3 of 600 above a


def test_first_offer_takes_the_best_that_fits() -> None:
    offers = {"a": Proposal(700), "b": Proposal(690, capacity=999), "c": Proposal(1001)}
    award = first_offer(BRIEF, offers)
    assert award is not None and (award.provider, award.terms.amount) == ("a", 700)
    assert first_offer(BRIEF, {"c": Proposal(1001)}) is None


def test_modes_of_an_operator_look_at_what_stands() -> None:
    answers = {"a": Answer("offer", Proposal(700, until=50)), "b": Answer("offer", Proposal(800))}
    negotiation = heard(opened("ab", 0), answers, 1)
    for mode, now, provider, amount in (
        ("first-offer", 10, "a", 700), ("first-offer", 50, "b", 800), ("second-price", 10, "a", 800),
        ("second-price", 50, "b", 1000),
    ):  # fmt: skip
        award = awarded(mode, BRIEF, negotiation, now)
        assert award is not None and (award.provider, award.terms.amount) == (provider, amount)
    assert awarded("rounds", BRIEF, negotiation, 10) is None


# ── the agent ─────────────────────────────────────────────────────────────────────────────────────


def bargain(brief: Brief, stances: dict[str, Stance]) -> Negotiation:
    """A whole negotiation, a quarter of a second a round."""
    met: dict[str, tuple[Talk, Answer]] = {name: open_with(stance, 0) for name, stance in stances.items()}
    memory = {name: talk for name, (talk, _) in met.items()}
    answers = {name: answer for name, (_, answer) in met.items()}
    negotiation, now = opened(stances, 0), 0
    while negotiation.state is NegotiationState.OPEN:
        now += 250
        negotiation, moves = step(brief, negotiation, answers, now)
        answers = {}
        for move in moves:
            if isinstance(move, Counter):
                memory[move.provider], answers[move.provider] = respond(
                    stances[move.provider], memory[move.provider], move, now
                )
    return negotiation


def test_agent_gets_the_lowest_reserve_of_those_that_compete() -> None:
    end = bargain(BRIEF, {"a": Stance(1400, 700, "boulware", 20), "b": Stance(1300, 650, "boulware", 20)})
    assert (end.state, end.provider) == (NegotiationState.AGREED, "b")
    assert end.terms is not None and end.terms.amount == 650


def test_agent_walks_away_when_nobody_comes_down_to_the_limit() -> None:
    end = bargain(BRIEF, {"a": Stance(1400, 1001), "b": Stance(1300, 1100, "conceder")})
    assert end.state is NegotiationState.WALKED and end.terms is None
    assert bargain(BRIEF, {"a": Stance(1400, 1000)}).terms is not None


def test_agent_accepts_up_to_the_limit_but_never_proposes_it() -> None:
    end = bargain(BRIEF, {"a": Stance(1200, 1000, "boulware", 30)})
    assert end.terms is not None and end.terms.amount == 1000
    counter = end.sides["a"].counter
    assert counter is not None and counter.last and counter.terms.amount <= ceiling(BRIEF) <= 980


def test_last_proposal_keeps_the_reserve_of_the_seed() -> None:
    for number in range(50):
        brief = replace(BRIEF, seed=number.to_bytes(16), limit=100_000)
        end = bargain(brief, {"a": Stance(150_000, 120_000, "fixed", 30)})
        counter = end.sides["a"].counter
        assert end.state is NegotiationState.WALKED and counter is not None
        assert counter.terms.amount == ceiling(brief) and 92_000 <= ceiling(brief) <= 98_000


def test_agent_prefers_the_better_value_by_its_weights() -> None:
    stances = {"cheap": Stance(900, 600, quality=300), "good": Stance(1000, 700, quality=900)}
    assert bargain(BRIEF, stances).provider == "cheap"
    assert bargain(replace(BRIEF, weights=Issues(1, 1)), stances).provider == "good"
    assert bargain(replace(BRIEF, weights=Issues(10, 1)), stances).provider == "cheap"
    assert bargain(replace(BRIEF, weights=Issues(1, 1), limit=650), stances).provider == "cheap"
    assert bargain(replace(BRIEF, quality=301), stances).provider == "good"


def test_agent_prefers_who_begins_earlier_when_time_counts() -> None:
    stances = {"cheap": Stance(900, 600, begin=90_000), "soon": Stance(1000, 700, begin=10_000)}
    brief = replace(BRIEF, begin_by=100_000)
    assert bargain(brief, stances).provider == "cheap"
    assert bargain(replace(brief, weights=Issues(1, 0, 1)), stances).provider == "soon"
    assert bargain(replace(brief, begin_by=50_000), stances).provider == "soon"


def test_agent_never_asks_one_for_more_than_its_best_alternative() -> None:
    """North stands at 500 for good: whatever is proposed to South would be better than that."""
    negotiation = opened(["north", "south"], 0)
    answers = {"north": Answer("offer", Proposal(500)), "south": Answer("offer", Proposal(900))}
    now = 0
    while negotiation.state is NegotiationState.OPEN:
        now += 250
        negotiation, moves = step(BRIEF, negotiation, answers, now)
        assert all(move.terms.amount < 500 for move in moves if isinstance(move, Counter))
        answers = {}
    assert (negotiation.provider, negotiation.terms) == ("north", Proposal(500))


def test_agent_takes_a_final_offer_before_it_is_gone() -> None:
    negotiation, _ = step(BRIEF, opened(["a", "b"], 0), {"b": Answer("offer", Proposal(990))}, 250)
    final = {"a": Answer("offer", Proposal(800, until=600), final=True)}
    negotiation, moves = step(BRIEF, negotiation, final, 500)
    assert moves == (Accept("a", Proposal(800, until=600)),)
    assert negotiation.state is NegotiationState.AGREED


def test_agent_ends_when_its_time_is_over_or_nobody_is_left() -> None:
    negotiation, moves = step(BRIEF, opened(["a"], 0), {"a": Answer("decline")}, 250)
    assert moves == (Walk("nobody is left"),) and negotiation.state is NegotiationState.WALKED
    negotiation, moves = step(BRIEF, opened(["a"], 0), {}, 60_000)
    assert moves == (Walk("the time is over"),)
    assert step(BRIEF, negotiation, {"a": Answer("offer", Proposal(1))}, 60_001) == (negotiation, ())
    silent = opened(["a"], 0)
    for round in range(BRIEF.rounds):
        silent, moves = step(BRIEF, silent, {}, 250 * round)
        assert moves == ()
    assert step(BRIEF, silent, {}, 2600)[1] == (Walk("the time is over"),)


def test_one_round_is_enough_to_agree() -> None:
    end = bargain(replace(BRIEF, rounds=1), {"a": Stance(1200, 900, "linear", 20)})
    assert end.terms is not None and 900 <= end.terms.amount <= 980


def test_live_is_until_the_instant() -> None:
    assert is_live(Proposal(1), 10**13) and is_live(Proposal(1, until=5), 4)
    assert not is_live(Proposal(1, until=5), 5) and not is_live(None, 0)
    assert Side().offer is None
