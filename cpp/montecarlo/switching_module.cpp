// When to change from one mode to another, paths being given: what staying is worth is a polynomial of the state,
// fitted backwards through time on some of the paths, and followed on all of them. Without the GIL.
//   [LS] Longstaff, Schwartz, Valuing American Options by Simulation, Review of Financial Studies 14(1), 2001.
#include "montecarlo/switching_module.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "python/buffers.hpp"
#include "python/workers.hpp"

namespace py = pybind11;

namespace tokenroof {
namespace {

enum ModeFlag : int { mode_known = 1, mode_ends = 2 };

struct Switching {
    const double* states; // [dates][dimensions][paths]
    const double* income; // [modes][dates][paths]
    const double* costs;  // [modes][modes]; infinite where there is no way
    const int* flags;     // [modes]
    const unsigned char* choose; // [dates][paths], or null: everywhere
    double* worth;        // [paths]
    unsigned char* taken; // [dates][paths]
    long long paths, fit;
    int dates, dimensions, modes, degree, start;
};

// Powers of the state up to a degree in all, each of an earlier one times one dimension; the first is 1.
struct Basis {
    std::vector<int> from, times;
    Basis(int dimensions, int degree) : from{-1}, times{-1} {
        std::vector<int> lowest{0}; // dimension from which it may be multiplied on
        int first = 0;
        for (int d = 0; d < degree; ++d) {
            const int last = size();
            for (int i = first; i < last; ++i)
                for (int k = lowest[std::size_t(i)]; k < dimensions; ++k) {
                    from.push_back(i);
                    times.push_back(k);
                    lowest.push_back(k);
                }
            first = last;
        }
    }
    int size() const { return int(from.size()); }
    void fill(const double* z, double* row) const {
        row[0] = 1.0;
        for (int i = 1; i < size(); ++i) row[i] = row[from[std::size_t(i)]] * z[times[std::size_t(i)]];
    }
};

// Least squares by Cholesky; a column that the earlier ones make up is left out.
class Normal {
public:
    explicit Normal(int k) : k_(k), gram_(std::size_t(k * k)), kept_(std::size_t(k)) {}
    void clear() { std::fill(gram_.begin(), gram_.end(), 0.0); }
    void add(const double* row) {
        for (int i = 0; i < k_; ++i)
            for (int j = 0; j <= i; ++j) at(i, j) += row[i] * row[j];
    }
    void factor() {
        for (int i = 0; i < k_; ++i) {
            const double whole = at(i, i);
            for (int j = 0; j < i; ++j) {
                double sum = at(i, j);
                for (int l = 0; l < j; ++l) sum -= at(i, l) * at(j, l);
                at(i, j) = kept_[std::size_t(j)] ? sum / at(j, j) : 0.0;
            }
            double left = whole;
            for (int l = 0; l < i; ++l) left -= at(i, l) * at(i, l);
            kept_[std::size_t(i)] = left > 1e-10 * whole;
            at(i, i) = kept_[std::size_t(i)] ? std::sqrt(left) : 0.0;
        }
    }
    void solve(double* x) {
        for (int i = 0; i < k_; ++i) {
            for (int l = 0; l < i; ++l) x[i] -= at(i, l) * x[l];
            x[i] = kept_[std::size_t(i)] ? x[i] / at(i, i) : 0.0;
        }
        for (int i = k_ - 1; i >= 0; --i) {
            for (int l = i + 1; l < k_; ++l) x[i] -= at(l, i) * x[l];
            x[i] = kept_[std::size_t(i)] ? x[i] / at(i, i) : 0.0;
        }
    }

private:
    double& at(int i, int j) { return gram_[std::size_t(i * k_ + j)]; }
    int k_;
    std::vector<double> gram_;
    std::vector<char> kept_;
};

class Backwards {
public:
    Backwards(const Switching& job, const StopFlag& stop)
        : j_(job), stop_(stop), basis_(job.dimensions, job.degree), normal_(basis_.size()),
          mean_(std::size_t(job.dimensions)), scale_(std::size_t(job.dimensions)), z_(std::size_t(job.dimensions)),
          row_(std::size_t(basis_.size())), fitted_(std::size_t(job.modes * basis_.size())),
          value_(std::size_t(job.modes * job.paths)), next_(std::size_t(job.modes)), expected_(std::size_t(job.modes)),
          choice_(std::size_t(job.dates) * std::size_t(job.modes) * std::size_t(job.paths)) {}

