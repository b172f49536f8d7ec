package boards

import (
	"regexp"
	"slices"
	"strings"
)

// links: each leads to a board that there is, to boards with a tag, or to a section of
// the runbook.
func (b *Board) links(say complain, uids map[string]*Board, w World) {
	tagged := func(tag string) (found bool) {
		for _, other := range uids {
			found = found || other != b && slices.Contains(other.Tags, tag)
		}
		return found
	}
	check := func(of string, l Link) {
		switch {
		case l.Title == "":
			say("a link of %s has no title", of)
		case l.Type == "dashboards":
			for _, tag := range l.Tags {
				if !tagged(tag) {
					say("a link of %s leads to other boards tagged %s, and there is none", of, tag)
				}
			}
		case strings.HasPrefix(l.URL, "/d/"):
			uid, _, _ := strings.Cut(strings.TrimPrefix(l.URL, "/d/"), "?")
			if uids[uid] == nil {
				say("a link of %s leads to board %q, which is not there", of, uid)
			}
		case l.URL == runbook:
		case strings.HasPrefix(l.URL, runbook+"#"):
			if anchor := strings.TrimPrefix(l.URL, runbook+"#"); !w.Anchors[anchor] {
				say("a link of %s leads to #%s, which the runbook does not have", of, anchor)
			}
		default:
			say("a link of %s leads to %q, where we know nothing", of, l.URL)
		}
	}
	others := false
	for _, l := range b.Links {
		check("the board", l)
		others = others || l.Type == "dashboards"
	}
	if !others {
		say("it does not lead to the other boards")
	}
	for _, p := range b.Pictures() {
		for _, l := range p.Links {
			check(p.Title, l)
		}
	}
}

// runbook is where the reader's variable says that it is.
const runbook = "${runbook:raw}"

// variable finds $name, ${name} and ${name:format}.
var variable = regexp.MustCompile(`\$\{?(\w+)(?::\w+)?\}?`)

// grafanas are variables that Grafana fills in itself.
var grafanas = []string{"__rate_interval", "__url_time_range"}

// variables: what is used is defined, what is defined is used, and a reader can tell
// what each is for.
func (b *Board) variables(say complain) {
	defined, used := map[string]bool{}, map[string]bool{}
	for _, v := range b.Templating.List {
		defined[v.Name] = true
		if v.Label == "" || v.Description == "" {
			say("variable %s has no label or description", v.Name)
		}
	}
	use := func(of, text string) {
		for _, found := range variable.FindAllStringSubmatch(text, -1) {
			name := found[1]
			used[name] = true
			if !defined[name] && !slices.Contains(grafanas, name) {
				say("%s uses $%s, which is not defined", of, name)
			}
		}
	}
	for _, v := range b.Templating.List {
		use("variable "+v.Name, v.query())
	}
	for _, l := range b.Links {
		use("a link of the board", l.URL)
	}
	for _, p := range b.Pictures() {
		use(p.Title, p.Datasource.UID)
		for _, l := range p.Links {
			use(p.Title, l.URL)
		}
		for _, t := range p.Targets {
			use(p.Title, t.Expr+t.LegendFormat)
		}
	}
	for name := range defined {
		if !used[name] {
			say("variable %s is used nowhere", name)
		}
	}
}

// query is what a variable's values are asked by, "" when they are not asked for.
func (v *Variable) query() string {
	if fields, ok := v.Query.(map[string]any); ok {
		text, _ := fields["query"].(string)
		return text
	}
	return ""
}
