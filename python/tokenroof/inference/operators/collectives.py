"""What devices send each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from tokenroof.inference.door import as_device, as_model, check_network
from tokenroof.inference.operators.base import Operator, run, sizes
from tokenroof.inference.operators.options import Options, takes
from tokenroof.records.device import link_domain
from tokenroof.support.arguments import amounts, check_shapes, shown, whole_numbers
from tokenroof.support.names import among

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from tokenroof.records.device import Device
    from tokenroof.records.model import Model

_COLLECTIVE = """{summary}

    Parameters
    ----------
    device : str or Device
    ranks : array_like
        Devices that take part, whole numbers [1].
    nbytes : array_like
        {nbytes} [B].
    engine, fidelity
        Whose overhead counts, and which constants: `Options`.

    Returns
    -------
    Operator

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, a size out of range, or ranks that no link of known bandwidth joins.

    References
    ----------
    Thakur, Rabenseifner, Gropp, IJHPCA 19(1), 2005.

    Examples
    --------
    >>> {name}("H100-SXM", 8, 2**20).bound.item() in ("communication", "launch")
    True
    """


def _collective(name: str, summary: str, nbytes: str = "The full vector per rank") -> Any:
    def collective(
        device: str | Device, ranks: ArrayLike, nbytes: ArrayLike, **how: Unpack[Options]
    ) -> Operator:
        members = whole_numbers("ranks", ranks)
        return _exchange(name, as_device(device), members, amounts("nbytes", nbytes), **how)

    collective.__name__ = collective.__qualname__ = name
    collective.__doc__ = _COLLECTIVE.format(name=name, summary=summary, nbytes=nbytes)
    return takes(Options)(collective)


def _exchange(
    name: str, device: Device, ranks: NDArray[np.float64], nbytes: NDArray[np.float64],
    **how: Unpack[Options],
) -> Operator:  # fmt: skip
    most = float(np.max(ranks, initial=1.0))
    check_network(device, f"ranks is {most:g}", most)
    measured = "all_to_all" if name == "send" else name
    return run(f"{name}_operator", device, ranks, nbytes, operator=measured, dtype=measured, **how)


all_reduce = _collective("all_reduce", "All-reduce: 2 (n - 1)/n of the vector over each link.")
all_gather = _collective("all_gather", "All-gather: (n - 1)/n of the vector over each link.")
reduce_scatter = _collective(
    "reduce_scatter", "Reduce-scatter: (n - 1)/n of the vector over each link."
)
all_to_all = _collective("all_to_all", "All-to-all: (n - 1)/n of the vector over each link.")
send = _collective("send", "One message to a neighbour.", "The message")


@takes(Options)
def kv_transfer(
    device: str | Device,
    model: str | Model,
    tokens: ArrayLike,
    kv_dtype: str = "bf16",
    devices: ArrayLike = 1,
    across: str = "nodes",
    **how: Unpack[Options],
) -> Operator:
    """Move one sequence's cache and state from the devices that prefill it to as many that decode it.

    Parameters
    ----------
    device : str or Device
        Of both sides: its links count.
    model : str or Model
    tokens : array_like
        Tokens of the sequence [1].
    kv_dtype : str
        Type of the cache.
    devices : array_like
        Devices of each side; each sends an even share to its partner [1].
    across : {"nodes", "domain"}
        Over the network, or over the links of one domain.
    engine, fidelity
        Whose overhead counts, and which constants: `Options`.

    Returns
    -------
    Operator
        Of one device: one message of its share.

    Raises
    ------
    KeyError, ValueError, TypeError
        For an unknown name, a size out of range, or a device without such a link.

    References
    ----------
    Hockney, Parallel Computing 20(3), 1994. Zhong et al., DistServe, arXiv:2401.09670.

    Examples
    --------
    >>> kv_transfer("H200-SXM", "Llama-3.1-70B", 8192, devices=8).bytes.item() / 2**20
    320.0
    """
    if not among(across, ("nodes", "domain")):
        raise ValueError(f"across is {shown(across)}; allowed: nodes, domain")
    d, m = as_device(device), as_model(model)
    sides = whole_numbers("devices", devices)
    (length,) = sizes(tokens=tokens)
    check_shapes(tokens=length, devices=sides)
    domain = link_domain(d)
    if across == "nodes" and not d.node_link_bandwidth:
        raise ValueError(
            f"across is {shown(across)} on {d.name}; allowed: domain, as no link between nodes is known"
        )
    ranks = np.asarray(2.0 * domain if across == "nodes" else 2.0)
    nbytes = amounts("nbytes", m.kv_bytes(length, kv_dtype) / sides)
    return _exchange("send", d, ranks, nbytes, **how)
