package sale

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Batch is a run of entries of one partition with everything their decision
// stood on and all that came of it: one row of the `batches` log. It can be
// applied again after a loss, and replayed by anybody who doubts it.
type Batch struct {
	Partition  int
	Epoch      int64   // of the owner that settled it
	Prev, Last EntryID // watermark before and after
	Seq        int64   // number of its last entry
	Entries    []Entry
	State      State // without titles, and without the buyers who have nothing
	Facts      Facts
	Decision
	Deciding time.Duration // that it took to find the Decision; the log does not keep it
}

// Receipts answers every receipt that the batch changed, as it stands afterwards:
// those of its entries in their order, then the others. What stood before or was no
// receipt is left out.
func (b Batch) Receipts() []Receipt {
	changed := make([]Receipt, 0, len(b.Entries)+len(b.Effects.Moves))
	for i, e := range b.Entries {
		if o := b.Outcomes[i]; !o.Stands {
			changed = append(changed, e.Settled(o))
		}
	}
	if len(b.Effects.Moves) == 0 {
		return changed
	}
	at := make(map[uuid.UUID]int, len(changed)) // a receipt that moved more than once has one last state
	for i, r := range changed {
		at[r.ID] = i
	}
	for _, m := range b.Effects.Moves {
		i, there := at[m.Receipt.ID]
		if !there {
			at[m.Receipt.ID] = len(changed)
			changed = append(changed, m.Receipt)
			continue
		}
		changed[i] = m.Receipt
	}
	return changed
}

// Standing answers the receipts of entries that were settled before, as they
// stand: they only have to be said again.
func (b Batch) Standing() (standing []Receipt) {
	for i, e := range b.Entries {
		if r, ok := b.Facts.Receipts[e.Receipt]; ok && b.Outcomes[i].Stands {
			if !slices.ContainsFunc(b.Effects.Moves, func(m Move) bool { return m.Receipt.ID == r.ID }) {
				standing = append(standing, r)
			}
		}
	}
	return standing
}

// batchVersion is the newest; each of the four parts of a batch is written in the
// oldest from 2 on that can say it, so that an owner of the release before still reads
// what he knows. Version 1 knew auctions only, and is still read: the log may hold it.
// Version 3 added the verbs from Suspend on, and which sales are suspended.
const (
	batchVersion = 3
	plainVersion = 2
)

// partVersion is the version of a part that has, or has not, something which only the
// newest can say. There is one way to write a part.
func partVersion(newest bool) uint64 {
	if newest {
		return batchVersion
	}
	return plainVersion
}

// unneeded refuses the newest version for what an older one can say.
func (r *reader) unneeded(version uint64) {
	if r.is > max(version, plainVersion) {
		r.fail("version")
	}
}

func (b Batch) entriesVersion() uint64 {
	return partVersion(slices.ContainsFunc(b.Entries, func(e Entry) bool { return e.Verb >= Suspend }))
}

func (b Batch) factsVersion() uint64 {
	for _, s := range b.State {
		if s.Suspended {
			return batchVersion
		}
	}
	return plainVersion
}

func (f Effects) version() uint64 {
	return partVersion(slices.ContainsFunc(f.Sales, func(s SaleEffect) bool { return s.Suspended }))
}

// EncodeEntries answers the wire form of the entries.
func (b Batch) EncodeEntries() []byte {
	w := make(writer, 0, 64*len(b.Entries))
	version := b.entriesVersion()
	w.uint(version)
	w.uint(uint64(len(b.Entries)))
	for _, e := range b.Entries {
		w.int(int64(e.ID.At))
		w.int(e.ID.No)
		w.int(e.Seq)
		w.int(e.Generation)
		w.request(e.Request, version)
	}
	return w
}

// DecodeEntries reads what EncodeEntries wrote.
func DecodeEntries(form []byte) (entries []Entry, err error) {
	r := reader{rest: form}
	r.version(batchVersion)
	r.each(func() {
		entries = append(entries, Entry{
			ID: EntryID{Instant(r.int()), r.int()}, Seq: r.int(), Generation: r.int(), Request: r.request(),
		})
	})
	r.unneeded(Batch{Entries: entries}.entriesVersion())
	return entries, r.end("entries")
}

