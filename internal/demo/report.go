package demo

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"sluice/client"
)

// Report is what came of a demo. The words are the domain's.
type Report struct {
	Requests    int            `json:"requests"`     // bids; a repeated one counts once
	Accepted    int            `json:"accepted"`     // got a receipt
	Refused     map[string]int `json:"refused"`      // got none, by code; requests = accepted + refused
	Outcomes    map[string]int `json:"outcomes"`     // of the accepted, by status; accepted = outcomes + unfinished
	Reasons     map[string]int `json:"reasons"`      // of the rejected
	UnitsSold   int64          `json:"units_sold"`   // as the buyers' receipts say
	PointsMoved int64          `json:"points_moved"` //
	Oversold    int64          `json:"oversold"`
	Unfinished  int            `json:"unfinished"`
	Inversions  int64          `json:"inversions"`
	AcceptPerS  float64        `json:"accept_per_s"` // from the first POST to the last acceptance
	VerdictMS   Quantiles      `json:"verdict_ms"`   // from sending the POST to reading its outcome
	Audit       any            `json:"audit"`        // "ok", or the list of broken rules
}

// Quantiles are milliseconds.
type Quantiles struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// Clean says that nothing is oversold, unfinished, out of order or broken.
func (r Report) Clean() bool {
	return r.Oversold == 0 && r.Unfinished == 0 && r.Inversions == 0 && r.Audit == "ok"
}

// The rules that the buyers themselves can see broken; they join the audit's.
const (
	oneReceipt  = "one_receipt" // a key has one receipt
	ceiling     = "ceiling"     // nobody pays more than he named
	unreachable = "no_answer"   // every request is answered in the end
)

// proof is what the audit knows and the buyers cannot.
type proof struct {
	oversold, inversions int64
	broken               []string
}

// judge sums the stories up.
func judge(stories []story, p proof) Report {
	r := Report{
		Requests: len(stories), Refused: map[string]int{}, Outcomes: map[string]int{}, Reasons: map[string]int{},
		Inversions: p.inversions,
	}
	var first, last time.Time
	var took []time.Duration
	broken := map[string]bool{}
	for _, rule := range p.broken {
		broken[rule] = true
	}
	for _, s := range stories {
		if !s.sent.IsZero() && (first.IsZero() || s.sent.Before(first)) {
			first = s.sent
		}
		if s.accepted.After(last) {
			last = s.accepted
		}
		switch {
		case s.refused != "":
			r.Refused[s.refused]++
			continue
		case s.receipt == "": // it may have been accepted, and nobody told
			r.Refused[unreachable]++
			broken[unreachable] = true
			continue
		}
		r.Accepted++
		if s.twice {
			broken[oneReceipt] = true
		}
		if s.decided.IsZero() {
			r.Unfinished++
			continue
		}
		took = append(took, s.decided.Sub(s.sent))
		r.Outcomes[s.status]++
		switch s.status {
		case string(client.Rejected):
			r.Reasons[s.reason]++
		case string(client.Confirmed):
			r.UnitsSold += s.quantity
			r.PointsMoved += s.quantity * s.price
			if s.price > s.named {
				broken[ceiling] = true
			}
		}
	}
	r.Oversold = max(p.oversold, r.UnitsSold-stock)
	if r.Accepted > 0 {
		r.AcceptPerS = rounded(float64(r.Accepted) / max(last.Sub(first).Seconds(), 0.001))
	}
	slices.Sort(took)
	r.VerdictMS = Quantiles{quantile(took, 0.50), quantile(took, 0.99)}
	r.Audit = "ok"
	if len(broken) > 0 {
		r.Audit = slices.Sorted(maps.Keys(broken))
	}
	return r
}

// quantile is the value that a share q of all sorted ones do not exceed, in ms.
func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i := max(int(math.Ceil(q*float64(len(sorted))))-1, 0)
	return rounded(float64(sorted[i]) / float64(time.Millisecond))
}

func rounded(f float64) float64 { return math.Round(f*10) / 10 }

// Table writes r for a person.
func (r Report) Table(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	row := func(name, value string) { fmt.Fprintf(table, "%s\t%s\n", name, value) }
	fmt.Fprintln(table)
	row("requests", grouped(int64(r.Requests)))
	row("accepted", grouped(int64(r.Accepted)))
	row("refused at the door", counts(r.Refused))
	row("outcomes", counts(r.Outcomes))
	row("reasons", counts(r.Reasons))
	row("units sold", fmt.Sprintf("%d of %d", r.UnitsSold, stock))
	row("points moved", grouped(r.PointsMoved))
	row("bids/s accepted", grouped(int64(math.Round(r.AcceptPerS))))
	row("verdict", fmt.Sprintf("p50 %.0f ms, p99 %.0f ms", r.VerdictMS.P50, r.VerdictMS.P99))
	row("oversold", grouped(r.Oversold))
	row("unfinished", grouped(int64(r.Unfinished)))
	row("inversions", grouped(r.Inversions))
	audit := "ok"
	if rules, bad := r.Audit.([]string); bad {
		audit = "BROKEN: " + strings.Join(rules, ", ")
	}
	row("audit", audit)
	return table.Flush()
}

// counts writes words with their numbers, the largest first.
func counts(m map[string]int) string {
	if len(m) == 0 {
		return "none"
	}
	words := slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		if m[a] != m[b] {
			return m[b] - m[a]
		}
		return strings.Compare(a, b)
	})
	for i, word := range words {
		words[i] = word + " " + grouped(int64(m[word]))
	}
	return strings.Join(words, ", ")
}

// grouped writes 1234567 as 1,234,567.
func grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}
