"""How the public traces are written: the names of their columns, their units, the size of their blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tokenroof.support.arguments import count, finite_number, is_integer, shown

__all__ = ["FIELDS", "LAYOUTS", "Layout", "as_layout"]

#: What a column can be called by in ``columns=``.
FIELDS = ("arrival", "input_tokens", "output_tokens", "hashes", "session", "delay", "id", "parent", "request",
          "wait_for", "branches", "prefix_reset", "tool_wait", "priority")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layout:
    """A layout of traces.

    Attributes
    ----------
    name : str
        As `trace` takes it.
    form : {"csv", "jsonl"}
        A row of text a request, or a JSON object.
    columns : mapping of str to str
        Field to the column's name in the file.
    unit_ns : float
        Unit of time [ns]; 0 where times are dates.
    hash_block : int
        Tokens of a hashed block; 0 without hashes.
    optional : tuple of str
        Fields that a file, or a row, may lack.
    refused : tuple of str
        Columns that change when a request arrives, in ways that are not read.
    """

    name: str
    form: str
    columns: Mapping[str, str]
    unit_ns: float
    hash_block: int = 0
    optional: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


_LENGTHS = {
    "arrival": "timestamp",
    "input_tokens": "input_length",
    "output_tokens": "output_length",
}
_BLOCKS = {**_LENGTHS, "hashes": "hash_ids"}
#: Agentic rows [ai-dynamo, docs: Agent Simulation, 2026]: what a request waits for, and what it sends out.
_AGENTS = {
    "request": "request_id", "wait_for": "wait_for", "branches": "branches",
    "prefix_reset": "prefix_reset", "tool_wait": "tool_wait_ms",
}  # fmt: skip
_AZURE = {
    "arrival": "TIMESTAMP",
    "input_tokens": "ContextTokens",
    "output_tokens": "GeneratedTokens",
}
_BURST = {
    "arrival": "Timestamp",
    "input_tokens": "Request tokens",
    "output_tokens": "Response tokens",
}

#: By name. Sources: kvcache-ai/Mooncake, FAST25-release (Qin et al., FAST'25); Azure/AzurePublicDataset,
#: AzureLLMInferenceDataset2023 and 2024 (Patel et al., ISCA'24; Stojkovic et al., HPCA'25); HPMLL/BurstGPT
#: (Wang et al., KDD'25); alibaba-edu/qwen-bailian-usagetraces-anon (Wang et al., ATC'25); `vllm bench serve`.
LAYOUTS: Mapping[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout(
            "mooncake", "jsonl", {**_BLOCKS, "session": "session_id", "delay": "delay", **_AGENTS}, 1e6, 512,
            ("hashes", "session", "delay", *_AGENTS),
        ),
        Layout("azure", "csv", _AZURE, 0.0),
        Layout("burstgpt", "csv", _BURST, 1e9),
        Layout(
            "bailian", "jsonl", {**_BLOCKS, "id": "chat_id", "parent": "parent_chat_id"}, 1e9, 16,
            ("hashes", "id", "parent"),
        ),
        Layout("vllm-bench", "jsonl", _BLOCKS, 1e9, 16, ("hashes",)),
        Layout("csv", "csv", {name: name for name in (*_AZURE, "priority")}, 1e9, 0, ("priority",)),
    )
}  # fmt: skip

_ALIASES = {
    "azure2023": "azure",
    "azure2024": "azure",
    "vllm": "vllm-bench",
    "timedtrace": "vllm-bench",
}


def as_layout(
    layout: str | Layout,
    hash_block: int | None,
    unit_s: float | None,
    columns: Mapping[str, str] | None,
) -> Layout:
    """A layout by name, with what the caller says of it instead."""
    found = layout if isinstance(layout, Layout) else _named(layout)
    if columns is not None:
        if not isinstance(columns, Mapping):
            raise TypeError(f"columns is {shown(columns)}; allowed: a mapping of field to column")
        for field, column in columns.items():
            if field not in found.columns or not isinstance(column, str):
                raise ValueError(
                    f"columns has {shown(field)}: {shown(column)}; allowed: names for "
                    f"{', '.join(found.columns)}, as {{'input_tokens': 'prompt_len'}}"
                )
        may_lack = found.optional
        if found.form == "csv":  # a column that is named has to be there
            may_lack = tuple(field for field in may_lack if field not in columns)
        found = replace(found, columns={**found.columns, **columns}, optional=may_lack)
    if unit_s is not None:
        if not found.unit_ns:
            raise ValueError(
                f"unit_s is {shown(unit_s)}; allowed: None, as times of {found.name} are dates; "
                "those of layout 'csv' are numbers"
            )
        found = replace(found, unit_ns=1e9 * finite_number("unit_s", unit_s, above=True))
    if hash_block is not None and is_integer(hash_block) and hash_block == 0:
        kept = {field: name for field, name in found.columns.items() if field != "hashes"}
        return replace(found, columns=kept, hash_block=0)
    if hash_block is not None:
        block = count("hash_block", hash_block)
        if "hashes" not in found.columns:
            raise ValueError(f"hash_block is {block}; allowed: None, as {found.name} has no hashes")
        found = replace(found, hash_block=block)
    return found


def _named(name: object) -> Layout:
    if isinstance(name, str):
        plain = name.lower().replace("-", "").replace("_", "").replace(" ", "")
        for known, layout in LAYOUTS.items():
            if plain == known.replace("-", "") or _ALIASES.get(plain) == known:
                return layout
    raise ValueError(f"layout is {shown(name)}; allowed: {', '.join(LAYOUTS)}")
