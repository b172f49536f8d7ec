package partition

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/sale"
)

func TestMain(m *testing.M) { embeddedtest.Main(watched{m}) }

// watched are the tests, and behind them all the proof that no command of theirs had keys
// of two slots.
type watched struct{ *testing.M }

func (w watched) Run() int {
	code := w.M.Run()
	for _, wrong := range allSlots.wrong {
		fmt.Fprintln(os.Stderr, wrong)
		code = 1
	}
	return code
}

const p = 2 // the partition that tests use, out of four

func buyersKey(p int, sale int64) string { return saleKey(p, sale) + buyersOf }
func holdsKey(p int, sale int64) string  { return saleKey(p, sale) + holdsOf }
func lineKey(p int, sale int64) string   { return saleKey(p, sale) + lineOf }

// fixture is a store over a real Redis, its partition led under epoch 1.
type fixture struct {
	*Store
	t   testing.TB
	ctx context.Context
	raw redis.UniversalClient
}

func open(t testing.TB, hooks ...redis.Hook) *fixture {
	t.Helper()
	return over(t, embeddedtest.Redis(t), hooks...)
}

// over is open over a given server.
func over(t testing.TB, url string, hooks ...redis.Hook) *fixture {
	t.Helper()
	store, err := Open(t.Context(), Options{URL: url, Partitions: 4, Hooks: append(hooks, &allSlots)})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{store, t, t.Context(), embeddedtest.Client(t, url)}
	t.Cleanup(func() { store.Close() })
	return f
}

// started is open with the partition led and rebuilt: admission is open.
func started(t testing.TB, hooks ...redis.Hook) *fixture {
	t.Helper()
	f := open(t, hooks...)
	f.start()
	return f
}

// start leads and rebuilds the partition.
func (f *fixture) start() {
	f.t.Helper()
	lead, err := f.Lead(f.ctx, p, 1, 1)
	f.must(err)
	if !lead.Empty {
		f.t.Fatalf("a fresh Redis holds %+v", lead)
	}
	f.must(f.Rebuild(f.ctx, p, 1, 1, sale.EntryID{}, 0))
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// lamp is ten units, open since a minute and for an hour.
func lamp(change func(*sale.Stand)) *sale.Stand {
	now := sale.At(time.Now())
	s := &sale.Stand{
		Sale: sale.Sale{
			ID: 7, Kind: sale.Auction, Partition: p, Seller: 1, Escrow: -7, Title: "lamp of “brass”", Stock: 10, Limit: 2,
			Price:   sale.Price{Policy: sale.Constant, Start: 100, Drop: 1, Period: time.Minute},
			OpensAt: now.Add(-time.Minute), ClosesAt: now.Add(time.Hour), RefundWindow: time.Hour, ShowStock: true,
		},
		Phase: sale.PhaseOpen, Free: 10, Buyers: map[int64]int64{},
	}
	if change != nil {
		change(s)
	}
	return s
}

// stage is a reservation of ten seats with a line, open since a minute and for an hour.
func stage(change func(*sale.Stand)) *sale.Stand {
	return lamp(func(s *sale.Stand) {
		s.Kind, s.Price = sale.Reservation, sale.Price{Policy: sale.Fixed, Start: 100}
		s.Hold, s.LineMost = 10*time.Minute, sale.MaxLine
		if change != nil {
			change(s)
		}
	})
}

// applied is the watermark that Redis stands at.
func (f *fixture) applied() (sale.EntryID, int64) {
	f.t.Helper()
	lead, err := f.Lead(f.ctx, p, f.epoch(), 1)
	f.must(err)
	return lead.Applied, lead.AppliedSeq
}

func (f *fixture) epoch() int64 {
	f.t.Helper()
	epoch, err := f.raw.HGet(f.ctx, slot(p), "epoch").Int64()
	f.must(err)
	return epoch
}

func (f *fixture) load(s *sale.Stand) *sale.Stand {
	f.t.Helper()
	applied, _ := f.applied()
	f.must(f.Load(f.ctx, 0, applied, s))
	return s
}

func bid(buyer, quantity int64) sale.Request {
	return sale.Request{Receipt: sale.NewReceiptID(p), Verb: sale.Bid, Sale: 7, Buyer: buyer, Quantity: quantity, Price: 100}
}

func reserve(buyer, quantity int64) sale.Request {
	return sale.Request{Receipt: sale.NewReceiptID(p), Verb: sale.Reserve, Sale: 7, Buyer: buyer, Quantity: quantity}
}

// about is a request of his about a receipt that he has.
func about(verb sale.Verb, r sale.Receipt) sale.Request {
	return sale.Request{Receipt: sale.NewReceiptID(p), Verb: verb, Sale: r.Sale, Buyer: r.Buyer, Target: r.ID}
}

var unlimited = Limits{Backlog: 1 << 40}

func (f *fixture) admit(r sale.Request) sale.Standing {
	f.t.Helper()
	gate := Anytime
	if r.Verb.Buys() {
		gate = Selling
	}
	standing, err := f.Admit(f.ctx, p, r, gate, unlimited)
	f.must(err)
	return standing
}

// batch reads and decides everything that is queued, as an owner would, with a
// purse that never ends.
func (f *fixture) batch() sale.Batch {
	f.t.Helper()
	return f.batchOf(500)
}

// batchOf is batch of so many entries at most.
func (f *fixture) batchOf(most int) sale.Batch {
	f.t.Helper()
	prev, seq := f.applied()
	entries, err := f.Read(f.ctx, p, prev, most)
	f.must(err)
	if len(entries) == 0 {
		f.t.Fatal("nothing is queued")
	}
	b := sale.Batch{Partition: p, Epoch: f.epoch(), Prev: prev, Last: entries[len(entries)-1].ID, Seq: seq + int64(len(entries)), Entries: entries,
		Facts: sale.Facts{Generation: 1, Balances: map[int64]int64{}, Receipts: map[uuid.UUID]sale.Receipt{}}}
	asks := Asks(entries)
	for _, e := range entries {
		if e.Sale != 0 {
			b.Facts.Balances[e.Buyer] = 1_000_000
		}
		if e.Target != uuid.Nil {
			b.Facts.Receipts[e.Target] = f.status(e.Target)
		}
	}
	for again := true; again; {
		b.State, err = f.View(f.ctx, p, b.Epoch, prev, b.Last, asks)
		f.must(err)
		for _, s := range b.State {
			for _, place := range slices.Concat(s.Holds, s.Line) {
				b.Facts.Receipts[place.Receipt] = f.status(place.Receipt)
			}
		}
		b.Decision = sale.Decide(b.State, b.Facts, entries)
		for _, id := range b.Short {
			asks[id].Deeper++
		}
		again = len(b.Short) > 0
	}
	return b
}

// settle decides everything that is queued and applies it.
func (f *fixture) settle() sale.Batch {
	f.t.Helper()
	b := f.batch()
	f.must(f.Apply(f.ctx, b.Epoch, b, 0))
	return b
}

func (f *fixture) status(id uuid.UUID) sale.Receipt {
	f.t.Helper()
	standing, err := f.Receipt(f.ctx, p, id)
	f.must(err)
	return standing.Receipt
}