// EncodeFacts answers the wire form of the state and the facts.
func (b Batch) EncodeFacts() []byte {
	w := make(writer, 0, 64+16*len(b.Facts.Balances))
	version := b.factsVersion()
	w.uint(version)
	w.uint(uint64(len(b.State)))
	for _, id := range slices.Sorted(maps.Keys(b.State)) {
		w.stand(b.State[id], version)
	}
	w.int(b.Facts.Generation)
	w.counts(b.Facts.Balances)
	w.uint(uint64(len(b.Facts.Receipts)))
	for _, id := range slices.SortedFunc(maps.Keys(b.Facts.Receipts), compareIDs) {
		w.receipt(b.Facts.Receipts[id])
	}
	w.uint(uint64(len(b.Facts.Coupons)))
	for _, id := range slices.SortedFunc(maps.Keys(b.Facts.Coupons), compareIDs) {
		w.coupon(id, b.Facts.Coupons[id])
	}
	return w
}

// DecodeFacts reads what EncodeFacts wrote.
func DecodeFacts(form []byte) (State, Facts, error) {
	r := reader{rest: form}
	r.version(batchVersion)
	state := State{}
	r.each(func() {
		s := r.stand()
		state[s.ID] = s
	})
	facts := Facts{Generation: r.int(), Balances: r.counts(), Receipts: map[uuid.UUID]Receipt{}, Coupons: map[uuid.UUID]CouponStand{}}
	r.each(func() {
		receipt := r.receipt()
		facts.Receipts[receipt.ID] = receipt
	})
	r.since(2, func() {
		r.each(func() {
			id, c := r.coupon()
			facts.Coupons[id] = c
		})
	})
	r.unneeded(Batch{State: state}.factsVersion())
	return state, facts, r.end("facts")
}

// EncodeOutcomes answers the wire form of the outcomes.
func (d Decision) EncodeOutcomes() []byte {
	w := make(writer, 0, 16+6*len(d.Outcomes))
	w.uint(plainVersion)
	w.uint(uint64(len(d.Outcomes)))
	for _, o := range d.Outcomes {
		w.uint(uint64(o.Status))
		w.uint(uint64(o.Reason))
		w.int(o.UnitPrice)
		w.bool(o.Stands)
		w.int(o.Quantity)
		w.int(o.Discount)
		w.int(int64(o.PayBy))
	}
	return w
}

// DecodeOutcomes reads what EncodeOutcomes wrote.
func DecodeOutcomes(form []byte) (outcomes []Outcome, err error) {
	r := reader{rest: form}
	r.version(plainVersion)
	r.each(func() {
		o := Outcome{Status: r.status(), Reason: r.reason(), UnitPrice: r.int(), Stands: r.bool()}
		r.since(2, func() { o.Quantity, o.Discount, o.PayBy = r.int(), r.int(), Instant(r.int()) })
		outcomes = append(outcomes, o)
	})
	return outcomes, r.end("outcomes")
}

// Encode answers the wire form of the effects.
func (f Effects) Encode() []byte {
	w := make(writer, 0, 64+40*(len(f.Moves)+len(f.Transfers)))
	version := f.version()
	w.uint(version)
	w.uint(uint64(len(f.Sales)))
	for _, s := range f.Sales {
		for _, n := range [...]int64{s.Sale, s.Free, s.Held, s.Sold, s.Stock, s.Revenue, int64(s.ClosesAt)} {
			w.int(n)
		}
		w.phase(s.Phase)
		w.bool(s.PaidOut)
		w.bool(s.Exhausted)
		w.bool(s.Changed)
		w.uint(uint64(len(s.Buyers)))
		for _, b := range s.Buyers {
			w.int(b.Buyer)
			w.int(b.Units)
		}
		w.int(s.Waiting)
		w.places(s.Holds)
		w.places(s.Line)
		if version >= 3 {
			w.bool(s.Suspended)
		}
	}
	w.uint(uint64(len(f.Moves)))
	for _, m := range f.Moves {
		w.receipt(m.Receipt)
		w.uint(uint64(m.From))
		w.int(int64(m.At))
	}
	w.uint(uint64(len(f.Transfers)))
	for _, t := range f.Transfers {
		w.id(t.Receipt)
		w.int(t.Debit)
		w.int(t.Credit)
		w.int(t.Amount)
	}
	w.uint(uint64(len(f.Coupons)))
	for _, c := range f.Coupons {
		w.id(c.Coupon)
		w.id(c.UsedBy)
	}
	return w
}

