package drawing

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// columns is how wide Grafana's grid is.
const columns = 24

// runbookAt is where a board's links find docs/runbook.md when nobody says otherwise:
// in Grafana's own folder of public files, where docker-compose.yml puts it.
const runbookAt = "/public/sluice/runbook.txt"

var source = datasource{Type: "prometheus", UID: "${datasource}"}

// Draw answers the files of all dashboards by their names.
func Draw() (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, b := range []board{drawSaleFloor(), drawPipeline(), drawPromises()} {
		form, err := b.form()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", b.title, err)
		}
		var text bytes.Buffer
		write := json.NewEncoder(&text)
		write.SetEscapeHTML(false)
		write.SetIndent("", "  ")
		if err := write.Encode(form); err != nil {
			return nil, err
		}
		files[b.uid[len("sluice-"):]+".json"] = text.Bytes()
	}
	return files, nil
}

func (b board) form() (dashboard, error) {
	d := dashboard{
		UID: b.uid, Title: "Sluice: " + b.title, Description: b.about, Tags: []string{"sluice"}, SchemaVersion: schemaVersion, Version: 1,
		GraphTooltip: 1, Timezone: "browser", Refresh: b.refresh, Time: span{b.from, "now"},
		Annotations: annotations{[]annotation{{
			Name: "Alerts that fire", Datasource: source, Enable: true, IconColor: "red", Step: "15s",
			Expr:        `max by (alertname, severity) (ALERTS{alertname=~"Sluice.+", alertstate="firing"})`,
			TitleFormat: "{{alertname}}", TextFormat: "{{severity}}", TagKeys: "severity",
		}}},
		Links: []boardLink{
			{Title: "Sluice", Type: "dashboards", Icon: "dashboard", Tags: []string{"sluice"}, IncludeVars: true, KeepTime: true},
			{Title: "Runbook", Type: "link", Icon: "doc", Tooltip: "What each alert means, how to look, what to do", URL: "${runbook:raw}", Tags: []string{}, TargetBlank: true},
		},
		Templating: templating{b.variables()},
	}
	y, id := 0, 0
	add := func(p *panelForm, x, w, h int) {
		id++
		p.ID, p.GridPos = id, place{X: x, Y: y, W: w, H: h}
		d.Panels = append(d.Panels, p)
	}
	for _, r := range b.rows {
		open := false
		add(&panelForm{Type: "row", Title: r.title, Collapsed: &open, Panels: &[]*panelForm{}}, 0, columns, 1)
		y++
		x, tall := 0, 0
		for _, p := range r.panels {
			if x+p.wide > columns {
				x, y = 0, y+tall
			}
			if x > 0 && p.tall != tall {
				return d, fmt.Errorf("%s is %d tall beside panels of %d", p.title, p.tall, tall)
			}
			tall = p.tall
			add(p.form(), x, p.wide, p.tall)
			x += p.wide
		}
		if x != columns {
			return d, fmt.Errorf("the last line of row %q is %d wide, not %d", r.title, x, columns)
		}
		y += tall
	}
	return d, nil
}

func (b board) variables() []variable {
	all := &choice{true, []string{"All"}, []string{"$__all"}}
	choose := func(name, label, about, query string, sort int, everything string) variable {
		return variable{
			Name: name, Label: label, Description: about, Type: "query", Datasource: &source, Definition: query,
			Query: variableQuery{query, "Variable-" + name}, Refresh: 2, Sort: sort, Multi: true, IncludeAll: true, AllValue: everything, Current: all,
		}
	}
	list := []variable{
		{Name: "datasource", Label: "Data source", Description: "The Prometheus that scrapes this deployment.", Type: "datasource", Query: "prometheus", Refresh: 1},
		choose("job", "Job", "Jobs that scrape Sluice: one for each kind of process, or one for all.", "label_values(sluice_build_info, job)", 1, ""),
	}
	if b.partitions {
		list = append(list, choose("partition", "Partition", "Partitions to look at.", `label_values(sluice_partition_depth{job=~"$job"}, partition)`, 3, ".+"))
	}
	if b.sales {
		list = append(list, choose("sale", "Sale", "Sales to look at, of the busiest 20.", `label_values(sluice_sale_units{job=~"$job"}, sale)`, 3, ".+"))
	}
	where := choice{true, runbookAt, runbookAt}
	return append(list, variable{
		Name: "runbook", Label: "Runbook at", Description: "Where links to the runbook lead: the address of your docs/runbook.md.",
		Type: "textbox", Query: runbookAt, Current: &where, Options: []choice{where},
	})
}

func (p *panel) form() *panelForm {
	f := &panelForm{Type: string(p.look), Title: p.title, Description: p.about, Datasource: &source}
	for _, l := range p.links {
		f.Links = append(f.Links, panelLink{Title: l.title, URL: l.url, TargetBlank: true})
	}
	// What is well, and what a table lists, is asked for this instant.
	now := p.look == number || p.look == table || p.look == bars
	format := map[look]string{heat: "heatmap", table: "table"}[p.look]
	if format == "" {
		format = "time_series"
	}
	for i, query := range p.queries {
		f.Targets = append(f.Targets, target{
			RefID: string(rune('A' + i)), Datasource: source, EditorMode: "code", Expr: query.expr, LegendFormat: query.legend,
			Format: format, Instant: now, Range: !now,
		})
	}
	f.FieldConfig = &fieldConfig{Defaults: p.defaults(), Overrides: []fieldOverride{}}
	f.Options = p.options()
	if p.look == table {
		p.lay(f)
	}
	return f
}

