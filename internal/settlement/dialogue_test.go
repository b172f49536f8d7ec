package settlement

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/sale"
	"sluice/internal/sale/saletest"
)

var update = flag.Bool("update", false, "write what the dialogues in testdata come to")

// TestDialogues plays the stories in testdata: commands, a line of dashes, what comes
// of them, an empty line, and so on. Lines that begin with # explain. At the end the
// checker of the matrix must be content with every one of them.
//
//	sale chair reservation stock=1 price=100 hold=10m line=5     auction, reservation, coupon or event
//	points a 50                                         who has not the 1000 of everybody
//	a: reserve a chair                                  a request, in the words of book.read
//	vanishing b: bid b lamp                             one that Redis admits and loses
//	take one, sync one, step one, work one              an owner; work is whatever is to do until all is settled
//	refuse one commit, lose one commit                  the next one of that effect, of the list in effects_test.go
//	kill one before apply, kill one after commit
//	later 10m                                           time goes by
//	keep Redis, Redis comes back, Redis burns
//	poison b                                            Postgres refuses his receipts
//	show, audit
func TestDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no dialogues", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			d := newDialogue(newHouse(t))
			got := d.play(string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(strings.Split(string(text), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("it goes otherwise (-file +now):\n%s", diff)
			}
			d.house.t = d.j
			d.judge()
			d.house.t = t
			for _, f := range d.j.found {
				t.Error(f)
			}
		})
	}
}

// dialogue is a cell whose story is told from outside.
type dialogue struct {
	*cell
	owners map[string]*owner
	at     map[string]*process
	terms  []sale.Sale
	points map[int64]int64
	base   int64 // entries before the story
	back   func()
	says   []string
}

func newDialogue(h *house) *dialogue {
	c := &cell{house: h, p: h.newProcess(0), book: newBook(), j: &jury{TB: h.t}, early: map[string]bool{}, outcomes: map[uuid.UUID]sale.Outcome{}}
	h.t.Cleanup(c.p.close)
	first := h.owner(0)
	h.drain(first)
	c.began = sale.At(time.Now()).Add(time.Hour) // so that every moment is what the story says
	h.must(h.plain.HSet(h.ctx, "{s0}", "clock", int64(c.began)).Err())
	c.from, c.heard = first.mark.Applied, first.mark.Applied
	return &dialogue{cell: c, owners: map[string]*owner{}, at: map[string]*process{}, points: map[int64]int64{}, base: first.mark.Seq}
}

// play answers the text with what comes of it.
func (d *dialogue) play(text string) string {
	d.t.Helper()
	d.cast(text)
	var out strings.Builder
	for i, block := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i > 0 {
			out.WriteByte('\n')
		}
		commands, _, _ := strings.Cut(block+"\n", "----\n")
		out.WriteString(commands)
		d.says = nil
		for _, line := range lines(commands) {
			if !strings.HasPrefix(line, "#") {
				d.do(line)
			}
		}
		if len(d.says) > 0 {
			out.WriteString("----\n" + strings.Join(d.says, "\n") + "\n")
		}
	}
	return out.String()
}

// cast makes everybody who plays, before anything happens.
func (d *dialogue) cast(text string) {
	d.t.Helper()
	d.people["seller"] = d.seller
	for _, only := range []string{"points", ""} {
		for _, line := range lines(text) {
			if _, asks, named := strings.Cut(line, ": "); named {
				line = asks
			}
			words := strings.Fields(line)
			verb, _ := sale.ParseVerb(words[0])
			switch {
			case words[0] == "points" && only == "points":
				n, err := strconv.ParseInt(words[2], 10, 64)
				d.must(err)
				d.person(words[1], n)
			case verb != 0 && !verb.Tick() && only == "":
				d.person(words[1], 1000)
			}
		}
	}
}

func (d *dialogue) say(format string, args ...any) {
	d.says = append(d.says, fmt.Sprintf(format, args...))
}

// do plays one command.
func (d *dialogue) do(line string) {
	d.t.Helper()
	verb, rest, _ := strings.Cut(line, " ")
	words := strings.Fields(rest)
	switch verb {
	case "sale":
		d.offer(words)
	case "points": // see cast
	case "take", "sync", "step", "work":
		d.drive(verb, words[0])
	case "refuse", "lose":
		d.process(words[0]).will(&breaks{effect: strings.Join(words[1:], " "), manner: map[string]manner{"refuse": refused, "lose": lost}[verb]})
	case "kill":
		d.process(words[0]).will(&breaks{effect: strings.Join(words[2:], " "), manner: map[string]manner{"before": diesBefore, "after": diesAfter}[words[1]]})
	case "later":
		by, err := time.ParseDuration(words[0])
		d.must(err)
		d.began = d.began.Add(by)
		d.must(d.plain.HSet(d.ctx, "{s0}", "clock", int64(d.began)).Err())
	case "keep":
		d.back = d.dump()
	case "Redis":
		if words[0] == "burns" {
			d.must(d.plain.FlushAll(d.ctx).Err())
			d.emptied = true
			for _, name := range d.asked {
				d.early[name] = true
			}
			return
		}
		d.back()
	case "poison":
		d.venom, d.story = d.people[words[0]], "poison"
		d.refuse(d.venom)
	case "show":
		d.show()
	case "audit":
		d.audited()
		d.say("in order")
	case "vanishing":
		d.vanish(rest)
	default:
		d.request(line)
	}
}

