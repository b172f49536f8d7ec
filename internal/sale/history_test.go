package sale_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"sluice/internal/sale"
)

// history is three sales, a few buyers, what they asked in stream order, and the
// batches in which an owner happened to settle it.
type history struct {
	sales   []sale.Sale
	points  map[int64]int64
	entries []sale.Entry
	cuts    []int // sizes of the batches, over and over

	// forgetful: facts never hold a rejected receipt, as in Postgres. Then no
	// receipt comes twice, since Redis keeps those away.
	forgetful bool
}

var histories = rapid.Custom(drawHistory)

func (h history) start() scene {
	s := scene{state: sale.State{}, facts: sale.Facts{Generation: 1, Balances: map[int64]int64{}, Receipts: map[uuid.UUID]sale.Receipt{}}}
	for _, terms := range h.sales {
		s.state[terms.ID] = &sale.Stand{Sale: terms, Phase: sale.Scheduled, Free: terms.Stock, Buyers: map[int64]int64{}}
	}
	for wallet, points := range h.points {
		s.facts.Balances[wallet] = points
	}
	return s
}

// batches cuts the entries; nil cuts are one batch.
func (h history) batches() (batches [][]sale.Entry) {
	rest := h.entries
	for i := 0; len(h.cuts) > 0 && len(rest) > 0; i++ {
		n := min(h.cuts[i%len(h.cuts)], len(rest))
		batches = append(batches, rest[:n])
		rest = rest[n:]
	}
	if len(rest) > 0 {
		batches = append(batches, rest)
	}
	return batches
}

// GoString is how rapid shows a history that fails.
func (h history) GoString() string {
	var b strings.Builder
	fmt.Fprintf(&b, "points %v, cuts %v, forgetful %t\n", h.points, h.cuts, h.forgetful)
	for _, s := range h.sales {
		fmt.Fprintf(&b, "sale %d: stock %d limit %d %+v %d…%d window %s\n", s.ID, s.Stock, s.Limit, s.Price, s.OpensAt-now, s.ClosesAt-now, s.RefundWindow)
	}
	for i, e := range h.entries {
		fmt.Fprintf(&b, "%3d  +%d g%d sale %d %s buyer %d quantity %d price %d exact %t receipt %.8s target %.8s closes %d\n",
			i, e.ID.At-now, e.Generation, e.Sale, e.Verb, e.Buyer, e.Quantity, e.Price, e.Exact, e.Receipt, e.Target, e.ClosesAt)
	}
	return b.String()
}

// evenly draws one of up to 64 choices, each as likely as the others (rapid's
// own generators love the ends), and shrinks towards the first.
func evenly[V any](t *rapid.T, label string, choices []V) V {
	n := 0
	for range 6 {
		n *= 2
		if rapid.Bool().Draw(t, label) {
			n++
		}
	}
	return choices[n*len(choices)/64]
}

func seldom(t *rapid.T, label string) bool { return evenly(t, label, []int{15: 1}) == 1 }

// drawSale draws a small sale that every creation rule allows.
func drawSale(t *rapid.T, id int64) sale.Sale {
	period := rapid.SampledFrom([]time.Duration{30 * time.Second, time.Minute, 2 * time.Minute}).Draw(t, "period")
	periods := rapid.IntRange(1, 2).Draw(t, "periods") * 2
	s := sale.Sale{
		ID: id, Kind: sale.Auction, Seller: 100 + id, Escrow: 200 + id, Title: "lamp",
		Limit:        rapid.Int64Range(1, 4).Draw(t, "limit"),
		OpensAt:      now + sale.Instant(rapid.Int64Range(0, 2).Draw(t, "opens")*1000),
		RefundWindow: rapid.SampledFrom([]time.Duration{0, time.Minute, 5 * time.Minute}).Draw(t, "window"),
	}
	s.Stock = s.Limit + rapid.Int64Range(0, 6).Draw(t, "stock over limit")
	s.ClosesAt = s.OpensAt.Add(time.Duration(periods) * period)
	start := rapid.OneOf(rapid.SampledFrom([]int64{90, 100, 150, 2150}), rapid.Int64Range(16, 3000)).Draw(t, "start")
	if rapid.Bool().Draw(t, "constant") {
		s.Price = constant(start, rapid.Int64Range(1, start/4).Draw(t, "drop"), period)
	} else {
		rate := rapid.OneOf(rapid.SampledFrom([]int64{600, 1800, 3000, 3100, 4200, 4300}), rapid.Int64Range(1, sale.MaxRate)).Draw(t, "rate")
		s.Price = percentage(start, rate, period)
	}
	if err := s.Check(now); err != nil {
		t.Fatalf("drew a sale that may not be: %v", err)
	}
	return s
}

