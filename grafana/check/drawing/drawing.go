// Package drawing is what the dashboards are drawn from: panels in words, a line or
// two each, and the code that makes Grafana's JSON of them. Nobody edits that JSON by
// hand (a test holds it against this package):
//
//	go test ./drawing -update        draws grafana/dashboards anew
//
//	board ── rows ── panels ── queries
//	  salefloor.go   what is sold, to whom, how fast      is the sale well?
//	  pipeline.go    every phase, queue, owner, store     where does it hurt?
//	  promises.go    the guarantees, and the error budget is what we promise true?
//
// In a query @ stands for what all of them have: {@} is {job=~"$job"}, and [@] is
// [$__rate_interval]. Survey gauges are told by every scheduler alike, so they are
// taken by max; counters are summed. Numbers that say whether something is well are
// asked for this instant: what is not known any more shows as "no data", not as the
// last good value.
package drawing

import "strings"

// board is one dashboard.
type board struct {
	uid, title, about string
	from, refresh     string // the time it shows at first, and how often it asks again
	partitions, sales bool   // it has a variable for them
	rows              []row
}

// row is a heading and the panels below it, from left to right, line by line.
type row struct {
	title  string
	panels []*panel
}

// panel is one picture. Every one says what is well and what to do.
type panel struct {
	look         look
	title, about string
	unit         string
	wide, tall   int
	queries      []query
	steps        []step
	words        []word
	links        []link
	most         float64 // end of the axis; 0: as it comes
	stepped      bool    // the value holds until the next one
	columns      []column
}

// look is how a panel shows its values.
type look string

const (
	number look = "stat"
	graph  look = "timeseries"
	heat   look = "heatmap"
	bars   look = "bargauge"
	table  look = "table"
)

// query is a PromQL expression and what its series are called.
type query struct{ expr, legend string }

// step is a threshold: from value on it is of that colour.
type step struct {
	value float64
	color string
}

// word is shown instead of a value.
type word struct {
	value       int
	text, color string
}

// link leads from a panel to where one reads on.
type link struct{ title, url string }

// column is one of a table: a label, or a query's value by its letter ("Value #B").
type column struct{ field, title, unit string }

// q is a query with @ filled in.
func q(expr, legend string) query {
	return query{strings.NewReplacer("{@", `{job=~"$job"`, "[@]", "[$__rate_interval]").Replace(expr), legend}
}

// stat is one number now; green unless it has steps.
func stat(title, about, unit, expr string) *panel {
	return &panel{look: number, title: title, about: about, unit: unit, wide: 4, tall: 4, queries: []query{q(expr, title)}}
}

// states are several numbers now that are words: 1 is good, 0 is bad.
func states(title, about, good, bad string, queries ...query) *panel {
	return &panel{look: number, title: title, about: about, unit: "none", wide: 8, tall: 8, queries: queries,
		words: []word{{0, bad, "red"}, {1, good, "green"}}, steps: []step{{1, "green"}}}
}

// lines is a course of time.
func lines(title, about, unit string, queries ...query) *panel {
	return &panel{look: graph, title: title, about: about, unit: unit, wide: 8, tall: 8, queries: queries}
}

// heatmap shows how a histogram's values were spread, by its classic buckets: they are
// there whether or not Prometheus takes native ones. unit is that of the values.
func heatmap(title, about, unit, bucket string) *panel {
	return &panel{look: heat, title: title, about: about, unit: unit, wide: 8, tall: 8,
		queries: []query{q("sum by (le) (increase("+bucket+"[@]))", "{{le}}")}}
}

// percentiles are lines of a histogram's quantiles.
func percentiles(title, about, bucket string, quantiles ...string) *panel {
	p := lines(title, about, "s")
	for _, quantile := range quantiles {
		p.queries = append(p.queries, q("histogram_quantile(0."+quantile+", sum by (le) (rate("+bucket+"[@])))", "p"+quantile))
	}
	return p
}

// list is a table of what is now.
func list(title, about string, columns []column, queries ...query) *panel {
	return &panel{look: table, title: title, about: about, unit: "none", wide: 12, tall: 8, columns: columns, queries: queries}
}

// share is a bar for each of several parts of a whole.
func share(title, about string, queries ...query) *panel {
	return &panel{look: bars, title: title, about: about, unit: "percentunit", wide: 8, tall: 8, most: 1, queries: queries}
}

func (p *panel) size(wide, tall int) *panel {
	p.wide, p.tall = wide, tall
	return p
}

// warn is orange from that value on.
func (p *panel) warn(value float64) *panel {
	p.steps = append(p.steps, step{value, "orange"})
	return p
}

// bad is red from that value on.
func (p *panel) bad(value float64) *panel {
	p.steps = append(p.steps, step{value, "red"})
	return p
}

// good is green from that value on, and red below the lowest.
func (p *panel) good(value float64) *panel {
	p.steps = append(p.steps, step{value, "green"})
	return p
}

func (p *panel) upTo(most float64) *panel {
	p.most = most
	return p
}

func (p *panel) inSteps() *panel {
	p.stepped = true
	return p
}

// runbook links to what an alert's section of the runbook says.
func (p *panel) runbook(alert string) *panel {
	p.links = append(p.links, link{"Runbook: " + alert, "${runbook:raw}#" + strings.ToLower(alert)})
	return p
}

// see links to another board, at the same time of the same deployment.
func (p *panel) see(b string) *panel {
	p.links = append(p.links, link{"Read on: " + titles[b], "/d/" + b + "?${__url_time_range}&${datasource:queryparam}&${job:queryparam}"})
	return p
}

// The boards, by uid.
const (
	saleFloor = "sluice-sale-floor"
	pipeline  = "sluice-pipeline"
	promises  = "sluice-promises"
)

var titles = map[string]string{saleFloor: "Sale floor", pipeline: "Pipeline", promises: "Promises"}

// alertsFiring is on every board: at three in the morning it is the first thing to look at.
func alertsFiring() *panel {
	return stat("Alerts firing", "0 is well. Else the red marks in the graphs say which and since when; each has its page in the runbook.", "none",
		`count(ALERTS{alertname=~"Sluice.+", alertstate="firing"}) or vector(0)`).bad(1)
}
