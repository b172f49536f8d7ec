package sale_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/google/uuid"

	"sluice/internal/sale"
	"sluice/internal/sale/saletest"
)

// decideFunc is Decide, or a twin that gets something wrong.
type decideFunc func(sale.State, sale.Facts, []sale.Entry) sale.Decision

// complaints lets decide settle h and tells what is wrong with it. Each begins
// with the promise it is about:
//
//	outcome  outcomes equal the model's
//	state    so does, after every batch, what the effects make of sales, receipts, wallets and coupons
//	cuts     neither depends on how the stream is cut into batches
//	view     nor on how much a view shows, or the decision is short; never when all is shown
//	stock    free + held + sold = stock, nothing below zero, nobody above the limit
//	points   their sum is constant, no balance below zero
//	once     a receipt moves points once, a purchase is paid back once, statuses follow their arrows
//	turn     nobody is sold_out while enough was free at his turn; the line is served in its order
//	hold     a hold lasts as long as the sale says, from the moment it is given
//	coupon   a coupon is used by one purchase at a time
//	pure     the arguments are as they were
//	replay   the batch read back from the log decides the same
func complaints(decide decideFunc, h saletest.History) []string {
	w := watcher{
		decide: decide, history: h, model: h.Model(), standing: newScene(h.Points, h.Sales...),
		transfers: map[uuid.UUID]int{}, backs: map[uuid.UUID]int{}, free: map[int64]int64{},
	}
	for id, s := range w.standing.state {
		w.free[id] = s.Free
	}
	total := w.standing.total()
	var said []string
	for i, batch := range h.Batches() {
		said = append(said, w.settle(batch)...)
		w.wrong = append(w.wrong, w.standing.broken()...)
		if now := w.standing.total(); now != total {
			w.complain("points: there were %d, after batch %d there are %d", total, i, now)
		}
		w.compareWithModel(i)
		if len(w.wrong) > 200 {
			return w.wrong
		}
	}
	w.compareWithOneBatch(said)
	return w.wrong
}

type watcher struct {
	decide           decideFunc
	history          saletest.History
	model            *saletest.Model
	standing         scene
	transfers, backs map[uuid.UUID]int
	free             map[int64]int64 // by the outcomes alone; of kinds whose units never return
	wrong            []string
}

func (w *watcher) complain(format string, args ...any) {
	w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
}

// settle decides one batch, watches it and makes it true.
func (w *watcher) settle(entries []sale.Entry) (said []string) {
	b := w.decideInView(entries)
	w.replay(b)
	for i, e := range entries {
		o := b.Outcomes[i]
		said = append(said, say(o))
		if want := w.model.Hear(e); o != want {
			w.complain("outcome: %s of entry %d is %q, the model says %q", e.Verb, e.ID.No, say(o), say(want))
		}
		w.watch(e, o)
	}
	w.watchTransfers(b)
	w.watchMoves(b)
	before := map[int64]sale.Stand{}
	for id, s := range w.standing.state {
		before[id] = *s
	}
	w.standing.apply(b)
	for _, e := range b.Effects.Sales {
		if is := *w.standing.state[e.Sale]; !e.Changed && !reflect.DeepEqual(is, before[e.Sale]) {
			w.complain("state: sale %d changed and does not say so", e.Sale)
		}
	}
	return said
}

// decideInView decides a batch as an owner does: on what must be shown and a part of
// each line, again with more when that is short. It must get what the whole gets.
func (w *watcher) decideInView(entries []sale.Entry) sale.Batch {
	state, facts := w.standing.view(entries, 1<<20)
	whole := w.decide(state, facts, entries)
	if len(whole.Short) > 0 {
		w.complain("view: short of %v, though all is shown", whole.Short)
	}
	if again, _ := w.standing.view(entries, 1<<20); !reflect.DeepEqual(state, again) {
		w.complain("pure: the state changed")
	}
	if _, again := w.standing.view(entries, 1<<20); !reflect.DeepEqual(facts, again) {
		w.complain("pure: the facts changed")
	}
	for depth := w.history.Depth; ; depth = 2*depth + 1 {
		state, facts := w.standing.view(entries, depth)
		d := w.decide(state, facts, entries)
		if len(d.Short) > 0 && depth < 1<<10 {
			continue
		}
		if !reflect.DeepEqual(d, whole) {
			w.complain("view: with %d places of a line\n%+v\nwith all of it\n%+v", depth, d, whole)
		}
		return sale.Batch{Entries: entries, State: state, Facts: facts, Decision: d}
	}
}

