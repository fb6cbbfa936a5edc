"""A profile: how fast one replica of a model serves requests, at one or more loads.

A *replica* is one copy of the model on ``gpus`` GPUs, whatever runs on them (tensor parallel,
prefill and decode apart). Every figure of a load point belongs to one replica; times are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from torta_opt.io import InvalidInput

BASES = {
    "measured": "measured on hardware",
    "modelled": "computed by a performance model or a simulator",
    "stated": "stated by the user",
    "mock": "a load test of a fake server: the numbers mean nothing",
}
LITTLE_RATIO = 3.0  # requests in flight ÷ (rate × latency); lengths and warm-up move it a little


@dataclass(frozen=True)
class LoadPoint:
    """A replica under one load.

    input_tokens, output_tokens    mean lengths of the requests
    requests_per_s    requests that it finished per second
    latency_s         mean time of a request from arrival to its last token, without the network
    ttft_s, tpot_s    mean time to the first token and between the following; None: not known
    concurrency       requests in flight that the file states; None: it does not
    source            file, and row or entry in it
    """

    input_tokens: float
    output_tokens: float
    requests_per_s: float
    latency_s: float
    ttft_s: float | None
    tpot_s: float | None
    concurrency: float | None
    source: str

    def __post_init__(self) -> None:
        for name in ("input_tokens", "output_tokens", "requests_per_s", "latency_s"):
            value = getattr(self, name)
            if not 0 < value < 1e9:
                raise InvalidInput(f"must be positive, found {value:g}", f"{self.source}: {name}")
        for name in ("ttft_s", "tpot_s", "concurrency"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1e9:
                raise InvalidInput(f"must not be negative: {value:g}", f"{self.source}: {name}")
        if self.ttft_s is not None and self.ttft_s > self.latency_s * 1.01:
            raise InvalidInput(
                f"is {self.ttft_s:g} s, more than the latency of the whole request, "
                f"{self.latency_s:g} s: one of the two is in another unit (ms for s?)",
                f"{self.source}: ttft",
            )
        self._check_in_flight()

    def _check_in_flight(self) -> None:
        """Little's law: requests in flight = rate × latency; a wrong unit breaks it."""
        if not self.concurrency:
            return
        found = self.requests_per_s * self.latency_s / self.concurrency
        if 1 / LITTLE_RATIO <= found <= LITTLE_RATIO:
            return
        raise InvalidInput(
            f"{self.requests_per_s:.4g} requests a second of {self.latency_s:.4g} s each are "
            f"{self.requests_per_s * self.latency_s:.4g} in flight, but the file says "
            f"{self.concurrency:g}: {_hint(found)}",
            self.source,
        )


@dataclass(frozen=True)
class Profile:
    """Load points of one model on one kind of replica.

    gpu, gpus    type of GPU, and how many of them one replica takes
    basis        a key of ``BASES``
    kind         the importer that read it
    notes        what a reader should know: choices, omissions
    """

    model: str
    gpu: str
    gpus: int
    basis: str
    kind: str
    engine: str
    points: tuple[LoadPoint, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.basis not in BASES:
            raise InvalidInput(f"must be one of {', '.join(BASES)}", field="basis")
        if not 1 <= self.gpus <= 100_000:
            raise InvalidInput(f"must lie in [1, 100000], found {self.gpus}", field="gpus")
        if not self.points:
            raise InvalidInput("holds no load point", field=f"{self.model} on {self.label}")

    @property
    def label(self) -> str:
        """The replica as a server type: ``4xH100``, or ``L4`` for one GPU."""
        return type_label(self.gpu, self.gpus)


def type_label(gpu: str, gpus: int) -> str:
    return gpu if gpus == 1 else f"{gpus}x{gpu}"


def _hint(found: float) -> str:
    """What a ratio of about this size usually comes from."""
    guesses = {
        1000.0: "the latency is in ms, not in s",
        0.001: "the latency is in s where ms were expected",
        60.0: "the rate is per minute, not per second",
        1 / 60: "the rate is per second where a rate per minute was expected",
    }
    for ratio, guess in guesses.items():
        if 1 / 3 < found / ratio < 3:
            return f"probably {guess}"
    if found > 1:
        return "is this the rate of several replicas? set replicas"
    return "is this the rate of one GPU, or of a part of the replica?"
