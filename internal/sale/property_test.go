package sale_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"sluice/internal/sale"
)

// decideFunc is Decide, or a twin that gets something wrong.
type decideFunc func(sale.State, sale.Facts, []sale.Entry) sale.Decision

func TestDecideKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := histories.Draw(t, "history")
		for _, complaint := range complaints(sale.Decide, h) {
			t.Error(complaint)
		}
	})
}

// complaints lets decide settle h and tells what is wrong with it. Each begins
// with the promise it is about:
//
//	outcome  outcomes and the final standing equal the model's
//	cuts     outcomes do not depend on how the stream is cut into batches
//	stock    free + held + sold = stock, nothing below zero, nobody above the limit
//	points   their sum is constant, no balance below zero
//	once     a receipt moves points once, a purchase is refunded once, statuses follow their arrows
//	turn     nobody is sold_out while enough was free at his turn
//	pure     the arguments are as they were
//	replay   the batch read back from the log decides the same
func complaints(decide decideFunc, h history) []string {
	w := watcher{decide: decide, history: h, standing: h.start(), transfers: map[uuid.UUID]int{}, refunds: map[uuid.UUID]int{}, free: map[int64]int64{}}
	for id, s := range w.standing.state {
		w.free[id] = s.Free
	}
	total := w.standing.total()
	var said []string
	for i, batch := range h.batches() {
		said = append(said, w.settle(batch)...)
		for _, law := range w.standing.broken() {
			w.complain("%s", law)
		}
		if now := w.standing.total(); now != total {
			w.complain("points: there were %d, after batch %d there are %d", total, i, now)
		}
	}
	w.compareWithModel(said)
	w.compareWithOneBatch(said)
	return w.wrong
}

type watcher struct {
	decide             decideFunc
	history            history
	standing           scene
	transfers, refunds map[uuid.UUID]int
	free               map[int64]int64 // by the outcomes alone
	wrong              []string
}

func (w *watcher) complain(format string, args ...any) {
	w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
}

// settle decides one batch, watches it and makes it true.
func (w *watcher) settle(entries []sale.Entry) (said []string) {
	before := w.standing.clone()
	d := w.decide(w.standing.state, w.standing.facts, entries)
	if !reflect.DeepEqual(w.standing, before) {
		w.complain("pure: the arguments changed")
	}
	w.replay(entries, d)
	for i, e := range entries {
		said = append(said, say(d.Outcomes[i]))
		w.watch(e, d.Outcomes[i])
	}
	for _, transfer := range d.Effects.Transfers {
		if w.transfers[transfer.Receipt]++; w.transfers[transfer.Receipt] > 1 {
			w.complain("once: receipt %s moved points again", transfer.Receipt)
		}
		if transfer.Amount < 1 || transfer.Debit == transfer.Credit {
			w.complain("once: transfer %+v is none", transfer)
		}
	}
	w.watchMoves(entries, d)
	w.standing.apply(entries, d)
	if w.history.forgetful {
		for id, r := range w.standing.facts.Receipts {
			if r.Status == sale.Rejected {
				delete(w.standing.facts.Receipts, id)
			}
		}
	}
	return said
}

func (w *watcher) watch(e sale.Entry, o sale.Outcome) {
	if (o.Status == sale.Rejected) != (o.Reason != 0) {
		w.complain("once: %s with reason %q", o.Status, o.Reason)
	}
	if o.Stands {
		return
	}
	if !sale.Queued.CanBecome(o.Status) {
		w.complain("once: queued became %s", o.Status)
	}
	confirmed := o.Status == sale.Confirmed
	switch {
	case e.Verb == sale.Bid && confirmed:
		w.free[e.Sale] -= e.Quantity
	case e.Verb == sale.Change && confirmed:
		w.free[e.Sale] += e.Quantity
	case e.Verb == sale.Refund && confirmed:
		if w.refunds[e.Target]++; w.refunds[e.Target] > 1 {
			w.complain("once: %s was refunded again", e.Target)
		}
	case o.Reason == sale.SoldOut && e.Quantity <= w.free[e.Sale]:
		w.complain("turn: %d units refused as sold_out while %d were free", e.Quantity, w.free[e.Sale])
	}
}