func (w *watcher) watch(e sale.Entry, o sale.Outcome) {
	if (o.Status == sale.Rejected) != (o.Reason != 0) {
		w.complain("once: %s with reason %q", o.Status, o.Reason)
	}
	if o.Stands {
		return
	}
	if !sale.Queued.CanBecome(o.Status) {
		w.complain("once: a queued %s became %s", e.Verb, o.Status)
	}
	s := w.standing.state[e.Sale]
	switch {
	case s == nil:
	case o.Status == sale.Held && o.PayBy != e.ID.At.Add(s.Hold):
		w.complain("hold: %s after its beginning", time.Duration(o.PayBy-e.ID.At)*time.Millisecond)
	case s.Returns():
	case e.Verb.Buys() && o.Status == sale.Confirmed:
		w.free[e.Sale] -= e.Quantity
	case e.Verb == sale.Change && o.Status == sale.Confirmed:
		w.free[e.Sale] += e.Quantity
	case o.Reason == sale.SoldOut && e.Quantity <= w.free[e.Sale]:
		w.complain("turn: %d units refused as sold_out while %d were free", e.Quantity, w.free[e.Sale])
	}
}

func (w *watcher) watchTransfers(b sale.Batch) {
	for _, transfer := range b.Effects.Transfers {
		k := slices.IndexFunc(b.Entries, func(e sale.Entry) bool { return e.Receipt == transfer.Receipt })
		if k < 0 {
			w.complain("once: transfer %+v of nobody's", transfer)
			continue
		}
		e, most := b.Entries[k], 1
		if e.From != 0 { // a change of slot gives back and pays
			most = 2
		}
		if gives := e.Target != uuid.Nil && e.Verb != sale.Pay && transfer.Credit == e.Buyer; gives {
			if w.backs[e.Target]++; w.backs[e.Target] > 1 {
				w.complain("once: %s paid back again", e.Target)
			}
		}
		if w.transfers[transfer.Receipt]++; w.transfers[transfer.Receipt] > most {
			w.complain("once: receipt %s moved points again", transfer.Receipt)
		}
		if transfer.Amount < 1 || transfer.Debit == transfer.Credit {
			w.complain("once: transfer %+v is none", transfer)
		}
	}
}

// watchMoves: every move follows an arrow of the status machine, from where the
// receipt is, and each sale's line is left in its order.
func (w *watcher) watchMoves(b sale.Batch) {
	now := map[uuid.UUID]sale.Receipt{}
	for id, r := range w.standing.facts.Receipts {
		now[id] = r
	}
	first := sale.Batch{Entries: b.Entries, Facts: b.Facts, Decision: sale.Decision{Outcomes: b.Outcomes}}
	for _, r := range first.Receipts() {
		now[r.ID] = r
	}
	for _, m := range b.Effects.Moves {
		was, is := now[m.Receipt.ID], m.Receipt
		now[is.ID] = is
		s := w.standing.state[is.Sale]
		switch {
		case m.From != was.Status:
			w.complain("once: a move from %s of one that is %s", m.From, was.Status)
		case was.Status == sale.Waiting && is.Status == sale.Waiting:
			if is.Passed != was.Passed+1 || is.Passed > s.MaxBypass {
				w.complain("turn: passed %d times, then %d, at most %d", was.Passed, is.Passed, s.MaxBypass)
			}
		case !was.Status.CanBecome(is.Status):
			w.complain("once: %s became %s", was.Status, is.Status)
		case was.Status == sale.Waiting && (is.Status == sale.Held || is.Status == sale.Confirmed):
			for _, other := range now {
				if other.Sale == is.Sale && other.Status == sale.Waiting && other.Seq < is.Seq && s.MaxBypass == 0 {
					w.complain("turn: number %d is promoted before number %d", is.Seq, other.Seq)
				}
			}
			if is.Status == sale.Held && is.PayBy != m.At.Add(s.Hold) {
				w.complain("hold: promoted for %s", time.Duration(is.PayBy-m.At)*time.Millisecond)
			}
		case is.Status == sale.Expired && (m.At != is.PayBy || m.At != was.PayBy):
			w.complain("hold: one until %d ended at %d", was.PayBy, m.At)
		}
	}
}

