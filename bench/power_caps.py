"""What boards under a cap on their power do, against published sweeps: speed over that without a cap.

    python bench/power_caps.py

The curve of volts over the clock, and the share of traffic that goes with it, are those of the first board
(fitted on its clocks and watts, not on these speeds). Nothing was fitted on the others.
"""

from __future__ import annotations

import numpy as np

import tokenroof as tr

INT4 = {"weights": "int4", "head": "bf16"}
PRO = "RTX PRO 6000 Blackwell Workstation"
_S26 = "Light-Heart-Labs, vLLM throughput vs GPU power cap, 2026-04-30"
_N26 = "noonghunna/club-3090, docs/img/power-cap-3090-qwen36.py, 2026-05-07"
_G26 = "llmgarage.ai, Tokens-per-Second Test Bench, 2026-02"
_J26 = "jeanfbrito, RTX 3090 Power Limit, 2026"
_W26 = "facebookexperimental/triton pull request 2023, 2026-07-14"

# source, device, model, plan, what: sequences that decode, or tokens of a prompt; speeds by cap [W], the
# first without a cap, or at the highest that was tried.
SWEEPS = (
    (_S26, PRO, "Qwen3.6-27B", INT4, ("decode", 1.0),
     {600: 72.1, 500: 72.1, 450: 72.0, 400: 71.3, 350: 68.6, 300: 62.6}),
    (_S26, PRO, "Qwen3.6-27B", INT4, ("decode", 32.0),
     {600: 1386.7, 500: 1336.5, 450: 1382.1, 400: 1320.2, 350: 1201.5, 300: 1033.5}),
    (_S26, PRO, "Qwen3-Next-80B-A3B", INT4, ("decode", 1.0),
     {600: 163.3, 500: 163.1, 450: 163.1, 400: 161.8, 350: 159.0, 300: 148.4}),
    (_S26, PRO, "Qwen3-Next-80B-A3B", INT4, ("decode", 32.0),
     {600: 2472.8, 500: 2458.3, 450: 2430.8, 400: 2370.8, 350: 2227.9, 300: 2011.2}),
    (_N26, "RTX 3090", "Qwen3.6-27B", INT4, ("decode", 1.0),
     {350: 34.38, 330: 34.25, 300: 32.74, 270: 29.18, 250: 26.21, 230: 21.07, 200: 15.56}),
    (_G26, "RTX 3090", "MiniMax-M2", INT4 | {"tp": 2, "pp": 3}, ("prefill", 8192.0),
     {350: 9893.0, 300: 9326.0, 250: 8436.0, 200: 5941.0, 150: 2549.0, 100: 1390.0}),
    (_G26, "RTX 3090", "MiniMax-M2", INT4 | {"tp": 2, "pp": 3}, ("decode", 1.0),
     {350: 72.6, 300: 72.1, 250: 70.7, 200: 68.3, 150: 62.6}),
    (_W26, "GB300-NVL72", "Llama-3.1-70B", {"weights": "bf16"}, ("prefill", 8192.0),
     {1400: 1600.0, 500: 617.0}),
)  # fmt: skip


def modelled(device: str, model: str, plan: dict, what: tuple[str, float], cap: float) -> float:
    """Seconds of a step under a cap."""
    layout = tr.Plan(**plan, power_cap_w=cap)
    kind, size = what
    if kind == "prefill":
        return float(tr.prefill(device, model, layout, tokens=size).time_s)
    return float(tr.decode(device, model, layout, batch=size, context=1024.0).time_s)


def main() -> None:
    off, depths = {}, {}
    for source, device, model, plan, what, speeds in SWEEPS:
        most, *rest = speeds
        limit = float(tr.device(device).tdp_w)
        plain = modelled(device, model, plan, what, min(most, limit))
        print(f"{device}, {model}, {what[0]} {what[1]:g} [{source}]")
        for cap in rest:
            measured = speeds[cap] / speeds[most]
            ours = plain / modelled(device, model, plan, what, cap)
            off.setdefault((source, device, what[0]), []).append(np.log(ours / measured))
            depths.setdefault((source, device, what[0]), []).append(1.0 - cap / limit)
            print(
                f"  {cap} W ({cap / limit:.0%}): measured {measured:.3f}, ours {ours:.3f} "
                f"({100 * (ours / measured - 1):+.1f} %)"
            )
    every = np.concatenate(list(off.values()))
    for (_, device, kind), errors in off.items():
        print(f"{device} {kind}: mean {100 * np.mean(np.abs(errors)):.1f} %, {len(errors)} points")
    others = np.concatenate([e for (_, d, _), e in off.items() if d != PRO])
    deep = np.concatenate([d for (_, board, _), d in depths.items() if board != PRO])
    print(
        f"other boards: four in five within exp({np.quantile(np.abs(others) / deep, 0.8):.2f} of what "
        "a cap takes of the limit), the band beyond 15 %"
    )
    for name, errors in (("all", every), ("other boards", others)):
        off_by = np.abs(errors)
        print(
            f"{name}: mean {100 * off_by.mean():.1f} %, four in five within "
            f"{100 * np.quantile(off_by, 0.8):.0f} %, bias {100 * errors.mean():+.1f} %"
        )


if __name__ == "__main__":
    main()
