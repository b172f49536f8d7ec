package process

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/audit"
	"sluice/internal/sale"
)

// labelSet is the closed set that the values of a label are from.
type labelSet struct {
	page string // what docs/metrics.md says of it
	most int    // values
	has  func(value string) bool
}

// these is a set of words.
func these(words ...string) labelSet {
	shown := make([]string, len(words))
	for i, word := range words {
		if shown[i] = "`" + word + "`"; word == "" {
			shown[i] = "empty"
		}
	}
	return labelSet{strings.Join(shown, ", "), len(words), func(v string) bool { return slices.Contains(words, v) }}
}

// said is a set that is told in words.
func said(page string, most int, has func(string) bool) labelSet { return labelSet{page, most, has} }

// one is a value that a process has for life.
func one(page string) labelSet { return said(page, 1, func(v string) bool { return v != "" }) }

const mostPartitions, mostSales = 16, 20 // of the deployment that is counted: the default

// labelSets are those of all labels, by label, or by metric and label where a label means
// something else there. A new label must be put here, or docs/metrics.md cannot be made.
func labelSets() map[string]labelSet {
	statuses, reasons := wordsOf(sale.Status.String), wordsOf(sale.Reason.String)
	var verbs, asked, ticks, kinds []string
	for _, v := range sale.Verbs() {
		verbs = append(verbs, v.String())
		if v.Asked() {
			asked = append(asked, v.String())
		}
		if v.Tick() {
			ticks = append(ticks, v.String())
		}
	}
	for _, k := range sale.Kinds {
		kinds = append(kinds, string(k))
	}
	answers := []string{"queued", "known", "not_yours", "wrong_kind", "fault"}
	for _, code := range []sale.Code{sale.RefusedUnknownSale, sale.RefusedNotOpen, sale.RefusedClosed, sale.RefusedSoldOut, sale.RefusedMismatch,
		sale.RefusedRate, sale.RefusedOverload, sale.RefusedLoading, sale.RefusedEarly, sale.RefusedSuspended} {
		answers = append(answers, string(code))
	}
	var rules []string
	for _, r := range audit.Rules {
		rules = append(rules, string(r))
	}
	return map[string]labelSet{
		"partition": said("0 to the number of partitions, less one", mostPartitions, func(v string) bool { return isBelow(v, mostPartitions) }),
		"sale":      said("numbers of the twenty busiest open sales", mostSales, func(v string) bool { n, err := strconv.ParseInt(v, 10, 64); return err == nil && n > 0 }),
		"kind":      these(kinds...),

		"verb":                              these(asked...),
		"sluice_settled_total verb":         these(append(slices.Clone(verbs), "")...), // an entry that cannot be read has none
		"sluice_ticks_total verb":           these(ticks...),
		"answer":                            these(answers...),
		"status":                            these(statuses...),
		"reason":                            these(append(slices.Clone(reasons), "")...),
		"from":                              these(statuses...),
		"to":                                these(statuses...),
		"fault":                             these("retried", "refused", "poison", "fenced", "gap", "lost", "elsewhere", "unreadable", "lease"),
		"phase":                             these("view", "settle", "decide", "apply"),
		"sluice_receipt_reads_total from":   these("memory", "redis", "postgres"),
		"found":                             these("yes", "no"),
		"how":                               these("long_poll", "event_stream"),
		"word":                              these(string(sale.NoticeSoon), string(sale.NoticeOpens), string(sale.NoticeReminder)),
		"state":                             these("in_use", "idle"),
		"sluice_sale_units state":           these("free", "held", "sold"),
		"sluice_redis_masters state":        these("known", "reached"),
		"pool":                              these("requests", "owners", "leases", "readers", "sessions"),
		"sluice_redis_persistence_ok kind":  these("aof", "rdb"),
		"verdict":                           these(string(audit.OK), string(audit.Broken), string(audit.Busy), "failed"),
		"rule":                              these(rules...),
		"sluice_audit_requests_total how":   these("judged", "left_out"),
		"version":                           one("the version, as `--version` says it"),
		"revision":                          one("the commit, or `unknown`"),
		"go":                                one("the version of Go"),
		"route":                             said("patterns of the routes in [openapi.json](../internal/httpapi/openapi.json), `page` for those of people, or `none`", 0, isWord),
		"method":                            these("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "other"),
		"sluice_http_requests_total status": said("the HTTP statuses in openapi.json, and those of what is no request", 0, func(v string) bool { return isBelow(v, 600) }),

		"sluice_postgres_cold_reads_total from": these("replica", "primary"),
	}
}

func isBelow(v string, most int) bool {
	n, err := strconv.Atoi(v)
	return err == nil && n >= 0 && n < most && strconv.Itoa(n) == v
}

func isWord(v string) bool { return v != "" }

// wordsOf are the words of 1, 2, … until there is none.
func wordsOf[T ~uint8](word func(T) string) (words []string) {
	for i := T(1); word(i) != ""; i++ {
		words = append(words, word(i))
	}
	return words
}

func setOf(sets map[string]labelSet, metric, label string) (labelSet, bool) {
	if set, ok := sets[metric+" "+label]; ok {
		return set, true
	}
	set, ok := sets[label]
	return set, ok
}

// operations are the statuses that openapi.json lists, by the route and method of a
// metric.
func operations(t testing.TB) map[[2]string][]string {
	t.Helper()
	text, err := os.ReadFile("../httpapi/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	all := map[[2]string][]string{}
	named := regexp.MustCompile(`\{(\w+)\}`)
	for path, methods := range document.Paths {
		for method, raw := range methods {
			var operation struct{ Responses map[string]any }
			if method == "parameters" || json.Unmarshal(raw, &operation) != nil || operation.Responses == nil {
				continue
			}
			statuses := slices.Sorted(maps.Keys(operation.Responses))
			route := named.ReplaceAllString(path, ":$1")
			all[[2]string{route, strings.ToUpper(method)}] = statuses
			if method == "get" {
				all[[2]string{route, "HEAD"}] = statuses
			}
		}
	}
	return all
}

// complaints are what is wrong with the series of a registry: values that are of no
// closed set, labels without one, pairs of route and method that the API does not have.
func complaints(t testing.TB, registry prometheus.Gatherer) (wrong []string) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sets, known := labelSets(), operations(t)
	for _, family := range families {
		name := family.GetName()
		if !strings.HasPrefix(name, "sluice_") {
			continue
		}
		for _, m := range family.Metric {
			values := map[string]string{}
			for _, l := range m.Label {
				values[l.GetName()] = l.GetValue()
				set, ok := setOf(sets, name, l.GetName())
				switch {
				case !ok:
					wrong = append(wrong, fmt.Sprintf("%s has a label without a set: %s", name, l.GetName()))
				case !set.has(l.GetValue()):
					wrong = append(wrong, fmt.Sprintf("%s has a strange %s: %q", name, l.GetName(), l.GetValue()))
				}
			}
			route, routed := values["route"]
			if method, ok := values["method"]; routed && ok && route != "none" && route != "page" && known[[2]string{route, method}] == nil {
				wrong = append(wrong, fmt.Sprintf("%s has a strange pair: %s %s", name, method, route))
			}
		}
	}
	return wrong
}

// TestStrangeLabels is the known-bad twin: each of these must be complained of.
func TestStrangeLabels(t *testing.T) {
	for name, labels := range map[string]prometheus.Labels{
		"sluice_settled_total":       {"verb": "bid", "status": "confirmed", "reason": "because"},
		"sluice_partition_depth":     {"partition": "16"},
		"sluice_sale_waiting":        {"sale": "lamp", "kind": "auction"},
		"sluice_http_requests_total": {"route": "/v1/me", "method": "TRACE", "status": "200"},
		"sluice_admissions_total":    {"verb": "bid", "answer": "queued", "buyer": "7"},
	} {
		registry := prometheus.NewRegistry()
		registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, ConstLabels: labels}, func() float64 { return 1 }))
		if len(complaints(t, registry)) == 0 {
			t.Errorf("nobody complains of %s%v", name, labels)
		}
	}
}

