"""The verifier: every kind of broken schedule, one by one, and against the slow reference."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.mutations import random_mutation
from support.plain import make_instance, make_schedule
from support.reference import broken_rules
from support.sizes import examples
from support.tiny import feasible_cases, random_feasible_schedule, random_tiny_instance

from torta_opt.allocation.instance.rules import MAX_COUNT
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.schedule.verify import DESCRIBED, RULES, verify
from torta_opt.io import VerificationFailed

EAST, WEST = 0, 1
SMALL, LARGE = 0, 1
CHAT, CODE, DRAFT = 0, 1, 2  # chat and draft need the small model, code the large one
BIG, LITE = 0, 1  # lite servers hold the small model only, and serve chat only
START, STOP, SWITCH = 1, 2, 3

# Four servers: 0 east big, 1 east lite, 2 west big, 3 west lite (down in slot 2); 45 s slots.
# West may not send to east. Deadlines: chat 1 slot, code 3, draft 0.
INSTANCE = make_instance(
    [
        # east chat, code, draft; west chat, code, draft
        [[10, 0, 2], [0, 4, 0]],
        [[2, 5, 0], [2, 0, 0]],
        [[1, 0, 0], [0, 1, 0]],
        [[0, 0, 0], [5, 0, 0]],
        [[0, 0, 0], [0, 0, 0]],
    ],
    models=2,
    types=2,
    class_model=[SMALL, LARGE, SMALL],
    deadline_slots=[1, 3, 0],
    latency_s=[[0.01, 0.05], [np.nan, 0.01]],
    server_region=[EAST, EAST, WEST, WEST],
    server_type=[BIG, LITE, BIG, LITE],
    server_ms=[[5000, 15_000, 9000], [10_000, 0, 0]],
    service_s=[[1.0, 2.0, 1.0], [1.5, np.nan, np.nan]],
    start_ms=[[60_000, 100_000], [0, -1]],
    switch_ms=[[30_000, 60_000], [0, -1]],
    down=[(2, 3)],
    initial={"model": [SMALL, -1, LARGE, SMALL], "loading_ms": [0, 0, 30_000, 0]},
)
FEASIBLE = make_schedule(
    INSTANCE,
    moves=[(0, EAST, WEST, CHAT, 2)],
    commands=[
        (0, 1, "start", SMALL),
        (1, 0, "switch", LARGE),  # 0 s usable in slot 1, 30 s in slot 2
        (3, 1, "stop", None),
        (3, 2, "switch", SMALL),  # 15 s usable in slot 3
        (3, 3, "start", SMALL),
        (4, 0, "stop", None),
    ],
    processing=[
        (0, 0, CHAT, 4),
        (0, 0, DRAFT, 2),
        (0, 1, CHAT, 4),
        (0, 2, CODE, 1),  # 15 s usable: 30 s of loading were left
        (0, 3, CHAT, 2),
        (1, 1, CHAT, 2),
        (1, 2, CODE, 3),
        (1, 3, CHAT, 1),  # leaves one chat in the west, which expires with slot 2
        (2, 0, CODE, 2),
        (2, 1, CHAT, 1),
        (2, 2, CODE, 1),
        (3, 0, CODE, 3),
        (3, 2, CHAT, 3),
        (3, 3, CHAT, 1),  # leaves one chat in the west for slot 4
        (4, 2, CHAT, 1),
    ],
)

Change = tuple[str, tuple[int, ...], int]


def add(table: str, *cell_and_amount: int) -> Change:
    *cell, amount = cell_and_amount
    return table, tuple(cell), int(getattr(FEASIBLE, table)[tuple(cell)]) + amount


def routing(*cell_and_amount: int) -> Change:
    return add("routing", *cell_and_amount)


def processing(*cell_and_amount: int) -> Change:
    return add("processing", *cell_and_amount)


def command(t: int, s: int, told: int, model: int = -1) -> list[Change]:
    return [("command", (t, s), told), ("command_model", (t, s), model)]


@dataclass(frozen=True)
class Broken:
    """A way to break ``FEASIBLE``: what is changed, the rules it breaks, words of the message."""

    name: str
    rules: str
    words: tuple[str, ...]
    changes: list[Change]

    def schedule(self) -> Schedule:
        tables = {
            name: getattr(FEASIBLE, name).copy()
            for name in ("routing", "command", "command_model", "processing")
        }
        for table, cell, value in self.changes:
            tables[table][cell] = value
        return replace(FEASIBLE, **tables)


BROKEN = [
    # --- routing
    Broken(
        "a request is not routed",
        "routing-balance",
        ("slot 1", "'west'", "'chat'", "1", "2"),
        [routing(1, WEST, WEST, CHAT, -1)],
    ),
    Broken(
        "a request is routed twice",
        "routing-balance",
        ("slot 0", "'east'", "'chat'", "11", "10"),
        [routing(0, EAST, WEST, CHAT, 1)],
    ),
    Broken(
        "a request that did not arrive is routed",
        "routing-balance",
        ("slot 4", "'west'", "'draft'", "1", "0"),
        [routing(4, WEST, WEST, DRAFT, 1)],
    ),
    Broken(
        "requests are routed a slot late",
        "routing-balance",
        ("slot 1", "'east'", "'code'"),
        [routing(1, EAST, EAST, CODE, -3), routing(2, EAST, EAST, CODE, 3)],
    ),
    Broken(
        "requests change class on the way",
        "routing-balance",
        ("slot 1", "'west'", "'chat'"),
        [routing(1, WEST, WEST, CHAT, -1), routing(1, WEST, WEST, DRAFT, 1)],
    ),
    Broken(
        "nothing is routed in a slot",
        "routing-balance queue-empty",
        ("slot 2", "'east'", "'chat'"),
        [("routing", (2, EAST, EAST, CHAT), 0), ("routing", (2, WEST, WEST, CODE), 0)],
    ),
    Broken(
        "a negative route is balanced by another",
        "routing-negative",
        ("slot 2", "'west'", "'east'", "'chat'", "-1"),
        [routing(2, WEST, EAST, CHAT, -1), routing(2, WEST, WEST, CHAT, 1)],
    ),
    Broken(
        "a route holds more requests than any file may",
        "routing-negative",
        ("slot 2", "'east'", "'chat'", str(MAX_COUNT + 1)),
        [routing(2, EAST, EAST, CHAT, MAX_COUNT)],
    ),
    Broken(
        "counts overflow 64 bits",
        "routing-negative",
        ("slot 2", "'east'", "'chat'"),
        [("routing", (2, EAST, EAST, CHAT), 2**63 - 1), ("routing", (2, EAST, WEST, CHAT), 2)],
    ),
    Broken(
        "a request crosses a forbidden pair",
        "routing-forbidden",
        ("slot 1", "'west'", "'east'", "'chat'"),
        [routing(1, WEST, EAST, CHAT, 1), routing(1, WEST, WEST, CHAT, -1)],
    ),
    # --- commands
    Broken("command 4", "command-unknown", ("slot 0", "'server-0'", "4"), command(0, 0, 4)),
    Broken("command −1", "command-unknown", ("slot 1", "'server-3'", "-1"), command(1, 3, -1)),
    Broken(
        "an unknown command with a model",
        "command-unknown",
        ("slot 2", "'server-1'", "9"),
        command(2, 1, 9, SMALL),
    ),
    Broken(
        "a down server is started",
        "command-down",
        ("slot 2", "'server-3'", "down"),
        command(2, 3, START, SMALL),
    ),
    Broken(
        "a down server is stopped",
        "command-down",
        ("slot 2", "'server-3'", "down"),
        command(2, 3, STOP),
    ),
    Broken(
        "a down server is switched",
        "command-down",
        ("slot 2", "'server-3'", "down"),
        command(2, 3, SWITCH, SMALL),
    ),
    Broken(
        "a ready server is started",
        "start-not-off",
        ("slot 0", "'server-0'", "'small'"),
        command(0, 0, START, LARGE),
    ),
    Broken(
        "a ready server is started with the model it has",
        "start-not-off",
        ("slot 0", "'server-3'", "'small'"),
        command(0, 3, START, SMALL),
    ),
    Broken(
        "a server that loads since before slot 0 is started",
        "start-not-off",
        ("slot 0", "'server-2'", "30000 ms"),
        command(0, 2, START, SMALL),
    ),
    Broken(
        "a server is started twice",
        "start-not-off",
        ("slot 1", "'server-1'"),
        command(1, 1, START, SMALL),
    ),
    Broken(
        "an off server is stopped",
        "stop-not-ready",
        ("slot 4", "'server-1'", "off"),
        command(4, 1, STOP),
    ),
    Broken(
        "a loading server is stopped",
        "stop-not-ready",
        ("slot 0", "'server-2'", "loading"),
        command(0, 2, STOP),
    ),
    Broken(
        "a server is stopped again in the slot after its outage",
        "stop-not-ready processing-off",
        ("slot 3", "'server-3'", "off"),
        command(3, 3, STOP),
    ),
    Broken(
        "an off server is switched",
        "switch-not-ready",
        ("slot 4", "'server-1'", "off"),
        command(4, 1, SWITCH, SMALL),
    ),
    Broken(
        "a loading server is switched",
        "switch-not-ready",
        ("slot 2", "'server-0'", "15000 ms"),
        command(2, 0, SWITCH, SMALL),
    ),
    Broken(
        "a loading server is switched to the model it loads",
        "switch-not-ready",
        ("slot 2", "'server-0'", "loading"),
        command(2, 0, SWITCH, LARGE),
    ),
    Broken(
        "a server is switched instead of started after its outage",
        "switch-not-ready processing-off",
        ("slot 3", "'server-3'", "off"),
        command(3, 3, SWITCH, SMALL),
    ),
    Broken(
        "a server is switched to the model it has",
        "switch-same-model",
        ("slot 0", "'server-0'", "'small'"),
        command(0, 0, SWITCH, SMALL),
    ),
    Broken(
        "a start names no model",
        "model-missing",
        ("slot 4", "'server-1'", "loads model -1", "does not exist"),
        command(4, 1, START),
    ),
    Broken(
        "a start names a model beyond the last",
        "model-missing",
        ("slot 4", "'server-1'", "loads model 2", "does not exist"),
        command(4, 1, START, 2),
    ),
    Broken(
        "a switch names no model",
        "model-missing",
        ("slot 4", "'server-3'", "-1"),
        command(4, 3, SWITCH),
    ),
    Broken(
        "a switch names model −2",
        "model-missing",
        ("slot 4", "'server-3'", "-2"),
        command(4, 3, SWITCH, -2),
    ),
    Broken(
        "a stop names a model",
        "model-missing",
        ("slot 4", "'server-0'", "model 1 without start or switch"),
        command(4, 0, STOP, LARGE),
    ),
    Broken(
        "no command, but a model",
        "model-missing",
        ("slot 1", "'server-2'", "model 0 without start or switch"),
        command(1, 2, 0, SMALL),
    ),
    Broken(
        "a start with a model the type cannot hold",
        "model-unheld",
        ("slot 4", "'server-1'", "'large'"),
        command(4, 1, START, LARGE),
    ),
    Broken(
        "a switch to a model the type cannot hold",
        "model-unheld",
        ("slot 4", "'server-3'", "'large'"),
        command(4, 3, SWITCH, LARGE),
    ),
    Broken(
        "a wrong state and a wrong model at once",
        "start-not-off model-unheld",
        ("slot 1", "'server-3'", "ready"),
        command(1, 3, START, LARGE),
    ),
    # --- processing
    Broken(
        "a negative count",
        "processing-negative",
        ("slot 2", "'server-1'", "'draft'", "-1"),
        [processing(2, 1, DRAFT, -1)],
    ),
    Broken(
        "a negative count frees time for others",
        "processing-negative",
        ("slot 0", "'server-0'", "'code'", "-1"),
        [processing(0, 0, CODE, -1), processing(0, 0, CHAT, 2)],
    ),
    Broken(
        "a count beyond what any file may hold",
        "processing-negative",
        ("slot 1", "'server-1'", "'chat'", str(MAX_COUNT + 2)),
        [processing(1, 1, CHAT, MAX_COUNT)],
    ),
    Broken(
        "a down server works",
        "processing-off",
        ("slot 2", "'server-3'", "'chat'", "down"),
        [processing(2, 3, CHAT, 1)],
    ),
    Broken(
        "a server works as if its outage had not turned it off",
        "processing-off",
        ("slot 3", "'server-3'", "'chat'", "off"),
        command(3, 3, 0),
    ),
    Broken(
        "a server works in the slot in which it is stopped",
        "processing-off",
        ("slot 2", "'server-1'", "'chat'", "off"),
        [*command(2, 1, STOP), *command(3, 1, 0)],
    ),
    Broken(
        "a server is started a slot late",
        "processing-off",
        ("slot 0", "'server-1'", "'chat'", "off"),
        [*command(0, 1, 0), *command(1, 1, START, SMALL)],
    ),
    Broken(
        "a server works in a slot it loads through",
        "processing-loading",
        ("slot 1", "'server-0'", "'code'", "loading"),
        [processing(1, 0, CODE, 1), processing(3, 0, CODE, -1)],
    ),
    Broken(
        "a switched server still serves its old model",
        "processing-loading",
        ("slot 1", "'server-0'", "'chat'"),
        [processing(1, 0, CHAT, 1), processing(1, 1, CHAT, -1)],
    ),
    Broken(
        "a class of another model",
        "processing-model",
        ("slot 1", "'server-2'", "'chat'", "'large'"),
        [processing(1, 2, CHAT, 1), processing(1, 2, CODE, -1)],
    ),
    Broken(
        "a switch that was never commanded",
        "processing-model",
        ("slot 2", "'server-0'", "'code'", "'small'"),
        command(1, 0, 0),
    ),
    Broken(
        "a class the type cannot serve",
        "processing-incompatible",
        ("slot 0", "'server-1'", "'draft'"),
        [processing(0, 1, DRAFT, 1), processing(0, 0, DRAFT, -1)],
    ),
    Broken(
        "one request too many for a whole slot",
        "processing-capacity",
        ("slot 0", "'server-1'", "50000 ms", "45000 ms"),
        [processing(0, 1, CHAT, 1), processing(0, 0, CHAT, -1)],
    ),
    Broken(
        "two classes together take too long",
        "processing-capacity",
        ("slot 0", "'server-0'", "48000 ms", "45000 ms"),
        [processing(0, 0, CHAT, 2), processing(0, 1, CHAT, -2)],
    ),
    Broken(
        "more than the loading time of a switch leaves",
        "processing-capacity",
        ("slot 2", "'server-0'", "45000 ms", "30000 ms"),
        [processing(2, 0, CODE, 1), processing(3, 0, CODE, -1)],
    ),
    Broken(
        "more than the initial loading time leaves",
        "processing-capacity",
        ("slot 0", "'server-2'", "30000 ms", "15000 ms"),
        [processing(0, 2, CODE, 1), processing(1, 2, CODE, -1)],
    ),
    Broken(
        "a switch a slot later than the work allows",
        "processing-capacity",
        ("slot 3", "'server-0'", "45000 ms", "30000 ms"),
        [*command(1, 0, 0), *command(2, 0, SWITCH, LARGE), processing(2, 0, CODE, -2)],
    ),
    # --- queues
    Broken(
        "one request is processed twice",
        "queue-empty",
        ("slot 4", "'west'", "'chat'", "2", "1"),
        [processing(4, 3, CHAT, 1)],
    ),
    Broken(
        "a request is processed before it arrives",
        "queue-empty",
        ("slot 1", "'east'", "'chat'", "3", "2"),
        [processing(1, 1, CHAT, 1), processing(2, 1, CHAT, -1)],
    ),
    Broken(
        "a request is processed after it expired",
        "queue-empty",
        ("slot 2", "'east'", "'chat'", "4", "3"),
        [
            processing(0, 0, CHAT, -1),
            processing(1, 1, CHAT, -2),
            processing(2, 1, CHAT, 3),
        ],
    ),
    Broken(
        "a request is processed in the region it left",
        "queue-empty",
        ("slot 0", "'east'", "'chat'", "8", "7"),
        [routing(0, EAST, EAST, CHAT, -1), routing(0, EAST, WEST, CHAT, 1)],
    ),
    Broken(
        "a server takes from another region's queue",
        "queue-empty",
        ("slot 1", "'east'", "'chat'", "3", "2"),
        [processing(1, 1, CHAT, 1), processing(1, 3, CHAT, -1)],
    ),
    Broken(
        "another class is there, but not this one",
        "queue-empty",
        ("slot 0", "'east'", "'draft'", "3", "2"),
        [processing(0, 0, DRAFT, 1), processing(0, 0, CHAT, -2)],
    ),
]
SHAPES = {
    "a slot is missing": {"routing": FEASIBLE.routing[:-1]},
    "a region is missing": {"routing": FEASIBLE.routing[:, :, :1]},
    "classes are missing from routing": {"routing": FEASIBLE.routing[..., 0]},
    "a server has no command": {"command": FEASIBLE.command[:, :-1]},
    "a slot has no models": {"command_model": FEASIBLE.command_model[1:]},
    "a class too many is processed": {"processing": np.zeros((5, 4, 4), int)},
    "servers and slots are swapped": {"processing": FEASIBLE.processing.swapaxes(0, 1)},
    "a region has no forecast": {"forecast": np.zeros((5, 1))},
    "there is nothing": {"routing": np.zeros((0, 2, 2, 3), int)},
}


class TestByHand:
    def test_the_schedule_that_is_broken_below_is_feasible(self):
        found = verify(INSTANCE, FEASIBLE)
        assert found.ok
        assert (found.violations, found.count) == ((), 0)
        assert broken_rules(INSTANCE, FEASIBLE) == set()
        found.raise_if_broken("schedule.json")

    def test_enough_kinds(self):
        assert len(BROKEN) + len(SHAPES) >= 60
        covered = {rule for broken in BROKEN for rule in broken.rules.split()} | {"shape"}
        assert covered == set(RULES)

    @pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
    def test_broken(self, broken: Broken):
        schedule, rules = broken.schedule(), set(broken.rules.split())
        found = verify(INSTANCE, schedule)
        assert not found.ok
        assert set(found.counts) == {violation.rule for violation in found.violations} == rules
        first = found.violations[0]
        assert first.message.startswith(f"slot {first.slot}: ")
        assert [word for word in broken.words if word not in first.message] == []
        huge = max(schedule.routing.max(), schedule.processing.max()) > MAX_COUNT
        assert huge or broken_rules(INSTANCE, schedule) == rules

    @pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
    def test_every_message_names_slot_and_place(self, broken: Broken):
        for violation in verify(INSTANCE, broken.schedule()).violations:
            assert violation.message.startswith(f"slot {violation.slot}: ")
            assert "'" in violation.message.split(": ", 1)[1]

    @pytest.mark.parametrize("name", SHAPES)
    def test_shape(self, name: str):
        schedule = replace(FEASIBLE, **SHAPES[name])
        found = verify(INSTANCE, schedule)
        (field,) = SHAPES[name]
        assert set(found.counts) == {"shape"}
        assert [(v.slot, v.message.split()[0]) for v in found.violations] == [(0, field)]
        assert found.count == 1
        assert broken_rules(INSTANCE, schedule) == {"shape"}


class TestReport:
    @staticmethod
    def many() -> Schedule:
        """The east's lite server draws 9 requests of each class from nowhere in every slot."""
        done = FEASIBLE.processing.copy()
        done[:, 1] = 9
        return replace(FEASIBLE, processing=done)

    def test_all_are_counted_and_the_first_described(self):
        found = verify(INSTANCE, self.many())
        # code is a class of another model in slots 0, 1, 2; draft cannot be served in those; the
        # server is off in slots 3 and 4 (three classes each); 90 s of chat fit in no slot
        assert found.counts == {
            "processing-model": 3,
            "processing-incompatible": 3,
            "processing-off": 6,
            "processing-capacity": 3,
            "queue-empty": 3,  # of each class the first slot
        }
        assert found.count == 18
        described = [violation.rule for violation in found.violations]
        assert described.count("processing-off") == DESCRIBED
        slots = [violation.slot for violation in found.violations]
        assert slots == sorted(slots)

    def test_error_names_file_rule_and_the_rest(self):
        with pytest.raises(VerificationFailed) as caught:
            verify(INSTANCE, self.many()).raise_if_broken("mine.json")
        first = verify(INSTANCE, self.many()).violations[0]
        assert str(caught.value) == f"mine.json: {first.rule}: {first.message} (and 17 more)"
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("server", "rule", "end"),
        [(3, "queue-empty", "1 wait there"), (0, "processing-off", "more)")],
    )
    def test_error_of_one_and_of_two_violations(self, server: int, rule: str, end: str):
        done = FEASIBLE.processing.copy()
        done[4, server, CHAT] = 1  # server 3 is ready, server 0 is off: and neither has a request
        with pytest.raises(VerificationFailed) as caught:
            verify(INSTANCE, replace(FEASIBLE, processing=done)).raise_if_broken("mine.json")
        assert str(caught.value).startswith(f"mine.json: {rule}: slot 4: ")
        assert str(caught.value).endswith(end)

    def test_the_largest_count_is_a_count(self):
        full = make_instance(
            [[[MAX_COUNT]]], slot_ms=MAX_COUNT, server_ms=1, initial={"model": [0]}
        )
        assert verify(full, make_schedule(full, processing=[(0, 0, 0, MAX_COUNT)])).ok