// offer makes a sale.
func (d *dialogue) offer(words []string) {
	d.t.Helper()
	s := sale.Sale{
		Kind: sale.Kind(words[1]), Seller: d.seller, Title: words[0], ShowStock: true, Stock: 1, Limit: 1,
		Price: sale.Price{Policy: sale.Fixed}, OpensAt: d.began, ClosesAt: d.began.Add(time.Hour), RefundWindow: sale.DefaultRefund,
	}
	for _, word := range words[2:] {
		name, value, _ := strings.Cut(word, "=")
		length, _ := time.ParseDuration(value)
		n, _ := strconv.ParseInt(value, 10, 64)
		switch name {
		case "stock":
			s.Stock = n
		case "limit":
			s.Limit = n
		case "price":
			s.Price.Start = n
		case "line":
			s.LineMost = n
		case "hold":
			s.Hold = length
		default:
			d.t.Fatalf("a sale has no %q", word)
		}
	}
	if s.Kind == sale.Auction {
		s.Price = sale.Price{Policy: sale.Constant, Start: s.Price.Start, Drop: 1, Period: time.Hour}
	}
	s, err := d.ledger.CreateSale(d.ctx, s, 1)
	d.must(err)
	d.sales[words[0]] = s
	d.terms = append(d.terms, s)
}

// person makes somebody, unless he is there.
func (d *dialogue) person(name string, points int64) {
	d.t.Helper()
	if d.people[name] == 0 {
		d.people[name] = d.buyers(1, points)[0]
		d.points[d.people[name]] = points
	}
}

// request asks, and says only what is refused.
func (d *dialogue) request(line string) {
	d.t.Helper()
	name, r, err := d.read(line)
	d.must(err)
	_, err = d.repeat(r)
	if refusal := (*sale.Refusal)(nil); errors.As(err, &refusal) {
		d.say("%s: refused, %s", name, refusal.Code)
		d.unask(name)
		return
	}
	d.must(err)
	d.listen()
}

// vanish asks what Redis loses after it was admitted.
func (d *dialogue) vanish(line string) {
	d.t.Helper()
	name, r, err := d.read(line)
	d.must(err)
	_, err = d.repeat(r)
	d.must(err)
	last, err := d.plain.XRevRangeN(d.ctx, "{s0}:log", "+", "-", 1).Result()
	d.must(err)
	d.must(d.plain.XDel(d.ctx, "{s0}:log", last[0].ID).Err())
	d.unask(name)
}

// unask takes a request from those that must end.
func (d *dialogue) unask(name string) {
	d.asked = slices.DeleteFunc(d.asked, func(other string) bool { return other == name })
}

// listen tells the model what is new; it begins with the first request.
func (d *dialogue) listen() {
	d.t.Helper()
	if d.model == nil {
		d.model = saletest.NewModel(1, d.terms, d.points)
	}
	d.hear()
}

// process answers the one that an owner works in.
func (d *dialogue) process(name string) *process {
	d.t.Helper()
	if d.at[name] == nil {
		p := d.newProcess(0)
		d.house.t.Cleanup(p.close)
		d.at[name] = p
		d.owners[name] = newOwner(New(name, p.store, p.ledger, zerolog.Nop(), prometheus.NewRegistry()), 0)
	}
	return d.at[name]
}

// drive has an owner do something, and says how it went.
func (d *dialogue) drive(verb, name string) {
	d.t.Helper()
	p := d.process(name)
	o := d.owners[name]
	act := map[string]func() error{
		"take": func() error { return o.take(d.ctx) },
		"sync": func() error { return o.sync(d.ctx) },
		"step": func() error { return o.step(d.ctx) },
		"work": func() error { return d.goOn(o) },
	}[verb]
	due := len(p.todo)
	var effect string
	var how manner
	if due > 0 {
		effect, how = p.todo[0].effect, p.todo[0].manner
	}
	d.work = func(o *owner) error {
		err := o.step(d.ctx)
		if err != nil && due == len(p.todo) {
			d.say("%s: %s", name, inWords(err))
		}
		return err
	}
	err := act()
	switch {
	case due > len(p.todo):
		d.say("%s: %s %s", name, effect, how)
	case err != nil && verb != "work":
		d.say("%s: %s", name, inWords(err))
	}
}

// inWords says what an owner was told.
func inWords(err error) string {
	for _, known := range []struct {
		err   error
		words string
	}{
		{ledger.ErrFenced, "fenced by Postgres"},
		{partition.ErrFenced, "fenced by Redis"},
		{partition.ErrBehind, "Redis is behind"},
		{partition.ErrAhead, "Redis is ahead"},
		{errGap, "a gap"},
		{errData, "refused for its data"},
		{errDead, "dead"},
	} {
		if errors.Is(err, known.err) {
			return known.words
		}
	}
	return err.Error()
}

// show says what clients see, how the sales stand, and where both stores are.
func (d *dialogue) show() {
	d.t.Helper()
	for _, name := range d.asked {
		r := d.receipt(d.receipts[name].Receipt)
		says := strings.TrimSpace(name + " " + r.Status.String() + " " + r.Reason.String())
		if r.Status == sale.Held {
			says += " until " + d.since(r.PayBy)
		}
		d.say("%s", says)
	}
	hot, err := d.store.Projection(d.ctx, 0, nil)
	if errors.Is(err, partition.ErrLoading) {
		d.say("Redis has nothing")
		return
	}
	d.must(err)
	cold, err := d.ledger.Watermark(d.ctx, 0)
	d.must(err)
	for _, s := range d.terms {
		stand, _, err := d.ledger.Stand(d.ctx, s.ID)
		d.must(err)
		d.say("%s free %d held %d sold %d waiting %d", s.Title, stand.Free, stand.Held, stand.Sold, stand.Waiting)
	}
	d.say("settled in Postgres %d, in Redis %d, of %d", cold.Seq-d.base, hot.Settled-d.base, hot.Seq-d.base)
}

// since says a moment as the story counts.
func (d *dialogue) since(at sale.Instant) string {
	return (time.Duration(at-d.terms[0].OpensAt) * time.Millisecond).String()
}