    void run() {
        for (int t = j_.dates - 1; t >= 0 && !stop_; --t) {
            moments(t);
            regress(t);
            decide(t);
        }
        if (!stop_) follow();
    }

private:
    static constexpr long long block = 4096; // paths between two looks at `stop`

    double state(int t, int k, long long p) const { return j_.states[(long long)(t * j_.dimensions + k) * j_.paths + p]; }
    double income(int m, int t, long long p) const { return j_.income[(long long)(m * j_.dates + t) * j_.paths + p]; }
    double& value(int m, long long p) { return value_[std::size_t(m * j_.paths + p)]; }
    bool chosen(int t, long long p) const { return !j_.choose || j_.choose[t * j_.paths + p]; }
    bool known(int m) const { return j_.flags[m] & mode_known; }
    bool ends(int m) const { return j_.flags[m] & mode_ends; }

    void moments(int t) {
        for (int k = 0; k < j_.dimensions; ++k) {
            double sum = 0.0, square = 0.0;
            long long n = 0;
            for (long long p = 0; p < j_.fit; ++p)
                if (chosen(t, p)) sum += state(t, k, p), ++n;
            const double mean = n ? sum / double(n) : 0.0;
            for (long long p = 0; p < j_.fit; ++p)
                if (chosen(t, p)) square += (state(t, k, p) - mean) * (state(t, k, p) - mean);
            const double wide = n ? std::sqrt(square / double(n)) : 0.0;
            mean_[std::size_t(k)] = mean;
            scale_[std::size_t(k)] = wide > 1e-12 * std::fabs(mean) ? 1.0 / wide : 0.0;
        }
    }

    void fill(int t, long long p) {
        for (int k = 0; k < j_.dimensions; ++k)
            z_[std::size_t(k)] = (state(t, k, p) - mean_[std::size_t(k)]) * scale_[std::size_t(k)];
        basis_.fill(z_.data(), row_.data());
    }

    // What comes after a mode is taken: known income is not part of it.
    double after(int m, int t, long long p) {
        return (known(m) ? 0.0 : income(m, t, p)) + (ends(m) ? 0.0 : value(m, p));
    }

    void regress(int t) {
        const int size = basis_.size();
        normal_.clear();
        std::fill(fitted_.begin(), fitted_.end(), 0.0);
        for (long long p = 0; p < j_.fit; ++p) {
            if (p % block == 0 && stop_) return;
            if (!chosen(t, p)) continue;
            fill(t, p);
            normal_.add(row_.data());
            for (int m = 0; m < j_.modes; ++m) {
                if (known(m) && ends(m)) continue;
                const double y = after(m, t, p);
                double* to = &fitted_[std::size_t(m * size)];
                for (int i = 0; i < size; ++i) to[i] += row_[std::size_t(i)] * y;
            }
        }
        normal_.factor();
        for (int m = 0; m < j_.modes; ++m) normal_.solve(&fitted_[std::size_t(m * size)]);
    }

    int best(int from, const double* expected) const {
        const double* cost = j_.costs + from * j_.modes;
        int found = from;
        double most = -HUGE_VAL;
        for (int step = 0; step <= j_.modes; ++step) { // to stay first: it wins where all are alike
            const int m = step == 0 ? from : step - 1;
            const double worth = expected[m] - cost[m];
            if (worth > most) most = worth, found = m;
        }
        return found;
    }

