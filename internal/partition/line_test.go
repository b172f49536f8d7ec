package partition

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"sluice/internal/sale"
)

// stands is the only sale as Redis has it, complete.
func (f *fixture) stands() *sale.Stand {
	f.t.Helper()
	all, err := f.Projection(f.ctx, p, []int64{7})
	f.must(err)
	return all.Sales[7]
}

// placesOf are the receipts at places, in their order.
func placesOf(places []sale.Place) (ids []uuid.UUID) {
	for _, place := range places {
		ids = append(ids, place.Receipt)
	}
	return ids
}

// TestLifeOfALine: held, waiting, cancelled, promoted, expired, turned away, each
// in a batch of its own; after every one Redis has exactly what was decided.
func TestLifeOfALine(t *testing.T) {
	f := started(t)
	f.load(stage(func(s *sale.Stand) { s.Stock, s.Free, s.Limit, s.Hold = 2, 2, 1, time.Hour }))
	var ids []uuid.UUID
	for buyer := range int64(6) {
		ids = append(ids, f.admit(reserve(1001+buyer, 1)).ID)
	}
	f.settle()
	check := func(when string, held, line []uuid.UUID, free, sold int64) *sale.Stand {
		t.Helper()
		s := f.stands()
		if !slices.Equal(placesOf(s.Holds), held) || !slices.Equal(placesOf(s.Line), line) {
			t.Errorf("%s: held %v, in line %v, not %v and %v", when, placesOf(s.Holds), placesOf(s.Line), held, line)
		}
		if s.Free != free || s.Held != int64(len(held)) || s.Sold != sold || s.Waiting != int64(len(line)) {
			t.Errorf("%s: stands %+v", when, s)
		}
		for i, want := range map[*[]uuid.UUID]sale.Status{&held: sale.Held, &line: sale.Waiting} {
			for _, id := range *i {
				if got := f.status(id).Status; got != want {
					t.Errorf("%s: one is %s, not %s", when, got, want)
				}
			}
		}
		return s
	}
	check("at first", ids[:2], ids[2:], 0, 0)

	f.admit(about(sale.Cancel, f.status(ids[0])))
	f.settle()
	check("one cancels", []uuid.UUID{ids[1], ids[2]}, ids[3:], 0, 0)
	if got := f.status(ids[2]); got.PayBy <= f.status(ids[1]).PayBy {
		t.Errorf("promoted to the old pay_by: %+v", got)
	}

	f.admit(about(sale.Pay, f.status(ids[1])))
	f.settle()
	check("one pays", []uuid.UUID{ids[2]}, ids[3:], 0, 1)

	f.admit(about(sale.Cancel, f.status(ids[4]))) // out of the middle of the line
	f.settle()
	s := check("one leaves the line", []uuid.UUID{ids[2]}, []uuid.UUID{ids[3], ids[5]}, 0, 1)

	// An hour goes by: stream time is what the clock in Redis says.
	f.must(f.raw.HSet(f.ctx, slot(p), "clock", int64(s.Holds[0].At)).Err())
	f.must(f.raw.HSet(f.ctx, saleKey(p, 7), "closes_at", int64(s.Holds[0].At.Add(time.Hour))).Err())
	f.admit(sale.Request{Receipt: sale.NewReceiptID(p), Verb: sale.Expire, Sale: 7})
	f.settle()
	s = check("a hold ends", []uuid.UUID{ids[3]}, []uuid.UUID{ids[5]}, 0, 1)
	if got := f.status(ids[2]).Status; got != sale.Expired {
		t.Errorf("not paid and %s", got)
	}

	f.must(f.raw.HSet(f.ctx, slot(p), "clock", int64(s.ClosesAt)).Err())
	f.admit(sale.Request{Receipt: sale.NewReceiptID(p), Verb: sale.Close, Sale: 7})
	f.settle()
	check("it closes", nil, nil, 1, 1) // the last hold ends at that very moment
	if got := f.status(ids[5]); got.Status != sale.Rejected || got.Reason != sale.Closed {
		t.Errorf("who waited is %+v", got)
	}
	if n := f.raw.Exists(f.ctx, receiptKey(p, ids[5])).Val(); n != 0 {
		t.Error("a rejection is kept as a decided receipt")
	}
	if n := f.raw.Exists(f.ctx, holdsKey(p, 7), lineKey(p, 7)).Val(); n != 0 {
		t.Errorf("%d empty sets are left", n)
	}
}

