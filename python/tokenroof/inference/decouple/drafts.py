"""Drafts on dataflow chips, verified by another site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from tokenroof import _core, kernels
from tokenroof.inference.dataflow import (
    ChipUnknowns,
    Parameter,
    check_kind,
    chips_of,
    one_chip,
    pipeline,
)
from tokenroof.inference.decouple.layout import Layout, chip_ranges, layout, link_ranges
from tokenroof.inference.decouple.sites import Gpu, Site, one_replica
from tokenroof.inference.door import as_device, as_model, checked
from tokenroof.inference.estimates import over_corners
from tokenroof.inference.speculative.chances import expected
from tokenroof.inference.speculative.verification import verify_fields
from tokenroof.support.arguments import amounts, together

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from tokenroof.catalogue.accepted import Acceptance
    from tokenroof.inference.speculative.chances import ByPosition
    from tokenroof.records.calibration import Calibration
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model

_STEP = {name: i for i, name in enumerate(_core.STEP_FIELDS)}


def drafts(
    model: str | Model,
    verify: Site | str | Device,
    draft: str | Model,
    drafter: str | Device,
    *,
    length: ArrayLike = 4,
    acceptance: ArrayLike | str | Acceptance | ByPosition = 0.8,
    batch: ArrayLike = 1.0,
    context: ArrayLike = 1024.0,
    chips: int | None = None,
    link_bandwidth: Parameter = None,
    hop_s: Parameter = None,
    fidelity: str | Calibration = "calibrated",
    **unknown: Unpack[ChipUnknowns],
) -> Layout:
    """Drafts on dataflow chips, verified by another site: two hops a round.

    Parameters
    ----------
    model : str or Model
        The target.
    verify : device or (device, plan)
        Where the target runs.
    draft, drafter
        The draft model, and the dataflow device that runs it.
    length, acceptance, batch, context
        As in `tokenroof.speculative.decode`.
    chips : int, optional
        Chips of the drafter; by default as many as hold the draft model and its caches, and not fewer.
    link_bandwidth, hop_s, fidelity, **unknown
        As in `prefill_decode`, of the drafter's chips.

    Returns
    -------
    Layout
        With parts ``draft_s``, ``verify_s``, ``link_s``, ``round_s``, ``expected_tokens``, ``chips``.

    Raises
    ------
    KeyError, ValueError, TypeError
        As `tokenroof.speculative.decode`; for a `drafter` that is no dataflow device, fewer chips than hold
        the draft model, or a load that does not fit the memory of the verifying site.

    References
    ----------
    Leviathan, Kalman, Matias, ICML 2023, arXiv:2211.17192.

    Examples
    --------
    >>> import tokenroof as tr
    >>> plan = tr.Plan(tp=8, weights="fp8", kv_cache="fp8")
    >>> found = drafts("Llama-3.1-70B", ("B200-SXM", plan), "Llama-3.2-1B", "LPX", length=[0, 4, 8])
    >>> bool(found.tpot_s.high[1] < found.tpot_s.low[0])
    True
    """
    m, small = as_model(model), as_model(draft)
    device, plan = one_replica("verify", verify)
    site = Gpu("verify", checked(as_device(device), m, [plan], fidelity)[0])
    chip = check_kind("drafter", as_device(drafter))
    k = amounts("length", length)
    tokens, _ = expected(acceptance, k)
    b, x, k, tokens = together(
        batch=amounts("batch", batch, positive=True), context=amounts("context", context),
        length=k, acceptance=tokens,
    )  # fmt: skip
    ranges = link_ranges(link_bandwidth, hop_s) | chip_ranges(chip, unknown) | site.error
    plan = one_chip(chip, small, None, None)
    held = kernels.memory_required(small.pack(), plan.pack(), b, x)
    what = f"{small.name} and its caches"
    given, _ = chips_of(chips, np.ravel(held), chip, ranges["sram_share"], what)
    site.check_memory(b, x + k)
    verified = verify_fields(site.records, b, x, k + 1.0)
    step_s, verify_w = verified[..., _STEP["time"]], verified[..., _STEP["watts"]]

    def evaluate(**v: Any) -> dict[str, Any]:
        found = pipeline(chip, small, plan, b, x, given, None, v)
        verify_s = step_s * v["verify_error"]
        draft_s = k * found["time_s"]
        # token ids of 4 bytes, each way; nothing is sent where nothing is drafted
        link = np.where(k > 0, 2.0 * v["link_s"] + 8.0 * b * (k + 1.0) / v["link_bandwidth"], 0.0)
        seconds = draft_s + verify_s + link
        idle = found["chips"] * v["limit_w"] * v["idle_share"]
        site_j = verify_w * verify_s + site.idle_w * (draft_s + link)
        chips_j = found["watts"] * draft_s + idle * (verify_s + link)
        return {
            "tpot_s": seconds / tokens, "tokens_per_s": b * tokens / seconds,
            "watts": (site_j + chips_j) / seconds, "draft_s": draft_s, "verify_s": verify_s,
            "link_s": link, "round_s": seconds, "expected_tokens": tokens, "chips": found["chips"],
        }  # fmt: skip

    return layout("drafts and verification", over_corners(evaluate, ranges, b.ndim), ranges)