    void decide(int t) {
        const int size = basis_.size();
        for (long long p = 0; p < j_.paths; ++p) {
            if (p % block == 0 && stop_) return;
            const bool free = chosen(t, p);
            if (free) fill(t, p);
            for (int m = 0; free && m < j_.modes; ++m) {
                const double* by = &fitted_[std::size_t(m * size)];
                double sum = known(m) ? income(m, t, p) : 0.0;
                if (!(known(m) && ends(m)))
                    for (int i = 0; i < size; ++i) sum += by[i] * row_[std::size_t(i)];
                expected_[std::size_t(m)] = sum;
            }
            for (int m = 0; m < j_.modes; ++m) {
                const int to = free ? best(m, expected_.data()) : m;
                const double cost = to == m ? 0.0 : j_.costs[m * j_.modes + to];
                next_[std::size_t(m)] = income(to, t, p) - cost + (ends(to) ? 0.0 : value(to, p));
                choice_[index(t, m, p)] = (unsigned char)to;
            }
            for (int m = 0; m < j_.modes; ++m) value(m, p) = next_[std::size_t(m)];
        }
    }

    std::size_t index(int t, int m, long long p) const { return std::size_t((long long)(t * j_.modes + m) * j_.paths + p); }

    void follow() {
        for (long long p = 0; p < j_.paths; ++p) {
            int mode = j_.start;
            j_.worth[p] = value(mode, p);
            bool over = false;
            for (int t = 0; t < j_.dates; ++t) {
                if (!over) mode = choice_[index(t, mode, p)];
                over = over || ends(mode);
                j_.taken[t * j_.paths + p] = (unsigned char)mode;
            }
        }
    }

    const Switching& j_;
    const StopFlag& stop_;
    Basis basis_;
    Normal normal_;
    std::vector<double> mean_, scale_, z_, row_, fitted_, value_, next_, expected_;
    std::vector<unsigned char> choice_;
};

void best_modes(const py::buffer& states, const py::buffer& income, const py::buffer& costs, const py::buffer& flags,
                const py::object& choose, const py::buffer& worth, const py::buffer& taken, int dates, int dimensions,
                int degree, int start, long long fit) {
    py::buffer_info held[7];
    Switching job{};
    job.modes = int(flags.request().size);
    job.paths = worth.request().size;
    job.dates = dates;
    job.dimensions = dimensions;
    job.degree = degree;
    job.start = start;
    job.fit = fit;
    if (dates < 1 || dimensions < 1 || dimensions > 6 || degree < 0 || degree > 6 || job.modes < 1 || job.modes > 16)
        throw py::value_error("dates, dimensions, degree or modes are out of range");
    if (start < 0 || start >= job.modes || fit < 1 || fit > job.paths)
        throw py::value_error("start or fit is out of range");
    const long long each = dates * job.paths;
    job.states = numbers<double>(states, "states", dimensions * each, false, held[0]);
    job.income = numbers<double>(income, "income", job.modes * each, false, held[1]);
    job.costs = numbers<double>(costs, "costs", job.modes * job.modes, false, held[2]);
    job.flags = numbers<int>(flags, "flags", job.modes, false, held[3]);
    job.choose = choose.is_none() ? nullptr
                                  : numbers<unsigned char>(choose.cast<py::buffer>(), "choose", each, false, held[4]);
    job.worth = numbers<double>(worth, "worth", job.paths, true, held[5]);
    job.taken = numbers<unsigned char>(taken, "taken", each, true, held[6]);
    StopFlag stop;
    run_workers(1, stop, [&] { Backwards(job, stop).run(); }, [](bool) {});
}

} // namespace

void register_switching(py::module_& m) {
    m.def("best_modes", &best_modes, py::arg("states"), py::arg("income"), py::arg("costs"), py::arg("flags"),
          py::arg("choose"), py::arg("worth"), py::arg("taken"), py::arg("dates"), py::arg("dimensions"),
          py::arg("degree"), py::arg("start"), py::arg("fit"));
}

} // namespace tokenroof
