// Two vectors in step: whatever is done is done to both, one after the other, so that the second works while the
// first waits. For formulas whose template parameter V is a vector of doubles and I that of its words.
#pragma once
#include "tokenroof/core/lanes.hpp"
#include "tokenroof/core/quick.hpp"

#if defined(__GNUC__) && !defined(__CUDACC__) && !defined(__CUDACC_RTC__)
namespace tokenroof {
inline namespace TR_ISA {

template <class V> struct Pair {
    V a, b;
};
template <class V> struct bits_of<Pair<V>> { using type = Pair<typename bits_of<V>::type>; };

#define TR_PAIR_OPERATOR(op)                                                                                       \
    template <class V> TR_HD auto operator op(Pair<V> x, Pair<V> y) {                                              \
        return Pair<decltype(x.a op y.a)>{x.a op y.a, x.b op y.b};                                                 \
    }                                                                                                              \
    template <class V, class S> TR_HD auto operator op(Pair<V> x, S y) {                                           \
        return Pair<decltype(x.a op y)>{x.a op y, x.b op y};                                                       \
    }
TR_PAIR_OPERATOR(+) TR_PAIR_OPERATOR(-) TR_PAIR_OPERATOR(*) TR_PAIR_OPERATOR(/)
TR_PAIR_OPERATOR(&) TR_PAIR_OPERATOR(|) TR_PAIR_OPERATOR(^) TR_PAIR_OPERATOR(<<) TR_PAIR_OPERATOR(>>)
TR_PAIR_OPERATOR(<) TR_PAIR_OPERATOR(<=) TR_PAIR_OPERATOR(!=)
#undef TR_PAIR_OPERATOR

template <class M, class V> TR_HD Pair<V> either(Pair<M> mask, Pair<V> x, Pair<V> y) {
    return {either(mask.a, x.a, y.a), either(mask.b, x.b, y.b)};
}
template <class V> TR_HD Pair<V> greater_of(Pair<V> x, Pair<V> y) { return {greater_of(x.a, y.a), greater_of(x.b, y.b)}; }
template <class V> TR_HD Pair<V> lesser_of(Pair<V> x, Pair<V> y) { return {lesser_of(x.a, y.a), lesser_of(x.b, y.b)}; }
template <class V> TR_HD Pair<V> square_root(Pair<V> x) { return {square_root(x.a), square_root(x.b)}; }
template <class I> TR_HD Pair<I> low_product(Pair<I> x, Pair<I> y) { return {low_product(x.a, y.a), low_product(x.b, y.b)}; }

template <class V> constexpr int half_of = int(sizeof(V{}.a) / sizeof(double));
template <class V> TR_HD double lane(Pair<V> x, int l) { return l < half_of<Pair<V>> ? x.a[l] : x.b[l - half_of<Pair<V>>]; }
template <class I, class X> TR_HD void put(Pair<I>& x, int l, X value) {
    if (l < half_of<Pair<I>>)
        x.a[l] = value;
    else
        x.b[l - half_of<Pair<I>>] = value;
}

} // namespace TR_ISA
} // namespace tokenroof
#endif
