"""Best measured points beside the frontier over systems, and why those outside are outside.

Of each device, model and load the point of most tokens a second and device at 20, 50, 100 and 150 tokens/s
per user and faster. Rows that cannot be are passed over, counted by reason: faster than the same plan with
fewer users at two numbers of users; weights beyond the memory of the devices that are named; more tokens than
their datasheets allow.

Our frontier is that over the plans that were tried there, each with the drafts that its runs had, and with
systems of the kinds tried (engines, types, sizes of replicas, apart or not, drafts or not) beside them. It is
compared in two ways, as ours over measured. *At equal speed*: tokens a second and device of our frontier at
the point's own speed, 0 beyond our fastest. *At equal users*: along the line of the point's own users per
device, s so that s times its speed and s times its tokens a second and device lie on our frontier; tokens per
second and device are users per device over seconds per token (but for the first token's share), so that this
is a ratio of times at equal load. A step that is off by a share e is off by e so, and at equal speed by e
over the elasticity of its time in users (measured: 0.36 in the median, below 0.13 in a tenth of pairs of
loads), and by all of it beyond the last point. A frontier falls with speed, so that what is outside at equal
users is outside at equal speed.

Each point outside at equal speed has a cause by rule (`cause`): that its own system has no answer; that our
time per token, or to the first one, of its own plan and users is off; that it is within at equal users; or of
an offer of ours that it was not run there, or run and slower than ours.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import tokenroof as tr
from as_run import ran
from measured_rows import loads, measured, plan_of, pool_of, seconds, system_of
from recipes import drafts_run, speculation

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    import xarray as xr

SPEEDS = (20.0, 50.0, 100.0, 150.0)
LOW, HIGH = 0.9, 1.35
#: Users of a replica within this factor are a load that was run.
NEAR = 2.0
IMPOSSIBLE = ("faster than the same with fewer users", "weights beyond its devices' memory",
              "more than its devices give by their datasheets")  # fmt: skip


@dataclass(frozen=True)
class Front:
    """A frontier's points by growing speed: tokens a second and device, and what each is."""

    speed: np.ndarray
    worth: np.ndarray
    names: list[tuple[str, str, int]]  # plan, plan of prompts, drafts
    users: np.ndarray  # of a replica that answers
    engine: str


def front_of(table: xr.Dataset, engine: str) -> Front:
    """Columns of a frontier over systems."""
    names = list(zip(table.plan.values.tolist(), table.prefill_plan.values.tolist(),
                     table.drafts.values.tolist(), strict=True))  # fmt: skip
    users = table.concurrency.values / np.maximum(table.replicas.values, 1.0)
    return Front(table.interactivity.values, table.per_device.values, names, users, engine)


def at_speed(fronts: Sequence[Front], speed: float) -> float:
    """The most at a speed, between the users that were tried by powers; 0 beyond the fastest."""
    worths = [0.0]
    for f in fronts:
        if f.speed.size and speed <= f.speed[-1]:
            worths.append(float(np.exp(np.interp(np.log(speed), np.log(f.speed), np.log(f.worth)))))
    return max(worths)


def at_users(fronts: Sequence[Front], speed: float, worth: float) -> float:
    """The largest s of which (s speed, s worth) lies on or under a frontier, by powers between its points."""
    best = 0.0
    for f in fronts:
        if not f.speed.size:
            continue
        x, y = np.log(f.speed / speed), np.log(f.worth / worth)
        over = x - y  # grows along a frontier
        best = max(best, float(np.exp(np.max(np.minimum(x, y)))))
        i = np.flatnonzero((over[:-1] < 0.0) & (over[1:] >= 0.0))
        if i.size:
            share = over[i] / (over[i] - over[i + 1])
            best = max(best, float(np.exp(np.max(x[i] + share * (x[i + 1] - x[i])))))
    return best


