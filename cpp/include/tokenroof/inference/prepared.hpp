// The terms of a step, as `prepare` (prepare.hpp) fills them and `evaluate` (transformer.hpp) sums them.
#pragma once
#include "tokenroof/inference/attention_prefill.hpp"
#include "tokenroof/inference/collectives.hpp"
#include "tokenroof/inference/compressed_attention.hpp"
#include "tokenroof/inference/experts.hpp"
#include "tokenroof/inference/gemm.hpp"
#include "tokenroof/inference/operators.hpp"
#include "tokenroof/inference/sparse_attention.hpp"

namespace tokenroof {
inline namespace TR_ISA {

constexpr int max_lines = 64; // a model that has everything, in every layout and two types, fills most of them
constexpr int max_attentions = 3;
constexpr int max_products = 56;

// Which amount a line is a function of.
enum Amount : int {
    rank_tokens,      // tokens on one attention rank
    stage_tokens,     // tokens of the whole stage: what experts see
    head_sequences,   // sequences whose next token is sampled, on one rank
    decode_sequences, // decode sequences on one rank
    prompt_tokens,    // new prompt tokens on one rank
    rank_prompts,     // prompts on one rank
    amounts
};

struct Lines {
    Line line[max_lines];
    Amount amount[max_lines];
    Group group[max_lines];
    int n = 0;
    TR_HD void add(Group g, Amount a, const Line& l) {
        line[n] = l;
        amount[n] = a;
        group[n] = g;
        ++n;
    }
};

// Matrix products by their measured form: `count` of each, one a layer.
struct Products {
    Gemm gemm[max_products];
    double count[max_products];
    Amount amount[max_products];
    Group group[max_products];
    int n = 0;
};

// Softmax attention by its measured form, `layers` of each kind.
struct MeasuredAttention {
    AttentionDecode decode[max_attentions];
    AttentionPrefill prefill[max_attentions];
    double decode_layers[max_attentions], prefill_layers[max_attentions];
    int decodes = 0, prefills = 0;
    AttentionPrefill chosen; // the other way of prefill[0], where attention is sparse
    bool sparse = false;
    bool one_kernel = false; // beside prompts, decode rows run in their kernel (attention_prefill.hpp)
};

// Indexers of sparse attention, and the other way of prefill_attention[0] where that is a line.
struct SparseLines {
    Indexer decode, prefill; // of all layers together
    Attention chosen;
    double layers = 0.0;
    bool line = false;
};

// Layers that compress their keys, one kind each: with the window alone, heavily compressed, chosen from. Prompts
// are lines: nothing of theirs was measured.
struct CompressedLayers {
    Compressed keys[3];
    double layers[3];
    Attention decode[3], prefill[3]; // of all layers of a kind together
    AttentionDecode measured;        // of any layer
    bool line = true;
    int n = 0;
    Indexer decode_index, prefill_index;
    double index_layers = 0.0, index_ratio = 1.0;
};

// Collectives by their measured protocols: `count` of each, `bytes` of the full vector per x. `counted`: seconds
// of an empty one that the step's gap per collective stands for.
constexpr int max_exchanges = 6;
struct Exchanges {
    Protocols protocols[max_exchanges];
    double count[max_exchanges], bytes[max_exchanges], crossing[max_exchanges], counted[max_exchanges];
    Amount amount[max_exchanges];
    int n = 0;
};

struct Prepared {
    Products products;
    MeasuredAttention attention;
    Exchanges exchanges;
    Experts measured_experts;
    double expert_layers = 0.0; // with measured experts
    Lines common, decode, prefill;
    Attention decode_attention[max_attentions], prefill_attention[max_attentions];
    int attentions = 0, prefill_attentions = 0;
    SparseLines sparse;
    CompressedLayers compressed;
    Line experts;             // weights of one touched expert
    double expert_count, expert_ranks; // of the routing; 0 experts: a dense model
    Routing expert_routing;                        // of the line: skewed routing leaves experts out
    double pp, dp, cp;
    double fixed, decode_fixed, prefill_fixed, sequence_s, step_s;
    double devices, workers;  // of the replica; of one pipeline stage
    double tdp, idle, compute_watts, memory_watts;
    double cap = 1.0;         // share of the limit that a board may draw
    double power[constant::power::count];          // fitted constants; NaN: the two shares above
    double weight_peak, expert_peak, wide_peak;    // datasheet peaks: of the plan's types, and of 16 bits
    double peak, bandwidth;   // datasheet, for utilisation
};

} // namespace TR_ISA
} // namespace tokenroof
