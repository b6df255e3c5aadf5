// The closed loop of a replica under continuous batching: so many users, each with a request in flight, the next one
// as the last is answered; times to the first token, per token and to the last as users see them, in closed form.
//
// A request that runs takes a step for its prompt and output - 1 for its answer, and with an asynchronous loop waits for
// one that was decided before it came: of n that run, n (output - 1) / life are past their prompt and m = n / life are
// prompts of a step, life = output + lag. A step lasts s, b more where it has prompts, and w for each of them (of a
// mixture of experts the first one touches what all touch). One has its prompt in a step of its life, those of the
// others are Poisson, k = (n - 1) / life of a step, so that by Little's law
//     rate = n / (life (s + b (1 - (1 - 1 / life) exp(-k)) + w m))
// leave in a second, n the users, or the places where there are fewer: the others queue, for (users - n) / rate.
// Ends of answers of many lengths are independent of each other: the other prompts of the steps that a request waits
// for are Poisson, its time to the first token a mixture over their number of lognormals with an origin, by three
// moments of the lengths. The wait of a queue varies as departures from n places do: each place a renewal process,
// whose count in a time varies like its services' squared variation, and as a phase that is uniform [C62]. So do the
// others' prompts that pass in a life, one of each place in the mean: where answers are alike, nearly one of each.
//   [C62] Cox, Renewal Theory, 1962, sections 4.5 and 5.4.
#pragma once
#include "tokenroof/serving/open_loop.hpp"

// clang-format off
// Of a point: users, places; seconds of a step with those that are past their prompt, of one that a prompt is alone in
// beside what the prompt takes, that prompts add to a step however many they are, and each of them; variance and third
// central moment of one prompt's seconds; tokens and squared coefficients of variation of prompts and answers; tokens
// that a step may carry; steps that a loop has decided before it sees a request: 0 or 1.
#define TR_CLOSED_LOOP_INPUTS(X) \
    X(users) X(places) X(step_s) X(alone_s) X(begin_s) X(prompt_s) X(prompt_s2) X(prompt_s3) \
    X(input) X(input_cv2) X(output) X(output_cv2) X(budget) X(lag)
#define TR_CLOSED_LOOP_FIELDS(X) \
    X(running) X(rate) X(prompt_load) X(budget_load) X(queue) X(ttft) X(ttft_p50) X(ttft_p90) X(ttft_p99) \
    X(tpot) X(tpot_p50) X(tpot_p90) X(tpot_p99) X(e2e) X(e2e_p50) X(e2e_p90) X(e2e_p99)
// clang-format on

