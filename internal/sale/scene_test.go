package sale_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// The people of the table tests, and one lamp: 10 units, 2 for each buyer, from
// 1000 points down by 100 each minute for 10 minutes.
const (
	alice, bob, carol = 1, 2, 3
	lamp, seller      = 7, 70
	escrow            = 71
	minute            = 60_000

	opens  = now + minute
	closes = opens + 10*minute
	payout = closes + 24*60*minute
)

// scene is how things stand before a batch.
type scene struct {
	state sale.State
	facts sale.Facts
}

// lampSale is the scene in which the lamp is announced and nobody came yet.
// Buyers 1 to 20 have 10000 points each.
func lampSale() scene {
	s := auction()
	s.OpensAt, s.ClosesAt = opens, closes
	points := map[int64]int64{}
	for buyer := int64(1); buyer <= 20; buyer++ {
		points[buyer] = 10_000
	}
	return scene{
		state: sale.State{lamp: {Sale: s, Phase: sale.Scheduled, Free: s.Stock, Buyers: map[int64]int64{}}},
		facts: sale.Facts{Generation: 1, Balances: points, Receipts: map[uuid.UUID]sale.Receipt{}},
	}
}

// decide asks Decide, which must leave its arguments alone, and makes the batch
// true, so that the next one stands on it. It answers the outcomes in words.
func (s scene) decide(t *testing.T, entries ...sale.Entry) ([]string, sale.Effects) {
	t.Helper()
	before, asked := s.clone(), slices.Clone(entries)
	decision := sale.Decide(s.state, s.facts, entries)
	if !reflect.DeepEqual(s, before) || !reflect.DeepEqual(entries, asked) {
		t.Error("Decide changed its arguments")
	}
	var said []string
	for _, o := range decision.Outcomes {
		said = append(said, say(o))
	}
	s.apply(entries, decision)
	return said, decision.Effects
}

// say puts an outcome into words: "confirmed at 900", "rejected sold_out, stands".
func say(o sale.Outcome) string {
	words := o.Status.String()
	if o.Reason != 0 {
		words += " " + o.Reason.String()
	}
	if o.UnitPrice != 0 {
		words += fmt.Sprint(" at ", o.UnitPrice)
	}
	if o.Stands {
		words += ", stands"
	}
	return words
}

func (s scene) clone() scene {
	c := scene{state: sale.State{}, facts: s.facts}
	for id, stand := range s.state {
		copied := *stand
		copied.Buyers = maps.Clone(stand.Buyers)
		c.state[id] = &copied
	}
	c.facts.Balances, c.facts.Receipts = maps.Clone(s.facts.Balances), maps.Clone(s.facts.Receipts)
	return c
}

// apply is what Postgres and Redis do with a decision.
func (s scene) apply(entries []sale.Entry, d sale.Decision) {
	for _, e := range d.Effects.Sales {
		stand := s.state[e.Sale]
		stand.Free += e.Free
		stand.Held += e.Held
		stand.Sold += e.Sold
		stand.Stock += e.Stock
		stand.Phase, stand.PaidOut, stand.ClosesAt = e.Phase, e.PaidOut, e.ClosesAt
		for _, b := range e.Buyers {
			stand.Buyers[b.Buyer] += b.Units
		}
	}
	for _, transfer := range d.Effects.Transfers {
		s.facts.Balances[transfer.Debit] -= transfer.Amount
		s.facts.Balances[transfer.Credit] += transfer.Amount
	}
	for _, r := range (sale.Batch{Entries: entries, State: s.state, Facts: s.facts, Decision: d}).Receipts() {
		s.facts.Receipts[r.ID] = r
	}
}

// name makes a receipt ID that a test can call by a name.
func name(s string) uuid.UUID { return sale.KeyedReceiptID(3, 0, lamp, sale.Bid, s) }

func entry(at sale.Instant, receipt string, verb sale.Verb, buyer int64) sale.Entry {
	return sale.Entry{
		ID: sale.EntryID{At: at}, Seq: 1, Generation: 1,
		Request: sale.Request{Receipt: name(receipt), Verb: verb, Sale: lamp, Buyer: buyer},
	}
}

func bid(at sale.Instant, receipt string, buyer, quantity, price int64) sale.Entry {
	e := entry(at, receipt, sale.Bid, buyer)
	e.Quantity, e.Price = quantity, price
	return e
}

func exactBid(at sale.Instant, receipt string, buyer, quantity, price int64) sale.Entry {
	e := bid(at, receipt, buyer, quantity, price)
	e.Exact = true
	return e
}

func refund(at sale.Instant, receipt string, buyer int64, target string) sale.Entry {
	e := entry(at, receipt, sale.Refund, buyer)
	e.Target = name(target)
	return e
}

func grow(at sale.Instant, receipt string, by, units int64) sale.Entry {
	e := entry(at, receipt, sale.Change, by)
	e.Quantity = units
	return e
}

func tick(at sale.Instant, receipt string, verb sale.Verb) sale.Entry {
	return entry(at, receipt, verb, 0)
}

// change makes the same entry with something else about it.
func change(e sale.Entry, with func(*sale.Entry)) sale.Entry {
	with(&e)
	return e
}

// The words a table of cases is written in.
type dialogue struct {
	name    string
	set     func(scene)
	batches [][]sale.Entry
	want    []string // of all batches, one after the other
}

func together(entries ...sale.Entry) [][]sale.Entry { return [][]sale.Entry{entries} }

// apart puts every entry into a batch of its own.
func apart(entries ...sale.Entry) (batches [][]sale.Entry) {
	for _, e := range entries {
		batches = append(batches, []sale.Entry{e})
	}
	return batches
}

// speak runs dialogues, each as its batches say and once with each entry apart:
// how the stream is cut must make no difference.
func speak(t *testing.T, dialogues []dialogue) {
	for _, d := range dialogues {
		t.Run(d.name, func(t *testing.T) {
			for _, batches := range [][][]sale.Entry{d.batches, apart(slices.Concat(d.batches...)...), together(slices.Concat(d.batches...)...)} {
				s := lampSale()
				if d.set != nil {
					d.set(s)
				}
				var got []string
				for _, batch := range batches {
					said, _ := s.decide(t, batch...)
					got = append(got, said...)
				}
				if !slices.Equal(got, d.want) {
					t.Errorf("in %d batches\n got %q\nwant %q", len(batches), got, d.want)
				}
				for _, complaint := range s.broken() {
					t.Error(complaint)
				}
			}
		})
	}
}

// broken tells which laws of a standing scene do not hold.
func (s scene) broken() (complaints []string) {
	for id, stand := range s.state {
		if stand.Free+stand.Held+stand.Sold != stand.Stock || min(stand.Free, stand.Held, stand.Sold) < 0 {
			complaints = append(complaints, fmt.Sprintf("stock: sale %d has free %d + held %d + sold %d of %d",
				id, stand.Free, stand.Held, stand.Sold, stand.Stock))
		}
		for buyer, units := range stand.Buyers {
			if units < 0 || units > stand.Limit {
				complaints = append(complaints, fmt.Sprintf("stock: buyer %d has %d units of sale %d, limit %d", buyer, units, id, stand.Limit))
			}
		}
	}
	for wallet, points := range s.facts.Balances {
		if points < 0 || points > sale.MaxPoints {
			complaints = append(complaints, fmt.Sprintf("points: wallet %d has %d", wallet, points))
		}
	}
	return complaints
}

func (s scene) total() (points int64) {
	for _, balance := range s.facts.Balances {
		points += balance
	}
	return points
}