def _kinds(group: pd.DataFrame) -> dict[str, Any]:
    """What `frontier` searches as this group's runs were."""
    drop = ["pp"]
    if not (group["mode"] == "disagg").any():
        drop.append("disaggregated")
    types = sorted(set(group.weights) | set(group.experts.dropna()))
    return {"systems": True, "types": types, "exclude": drop}


def _ask(group: pd.DataFrame, plans: list[tr.Plan] | None, fidelity: Any, **how: Any) -> Front:
    one = group.iloc[0]
    engine = how["engine"]
    table = tr.serving.frontier(
        one.system, one.model_path, plans, one.mean_input_tokens, one.mean_output_tokens,
        int(group.replica.max()), fidelity=fidelity, **how,
    )  # fmt: skip
    return front_of(table, engine)


def tried(group: pd.DataFrame) -> list[Front]:
    """Frontiers of the plans that were run, those of one engine, start and number of drafts together."""
    found = []
    for engine in sorted(set(group.backend)):
        own = group[group.backend == engine]
        asked: dict[tuple[float, int], dict[tr.Plan, None]] = {}
        for _, row in own.iterrows():
            for plan, steps, drafts in _plans(row):
                asked.setdefault((steps, drafts), {})[plan] = None
        for (steps, drafts), plans in asked.items():
            good = [plan for plan in plans if loads(own.iloc[0], plan)]
            if not good:
                continue
            how = _kinds(group) | {"engine": engine}
            if drafts:
                how["speculation"] = speculation(own.iloc[0].model_path, drafts)
            else:
                how["exclude"] = [*how["exclude"], "speculation"]
            found.append(_ask(group, good, ran(own, steps), **how))
    return found


def _plans(row: Any) -> list[tuple[tr.Plan, float, int]]:
    """Plans of a row, steps that its prompts were held for, its drafts."""
    try:
        if row["mode"] == "disagg":
            return [(pool_of(row, role).layout, 0.0, 0) for role in ("prefill", "decode")]
        return [(plan_of(row), float(row.wait_steps), drafts_run(row))]
    except ValueError:
        return []


def kinds(group: pd.DataFrame) -> list[Front]:
    """Frontiers over all plans of each engine, of the types, sizes and drafts of the group."""
    found = []
    for engine in sorted(set(group.backend)):
        how = _kinds(group) | {"engine": engine}
        if not (group.label == "speculative").any():
            how["exclude"] = [*how["exclude"], "speculation"]
        found.append(_ask(group, None, ran(group[group.backend == engine]), **how))
    return found


@dataclass(frozen=True)
class Own:
    """Our answer for a point's own system and users over what was measured; NaN where there is none.

    `what` a time per token is of: a step, one by an engine's constants that were fitted on other devices or
    other kinds of models, or a round with drafts, whose acceptance no row says.
    """

    tpot: float
    ttft: float
    worth: float
    reason: str = ""
    what: str = "the step"


def own_of(row: Any, fidelity: Any = None) -> Own:
    """`Own` of a row, at the constants of its run or at `fidelity`."""
    how = ran(row.to_frame().T, None) if fidelity is None else fidelity
    load = (row.mean_input_tokens, row.mean_output_tokens, [row.concurrency])
    try:
        table = tr.serving.curve(system_of(row), row.model_path, None, *load, fidelity=how)
    except (ValueError, TypeError, KeyError) as error:
        return Own(np.nan, np.nan, np.nan, str(error))
    t = table.isel(concurrency=0)
    if not bool(t.fits):
        return Own(np.nan, np.nan, np.nan, IMPOSSIBLE[1])
    what = "the round of drafts" if drafts_run(row) else "the step"
    if "borrowed" in table.attrs["calibrated_on"]:
        what += ", by borrowed constants,"
    return Own(float(t.tpot_s) / seconds(row, "tpot"), float(t.ttft_s) / seconds(row, "ttft"),
               float(t.per_device) / row.worth, what=what)  # fmt: skip


