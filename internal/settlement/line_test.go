package settlement

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

// TestLongerLineThanShown: one cancel frees far more units than a view expects, so
// the batch is looked at again, deeper each time, in the same step. That ends, all
// are promoted in their order, and no fault is counted.
func TestLongerLineThanShown(t *testing.T) {
	const units, line = 1200, 1500
	h := newHouse(t)
	s := h.reservation(func(s *sale.Sale) { s.Stock, s.Limit, s.LineMost = units, units, line })
	o := h.owner(s.Partition)
	h.open(s)
	buyers := h.buyers(line+1, 0)
	crowd := h.everybody(s, sale.Reserve, units, buyers[:1])
	ids := h.everybody(s, sale.Reserve, 1, buyers[1:])
	h.drain(o)
	h.units(s, 0, units, 0, line)

	h.about(s, sale.Cancel, crowd[0])
	h.must(o.step(h.ctx))
	if n := testutil.ToFloat64(o.metrics.deeper); n != 2 { // 3 places, then 800, then all
		t.Errorf("looked deeper %v times", n)
	}
	for _, fault := range faults {
		if n := testutil.ToFloat64(o.metrics.faults.WithLabelValues(fault)); n != 0 {
			t.Errorf("%s was counted %v times", fault, n)
		}
	}
	h.is(ids[:units], map[string]int{"held": units})
	h.is(ids[units:], map[string]int{"waiting": line - units})
	h.units(s, 0, units, 0, line-units)
	for word, n := range map[[2]string]float64{{"held", "cancelled"}: 1, {"waiting", "held"}: units} {
		if got := testutil.ToFloat64(o.metrics.moves.WithLabelValues(word[0], word[1])); got != n {
			t.Errorf("%v: %v moves", word, got)
		}
	}
}

// TestDeepenEnds: whatever a ledger goes on to call short, it is looked at so often
// and no more.
func TestDeepenEnds(t *testing.T) {
	asks := map[int64]*partition.Ask{7: {}, 8: {}}
	tries := 0
	for deepen(asks, []int64{7, 9}) {
		tries++
	}
	if tries != partition.DeepMost || asks[8].Deeper != 0 || deepen(asks, nil) {
		t.Errorf("%d tries, %+v", tries, asks)
	}
}

// TestLineAtOddsWithItsSale is told as a fault, and not looked at deeper and deeper.
func TestLineAtOddsWithItsSale(t *testing.T) {
	h := newHouse(t)
	s := h.reservation(func(s *sale.Sale) { s.Stock = 1 })
	o := h.owner(s.Partition)
	h.open(s)
	ids := h.everybody(s, sale.Reserve, 1, h.buyers(3, 0))
	h.drain(o)
	h.must(h.raw().HIncrBy(h.ctx, "{s"+string(rune('0'+s.Partition))+"}:sale:"+strconv.FormatInt(s.ID, 10), "waiting", 5).Err())
	h.about(s, sale.Cancel, ids[0])
	if err := o.step(h.ctx); !errors.Is(err, partition.ErrBroken) {
		t.Errorf("answer %v", err)
	}
	h.forget(s) // what an operator does about it
	h.must(o.sync(h.ctx))
	h.drain(o)
	h.is(ids, map[string]int{"cancelled": 1, "held": 1, "waiting": 1})
	h.units(s, 0, 1, 0, 1)
}

// TestLineForgottenAtAnyMoment: whenever a sale with a line is forgotten, so that
// the batch is decided on what Postgres has, cut down, it comes out the same.
func TestLineForgottenAtAnyMoment(t *testing.T) {
	for _, script := range []string{"view.lua reads", "load.lua puts", "apply.lua makes"} {
		for _, when := range []string{"before", "after", "before and after"} {
			t.Run(strings.Fields(script)[0]+" "+when, func(t *testing.T) {
				a := &aside{script: script}
				h := houseOver(t, embeddedtest.Redis(t), embeddedtest.Postgres(t), nil, a)
				s := h.reservation(func(s *sale.Sale) { s.Stock, s.Limit = 4, 4 })
				o := h.owner(s.Partition)
				h.open(s)
				buyers := h.buyers(12, 1000)
				big := h.everybody(s, sale.Reserve, 4, buyers[:1])
				ids := h.everybody(s, sale.Reserve, 1, buyers[1:])
				h.drain(o)
				forget := func() { h.forget(s) }
				if strings.HasPrefix(when, "before") {
					a.before = forget
				}
				if strings.HasSuffix(when, "after") {
					a.after = forget
				}
				for _, about := range []struct {
					verb sale.Verb
					id   uuid.UUID
				}{{sale.Cancel, big[0]}, {sale.Pay, ids[0]}, {sale.Cancel, ids[1]}, {sale.Cancel, ids[7]}, {sale.Cancel, ids[0]}} {
					if script == "load.lua puts" {
						forget() // so that there is something to load
					}
					h.about(s, about.verb, about.id)
					h.drain(o)
				}
				if a.runs < 5 {
					t.Errorf("%d runs", a.runs)
				}
				a.before, a.after = nil, nil
				h.is(ids[:6], map[string]int{"cancelled": 2, "held": 4})
				h.is(ids[6:], map[string]int{"waiting": 4, "cancelled": 1})
				h.open(s)
				h.units(s, 0, 4, 0, 4)
			})
		}
	}
}