// DecodeEffects reads what Effects.Encode wrote.
func DecodeEffects(form []byte) (f Effects, err error) {
	r := reader{rest: form}
	r.version(batchVersion)
	r.each(func() {
		s := SaleEffect{
			Sale: r.int(), Free: r.int(), Held: r.int(), Sold: r.int(), Stock: r.int(), Revenue: r.int(), ClosesAt: Instant(r.int()),
			Phase: r.phase(), PaidOut: r.bool(), Exhausted: r.bool(), Changed: r.bool(),
		}
		r.each(func() { s.Buyers = append(s.Buyers, BuyerEffect{r.int(), r.int()}) })
		r.since(2, func() { s.Waiting, s.Holds, s.Line = r.int(), r.places(), r.places() })
		r.since(3, func() { s.Suspended = r.bool() })
		f.Sales = append(f.Sales, s)
	})
	r.each(func() {
		m := Move{Receipt: r.receipt(), From: Confirmed} // all that version 1 moved was refunded
		r.since(2, func() { m.From, m.At = r.status(), Instant(r.int()) })
		f.Moves = append(f.Moves, m)
	})
	r.each(func() { f.Transfers = append(f.Transfers, Transfer{r.id(), r.int(), r.int(), r.int()}) })
	r.since(2, func() {
		r.each(func() { f.Coupons = append(f.Coupons, CouponEffect{r.id(), r.id()}) })
	})
	r.unneeded(f.version())
	return f, r.end("effects")
}

func (w *writer) stand(s *Stand, version uint64) {
	w.string(string(s.Kind))
	w.string(string(s.Price.Policy))
	w.phase(s.Phase)
	for _, n := range s.numbers() {
		w.int(*n)
	}
	w.int(int64(s.Price.Period))
	w.int(int64(s.RefundWindow))
	w.bool(s.ShowStock)
	w.bool(s.PaidOut)
	w.counts(s.Buyers)
	for _, n := range s.newerNumbers() {
		w.int(*n)
	}
	w.int(int64(s.Hold))
	for _, places := range [][]Place{s.Holds, s.Line} {
		w.uint(uint64(len(places)))
		for _, p := range places {
			w.place(p)
		}
	}
	if version >= 3 {
		w.bool(s.Suspended)
	}
}

func (r *reader) stand() *Stand {
	s := &Stand{}
	s.Kind = Kind(r.string(32))
	s.Price.Policy = Policy(r.string(32))
	s.Phase = r.phase()
	for _, n := range s.numbers() {
		*n = r.int()
	}
	s.Price.Period = time.Duration(r.int())
	s.RefundWindow = time.Duration(r.int())
	s.ShowStock = r.bool()
	s.PaidOut = r.bool()
	s.Buyers = r.counts()
	r.since(2, func() {
		for _, n := range s.newerNumbers() {
			*n = r.int()
		}
		s.Hold = time.Duration(r.int())
		for _, places := range []*[]Place{&s.Holds, &s.Line} {
			r.each(func() { *places = append(*places, r.place()) })
		}
	})
	r.since(3, func() { s.Suspended = r.bool() })
	return s
}

// numbers is the order in which a stand's numbers are written.
func (s *Stand) numbers() []*int64 {
	return []*int64{&s.ID, &s.Seller, &s.Escrow, &s.Price.Start, &s.Price.Drop, &s.Price.Rate, &s.Stock, &s.Limit,
		(*int64)(&s.OpensAt), (*int64)(&s.ClosesAt), &s.Free, &s.Held, &s.Sold}
}

