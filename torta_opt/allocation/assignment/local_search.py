"""Assignments of the generalized assignment problem repaired and improved, job by job."""

from __future__ import annotations

import numpy as np

from torta_opt.allocation.assignment.generalized import Generalized

FAR = 2**40  # of what does not fit


def repaired(problem: Generalized, chosen: np.ndarray, reduced: np.ndarray) -> np.ndarray | None:
    """An assignment near the agents' choices ``chosen`` (m, n); None if it does not work out.

    A job that several want goes where its ``reduced`` cost (m, n) is least; what is left is placed
    one by one, the job first that would lose most by its second choice.
    """
    wanted = chosen.any(axis=0)
    agent = np.where(wanted, np.where(chosen, reduced, FAR).argmin(axis=0), -1)
    jobs = np.arange(len(agent))
    room = problem.capacity.copy()
    np.subtract.at(room, agent[wanted], problem.need[agent[wanted], jobs[wanted]])
    left = np.flatnonzero(~wanted).tolist()
    while left:
        usd = np.where(problem.need[:, left] <= room[:, None], reduced[:, left], FAR)
        order = np.sort(usd, axis=0)
        second = order[1] if len(order) > 1 else np.full(len(left), FAR)
        n = int(np.argmax(second - order[0] + np.where(order[0] >= FAR, FAR, 0)))
        i = int(usd[:, n].argmin())
        if usd[i, n] >= FAR:
            return None
        agent[left[n]] = i
        room[i] -= problem.need[i, left[n]]
        del left[n]
    return agent


def improved(problem: Generalized, agent: np.ndarray) -> np.ndarray:
    """The same with jobs moved, and pairs of jobs swapped, as long as that pays."""
    agent, price, need = agent.copy(), problem.price, problem.need
    jobs = np.arange(len(agent))
    room = problem.capacity.copy()
    np.subtract.at(room, agent, need[agent, jobs])
    while True:
        here = price[agent, jobs]
        gain = np.where(need <= room[:, None], here - price, -FAR)
        i, j = np.unravel_index(int(gain.argmax()), gain.shape)
        if gain[i, j] > 0:
            room[agent[j]] += need[agent[j], j]
            room[i] -= need[i, j]
            agent[j] = i
            continue
        own = need[agent, jobs]
        into = need[agent][:, jobs]  # [a, b]: need of job b at the agent of a
        cost = price[agent][:, jobs]
        space = room[agent] + own
        fits = (into <= space[:, None]) & (into.T <= space[None, :])
        both = here[:, None] + here[None, :] - cost - cost.T
        both = np.where(fits & (agent[:, None] != agent[None, :]), both, -FAR)
        a, b = np.unravel_index(int(both.argmax()), both.shape)
        if both[a, b] <= 0:
            return agent
        room[agent[a]] += own[a] - into[a, b]
        room[agent[b]] += own[b] - into[b, a]
        agent[a], agent[b] = agent[b], agent[a]