// seriesAtMost answers how many series a metric can have, whatever happens: of a
// histogram so many buckets.
func seriesAtMost(t testing.TB, m documented) (most int) {
	t.Helper()
	sets := labelSets()
	var requests int
	routes := map[string]bool{}
	for of, statuses := range operations(t) {
		requests += len(statuses)
		routes[of[0]] = true
	}
	// To no route, by any method: not found, not allowed, unreadable, too large, too slow,
	// too often, a preflight, or our fault.
	requests += sets["method"].most * 12
	outcomes := sets["sluice_settled_total verb"].most * (sets["status"].most - 1 + sets["reason"].most)
	together := map[string]int{ // labels that say something of each other
		"sluice_http_requests_total":  requests,
		"sluice_http_request_seconds": len(routes) + 1,
		"sluice_settled_total":        outcomes,
		"sluice_sale_units":           3 * mostSales,
		"sluice_sale_waiting":         mostSales,
		"sluice_sale_price_points":    mostSales,
	}
	most, ok := together[m.name]
	if !ok {
		most = 1
		for _, label := range m.labels {
			set, _ := setOf(sets, m.name, label)
			most *= set.most
		}
	}
	if m.kind == "histogram" {
		most *= len(m.buckets) + 3 // +Inf, sum and count
	}
	return most
}
