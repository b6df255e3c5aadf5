"""A factory as a person writes it down: a site, a shell, computers, what is sold, and who pays."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from tokenroof.catalogue.market_columns import READ, note, unused
from tokenroof.catalogue.market_file import market_data
from tokenroof.catalogue.quote import MarketLike
from tokenroof.economics.scenarios.gpu_power import GpuPower
from tokenroof.economics.scenarios.idle_keys import refuse_idle, refuse_idle_by_hand
from tokenroof.economics.scenarios.keys import ScenarioKey, keys_of, schema_of
from tokenroof.economics.scenarios.market import ScenarioMarket, prices_of, said_otherwise
from tokenroof.economics.scenarios.sections import (
    SECTIONS,
    Computers,
    Finance,
    Income,
    Power,
    Shell,
)
from tokenroof.economics.scenarios.token_sale import TokenSale
from tokenroof.support.names import UnknownNameError, near_matches
from tokenroof.support.quoting import file_of, shown
from tokenroof.support.units import caller

_LARGEST_FILE = 2**24

__all__ = ["Scenario", "scenario_keys", "scenario_schema"]


@dataclass(frozen=True)
class Scenario:
    """A factory as it is planned.

    Parameters
    ----------
    site, shell, computers, income, finance
        Sections; `scenario_keys` lists their keys with units, defaults and ranges.
    name : str
    market : ScenarioMarket, optional
        The file of market data that some keys come from: `with_market` sets it.
    named : frozenset of str
        Keys that were said, and that no file of market data changes; `with_values` adds to them.
    origins : tuple of (str, str, str)
        Keys whose values come from the catalogue, who says so, and its date; `with_values` takes from them.
    gpu : GpuPower, optional
        The device that it stands on and the power that counts for one; `with_values` follows
        ``income.gpu_watts``.
    sale : TokenSale, optional
        List prices, lengths and speed behind a price and a rate of tokens.

    Raises
    ------
    ValueError, TypeError
        Naming key, value and what is allowed: a number out of its range, more years than the shell stands,
        and a key that would do nothing beside one that is not in `named`: ``finance.coupon`` without a loan.

    Examples
    --------
    >>> plan = Scenario().with_values({"site.power_mw": 20, "finance.years": 10})
    >>> plan.site.power_mw, plan.finance.years, round(plan.it_mw, 6)
    (20.0, 10, 16.949153)
    """

    site: Power = field(default_factory=Power)
    shell: Shell = field(default_factory=Shell)
    computers: Computers = field(default_factory=Computers)
    income: Income = field(default_factory=Income)
    finance: Finance = field(default_factory=Finance)
    name: str = "scenario"
    market: ScenarioMarket | None = None
    named: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    origins: tuple[tuple[str, str, str], ...] = field(default=(), compare=False, repr=False)
    gpu: GpuPower | None = field(default=None, compare=False, repr=False)
    sale: TokenSale | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        for section, kind in SECTIONS.items():
            if not isinstance(getattr(self, section), kind):
                given = getattr(self, section)
                raise TypeError(f"{section} is {shown(given)}; allowed: a {kind.__name__}")
        if self.market is not None and not isinstance(self.market, ScenarioMarket):
            raise TypeError(f"market is {shown(self.market)}; allowed: None, or with_market(file)")
        if not isinstance(self.named, (frozenset, set)):
            raise TypeError(f"named is {shown(self.named)}; allowed: a set of keys")
        if self.finance.years > self.shell.life_years:
            raise ValueError(
                f"finance.years is {self.finance.years}; allowed: at most shell.life_years, which is "
                f"{self.shell.life_years}"
            )
        if self.finance.years > self.income.contract_years:
            raise ValueError(
                f"finance.years is {self.finance.years}; allowed: at most income.contract_years, which is "
                f"{self.income.contract_years}"
            )
        parts = [part for _, part in self.computers.phases]
        if parts != sorted(parts):
            raise ValueError(
                f"computers.phases is {shown(self.computers.phases)}; allowed: parts that do not fall"
            )
        late = [year for year, _ in self.computers.phases if year > self.finance.years]
        if late:
            raise ValueError(
                f"computers.phases has year {late[0]}; allowed: at most finance.years, {self.finance.years}"
            )
        self._refuse_other_kinds()
        values = self.values()
        changed = [about.name for about in scenario_keys() if values[about.name] != about.default]
        refuse_idle_by_hand(values, self.named, changed)

    def _refuse_other_kinds(self) -> None:
        """What is said of a thing that is not sold would do nothing."""
        kind = self.income.kind
        for about in keys_of("income", Income):
            value = getattr(self.income, about.name.partition(".")[2])
            if about.of not in ("", kind) and value != about.default:
                raise ValueError(
                    f"{about.name} is {shown(value)}, which counts for income.kind {shown(about.of)}; "
                    f"allowed with {shown(kind)}: to leave it out"
                )

    @property
    def it_mw(self) -> float:
        """Power of the computers [MW]."""
        return self.site.power_mw / self.site.pue

    def with_values(self, values: Mapping[str, Any]) -> Scenario:
        """The same but for some keys.

        Parameters
        ----------
        values : mapping
            By full name, as ``{"site.power_mw": 20}``.

        Returns
        -------
        Scenario

        Raises
        ------
        KeyError
            For a key that does not exist, with near matches.
        ValueError, TypeError
            As `Scenario`, and for a key that would do nothing beside one that nobody said: ``finance.coupon``
            without a loan.
        """
        known = {about.name for about in scenario_keys()}
        parts: dict[str, dict[str, Any]] = {}
        for name, value in values.items():
            if name not in known:
                raise UnknownNameError(_no_such(str(name), known))
            section, _, item = name.partition(".")
            parts.setdefault(section, {})[item] = value
        changed: dict[str, Any] = {
            part: replace(getattr(self, part), **items) for part, items in parts.items()
        }
        market = None if self.market is None else self.market.without(values)
        origins = tuple(origin for origin in self.origins if origin[0] not in values)
        gpu, watts = self.gpu, values.get("income.gpu_watts")
        if gpu is not None and watts is not None:
            gpu = replace(gpu, watts=float(watts), basis="given")
        named = self.named | values.keys()
        plan = replace(self, **changed, market=market, named=named, origins=origins, gpu=gpu)
        refuse_idle(plan.values(), named, values)
        return plan

    def with_market(self, market: MarketLike) -> Scenario:
        """The same, but prices that nobody said are the newest of a file of market data.

        These are electricity, and what is sold: hashprice, the rent of a GPU's hour, a million output
        tokens. A key that was said, or that is not at its default, stays.

        Parameters
        ----------
        market : path or MarketData
            As `tokenroof.catalogue.market_data` takes it.

        Returns
        -------
        Scenario
            Its `market` says what was taken, and from where, and what the file has besides.

        Raises
        ------
        OSError, ValueError, TypeError
            As `market_data`; if the file has the prices of several devices or models, where one is sold.
        """
        data = market_data(market)
        values, defaults = self.values(), {about.name: about.default for about in scenario_keys()}
        before = () if self.market is None else (key for key, _, _ in self.market.keys)
        free = {key for key in values if values[key] == defaults[key] and key not in self.named}
        free |= {*before}
        taken = prices_of(data, self.income.kind, free)
        said = tuple(
            (key, value, f"{quote.source}, {quote.date}") for key, (value, quote) in taken.items()
        )
        used = tuple((key, quote) for key, (_, quote) in taken.items())
        note(quote for _, quote in used)
        if not used and READ.get() is None and not said_otherwise(data, self.income.kind, free):
            said_of = (
                f"{self.name} takes nothing of {data.name}, which has {'; '.join(unused(data, ()))}"
            )
            warnings.warn(said_of, stacklevel=caller())
        plan = self.with_values({key: value for key, (value, _) in taken.items()})
        return replace(plan, market=ScenarioMarket(data, said, used), named=self.named)

    @classmethod
    def from_toml(
        cls, path: str | os.PathLike[str], *, market: MarketLike | None = None
    ) -> Scenario:
        """The scenario of a file: a table for each section, a line for each key that differs.

        Parameters
        ----------
        path : path
        market : path or MarketData, optional
            Of newer prices, as `with_market` takes it; by default what the file calls ``market``, a path
            beside its own, which another takes the place of, with a warning.

        Returns
        -------
        Scenario

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError, TypeError
            Naming the file, the key, its value and what is allowed; a key that does not exist with near
            matches.
        """
        import tomllib

        file = file_of("path", path)
        with file.open("rb") as stream:
            text = stream.read(_LARGEST_FILE + 1)
        try:
            if len(text) > _LARGEST_FILE:
                raise ValueError("the file is larger than 16 MiB; allowed: TOML of one scenario")
            try:
                found = tomllib.loads(text.decode("utf-8-sig"))
            except (ValueError, RecursionError) as error:
                said = " ".join(str(error).split())[:200]
                raise ValueError(
                    f"the file is not TOML ({said}); allowed: TOML of one scenario"
                ) from None
            _check_currency(found.pop("currency", "USD"))
            beside = found.pop("market", None)
            if beside is not None and not isinstance(beside, str):
                raise TypeError(f"market is {shown(beside)}; allowed: the path of a file")
            plan = _of_tables(found, file.stem)
        except (ValueError, TypeError, KeyError) as error:
            kind = ValueError if isinstance(error, KeyError) else type(error)
            raise kind(f"{os.fspath(path)}: {error.args[0]}") from None
        if beside is not None:
            market = _instead(market, file.parent / beside, file.name)
        return plan if market is None else plan.with_market(market)

    def values(self) -> dict[str, Any]:
        """Every key by its full name, with its value."""
        return {
            f"{section}.{item.name}": getattr(getattr(self, section), item.name)
            for section, kind in SECTIONS.items()
            for item in fields(kind)
        }


def _instead(market: MarketLike | None, own: Path, name: str) -> MarketLike:
    """The market data that counts: what a caller gives, in place of the scenario's own."""
    if market is None:
        return own
    data = market_data(market)
    if os.path.realpath(data.name) != os.path.realpath(own):
        said = f"{name} takes newer prices of {data.name}, and none of {own.name}, which it names"
        warnings.warn(said, stacklevel=caller())
    return data


