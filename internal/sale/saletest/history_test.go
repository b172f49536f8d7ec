package saletest

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"sluice/internal/sale"
)

// TestHistoriesReachEverything: a property says nothing about what its histories
// never reach.
func TestHistoriesReachEverything(t *testing.T) {
	reached := map[string]int{}
	for _, g := range []*rapid.Generator[History]{Histories, OddHistories} {
		for seed := range 1500 {
			reach(g.Example(seed), reached)
		}
	}
	for _, want := range strings.Split(strings.Trim(`
bid: confirmed, with a coupon, not_open, closed, internal, over_limit, sold_out, price_changed, short_points, lost, unknown_sale, coupon_unusable, suspended
refund: confirmed, of bid, not_refundable, not_yours, already_final
change: confirmed, not_yours, closed, price_changed, over_limit, suspended
payout: confirmed, not_payable, suspended
suspend: confirmed, not_open, not_yours
resume: confirmed, not_open, not_yours
open: confirmed
close: confirmed
expire: confirmed
reserve: confirmed, held, waiting, with a coupon, not_open, closed, internal, over_limit, duplicate, sold_out, line_full, short_points, coupon_unusable, unknown_sale, suspended
join: confirmed, waiting, not_open, closed, internal, over_limit, duplicate, sold_out, line_full, short_points, suspended
claim: confirmed, suspended, not_open, closed, duplicate, sold_out, coupon_unusable
pay: confirmed, of reserve, of join, late, not_payable, already_final, expired, not_yours, short_points, internal
cancel: confirmed, of reserve, of join, of pay, not_refundable, already_final, not_yours
change of slot: confirmed, of reserve, closed, duplicate, sold_out, short_points, not_refundable, not_yours, already_final, unknown_sale, not_open, suspended
ends: confirmed, held, waiting, expired, cancelled, refunded, rejected, promoted, passed
while suspended: pay, cancel, refund, expired, units free and somebody waits
resumed: promoted
stands: confirmed, held, waiting, expired, cancelled, refunded, sold_out, internal`, "\n"), "\n") {
		verb, words, _ := strings.Cut(want, ": ")
		for word := range strings.SplitSeq(words, ", ") {
			if reached[verb+": "+word] == 0 {
				t.Errorf("3000 histories never reached %s: %s", verb, word)
			}
		}
	}
}

func reach(h History, reached map[string]int) {
	m := h.Model()
	waited := map[uuid.UUID]bool{}
	for _, e := range h.Entries {
		before, stopped := m.Receipts(), map[int64]bool{}
		for id, s := range m.sales {
			stopped[id] = s.stopped
		}
		o := m.Hear(e)
		reachSuspended(m, e, o, before, stopped, reached)
		verb, word := e.Verb.String(), o.Status.String()
		switch {
		case o.Stands:
			verb = "stands"
		case e.From != 0:
			verb = "change of slot"
		}
		if o.Reason != 0 {
			word = o.Reason.String()
		}
		reached[verb+": "+word]++
		if o.Discount > 0 {
			reached[verb+": with a coupon"]++
		}
		if o.Quantity > 0 {
			reached[verb+": late"]++
		}
		if target := m.receipts[e.Target]; target != nil && o.Status == sale.Confirmed {
			reached[verb+": of "+target.Verb.String()]++
		}
		waited[e.Receipt] = waited[e.Receipt] || o.Status == sale.Waiting
	}
	for id, r := range m.receipts {
		reached["ends: "+r.Status.String()]++
		if r.Passed > 0 {
			reached["ends: passed"]++
		}
		if waited[id] && r.PayBy > 0 {
			reached["ends: promoted"]++
		}
	}
}

// Under other numbers and at another time a history is the same.
func TestHistoryAs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := Histories.Draw(t, "history").Later(time.Hour)
		recorded := append([]sale.Sale(nil), h.Sales...)
		for i := range recorded {
			s := &recorded[i]
			s.ID, s.Escrow, s.Seller, s.Partition = s.ID+40, -s.ID-40, s.Seller+400, 300
		}
		accounts := map[int64]int64{}
		for i := range int64(10) {
			accounts[i], accounts[Sellers+i] = i+900, Sellers+i+400
		}
		accounts[0] = 0
		other := h.As(recorded, accounts)
		m, n := h.Model(), other.Model()
		for i, e := range h.Entries {
			if said, also := m.Hear(e), n.Hear(other.Entries[i]); said != also {
				t.Fatalf("entry %d: %+v, under other numbers %+v", i, said, also)
			}
			if p, ok := sale.PartitionOf(other.Entries[i].Receipt); !ok || p != 300 {
				t.Fatalf("entry %d: receipt in partition %d", i, p)
			}
		}
		for _, s := range h.Sales {
			a, b := m.Stand(s.ID), n.Stand(s.ID+40)
			if a.Free != b.Free || a.Held != b.Held || a.Sold != b.Sold || a.Waiting != b.Waiting || a.Phase != b.Phase {
				t.Fatalf("%+v, under other numbers %+v", a, b)
			}
		}
		points := map[int64]int64{}
		for id, n := range n.Points() {
			switch {
			case id < 0:
				id += 40
			case id >= 900:
				id -= 900
			case id > Sellers:
				id -= 400
			}
			points[id] = n
		}
		if !reflect.DeepEqual(points, m.Points()) {
			t.Fatalf("points %v, under other numbers %v", m.Points(), points)
		}
	})
}

// reachSuspended notes what happens to sales that are suspended, and what resuming does.
func reachSuspended(m *Model, e sale.Entry, o sale.Outcome, before map[uuid.UUID]sale.Receipt, stopped map[int64]bool, reached map[string]int) {
	for id, was := range before {
		is := *m.receipts[id]
		if stopped[is.Sale] && is.Status == sale.Expired && was.Status == sale.Held {
			reached["while suspended: expired"]++
		}
		if stopped[is.Sale] && e.Verb == sale.Resume && was.Status == sale.Waiting && is.PayBy > 0 {
			reached["resumed: promoted"]++
		}
	}
	s := m.sales[e.Sale]
	if s == nil || !stopped[e.Sale] || o.Stands {
		return
	}
	if o.Status == sale.Confirmed {
		reached["while suspended: "+e.Verb.String()]++
	}
	if s.stopped && s.phase == sale.PhaseOpen && s.free() > 0 && len(s.line()) > 0 {
		reached["while suspended: units free and somebody waits"]++
	}
}
