"""The formulas behind recompute.py: intervals, tests, quantiles. Standard library only."""

import functools
import math
from collections import defaultdict
from statistics import NormalDist

TOLERANCE = 1e-9
Z = NormalDist().inv_cdf(0.975)


def wilson(successes, n):
    """Wilson 1927: the p for which |observed - p| = z sqrt(p (1 - p) / n), solved as a quadratic."""
    if n == 0:
        return None, None
    observed = successes / n
    a = 1 + Z * Z / n
    b = -(2 * observed + Z * Z / n)
    c = observed * observed
    root = math.sqrt(max(b * b - 4 * a * c, 0.0))
    return max((-b - root) / (2 * a), 0.0), min((-b + root) / (2 * a), 1.0)


def quantile(values, percent):
    """Nearest rank: the smallest value that at least percent % of the values do not exceed. Above the
    median only when at least one value is expected beyond it."""
    n = len(values)
    if n == 0 or (percent > 50 and n * (100 - percent) < 100):
        return None
    for value in sorted(values):
        if 100 * sum(other <= value for other in values) >= percent * n:
            return value
    return None


def quantiles(cases):
    """Of values by case."""
    cases = [list(values) for values in cases]
    values = [value for case in cases for value in case]
    found = {f"p{percent}": quantile(values, percent) for percent in (50, 90, 95, 99)}
    for percent in (50, 95):
        limits = rank_limits(cases, percent / 100) if found[f"p{percent}"] is not None else (None,) * 2
        found[f"p{percent}_low"], found[f"p{percent}_high"] = limits
    return {"n": len(values), **found, "max": max(values, default=None)}


def mean(values):
    values = list(values)
    return math.fsum(values) / len(values) if values else None


def macro(cases, pair):
    """Mean over cases of hits / of, where pair(trial) gives (hits, of) or None."""
    per_case = []
    for trials in cases:
        pairs = [found for found in map(pair, trials) if found and found[1] > 0]
        if pairs:
            per_case.append(pairs)
    hits = sum(h for pairs in per_case for h, _ in pairs)
    of = sum(o for pairs in per_case for _, o in pairs)
    shares = [sum(h for h, _ in pairs) / sum(o for _, o in pairs) for pairs in per_case]
    result = {"rate": mean(shares), "hits": hits, "of": of}
    if not shares:
        low, high, method, n = None, None, "none", 0
    elif len(shares) == 1:
        n = len(per_case[0])
        low, high = wilson(shares[0] * n, n)
        method = "wilson" if n == 1 else "wilson_one_case"
    else:
        total, n = math.fsum(shares), len(shares)
        single = all(len(pairs) == 1 for pairs in per_case)
        few = min(total, n - total)
        (low, high), method = wilson(total, n), "wilson"
        if not single and few >= 5 - TOLERANCE:
            low, high = exact_bootstrap(per_case)
            method = "bootstrap"
    return {**result, "low": low, "high": high, "method": method, "n": n}


def choose(n, k):
    return math.comb(n, k)


def convolve(one, two):
    """Distribution of the sum of two independent numbers, each a dict of number to mass."""
    found = defaultdict(float)
    for a, p in one.items():
        for b, q in two.items():
            found[a + b] += p * q
    return found


def redrawn(cases):
    """Distribution of a case's sum when its trials are drawn again, mixed over all cases and added up
    as often as there are cases. A case is a list of (successes, trials, unit) to be added."""
    mixture = defaultdict(float)
    for parts in cases:
        one = {0: 1.0}
        for hits, of, unit in parts:
            p = hits / of
            one = convolve(one, {unit * i: choose(of, i) * p ** i * (1 - p) ** (of - i)
                                 for i in range(of + 1)})
        for value, mass in one.items():
            mixture[value] += mass / len(cases)
    total = {0: 1.0}
    for _ in cases:
        total = {v: m for v, m in convolve(total, mixture).items() if m > 1e-25}
    return total


def percentiles(total, tail):
    """Smallest value with more than `tail` of the mass up to it, and its mirror image."""
    ends = []
    for values in (sorted(total), sorted(total, reverse=True)):
        mass = 0.0
        for value in values:
            mass += total[value]
            if mass > tail:
                ends.append(value)
                break
    return ends


def common_unit(counts):
    unit = math.lcm(*counts)
    return unit if unit <= 60 else None


