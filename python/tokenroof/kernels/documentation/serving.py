"""A replica that answers requests."""

from __future__ import annotations

_SERVING = "cpp/include/tokenroof/serving/serving.hpp; Little, Operations Research 9(3), 1961."

_N26 = "Nie, Si, Zhou, arXiv:2605.04595: mu = M / (b E[g(s, o)])."

UNITS = {
    "kv_tokens": "tokens that the cache of the replica holds [1]",
    "step_seconds": "time of a step with that many [s]",
    "concurrency": "requests in flight over the replica [1]",
    "input_tokens": "mean tokens of a prompt [1]",
    "output_tokens": "mean tokens of an answer [1]",
    "terms": "what `serving_terms` gives [k]",
}

# name -> (inputs, summary, result, source, example)
KERNELS: dict[str, tuple[str, str, str, str, str]] = {
    "serving": ("device calibration model plan concurrency input_tokens output_tokens",
                "Latency and throughput of one replica in closed loop: KV memory limit, prefills that "
                "interfere, burst, queue. NaN where not even one request fits the memory.",
                "`SERVING_FIELDS` [..., k]", _SERVING, ""),
    "serving_terms": ("device calibration model plan concurrency input_tokens output_tokens",
                      "What `serving` needs of device, model and plan, without an engine's gaps: "
                      "for fits of an engine's constants.", "`SERVING_TERMS` [..., k]", _SERVING, ""),
    "serving_of_terms": ("calibration terms concurrency output_tokens",
                         "`serving` from its terms and the engine's constants of a calibration.",
                         "`SERVING_FIELDS` [..., k]", _SERVING, ""),
    "stable_request_rate": ("kv_tokens step_seconds input_tokens output_tokens",
                            "Arrivals below which a replica's queue stays short: the cache that there is, by "
                            "what a request holds of it over its life.", "rate [request/s]", _N26,
                            ">>> round(float(stable_request_rate(1e6, 0.02, 1000.0, 199.0)), 6)\n"
                            "228.414801"),
}  # fmt: skip