// TestLogShowsWhatWasSeen: a batch carries as much of a line as it had to see, also
// when the sale came from Postgres.
func TestLogShowsWhatWasSeen(t *testing.T) {
	for _, loaded := range []bool{false, true} {
		h := newHouse(t)
		s := h.reservation(func(s *sale.Sale) { s.Stock = 10 })
		o := h.owner(s.Partition)
		h.open(s)
		ids := h.everybody(s, sale.Reserve, 1, h.buyers(300, 0))
		h.drain(o)
		before := o.mark.Applied
		h.about(s, sale.Cancel, ids[0])
		if loaded {
			h.forget(s)
		}
		h.drain(o)
		batches, err := h.ledger.BatchesAfter(h.ctx, s.Partition, before, 1)
		h.must(err)
		if seen := batches[0].State[s.ID]; len(seen.Line) != 2 || len(seen.Holds) != 0 || seen.Waiting != 290 || seen.Held != 10 {
			t.Errorf("loaded %v: %d of %d in line and %d holds of %d units were seen", loaded, len(seen.Line), seen.Waiting, len(seen.Holds), seen.Held)
		}
		h.units(s, 0, 10, 0, 289)
	}
}

// TestLineSurvivesRedis: a line is applied again from the log, or loaded from
// Postgres, with everybody in his place.
func TestLineSurvivesRedis(t *testing.T) {
	for _, how := range []string{"older", "empty"} {
		t.Run(how, func(t *testing.T) {
			h := newHouse(t)
			s := h.reservation(func(s *sale.Sale) { s.Stock = 2 })
			o := h.owner(s.Partition)
			h.open(s)
			ids := h.everybody(s, sale.Reserve, 1, h.buyers(8, 100))
			h.drain(o)
			back := h.dump()
			for _, id := range []uuid.UUID{ids[0], ids[2], ids[5]} { // two promotions, and one out of the line
				h.about(s, sale.Cancel, id)
				h.drain(o)
			}
			h.about(s, sale.Pay, ids[1])
			h.drain(o)
			if how == "older" {
				back()
			} else {
				h.must(h.raw().FlushAll(h.ctx).Err())
			}
			o = h.owner(s.Partition)
			h.open(s)
			h.units(s, 0, 1, 1, 3)
			h.about(s, sale.Cancel, ids[3])
			h.drain(o)
			h.is([]uuid.UUID{ids[4]}, map[string]int{"held": 1})
			h.is(ids[6:], map[string]int{"waiting": 2})
			h.units(s, 0, 1, 1, 2)
		})
	}
}

// TestAnyRequestsInAnyBatches: random requests about sales with lines, settled in
// batches of any size, sales forgotten in between, while stream time goes by and one
// of them closes: after each both stores tell the same to the last place.
func TestAnyRequestsInAnyBatches(t *testing.T) {
	h := newHouse(t)
	var sales []sale.Sale
	for i := range 3 {
		sales = append(sales, h.reservation(func(s *sale.Sale) {
			s.Stock, s.Limit, s.LineMost, s.MaxBypass, s.Hold = 6, 3, 40, int64(2*i), time.Second
			switch i {
			case 1:
				s.ClosesAt = s.OpensAt.Add(8 * time.Second)
			case 2:
				s.Kind, s.Hold = sale.Event, time.Minute
			}
		}))
	}
	owners := map[int]*owner{}
	for _, s := range sales {
		if owners[s.Partition] == nil {
			owners[s.Partition] = h.owner(s.Partition)
		}
	}
	buyers := h.buyers(60, 10_000)
	asked := make([][]uuid.UUID, len(sales))
	raw, began := h.raw(), sale.At(time.Now())
	for round := range 60 {
		for p := range owners {
			h.must(raw.HSet(h.ctx, "{s"+strconv.Itoa(p)+"}", "clock", int64(began.Add(time.Duration(round)*200*time.Millisecond))).Err())
		}
		for range 1 + rand.IntN(12) {
			i := rand.IntN(len(sales))
			s, r := sales[i], sale.Request{Buyer: buyers[rand.IntN(len(buyers))]}
			switch n := rand.IntN(10); {
			case n < 6 || len(asked[i]) == 0:
				if r.Verb, r.Quantity = sale.Reserve, rand.Int64N(3)+1; s.Kind == sale.Event {
					r.Verb = sale.Join
				}
			case n == 6:
				r.Verb, r.Buyer = []sale.Verb{sale.Expire, sale.Close}[rand.IntN(2)], 0
			default:
				r.Target = asked[i][rand.IntN(len(asked[i]))]
				r.Verb, r.Buyer = []sale.Verb{sale.Pay, sale.Cancel}[rand.IntN(2)], h.receipt(r.Target).Buyer
			}
			id := h.admit(s, r)
			if r.Verb.Buys() {
				asked[i] = append(asked[i], id)
			}
		}
		if rand.IntN(4) == 0 {
			h.forget(sales[rand.IntN(len(sales))])
		}
		for _, o := range owners {
			h.drain(o)
		}
		for _, s := range sales {
			h.open(s)
			h.agree(s)
		}
	}
	var all []uuid.UUID
	for _, ids := range asked {
		all = append(all, ids...)
	}
	if got := h.count(all); got["expired"] == 0 || got["cancelled"] == 0 || got["confirmed"] == 0 || got["waiting"] == 0 || got["rejected closed"] == 0 {
		t.Errorf("it shows too little: %v", got)
	}
}