// replay reads the batch back from its wire forms and decides it again.
func (w *watcher) replay(b sale.Batch) {
	read, err := sale.DecodeEntries(b.EncodeEntries())
	state, facts, err2 := sale.DecodeFacts(b.EncodeFacts())
	effects, err3 := sale.DecodeEffects(b.Effects.Encode())
	outcomes, err4 := sale.DecodeOutcomes(b.EncodeOutcomes())
	if err != nil || err2 != nil || err3 != nil || err4 != nil {
		w.complain("replay: the log cannot be read: %v, %v, %v, %v", err, err2, err3, err4)
		return
	}
	logged := sale.Decision{Outcomes: outcomes, Effects: effects}
	if again := w.decide(state, facts, read); !reflect.DeepEqual(again, logged) {
		w.complain("replay: decided\n%+v, replayed\n%+v", logged, again)
	}
}

// compareWithModel holds everything that the effects have made against the model.
func (w *watcher) compareWithModel(batch int) {
	for id, got := range w.standing.state {
		if want := w.model.Stand(id); !reflect.DeepEqual(got, want) {
			w.complain("state: after batch %d sale %d stands\n%+v, in the model\n%+v", batch, id, *got, *want)
		}
	}
	differ(w, batch, "receipt", w.standing.facts.Receipts, w.model.Receipts())
	differ(w, batch, "coupon", w.standing.facts.Coupons, w.model.Coupons())
	differ(w, batch, "wallet", nonzero(w.standing.facts.Balances), nonzero(w.model.Points()))
}

func differ[K, V comparable](w *watcher, batch int, what string, got, want map[K]V) {
	for k := range got {
		if _, both := want[k]; !both || got[k] != want[k] {
			w.complain("state: after batch %d %s %v is\n%+v, in the model\n%+v", batch, what, k, got[k], want[k])
		}
	}
	if len(got) != len(want) {
		w.complain("state: after batch %d there are %d %ss, in the model %d", batch, len(got), what, len(want))
	}
}

func (w *watcher) compareWithOneBatch(said []string) {
	start := newScene(w.history.Points, w.history.Sales...)
	entries := w.history.Entries
	if len(entries) == 0 {
		return
	}
	state, facts := start.view(entries, 0)
	whole := w.decide(state, facts, entries)
	for i, o := range whole.Outcomes {
		if say(o) != said[i] {
			w.complain("cuts: entry %d is %q in batches, %q at once", i, said[i], say(o))
		}
	}
	start.apply(sale.Batch{Entries: entries, State: state, Facts: facts, Decision: whole})
	start.facts.Balances, w.standing.facts.Balances = nonzero(start.facts.Balances), nonzero(w.standing.facts.Balances)
	if !reflect.DeepEqual(start, w.standing) {
		w.complain("cuts: the standing differs")
	}
}

// nonzero leaves zeros out, which are as good as missing.
func nonzero(m map[int64]int64) map[int64]int64 {
	kept := maps.Clone(m)
	maps.DeleteFunc(kept, func(_, n int64) bool { return n == 0 })
	if kept == nil {
		kept = map[int64]int64{}
	}
	return kept
}
