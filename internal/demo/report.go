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

// Report is what came of a demo: the totals, and the same of each kind.
type Report struct {
	Tally
	Kinds map[client.Kind]Tally `json:"kinds"`
}

// Tally is what came of some requests. The words are the domain's.
type Tally struct {
	Requests    int            `json:"requests"`     // of every verb; a repeated one counts once
	Accepted    int            `json:"accepted"`     // got a receipt
	Refused     map[string]int `json:"refused"`      // got none, by code; requests = accepted + refused
	Outcomes    map[string]int `json:"outcomes"`     // of the accepted, by their last status; accepted = outcomes + unfinished
	Reasons     map[string]int `json:"reasons"`      // of the rejected
	UnitsSold   int64          `json:"units_sold"`   // as the buyers' receipts say, in the end
	PointsMoved int64          `json:"points_moved"` // paid and paid back
	Oversold    int64          `json:"oversold"`
	Unfinished  int            `json:"unfinished"`
	Inversions  int64          `json:"inversions"`
	AcceptPerS  float64        `json:"accept_per_s"` // from the first POST to the last acceptance
	VerdictMS   Quantiles      `json:"verdict_ms"`   // from sending the POST to reading what it was decided to be
	Audit       any            `json:"audit"`        // "ok", or the list of broken rules

	stock int64 // units
}

// Quantiles are milliseconds.
type Quantiles struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// Clean says that nothing is oversold, unfinished, out of order or broken.
func (t Tally) Clean() bool {
	return t.Oversold == 0 && t.Unfinished == 0 && t.Inversions == 0 && t.Audit == "ok"
}

// Clean says that the whole is, and every kind.
func (r Report) Clean() bool {
	for _, t := range r.Kinds {
		if !t.Clean() {
			return false
		}
	}
	return r.Tally.Clean()
}

// The rules that the buyers themselves can see broken; they join the audit's.
const (
	oneReceipt  = "one_receipt" // a key has one receipt
	ceiling     = "ceiling"     // nobody pays more than he named
	freshClock  = "fresh_clock" // who is promoted has the whole hold to pay in
	unreachable = "no_answer"   // every request is answered in the end
)

// Words of the audit.
const (
	busy       = "busy"
	inversions = "inversions"
)

// proof is what the audit knows and the buyers cannot.
type proof struct {
	oversold, inversions int64
	broken               []rule
}

// rule is a broken one, and the sale it is about, 0 when it is about none.
type rule struct {
	name string
	sale int64
}

// report sums everything up.
func (c *crowd) report(p proof) Report {
	r := Report{Kinds: map[client.Kind]Tally{}}
	for _, kind := range kinds {
		var stories []*story
		for _, s := range c.stories {
			if s.kind == kind {
				stories = append(stories, s)
			}
		}
		var own proof
		for _, broken := range p.broken {
			if broken.sale == c.lots[kind].ID {
				own.broken = append(own.broken, broken)
				if broken.name == inversions {
					own.inversions++
				}
			}
		}
		tally := judge(stories, own)
		tally.stock = c.lots[kind].Stock.Total
		tally.Oversold = max(tally.UnitsSold-tally.stock, 0)
		r.Kinds[kind] = tally
		r.stock += tally.stock
		r.Oversold += tally.Oversold
	}
	oversold, stock := max(r.Oversold, p.oversold), r.stock
	r.Tally = judge(c.stories, p)
	r.Oversold, r.stock = oversold, stock
	return r
}

// judge sums stories up.
func judge(stories []*story, p proof) Tally {
	t := Tally{
		Requests: len(stories), Refused: map[string]int{}, Outcomes: map[string]int{}, Reasons: map[string]int{},
		Inversions: p.inversions, Oversold: p.oversold,
	}
	var first, last time.Time
	var took []time.Duration
	broken := map[string]bool{}
	for _, rule := range p.broken {
		broken[rule.name] = true
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
			t.Refused[s.refused]++
			continue
		case s.accepted.IsZero(): // it may have been accepted, and nobody told
			t.Refused[unreachable]++
			broken[unreachable] = true
			continue
		}
		t.Accepted++
		broken[oneReceipt] = broken[oneReceipt] || s.twice
		broken[freshClock] = broken[freshClock] || s.stale
		if s.decided.IsZero() {
			t.Unfinished++
			continue
		}
		took = append(took, s.decided.Sub(s.sent))
		t.Outcomes[string(s.last.Status)]++
		t.PointsMoved += s.moved
		switch s.last.Status {
		case client.Rejected:
			t.Reasons[string(s.last.Reason)]++
		case client.Confirmed:
			t.UnitsSold += s.last.Quantity // a payment or a cancel has none, but for one that bought anew
			broken[ceiling] = broken[ceiling] || s.verb == client.VerbBid && s.last.UnitPrice > s.named
		}
	}
	if t.Accepted > 0 {
		t.AcceptPerS = rounded(float64(t.Accepted) / max(last.Sub(first).Seconds(), 0.001))
	}
	slices.Sort(took)
	t.VerdictMS = Quantiles{quantile(took, 0.50), quantile(took, 0.99)}
	maps.DeleteFunc(broken, func(_ string, is bool) bool { return !is })
	t.Audit = "ok"
	if len(broken) > 0 {
		t.Audit = slices.Sorted(maps.Keys(broken))
	}
	return t
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

// Table writes r for a person: one row per kind, then what the totals say.
func (r Report) Table(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table)
	fmt.Fprintln(table, "kind\trequests\taccepted\trefused\tunits sold\tpoints moved\tverdict p50, p99\toversold\tunfinished\tinversions\taudit")
	row := func(name string, t Tally) {
		refused := 0
		for _, n := range t.Refused {
			refused += n
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s of %s\t%s\t%.0f ms, %.0f ms\t%s\t%s\t%s\t%s\n", name,
			grouped(int64(t.Requests)), grouped(int64(t.Accepted)), grouped(int64(refused)), grouped(t.UnitsSold), grouped(t.stock),
			grouped(t.PointsMoved), t.VerdictMS.P50, t.VerdictMS.P99,
			grouped(t.Oversold), grouped(int64(t.Unfinished)), grouped(t.Inversions), t.verdict())
	}
	for _, kind := range kinds {
		row(string(kind), r.Kinds[kind])
	}
	row("all", r.Tally)
	fmt.Fprintln(table)
	if err := table.Flush(); err != nil {
		return err
	}
	for _, line := range [][2]string{
		{"refused at the door", counts(r.Refused)},
		{"outcomes", counts(r.Outcomes)},
		{"reasons", counts(r.Reasons)},
		{"requests/s accepted", grouped(int64(math.Round(r.AcceptPerS)))},
	} {
		fmt.Fprintf(table, "%s\t%s\n", line[0], line[1])
	}
	return table.Flush()
}

// verdict puts the audit into words.
func (t Tally) verdict() string {
	if rules, bad := t.Audit.([]string); bad {
		return "BROKEN: " + strings.Join(rules, ", ")
	}
	return "ok"
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
