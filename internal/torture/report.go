package torture

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"sluice/client"
)

// proof is what the audit knows and the clients cannot.
type proof struct {
	Verdict    string   `json:"verdict"`
	Broken     []string `json:"broken,omitempty"`
	Breaches   int64    `json:"breaches"`
	Oversold   int64    `json:"oversold"`
	Unfinished int64    `json:"unfinished"`
	Inversions int64    `json:"inversions"`
	Sales      int64    `json:"sales"`
	Receipts   int64    `json:"receipts"`
	Entries    int64    `json:"entries"`
	Batches    int64    `json:"batches"`
	Requests   int64    `json:"requests"`
	TookMS     int64    `json:"took_ms"`
}

// Quantiles are milliseconds.
type Quantiles struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// violationsMost is how many violations are told in full.
const violationsMost = 50

// Report is what came of a torture.
type Report struct {
	Seed    uint64  `json:"seed"`
	Seconds float64 `json:"seconds"` // of traffic, draining included
	Verdict string  `json:"verdict"` // ok, or broken

	Forgetful bool `json:"forgetful,omitempty"` // Redis was to forget: what was queued may be lost, but not silently

	Cluster *Cluster `json:"cluster,omitempty"` // what befell it, where Redis is one

	Requests  int                 `json:"requests"` // one per key
	Accepted  int                 `json:"accepted"`
	Repeats   int                 `json:"repeats"`  // answers to a key that had a receipt already
	Refused   map[string]int      `json:"refused"`  // by code
	Outcomes  map[string]int      `json:"outcomes"` // by last status
	Reasons   map[string]int      `json:"reasons"`  // of the rejected
	Kinds     map[client.Kind]int `json:"kinds"`
	Verbs     map[client.Verb]int `json:"verbs"`
	VerdictMS Quantiles           `json:"verdict_ms"` // from sending the POST to reading what it was decided to be

	Faults  map[string]int `json:"faults"` // by kind
	Skipped int            `json:"skipped_faults"`
	Starts  int64          `json:"starts"`  // of processes
	GaveUp  int            `json:"gave_up"` // processes that ended since a server was down
	Rolled  int64          `json:"rolled"`  // processes that were exchanged for those of another release
	Untidy  int64          `json:"untidy"`  // of these, those that left something to the next one, since they had to wait for too long

	Oversold   int64 `json:"oversold"`
	Unfinished int64 `json:"unfinished"`
	Inversions int64 `json:"inversions"`
	Lost       int   `json:"lost"`    // requests; only a Redis that is to forget may lose any, or a cluster at a failover
	Anew       int   `json:"anew"`    // of these asked again, and taken in
	Doubled    int   `json:"doubled"` // keys with two receipts

	Hardships []Hardship `json:"hardships,omitempty"` // of hosts, one after the other
	Packets   [2]int64   `json:"packets,omitzero"`    // between hosts: that arrived, that did not

	Calm *Calm `json:"calm,omitempty"` // while nothing broke

	Audit      proof        `json:"audit"`
	Order      Linear       `json:"order"`      // how far the order of requests was judged
	Violations []Violation  `json:"violations"` // the first of them
	Broken     map[Rule]int `json:"broken"`     // how many of each rule
	Processes  []string     `json:"processes"`  // what they did that none should do

	mayLose bool // what was lost is judged one by one, or is no wrong at all
}

// Cluster is what befell a Redis Cluster, and what it lost by that.
type Cluster struct {
	Planned  int       `json:"planned"`   // changes of a master, in order
	Promoted int       `json:"promoted"`  // the others: a replica took over
	Window   Quantiles `json:"window_ms"` // how long a master took in what its successor may lack
	Unsafe   int       `json:"unsafe"`    // promoted, though nobody had ever seen it have everything, or the old master end
	Moves    int       `json:"moves"`     // of slots, there or back
	Outages  int       `json:"outages"`   // of a master and its replica
	Sent     int       `json:"sent"`      // requests meanwhile to others
	Decided  int       `json:"decided"`   // of these, before the outage was over
}

func (c Cluster) String() string {
	return fmt.Sprintf("%d replicas promoted, %d masters relieved in order, %d slots moved; what was taken in within p50 %.0f ms, at most %.0f ms, might be lost, at %d at any time",
		c.Promoted, c.Planned, c.Moves, c.Window.P50, c.Window.Max, c.Unsafe)
}

// clustered sums up what befell the cluster.
func (h *house) clustered(found History) (*Cluster, []Violation) {
	c := Cluster{Moves: h.servers.cluster.moves}
	var windows []float64
	for _, change := range found.Changes {
		switch {
		case change.Planned:
			c.Planned++
		case change.FromMS == 0 || change.UntilMS == never:
			c.Promoted++
			c.Unsafe++
		default:
			c.Promoted++
			windows = append(windows, float64(change.UntilMS-change.FromMS))
		}
	}
	c.Window = quantiles(windows)
	outages, violations := CheckOutages(found)
	for _, o := range outages {
		c.Outages, c.Sent, c.Decided = c.Outages+1, c.Sent+o.Sent, c.Decided+o.Decided
	}
	return &c, violations
}

