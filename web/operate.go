package web

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"sluice/client"
)

// Where it stops being well: the same as of `sluice status` and the alerts.
const (
	oldestMost  = 10 * time.Second // that a request may be queued
	memoryShare = 0.85             // of Redis' memory
)

// partitionsMost is how many partitions are shown: of more, those in which something is
// wrong or waits.
const partitionsMost = 64

// desk is how it all is, as an operator's page shows it.
type desk struct {
	client.Operations
	Grafana string
	Wrong   []wrong
	Rows    []shelf // some partitions
	Hidden  int     // the others: nothing waits there
	Memory  string  // of Redis
	Flags   []flag  // the same
	Queued  int64   // in all partitions
	Oldest  string  // of those, how old
}

// wrong is something that an operator should look into.
type wrong struct {
	Key  string // of the words
	What string // how many, or how much
	To   string // page that tells more; "": none
}

// flag is something that Redis does, or does not.
type flag struct {
	Key string // of the words
	Yes bool
	Bad bool
}

// shelf is one partition.
type shelf struct {
	client.PartitionState
	How string // how it is: ok, away, empty, loading, ownerless or late
	Age string
}

// operate is GET /operate: how it all is.
func (f *Front) operate(v *visit) error {
	seen, err := v.api.Operations(v.ctx)
	if err != nil {
		return err
	}
	d := desk{Operations: seen, Grafana: f.grafana}
	d.judgeServers()
	d.judgePartitions(v.lang)
	if seen.Sales != nil && seen.Sales.Suspended > 0 {
		d.blame("suspended", number(seen.Sales.Suspended), "/operate/sales?state=suspended")
	}
	if seen.DeadLetters > 0 {
		d.blame("letters", number(seen.DeadLetters), "/operate/dead-letters")
	}
	v.render(http.StatusOK, "operate", v.say("nav.operate"), d)
	return nil
}

// blame notes what is wrong, once.
func (d *desk) blame(key, what, to string) {
	w := wrong{"operate.wrong." + key, what, to}
	if !slices.Contains(d.Wrong, w) {
		d.Wrong = append(d.Wrong, w)
	}
}

// judgeServers says what is wrong with Redis and Postgres.
func (d *desk) judgeServers() {
	if d.Postgres == nil {
		d.blame("postgres", "", "")
	}
	r := d.Redis
	if r == nil {
		d.blame("redis", "", "")
		return
	}
	if r.Reached < r.Masters {
		d.blame("masters", fmt.Sprintf("%d / %d", r.Reached, r.Masters), "")
	}
	limited := r.MemoryMax != nil && *r.MemoryMax > 0 // else nothing is ever thrown away
	if r.Memory != nil {
		if d.Memory = size(*r.Memory); limited {
			d.Memory += " / " + size(*r.MemoryMax)
		}
		if limited && float64(*r.Memory) > memoryShare*float64(*r.MemoryMax) {
			d.blame("memory", d.Memory, "")
		}
	}
	for _, is := range []struct {
		key   string
		yes   *bool
		must  bool
		fault string
	}{
		{"keeps", r.NoEviction, limited, "eviction"}, {"aof", r.AOF, false, ""}, {"aof.ok", r.AOFOK, true, "unsaved"}, {"rdb.ok", r.RDBOK, true, "unsaved"},
	} {
		if is.yes == nil {
			continue
		}
		f := flag{"redis." + is.key, *is.yes, is.must && !*is.yes}
		if d.Flags = append(d.Flags, f); f.Bad {
			d.blame(is.fault, "", "")
		}
	}
}

// judgePartitions says how each partition is, and chooses those that are shown.
func (d *desk) judgePartitions(lang string) {
	var oldest time.Duration
	ill := map[string]int64{}
	for _, p := range d.Partitions {
		row := shelf{p, "ok", ageIn(lang, p.Oldest)}
		switch {
		case !p.Known:
			row.How = "away"
		case p.Owner == "":
			row.How = "ownerless"
		case p.Loading:
			row.How = "loading"
		case p.Generation == 0:
			row.How = "empty"
		case p.Oldest > oldestMost:
			row.How = "late"
		}
		ill[row.How]++
		d.Queued += p.Depth
		oldest = max(oldest, p.Oldest)
		d.Rows = append(d.Rows, row)
	}
	d.Oldest = ageIn(lang, oldest)
	for _, how := range []string{"away", "ownerless", "loading", "late"} {
		if ill[how] > 0 {
			d.blame(how, number(ill[how]), "")
		}
	}
	if len(d.Rows) > partitionsMost {
		slices.SortStableFunc(d.Rows, func(a, b shelf) int {
			if a.quiet() != b.quiet() {
				return map[bool]int{true: 1, false: -1}[a.quiet()]
			}
			return int(min(max(b.Depth-a.Depth, -1), 1))
		})
		d.Hidden, d.Rows = len(d.Rows)-partitionsMost, d.Rows[:partitionsMost]
	}
}

