"""The contract of a problem family: all that ``api``, ``gap`` and the command line ask of one.

A family is a package with the same rooms as the others (instance, schedule, formulations, bounds,
search, policies) and one object that derives from ``Family``. ``families.FAMILIES`` names the
families of this package; the entry-point group ``torta_opt.families`` adds others.

    instance ── method ──▶ Found ── verify, evaluate ──▶ Result
        └────── bound ───▶ BoundResult, which no schedule may cost less than
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from torta_opt.io.errors import InvalidInput
from torta_opt.results import (
    Attribution,
    BoundResult,
    Check,
    Evaluation,
    Foresight,
    Found,
    Verification,
)

if TYPE_CHECKING:
    from torta_opt.solvers.problem import Limits, Progress
    from torta_opt.symbolic import SymbolicProgram

Path = str | os.PathLike[str]
Document = dict[str, Any]
Facts = dict[str, Any]
Watch = Callable[[str, int, int], None]  # what is being done, steps done, steps in all
SolverWatch = Callable[["Progress"], Any]  # samples of a run: verified cost, proved bound, time

AUTO = "auto"  # the bound that the family chooses itself
FLOOR = "floor"  # the bound in closed form, which every family has


def unwatched(step: str, done: int, total: int) -> None:
    """The callback that does nothing."""


@dataclass(frozen=True, eq=False)
class Request:
    """What a method or a bound is asked for, beside the instance.

    Attributes
    ----------
    seed : int
        Seed of all random numbers.
    limits : Limits or None
        Limits of the whole run; None: those of the method.
    start : object or None
        A schedule of the instance to start from.
    constraints : sequence
        Constraints of the user; a bound then holds for schedules that satisfy them.
    watch : callable
        Called with the current step, the number of finished steps and the number of all steps.
    solver_watch : callable or None
        Called with samples of a solver's run.
    known : BoundResult or None
        A bound of the instance that is already proved, for methods that continue from it.
    options : mapping
        What the method takes beside all this, by name; most take nothing.
    """

    seed: int = 0
    limits: Limits | None = None
    start: Any = None
    constraints: Sequence[Any] = ()
    watch: Watch = unwatched
    solver_watch: SolverWatch | None = None
    known: BoundResult | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """A method that finds schedules: a policy or an offline method.

    Attributes
    ----------
    summary : str
        One line on what it does.
    solve : callable
        ``solve(instance, request)`` returns a ``Found``. It raises Infeasible if there is no
        schedule, LimitReached if a limit left none, and MethodFailed if the code of a third party
        fails.
    takes : frozenset of str
        Which of ``start``, ``constraints``, ``limits`` and ``gap`` it can use.
    by_default : bool
        Whether it runs if no method is named.
    knows_future : bool
        Whether it sees the whole horizon before the first decision.
    """

    summary: str
    solve: Callable[[Any, Request], Found]
    takes: frozenset[str] = frozenset()
    by_default: bool = True
    knows_future: bool = False


def lazily(target: str) -> Callable[[Any, Request], Any]:
    """The function ``module:name`` of this package, which is loaded when it is first called.

    ``lazily("allocation.bounds.lp:compute")`` costs nothing until a bound is asked for.
    """
    return partial(_call, target)


def _call(target: str, instance: Any, request: Request) -> Any:
    module, _, name = target.partition(":")
    return getattr(import_module(f"torta_opt.{module}"), name)(instance, request)


@dataclass(frozen=True)
class BoundMethod:
    """A method that proves bounds: a summary, and ``compute(instance, request)``.

    ``statistical`` methods estimate what no policy beats on average over futures; no single
    schedule is held to them, and a gap cannot be computed from them. ``takes`` names the options
    of a request that a method uses.
    """

    summary: str
    compute: Callable[[Any, Request], BoundResult]
    statistical: bool = False
    takes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Attributes
    ----------
    name : str
        The value of the field ``format``.
    version : int
        The newest version, which is written.
    read : callable
        ``read(document)`` for instances, ``read(document, instance)`` for files about an instance.
    write : callable or None
        The reverse: ``write(object)`` or ``write(object, instance)`` returns a document. None if
        the package only reads such files.
    schema : callable
        Returns the JSON Schema.
    """

    name: str
    version: int
    read: Callable[..., Any]
    write: Callable[..., Document] | None
    schema: Callable[[], Document]

    def document(self, *content: Any) -> Document:
        """What ``write`` makes of an object, of a kind of file that the package writes."""
        assert self.write is not None, f"{self.name} files are only read"
        return self.write(*content)


@dataclass(frozen=True)
class Preset:
    """A named instance.

    Attributes
    ----------
    summary : str
        One line on what it is.
    make : callable
        ``make(seed=…, **parameters)`` returns the instance.
    bundled : bool
        Whether the instance comes with the package, in ``instances/``.
    as_text : bool
        Whether its file is plain JSON, for people to read.
    """

    summary: str
    make: Callable[..., Any]
    bundled: bool = True
    as_text: bool = False


