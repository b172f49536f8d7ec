package settlement

import (
	"errors"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

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

// TestHistoriesThroughFaults is the same while any effect of a step breaks now and
// then, under an owner that goes on or dies of it.
func TestHistoriesThroughFaults(t *testing.T) {
	h := newHouse(t)
	p := h.newProcess(0)
	defer func() { p.close() }()
	var steps []string
	for _, e := range effects {
		if (slices.Contains(e.story, "settles") || slices.Contains(e.story, "poison")) && e.name != "admit" {
			steps = append(steps, e.name)
		}
	}
	dice := rand.New(rand.NewPCG(4, 4))
	broke, how := map[string]int{}, map[manner]int{}
	h.histories(func(o *owner) *owner {
		if dice.IntN(2) == 0 {
			return o
		}
		if o.store != p.store {
			o = newOwner(New("faulty", p.store, p.ledger, zerolog.Nop(), prometheus.NewRegistry()), 0)
			h.must(o.take(h.ctx))
		}
		b := &breaks{effect: steps[dice.IntN(len(steps))], manner: manners[dice.IntN(4)]}
		p.will(b)
		err := o.step(h.ctx)
		if p.will(nil); err == nil { // this batch had no such effect
			return o
		}
		broke[b.effect]++
		how[b.manner]++
		if !p.isDead() {
			h.must(o.sync(h.ctx))
			return o
		}
		p.close()
		p = h.newProcess(0)
		return h.owner(0)
	})
	if len(broke) < 15 || len(how) != 4 {
		t.Errorf("it shows too little: %v, %v", broke, how)
	}
	t.Log(broke, how)
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
		e.Quantity = max(e.Quantity, 0) // less cannot be read, and opens no sale
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
	h.alike(model, ids, true)
}

// alike fails unless both stores have what the model has of these sales; Redis may
// have forgotten receipts unless it remembers.
func (h *house) alike(model *saletest.Model, ids []int64, remembers bool) {
	h.t.Helper()
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
		if errors.Is(err, sale.ErrUnknown) && !remembers {
			standing, err = sale.Standing{Receipt: cold}, nil
		}
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
	uses := h.usedBy(slices.Collect(maps.Keys(model.Coupons())))
	for id, want := range model.Coupons() {
		if by, there := uses[id]; by != want.UsedBy || !there {
			h.t.Errorf("coupon %s is used by %s, in the model by %s", id, by, want.UsedBy)
		}
	}
}

// usedBy answers which receipts use these coupons.
func (h *house) usedBy(coupons []uuid.UUID) map[uuid.UUID]uuid.UUID {
	h.t.Helper()
	uses := map[uuid.UUID]uuid.UUID{}
	if len(coupons) == 0 {
		return uses
	}
	c, err := pgx.Connect(h.ctx, h.pg)
	h.must(err)
	defer c.Close(h.ctx)
	ids := make([][16]byte, len(coupons))
	for i, id := range coupons {
		ids[i] = id
	}
	rows, err := c.Query(h.ctx, `
		select id, coalesce(used_by, '00000000-0000-0000-0000-000000000000')
		from coupons
		where id = any($1::uuid[])`, ids)
	h.must(err)
	var id, by uuid.UUID
	_, err = pgx.ForEachRow(rows, []any{(*[16]byte)(&id), (*[16]byte)(&by)}, func() error {
		uses[id] = by
		return nil
	})
	h.must(err)
	return uses
}

// plain is a stand without what the stores need not keep: text, and who has nothing.
func plain(s *sale.Stand) sale.Stand {
	p := *s
	p.Title, p.Description, p.Buyers = "", "", maps.Clone(s.Buyers)
	maps.DeleteFunc(p.Buyers, func(_, units int64) bool { return units == 0 })
	p.Holds, p.Line = append([]sale.Place{}, s.Holds...), append([]sale.Place{}, s.Line...)
	return p
}