def _check_currency(currency: object) -> None:
    """All money of a scenario is in dollars; a file may say so."""
    if currency != "USD":
        raise ValueError(
            f"currency is {shown(currency)}; allowed: 'USD', in which all money of a scenario is"
        )


def _of_tables(found: Mapping[str, Any], stem: str) -> Scenario:
    name = found.get("name", stem)
    if not isinstance(name, str):
        raise TypeError(f"name is {shown(name)}; allowed: text")
    values: dict[str, Any] = {}
    for section, table in found.items():
        if section == "name":
            continue
        if section not in SECTIONS:
            raise UnknownNameError(_no_such(section, SECTIONS))
        if not isinstance(table, Mapping):
            raise TypeError(f"{section} is {shown(table)}; allowed: a table of its keys")
        values |= {f"{section}.{item}": value for item, value in table.items()}
    return replace(Scenario().with_values(values), name=name)


def _no_such(name: str, known: Any) -> str:
    near = near_matches(name, sorted(known))
    section, _, item = name.rpartition(".")
    if not near and section:  # the same item of another section
        near = near_matches(item, {one.rpartition(".")[2]: one for one in sorted(known)})
    within = [one for one in known if one.startswith(f"{section}.")] if section in SECTIONS else []
    allowed = sorted({*(within or known), *(_BESIDE if set(known) == set(SECTIONS) else ())})
    if section and not within:  # of all keys the first words say enough
        allowed = [f"{one}.*" for one in SECTIONS]
    hint = f"did you mean {', '.join(near)}?" if near else f"allowed: {', '.join(allowed)}"
    return f"no key {shown(name)}; {hint}"


_BESIDE = ("currency", "market", "name")  # what a file has above its tables


def scenario_keys() -> tuple[ScenarioKey, ...]:
    """Every key of a scenario, with text, unit, default, range, source and date.

    Returns
    -------
    tuple of ScenarioKey

    Examples
    --------
    >>> [about.unit for about in scenario_keys() if about.name == "site.power_mw"]
    ['MW']
    """
    return tuple(about for name, kind in SECTIONS.items() for about in keys_of(name, kind))


def scenario_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a scenario's file.

    Returns
    -------
    dict

    Examples
    --------
    >>> scenario_schema()["properties"]["site"]["properties"]["pue"]["minimum"]
    1.0
    """
    sections = {
        name: {
            "type": "object",
            "additionalProperties": False,
            "properties": schema_of(keys_of(name, kind)),
        }
        for name, kind in SECTIONS.items()
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tokenroof scenario",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string"},
            "market": {"type": "string", "description": "File of newer prices, beside this one"},
            "currency": {"const": "USD", "description": "Of all money in it"},
            **sections,
        },
    }
