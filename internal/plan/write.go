package plan

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
)

// JSON writes r for a program.
func (r Report) JSON(w io.Writer) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	return out.Encode(r)
}

// Text writes r for a person.
func (r Report) Text(w io.Writer) error {
	text := new(strings.Builder)
	load, m, d := r.Workload, r.Machines, r.Deployment
	fmt.Fprintf(text, "For %s requests/s during %s s, %s of which win, on %s (%s of all on the hottest one):\n\n",
		number(load.Rate), number(load.Peak), percent(load.Wins), count(load.Sales, "sale"), percent(load.Hottest))
	table := tabwriter.NewWriter(text, 0, 0, 3, ' ', 0)
	fmt.Fprintf(table, "  %s\tof %s\n", count(d.APIs, "API process"), count(m.APICores, "core"))
	fmt.Fprintf(table, "  %s\tof %s\tSLUICE_POSTGRES_CONNS=%d\n", count(d.Consumers, "consumer"), count(m.ConsumerCores, "core"), r.Stores.EachConns)
	fmt.Fprintf(table, "  %s\tSLUICE_PARTITIONS=%d\n", count(d.Partitions, "partition"), d.Partitions)
	fmt.Fprintf(table, "  %s of Redis\tone core each\t%s of memory in all, up to %s connections each\n", count(d.Masters, "master"), size(r.Stores.RedisBytes), number(float64(r.Stores.RedisConns)))
	fmt.Fprintf(table, "  1 Postgres\tof %s\tup to %s connections; %s of tables and %s of log a day\n", count(m.PostgresCores, "core"),
		number(float64(r.Stores.PostgresConns)), size(r.Stores.PostgresDay), size(r.Stores.WALDay))
	fmt.Fprintf(table, "  SLUICE_BACKLOG=%d\t%s s of what comes to the hottest partition\n", load.Backlog, number(r.Stores.Backlog))
	table.Flush()
	fmt.Fprintf(text, "\nWhat breaks first:\n\n")
	fmt.Fprintf(table, "  \tthe peak, of what it can\tat its end with\tthen\n")
	for _, use := range r.Uses {
		fmt.Fprintf(table, "  %s\t%s\t%s/s\t%s\n", use.What, percent(use.Busy), number(use.Breaks), use.Then)
	}
	table.Flush()
	for _, complaint := range r.Complaints {
		fmt.Fprintf(text, "\nIT DOES NOT FIT: %s\n", complaint)
	}
	if r.Simulated != nil {
		fmt.Fprintf(text, "\nSimulated:\n\n")
		fmt.Fprintf(table, "  \tas it should\t%s\n", lossName(r.Loss))
		line := func(name string, value func(Simulated) string) {
			fmt.Fprintf(table, "  %s\t%s", name, value(*r.Simulated))
			if r.Lost != nil {
				fmt.Fprintf(table, "\t%s", value(*r.Lost))
			}
			fmt.Fprintln(table)
		}
		line("the crowd comes for", func(s Simulated) string { return number(s.Seconds) + " s" })
		line("came", func(s Simulated) string { return number(float64(s.Came)) })
		line("refused at the door", func(s Simulated) string { return number(float64(s.Refused)) })
		line("settled", func(s Simulated) string { return number(float64(s.Settled)) })
		line("accepted, p50, p99", func(s Simulated) string { return number(s.Accepted.P50) + " ms, " + number(s.Accepted.P99) + " ms" })
		line("verdict, p50, p99, last", func(s Simulated) string {
			return number(s.Verdict.P50) + " ms, " + number(s.Verdict.P99) + " ms, " + number(s.Verdict.Max) + " ms"
		})
		line("settled at once", func(s Simulated) string { return number(s.Batch) })
		line("queued at most", func(s Simulated) string { return number(float64(s.QueueMost)) })
		line("drained after", func(s Simulated) string { return number(s.Drained) + " s" })
		line("answers held in one API", func(s Simulated) string { return number(s.Waiting) })
		if r.Lost != nil {
			line("back to what it was after", func(s Simulated) string { return number(s.Recovered) + " s" })
			line("queued on what died", func(s Simulated) string { return number(float64(s.AtRisk)) })
		}
		table.Flush()
		fmt.Fprintf(text, "\nQueued, over time (all, and in the hottest partition):\n\n")
		shown := *r.Simulated
		if r.Lost != nil {
			shown = *r.Lost
		}
		for i, depth := range shown.Queue {
			if i%max(1, len(shown.Queue)/depths) == 0 {
				fmt.Fprintf(table, "  %s s\t%s\t%s\t%s\n", number(depth.At), number(float64(depth.All)), number(float64(depth.Hottest)), bar(depth.All, shown.QueueMost))
			}
		}
		table.Flush()
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// CostsText writes what r counts with, for a person.
func (r Report) CostsText(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, c := range r.Costs {
		fmt.Fprintf(table, "  %s\t%s %s\t%s\t%s\n", c.Name, number(c.Value), c.Unit, c.what, c.From)
	}
	return table.Flush()
}

func lossName(l *Loss) string {
	if l == nil {
		return ""
	}
	return fmt.Sprintf("without a %s for %s s", l.What, number(l.Seconds))
}

// bar is a picture of a share.
func bar(of, most int) string {
	if most == 0 {
		return ""
	}
	return strings.Repeat("▇", int(math.Round(float64(of)/float64(most)*40)))
}

// number writes three digits or so, and thousands apart.
func number(v float64) string {
	switch size := math.Abs(v); {
	case math.IsNaN(v):
		return "?"
	case size >= 100:
		digits := fmt.Sprintf("%.0f", v)
		for at := len(digits) - 3; at > 0 && digits[at-1] != '-'; at -= 3 {
			digits = digits[:at] + "," + digits[at:]
		}
		return digits
	case v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	case size >= 10:
		return fmt.Sprintf("%.1f", v)
	case size >= 0.1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.2g", v)
}

func percent(share float64) string { return number(share*100) + " %" }

func count(n int, of string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(of, "s"):
		of += "es"
	default:
		of += "s"
	}
	return number(float64(n)) + " " + of
}

// size is bytes for a person.
func size(bytes float64) string {
	for _, unit := range []string{"B", "KB", "MB", "GB", "TB"} {
		if bytes < 1000 || unit == "TB" {
			return number(math.Round(bytes*10)/10) + " " + unit
		}
		bytes /= 1000
	}
	return ""
}