def impossible(row: Any) -> str:
    """Why a row cannot be as it stands; "" where it can."""
    if row.contradicted:
        return IMPOSSIBLE[0]
    if own_of(row).reason == IMPOSSIBLE[1]:
        return IMPOSSIBLE[1]
    bound = own_of(row, "datasheet").worth
    return IMPOSSIBLE[2] if bound < 1.0 and row.label != "speculative" else ""


def best_of(rows: pd.DataFrame, left: dict[Any, str]) -> Any:
    """The row of most tokens a second and device that can be, or None; why others cannot goes to `left`."""
    for i, row in rows.sort_values("worth", ascending=False).iterrows():
        if i not in left:
            left[i] = impossible(row)
        if not left[i]:
            return row
    return None


def buckets(frame: pd.DataFrame) -> tuple[list[dict[str, Any]], dict[Any, str]]:
    """A row per device, model, load and speed; and why rows that were looked at cannot be."""
    found: list[dict[str, Any]] = []
    left: dict[Any, str] = {}
    keys = ["system", "model_path", "isl", "osl"]
    for key, group in measured(frame).groupby(keys):
        best = {least: best_of(group[group.speed >= least], left) for least in SPEEDS}
        best = {least: row for least, row in best.items() if row is not None}
        if not best:
            continue
        try:
            plans, ours = tried(group), kinds(group)
        except (ValueError, TypeError, KeyError) as error:
            print(f"no frontier: {', '.join(map(str, key))}: {error}", file=sys.stderr)
            continue
        for least, row in best.items():
            ways = {"plans": plans, "ours": [*ours, *plans]}
            found.append(dict(zip(keys, key, strict=True)) | {
                "least": least, "speed": row.speed, "measured": row.worth, "label": row.label,
                "engine": row.backend, "mode": row["mode"],
                **{n: at_speed(f, row.speed) / row.worth for n, f in ways.items()},
                **{f"{n}_users": at_users(f, row.speed, row.worth) for n, f in ways.items()},
            })  # fmt: skip
            found[-1]["cause"] = cause(found[-1], row, plans, group)
    return found, left


def outside(ratio: float) -> bool:
    """Whether ours over measured is out of the range."""
    return not LOW <= ratio <= HIGH


def cause(found: dict[str, Any], row: Any, plans: list[Front], group: pd.DataFrame) -> str:
    """Why the frontier over the plans tried is outside at equal speed; "" where it is not."""
    if not outside(found["plans"]):
        return ""
    own = own_of(row)
    if own.reason:
        return "its own system has no answer"
    if found["plans"] < LOW:
        return _below(found["plans_users"], own)
    return _above(found, row, own, plans, group)


def _below(users: float, own: Own) -> str:
    if users >= LOW:
        return "its own step within 11 %, where a curve is steep"
    if own.tpot > 1.0 / LOW:
        return f"{own.what} of its own plan, slow"
    if own.worth < LOW:
        return "the first token of its own plan, late"
    return "users between those that a search tries"


def _above(
    found: dict[str, Any], row: Any, own: Own, plans: list[Front], group: pd.DataFrame
) -> str:
    if own.tpot < LOW:
        return f"{own.what} of its own plan, fast"
    if own.worth > HIGH:
        return "the first token of its own plan, early"
    if row["mode"] == "disagg" or _takes(plans, row.speed)[0][1]:
        return "pools in numbers that were not run"
    (plan, _, drafts), users, engine = _takes(plans, row.speed)
    run = [r for _, r in group[(group["mode"] == "agg") & (group.backend == engine)].iterrows()
           if _same(r, plan, drafts) and 1.0 / NEAR <= r.concurrency / max(users, 1e-9) <= NEAR]  # fmt: skip
    if not run:
        return "a plan, drafts or users of those tried that were not run together"
    off = [o.tpot for o in map(own_of, run) if np.isfinite(o.tpot)]
    if off and np.median(off) < LOW:
        return "the step of the plan that ours takes, fast"
    if found["plans_users"] <= HIGH:
        return "steps within 11 %, where a curve is steep"
    return "another plan of those tried, its step within 11 %"


