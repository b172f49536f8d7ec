package lookout

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Page is how facts are to be drawn.
type Page struct {
	Width  int  // columns; longer lines are cut
	Height int  // lines; 0: as many as it takes
	Color  bool // by ANSI sequences
}

// paint is how a piece of text looks.
type paint string

const (
	normal paint = ""
	strong paint = "1"
	faint  paint = "2"
	good   paint = "32"
	warn   paint = "33"
	bad    paint = "1;31"
)

// piece is text in one paint; line is what stands on one.
type piece struct {
	text  string
	paint paint
}

type line []piece

// add puts a formatted piece at the end.
func (l line) add(p paint, format string, args ...any) line {
	return append(l, piece{fmt.Sprintf(format, args...), p})
}

// encode is the line, at most width columns wide.
func (l line) encode(p Page) string {
	var out strings.Builder
	left := p.Width
	for _, piece := range l {
		text := piece.text
		if n := utf8.RuneCountInString(text); n > left {
			text = string([]rune(text)[:left])
		}
		left -= utf8.RuneCountInString(text)
		if p.Color && piece.paint != normal && text != "" {
			fmt.Fprintf(&out, "\x1b[%sm%s\x1b[0m", piece.paint, text)
		} else {
			out.WriteString(text)
		}
	}
	if p.Color {
		return out.String()
	}
	return strings.TrimRight(out.String(), " ")
}

// Draw is the facts for a person: what is wrong first, then what is going on.
func (f Facts) Draw(p Page) []string {
	lines := append(f.health(), f.summary()...)
	left := 1 << 20
	if p.Height > 0 {
		left = max(p.Height-len(lines), 0)
	}
	sales := f.saleTable()
	parts := f.partitionTable()
	// Both tables share what is left. Sales may have half of it, and what partitions do
	// not need.
	room := max(left/2, left-len(parts)-1)
	lines = append(lines, cut(sales, room, "sales")...)
	if p.Height > 0 {
		left = p.Height - len(lines)
	}
	lines = append(lines, cut(parts, left, "partitions, none worse")...)
	if p.Height > 0 && len(lines) > p.Height {
		lines = lines[:p.Height]
	}
	drawn := make([]string, len(lines))
	for i, l := range lines {
		drawn[i] = l.encode(p)
	}
	return drawn
}

// cut is as much of a table, under an empty line, as there is room for.
func cut(table []line, room int, what string) []line {
	if len(table) == 0 || room < 3 {
		return nil
	}
	table = append([]line{nil}, table...)
	if len(table) <= room {
		return table
	}
	more := len(table) - room + 1
	return append(table[:room-1:room-1], line{}.add(faint, "and %d more %s", more, what))
}

// health is the first line, and one for each check that does not hold.
func (f Facts) health() []line {
	look := map[Status]paint{Healthy: good, Unhealthy: bad, Unknown: warn}[f.Status]
	lines := []line{line{}.add(strong, "Sluice  ").add(look, "%s", strings.ToUpper(string(f.Status))).add(faint, "  %s", f.At.Format(time.TimeOnly+" UTC"))}
	var dark []string
	for _, c := range f.Checks {
		switch {
		case c.OK == nil && !slices.Contains(mayBeUnknown, c.Name):
			dark = append(dark, c.Name)
		case c.OK != nil && !*c.OK:
			l := line{}.add(bad, "  ✗ %s", c.Name).add(normal, "  %s", c.Detail)
			if c.Alert != "" {
				l = l.add(faint, "  (%s)", c.Alert)
			}
			lines = append(lines, l)
		}
	}
	if len(dark) > 0 {
		lines = append(lines, line{}.add(warn, "  %s unknown", unknown).add(normal, "  %s", strings.Join(dark, ", ")))
	}
	return append(lines, nil)
}

