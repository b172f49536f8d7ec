package sale_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// The people of the table tests, and one lamp: 10 units, 2 for each buyer, from
// 1000 points down by 100 each minute for 10 minutes.
const (
	alice, bob, carol, dave = 1, 2, 3, 4
	lamp, seller            = 7, 70
	escrow                  = 71
	minute                  = 60_000

	opens  = now + minute
	closes = opens + 10*minute
	payout = closes + 24*60*minute
)

// purses are 10000 points for each of the buyers 1 to 20.
func purses() map[int64]int64 {
	points := map[int64]int64{}
	for buyer := int64(1); buyer <= 20; buyer++ {
		points[buyer] = 10_000
	}
	return points
}

// lampSale is the scene in which the lamp is announced and nobody came yet.
func lampSale() scene {
	s := auction()
	s.OpensAt, s.ClosesAt = opens, closes
	return newScene(purses(), s)
}

// chair is a reservation of one chair of 100 points each for 10 buyers: an hour
// long, 10 minutes to pay, a line of 10. Under the number of the lamp, so that the
// same words do.
func chair(with ...func(*sale.Sale)) sale.Sale {
	s := auction()
	s.Kind, s.Title, s.Price = sale.Reservation, "chair", sale.Price{Policy: sale.Fixed, Start: 100}
	s.Stock, s.Limit, s.Hold, s.LineMost = 1, 1, 10*time.Minute, 10
	s.OpensAt, s.ClosesAt = opens, opens.Add(time.Hour)
	for _, change := range with {
		change(&s)
	}
	return s
}

// evening is an event of one seat, free of charge.
func evening(with ...func(*sale.Sale)) sale.Sale {
	return chair(append([]func(*sale.Sale){func(s *sale.Sale) {
		s.Kind, s.Title, s.Price.Start = sale.Event, "evening", 0
	}}, with...)...)
}

// voucher is a sale of ten coupons of 30 points off, number 8, good for two hours.
func voucher(with ...func(*sale.Sale)) sale.Sale {
	s := chair(func(s *sale.Sale) {
		s.Kind, s.Title, s.Price.Start, s.Stock, s.Hold, s.LineMost = sale.Coupon, "30 off", 0, 10, 0, 0
		s.ID, s.Escrow, s.AmountOff, s.ValidFrom, s.ValidUntil = 8, 81, 30, opens, opens.Add(2*time.Hour)
	})
	for _, change := range with {
		change(&s)
	}
	return s
}

// How a chair differs.
func stock(units int64) func(*sale.Sale)  { return func(s *sale.Sale) { s.Stock = units } }
func limit(units int64) func(*sale.Sale)  { return func(s *sale.Sale) { s.Limit = units } }
func bypass(times int64) func(*sale.Sale) { return func(s *sale.Sale) { s.MaxBypass = times } }
func line(most int64) func(*sale.Sale)    { return func(s *sale.Sale) { s.LineMost = most } }
func price(points int64) func(*sale.Sale) { return func(s *sale.Sale) { s.Price.Start = points } }
func number(id int64) func(*sale.Sale)    { return func(s *sale.Sale) { s.ID, s.Escrow = id, id*10+1 } }
func window(d time.Duration) func(*sale.Sale) {
	return func(s *sale.Sale) { s.RefundWindow = d }
}

