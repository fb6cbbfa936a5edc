"""A second opinion on the placement family, written from the formulas, slow and plain.

Reads the files' content (documents), not the package's classes: a mistake in the classes, in the
way to the file or in the arithmetic shows as a difference. All sums are exact fractions.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

Document = dict[str, Any]
Host = tuple[int, int]  # first block, number of blocks
Chain = tuple[int, ...]


class Reference:
    """One instance, from its document."""

    def __init__(self, document: Document):
        self.document = document
        kinds = {kind["name"]: kind for kind in document["types"]}
        self.kind = [kinds[server["type"]] for server in document["servers"]]
        self.server = {server["name"]: j for j, server in enumerate(document["servers"])}
        self.client = {client["name"]: c for c, client in enumerate(document["clients"])}
        self.memory = [server["memory_bytes"] for server in document["servers"]]
        self.blocks: int = document["llm"]["blocks"]
        self.block_bytes: int = document["llm"]["block_bytes"]
        tokens = document["input_tokens"] + document["output_tokens"]
        self.cache_bytes: int = document["llm"]["cache_bytes_per_token"] * tokens
        self.tokens: int = document["output_tokens"]
        self.requests = [client["requests"] for client in document["clients"]]

    def request_s(self, client: int, chain: Chain, hosts: list[Host]) -> Fraction:
        """Σ_j [t^I + k τ^I] + (l − 1) Σ_j [t + k τ] + start, in seconds."""
        links = self.document["links"]
        total = Fraction(self.document["delays"]["start_ms"])
        done = 0
        for j in chain:
            used = sum(hosts[j]) - done
            done = sum(hosts[j])
            total += Fraction(links["prompt_ms"][client][j])
            total += used * Fraction(self.kind[j]["prefill_ms"])
            total += (self.tokens - 1) * Fraction(links["token_ms"][client][j])
            total += (self.tokens - 1) * used * Fraction(self.kind[j]["decode_ms"])
        return total / 1000

    def token_s(self, client: int, chain: Chain, hosts: list[Host]) -> Fraction:
        """Σ_j [t + k τ], in seconds: one token after the first."""
        done, total = 0, Fraction(0)
        for j in chain:
            used = sum(hosts[j]) - done
            done = sum(hosts[j])
            total += Fraction(self.document["links"]["token_ms"][client][j])
            total += used * Fraction(self.kind[j]["decode_ms"])
        return total / 1000

    def holds_all(self, chain: Chain, hosts: list[Host]) -> bool:
        """Whether the servers, run to their ends, process every block once and in order."""
        done = 0
        for j in chain:
            first, count = hosts[j]
            if not (first <= done and done < first + count):
                return False
            done = first + count
        return done == self.blocks

    def used_memory(self, routed: list[Chain], hosts: list[Host]) -> list[int]:
        used = [count * self.block_bytes for _, count in hosts]
        for chain in routed:
            done = 0
            for j in chain:
                used[j] += (sum(hosts[j]) - done) * self.cache_bytes
                done = sum(hosts[j])
        return used

    def cost_s(self, schedule: Document) -> Fraction:
        """Σ over requests of a schedule document."""
        hosts = [(0, 0)] * len(self.server)
        for host in schedule["hosts"]:
            hosts[self.server[host["server"]]] = (host["first"], host["count"])
        total = Fraction(0)
        for route in schedule["routes"]:
            chain = tuple(self.server[name] for name in route["servers"])
            client = self.client[route["client"]]
            total += route["requests"] * self.request_s(client, chain, hosts)
        return total

    def broken(self, schedule: Document) -> set[str]:
        """Names of the rules a schedule document breaks."""
        hosts, rules = [(0, 0)] * len(self.server), set()
        for host in schedule["hosts"]:
            j = self.server[host["server"]]
            hosts[j] = (host["first"], host["count"])
            if sum(hosts[j]) > self.blocks:
                rules.add("span")
            most = self.kind[j]["most_blocks"]
            if most is not None and host["count"] > most:
                rules.add("limit")
        routed = [0] * len(self.client)
        chains: list[Chain] = []
        for route in schedule["routes"]:
            chain = tuple(self.server[name] for name in route["servers"])
            routed[self.client[route["client"]]] += route["requests"]
            chains += [chain] * route["requests"]
            if not self.holds_all(chain, hosts):
                rules.add("route")
        if routed != self.requests:
            rules.add("demand")
        used = self.used_memory(chains, hosts)
        if any(use > memory for use, memory in zip(used, self.memory, strict=True)):
            rules.add("memory")
        return rules

    def placements(self) -> Iterator[list[Host]]:
        """Every placement that fits into memory without any cache."""
        options = []
        for j in range(len(self.memory)):
            most = self.kind[j]["most_blocks"]
            most = self.blocks if most is None else min(most, self.blocks)
            most = min(most, self.memory[j] // self.block_bytes)
            spans = [(a, m) for m in range(1, most + 1) for a in range(self.blocks - m + 1)]
            options.append([(0, 0), *spans])
        for hosts in itertools.product(*options):
            yield list(hosts)

    def chains(self, hosts: list[Host]) -> list[Chain]:
        """Every sequence of different servers that holds all blocks, by trying them all."""
        servers = range(len(hosts))
        return [
            chain
            for length in range(1, len(hosts) + 1)
            for chain in itertools.permutations(servers, length)
            if self.holds_all(chain, hosts)
        ]

    def best_routing(self, hosts: list[Host]) -> Fraction | None:
        """The least cost of all ways to route under ``hosts``; None if there is none."""
        chains = self.chains(hosts)
        wanted = [c for c, requests in enumerate(self.requests) for _ in range(requests)]
        best = None
        for routed in itertools.product(chains, repeat=len(wanted)):
            used = self.used_memory(list(routed), hosts)
            if any(use > memory for use, memory in zip(used, self.memory, strict=True)):
                continue
            pairs = zip(wanted, routed, strict=True)
            cost = sum((self.request_s(c, chain, hosts) for c, chain in pairs), Fraction(0))
            best = cost if best is None else min(best, cost)
        return best

    def optimum(self) -> Fraction | None:
        """The least cost of all placements and routings; None if the instance is infeasible."""
        found = (self.best_routing(hosts) for hosts in self.placements())
        return min((cost for cost in found if cost is not None), default=None)