// Clean says that nobody was wronged.
func (r Report) Clean() bool { return r.Verdict == "ok" }

// report sums everything up. The processes must have ended.
func (h *house) report(c *crowd, found proof) Report {
	r := Report{
		Seed: h.Seed, Seconds: math.Round(c.took.Seconds()*10) / 10,
		Faults: h.struck.done, Skipped: h.struck.skipped, Starts: h.fleet.starts.Load(), GaveUp: h.fleet.gaveUp(), Rolled: h.fleet.rolls.Load(), Untidy: h.fleet.untidy.Load(),
		Processes: h.fleet.wrong(),
	}
	r.tally(c.record.History)
	judge := check
	switch {
	case h.Forgetful && h.forgiving():
		r.Forgetful, judge = true, checkForgetful
	case h.forgiving():
		judge = checkFailover
	}
	order, violations := judge(c.record.History)
	r.Order = order
	if h.Cluster {
		var held []Violation
		r.Cluster, held = h.clustered(c.record.History)
		violations = append(violations, held...)
	}
	violations = slices.Concat(violations, CheckCoupons(c.record.History), CheckQuiet(c.record.History))
	if h.hosts != nil {
		r.Hardships = h.hosts.met
		r.Packets[0], r.Packets[1] = h.hosts.network.counts()
	}
	violations = append(violations, h.found...)
	if h.calm != nil {
		r.Calm = h.calm.sum(c.record.Waiters)
		violations = slices.Concat(violations, h.calm.broken, CheckWaiters(c.record.History))
	}
	r.mayLose = h.forgiving()
	r.judge(violations, found)
	return r
}

// tally counts the requests.
func (r *Report) tally(h History) {
	r.Refused, r.Outcomes, r.Reasons = map[string]int{}, map[string]int{}, map[string]int{}
	r.Kinds, r.Verbs = map[client.Kind]int{}, map[client.Verb]int{}
	var took []float64
	for _, one := range h.Requests {
		r.Requests++
		r.Kinds[one.Kind]++
		r.Verbs[one.Verb]++
		if !one.accepted() {
			r.Refused[one.Refused]++
			continue
		}
		r.Accepted++
		r.Repeats += len(one.Answers) - 1
		last := one.last()
		outcome := string(last.Status)
		if answeredLost(one.Vanished) {
			outcome = string(client.CodeLost)
		}
		r.Outcomes[outcome]++
		if last.Status == client.Rejected {
			r.Reasons[string(last.Reason)]++
		}
		if last.Reason == client.ReasonLost || one.Lost != nil || answeredLost(one.Vanished) || len(one.Earlier) > 0 {
			r.Lost++
		}
		if one.Lost != nil && one.Lost.Anew || one.Lost == nil && len(one.Earlier) > 0 {
			r.Anew++
		}
		if one.VerdictMS > 0 {
			took = append(took, one.VerdictMS)
		}
	}
	r.VerdictMS = quantiles(took)
}

func quantiles(all []float64) (q Quantiles) {
	slices.Sort(all)
	if n := len(all); n > 0 {
		q = Quantiles{all[n/2], all[min(n*99/100, n-1)], all[n-1]}
	}
	return q
}

// judge takes the violations and the audit in, and says the verdict.
func (r *Report) judge(violations []Violation, found proof) {
	r.Audit, r.Broken = found, map[Rule]int{}
	r.Oversold, r.Unfinished, r.Inversions = found.Oversold, found.Unfinished, found.Inversions
	r.Violations = append([]Violation{}, violations[:min(len(violations), violationsMost)]...) // in JSON a list, even of nothing
	for _, v := range violations {
		r.Broken[v.Rule]++
	}
	r.Unfinished = max(r.Unfinished, int64(r.Broken[Ends]))
	r.Doubled = r.Broken[OneReceipt]
	r.Verdict = "ok"
	if len(violations) > 0 || len(r.Processes) > 0 || found.Verdict != "ok" ||
		r.Oversold+r.Unfinished+r.Inversions != 0 || r.Lost != 0 && !r.mayLose {
		r.Verdict = "broken"
	}
}

// wronged are the lost that should not have been.
func (r Report) wronged() int {
	if r.mayLose {
		return r.Broken[NoneLost]
	}
	return r.Lost
}

