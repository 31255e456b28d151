# From `round status server req/s ns-per-request` to one table: medians over the rounds, and of each
# ratio, which is taken within a round, the median and the least and most.
{ rate[$1, $2, $3] = $4; cost[$1, $2, $3] = $5; if ($1 > rounds) rounds = $1 }

# The median of values[1..n], which are sorted on the way; sets low and high.
function median(values, n,   i, j, value) {
    for (i = 2; i <= n; i++) {
        value = values[i]
        for (j = i - 1; j > 0 && values[j] > value; j--) values[j + 1] = values[j]
        values[j + 1] = value
    }
    low = values[1]; high = values[n]
    return n % 2 ? values[(n + 1) / 2] : (values[n / 2] + values[n / 2 + 1]) / 2
}

function row(status, of, to,   r, rates, costs, per_s, us) {
    for (r = 1; r <= rounds; r++) { rates[r] = rate[r, status, of]; costs[r] = cost[r, status, of] }
    per_s = median(rates, rounds); us = median(costs, rounds) / 1000
    for (r = 1; r <= rounds; r++) {
        rates[r] = rate[r, status, of] / rate[r, status, to]
        costs[r] = cost[r, status, of] / cost[r, status, to]
    }
    printf "%-6s %-22s %9.0f", status, name[of] " / " name[to], per_s
    printf "  %6.3f %13s", median(rates, rounds), sprintf("%.3f-%.3f", low, high)
    printf "  %6.1f  %6.3f %13s\n", us, median(costs, rounds), sprintf("%.3f-%.3f", low, high)
}

END {
    name["bare"] = "hyper"; name["edge"] = "prompt-edge"; name["nginx"] = "nginx"
    printf "%-6s %-22s %9s  %6s %13s  %6s  %6s %13s\n", "status", "what / to what", "req/s", \
        "ratio", "spread", "CPU us", "ratio", "spread"
    for (status = 200; status <= 304; status += 104) {
        row(status, "bare", "bare")
        row(status, "edge", "bare")
        row(status, "nginx", "bare")
        row(status, "edge", "nginx")
    }
}
