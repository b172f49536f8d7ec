package sale_test

import (
	"slices"
	"testing"
	"time"

	"sluice/internal/sale"
)

func TestSuspendedAuction(t *testing.T) {
	purchase := bid(opens, "a", alice, 1, 1000)
	speak(t, []dialogue{
		{name: "sells nothing until it is resumed",
			batches: together(purchase, suspend("0:01", "s"), bid(after("0:02"), "b", bob, 1, 1000), resume("0:03", "r"), bid(after("0:04"), "c", carol, 1, 1000)),
			want:    []string{"confirmed at 1000", "confirmed", "rejected suspended", "confirmed", "confirmed at 1000"}},
		{name: "twice is as once",
			batches: together(suspend("0:01", "s"), suspend("0:02", "s2"), resume("0:03", "r"), resume("0:04", "r2"), purchaseAt("0:05")),
			want:    []string{"confirmed", "confirmed", "confirmed", "confirmed", "confirmed at 1000"}},
		{name: "not before it opens", batches: together(suspend("-0:01", "s"), purchase), want: []string{"rejected not_open", "confirmed at 1000"}},
		{name: "nobody but an operator",
			batches: together(change(suspend("0:01", "s"), func(e *sale.Entry) { e.Buyer = seller }), change(resume("0:01", "r"), func(e *sale.Entry) { e.Buyer = alice })),
			want:    []string{"rejected not_yours", "rejected not_yours"}},
		{name: "its stock does not grow", batches: together(suspend("0:01", "s"), grow(after("0:02"), "g", seller, 1), grow(after("0:02"), "h", alice, 1)),
			want: []string{"confirmed", "rejected suspended", "rejected not_yours"}},
		{name: "closed comes before suspended", batches: together(suspend("0:01", "s"), bid(closes, "b", bob, 1, 1000)), want: []string{"confirmed", "rejected closed"}},
		{name: "refunds go on, the payout waits",
			batches: together(purchase, bid(opens, "b", bob, 1, 1000), suspend("0:01", "s"), refund(closes, "f", alice, "a"), tick(payout, "p", sale.Payout),
				tick(payout+1, "r", sale.Resume), tick(payout+2, "q", sale.Payout)),
			want: []string{"confirmed at 1000", "confirmed at 1000", "confirmed", "confirmed at 1000", "rejected suspended", "confirmed", "confirmed"}},
		{name: "closed, it may be suspended as well", batches: together(purchase, tick(closes, "s", sale.Suspend), tick(payout, "p", sale.Payout)),
			want: []string{"confirmed at 1000", "confirmed", "rejected suspended"}},
	})
}

func purchaseAt(clock string) sale.Entry { return bid(after(clock), "at "+clock, alice, 1, 1000) }

// TestSuspendedLine: who waits goes on waiting, whatever comes free, and is served at once
// when the sale is resumed, with all of his time to pay.
func TestSuspendedLine(t *testing.T) {
	s := newScene(purses(), chair())
	got, _ := s.decide(t, reserve("0:00", "a", alice, 1), reserve("0:01", "b", bob, 1), reserve("0:02", "c", carol, 1), suspend("0:03", "s"), cancel("0:04", alice, "a"))
	if want := []string{"held at 100 by 10:00", "waiting at 100", "waiting at 100", "confirmed", "confirmed"}; !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	stand := s.state[lamp]
	if !stand.Suspended || stand.Free != 1 || stand.Waiting != 2 || s.facts.Receipts[name("b")].Status != sale.Waiting {
		t.Fatalf("stands %+v, b %+v", stand, s.facts.Receipts[name("b")])
	}
	s.decide(t, resume("5:00", "r"))
	if b := s.facts.Receipts[name("b")]; b.Status != sale.Held || b.PayBy != after("15:00") || stand.Free != 0 || stand.Waiting != 1 || stand.Suspended {
		t.Errorf("stands %+v, b %+v", stand, b)
	}
}