// watchMoves: every move follows an arrow of the status machine, once.
func (w *watcher) watchMoves(entries []sale.Entry, d sale.Decision) {
	for i, m := range d.Effects.Moves {
		was := w.standing.facts.Receipts[m.Receipt.ID].Status
		if k := slices.IndexFunc(entries, func(e sale.Entry) bool { return e.Receipt == m.Receipt.ID }); was == 0 && k >= 0 {
			was = d.Outcomes[k].Status
		}
		if !was.CanBecome(m.Receipt.Status) {
			w.complain("once: %s became %s", was, m.Receipt.Status)
		}
		if slices.ContainsFunc(d.Effects.Moves[:i], func(other sale.Move) bool { return other.Receipt.ID == m.Receipt.ID }) {
			w.complain("once: %s moves twice in a batch", m.Receipt.ID)
		}
	}
}

// replay reads the batch back from its wire forms and decides it again.
func (w *watcher) replay(entries []sale.Entry, d sale.Decision) {
	batch := sale.Batch{Entries: entries, State: w.standing.state, Facts: w.standing.facts, Decision: d}
	read, err := sale.DecodeEntries(batch.EncodeEntries())
	state, facts, err2 := sale.DecodeFacts(batch.EncodeFacts())
	effects, err3 := sale.DecodeEffects(batch.Effects.Encode())
	outcomes, err4 := sale.DecodeOutcomes(batch.EncodeOutcomes())
	if err != nil || err2 != nil || err3 != nil || err4 != nil {
		w.complain("replay: the log cannot be read: %v, %v, %v, %v", err, err2, err3, err4)
		return
	}
	logged := sale.Decision{Outcomes: outcomes, Effects: effects}
	if again := w.decide(state, facts, read); !reflect.DeepEqual(again, logged) {
		w.complain("replay: decided\n%+v, replayed\n%+v", logged, again)
	}
}

func (w *watcher) compareWithModel(said []string) {
	m := newModel(w.history.start())
	for i, e := range w.history.entries {
		if want := m.hear(e); said[i] != want {
			w.complain("outcome: entry %d %s is %q, the model says %q", i, e.Verb, said[i], want)
		}
	}
	for id, s := range w.standing.state {
		if want := m.sales[id]; s.Sold != want.sold || s.Stock != want.stock {
			w.complain("outcome: sale %d sold %d of %d, the model %d of %d", id, s.Sold, s.Stock, want.sold, want.stock)
		}
		for buyer := int64(1); buyer <= 5; buyer++ {
			if got, want := s.Buyers[buyer], m.sales[id].owns[buyer]; got != want {
				w.complain("outcome: buyer %d has %d units of sale %d, in the model %d", buyer, got, id, want)
			}
		}
	}
	for wallet, points := range w.standing.facts.Balances {
		if points != m.points[wallet] {
			w.complain("outcome: wallet %d has %d points, in the model %d", wallet, points, m.points[wallet])
		}
	}
}

func (w *watcher) compareWithOneBatch(said []string) {
	start := w.history.start()
	whole := w.decide(start.state, start.facts, w.history.entries)
	for i, o := range whole.Outcomes {
		if say(o) != said[i] {
			w.complain("cuts: entry %d is %q in batches, %q at once", i, said[i], say(o))
		}
	}
	start.apply(w.history.entries, whole)
	if !sameStanding(start, w.standing) {
		w.complain("cuts: the standing differs")
	}
}

// sameStanding compares units and points; a zero is as good as missing.
func sameStanding(a, b scene) bool {
	for id, s := range a.state {
		other := b.state[id]
		if s.Free != other.Free || s.Held != other.Held || s.Sold != other.Sold || s.Phase != other.Phase || s.PaidOut != other.PaidOut ||
			!reflect.DeepEqual(nonzero(s.Buyers), nonzero(other.Buyers)) {
			return false
		}
	}
	return reflect.DeepEqual(nonzero(a.facts.Balances), nonzero(b.facts.Balances))
}

func nonzero(m map[int64]int64) map[int64]int64 {
	kept := map[int64]int64{}
	for k, n := range m {
		if n != 0 {
			kept[k] = n
		}
	}
	return kept
}

// TestWatcherCatchesTwins: each twin of Decide breaks one promise, and the
// watcher must complain about that one, or the property above proves nothing.
func TestWatcherCatchesTwins(t *testing.T) {
	for _, twin := range twins {
		t.Run(twin.name, func(t *testing.T) {
			for seed := range 500 {
				for _, complaint := range complaints(twin.decide, histories.Example(seed)) {
					if strings.HasPrefix(complaint, twin.breaks+": ") {
						t.Logf("seed %d: %.200s", seed, complaint)
						return
					}
				}
			}
			t.Errorf("500 histories and no complaint about %q", twin.breaks)
		})
	}
}
