package saletest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// Start is when the sellers of a history created its sales.
const Start = sale.Instant(1_800_000_000_000)

// History is a few sales of one partition, a few buyers, what they asked in stream
// order, and the batches in which an owner happens to settle it.
//
// Buyers are accounts 1 to Buyers, sellers from Sellers on; the sales are numbered
// from 1 in their order, the escrow of sale n is wallet −n. See As for a history
// under other numbers.
type History struct {
	Sales   []sale.Sale
	Points  map[int64]int64 // of the buyers, before the first entry
	Entries []sale.Entry
	Cuts    []int // sizes of the batches, over and over; ≥ 1
	Depth   int   // places of a line that a view shows at first; ≥ 0
	Odd     bool  // drawn by OddHistories
}

// The accounts of a history.
const (
	Buyers  = 6
	Sellers = 101
)

// Generation is that of every entry that is not too old to count.
const Generation = 1

// Model answers the model of the history before its first entry.
func (h History) Model() *Model { return NewModel(Generation, h.Sales, h.Points) }

// Batches cuts the entries. Without cuts they are one batch.
func (h History) Batches() (batches [][]sale.Entry) {
	rest := h.Entries
	for i := 0; len(h.Cuts) > 0 && len(rest) > 0; i++ {
		n := min(h.Cuts[i%len(h.Cuts)], len(rest))
		batches = append(batches, rest[:n])
		rest = rest[n:]
	}
	if len(rest) > 0 {
		batches = append(batches, rest)
	}
	return batches
}

// Later is the same history so much later.
func (h History) Later(by time.Duration) History {
	h.Sales, h.Entries = slices.Clone(h.Sales), slices.Clone(h.Entries)
	shift := func(moments ...*sale.Instant) {
		for _, at := range moments {
			if *at != 0 {
				*at = at.Add(by)
			}
		}
	}
	for i := range h.Sales {
		s := &h.Sales[i]
		shift(&s.OpensAt, &s.ClosesAt, &s.ValidFrom, &s.ValidUntil, &s.StartsAt)
	}
	for i := range h.Entries {
		shift(&h.Entries[i].ID.At, &h.Entries[i].ClosesAt)
	}
	return h
}

// As is the same history under other numbers: those of its sales as somebody has
// recorded them, in the same order and all in one partition, and of its accounts,
// each under the old one. Those that are missing stay as they are.
func (h History) As(sales []sale.Sale, accounts map[int64]int64) History {
	account := func(id int64) int64 {
		if other, ok := accounts[id]; ok {
			return other
		}
		return id
	}
	number := map[int64]int64{}
	for i, s := range h.Sales {
		number[s.ID] = sales[i].ID
	}
	points := map[int64]int64{}
	for id, n := range h.Points {
		points[account(id)] = n
	}
	entries := slices.Clone(h.Entries)
	for i := range entries {
		e := &entries[i]
		e.Buyer = account(e.Buyer)
		for _, id := range []*int64{&e.Sale, &e.From} {
			if other, ok := number[*id]; ok {
				*id = other
			}
		}
		for _, id := range []*uuid.UUID{&e.Receipt, &e.Target, &e.Coupon} {
			*id = moved(*id, sales[0].Partition)
		}
	}
	h.Sales, h.Points, h.Entries = sales, points, entries
	return h
}

// receiptID is the receipt of the i-th entry, in partition 0.
func receiptID(i int) uuid.UUID {
	return sale.KeyedReceiptID(0, 0, 0, sale.Bid, fmt.Sprint(i))
}

// moved is a receipt's number in another partition; none stays none.
func moved(id uuid.UUID, partition int) uuid.UUID {
	if id != uuid.Nil {
		id[6] = id[6]&0xf0 | byte(partition>>8)
		id[7] = byte(partition)
	}
	return id
}

// GoString is how rapid shows a history that fails.
func (h History) GoString() string {
	var b strings.Builder
	name := func(id uuid.UUID) string {
		if id == uuid.Nil {
			return "-"
		}
		return id.String()[:4]
	}
	since := func(at sale.Instant) string {
		if at == 0 {
			return "-"
		}
		return fmt.Sprint(time.Duration(at-Start) * time.Millisecond)
	}
	fmt.Fprintf(&b, "cuts %v, depth %d, odd %t, points", h.Cuts, h.Depth, h.Odd)
	for _, id := range slices.Sorted(maps.Keys(h.Points)) {
		fmt.Fprintf(&b, " %d: %d", id, h.Points[id])
	}
	b.WriteByte('\n')
	for _, s := range h.Sales {
		fmt.Fprintf(&b, "sale %d: %s of %d, stock %d limit %d %+v %s…%s window %s hold %s line %d bypass %d", s.ID, s.Kind, s.Seller,
			s.Stock, s.Limit, s.Price, since(s.OpensAt), since(s.ClosesAt), s.RefundWindow, s.Hold, s.LineMost, s.MaxBypass)
		if s.Kind == sale.Coupon {
			fmt.Fprintf(&b, " %d off %s…%s", s.AmountOff, since(s.ValidFrom), since(s.ValidUntil))
		}
		if s.Store != 0 {
			fmt.Fprintf(&b, " store %d", s.Store)
		}
		b.WriteByte('\n')
	}
	for i, e := range h.Entries {
		fmt.Fprintf(&b, "%3d %s at %s: sale %d %s by %d, quantity %d", i, name(e.Receipt), since(e.ID.At), e.Sale, e.Verb, e.Buyer, e.Quantity)
		if e.Verb == sale.Bid {
			fmt.Fprintf(&b, " price %d exact %t", e.Price, e.Exact)
		}
		fmt.Fprintf(&b, " target %s from %d coupon %s closes %s generation %d\n", name(e.Target), e.From, name(e.Coupon), since(e.ClosesAt), e.Generation)
	}
	return b.String()
}