func (p *panel) defaults() fieldDefaults {
	d := fieldDefaults{Unit: p.unit, NoValue: "no data"}
	zero := 0.0
	switch p.look {
	case heat:
		return fieldDefaults{Unit: p.unit}
	case table:
		d.Custom = object{"align": "auto", "cellOptions": object{"type": "auto"}, "filterable": true, "inspect": false}
		return d
	case graph:
		d.Min = &zero
		style := object{"mode": "off"}
		if len(p.steps) > 0 {
			style = object{"mode": "dashed"}
		}
		interpolation := "linear"
		if p.stepped {
			interpolation = "stepAfter"
		}
		d.Color = &color{"palette-classic-by-name"}
		d.Custom = object{
			"drawStyle": "line", "lineInterpolation": interpolation, "lineWidth": 1, "fillOpacity": 10, "showPoints": "auto", "pointSize": 4,
			"spanNulls": false, "stacking": object{"mode": "none", "group": "A"}, "thresholdsStyle": style, "axisPlacement": "auto",
		}
	default:
		d.Color = &color{"thresholds"}
	}
	if p.look == bars {
		d.Min = &zero
	}
	if p.most > 0 {
		d.Max = &p.most
	}
	d.Thresholds = p.thresholds()
	if len(p.words) > 0 {
		texts := map[string]mappedText{}
		for i, w := range p.words {
			texts[strconv.Itoa(w.value)] = mappedText{w.text, w.color, i}
		}
		d.Mappings = []mapping{{"value", texts}}
	}
	return d
}

// thresholds begin with green, or with red where it is good to be above; without any
// step nothing is judged, and the colour is blue.
func (p *panel) thresholds() *thresholds {
	bottom := "green"
	switch {
	case len(p.steps) == 0:
		bottom = "blue"
	case slices.ContainsFunc(p.steps, func(s step) bool { return s.color == "green" }):
		bottom = "red"
	}
	steps := slices.SortedFunc(slices.Values(p.steps), func(a, b step) int {
		if a.value < b.value {
			return -1
		}
		return 1
	})
	t := &thresholds{Mode: "absolute", Steps: []thresholdStep{{bottom, nil}}}
	for _, s := range steps {
		t.Steps = append(t.Steps, thresholdStep{s.color, &s.value})
	}
	return t
}

func (p *panel) options() any {
	last := object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false}
	switch p.look {
	case number:
		mode := "value"
		if len(p.steps) > 0 {
			mode = "background"
		}
		return object{
			"reduceOptions": last, "orientation": "auto", "textMode": textMode(p), "colorMode": mode, "graphMode": "none", "justifyMode": "auto",
			"wideLayout": true, "showPercentChange": false, "percentChangeColorMode": "standard",
		}
	case bars:
		return object{
			"reduceOptions": last, "orientation": "horizontal", "displayMode": "basic", "valueMode": "color", "namePlacement": "auto",
			"showUnfilled": true, "sizing": "auto", "minVizWidth": 8, "minVizHeight": 16, "maxVizHeight": 40,
			"legend": object{"calcs": []string{}, "displayMode": "list", "placement": "bottom", "showLegend": false},
		}
	case heat:
		return object{
			"calculate": false, "cellGap": 1, "cellValues": object{"unit": "short"}, "filterValues": object{"le": 1e-9},
			"color":     object{"mode": "scheme", "scheme": "Oranges", "fill": "dark-orange", "scale": "exponential", "exponent": 0.5, "steps": 64, "reverse": false},
			"exemplars": object{"color": "rgba(255,0,255,0.7)"}, "legend": object{"show": true}, "rowsFrame": object{"layout": "auto"}, "showValue": "never",
			"tooltip": object{"mode": "single", "yHistogram": true, "showColorScale": false},
			"yAxis":   object{"unit": p.unit, "axisPlacement": "left", "reverse": false},
		}
	case table:
		return object{"showHeader": true, "cellHeight": "sm", "frameIndex": 0, "footer": object{"show": false, "reducer": []string{"sum"}, "countRows": false}}
	}
	// Beside a wide graph there is room for figures; below a narrow one only for names.
	legend := object{"showLegend": true, "displayMode": "list", "placement": "bottom", "calcs": []string{}}
	if p.wide > columns/3 {
		legend = object{"showLegend": true, "displayMode": "table", "placement": "right", "calcs": []string{"lastNotNull", "max"}}
	}
	return object{"legend": legend, "tooltip": object{"mode": "multi", "sort": "desc"}}
}

// textMode names the values where there are several.
func textMode(p *panel) string {
	if len(p.queries) > 1 {
		return "value_and_name"
	}
	return "value"
}

// lay merges the queries of a table into rows, and orders and names its columns.
func (p *panel) lay(f *panelForm) {
	order, names := map[string]int{}, map[string]string{}
	keep := []string{}
	for i, c := range p.columns {
		order[c.field], names[c.field] = i, c.title
		keep = append(keep, c.field)
		f.FieldConfig.Overrides = append(f.FieldConfig.Overrides, fieldOverride{matcher{"byName", c.title}, []property{{"unit", c.unit}}})
	}
	f.Transformations = []transformation{
		{"merge", object{}},
		{"filterFieldsByName", object{"include": object{"names": keep}}},
		{"organize", object{"excludeByName": object{}, "indexByName": order, "renameByName": names}},
	}
}
