package plan

import (
	"bytes"
	"fmt"
	"math"
	"strings"
)

// ordinary is the plan that the page about scaling starts from: what the flags say by default.
func ordinary(rate float64) Options {
	return Options{
		Workload: Workload{Rate: rate, Peak: 60, Wins: 0.3, Sales: 100, Hottest: 0.1, Waits: 1, Hours: 4, Backlog: 100_000},
		Machines: Machines{APICores: 4, ConsumerCores: 4, PostgresCores: 16, Full: 0.6, Network: 0.1, Commit: 1, Disk: 500},
		Seed:     1,
	}
}

// crowd is one that comes to a million: more sales, none of them as hot.
func crowd(rate float64) Options {
	o := ordinary(rate)
	o.Sales, o.Hottest, o.PostgresCores, o.APICores, o.Disk = 10_000, 0.01, 64, 16, 2000
	return o
}

// cells is how many deployments, each with a Postgres of its own, share the million of the page.
const cells = 20

// Page makes the parts of docs/scaling.md that are computed: what stands there between
// <!-- plan:NAME --> and <!-- /plan -->.
func Page(benchmarks []byte) (map[string]string, error) {
	costs, err := Measured(benchmarks)
	if err != nil {
		return nil, err
	}
	proofs, err := Prove(benchmarks)
	if err != nil {
		return nil, err
	}
	parts := map[string]string{"costs": costsPart(costs), "proofs": proofsPart(proofs), "hot": hotPart(costs)}
	make := func(o Options) Report {
		o.Costs = costs
		var r Report
		if err == nil {
			r, err = Make(o)
		}
		return r
	}
	var sizes, breaking, losses, lanes strings.Builder
	sizes.WriteString("| requests/s | API processes | consumers | partitions | masters of Redis | memory of Redis | Postgres: tables, log a day | breaks first | at |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, rate := range []float64{1000, 10_000, 20_000, 50_000, 100_000} {
		r := make(ordinary(rate))
		d := r.Deployment
		fmt.Fprintf(&sizes, "| %s | %d | %d | %d | %d | %s | %s, %s | %s | %s/s |\n", number(rate), d.APIs, d.Consumers, d.Partitions, d.Masters,
			size(r.Stores.RedisBytes), size(r.Stores.PostgresDay), size(r.Stores.WALDay), first(r).What, number(significant(first(r).Breaks)))
	}
	million := make(crowd(1_000_000))
	fmt.Fprintf(&breaking, "`%s` wants %s, %s, %s and %s of Redis:\n\n| | of what it can | at its end with | then |\n|---|---|---|---|\n", command(crowd(1_000_000)),
		count(million.Deployment.APIs, "API process"), count(million.Deployment.Consumers, "consumer"), count(million.Deployment.Partitions, "partition"),
		count(million.Deployment.Masters, "master"))
	for _, use := range million.Uses {
		fmt.Fprintf(&breaking, "| %s | %s | %s/s | %s |\n", use.What, percent(significant(use.Busy)), number(significant(use.Breaks)), use.Then)
	}

	losses.WriteString("| without | accepted p50 | verdict p50 | p99 | last | refused | queued at most | back to what it was after |\n|---|---|---|---|---|---|---|---|\n")
	o := ordinary(5000)
	of := sizing{Workload: o.Workload, Machines: o.Machines, costs: costs}
	d, _ := of.Size()
	for _, loss := range []Loss{{}, {"master", 5}, {"consumer", 10}, {"postgres", 5}} {
		name := "nothing"
		if loss.What != "" {
			name = fmt.Sprintf("a %s for %s s", loss.What, number(loss.Seconds))
		}
		s := of.Simulate(d, o.Seed, 100_000, loss)
		fmt.Fprintf(&losses, "| %s | %s ms | %s ms | %s ms | %s ms | %s of %s | %s | %s s |\n", name, number(significant(s.Accepted.P50)), number(significant(s.Verdict.P50)),
			number(significant(s.Verdict.P99)), number(significant(s.Verdict.Max)), number(float64(s.Refused)), number(float64(s.Came)), number(float64(s.QueueMost)), number(significant(s.Recovered)))
	}

	lanes.WriteString("| | requests/s | verdict p50 | p99 | queued at most | drained after |\n|---|---|---|---|---|---|\n")
	for _, of := range []struct {
		name string
		rate float64
	}{{"one of 20 cells, each with a twentieth", 1_000_000 / cells}, {"the same cell, when it gets twice as much", 2 * 1_000_000 / cells}} {
		o := crowd(1_000_000 / cells)
		o.Sales /= cells
		d := make(o).Deployment // also for twice as much
		o.APIs, o.Consumers, o.Masters, o.Partitions = d.APIs, d.Consumers, d.Masters, d.Partitions
		o.Rate, o.Requests = of.rate, 100_000
		r := make(o)
		if err != nil {
			return nil, err
		}
		s := *r.Simulated
		fmt.Fprintf(&lanes, "| %s | %s | %s ms | %s ms | %s | %s s |\n", of.name, number(of.rate), number(significant(s.Verdict.P50)), number(significant(s.Verdict.P99)),
			number(float64(s.QueueMost)), number(significant(s.Drained)))
	}
	parts["sizes"], parts["million"], parts["losses"], parts["cells"] = sizes.String(), breaking.String(), losses.String(), lanes.String()
	return parts, err
}

