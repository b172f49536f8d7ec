package settlement

import (
	"maps"
	"math/rand/v2"
	"reflect"
	"testing"

	"sluice/internal/partition"
	"sluice/internal/sale"
)

// TestHistoriesAhead lives random histories of all kinds in batches that are always full,
// so that nearly each is viewed while the one before is settled, and applied while the one
// behind is.
func TestHistoriesAhead(t *testing.T) {
	dice := rand.New(rand.NewPCG(8, 8))
	newHouse(t).histories(func(o *owner) *owner {
		o.most = 1 + dice.IntN(3)
		return o
	})
}

// TestForeseen: what the owner saw ahead, with the effects of the batch in between, is what
// View shows once that batch is applied; in histories of all kinds. The known-bad twin
// forgets whom the batch has given units.
func TestForeseen(t *testing.T) {
	told, untold := 0, 0
	wrong := newHouse(t).foresees(t, &told, &untold, partition.After)
	if wrong > 0 {
		t.Errorf("%d views ahead were wrong", wrong)
	}
	if t.Logf("%d told, %d not", told, untold); told < 100 || untold < 10 {
		t.Errorf("it shows too little: %d were told, %d were not", told, untold)
	}
	told, untold = 0, 0
	forgetful := func(state sale.State, effects []sale.SaleEffect, asks map[int64]*partition.Ask, last sale.EntryID) bool {
		for _, s := range state {
			buyers := maps.Clone(s.Buyers)
			defer func() { s.Buyers = buyers }()
		}
		return partition.After(state, effects, asks, last)
	}
	if newHouse(t).foresees(t, &told, &untold, forgetful) == 0 {
		t.Errorf("%d views that forget the buyers are right: the test shows nothing", told)
	}
}

// foresees counts the views ahead of a run through histories that are not what View shows
// later.
func (h *house) foresees(t *testing.T, told, untold *int,
	after func(sale.State, []sale.SaleEffect, map[int64]*partition.Ask, sale.EntryID) bool) (wrong int) {
	dice := rand.New(rand.NewPCG(9, 9))
	h.histories(func(o *owner) *owner {
		o.most = 1 + dice.IntN(4)
		for {
			h.must(o.step(h.ctx))
			next := o.coming
			if next == nil {
				return o
			}
			h.must(o.land())
			last := next.entries[len(next.entries)-1].ID
			shown, err := h.store.View(h.ctx, o.partition, o.mark.Epoch, o.mark.Applied, last, next.asks)
			h.must(err)
			switch {
			case next.state == nil || !after(next.state, next.missed, next.asks, last):
				*untold++
			case !sameState(next.state, shown):
				t.Logf("seen ahead %+v, shown %+v", next.state, shown)
				wrong++
			default:
				*told++
			}
			next.state = nil // it has been changed
		}
	})
	return wrong
}

// sameState says whether two states are alike, text apart.
func sameState(a, b sale.State) bool {
	if len(a) != len(b) {
		return false
	}
	for id := range a {
		if b[id] == nil || !reflect.DeepEqual(plain(a[id]), plain(b[id])) {
			return false
		}
	}
	return true
}

// TestStopLandsTheBatchInTheAir: an owner who is stopped under a backlog leaves nothing
// that is committed and not in view.
func TestStopLandsTheBatchInTheAir(t *testing.T) {
	h := newHouse(t)
	s := h.sale(nil)
	o := h.owner(s.Partition)
	h.open(s)
	for _, buyer := range h.buyers(9, 1000) {
		h.bid(s, buyer, 1)
	}
	o.most = 2
	h.must(o.step(h.ctx))
	if o.flying == nil || o.coming == nil {
		t.Fatal("it does not look ahead: the test shows nothing")
	}
	o.stop()
	h.must(o.run(h.ctx))
	stood, err := h.ledger.Watermark(h.ctx, s.Partition)
	h.must(err)
	if hot, err := h.store.Projection(h.ctx, s.Partition, nil); err != nil || hot.Applied != stood.Applied || stood.Applied != o.mark.Applied {
		t.Errorf("Redis stands at %s, Postgres at %s, the owner at %s: %v", hot.Applied, stood.Applied, o.mark.Applied, err)
	}
}