// summary is a line for each thing of which there is one.
func (f Facts) summary() []line {
	name := func(what string) line { return line{}.add(faint, "%-10s", what) }
	refused := unknown
	if f.Rates.Refused != nil {
		total := 0.0
		var codes []string
		by := f.Rates.Refused
		for _, code := range slices.SortedFunc(maps.Keys(by), func(a, b string) int { return cmp.Or(cmp.Compare(by[b], by[a]), cmp.Compare(a, b)) }) {
			total += by[code]
			codes = append(codes, fmt.Sprintf("%s %s", code, rate(new(by[code]))))
		}
		refused = rate(&total)
		if len(codes) > 0 {
			refused += " (" + strings.Join(codes, ", ") + ")"
		}
	}
	within := unknown
	if f.Verdicts.Within != nil {
		within = fmt.Sprintf("%.1f %%", 100**f.Verdicts.Within)
	}
	faults := unknown
	if f.Rates.Faults != nil {
		faults = "none"
		var kinds []string
		for _, kind := range slices.Sorted(maps.Keys(f.Rates.Faults)) {
			kinds = append(kinds, fmt.Sprintf("%s %.0f", kind, f.Rates.Faults[kind]))
		}
		if len(kinds) > 0 {
			faults = strings.Join(kinds, ", ")
		}
	}
	state := func(up *bool) (string, paint) {
		switch {
		case up == nil:
			return unknown, warn
		case *up:
			return "up", good
		}
		return "DOWN", bad
	}
	redis, redisPaint := state(f.Redis.Up)
	postgres, postgresPaint := state(f.Postgres.Up)
	memory := size(f.Redis.Memory)
	if f.Redis.MemoryMax != nil && *f.Redis.MemoryMax > 0 {
		memory += " of " + size(f.Redis.MemoryMax)
	}
	audit, auditPaint := unknown, warn
	switch a := f.Audit; {
	case len(a.Breaches) > 0:
		audit, auditPaint = "BROKEN", bad
	case a.Breaches != nil && a.Age != nil:
		audit, auditPaint = "ok, "+seconds(a.Age)+" ago", good
	}
	return []line{
		name("requests").add(normal, "accepted %s/s   settled %s/s   refused %s/s   polls %s/s", rate(f.Rates.Accepted), rate(f.Rates.Settled), refused, rate(f.Rates.Polls)),
		name("verdict").add(normal, "p50 %s   p99 %s   within 1 s %s of %s", seconds(f.Verdicts.P50), seconds(f.Verdicts.P99), within, count(f.Verdicts.Count)),
		name("faults").add(normal, "%s   dead letters %s   duties %s late", faults, count(f.Dead), seconds(f.Scheduler.Overdue)),
		name("servers").add(normal, "redis ").add(redisPaint, "%s", redis).add(normal, " %s   postgres ", memory).add(postgresPaint, "%s", postgres).add(normal, " %s", size(f.Postgres.Database)),
		name("sales").add(normal, "%s open, %s suspended   audit ", count(f.Open), count(f.Suspended)).add(auditPaint, "%s", audit).add(normal, "   scheduler %s", text(f.Scheduler.Lead)),
	}
}

// saleTable is the busiest sales.
func (f Facts) saleTable() []line {
	if len(f.Sales) == 0 {
		return nil
	}
	table := []line{line{}.add(faint, "%7s  %-11s %9s %9s %9s %9s %9s %8s", "SALE", "KIND", "FREE", "HELD", "SOLD", "WAITING", "PRICE", "TAKEN/S")}
	for _, s := range f.Sales {
		price := count(s.Price)
		if s.Kind == "coupon" {
			price = "-"
		}
		table = append(table, line{}.add(normal, "%7d  %-11s %9s %9s %9s %9s %9s %8s", s.Sale, plain(s.Kind), count(s.Free), count(s.Held), count(s.Sold), count(s.Waiting), price, rate(s.Taken)))
	}
	return table
}

// partitionTable is the partitions, those that are worst first.
func (f Facts) partitionTable() []line {
	if len(f.Partitions) == 0 {
		return nil
	}
	table := []line{line{}.add(faint, "%9s  %9s %9s %7s  %s", "PARTITION", "DEPTH", "OLDEST", "EPOCH", "OWNER")}
	worst := slices.Clone(f.Partitions)
	ails := func(p Partition) int {
		switch {
		case p.Held != nil && !*p.Held:
			return 2
		case p.Loading != nil && *p.Loading:
			return 1
		}
		return 0
	}
	slices.SortStableFunc(worst, func(a, b Partition) int {
		return cmp.Or(cmp.Compare(ails(b), ails(a)), cmp.Compare(or(b.Oldest), or(a.Oldest)), cmp.Compare(or(b.Depth), or(a.Depth)))
	})
	for _, p := range worst {
		epoch := count(p.Epoch)
		owner, look := text(p.Owner), normal
		switch {
		case p.Held != nil && !*p.Held:
			owner, look = "NO OWNER", bad
		case p.Loading != nil && *p.Loading:
			owner, look = owner+" (loading)", warn
		case p.Owner == nil && p.Held != nil:
			owner = "a process that was not asked"
		}
		table = append(table, line{}.add(normal, "%9d  %9s %9s %7s  ", p.Partition, count(p.Depth), seconds(p.Oldest), epoch).add(look, "%s", owner))
	}
	return table
}
