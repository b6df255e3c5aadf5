"""A replica that answers requests."""

from __future__ import annotations

_SERVING = "cpp/include/tokenroof/serving/serving.hpp; Little, Operations Research 9(3), 1961."

_SYSTEM = (
    "cpp/include/tokenroof/serving/system.hpp; Little, Operations Research 9(3), 1961; Schweitzer, 1979, in "
    "Reiser, Lavenberg, Journal of the ACM 27(2), 1980."
)

_N26 = "Nie, Si, Zhou, arXiv:2605.04595: mu = M / (b E[g(s, o)])."

_C02 = "Che, Tung, Wang, IEEE Journal on Selected Areas in Communications 20(7), 2002."
_BP65 = "Barlow, Proschan, Mathematical Theory of Reliability, Wiley 1965: k-out-of-n systems."

UNITS = {
    "kv_tokens": "tokens that the cache of the replica holds [1]",
    "step_seconds": "time of a step with that many [s]",
    "concurrency": "requests in flight over the replica [1]",
    "input_tokens": "mean tokens of a prompt [1]",
    "output_tokens": "mean tokens of an answer [1]",
    "rate": "sessions that begin [1/s]",
    "kept_tokens": "tokens in cache after the turns of a session that another follows, in all [1]",
    "left_tokens": "tokens in cache after its last turn [1]",
    "gap_s": "mean time from a turn's end to the next one's start [s]",
    "reach_s": "time that what is not used stays in the cache [s]",
    "availability": "share of the time that one replica is up [1]",
    "needed": "replicas that have to be up, a whole number from 1 [1]",
    "spare": "replicas beyond these, a whole number from 0 to 4,096 [1]",
    "terms": "what `serving_terms` gives [k]",
    "system": "replicas, steps, watts and link of two pools, in the order of `SYSTEM_TERMS` [k]",
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
    "serving_system": ("system output_tokens",
                       "Rates and times of decode replicas that hold so many sequences, of the prefill "
                       "replicas that keep up, of the link between; of a fixed number of devices what "
                       "stays idle.",
                       "`SYSTEM_FIELDS` [..., k]", _SYSTEM, ""),
    "stable_request_rate": ("kv_tokens step_seconds input_tokens output_tokens",
                            "Arrivals below which a replica's queue stays short: the cache that there is, by "
                            "what a request holds of it over its life.", "rate [request/s]", _N26,
                            ">>> round(float(stable_request_rate(1e6, 0.02, 1000.0, 199.0)), 6)\n"
                            "228.414801"),
    "cache_reached": ("gap_s reach_s",
                      "Share of turns that find what was said: exponential gaps shorter than a cache's "
                      "reach; NaN below zero.", "share [1]", _C02,
                      ">>> round(float(cache_reached(10.0, 10.0)), 6)\n0.632121"),
    "cache_held": ("rate kept_tokens left_tokens gap_s reach_s",
                   "Tokens that sessions hold in a cache between turns, and after the last one, each as "
                   "long as the cache reaches; NaN below zero.", "tokens [1]", _C02,
                   ">>> round(float(cache_held(0.1, 5000.0, 2000.0, 10.0, 10.0)), 3)\n5160.603"),
    "fleet_availability": ("availability needed spare",
                           "Share of the time that enough replicas are up, where each fails by itself: the "
                           "tail of a binomial distribution. NaN beyond 4,096 spares, or for what is no "
                           "whole number.",
                           "share [1]", _BP65,
                           ">>> round(float(fleet_availability(0.9, 2.0, 1.0)), 12)  # 0.9^3 + 3 0.9^2 0.1\n"
                           "0.972"),
}  # fmt: skip
