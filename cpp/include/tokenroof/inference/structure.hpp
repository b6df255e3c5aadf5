// How engines cut a step into kernels, and which types they keep: counts and rules, no rates.
//
// Between two kernels of a step a device waits (launch, drain, fill), whatever the kernels do, so a step
// costs a gap per kernel and another per collective. Counts are those of today's engines, with the fusions
// that they share: QKV in one product, norm with residual, gate with activation.
#pragma once
#include "tokenroof/inference/heads.hpp"
#include "tokenroof/inference/recurrent.hpp"
#include "tokenroof/records/records.hpp"

namespace tokenroof {
inline namespace TR_ISA {

// Checkpoints of mixtures in 4 bits keep the projections of their mixers in bf16 (as DeepSeek-R1-NVFP4,
// Kimi-K2.5 and their like are published).
TR_HD bool keeps_mixers_wide(const double* m, int weight) {
    return m[model::moe_layers] > 0.0 && dtype_bytes(weight) < 1.0;
}
// What quantised checkpoints leave in 16 bits.
TR_HD int wide_type(const double* p) {
    const int w = int(p[plan::weights]);
    return w == dtype::fp32 || w == dtype::tf32 ? w : int(dtype::bf16);
}

// Types of a kind of module: those that the plan names for it, or (a code below 0) what is usual.
struct ModuleTypes {
    int weights, activations, wide;
    double wide_share; // of its layers, whose weights and activations are `wide`
};
TR_HD ModuleTypes module_types(const double* p, int named, double wide_share, bool keeps_wide) {
    const int w = int(p[plan::weights]), wide = wide_type(p);
    if (named >= 0 && named != w) return {named, named, wide, wide_share};
    if (named < 0 && keeps_wide) return {dtype::bf16, dtype::bf16, wide, wide_share};
    return {w, int(p[plan::activations]), wide, wide_share};
}
TR_HD ModuleTypes mixer_types(const double* m, const double* p) {
    return module_types(p, int(p[plan::attention]), p[plan::attention_wide],
                        keeps_mixers_wide(m, int(p[plan::weights])));
}
TR_HD ModuleTypes mlp_types(const double* p) { return module_types(p, -1, p[plan::mlp_wide], false); }
TR_HD ModuleTypes shared_types(const double* p) {
    return module_types(p, int(p[plan::shared_experts]), p[plan::shared_wide], false);
}
TR_HD int head_type(const double* p) { return p[plan::head] >= 0.0 ? int(p[plan::head]) : wide_type(p); }

// Bytes that an element of such a module takes in the mean.
TR_HD double module_bytes(const ModuleTypes& t) {
    return (1.0 - t.wide_share) * dtype_bytes(t.weights) + t.wide_share * dtype_bytes(t.wide);
}

// Parameters of all softmax layers' projections.
TR_HD double softmax_parameters(const double* m) {
    const double h = m[model::hidden], heads = m[model::heads];
    const double q = m[model::q_lora_rank], rank = m[model::kv_lora_rank];
    if (rank > 0.0) {
        const double rope = m[model::rope_head_dim], v = heads * m[model::v_head_dim];
        const double queries = heads * (m[model::nope_head_dim] + rope);
        double each = q > 0.0 ? (q + rank + rope) * h + queries * q : (queries + rank + rope) * h;
        each = each + heads * (m[model::nope_head_dim] + m[model::v_head_dim]) * rank;
        return softmax_layers(m) * (each + h * v * m[model::q_multiplier]);
    }
    if (m[model::single_key] > 0.0) {
        const double width = m[model::head_dim], queries = heads * width, low = m[model::o_lora_rank];
        double each = q > 0.0 ? (q + width) * h + queries * q : (queries + width) * h;
        each = each + (low > 0.0 ? queries * low + m[model::o_groups] * low * h : queries * h);
        return softmax_layers(m) * each + (m[model::compressed_layers] + 2.0 * m[model::selected_layers]) *
                                              (2.0 * width * h);
    }
    HeadGroup group[max_head_groups];
    const int n = head_groups(m, 1.0, group);
    double all = 0.0;
    for (int i = 0; i < n; ++i)
        all += group[i].layers * ((head_columns(m, group[i]) + group[i].of.heads * group[i].of.v_width) * h);
    return all;
}

// Parameters of keys' and values' matrices that one device of a tensor-parallel group has beyond its even share:
// a KV head is on several where there are fewer heads than devices, and all of the ranks have the matrices down to low
// ranks and to the one key whole (vLLM, deepseek_v2.py, fused_qkv_a_proj is a ReplicatedLinear).
TR_HD double replicated_parameters(const double* m, double tp) {
    const double rank = m[model::kv_lora_rank], single = m[model::single_key] > 0.0 ? m[model::head_dim] : 0.0;
    if (rank > 0.0 || single > 0.0) {
        const double down = m[model::q_lora_rank] + (rank > 0.0 ? rank + m[model::rope_head_dim] : single);
        return softmax_layers(m) * (down * m[model::hidden]) * (1.0 - 1.0 / tp);
    }
    HeadGroup own[max_head_groups], all[max_head_groups];
    const int n = head_groups(m, tp, own);
    head_groups(m, 1.0, all);
    double more = 0.0;
    for (int i = 0; i < n; ++i) {
        const double width = own[i].keys * own[i].of.width + own[i].values * own[i].of.v_width;
        more += own[i].layers * ((own[i].of.kv_heads - all[i].of.kv_heads / tp) * width * m[model::hidden]);
    }
    return more;
}

// Parameters of the mixers' projections: attention, linear attention, Mamba.
TR_HD double mixer_parameters(const double* m) {
    const double h = m[model::hidden];
    const Recurrent linear = linear_mixer(m, 1.0), mamba = mamba_mixer(m, 1.0);
    return softmax_parameters(m) +
           m[model::linear_layers] * ((linear.columns + linear.out) * h + linear.gate_columns * linear.gate_rank) +
           m[model::mamba_layers] * (mamba.columns + mamba.out) * h;
}

// Whether tokens of several attention ranks go to the ranks of their experts alone. Engines gather all tokens on
// every rank and sum up what comes back, inside a host always: an all-to-all saves bytes only where a token has
// fewer experts than there are ranks, and runs where the link's domain, or the group, is wider than a host.
//   TensorRT-LLM, fused_moe_wide_ep.py, select_alltoall_method_type (NVLink between nodes, moe_ep > top_k; DeepEP
//   only on request). vLLM, Expert Parallel Deployment: allgather_reducescatter is the default.
constexpr double host_devices = 8.0;
TR_HD bool sends_to_experts(const double* d, const double* m, const double* p) {
    const bool wide = d[device::link_domain_size] > host_devices || p[plan::tp] * p[plan::dp] > host_devices;
    return p[plan::dp] > 1.0 && p[plan::moe_ep] > m[model::topk] && wide;
}

// Bytes of a value that is gathered: narrowed before, but for blocks of FP8, which the products scale themselves
// (TensorRT-LLM, fused_moe_cutlass.py).
TR_HD double gathered_bytes(int experts) {
    return experts == dtype::fp8_block ? 2.0 : activation_bytes(experts);
}

// Kernels beyond the two products, of a layer.
constexpr double latent_kernels = 4.0;  // down, its norms, up and two foldings of MLA, less one product of others
constexpr double head_kernels = 1.0;    // norms of queries and keys on a rank, however they are fused with the rotation
constexpr double joint_kernels = 2.0;   // of norms over all heads: their squares summed, and the division
constexpr double sparse_kernels = 13.0; // indexer: projections, rotation, scores, top-k, gather
constexpr double linear_kernels = 14.0; // a linear-attention or Mamba mixer, its two products included
constexpr double routed_kernels = 5.0;  // router, top-k, permutation, experts, sum
constexpr double timed_kernels = 4.0;   // of these, what tables of experts time together: all but the router
constexpr double compress_kernels = 3.0; // projection, mean, place in the cache
constexpr double stream_kernels = 2.0;   // weights of a mix; gathering and spreading are fused with norms
constexpr double added_kernels = 3.0;    // of a layer's embedding: gate, product, projection

struct Structure {
    double kernels, collectives; // of one step, each a whole number for whole layers of one type
    double timed;                // kernels of experts, whose launches a measured form has in its own
    double reduced_norms;        // norms of what an all-reduce has just summed up, which engines may fuse with it
};

// Share of a kind of module's layers whose activations are narrowed on their own, unless they come narrow.
TR_HD double narrowed_alone(const ModuleTypes& t) {
    const bool alone = activation_bytes(t.activations) < 2.0 && !narrowed_before(t.activations);
    return alone ? 1.0 - t.wide_share : 0.0;
}

// Kernels that narrow what enters so many products of a layer. Scales of blocks are taken by one in front of each;
// what has one scale besides (NVFP4) the norm narrows for the first of them.
//   vLLM, config/vllm.py: weights in blocks switch its own kernel on (quant_fp8), which no pass fuses; SGLang,
//   fp8_utils.py, and TensorRT-LLM, fp8_block_scaling_gemm, narrow in the product's call. MLA's foldings stay in 16 bits
//   (block_quant_dequant), but TensorRT-LLM's before Blackwell (attention.py, fp8_block_scaling_bmm_out).
TR_HD double quantised(const ModuleTypes& t, double products) {
    return narrowed_alone(t) * (t.activations == dtype::fp8_block ? products : products - 1.0);
}

// Norms behind an all-reduce that TensorRT-LLM takes into its kernel, with the residual: of mixtures and of wide dense
// models of two norms a layer, where no ranks have tokens of their own.
//   modeling_deepseekv3.py, modeling_qwen3_moe.py (PRE_MOE_FUSION, POST_MOE_FUSION) and modeling_gpt_oss.py (forward_tp), not
//   with attention data parallel; modeling_llama.py (hidden_size > 4096). None: modeling_qwen3.py (norms of each head),
//   modeling_qwen3_next.py (Gemma's norms), modeling_minimaxm2.py. One kernel up to 8 MB: allreduceOp.cpp,
//   runFusionAllReduce; beyond, NCCL and a kernel of its own.
constexpr double fused_width = 4096.0;
TR_HD double reduced_norms(const double* m, const double* p) {
    const double recurrent = m[model::linear_layers] + m[model::mamba_layers], moe = m[model::moe_layers];
    const bool two = m[model::norms] == 2.0 * m[model::layers] + 1.0 && m[model::joint_norm] == 0.0;
    const bool kind = moe > 0.0 || (m[model::hidden] > fused_width && m[model::qk_norm] == 0.0);
    if (!(two && kind && recurrent == 0.0 && p[plan::tp] > 1.0 && p[plan::dp] == 1.0)) return 0.0;
    return softmax_layers(m) + m[model::dense_layers] + m[model::wide_layers] + moe;
}

TR_HD Structure step_structure(const double* c, const double* m, const double* p) {
    const double softmax = softmax_layers(m);
    const double recurrent = m[model::linear_layers] + m[model::mamba_layers];
    const double dense = m[model::dense_layers] + m[model::wide_layers], moe = m[model::moe_layers];
    const bool grouped = m[model::single_key] > 0.0 && m[model::q_lora_rank] > 0.0; // queries' and results' low ranks
    const double latent = m[model::kv_lora_rank] > 0.0 ? 1.0 : 0.0;
    const double layers = m[model::layers];
    const double shared = m[model::shared_ffn] > 0.0 ? 1.0 : 0.0;
    const double folded = (c + calibration::block_engine)[constant::engine::folds_narrowed] * 2.0;
    const double mixer = quantised(mixer_types(m, p), 2.0 + latent * (1.0 + folded));
    const double mlp = quantised(mlp_types(p), 2.0);
    const double linear = quantised(mixer_types(m, p), 2.0);
    const double common = narrowed_alone(shared_types(p)); // beside the routed ones
    const double joint = m[model::joint_norm] > 0.0 && p[plan::tp] > 1.0 ? softmax : 0.0;
    const double routed = activation_bytes(int(p[plan::experts])) < 2.0 ? 1.0 : 0.0;
    Structure s;
    s.kernels = 2.0 + m[model::norms]; // embedding, head
    s.kernels += softmax * (4.0 + mixer + latent * latent_kernels + (grouped ? 2.0 : 0.0));
    s.kernels += joint * joint_kernels + (m[model::qk_norm] > 0.0 ? (softmax - joint) * head_kernels : 0.0);
    s.kernels += m[model::index_topk] > 0.0 ? m[model::index_layers] * sparse_kernels : 0.0;
    s.kernels += compressing_layers(m) * compress_kernels + m[model::stream_mixes] * stream_kernels;
    s.kernels += m[model::residual_slots] > 0.0 ? 2.0 * layers : 0.0;
    s.kernels += m[model::layer_embedding] > 0.0 ? layers * added_kernels + 2.0 : 0.0;
    s.kernels += m[model::laurel_rank] > 0.0 ? 2.0 * layers : 0.0;
    s.kernels += recurrent * (linear_kernels + linear);
    s.kernels += dense * (3.0 + mlp);
    s.kernels += moe * (routed_kernels + routed + shared * (1.0 + common) + (m[model::moe_latent] > 0.0 ? 2.0 : 0.0));
    s.timed = moe * (timed_kernels + routed);
    const bool dispatched = p[plan::dp] > 1.0;
    s.collectives = 0.0;
    if (p[plan::tp] > 1.0) s.collectives += softmax + recurrent + dense + (dispatched ? 0.0 : moe) + 1.0;
    s.collectives += joint;
    if (dispatched) s.collectives += 2.0 * moe;
    s.reduced_norms = reduced_norms(m, p);
    s.collectives += p[plan::pp] - 1.0;
    if (p[plan::cp] > 1.0) s.collectives += softmax;
    return s;
}

// Kernels in front of which a step waits: one gap stands for a kernel's launch. Experts are as many kernels as their
// library makes of them, and their measured form says what all these launches take. A norm that is one kernel with the
// all-reduce before it has none of its own.
TR_HD double waiting_kernels(const double* c, const Structure& s) {
    const double fused = (c + calibration::block_engine)[constant::engine::fused_norms] * s.reduced_norms;
    return (measured_form(c, calibration::block_experts) ? s.kernels - s.timed : s.kernels) - fused;
}

// Seconds that engine and host add to a step, per sequence aside.
TR_HD double engine_gaps(const double* c, double kernels, double collectives) {
    const double* e = c + calibration::block_engine;
    return kernels * e[constant::engine::kernel_gap] + collectives * e[constant::engine::collective_gap];
}

// A record without them: what a step is prepared with where they are added later.
TR_HD void without_gaps(double* c) {
    double* e = c + calibration::block_engine;
    e[constant::engine::kernel_gap] = e[constant::engine::collective_gap] = e[constant::engine::sequence] = 0.0;
}

} // namespace TR_ISA
} // namespace tokenroof