def _takes(plans: list[Front], speed: float) -> tuple[tuple[str, str, int], float, str]:
    """The point of most at a speed or faster: its plans and drafts, users of a replica, engine."""
    best: tuple[float, Any] = (-1.0, None)
    for f in plans:
        i = int(np.searchsorted(f.speed, speed))
        if i < f.speed.size and f.worth[i] > best[0]:
            best = (float(f.worth[i]), (f.names[i], float(f.users[i]), f.engine))
    if best[1] is None:
        return ("", "", 0), 0.0, ""
    return best[1]  # type: ignore[no-any-return]


def _same(row: Any, plan: str, drafts: int) -> bool:
    try:
        own = plan_of(row).label(tr.model(row.model_path))  # as a frontier names it
        return own == plan and drafts_run(row) >= drafts
    except ValueError:
        return False


def show_buckets(rows: list[dict[str, Any]], left: dict[Any, str]) -> None:
    """Print each bucket, then shares and causes."""
    print(f"{'':60}{'':>5}{'':>8}{'':>10}{'at equal speed':>16}{'at equal users':>16}")
    print(
        f"{'':60}{'from':>5}{'at':>8}{'measured':>10}{'plans':>8}{'kinds':>8}{'plans':>8}{'kinds':>8}"
    )
    for r in rows:
        model = r["model_path"].split("/")[-1]
        name = f"{r['system']}, {model}, {r['isl']:g}/{r['osl']:g}, {r['engine']} {r['label']}"
        ratios = "".join(f"{r[n]:8.2f}" for n in ("plans", "ours", "plans_users", "ours_users"))
        print(
            f"{name[:60]:60}{r['least']:5.0f}{r['speed']:8.1f}{r['measured']:10.1f}{ratios}  {r['cause']}"
        )
    for r in bucket_sides(rows):
        print(f"over {r['over']}, {r['at']}: {r['inside']:.0%} of {r['buckets']} within {LOW:g} to {HIGH:g}; "
              f"{r['below']:.0%} below, {r['above']:.0%} above; median {r['median']:.2f}")  # fmt: skip
    for r in bucket_causes(rows):
        print(
            f"  {r['buckets']:4d} {r['side']}: {r['cause']} ({r['users']} outside at equal users)"
        )
    for r in passed_over(left):
        print(f"  {r['rows']:4d} rows passed over: {r['why']}")


def _inside(over: str, at: str, ratio: np.ndarray) -> dict[str, Any]:
    below, above = ratio < LOW, ratio > HIGH
    return {"over": over, "at": at, "buckets": ratio.size, "inside": np.mean(~below & ~above),
            "below": below.mean(), "above": above.mean(), "median": np.median(ratio)}  # fmt: skip


def bucket_sides(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Shares within the range, below and above, over plans and kinds, at equal users and at equal speed."""
    named = {"plans": "the plans tried there", "ours": "all of the kinds tried there"}
    ways = {"_users": "at equal users", "": "at equal speed"}
    return [
        _inside(over, at, np.array([r[f"{name}{end}"] for r in rows]))
        for name, over in named.items()
        for end, at in ways.items()
    ]


def bucket_causes(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Causes of what is outside over the plans tried, counted: at equal speed, of these at equal users."""
    counts: dict[tuple[str, str], list[int]] = {}
    for r in rows:
        if r["cause"]:
            side = "below" if r["plans"] < LOW else "above"
            many = counts.setdefault((side, r["cause"]), [0, 0])
            many[0] += 1
            many[1] += outside(r["plans_users"])
    most = sorted(counts.items(), key=lambda item: (item[0][0] == "above", -item[1][0]))
    return [{"side": s, "cause": c, "buckets": n, "users": u} for (s, c), (n, u) in most]


def passed_over(left: dict[Any, str]) -> list[dict[str, Any]]:
    """Rows that cannot be, by reason."""
    why = [reason for reason in left.values() if reason]
    return [{"why": name, "rows": why.count(name)} for name in IMPOSSIBLE if name in why]