func drawHistory(t *rapid.T) history {
	h := history{points: map[int64]int64{}, forgetful: rapid.Bool().Draw(t, "forgetful")}
	for id := int64(1); id <= 3; id++ {
		h.sales = append(h.sales, drawSale(t, id))
	}
	for buyer := int64(1); buyer <= 5; buyer++ {
		h.points[buyer] = evenly(t, "points", []int64{20_000, 6000, 2000, 500, 99, 0})
	}
	at := now
	m := newModel(h.start())
	var bought []sale.Entry
	length := evenly(t, "length", []int{0, 20, 40}) + rapid.IntRange(1, 20).Draw(t, "entries")
	for i := range length {
		at += evenly(t, "step", []sale.Instant{0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1000, 15_000})
		if seldom(t, "long step") {
			at += evenly(t, "long step", []sale.Instant{30_000, 29_999, 59_999, 60_000, 240_000})
		}
		e := h.draw(t, at, i, bought)
		if words := m.hear(e); e.Verb == sale.Bid && strings.HasPrefix(words, "confirmed at") {
			bought = append(bought, e)
		}
		h.entries = append(h.entries, e)
	}
	h.cuts = rapid.SliceOfN(rapid.IntRange(1, 8), 1, 5).Draw(t, "cuts")
	return h
}

// draw draws the next entry: mostly sensible, sometimes anything. Some of what
// came before was bought.
func (h history) draw(t *rapid.T, at sale.Instant, i int, bought []sale.Entry) sale.Entry {
	if i > 0 && !h.forgetful && seldom(t, "again") {
		past := h.entries
		if len(bought) > 0 && rapid.Bool().Draw(t, "bought again") {
			past = bought
		}
		e := evenly(t, "entry again", past)
		e.ID = sale.EntryID{At: at, No: int64(i)}
		return e
	}
	terms := evenly(t, "sale", []sale.Sale{h.sales[0], h.sales[0], h.sales[0], h.sales[1], h.sales[2]})
	e := sale.Entry{ID: sale.EntryID{At: at, No: int64(i)}, Seq: int64(i + 1), Generation: 1}
	e.Receipt, e.Sale = name(fmt.Sprint(i)), terms.ID
	e.Verb = evenly(t, "verb", []sale.Verb{sale.Bid, sale.Bid, sale.Bid, sale.Bid, sale.Bid, sale.Bid, sale.Bid, sale.Refund, sale.Refund,
		sale.Refund, sale.Change, sale.Open, sale.Close, sale.Payout, sale.Rebuilt, 0})
	if seldom(t, "stale") {
		e.Generation = 0
	}
	if seldom(t, "elsewhere") {
		e.Sale = 9
	}
	switch e.Verb {
	case 0:
		if rapid.Bool().Draw(t, "illegible") {
			e.Request = sale.Request{}
		}
	case sale.Rebuilt:
		e.Request = sale.Request{Verb: sale.Rebuilt}
	case sale.Bid:
		e.Buyer = evenly(t, "buyer", []int64{1, 2, 3, 4, 5})
		e.Quantity = evenly(t, "quantity", []int64{1, 1, 1, 2, 2, 3, 0})
		price := modelPrice(terms, at)
		e.Price = evenly(t, "price", []int64{price, price, terms.Price.Start, price - 1, price + 1})
		e.Exact = rapid.Bool().Draw(t, "exact")
	case sale.Refund:
		e.Buyer, e.Target = evenly(t, "buyer", []int64{1, 2, 3, 4, 5}), name("never")
		if i > 0 && !seldom(t, "unknown target") {
			targets := h.entries
			if len(bought) > 0 && !seldom(t, "not bought") {
				targets = bought
			}
			target := evenly(t, "target", targets)
			e.Target = target.Receipt
			if !seldom(t, "other sale") {
				e.Sale = target.Sale
			}
			if !seldom(t, "not yours") {
				e.Buyer = target.Buyer
			}
		}
	case sale.Change:
		e.Buyer = terms.Seller
		if seldom(t, "other seller") {
			e.Buyer = 1
		}
		e.Quantity = evenly(t, "growth", []int64{1, 2, 3, 0, -1})
		if seldom(t, "later close") {
			e.ClosesAt = terms.ClosesAt + 60_000
		}
	}
	return e
}

// A property says nothing about what its histories never reach.
func TestHistoriesReachEverything(t *testing.T) {
	reached := map[string]int{}
	for seed := range 1000 {
		h := histories.Example(seed)
		m := newModel(h.start())
		for _, e := range h.entries {
			words, stands := strings.CutSuffix(m.hear(e), ", stands")
			words, _, _ = strings.Cut(words, " at ")
			reached[fmt.Sprintf("%s %s", e.Verb, words)]++
			if stands {
				reached["stands "+words]++
			}
		}
	}
	for _, want := range []string{
		"bid confirmed", "bid rejected not_open", "bid rejected closed", "bid rejected internal", "bid rejected over_limit", "bid rejected sold_out",
		"bid rejected price_changed", "bid rejected short_points", "bid rejected lost", "bid rejected unknown_sale",
		"refund confirmed", "refund rejected not_refundable", "refund rejected not_yours", "refund rejected already_final",
		"change confirmed", "change rejected not_yours", "change rejected closed", "change rejected price_changed", "change rejected over_limit",
		"payout confirmed", "payout rejected not_payable", "open confirmed", "close confirmed", " rejected internal",
		"stands confirmed", "stands refunded", "stands rejected sold_out", "stands rejected internal",
	} {
		if reached[want] == 0 {
			t.Errorf("1000 histories never reached %q", want)
		}
	}
}
