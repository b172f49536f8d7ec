package partition

import (
	"errors"
	"math"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"sluice/internal/sale"
)

// TestOutlook: what is told of ten units, by who is how far back, how many he wants, and
// how fast they go.
func TestOutlook(t *testing.T) {
	for name, c := range map[string]struct {
		chances      Chances
		ahead, units int64
		want         sale.Outlook
	}{
		"next":                          {Chances{Free: 10, Limit: 3}, 0, 1, sale.Likely},
		"next, wants all":               {Chances{Free: 10, Limit: 10}, 0, 10, sale.Likely},
		"next, wants more than all":     {Chances{Free: 10, Limit: 20}, 0, 11, sale.Unlikely},
		"whatever the others want":      {Chances{Free: 10, Limit: 1}, 9, 1, sale.Likely},
		"if they want much, nobody":     {Chances{Free: 10, Limit: 3}, 5, 1, ""},
		"they do not":                   {Chances{Free: 10, Limit: 3, Pace: 1}, 5, 1, sale.Likely},
		"about as many as there are":    {Chances{Free: 10, Limit: 3, Pace: 1}, 8, 1, ""},
		"a few more":                    {Chances{Free: 10, Limit: 3, Pace: 1}, 12, 1, ""},
		"many more":                     {Chances{Free: 10, Limit: 3, Pace: 1}, 49, 1, sale.Unlikely},
		"many more, most for others":    {Chances{Free: 10, Limit: 3, Pace: 0.01}, 49, 1, sale.Likely},
		"nobody knows the pace":         {Chances{Free: 10, Limit: 3}, 49, 1, ""},
		"too few for him":               {Chances{Free: 1, Limit: 3, Pace: 0.01}, 0, 2, sale.Unlikely},
		"gone, and some may return":     {Chances{Limit: 3, Pace: 1}, 0, 1, sale.Unlikely},
		"gone":                          {Chances{Limit: 3, Pace: 1, Exhausted: true}, 0, 1, sale.Gone},
		"gone, and far back":            {Chances{Limit: 3, Exhausted: true}, 1 << 40, 3, sale.Gone},
		"more than can be reckoned":     {Chances{Free: sale.MaxPoints, Limit: sale.MaxPoints, Pace: 1e6}, math.MaxInt64, 1, sale.Unlikely},
		"a pace that is none":           {Chances{Free: 10, Limit: 3, Pace: math.NaN()}, 49, 1, ""},
		"likely, but not for so many":   {Chances{Free: 10, Limit: 5, Pace: 1}, 5, 5, ""},
		"nobody is ahead, and few left": {Chances{Free: 1, Limit: 3, Pace: 5}, 0, 1, sale.Likely},
	} {
		if got := c.chances.Outlook(c.ahead, c.units); got != c.want {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
	}
}

// TestChances: what is read is how the sale stands, with the pace at which its units go.
func TestChances(t *testing.T) {
	f := started(t)
	if _, err := f.Chances(f.ctx, p, 7); !errors.Is(err, sale.ErrUnknown) {
		t.Errorf("a sale that is not there: %v", err)
	}
	f.load(lamp(nil))
	want := func(want Chances) {
		t.Helper()
		got, err := f.Chances(f.ctx, p, 7)
		f.must(err)
		if math.Abs(got.Pace-want.Pace) > 0.01 {
			t.Errorf("the pace is %g, not %g", got.Pace, want.Pace)
		}
		if got.Pace = want.Pace; got != want {
			t.Errorf("%+v, not %+v", got, want)
		}
	}
	want(Chances{Free: 10, Limit: 2})
	for buyer := range int64(4) { // half of them take two, the others are refused
		f.admit(bid(1001+buyer%2, 2))
	}
	f.settle()
	want(Chances{Free: 6, Limit: 2, Pace: 4. / 5}) // the mark of the partition is an entry, too
	for buyer := range int64(3) {
		f.admit(bid(2001+buyer, 2))
	}
	f.settle()
	want(Chances{Limit: 2, Pace: 0.8 + (2-0.8)*3/103, Exhausted: true})
	f.must(f.raw.HSet(f.ctx, saleKey(p, 7), "pace", "gibberish").Err())
	want(Chances{Limit: 2, Exhausted: true})
}

// fortune is a course of one sale in which all who queue are told, at each step, what to
// expect.
type fortune struct {
	*fixture
	sale    int64
	outlook func(c Chances, ahead, units int64) sale.Outlook
	asked   []sale.Standing
	queued  int // entries that are not settled
	gone    map[uuid.UUID]bool
}

func (o *fortune) ask(verb sale.Verb, buyer, units int64, target uuid.UUID) {
	o.t.Helper()
	gate := Anytime
	if verb.Buys() {
		gate = Selling
	}
	standing, err := o.Admit(o.ctx, p, sale.Request{Receipt: sale.NewReceiptID(p), Verb: verb, Sale: o.sale, Buyer: buyer, Quantity: units, Price: 100, Target: target}, gate, unlimited)
	if refusal := (*sale.Refusal)(nil); errors.As(err, &refusal) && refusal.Code == sale.RefusedSoldOut {
		return
	}
	o.must(err)
	o.queued++
	if verb.Buys() {
		o.asked = append(o.asked, standing)
	}
	o.tell()
}

func (o *fortune) settle(most int) {
	o.t.Helper()
	if o.queued == 0 {
		return
	}
	b := o.batchOf(most)
	o.queued -= len(b.Entries)
	o.must(o.Apply(o.ctx, b.Epoch, b, 0))
	o.tell()
}

func (o *fortune) tell() {
	o.t.Helper()
	c, err := o.Chances(o.ctx, p, o.sale)
	o.must(err)
	for _, one := range o.asked {
		s, err := o.Receipt(o.ctx, p, one.ID)
		o.must(err)
		if s.Status == sale.Queued && o.outlook(c, s.Ahead, s.Quantity) == sale.Gone {
			o.gone[s.ID] = true
		}
	}
}

// lies counts those who were told that all is gone and got something.
func (o *fortune) lies() (n int) {
	o.t.Helper()
	for _, one := range o.asked {
		if r := o.status(one.ID); o.gone[r.ID] && (r.Status == sale.Confirmed || r.PayBy != 0) {
			n++
		}
	}
	return n
}

// TestSoldOutIsCertain: nobody who is told that all is gone gets anything, unless the
// seller adds to it.
func TestSoldOutIsCertain(t *testing.T) {
	f := started(t)
	f.settle() // the mark
	next, told := int64(100), 0
	rapid.Check(t, func(t *rapid.T) {
		next++
		o := &fortune{fixture: f, sale: next, outlook: Chances.Outlook, gone: map[uuid.UUID]bool{}}
		verb, offer := sale.Bid, lamp
		if rapid.Bool().Draw(t, "units return") {
			verb, offer = sale.Reserve, stage
		}
		f.load(offer(func(s *sale.Stand) {
			s.ID, s.Escrow = o.sale, -o.sale
			s.Stock = rapid.Int64Range(1, 6).Draw(t, "stock")
			s.Free, s.Limit = s.Stock, rapid.Int64Range(1, 3).Draw(t, "limit")
		}))
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0, 1, 2:
				o.ask(verb, rapid.Int64Range(1001, 1006).Draw(t, "buyer"), rapid.Int64Range(1, 3).Draw(t, "units"), uuid.Nil)
			case 3:
				o.settle(rapid.IntRange(1, 3).Draw(t, "entries"))
			case 4:
				for _, one := range o.asked {
					if r := f.status(one.ID); r.Status == sale.Held {
						o.ask(sale.Cancel, r.Buyer, 0, r.ID)
						break
					}
				}
			}
		}
		for o.queued > 0 {
			o.settle(500)
		}
		if n := o.lies(); n > 0 {
			t.Errorf("%d were told that all is gone, and got something", n)
		}
		told += len(o.gone)
	})
	if told == 0 {
		t.Error("nobody was told that all is gone")
	}
}

// TestFalseFortuneIsSeen is the known-bad twin: one who takes what is held for gone lies to
// him whom it comes to.
func TestFalseFortuneIsSeen(t *testing.T) {
	f := started(t)
	f.settle()
	o := &fortune{fixture: f, sale: 7, gone: map[uuid.UUID]bool{}, outlook: func(c Chances, _, _ int64) sale.Outlook {
		if c.Free == 0 {
			return sale.Gone
		}
		return ""
	}}
	f.load(stage(func(s *sale.Stand) { s.Stock, s.Free = 1, 1 }))
	o.ask(sale.Reserve, 1001, 1, uuid.Nil)
	o.settle(1)
	o.ask(sale.Reserve, 1002, 1, uuid.Nil)
	o.ask(sale.Cancel, 1001, 0, o.asked[0].ID)
	o.settle(500)
	if o.lies() != 1 {
		t.Error("it goes through")
	}
}
