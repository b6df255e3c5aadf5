// Intrinsics of device code, for the CPU.
#pragma once

template <class T> T atomicAdd(T* at, T value) {
    if constexpr (std::is_floating_point_v<T>) {
        T before = *at, after;
        do after = before + value;
        while (!__atomic_compare_exchange(at, &before, &after, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
        return before;
    } else {
        return __atomic_fetch_add(at, value, __ATOMIC_SEQ_CST);
    }
}
template <class T> T atomicOr(T* at, T value) { return __atomic_fetch_or(at, value, __ATOMIC_SEQ_CST); }
template <class T> T atomicExch(T* at, T value) { return __atomic_exchange_n(at, value, __ATOMIC_SEQ_CST); }
template <class T> T atomicCAS(T* at, T compare, T value) {
    __atomic_compare_exchange_n(at, &compare, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return compare;
}
template <class T> T atomicMax(T* at, T value) {
    T before = *at;
    while (before < value && !__atomic_compare_exchange_n(at, &before, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {}
    return before;
}
template <class T> T atomicMin(T* at, T value) {
    T before = *at;
    while (before > value && !__atomic_compare_exchange_n(at, &before, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {}
    return before;
}

template <class T> T __ldg(const T* p) { return *p; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x ? __builtin_clz(static_cast<unsigned>(x)) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((std::uint64_t(a) * b) >> 32); }
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned s) {
    return unsigned((((std::uint64_t(high) << 32) | low) << (s & 31)) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned s) {
    return unsigned(((std::uint64_t(high) << 32) | low) >> (s & 31));
}
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
    const std::uint64_t both = (std::uint64_t(y) << 32) | x;
    unsigned out = 0;
    for (int i = 0; i < 4; ++i) out |= unsigned((both >> (8 * ((selector >> (4 * i)) & 7))) & 0xff) << (8 * i);
    return out;
}
inline long long clock64() {
    static thread_local long long ticks = 0;
    return ++ticks;
}
