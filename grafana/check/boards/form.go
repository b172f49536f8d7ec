package boards

import (
	"slices"
	"strings"
)

// Grafana's grid, and a laptop's screen.
const (
	gridWide = 24
	// A unit of the grid is 38 points high with its gap; a screen of 1440 × 900 has about
	// 730 of them below the browser's and Grafana's own bars.
	firstScreen     = 19
	firstScreenMost = 12 // panels that begin there
)

// looks are the kinds of panel that Grafana brings itself, of those we know.
var looks = []string{"row", "stat", "timeseries", "heatmap", "bargauge", "table"}

// units are Grafana's names of what we measure in. A word behind "suffix:" is our own.
var units = []string{"none", "short", "s", "bytes", "percentunit", "reqps", "ops"}

const source = "${datasource}"

// form: everything has a name, nothing has it twice, and all is asked of the data source
// that the reader has chosen.
func (b *Board) form(say complain) {
	if b.UID == "" || len(b.UID) > 40 || b.Title == "" || b.Description == "" || b.Time.From == "" || b.Time.To == "" {
		say("it has no uid, title, description or time")
	}
	if !slices.Contains(b.Tags, "sluice") {
		say("it is not tagged sluice: the others do not lead to it")
	}
	ids, titles := map[int]bool{}, map[string]bool{}
	for _, p := range b.Panels {
		if p.Title == "" || ids[p.ID] || titles[p.Title] {
			say("panel %d, %q: no title, or its id or title is another panel's too", p.ID, p.Title)
		}
		ids[p.ID], titles[p.Title] = true, true
		if !slices.Contains(looks, p.Type) {
			say("%q is a %s, which nobody knows", p.Title, p.Type)
		}
	}
	for _, p := range b.Pictures() {
		if len(p.Targets) == 0 {
			say("%q asks nothing", p.Title)
		}
		if p.Datasource.UID != source {
			say("%q asks %q, not the chosen data source", p.Title, p.Datasource.UID)
		}
		letters := map[string]bool{}
		for _, t := range p.Targets {
			if t.RefID == "" || letters[t.RefID] {
				say("%q: two queries are called %q", p.Title, t.RefID)
			}
			letters[t.RefID] = true
			if t.Datasource.UID != source {
				say("%q: query %s asks %q, not the chosen data source", p.Title, t.RefID, t.Datasource.UID)
			}
			if whole := p.Type == "stat" || p.Type == "bargauge" || p.Type == "table"; t.Instant != whole {
				say("%q: query %s is instant: %v; a number must be of now, a graph of its time", p.Title, t.RefID, t.Instant)
			}
		}
	}
}

// layout: panels lie on the grid, none over another, and a laptop's first screen is
// not too full to be read.
func (b *Board) layout(say complain) {
	above := 0
	for i, p := range b.Panels {
		at := p.GridPos
		if at.X < 0 || at.Y < 0 || at.W < 1 || at.H < 1 || at.X+at.W > gridWide {
			say("%q lies outside the grid: %+v", p.Title, at)
		}
		for _, other := range b.Panels[:i] {
			o := other.GridPos
			if at.X < o.X+o.W && o.X < at.X+at.W && at.Y < o.Y+o.H && o.Y < at.Y+at.H {
				say("%q lies over %q", p.Title, other.Title)
			}
		}
		if p.Type != "row" && at.Y < firstScreen {
			above++
		}
	}
	if above > firstScreenMost {
		say("%d panels begin on the first screen, more than %d", above, firstScreenMost)
	}
}

// words: every panel says in words what is well and what to do, in a unit, and what
// its series are.
func (b *Board) words(say complain) {
	for _, p := range b.Pictures() {
		if len(p.Description) < 20 || !strings.ContainsAny(p.Description[len(p.Description)-1:], ".?") {
			say("%q has no description: a sentence on what is well and what to do", p.Title)
		}
		known := func(unit string) bool { return slices.Contains(units, unit) || strings.HasPrefix(unit, "suffix:") }
		if !known(p.FieldConfig.Defaults.Unit) {
			say("%q has no unit that we know: %q", p.Title, p.FieldConfig.Defaults.Unit)
		}
		for _, o := range p.FieldConfig.Overrides {
			for _, property := range o.Properties {
				if unit, _ := property.Value.(string); property.ID == "unit" && !known(unit) {
					say("%q has a column with a unit that we do not know: %q", p.Title, unit)
				}
			}
		}
		legends := map[string]bool{}
		for _, t := range p.Targets {
			if t.LegendFormat == "" || t.LegendFormat == "__auto" || legends[t.LegendFormat] {
				say("%q: query %s has no legend, or another one's: %q", p.Title, t.RefID, t.LegendFormat)
			}
			legends[t.LegendFormat] = true
		}
	}
}
