"""Links of a placement, and the cheapest chain against trying them all."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from support.placement_reference import Reference
from support.small_placement import hosting, instances, placements

from torta_opt.placement.instance.data import NO_SERVER
from torta_opt.placement.instance.document import instance_to_document
from torta_opt.placement.schedule.chains import INFINITE, chains_of, cheapest_chain
from torta_opt.placement.schedule.performance import path_ms, prices


def test_links_by_hand():
    chains = chains_of(hosting((0, 2), (1, 3), (2, 2), (0, 0)), 4)
    assert set(chains.links) == {(NO_SERVER, 0, 2), (0, 1, 2), (0, 2, 2)}
    assert chains.is_last == (False, True, True, False)


def test_no_chain():
    chains = chains_of(hosting((0, 2), (3, 1)), 4)
    assert chains.cheapest(np.zeros(len(chains.links))) == (INFINITE, ())
    assert chains_of(hosting((0, 0)), 4).cheapest([]) == (INFINITE, ())


@given(st.data())
def test_all_chains_are_those_of_the_reference(data):
    instance = data.draw(instances(most_servers=4))
    placement = data.draw(placements(instance))
    chains = chains_of(placement, instance.llm.blocks)
    reference = Reference(instance_to_document(instance))
    hosts = list(zip(placement.first.tolist(), placement.count.tolist(), strict=True))
    found = list(chains.all_chains())
    assert len(found) == len(set(found))
    assert set(found) == set(reference.chains(hosts))


@given(st.data())
def test_the_cheapest_is_the_least_of_all(data):
    instance = data.draw(instances())
    placement = data.draw(placements(instance))
    chains = chains_of(placement, instance.llm.blocks)
    paid = prices(instance)
    total, chain = chains.cheapest(chains.prices_of(paid.visit[0], paid.block))
    costs = {}
    for each in chains.all_chains():
        ends = [0, *(int(placement.end[j]) for j in each)]
        blocks = [after - before for before, after in itertools.pairwise(ends)]
        costs[each] = sum(path_ms(paid, 0, each, blocks))
    assert total == min(costs.values(), default=INFINITE)
    if chain:
        assert costs[chain] == total


def test_what_is_paid_at_the_end_counts():
    chains = chains_of(hosting((0, 2), (0, 2)), 2)
    assert cheapest_chain(chains.links, chains.is_last, [1.0, 2.0])[1] == (0,)
    total, chain = cheapest_chain(chains.links, chains.is_last, [1.0, 2.0], [5.0, 1.0])
    assert (total, chain) == (3.0, (1,))


def test_equal_ends_are_not_linked():
    assert chains_of(hosting((0, 4), (2, 2)), 4).links == ((NO_SERVER, 0, 4),)