// TestPlacesLiveAsLongAsTheirSale: all four keys end at one moment, whatever the
// batch changed, and not before the last hold; a record lives as long as its hold.
func TestPlacesLiveAsLongAsTheirSale(t *testing.T) {
	f := started(t)
	f.load(stage(func(s *sale.Stand) { s.Stock, s.Free, s.Hold, s.RefundWindow = 2, 2, sale.MaxHold, 0 }))
	first := f.admit(reserve(1001, 2))
	f.admit(reserve(1002, 1))
	same := func() {
		t.Helper()
		at := f.raw.PExpireTime(f.ctx, saleKey(p, 7)).Val()
		for _, key := range saleKeys(nil, p, 7) {
			if got := f.raw.PExpireTime(f.ctx, key).Val(); got != at || got < time.Duration(f.status(first.ID).PayBy)*time.Millisecond {
				t.Errorf("%s expires at %s, the sale at %s", key, got, at)
			}
		}
	}
	f.settle()
	same()
	held := f.status(first.ID)
	if got := f.raw.PExpireTime(f.ctx, receiptKey(p, first.ID)).Val(); held.PayBy == 0 || got < time.Duration(held.PayBy)*time.Millisecond {
		t.Errorf("a hold until %d is remembered until %s", held.PayBy, got)
	}
	f.must(f.raw.PExpire(f.ctx, lineKey(p, 7), time.Minute).Err())
	f.admit(reserve(1001, 1)) // over his limit: changes nothing
	f.settle()
	same()

	// A later close is in the expiry at once.
	change := sale.Request{Receipt: sale.NewReceiptID(p), Verb: sale.Change, Sale: 7, Buyer: 1, ClosesAt: f.stands().ClosesAt.Add(30 * 24 * time.Hour)}
	f.admit(change)
	f.settle()
	same()
	if got := f.raw.PExpireTime(f.ctx, saleKey(p, 7)).Val(); got < time.Duration(change.ClosesAt)*time.Millisecond {
		t.Errorf("it sells until %d and is kept until %s", change.ClosesAt, got)
	}
}

// promotion is a batch in which the first of two in line is promoted, since the
// only hold is cancelled.
func promotion(f *fixture) sale.Batch {
	f.t.Helper()
	f.load(stage(func(s *sale.Stand) { s.Stock, s.Free, s.Limit = 1, 1, 1 }))
	held := f.admit(reserve(1001, 1))
	f.admit(reserve(1002, 1))
	f.admit(reserve(1003, 1))
	f.settle()
	f.admit(about(sale.Cancel, f.status(held.ID)))
	return f.batch()
}

// spoilt are the ways in which the places of that batch may not fit.
var spoilt = map[string]func(*sale.SaleEffect){
	"a place is left that nobody has":         func(e *sale.SaleEffect) { e.Line[0].Seq++ },
	"a place is left at another moment":       func(e *sale.SaleEffect) { e.Line[0].At++ },
	"a place is left twice":                   func(e *sale.SaleEffect) { e.Line, e.Waiting = append(e.Line, e.Line[0]), -2 },
	"a place is taken that somebody has":      func(e *sale.SaleEffect) { e.Line[0].Left, e.Waiting = false, 1 },
	"a hold ends that there is not":           func(e *sale.SaleEffect) { e.Holds[0].Receipt[15]++ },
	"a hold begins that there is":             func(e *sale.SaleEffect) { e.Holds[0].Left = false },
	"a hold begins twice":                     func(e *sale.SaleEffect) { e.Holds = append(e.Holds, e.Holds[1]) },
	"more would wait than are in line":        func(e *sale.SaleEffect) { e.Waiting = 1 },
	"fewer would wait than are in line":       func(e *sale.SaleEffect) { e.Line = nil },
	"fewer than nobody would wait":            func(e *sale.SaleEffect) { e.Waiting = -3 },
	"units would be held by nobody":           func(e *sale.SaleEffect) { e.Holds = e.Holds[:1] },
	"somebody would hold nothing":             func(e *sale.SaleEffect) { e.Held, e.Free = -1, 1 },
	"more would be held than there are units": func(e *sale.SaleEffect) { e.Holds = e.Holds[1:] },
}

// TestPlacesThatDoNotFit: the batch is refused as broken, and nothing is changed.
func TestPlacesThatDoNotFit(t *testing.T) {
	for name, spoil := range spoilt {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			f := started(t)
			b := promotion(f)
			if e := b.Effects.Sales[0]; len(e.Holds) != 2 || len(e.Line) != 1 || e.Waiting != -1 {
				t.Fatalf("it shows nothing: %+v", e)
			}
			spoil(&b.Effects.Sales[0])
			before := f.contents()
			if err := f.Apply(f.ctx, 1, b, 0); !errors.Is(err, ErrBroken) {
				t.Errorf("answer %v", err)
			}
			if f.contents() != before {
				t.Error("something changed")
			}
		})
	}
}