func (s shelf) quiet() bool { return s.How == "ok" && s.Depth == 0 && s.DeadLetters == 0 }

// ageIn is how old something is that should be younger than a second.
func ageIn(lang string, age time.Duration) string {
	switch {
	case age == 0:
		return "–"
	case age < time.Second:
		return strconv.FormatInt(max(age.Milliseconds(), 1), 10) + " ms"
	}
	return lengthIn(lang, age)
}

// size is a number of bytes, as one reads it.
func size(bytes int64) string {
	for _, unit := range []struct {
		of   int64
		word string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if bytes >= unit.of {
			tenths := bytes * 10 / unit.of
			return fmt.Sprintf("%s.%d\u00a0%s", number(tenths/10), tenths%10, unit.word)
		}
	}
	return number(bytes) + "\u00a0B"
}

// allStates are the filters of an operator's list of sales.
var allStates = []client.State{client.Open, client.Suspended, client.SoldOut, client.Scheduled, client.Closed}

// operateSales is GET /operate/sales: the sales of everybody.
func (f *Front) operateSales(v *visit) error {
	query := v.r.URL.Query()
	body := struct {
		Kinds  []client.Kind
		States []client.State
		Kind   client.Kind
		State  client.State
		Sales  []client.Sale
		More   int
	}{Kinds: kinds, States: allStates, Kind: client.Kind(query.Get("kind")), State: client.State(query.Get("state"))}
	if !slices.Contains(kinds, body.Kind) {
		body.Kind = ""
	}
	if !slices.Contains(allStates, body.State) {
		body.State = client.Open
	}
	order := client.ByClosing
	switch body.State {
	case client.Scheduled:
		order = client.ByOpening
	case client.Closed:
		order = client.ByClosingLast
	}
	some, more, err := take(v.api.Sales(v.ctx, client.SaleFilter{Kind: body.Kind, State: body.State, Order: order}), v.shown())
	if err != nil {
		return err
	}
	if body.Sales = some; more {
		body.More = v.shown() + pageSize
	}
	v.render(http.StatusOK, "operate-sales", v.say("operate.sales"), body)
	return nil
}

// operateSale is GET /operate/sales/{id}: how anybody's sale goes.
func (f *Front) operateSale(v *visit) error {
	id, err := v.number()
	if err != nil {
		return err
	}
	query := v.r.URL.Query()
	body := running{Filter: filterOf(query), All: boughtStates, Done: query.Get("done"), No: query.Get("no")}
	if body.Sale, err = v.api.Sale(v.ctx, id); err != nil {
		return err
	}
	if err := v.sumUp(&body); err != nil {
		return err
	}
	v.render(http.StatusOK, "operate-sale", body.Title, body)
	return nil
}

// operateAsk is POST /operate/sales/{id}/{verb}: stop a sale, or have it sell on. Who sends
// it twice finds it done.
func (f *Front) operateAsk(v *visit) error {
	id, err := v.number()
	if err != nil {
		return err
	}
	verb := v.r.PathValue("verb")
	switch verb {
	case "suspend":
		_, err = v.api.SuspendSale(v.ctx, id)
	case "resume":
		_, err = v.api.ResumeSale(v.ctx, id, v.r.PostFormValue("force") != "")
	default:
		return &client.Problem{Status: http.StatusNotFound, Code: client.CodeNotFound}
	}
	page := fmt.Sprintf("/operate/sales/%d", id)
	switch no := problemOf(err); {
	case err == nil:
		return v.go303(page + "?done=" + verb)
	case no != nil && no.Status == http.StatusConflict:
		return v.go303(page + "?no=" + string(no.Code))
	}
	return err
}
