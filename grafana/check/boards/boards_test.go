package boards

import (
	"slices"
	"strings"
	"testing"

	"sluice/grafana/check/stage"
)

func TestMain(m *testing.M) { stage.Main(m) }

const folder = "../../dashboards"

// read reads the boards that Grafana loads, and what they speak of.
func read(t *testing.T) ([]*Board, World) {
	t.Helper()
	tree, err := stage.Tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w, err := ReadWorld(tree)
	if err != nil {
		t.Fatal(err)
	}
	all, err := Read(folder)
	if err != nil {
		t.Fatal(err)
	}
	return all, w
}

func TestBoards(t *testing.T) {
	all, w := read(t)
	for _, complaint := range Complaints(all, w) {
		t.Error(complaint)
	}
	var uids []string
	for _, b := range all {
		uids = append(uids, b.UID)
	}
	if want := []string{"sluice-pipeline", "sluice-promises", "sluice-sale-floor"}; !slices.Equal(uids, want) {
		t.Errorf("the boards are %q", uids)
	}
}

// TestComplaintsCatch are the known-bad twins: each spoils one thing, and is caught.
func TestComplaintsCatch(t *testing.T) {
	for name, twin := range map[string]struct {
		spoil func(all []*Board, b *Board, p *Panel)
		want  string
	}{
		"misspelt metric": {func(_ []*Board, _ *Board, p *Panel) { p.Targets[0].Expr = `sum(sluice_partition_dept{job=~"$job"})` }, "no metric sluice_partition_dept"},
		"misspelt histogram": {func(_ []*Board, _ *Board, p *Panel) {
			p.Targets[0].Expr = `sum(rate(sluice_verdict_second_bucket{job=~"$job"}[$__rate_interval]))`
		}, "no metric sluice_verdict_second_bucket"},
		"rule that is not recorded": {func(_ []*Board, _ *Board, p *Panel) { p.Targets[0].Expr = "sluice:verdicts:rate7m" }, "not recorded"},
		"query that does not parse": {func(_ []*Board, _ *Board, p *Panel) { p.Targets[0].Expr = "sum(up" }, "parse error"},
		"query of all jobs":         {func(_ []*Board, _ *Board, p *Panel) { p.Targets[0].Expr = "max(sluice_sales_open)" }, "not of the chosen jobs"},
		"counter without rate":      {func(_ []*Board, _ *Board, p *Panel) { p.Targets[0].Expr = `sum(sluice_takeovers_total{job=~"$job"})` }, "grows: true"},
		"histogram without rate":    {func(_ []*Board, _ *Board, p *Panel) { p.Targets[0].Expr = `sum(sluice_batch_entries_sum{job=~"$job"})` }, "grows: true"},
		"rate of a gauge": {func(_ []*Board, _ *Board, p *Panel) {
			p.Targets[0].Expr = `sum(rate(sluice_dead_letters{job=~"$job"}[$__rate_interval]))`
		}, "grows: false"},
		"mark of nothing":          {func(_ []*Board, b *Board, _ *Panel) { b.Annotations.List[0].Expr = `sluice_mishaps{job=~"$job"}` }, "no metric sluice_mishaps"},
		"two that overlap":         {func(_ []*Board, b *Board, p *Panel) { p.GridPos = b.Panels[4].GridPos }, "lies over"},
		"one off the grid":         {func(_ []*Board, _ *Board, p *Panel) { p.GridPos.X = 23 }, "outside the grid"},
		"too many on one screen":   {func(_ []*Board, b *Board, _ *Panel) { raise(b) }, "on the first screen"},
		"missing unit":             {func(_ []*Board, _ *Board, p *Panel) { p.FieldConfig.Defaults.Unit = "" }, "no unit"},
		"unknown unit":             {func(_ []*Board, _ *Board, p *Panel) { p.FieldConfig.Defaults.Unit = "seconds" }, "no unit"},
		"missing description":      {func(_ []*Board, _ *Board, p *Panel) { p.Description = "" }, "no description"},
		"missing legend":           {func(_ []*Board, _ *Board, p *Panel) { p.Targets[0].LegendFormat = "" }, "no legend"},
		"legend by itself":         {func(_ []*Board, _ *Board, p *Panel) { p.Targets[0].LegendFormat = "__auto" }, "no legend"},
		"panel without title":      {func(_ []*Board, _ *Board, p *Panel) { p.Title = "" }, "no title"},
		"two of one title":         {func(_ []*Board, b *Board, p *Panel) { p.Title = b.Panels[4].Title }, "another panel's too"},
		"two of one id":            {func(_ []*Board, b *Board, p *Panel) { p.ID = b.Panels[4].ID }, "another panel's too"},
		"panel without queries":    {func(_ []*Board, _ *Board, p *Panel) { p.Targets = nil }, "asks nothing"},
		"fixed data source":        {func(_ []*Board, _ *Board, p *Panel) { p.Targets[0].Datasource.UID = "abc" }, "not the chosen data source"},
		"number of another time":   {func(_ []*Board, _ *Board, p *Panel) { p.Targets[0].Instant = !p.Targets[0].Instant }, "is instant"},
		"look that nobody has":     {func(_ []*Board, _ *Board, p *Panel) { p.Type = "sparkle" }, "nobody knows"},
		"link to no board":         {func(_ []*Board, _ *Board, p *Panel) { p.Links = []Link{{Title: "x", URL: "/d/sluice-cellar?x"}} }, `board "sluice-cellar"`},
		"link to no section":       {func(_ []*Board, _ *Board, p *Panel) { p.Links = []Link{{Title: "x", URL: runbook + "#sluicewoe"}} }, "#sluicewoe"},
		"link to anywhere":         {func(_ []*Board, _ *Board, p *Panel) { p.Links = []Link{{Title: "x", URL: "https://example.com"}} }, "we know nothing"},
		"board that leads nowhere": {func(_ []*Board, b *Board, _ *Panel) { b.Links = nil }, "does not lead to the other boards"},
		"board that nobody finds":  {func(_ []*Board, b *Board, _ *Panel) { b.Tags = nil }, "not tagged"},
		"two boards of one uid":    {func(all []*Board, _ *Board, _ *Panel) { all[1].UID = all[0].UID }, "has the uid of"},
		"undefined variable":       {func(_ []*Board, _ *Board, p *Panel) { p.Targets[0].LegendFormat = "$colour" }, "$colour, which is not defined"},
		"unused variable": {func(_ []*Board, b *Board, _ *Panel) {
			b.Templating.List = append(b.Templating.List, &Variable{Name: "mood", Label: "Mood", Description: "Mood."})
		}, "mood is used nowhere"},
		"variable without words": {func(_ []*Board, b *Board, _ *Panel) { b.Templating.List[0].Label = "" }, "no label"},
	} {
		all, w := read(t)
		b := all[0]
		twin.spoil(all, b, b.Panels[2])
		complaints := strings.Join(Complaints(all, w), "\n")
		if !strings.Contains(complaints, twin.want) {
			t.Errorf("%s: %q is not among the complaints:\n%s", name, twin.want, complaints)
		}
	}
}

// raise moves everything to the top.
func raise(b *Board) {
	for _, p := range b.Panels {
		p.GridPos.Y /= 2
	}
}

// TestAnchors: headings are found as they are linked to.
func TestAnchors(t *testing.T) {
	for heading, want := range map[string]string{
		"SluiceOldestRequest":        "sluiceoldestrequest",
		"Who wakes up, and when":     "who-wakes-up-and-when",
		" `sluice top` — a look  ":   "sluice-top--a-look",
		"Four kinds, one engine (1)": "four-kinds-one-engine-1",
	} {
		if got := anchor(heading); got != want {
			t.Errorf("%q is linked to as %q, want %q", heading, got, want)
		}
	}
}
