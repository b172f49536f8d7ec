package settlement

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/sale"
	"sluice/internal/sale/saletest"
)

// histories is how many random ones are lived through; each is another one.
const histories = 40

// TestHistories lives random histories of all kinds through the real stores, cut
// into batches at random, and holds Redis, Postgres and the naive model of the rules
// against one another after every batch.
func TestHistories(t *testing.T) {
	newHouse(t).histories(func(o *owner) *owner {
		return o
	})
}

// TestHistoriesThroughFaults is the same while every step breaks now and then,
// refused or done with its reply lost, under an owner that goes on or dies of it.
func TestHistoriesThroughFaults(t *testing.T) {
	view, apply, commit := &breakage{script: "view.lua reads"}, &breakage{script: "apply.lua makes"}, &breakage{script: "no script"}
	h := houseOver(t, embeddedtest.Redis(t), embeddedtest.Postgres(t), func(tx pgx.Tx) pgx.Tx { return commits{tx, commit} }, view, apply)
	dice := rand.New(rand.NewPCG(4, 4))
	broke := map[string]int{}
	h.histories(func(o *owner) *owner {
		which := dice.IntN(4)
		if which == 3 {
			return o
		}
		b := []*breakage{view, apply, commit}[which]
		b.done = dice.IntN(2) == 0
		b.left.Store(1)
		err := o.step(h.ctx)
		if b.left.Store(0); err == nil {
			return o
		}
		dies := dice.IntN(2) == 0
		broke[fmt.Sprint([]string{"view", "apply", "commit"}[which], " done ", b.done, " dies ", dies)]++
		if dies {
			return h.owner(0)
		}
		h.must(o.sync(h.ctx))
		return o
	})
	if len(broke) != 12 {
		t.Errorf("not every way to break was met: %v", broke)
	}
}

// histories lives them, one after the other. before is called with a batch in the
// stream, and answers the owner that goes on.
func (h *house) histories(before func(*owner) *owner) {
	h.t.Helper()
	h.sql(`drop index sales_of_store`) // a history may have two slots of a store at one time
	o := h.owner(0)
	h.must(o.step(h.ctx)) // the mark that opens the partition
	for seed := range histories {
		if o = h.live(o, seed, before); h.t.Failed() {
			h.t.Fatalf("seed %d", seed)
		}
	}
}

// live lives one history through partition 0, right after those before.
func (h *house) live(o *owner, seed int, before func(*owner) *owner) *owner {
	h.t.Helper()
	after := max(o.mark.Applied.At, sale.At(time.Now()))
	history := saletest.Histories.Example(seed)
	history = h.record(history.Later((after + 1000).Time().Sub(saletest.Start.Time())))
	for i := range history.Entries {
		e := &history.Entries[i]
		e.Seq, e.Generation = o.mark.Seq+int64(i)+1, o.mark.Generation
		if e.Sale == 99 {
			e.Sale = 1 << 40 // which nobody has recorded
		}
		for _, id := range []*uuid.UUID{&e.Receipt, &e.Target, &e.Coupon} {
			if *id != uuid.Nil { // every history has the same receipts
				id[14], id[15] = id[14]^byte(seed>>8), id[15]^byte(seed)
			}
		}
	}
	model := history.Model()
	for _, batch := range history.Batches() {
		h.append(batch)
		for _, e := range batch {
			model.Hear(e)
		}
		o = before(o)
		h.drain(o)
		if h.same(model, history); h.t.Failed() {
			h.t.Logf("%#v", history)
			break
		}
	}
	return o
}