def exact_bootstrap(per_case):
    """Percentile bootstrap over cases, then trials, without drawing; None where that is drawn."""
    if any(of != 1 for pairs in per_case for _, of in pairs):
        return None, None
    unit = common_unit({len(pairs) for pairs in per_case})
    if unit is None:
        return None, None
    total = redrawn([[(sum(h for h, _ in pairs), len(pairs), unit // len(pairs))]
                     for pairs in per_case])
    return [value / (unit * len(per_case)) for value in percentiles(total, 0.025)]


def binomial_cdf(k, n, p):
    return math.fsum(choose(n, i) * p ** i * (1 - p) ** (n - i) for i in range(k + 1))


def rank_limits(cases, share):
    """Order statistics that hold a quantile with 95 %: ranks among cases, carried over to all values."""
    units = sum(bool(values) for values in cases)
    values = sorted(value for case in cases for value in case)
    lows = [r for r in range(1, units + 1) if binomial_cdf(r - 1, units, share) <= 0.025]
    highs = [r for r in range(1, units + 1) if 1 - binomial_cdf(r - 1, units, share) <= 0.025]
    low = values[max(max(lows) * len(values) // units, 1) - 1] if lows else None
    high = values[-(-min(highs) * len(values) // units) - 1] if highs else None
    return low, high


def newcombe(both, up, down, neither):
    """Newcombe 1998, paired, method 10: limits of up - down over n."""
    n = both + up + down + neither
    p1, p2 = (both + up) / n, (both + down) / n
    (l1, u1), (l2, u2) = wilson(both + up, n), wilson(both + down, n)
    margins = (both + up) * (down + neither) * (both + down) * (up + neither)
    cross = both * neither - up * down
    if cross > 0:
        cross = max(cross - n / 2, 0)
    phi = cross / math.sqrt(margins) if margins > 0 else 0

    def side(x, y):
        return math.sqrt(max(x * x - 2 * phi * x * y + y * y, 0))

    d = p1 - p2
    return max(d - side(p1 - l1, u2 - p2), -1), min(d + side(u1 - p1, p2 - l2), 1)


def tango_limits(up, down, n):
    """Tango 1998: where the score statistic is 1.96 standard errors."""
    def statistic(d):
        b = -up - down + (2 * n - up + down) * d
        share = (math.sqrt(max(b * b + 8 * n * down * d * (1 - d), 0)) - b) / (4 * n)
        variance = n * (2 * share + d * (1 - d))
        distance = up - down - n * d
        return distance / math.sqrt(variance) if variance > 0 else distance * math.inf

    ends = []
    for end in (-1.0, 1.0):
        inside, outside = (up - down) / n, end
        for _ in range(100):
            middle = (inside + outside) / 2
            if abs(statistic(middle)) > Z:
                outside = middle
            else:
                inside = middle
        ends.append(inside)
    return ends


@functools.lru_cache(maxsize=None)
def t_quantile(p, degrees):
    """Student's t by bisection over the incomplete beta integral, integrated by Simpson's rule."""
    def upper(t):
        steps, end = 4000, math.atan(t / math.sqrt(degrees))
        width = (math.pi / 2 - end) / steps
        weights = (1 if i in (0, steps) else 4 if i % 2 else 2 for i in range(steps + 1))
        area = sum(w * max(math.cos(end + i * width), 0) ** (degrees - 1)
                   for i, w in enumerate(weights)) * width / 3
        return area * math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)
                               - 0.5 * math.log(math.pi))

    low, high = 0.0, 700.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if upper(middle) > 1 - p else (low, middle)
    return low


def ratio_limits(cases):
    """Of sums of (above, below) over cases: the residuals' variance on the log ratio, Student's t."""
    n, above, below = len(cases), sum(a for a, _ in cases), sum(b for _, b in cases)
    if n < 2 or below <= 0 or above <= 0:
        return None, None
    value = above / below
    squares = math.fsum((a - value * b) ** 2 for a, b in cases)
    error = math.sqrt(n / (n - 1) * squares) / below / value
    reach = math.exp(t_quantile(0.975, n - 1) * error)
    return value / reach, value * reach


def mcnemar(up, down):
    tail = sum(choose(up + down, i) for i in range(min(up, down) + 1)) / 2 ** (up + down)
    return min(2 * tail, 1.0)


def sign_flips(differences):
    """Exact, for whole numbers: share of sign patterns whose sum is at least as far from 0."""
    total = {0: 1.0}
    for d in differences:
        if d:
            total = convolve(total, {d: 0.5, -d: 0.5})
    return min(sum(m for v, m in total.items() if abs(v) >= abs(sum(differences))), 1.0)


def holm(p_values):
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, floor = [1.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        floor = max(floor, min((len(p_values) - rank) * p_values[i], 1.0))
        adjusted[i] = floor
    return adjusted