// TestSuspendedHolds: a hold is paid as ever, ends as ever, and once it has ended buys
// nothing more.
func TestSuspendedHolds(t *testing.T) {
	s := newScene(purses(), chair(stock(3), line(0)))
	got, _ := s.decide(t, reserve("0:00", "a", alice, 1), reserve("0:00", "b", bob, 1), suspend("0:01", "s"), pay("0:02", alice, "a"),
		expire("10:00"), pay("10:01", bob, "b"), claim("10:02", "c", carol), reserve("10:03", "d", dave, 1))
	want := []string{"held at 100 by 10:00", "held at 100 by 10:00", "confirmed", "confirmed at 100", "confirmed", "rejected expired", "rejected unknown_sale", "rejected suspended"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestChangeOfSlotWhileSuspended: nobody comes, everybody may go.
func TestChangeOfSlotWhileSuspended(t *testing.T) {
	slot := func(id int64) sale.Sale {
		return evening(number(id), func(s *sale.Sale) { s.Store, s.StartsAt = 500, s.ClosesAt })
	}
	for _, c := range []struct {
		name      string
		suspended int64
		want      string
	}{{"to a suspended one", 9, "rejected suspended"}, {"away from one", 8, "confirmed"}} {
		s := newScene(purses(), slot(8), slot(9))
		at := func(id int64, e sale.Entry) sale.Entry { e.Sale = id; return e }
		got, _ := s.decide(t, at(8, reserve("0:00", "a", alice, 1)), at(c.suspended, suspend("0:01", "s")),
			change(at(9, reserve("0:02", "b", alice, 1)), func(e *sale.Entry) { e.Target, e.From = name("a"), 8 }))
		if got[2] != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestShown(t *testing.T) {
	for _, c := range []struct {
		at   sale.Instant
		free int64
		want sale.Shown
	}{
		{opens - 1, 1, sale.ShownScheduled}, {opens, 1, sale.ShownSuspended}, {opens, 0, sale.ShownSuspended}, {closes, 1, sale.ShownClosed},
	} {
		s := sale.Stand{Sale: sale.Sale{OpensAt: opens, ClosesAt: closes}, Free: c.free, Suspended: true}
		if got := s.Shown(c.at); got != c.want {
			t.Errorf("at %s with %d free: %s, want %s", time.Duration(c.at-opens)*time.Millisecond, c.free, got, c.want)
		}
		if s.Suspended = false; s.Shown(c.at) != s.ShownAt(c.at, c.free) {
			t.Errorf("not suspended, it shows %s", s.Shown(c.at))
		}
	}
}

// twinsOfSuspension get a suspended sale wrong.
var twinsOfSuspension = []twin{
	{"sells on while suspended", "outcome", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		d := sale.Decide(altered(state, func(s *sale.Stand) { s.Suspended = false }), facts, entries)
		for i := range d.Effects.Sales {
			s := &d.Effects.Sales[i]
			s.Suspended = s.Suspended || state[s.Sale].Suspended
		}
		return d
	}},
	{"forgets that it is suspended", "state", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		d := sale.Decide(state, facts, entries)
		for i := range d.Effects.Sales {
			d.Effects.Sales[i].Suspended = false
		}
		return d
	}},
	{"does not say that it is suspended now", "state", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		d := sale.Decide(state, facts, entries)
		for i := range d.Effects.Sales {
			s := &d.Effects.Sales[i]
			s.Changed = s.Changed && (s.Suspended == state[s.Sale].Suspended)
		}
		return d
	}},
	{"lets anybody suspend", "outcome", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		entries = slices.Clone(entries)
		for i := range entries {
			if entries[i].Verb == sale.Suspend {
				entries[i].Buyer = 0
			}
		}
		return sale.Decide(state, facts, entries)
	}},
	{"does not serve the line when it is resumed", "turn", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		return sale.Decide(altered(state, func(s *sale.Stand) {
			if s.Suspended && slices.ContainsFunc(entries, func(e sale.Entry) bool { return e.Verb == sale.Resume && e.Sale == s.ID }) {
				s.Waiting, s.Line = 0, nil
			}
		}), facts, entries)
	}},
	{"pays out what is suspended", "outcome", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		d := sale.Decide(state, facts, entries)
		for i, e := range entries {
			if o := &d.Outcomes[i]; e.Verb == sale.Payout && o.Reason == sale.Suspended {
				*o = sale.Outcome{Status: sale.Confirmed}
			}
		}
		return d
	}},
}