// record makes the sales and accounts of a history, and answers it under their
// numbers.
func (h *house) record(history saletest.History) saletest.History {
	h.t.Helper()
	accounts := map[int64]int64{}
	for _, buyer := range slices.Sorted(maps.Keys(history.Points)) {
		accounts[buyer] = h.buyers(1, history.Points[buyer])[0]
	}
	stores := map[int64]int64{}
	var recorded []sale.Sale
	for _, s := range history.Sales {
		if accounts[s.Seller] == 0 {
			sellers, err := h.ledger.CreateAccounts(h.ctx, "seller", 1, 0)
			h.must(err)
			accounts[s.Seller] = sellers[0]
		}
		s.Seller = accounts[s.Seller]
		if s.Store != 0 && stores[s.Store] == 0 {
			var id int64
			h.query(&id, `
				insert into stores (partition, seller, title, time_zone, tables, unit_price, refund_ms, hold_ms, days_ahead, opens, closes)
				values (0, $1, 'Lamp and table', 'UTC', 1, 0, 0, 600000, 14, '{0,0,0,0,0,0,0}', '{1410,1410,1410,1410,1410,1410,1410}')
				returning id`, s.Seller)
			stores[s.Store] = id
		}
		s.Store = stores[s.Store]
		s, err := h.ledger.CreateSale(h.ctx, s, partitions)
		h.must(err)
		h.sql(`update sales set partition = 0 where id = $1`, s.ID)
		s.Partition = 0
		recorded = append(recorded, s)
	}
	return history.As(recorded, accounts)
}

// append writes entries into the stream of partition 0 at times of their own, which
// Admit does not do.
func (h *house) append(entries []sale.Entry) {
	h.t.Helper()
	raw := h.raw()
	for _, e := range entries {
		h.must(raw.XAdd(h.ctx, &redis.XAddArgs{
			Stream: "{s0}:log", ID: e.ID.String(), Values: []any{"q", e.Seq, "g", e.Generation, "e", e.Encode()},
		}).Err())
		h.must(raw.HSet(h.ctx, "{s0}", "seq", e.Seq).Err())
	}
}

// same fails unless Redis and Postgres have what the model has.
func (h *house) same(model *saletest.Model, history saletest.History) {
	h.t.Helper()
	var ids []int64
	for _, s := range history.Sales {
		ids = append(ids, s.ID)
	}
	hot, err := h.store.Projection(h.ctx, 0, ids)
	h.must(err)
	for _, id := range ids {
		want := plain(model.Stand(id))
		cold, _, err := h.ledger.Stand(h.ctx, id)
		h.must(err)
		if got := plain(cold); !reflect.DeepEqual(got, want) {
			h.t.Errorf("Postgres has\n%+v, the model\n%+v", got, want)
		}
		if hot.Sales[id] == nil {
			continue // nobody has asked for it yet
		}
		if got := plain(hot.Sales[id]); !reflect.DeepEqual(got, want) {
			h.t.Errorf("Redis has\n%+v, the model\n%+v", got, want)
		}
	}
	for id, want := range model.Receipts() {
		want.Reason = 0 // of one that waited and was turned away; told below
		cold, err := h.ledger.Receipt(h.ctx, id)
		h.must(err)
		standing, err := h.store.Receipt(h.ctx, 0, id)
		h.must(err)
		for store, got := range map[string]sale.Receipt{"Postgres": cold, "Redis": standing.Receipt} {
			if got.Status == sale.Rejected && got.Reason != sale.Closed {
				h.t.Errorf("%s has %+v", store, got)
			}
			if got.Reason = 0; got != want {
				h.t.Errorf("%s has\n%+v, the model\n%+v", store, got, want)
			}
		}
	}
	for wallet, want := range model.Points() {
		if got := h.points(wallet); got != want {
			h.t.Errorf("wallet %d has %d points, in the model %d", wallet, got, want)
		}
	}
	for id, want := range model.Coupons() {
		var by uuid.UUID
		h.query((*[16]byte)(&by), `
			select coalesce(used_by, '00000000-0000-0000-0000-000000000000')
			from coupons
			where id = $1`, [16]byte(id))
		if by != want.UsedBy {
			h.t.Errorf("coupon %s is used by %s, in the model by %s", id, by, want.UsedBy)
		}
	}
}

// plain is a stand without what the stores need not keep: text, and who has nothing.
func plain(s *sale.Stand) sale.Stand {
	p := *s
	p.Title, p.Description, p.Buyers = "", "", maps.Clone(s.Buyers)
	maps.DeleteFunc(p.Buyers, func(_, units int64) bool { return units == 0 })
	p.Holds, p.Line = append([]sale.Place{}, s.Holds...), append([]sale.Place{}, s.Line...)
	return p
}