// promotedAgain is a batch after b that promotes once more whom b has promoted.
// Its counters fit: one waits less, and the next in line is still there.
func promotedAgain(b sale.Batch) sale.Batch {
	e := b.Effects.Sales[0]
	e.Holds, e.Buyers = nil, nil
	b.Effects.Sales = []sale.SaleEffect{e}
	b.Prev, b.Last, b.Seq = b.Last, sale.EntryID{At: b.Last.At, No: b.Last.No + 1}, b.Seq+1
	return b
}

// TestPromotedTwice: the mistake of the original, two promotions for one cancel. A
// batch that promotes whom the one before has promoted is refused; so is one that
// does it twice itself (a place is left twice, above).
func TestPromotedTwice(t *testing.T) {
	f := started(t)
	b := promotion(f)
	f.must(f.Apply(f.ctx, 1, b, 0))
	before := f.contents()
	if err := f.Apply(f.ctx, 1, promotedAgain(b), 0); !errors.Is(err, ErrBroken) {
		t.Errorf("answer %v", err)
	}
	if f.contents() != before {
		t.Error("something changed")
	}
}

// TestTwinThatDoesNotLook: an Apply that trusts its places lets one be promoted
// twice, and then somebody stands in a line in which nobody waits.
func TestTwinThatDoesNotLook(t *testing.T) {
	f := started(t)
	b := promotion(f)
	const look = "if seen[member] or leaves and tonumber(there or -1) ~= ms or there and not leaves then return nil end"
	naive := strings.Replace(f.scripts["apply"].source, look, "", 1)
	if naive == f.scripts["apply"].source {
		t.Fatal("the twin is no twin any more")
	}
	sha, err := f.raw.ScriptLoad(f.ctx, naive).Result()
	f.must(err)
	f.scripts["apply"] = script{"apply", naive, sha}
	f.must(f.Apply(f.ctx, 1, b, 0))
	f.must(f.Apply(f.ctx, 1, promotedAgain(b), 0))
	if s := f.stands(); s.Waiting == int64(len(s.Line)) {
		t.Errorf("the twin does no harm: %+v", s)
	}
}

// TestManyPlacesAtOnce: more than Lua's unpack takes are taken and left in one
// batch; who loads what Redis has then gets the same again.
func TestManyPlacesAtOnce(t *testing.T) {
	f := started(t)
	const many = 9000
	now := sale.At(time.Now())
	holds, line := queue(many, now.Add(time.Hour)), queue(many, now)
	f.load(stage(func(s *sale.Stand) { s.Stock, s.Free = many, many }))
	effect := sale.SaleEffect{Sale: 7, Free: -many, Held: many, Waiting: many, Phase: sale.PhaseOpen, ClosesAt: now.Add(time.Hour)}
	for i := range many {
		effect.Holds = append(effect.Holds, sale.PlaceEffect{Place: holds[i]})
		effect.Line = append(effect.Line, sale.PlaceEffect{Place: line[i]})
	}
	prev, seq := f.applied()
	b := sale.Batch{Partition: p, Epoch: 1, Prev: prev, Last: sale.EntryID{At: now}, Seq: seq + 1, Decision: sale.Decision{Effects: sale.Effects{Sales: []sale.SaleEffect{effect}}}}
	f.must(f.Apply(f.ctx, 1, b, 0))
	full := f.stands()
	if !slices.Equal(full.Holds, holds) || !slices.Equal(full.Line, line) || full.Waiting != many {
		t.Fatalf("%d holds and %d in line", len(full.Holds), len(full.Line))
	}
	f.must(f.Forget(f.ctx, p, 7))
	f.must(f.Load(f.ctx, 1, b.Last, full))
	if diff := cmp.Diff(full, f.stands(), cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	for i := range many {
		effect.Holds[i].Left, effect.Line[i].Left = true, true
	}
	effect.Free, effect.Held, effect.Waiting = many, -many, -many
	b.Prev, b.Last, b.Effects.Sales[0] = b.Last, sale.EntryID{At: now + 1}, effect
	f.must(f.Apply(f.ctx, 1, b, 0))
	if s := f.stands(); len(s.Holds) != 0 || len(s.Line) != 0 || s.Waiting != 0 || s.Held != 0 || s.Free != many {
		t.Errorf("stands %+v", s)
	}
}

// TestApplyToASaleThatIsNotThere leaves it alone: what is loaded later has the batch
// in it.
func TestApplyToASaleThatIsNotThere(t *testing.T) {
	f := started(t)
	b := promotion(f)
	f.must(f.Forget(f.ctx, p, 7))
	f.must(f.Apply(f.ctx, 1, b, 0))
	if n := f.raw.Exists(f.ctx, saleKeys(nil, p, 7)...).Val(); n != 0 {
		t.Errorf("%d keys were made", n)
	}
	if got := f.status(b.Effects.Moves[1].Receipt.ID); got.Status != sale.Held {
		t.Errorf("the promoted receipt is %+v", got)
	}
}