// after is so long after the opening: after("10:00").
func after(clock string) sale.Instant {
	m, s, _ := strings.Cut(clock, ":")
	d, err := time.ParseDuration(m + "m" + s + "s")
	if err != nil {
		panic(err)
	}
	return opens.Add(d)
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

// about is a refund, pay or cancel.
func about(at sale.Instant, receipt string, verb sale.Verb, buyer int64, target string) sale.Entry {
	e := entry(at, receipt, verb, buyer)
	e.Target = name(target)
	return e
}

func refund(at sale.Instant, receipt string, buyer int64, target string) sale.Entry {
	return about(at, receipt, sale.Refund, buyer, target)
}

func grow(at sale.Instant, receipt string, by, units int64) sale.Entry {
	e := entry(at, receipt, sale.Change, by)
	e.Quantity = units
	return e
}

func tick(at sale.Instant, receipt string, verb sale.Verb) sale.Entry {
	return entry(at, receipt, verb, 0)
}

// In the scenes of holds and lines the clock is since the opening, and a pay or
// cancel is called after what it is about: "pay a", "cancel a".
func reserve(clock, receipt string, buyer, quantity int64) sale.Entry {
	e := entry(after(clock), receipt, sale.Reserve, buyer)
	e.Quantity = quantity
	return e
}

func join(clock, receipt string, buyer, quantity int64) sale.Entry {
	e := reserve(clock, receipt, buyer, quantity)
	e.Verb = sale.Join
	return e
}

func claim(clock, receipt string, buyer int64) sale.Entry {
	e := reserve(clock, receipt, buyer, 1)
	e.Verb, e.Sale = sale.Claim, 8
	return e
}

func pay(clock string, buyer int64, target string) sale.Entry {
	return about(after(clock), "pay "+target, sale.Pay, buyer, target)
}

func cancel(clock string, buyer int64, target string) sale.Entry {
	return about(after(clock), "cancel "+target, sale.Cancel, buyer, target)
}

func expire(clock string) sale.Entry {
	return tick(after(clock), "expire "+clock, sale.Expire)
}

func suspend(clock, receipt string) sale.Entry { return tick(after(clock), receipt, sale.Suspend) }
func resume(clock, receipt string) sale.Entry  { return tick(after(clock), receipt, sale.Resume) }

// rename is the same request under another receipt, so that it is a second one.
func rename(e sale.Entry, receipt string) sale.Entry {
	e.Receipt = name(receipt)
	return e
}

func in(id int64, e sale.Entry) sale.Entry {
	e.Sale = id
	return e
}

func with(coupon string, e sale.Entry) sale.Entry {
	e.Coupon = name(coupon)
	return e
}

// change makes the same entry with something else about it.
func change(e sale.Entry, with func(*sale.Entry)) sale.Entry {
	with(&e)
	return e
}

// The words a table of cases is written in.
type dialogue struct {
	name    string
	scene   func() scene // nil: lampSale
	set     func(scene)
	batches [][]sale.Entry
	want    []string // of all batches, one after the other
	end     []string // receipts as they stand in the end: "a held at 100 by 10:00"
	units   string   // of the lamp in the end, "" is not said: "free 0 held 1 sold 0 waiting 2"
}

func together(entries ...sale.Entry) [][]sale.Entry { return [][]sale.Entry{entries} }

// apart puts every entry into a batch of its own.
func apart(entries ...sale.Entry) (batches [][]sale.Entry) {
	for _, e := range entries {
		batches = append(batches, []sale.Entry{e})
	}
	return batches
}

// numbered gives entries their places in a stream.
func numbered(entries []sale.Entry, from int) []sale.Entry {
	entries = slices.Clone(entries)
	for i := range entries {
		entries[i].Seq, entries[i].ID.No = int64(from+i+1), int64(from+i)
	}
	return entries
}

// speak runs dialogues, each as its batches say, once with each entry apart and once
// with all together: how the stream is cut must make no difference.
func speak(t *testing.T, dialogues []dialogue) {
	for _, d := range dialogues {
		t.Run(d.name, func(t *testing.T) {
			for _, batches := range [][][]sale.Entry{d.batches, apart(slices.Concat(d.batches...)...), together(slices.Concat(d.batches...)...)} {
				d.speak(t, batches)
			}
		})
	}
}

func (d dialogue) speak(t *testing.T, batches [][]sale.Entry) {
	t.Helper()
	s := lampSale()
	if d.scene != nil {
		s = d.scene()
	}
	if d.set != nil {
		d.set(s)
	}
	total := s.total()
	var got []string
	for _, batch := range batches {
		said, _ := s.decide(t, numbered(batch, len(got))...)
		got = append(got, said...)
		for _, complaint := range s.broken() {
			t.Error(complaint)
		}
	}
	if !slices.Equal(got, d.want) {
		t.Errorf("in %d batches\n got %q\nwant %q", len(batches), got, d.want)
	}
	for _, want := range d.end {
		receipt, _, _ := strings.Cut(want, ": ")
		if got := receipt + ": " + s.standing(receipt); got != want {
			t.Errorf("in %d batches ends %q, want %q", len(batches), got, want)
		}
	}
	if got := s.units(lamp); d.units != "" && got != d.units {
		t.Errorf("in %d batches ends with %s, want %s", len(batches), got, d.units)
	}
	if s.total() != total {
		t.Errorf("in %d batches: there were %d points, now there are %d", len(batches), total, s.total())
	}
}

// standing puts a receipt into the words of say.
func (s scene) standing(receipt string) string {
	r := s.facts.Receipts[name(receipt)]
	return say(sale.Outcome{Status: r.Status, Reason: r.Reason, UnitPrice: r.UnitPrice, Discount: r.Discount, PayBy: r.PayBy})
}

func (s scene) units(id int64) string {
	stand := s.state[id]
	return fmt.Sprintf("free %d held %d sold %d waiting %d", stand.Free, stand.Held, stand.Sold, stand.Waiting)
}
