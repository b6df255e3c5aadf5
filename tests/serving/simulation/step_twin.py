"""A step's time from its table, in plain NumPy: what the compiled clock reads, one sum after the other."""

import numpy as np


def place(axis, x):
    """The interval of an axis where x lies, the first and the last beyond them, and the share of it before x."""
    low = np.clip(np.searchsorted(axis, x, side="right") - 1, 0, len(axis) - 2)
    return low, (x - axis[low]) / (axis[low + 1] - axis[low])


def along(axis, table, x):
    i, u = place(axis, x)
    return table[i] + u * (table[i + 1] - table[i])


def plane(rows, columns, table, row, column):
    i, u = place(rows, row)
    j, v = place(columns, column)
    low = table[i, j] + v * (table[i, j + 1] - table[i, j])
    high = table[i + 1, j] + v * (table[i + 1, j + 1] - table[i + 1, j])
    return low + u * (high - low)


def padding(sizes, tokens):
    if len(sizes) == 0:
        return np.zeros(np.shape(tokens))
    at = np.minimum(np.searchsorted(sizes, tokens), len(sizes) - 1)
    return np.where(tokens > sizes[-1], 0.0, sizes[at] - tokens)


def duration(table, limits, generating, context, prompts, tokens, keys, padded=True):
    """Nanoseconds, unrounded, of steps: sequences past their prompt and the sum of their contexts; prompts, their
    tokens, and twice the keys that these attend to."""
    sequences, contexts, prompt_tokens, before, several, dense, whole = table.axes
    n, p = np.asarray(tokens, float), np.asarray(prompts, float)
    pads = padding(limits.graphs if padded else [], generating + n)
    if not limits.pads_prompts:
        pads = np.where(p > 0.0, 0.0, pads)
    b = generating + pads
    mean = np.where(np.asarray(generating) > 0, context / np.maximum(b, 1e-300), 0.0)
    past = np.maximum(0.5 * (keys / np.maximum(n, 1.0) - n / np.maximum(p, 1.0)), 0.0)
    decode = plane(dense, contexts, table.decode, b, mean)
    cached = plane(prompt_tokens, before, table.cached, n, past)
    mixed = along(whole, table.whole, b + n) + cached
    apart = plane(sequences, prompt_tokens, table.beside, b, n)
    apart = apart + plane(dense, contexts, table.attended, b, mean)
    mixed = np.where(b > 0.0, mixed + apart, mixed)
    less = plane(prompt_tokens, several, table.several, n, p)
    if table.alone is not None:
        company = np.asarray(generating) > 0
        longer = table.slower * (along(whole, table.alone, n) + cached)
        mixed = np.where(company, mixed + longer, mixed)
        less = np.where(company, (1.0 + table.slower) * less, less)
    mixed = np.where(p > 1.0, mixed - less, mixed)
    return np.where(p > 0.0, mixed, decode)