// Fill writes the computed parts of a page anew. A part without a place, and a place
// without a part, are errors.
func Fill(page []byte, parts map[string]string) ([]byte, error) {
	var out bytes.Buffer
	left := map[string]bool{}
	for name := range parts {
		left[name] = true
	}
	const begin, end = "<!-- plan:", "<!-- /plan -->"
	for rest := string(page); ; {
		before, after, more := strings.Cut(rest, begin)
		out.WriteString(before)
		if !more {
			break
		}
		name, after, ok := strings.Cut(after, " -->\n")
		stale, after, closed := strings.Cut(after, end)
		if !ok || !closed || strings.Contains(stale, begin) || !left[name] {
			return nil, fmt.Errorf("the part %q has no end, or nobody makes it", name)
		}
		delete(left, name)
		out.WriteString(begin + name + " -->\n" + parts[name] + end)
		rest = after
	}
	if len(left) > 0 {
		return nil, fmt.Errorf("the page has no place for %v", left)
	}
	return out.Bytes(), nil
}

func first(r Report) Use {
	if len(r.Uses) == 0 {
		return Use{}
	}
	return r.Uses[0]
}

// significant rounds to two digits: nobody knows more.
func significant(v float64) float64 {
	if v == 0 || math.IsNaN(v) {
		return v
	}
	scale := math.Pow(10, math.Floor(math.Log10(math.Abs(v)))-1)
	return math.Round(v/scale) * scale
}

// command is how one asks for such a plan.
func command(o Options) string {
	return fmt.Sprintf("sluice plan --rate %.0f --sales %d --hottest %g --api-cores %d --postgres-cores %d --disk %g", o.Rate, o.Sales, o.Hottest, o.APICores, o.PostgresCores, o.Disk)
}

func costsPart(costs Costs) string {
	out := new(strings.Builder)
	out.WriteString("| cost | | what for | from |\n|---|---|---|---|\n")
	for _, c := range costs.All() {
		fmt.Fprintf(out, "| `%s` | %s %s | %s | %s |\n", c.Name, number(c.Value), c.Unit, c.what, c.From)
	}
	return out.String()
}

func proofsPart(proofs []Proof) string {
	out := new(strings.Builder)
	out.WriteString("| | measured | simulated | off by | stated |\n|---|---|---|---|---|\n")
	for _, p := range proofs {
		fmt.Fprintf(out, "| %s ([%s](benchmarks.md#%s)) | %s | %s | %s | ± %s |\n", p.What, p.From, p.From, quantity(p.Measured, p.Unit), quantity(significant(p.Predicted), p.Unit), p.off(), percent(p.Within))
	}
	return out.String()
}

// hotPart is what one partition can settle at most, on cores of its own.
func hotPart(costs Costs) string {
	out := new(strings.Builder)
	out.WriteString("| of 100 requests win | settled/s, COMMIT waits 0.2 ms | 1 ms | 5 ms |\n|---|---|---|---|\n")
	for _, wins := range []float64{1, 0.5, 0.1, 0} {
		fmt.Fprintf(out, "| %s |", number(wins*100))
		for _, commit := range []float64{0.2, 1, 5} {
			o := ordinary(1000)
			o.Wins, o.Commit = wins, commit
			s := sizing{Workload: o.Workload, Machines: o.Machines, costs: costs}
			fmt.Fprintf(out, " %s |", number(significant(batchMost/s.transaction(batchMost, 1))))
		}
		out.WriteString("\n")
	}
	return out.String()
}
