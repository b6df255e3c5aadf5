// From a call's axes to launches.
#include <algorithm>
#include <cstdlib>

#include "call.hpp"

namespace tokenroof {
namespace pieces_part {
namespace {

bool changes_record(const Call& call, const Axis& axis) {
    for (int i = 0; i < call.records; ++i)
        if (axis.stride[i] != 0) return true;
    return false;
}

// Whether going through `outer` goes on where `inner` ends, for every operand.
bool joins(const Call& call, const Axis& outer, const Axis& inner) {
    for (int i = 0; i < call.operands; ++i)
        if (outer.stride[i] != inner.stride[i] * inner.size) return false;
    return true;
}

std::vector<Axis> arrange(const Call& call, std::vector<Axis> axes) {
    axes.erase(std::remove_if(axes.begin(), axes.end(), [](const Axis& a) { return a.size == 1; }), axes.end());
    const int out = call.operands - 1;
    std::stable_sort(axes.begin(), axes.end(), [&](const Axis& a, const Axis& b) {
        const bool first = changes_record(call, a), second = changes_record(call, b);
        if (first != second) return first;
        return std::llabs(a.stride[out]) > std::llabs(b.stride[out]);
    });
    std::vector<Axis> joined;
    for (const Axis& axis : axes) {
        if (!joined.empty() && joins(call, joined.back(), axis) &&
            changes_record(call, joined.back()) == changes_record(call, axis)) {
            const Size size = joined.back().size * axis.size;
            joined.back() = axis;
            joined.back().size = size;
        } else {
            joined.push_back(axis);
        }
    }
    return joined;
}

Size product(const std::vector<Axis>& axes, std::size_t from) {
    Size n = 1;
    for (std::size_t i = from; i < axes.size(); ++i) n *= axes[i].size;
    return n;
}

void go(const Call& call, std::vector<Axis> axes, char* const* data, const std::function<void(const Piece&)>& f) {
    Piece piece{&call, {}, 0, {}, 0, 0};
    for (int i = 0; i < call.operands; ++i) piece.data[i] = data[i];
    const auto at = [&](const Axis& axis, Size k, char** moved) {
        for (int i = 0; i < call.operands; ++i) moved[i] = data[i] ? data[i] + k * axis.stride[i] : nullptr;
    };
    char* moved[most_operands];
    if (axes.size() > most_axes || product(axes, 0) > most_elements) {
        // the outermost axis in parts: single steps where there are too many axes or the rest is too large
        const Axis outer = axes.front();
        const Size rest = product(axes, 1);
        const Size part = axes.size() > most_axes || rest > most_elements ? 1 : most_elements / rest;
        for (Size k = 0; k < outer.size; k += part) {
            at(outer, k, moved);
            std::vector<Axis> fewer = axes;
            fewer.front().size = std::min(part, outer.size - k);
            if (fewer.front().size == 1) fewer.erase(fewer.begin());
            go(call, std::move(fewer), moved, f);
        }
        return;
    }
    for (const Axis& axis : axes) piece.record_axes += changes_record(call, axis);
    piece.inner = static_cast<unsigned>(product(axes, std::size_t(piece.record_axes)));
    piece.count = static_cast<unsigned>(product(axes, 0));
    piece.axes = std::move(axes);
    f(piece);
}

} // namespace
} // namespace pieces_part

void for_each_piece(const Call& call, const std::function<void(const Piece&)>& f) {
    for (const Axis& axis : call.axes)
        if (axis.size == 0) return;
    pieces_part::go(call, pieces_part::arrange(call, call.axes), call.data, f);
}

} // namespace tokenroof