// Table writes r for a person.
func (r Report) Table(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	var cluster [][2]string
	if c := r.Cluster; c != nil {
		cluster = [][2]string{
			{"cluster", c.String()},
			{"shards away", fmt.Sprintf("%d; meanwhile %d requests were sent to others, and %d decided", c.Outages, c.Sent, c.Decided)},
		}
	}
	for _, line := range slices.Concat([][2]string{
		{"seed", fmt.Sprint(r.Seed)},
		{"traffic", fmt.Sprintf("%.1f s", r.Seconds)},
		{"requests", fmt.Sprintf("%d, %d accepted, %d repeated", r.Requests, r.Accepted, r.Repeats)},
		{"verbs", counts(r.Verbs)},
		{"refused at the door", counts(r.Refused)},
		{"outcomes", counts(r.Outcomes)},
		{"reasons", counts(r.Reasons)},
		{"time to the verdict", fmt.Sprintf("p50 %.0f ms, p99 %.0f ms, longest %.0f ms", r.VerdictMS.P50, r.VerdictMS.P99, r.VerdictMS.Max)},
		{"faults", fmt.Sprintf("%s; %d skipped, since their target was down or ill already", counts(r.Faults), r.Skipped)},
		{"processes", fmt.Sprintf("%d started, %d gave up while a server was down, %d exchanged for another release, %d of them not in order", r.Starts, r.GaveUp, r.Rolled, r.Untidy)},
		{"audit", fmt.Sprintf("%s: %d sales, %d receipts, %d ledger entries, %d batches with %d requests, in %d ms",
			r.Audit.Verdict, r.Audit.Sales, r.Audit.Receipts, r.Audit.Entries, r.Audit.Batches, r.Audit.Requests, r.Audit.TookMS)},
	}, cluster, [][2]string{
		{"order", r.Order.String()},
		{"lost with Redis", fmt.Sprintf("%d of %d accepted requests, %d of them asked again and taken in", r.Lost, r.Accepted, r.Anew)},
		{"wrong", fmt.Sprintf("oversold %d, unfinished %d, lost %d, doubled %d, inversions %d", r.Oversold, r.Unfinished, r.wronged(), r.Doubled, r.Inversions)},
	}) {
		fmt.Fprintf(t, "%s\t%s\n", line[0], line[1])
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, line := range append(copes(r.Hardships), r.Calm.lines()...) {
		fmt.Fprintln(w, line)
	}
	for _, v := range r.Violations {
		fmt.Fprintf(w, "BROKEN %s: key %s, sale %d: %s\n", v.Rule, v.Key, v.Sale, v.Detail)
	}
	if len(r.Broken) > 0 {
		fmt.Fprintf(w, "BROKEN in all: %s\n", counts(r.Broken))
	}
	for _, text := range r.Audit.Broken {
		fmt.Fprintf(w, "BROKEN audit: %s\n", text)
	}
	for _, text := range r.Processes {
		fmt.Fprintf(w, "BROKEN process: %s\n", text)
	}
	again := ""
	if r.Forgetful {
		again = " --forgetful"
	}
	if r.Cluster != nil {
		again += " --cluster"
	}
	if r.Rolled > 0 {
		again += " --from FILE"
	}
	if r.Calm != nil {
		again += " --calm"
	}
	if len(r.Hardships) > 0 {
		again += " --hosts"
	}
	_, err := fmt.Fprintf(w, "torture %s; again: sluice torture --seed %d%s\n", r.Verdict, r.Seed, again)
	return err
}

// counts writes words with their numbers, the largest first.
func counts[Word ~string](m map[Word]int) string {
	if len(m) == 0 {
		return "none"
	}
	words := slices.SortedFunc(maps.Keys(m), func(a, b Word) int {
		if m[a] != m[b] {
			return m[b] - m[a]
		}
		return strings.Compare(string(a), string(b))
	})
	var text []string
	for _, word := range words {
		text = append(text, fmt.Sprintf("%s %d", word, m[word]))
	}
	return strings.Join(text, ", ")
}

// watch shows how it goes until done.
func (c *crowd) watch(done <-chan struct{}, h *house) {
	every := 5 * time.Second
	if h.Terminal {
		every = 250 * time.Millisecond
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-done:
			c.show(h, true)
			return
		case <-tick.C:
			c.show(h, false)
		}
	}
}

// show writes the progress line.
func (c *crowd) show(h *house, end bool) {
	if h.Progress == nil {
		return
	}
	before, after := "", "\n"
	if h.Terminal {
		before = "\r\x1b[K" // back to the start, and clear the line
		if !end {
			before, after = before+"\x1b[?7l", "\x1b[?7h" // cut off at the edge
		}
	}
	answered, decided := c.answered.Load(), c.decided.Load()
	fmt.Fprintf(h.Progress, "%s%5.1f s  sent %d  answered %d  queue %d  faults %d  servers broken %d%s", before,
		time.Since(c.began).Seconds(), c.sent.Load(), answered, max(answered-decided, 0), h.struck.total(), h.fleet.servers.now.Load(), after)
}