class Family(ABC):
    """A problem family: the contract that ``api``, ``gaps`` and the command line rely on.

    Instances have a ``name``; schedules a ``method`` and a ``seed``, which may be None. ``formats``
    has ``instance``, ``schedule`` and ``bound``, ``bounds`` has ``floor``, and ``methods`` the
    default.

    Attributes
    ----------
    name : str
        Name of the family, also in the format names ``torta-opt/…``.
    unit : str
        Unit of its costs.
    default_method : str
        The method of ``solve`` if none is named.
    """

    name: ClassVar[str]
    unit: ClassVar[str]
    default_method: ClassVar[str]

    # --- data -----------------------------------------------------------------------------------

    @property
    @abstractmethod
    def instance_type(self) -> type: ...

    @property
    @abstractmethod
    def schedule_type(self) -> type: ...

    @property
    def constraint_type(self) -> type | None:
        """Of a user's own constraints; None if the family has none."""
        return None

    @property
    @abstractmethod
    def formats(self) -> Mapping[str, Format]:
        """By kind of file: ``instance``, ``schedule``, ``bound``, and others."""

    @property
    @abstractmethod
    def presets(self) -> Mapping[str, Preset]: ...

    def has_preset(self, name: str) -> bool:
        return name in self.presets

    def generate(self, preset: str, seed: int = 0, **parameters: Any) -> Any:
        """The instance of a preset, with other parameters. Raises InvalidInput."""
        return self.presets[preset].make(seed=seed, **parameters)

    # --- methods --------------------------------------------------------------------------------

    @property
    @abstractmethod
    def methods(self) -> Mapping[str, Method]:
        """Methods by name, in the order in which they are listed."""

    def method(self, name: str) -> Method:
        """The method that ``name`` stands for, parameters included. Raises InvalidInput."""
        if name not in self.methods:
            known = ", ".join(self.methods)
            raise InvalidInput(f"{name!r:.60} is not a method; known: {known}", field="method")
        return self.methods[name]

    @property
    def starts(self) -> Mapping[str, Callable[[Any, Request], Any]]:
        """Schedules to start from that the family makes itself, by name."""
        return {}

    @property
    @abstractmethod
    def bounds(self) -> Mapping[str, BoundMethod]: ...

    @abstractmethod
    def bound(self, instance: Any, method: str, request: Request) -> BoundResult:
        """The bound that ``method`` proves; ``AUTO`` chooses one. Raises InvalidInput."""

    # --- the referee ----------------------------------------------------------------------------

    @abstractmethod
    def verify(self, instance: Any, schedule: Any) -> Verification: ...

    @abstractmethod
    def evaluate(self, instance: Any, schedule: Any) -> Evaluation: ...

    @abstractmethod
    def check(self, instance: Any, kind: str, document: Document) -> Check:
        """Check the content of a schedule file or a bound file of an instance."""

    # --- for people -----------------------------------------------------------------------------

    @abstractmethod
    def describe(self, instance: Any) -> Facts:
        """The facts about an instance, as one JSON document.

        It has ``instance``, the name, and ``description`` and ``warnings`` where there are any.
        """

    @abstractmethod
    def described(self, facts: Facts) -> dict[str, str]:
        """The same facts in lines: title → text."""

    @abstractmethod
    def size(self, instance: Any) -> tuple[Facts, str]:
        """The size of an instance: as fields of a document, and in words."""

    def warnings(self, instance: Any) -> list[str]:
        """Values of an instance that are legal but unusual, one line each."""
        return []

    # --- what a family may have -----------------------------------------------------------------

    def cut(self, instance: Any, first: int, end: int) -> Any:
        """Slots ``first`` to ``end`` − 1 of an instance."""
        raise self.lacks("slots")

    def reweighted(self, instance: Any, weights: Path) -> Any:
        """An instance priced by other weights."""
        raise self.lacks("weights")

    def unit_under(self, weights: str | None) -> str:
        """The unit of costs under other weights."""
        return self.unit

    def build_model(self, instance: Any, **options: Any) -> Any:
        """The program of an instance as a Pyomo model, to be read and extended."""
        raise self.lacks("Pyomo model")

    def build_program(self, instance: Any, **options: Any) -> Any:
        """The program of an instance as arrays."""
        raise self.lacks("program that can be written to a file")

    def symbolic(
        self, instance: Any, *, relaxed: bool = False, named: bool = False, plain: bool = False
    ) -> SymbolicProgram:
        """The program of an instance as text: symbols, columns, costs and rows."""
        raise self.lacks("program as text")

    def foresight(
        self, instance: Any, policies: Sequence[str], request: Request
    ) -> tuple[BoundResult, dict[str, Foresight]]:
        """The bound for policies that cannot see ahead, and policies beside it."""
        raise self.lacks("law of demand")

    def attribution(
        self, instance: Any, policies: Sequence[str], proved: BoundResult, request: Request
    ) -> dict[str, Attribution]:
        """Which layer of a policy its distance from the bound comes from."""
        raise self.lacks("layers of servers and requests")

    def lacks(self, what: str) -> InvalidInput:
        return InvalidInput(f"{self.name} instances have no {what}")
