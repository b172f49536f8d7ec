package partition

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"sluice/internal/sale"
)

func sorted(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

func TestLoadAndView(t *testing.T) {
	f := started(t)
	s := f.load(lamp(func(s *sale.Stand) { s.Free, s.Sold, s.Buyers = 7, 3, map[int64]int64{1001: 2, 1002: 1} }))
	f.load(lamp(func(s *sale.Stand) { s.Free, s.Sold = 1, 9 })) // it is there: nothing changes
	applied, _ := f.applied()
	got, err := f.View(f.ctx, p, 1, applied, applied, map[int64]*Ask{7: {Buyers: []int64{1001, 1003}}, 8: {Buyers: []int64{1001}}})
	f.must(err)
	want := *s
	want.Buyers = map[int64]int64{1001: 2}
	want.Title = s.Title
	if diff := cmp.Diff(sale.State{7: &want}, got); diff != "" {
		t.Error(diff)
	}
	stand, _, err := f.Sale(f.ctx, p, 7)
	f.must(err)
	if stand.Title != s.Title || stand.PriceAt(s.OpensAt) != 100 {
		t.Errorf("shown %+v", stand)
	}
	all, err := f.Projection(f.ctx, p, []int64{7, 8})
	f.must(err)
	if all.Applied != applied || len(all.Sales) != 1 || !maps.Equal(all.Sales[7].Buyers, s.Buyers) || all.Exhausted[7] {
		t.Errorf("projection %+v", all)
	}
}

func TestLoadOnlyAtTheSameWatermark(t *testing.T) {
	f := started(t)
	applied, _ := f.applied()
	applied.No++
	if err := f.Load(f.ctx, 0, applied, lamp(nil)); !errors.Is(err, ErrStale) {
		t.Errorf("answer %v", err)
	}
}

// TestLoadLongAfterItsTime: a payout that comes late, to a partition where nothing
// has happened since, still finds its sale.
func TestLoadLongAfterItsTime(t *testing.T) {
	f := open(t)
	long := sale.At(time.Now().Add(-5 * time.Hour))
	_, err := f.Lead(f.ctx, p, 1, 1)
	f.must(err)
	f.must(f.Rebuild(f.ctx, p, 1, 1, sale.EntryID{At: long}, 0))
	s := lamp(func(s *sale.Stand) {
		s.OpensAt, s.ClosesAt, s.RefundWindow, s.Buyers = long-2, long-1, time.Second, map[int64]int64{1001: 1}
	})
	f.must(f.Load(f.ctx, 0, sale.EntryID{At: long}, s))
	for _, key := range []string{saleKey(p, 7), buyersKey(p, 7)} {
		if ttl := f.raw.PTTL(f.ctx, key).Val(); ttl < time.Hour {
			t.Errorf("%s is kept for %s", key, ttl)
		}
	}
}

func TestLoadOfManyBuyers(t *testing.T) {
	f := started(t)
	crowd := map[int64]int64{}
	for i := range int64(25_000) {
		crowd[i+1] = i%3 + 1
	}
	f.load(lamp(func(s *sale.Stand) { s.Buyers = crowd }))
	all, err := f.Projection(f.ctx, p, []int64{7})
	f.must(err)
	if !maps.Equal(all.Sales[7].Buyers, crowd) {
		t.Errorf("%d buyers came back", len(all.Sales[7].Buyers))
	}
}

func TestApplyOnce(t *testing.T) {
	f := started(t)
	f.load(lamp(nil))
	won, lost := f.admit(bid(1001, 2)), f.admit(bid(1001, 1))
	b := f.batch()
	told := make(chan Changes, 4)
	ready := make(chan struct{})
	go func() {
		begun := sync.OnceFunc(func() { close(ready) })
		_ = f.Watch(f.ctx, func(of []int, broken error) {
			if slices.Contains(of, p) && broken == nil { // of a cluster each server has its own
				begun()
			}
		}, func(c Changes) { told <- c })
	}()
	<-ready
	f.must(f.Apply(f.ctx, 1, b, 123))
	once := f.contents()
	f.must(f.Apply(f.ctx, 1, b, 456)) // its reply was lost
	if f.contents() != once {
		t.Error("the second Apply changed something")
	}
	if got := f.status(won.ID); got.Status != sale.Confirmed || got.UnitPrice != 99 {
		t.Errorf("won %+v", got)
	}
	if got := f.status(lost.ID); got.Status != sale.Rejected || got.Reason != sale.OverLimit {
		t.Errorf("lost %+v", got)
	}
	got := <-told
	if got.Partition != p || got.Seq != b.Seq || got.Drain != 123 || !slices.Equal(got.Sales, []int64{7}) ||
		len(got.Receipts) != 2 || got.Receipts[0].Buyer != 1001 || time.Since(got.At.Time()).Abs() > time.Minute {
		t.Errorf("told %+v", got)
	}
	for i, want := range []sale.Receipt{f.status(won.ID), f.status(lost.ID)} {
		if heard, err := got.Receipts[i].Standing(); err != nil || heard != want {
			t.Errorf("told %+v, %v, and it is %+v", heard, err, want)
		}
	}
	all, err := f.Projection(f.ctx, p, []int64{7})
	f.must(err)
	if s := all.Sales[7]; s.Free != 8 || s.Sold != 2 || s.Buyers[1001] != 2 {
		t.Errorf("stands %+v", s)
	}
	for _, key := range []string{receiptKey(p, won.ID), saleKey(p, 7), buyersKey(p, 7)} {
		if ttl := f.raw.PTTL(f.ctx, key).Val(); ttl < time.Hour {
			t.Errorf("%s is kept for %s", key, ttl)
		}
	}

	// A batch that changes no buyer's units prolongs them as it does their sale.
	f.must(f.raw.PExpire(f.ctx, buyersKey(p, 7), time.Minute).Err())
	f.admit(bid(1001, 1))
	f.must(f.Apply(f.ctx, 1, f.batch(), 0))
	if s, b := f.raw.PExpireTime(f.ctx, saleKey(p, 7)).Val(), f.raw.PExpireTime(f.ctx, buyersKey(p, 7)).Val(); s != b {
		t.Errorf("the sale expires at %s, its buyers at %s", s, b)
	}
}

func TestApplyOutOfTurn(t *testing.T) {
	f := started(t)
	f.load(lamp(nil))
	f.admit(bid(1001, 1))
	b := f.batch()

	early := b
	early.Prev.At++
	early.Last.At += 2
	if err := f.Apply(f.ctx, 1, early, 0); !errors.Is(err, ErrBehind) {
		t.Errorf("a batch too far ahead: %v", err)
	}
	if _, err := f.View(f.ctx, p, 1, early.Prev, early.Last, nil); !errors.Is(err, ErrBehind) {
		t.Errorf("a view too far ahead: %v", err)
	}
	if err := f.Apply(f.ctx, 2, b, 0); !errors.Is(err, ErrFenced) {
		t.Errorf("another epoch: %v", err)
	}
	f.must(f.Apply(f.ctx, 1, b, 0))
	if _, err := f.View(f.ctx, p, 1, b.Prev, b.Last, nil); !errors.Is(err, ErrAhead) {
		t.Errorf("a view of the past: %v", err)
	}
	overlapping := b
	overlapping.Last.At++
	if err := f.Apply(f.ctx, 1, overlapping, 0); !errors.Is(err, ErrBroken) {
		t.Errorf("an overlapping batch: %v", err)
	}
	_, err := f.Lead(f.ctx, p, 5, 1)
	f.must(err)
	if _, err := f.Lead(f.ctx, p, 4, 1); !errors.Is(err, ErrFenced) {
		t.Errorf("an epoch gone by: %v", err)
	}
	if err := f.Apply(f.ctx, 1, b, 0); !errors.Is(err, ErrFenced) {
		t.Errorf("the ex-owner: %v", err)
	}
}

// TestApplyThatDoesNotFit: a counter below zero or units that do not add up are
// an error, and nothing at all is changed.
func TestApplyThatDoesNotFit(t *testing.T) {
	for name, spoil := range map[string]func(*sale.Batch){
		"free below zero":  func(b *sale.Batch) { b.Effects.Sales[0].Free, b.Effects.Sales[0].Sold = -11, 11 },
		"units from air":   func(b *sale.Batch) { b.Effects.Sales[0].Sold++ },
		"buyer below zero": func(b *sale.Batch) { b.Effects.Sales[0].Buyers[0].Units = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			f := started(t)
			f.load(lamp(nil))
			f.admit(bid(1001, 1))
			b := f.batch()
			spoil(&b)
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

// TestRejectedTakeTurns: rejected receipts are remembered in two hashes; when the
// young one is full or old, the old one is forgotten.
func TestRejectedTakeTurns(t *testing.T) {
	f := started(t)
	f.load(lamp(func(s *sale.Stand) { s.Limit = 1 }))
	f.admit(bid(1001, 1))
	reject := func() uuid.UUID {
		id := f.admit(bid(1001, 1)).ID
		f.must(f.Apply(f.ctx, 1, f.batch(), 0))
		if got := f.status(id); got.Reason != sale.OverLimit {
			t.Fatalf("%+v", got)
		}
		return id
	}
	age := func() {
		old := sale.At(time.Now()) - sale.Instant(rejectedOld.Milliseconds())
		f.must(f.raw.HSet(f.ctx, slot(p), "young_since", int64(old)).Err())
	}
	first := reject()
	age()
	second := reject()
	if f.status(first).Status != sale.Rejected {
		t.Error("forgotten too early")
	}
	if again := f.admit(sale.Request{Receipt: first, Verb: sale.Bid, Sale: 7, Buyer: 1001, Quantity: 1, Price: 100}); !again.Known {
		t.Error("a rejection that is remembered was admitted again")
	}
	age()
	reject()
	if _, err := f.Receipt(f.ctx, p, first); !errors.Is(err, sale.ErrUnknown) {
		t.Errorf("never forgotten: %v", err)
	}
	if f.status(second).Status != sale.Rejected {
		t.Error("the younger one was forgotten with it")
	}
}

func TestStreamIsTrimmed(t *testing.T) {
	f := started(t)
	f.load(lamp(func(s *sale.Stand) { s.Stock, s.Free, s.Limit = 10_000, 10_000, 10_000 }))
	for range 3 {
		for range 400 {
			f.admit(bid(1001, 1))
		}
		f.must(f.Apply(f.ctx, 1, f.batch(), 0))
	}
	if n := f.raw.XLen(f.ctx, streamKey(p)).Val(); n > 200 {
		t.Errorf("%d entries are left of 1200 settled", n)
	}
	if n := f.raw.XLen(f.ctx, streamKey(p)).Val(); n == 0 {
		t.Error("the last one must stay: a rebuild looks for it")
	}
}

func TestRebuildDoesNotGoBack(t *testing.T) {
	f := open(t)
	future := sale.EntryID{At: sale.At(time.Now().Add(time.Hour)), No: 3}
	_, err := f.Lead(f.ctx, p, 1, 1)
	f.must(err)
	f.must(f.Rebuild(f.ctx, p, 1, 4, future, 17))
	f.must(f.Rebuild(f.ctx, p, 1, 4, future, 17)) // its reply was lost
	lead, err := f.Lead(f.ctx, p, 1, 4)
	f.must(err)
	if lead.Applied != future || lead.AppliedSeq != 17 || lead.Seq != 18 || lead.Generation != 4 {
		t.Errorf("stands %+v", lead)
	}
	entries, err := f.Read(f.ctx, p, future, 10)
	f.must(err)
	if len(entries) != 1 || entries[0].Verb != sale.Rebuilt || entries[0].ID.Compare(future) <= 0 {
		t.Errorf("mark %+v", entries)
	}
	if lead, err = f.Lead(f.ctx, p, 1, 6); err != nil {
		t.Fatal(err)
	}
	if g := f.raw.HGet(f.ctx, slot(p), "generation").Val(); g != "6" || lead.Generation != 4 {
		t.Errorf("generation %s, found %d", g, lead.Generation)
	}
	if err := f.Rebuild(f.ctx, p, 9, 7, future, 17); !errors.Is(err, ErrFenced) {
		t.Errorf("a stranger rebuilt it: %v", err)
	}
}

func TestUnknownAnswers(t *testing.T) {
	f := started(t)
	for name, source := range map[string]string{"admit": "return {'maybe', 1, 2}", "apply": "return 'perhaps'", "lead": "return 7"} {
		sha, err := f.raw.ScriptLoad(f.ctx, source).Result()
		f.must(err)
		was := f.scripts[name]
		f.scripts[name] = script{name, source, sha}
		switch name {
		case "admit":
			_, err = f.Admit(f.ctx, p, bid(1, 1), Selling, unlimited)
		case "apply":
			err = f.Apply(f.ctx, 1, sale.Batch{Partition: p}, 0)
		case "lead":
			_, err = f.Lead(f.ctx, p, 1, 1)
		}
		if err == nil {
			t.Errorf("%s: an answer outside the contract went through", name)
		}
		f.scripts[name] = was
	}
}