def mutated(case, seed: int, times: int):
    instance, schedule = case
    rng = np.random.default_rng(seed)
    for _ in range(times):
        schedule = random_mutation(instance, schedule, rng)
    return instance, schedule


class TestAgainstReference:
    @settings(max_examples=examples(150))
    @given(feasible_cases())
    def test_a_feasible_schedule_breaks_no_rule(self, case):
        assert verify(*case).violations == ()
        assert broken_rules(*case) == set()

    @settings(max_examples=examples(400))
    @given(feasible_cases(), st.integers(0, 2**32 - 1), st.integers(1, 3))
    def test_the_same_rules_are_broken(self, case, seed, times):
        instance, schedule = mutated(case, seed, times)
        assert set(verify(instance, schedule).counts) == broken_rules(instance, schedule)

    @pytest.mark.slow
    def test_the_same_rules_are_broken_on_many_seeds(self):
        for seed in range(20_000):
            rng = np.random.default_rng(seed)
            instance = random_tiny_instance(rng)
            schedule = random_feasible_schedule(instance, rng)
            assert verify(instance, schedule).ok, f"seed {seed}"
            for _ in range(3):
                schedule = random_mutation(instance, schedule, rng)
                found = set(verify(instance, schedule).counts)
                assert found == broken_rules(instance, schedule), f"seed {seed}"

    def test_random_mutations_break_every_rule(self):
        """The comparison means something only if its cases break each rule, and some break none."""
        broken = dict.fromkeys(RULES, 0)
        del broken["shape"]
        untouched = 0
        for seed in range(2500):
            rng = np.random.default_rng(seed)
            instance = random_tiny_instance(rng)
            schedule = random_feasible_schedule(instance, rng)
            codes = broken_rules(instance, random_mutation(instance, schedule, rng))
            untouched += not codes
            for code in codes - {"shape"}:
                broken[code] += 1
            if min(broken.values()) >= 5 and untouched >= 50:
                break
        assert min(broken.values()) >= 5, broken
        assert untouched >= 50
