# SPDX-License-Identifier: Apache-2.0
#
# Reads the JSON that Google Benchmark writes, one field a line, and prints each bar with the medians
# that it is about. Exits with 1 if one is missed.

/"run_name":/ {
  name = text($0)
  aggregate = ""
  split(name, parts, "/")
  if (parts[1] !~ /^memsim/ && parts[1] != "harness") peer = parts[1]
}
/"aggregate_name":/ { aggregate = text($0) }
/"[a-z_]+": -?[0-9.]+(e[-+][0-9]+)?,?$/ {
  if (aggregate == "median") {
    split($0, quoted, "\"")
    value = $2
    sub(/,$/, "", value)
    median[name, quoted[2]] = value + 0
  }
}

END {
  printf "%-44s %9s %9s %7s  %s\n", "", "memsim", substr(peer, 1, 9), "ratio", "bar"
  ratio("order0_churn/16GiB", "ns_per_pair", 0.33)
  ratio("mixed_churn/1GiB", "ns_per_pair")
  ratio("mixed_churn/16GiB", "ns_per_pair", 0.8)
  ratio("mixed_churn/256GiB", "ns_per_pair")
  ratio("mixed_churn/1024GiB", "ns_per_pair", 0.45)
  ratio("random_drain/16GiB", "ns_per_pair", 0.7)
  ratio("random_drain/16GiB", "ns_per_free", 0.7)
  growth("mixed_churn/1024GiB", "mixed_churn/16GiB", 1.6)
  limit("order0_churn/16GiB", "bytes_per_frame", 10)
  limit("mixed_churn/16GiB", "bytes_per_frame", 10)
  limit("random_drain/16GiB", "bytes_per_frame", 10)
  limit("mixed_churn/1024GiB", "open_ms", 5)
  limit("mixed_churn/1024GiB", "open_resident_mib", 16)
  ratio("order0_churn/16GiB", "resident_mib_per_gib")
  ratio("mixed_churn/1024GiB", "resident_mib_per_gib")
  hold("exp", 1.1, 0.35, 0.25)
  hold("uniform", 1.1, 1.1, 1.1)
  hold("bimodal", 1.1, 1.1, 1.1)
  hold("tied", 1.1, 1.1, 1.1)
  translations("sequential_64B")
  translations("sequential_4K")
  translations("hot_set")
  translations("random")
  ratio("anonymous_fault/16GiB", "ns_per_fault", 8)
  limit("anonymous_fault/16GiB", "ns_per_fault", 200)
  limit("anonymous_fault/16GiB", "ns_per_unmap")
  exit missed
}

function text(line, parts) {
  split(line, parts, "\"")
  return parts[4]
}

function verdict(value, bar) {
  if (bar == "") return ""
  if (value > bar) missed = 1
  return sprintf("<= %-4s  %s", bar, value > bar ? "MISSED" : "met")
}

function ratio(bench, counter, bar, ours, theirs) {
  if (!(("memsim/" bench, counter) in median && (peer "/" bench, counter) in median)) return
  ours = median["memsim/" bench, counter]
  theirs = median[peer "/" bench, counter]
  printf "%-44s %9.2f %9.2f %7.2f  %s\n", bench " " counter, ours, theirs, ours / theirs,
         verdict(ours / theirs, bar)
}

# With a hundred, ten thousand and a million events pending.
function hold(increments, few, some, many) {
  ratio("hold/" increments "/1e2", "ns_per_hold", few)
  ratio("hold/" increments "/1e4", "ns_per_hold", some)
  ratio("hold/" increments "/1e6", "ns_per_hold", many)
}

# Nanoseconds a translation, by pages of each size: hit or miss, no slower than a plain table.
function translations(stream) {
  ratio(stream "/4K", "cpu_time", 1)
  ratio(stream "/2M", "cpu_time", 1)
  ratio(stream "/1G", "cpu_time", 1)
}

function growth(large, small, bar, most, least) {
  if (!(("memsim/" large, "ns_per_pair") in median && ("memsim/" small, "ns_per_pair") in median)) return
  most = median["memsim/" large, "ns_per_pair"]
  least = median["memsim/" small, "ns_per_pair"]
  printf "%-44s %9.2f %9s %7.2f  %s\n", large " over " small, most, "", most / least,
         verdict(most / least, bar)
}

function limit(bench, counter, bar, ours) {
  if (!(("memsim/" bench, counter) in median)) return
  ours = median["memsim/" bench, counter]
  printf "%-44s %9.2f %9s %7s  %s\n", bench " " counter, ours, "", "", verdict(ours, bar)
}