namespace tokenroof {
inline namespace TR_ISA {

#define TR_NAME(name) name,
namespace closed_loop_input { enum Field : int { TR_CLOSED_LOOP_INPUTS(TR_NAME) count }; }
namespace closed_loop_field { enum Field : int { TR_CLOSED_LOOP_FIELDS(TR_NAME) count }; }
#undef TR_NAME

constexpr int closed_loop_parts = 128; // numbers of other prompts that are told apart
constexpr double most_parts_mean = 60.0;

// The first token's time: parts of a mixture, each a lognormal with an origin.
struct FirstToken {
    int parts;
    double share[closed_loop_parts], origin[closed_loop_parts], scale[closed_loop_parts], spread[closed_loop_parts];

    TR_HD void add(double weight, const Moments<double>& m) {
        const Percentiles<double> p(m);
        share[parts] = weight;
        origin[parts] = p.origin;
        scale[parts] = p.scale;
        spread[parts++] = p.spread;
    }
    TR_HD double below(double x) const {
        double sum = 0.0;
        for (int k = 0; k < parts; ++k) {
            const double y = (x - origin[k]) / scale[k];
            if (y > 0.0) sum += share[k] * normal_below(log_positive<double>(y) / spread[k]);
        }
        return sum;
    }
    TR_HD double at(double share_below, double most) const {
        double low = 0.0, high = most;
        for (int i = 0; i < 60; ++i) {
            const double middle = 0.5 * (low + high);
            if (below(middle) < share_below)
                low = middle;
            else
                high = middle;
        }
        return 0.5 * (low + high);
    }
};

// Prompts of another place in a life: their variance over their mean, 1 of exponential answers. The phase varies
// by u (1 - u) = 1/6 - sum cos(2 pi k u) / (pi k)^2, u by which two lives differ, normal: the first of the sum.
TR_HD double others_variance(double output_cv2) {
    const double narrow = output_cv2 < 1.0 ? output_cv2 : 1.0;
    const double phase = 1.0 / 6.0 - exponential<double>(output_cv2 * -39.47841760435743) * 0.10132118364233778;
    return narrow + (1.0 - narrow) * phase;
}

// Of the prompts that come with a step, their variance and third central moment, a step of a life: the first of
// them takes `begin` more, and steps without one are a share `none`. Their numbers vary by `even` of Poisson's.
TR_HD void later_steps(const double* in, double others, double none, double even, double& two, double& three) {
    namespace input = closed_loop_input;
    const double w = in[input::prompt_s], begin = in[input::begin_s], own2 = in[input::prompt_s2];
    const double square = w * w * others, with = begin * none * others;
    const double counts2 = square + begin * begin * none * (1.0 - none) + 2.0 * w * with;
    const double counts3 = w * square + 3.0 * w * w * with * (1.0 - others) +
                           begin * begin * none * (2.0 * none - 1.0) * (3.0 * w * others + begin * (1.0 - none));
    two = even * counts2 + others * own2;
    three = even * even * even * counts3 + 3.0 * even * own2 * (w * others + with) + others * in[input::prompt_s3];
}

TR_HD void closed_loop(const double* in, double* f) {
    namespace input = closed_loop_input;
    namespace field = closed_loop_field;
    const double users = in[input::users], places = in[input::places], output = in[input::output];
    const double n = users < places ? users : places;
    const double lag = users > 1.0 ? in[input::lag] : 0.0; // who is alone finds nothing decided
    const double life = output + lag, decoding = n * (output - 1.0) / life, prompts = n / life;
    const double w = in[input::prompt_s], cv2 = in[input::input_cv2], out2 = in[input::output_cv2];
    const double s = in[input::step_s], others = (n - 1.0) / life;
    const double own_step = users > 1.0 ? s : in[input::alone_s];
    const double begin = in[input::begin_s], own2 = in[input::prompt_s2], own3 = in[input::prompt_s3];
    const double none = exponential<double>(0.0 - others), begun = begin * (1.0 - none);
    const double taken = begun + begin * none / life + prompts * w;
    const double rate = n / (life * (s + taken) + own_step - s);
    const double queue = users > n ? (users - n) / rate : 0.0;
    // steps of a prompt that the budget cuts, its own and what comes with it
    const double room = max_nan(in[input::budget] - decoding, 1.0), tokens = in[input::input];
    const double ahead = 1.0 + 0.5 * others;
    const double deviation = square_root(tokens * tokens * (cv2 + 0.5 * others * (1.0 + cv2)));
    const double more = (open_loop_steps<double>(ahead * tokens, deviation, room) - 1.0) * s;
    // departures while a request queues: of each place so many, and a part of one
    const double each = users > n ? (users - n) / n : 0.0;
    const double part = each + ceil_lanes<double>(0.0 - each), narrow = out2 < 1.0 ? out2 : 1.0;
    const double waits2 = n * (out2 * each + (1.0 - narrow) * part * (1.0 - part)) / (rate * rate);
    const double came = others * (1.0 + lag), w2 = w * w + own2, w3 = w * w * w + 3.0 * w * own2 + own3;
    const double base = queue + lag * (s + begun) + own_step + begin + more;
    Moments<double> first;
    first.mean = base + w + came * w;
    first.variance = waits2 + own2 + came * w2;
    first.third = own3 + came * w3;
    FirstToken mixture;
    mixture.parts = 0;
    double chance = exponential<double>(0.0 - came), left = 1.0;
    for (int k = 0; k < closed_loop_parts && came < most_parts_mean && left > 1e-7; ++k) {
        const double all = k + 1.0;
        const double mean = base + all * w, least = 1e-3 * mean;
        mixture.add(chance, {mean, max_nan(waits2 + all * own2, least * least), all * own3});
        left -= chance;
        chance = chance * came / all;
    }
    if (mixture.parts == 0) mixture.add(1.0, first);
    const double most = 2.0 * first.mean + 60.0 * square_root(first.variance);
    // time per token after the first: of a step, whether there are prompts and what they take depend on each other
    const double short_ = (1.0 + out2) / output;
    Moments<double> token;
    token.mean = s + begun + w * others;
    double two, three;
    later_steps(in, others, none, others_variance(out2), two, three);
    token.variance = two * short_;
    token.third = three * (short_ * short_ * (1.0 + out2));
    const Percentiles<double> of_token(token);
    const double after = output - 1.0, scaled = token.mean * output;
    // so many steps as an answer has, lognormal: a compound sum
    Moments<double> whole;
    whole.mean = first.mean + token.mean * after;
    whole.variance = first.variance + two * after + scaled * scaled * out2;
    whole.third = first.third + three * after + 3.0 * two * output * scaled * out2 +
                  scaled * scaled * scaled * (3.0 * out2 * out2 + out2 * out2 * out2);
    const Percentiles<double> of_whole(whole);
    const double bad = users >= 1.0 && places >= 1.0 && output >= 1.0 && rate > 0.0 ? 0.0 : not_a_number();
    f[field::running] = n + bad;
    f[field::rate] = rate + bad;
    f[field::prompt_load] = taken / (s + taken) + bad;
    f[field::budget_load] = prompts * tokens / room + bad;
    f[field::queue] = queue + bad;
    f[field::ttft] = first.mean + bad;
    f[field::ttft_p50] = mixture.at(0.5, most) + bad;
    f[field::ttft_p90] = mixture.at(0.9, most) + bad;
    f[field::ttft_p99] = mixture.at(0.99, most) + bad;
    f[field::tpot] = token.mean + bad;
    f[field::tpot_p50] = of_token.at(0.0) + bad;
    f[field::tpot_p90] = of_token.at(deviate_p90) + bad;
    f[field::tpot_p99] = of_token.at(deviate_p99) + bad;
    f[field::e2e] = whole.mean + bad;
    f[field::e2e_p50] = of_whole.at(0.0) + bad;
    f[field::e2e_p90] = of_whole.at(deviate_p90) + bad;
    f[field::e2e_p99] = of_whole.at(deviate_p99) + bad;
}

} // namespace TR_ISA
} // namespace tokenroof