// newerNumbers are those that version 2 added.
func (s *Stand) newerNumbers() []*int64 {
	return []*int64{&s.Waiting, &s.LineMost, &s.MaxBypass, &s.AmountOff, (*int64)(&s.ValidFrom), (*int64)(&s.ValidUntil),
		(*int64)(&s.StartsAt), &s.Store}
}

func (w *writer) place(p Place) {
	w.id(p.Receipt)
	w.int(p.Seq)
	w.int(int64(p.At))
}

func (r *reader) place() Place { return Place{r.id(), r.int(), Instant(r.int())} }

func (w *writer) places(effects []PlaceEffect) {
	w.uint(uint64(len(effects)))
	for _, e := range effects {
		w.place(e.Place)
		w.bool(e.Left)
	}
}

func (r *reader) places() (effects []PlaceEffect) {
	r.each(func() { effects = append(effects, PlaceEffect{r.place(), r.bool()}) })
	return effects
}

func (w *writer) coupon(id uuid.UUID, c CouponStand) {
	w.id(id)
	w.id(c.UsedBy)
	for _, n := range [...]int64{c.Sale, c.Buyer, c.Seller, c.Amount, int64(c.ValidFrom), int64(c.ValidUntil)} {
		w.int(n)
	}
}

func (r *reader) coupon() (uuid.UUID, CouponStand) {
	return r.id(), CouponStand{
		UsedBy: r.id(), Sale: r.int(), Buyer: r.int(), Seller: r.int(), Amount: r.int(), ValidFrom: Instant(r.int()), ValidUntil: Instant(r.int()),
	}
}

func (w *writer) receipt(r Receipt) {
	w.id(r.ID)
	w.uint(uint64(r.Verb))
	w.uint(uint64(r.Status))
	w.uint(uint64(r.Reason))
	w.id(r.Target)
	w.uint(r.Fingerprint)
	for _, n := range [...]int64{r.Sale, r.Buyer, r.Quantity, r.UnitPrice, r.Seq, int64(r.At)} {
		w.int(n)
	}
	w.maybe(r.Coupon)
	for _, n := range [...]int64{r.Discount, int64(r.PayBy), r.Passed} {
		w.int(n)
	}
}

func (r *reader) receipt() Receipt {
	receipt := Receipt{
		ID: r.id(), Verb: Verb(r.uint(uint64(len(verbWords) - 1))), Status: r.status(), Reason: r.reason(),
		Target: r.id(), Fingerprint: r.uint(1<<64 - 1),
		Sale: r.int(), Buyer: r.int(), Quantity: r.int(), UnitPrice: r.int(), Seq: r.int(), At: Instant(r.int()),
	}
	r.since(2, func() {
		receipt.Coupon, receipt.Discount, receipt.PayBy, receipt.Passed = r.maybe(), r.int(), Instant(r.int()), r.int()
	})
	return receipt
}

func (w *writer) phase(p Phase)     { w.uint(uint64(slices.Index(Phases, p))) }
func (r *reader) phase() Phase      { return Phases[r.uint(uint64(len(Phases)-1))] }
func (r *reader) status() Status    { return Status(r.uint(uint64(len(statusWords) - 1))) }
func (r *reader) reason() Reason    { return Reason(r.uint(uint64(len(reasonWords) - 1))) }
func compareIDs(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) }

// counts writes a map of numbers, sorted; zeros are as good as missing.
func (w *writer) counts(m map[int64]int64) {
	keys := make([]int64, 0, len(m))
	for k, n := range m {
		if n != 0 {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, cmp.Compare[int64])
	w.uint(uint64(len(keys)))
	for _, k := range keys {
		w.int(k)
		w.int(m[k])
	}
}

func (r *reader) counts() map[int64]int64 {
	m := map[int64]int64{}
	r.each(func() {
		k := r.int()
		m[k] = r.int()
	})
	return m
}
