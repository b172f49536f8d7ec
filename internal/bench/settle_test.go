package bench

import (
	"strings"
	"testing"

	"sluice/internal/sale"
)

// TestLoop settles without Redis, and is found out when a bid that should win did not.
func TestLoop(t *testing.T) {
	ctx := t.Context()
	r := &Run{house: openTest(t, Options{})}
	defer func() {
		if err := r.leave(); err != nil {
			t.Error(err)
		}
	}()
	k, err := r.keepers(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer k.leave()
	bidders, err := k.bidders(ctx, 10)
	if err != nil {
		t.Fatal(err)
	}
	round, err := k.loop(ctx, nil, bidders, 250, 100)
	if err != nil {
		t.Fatal(err)
	}
	if round.N != 250 || round.Rate <= 0 {
		t.Errorf("%+v", round)
	}
	few := func(s *sale.Sale) { s.Stock, s.Limit = 10, 10 }
	if _, err := k.loop(ctx, few, bidders, 250, 100); err != nil {
		t.Errorf("sold out: %v", err)
	}
	logged, err := k.batches(ctx)
	if err != nil || logged.n != 26 || logged.entries != 2*(warmth+250) {
		t.Errorf("%+v, %v", logged, err)
	}

	// Ten were sold, and the others rejected: which is wrong where all should win.
	if err := k.allWon(ctx); err == nil || !strings.Contains(err.Error(), "sold_out") {
		t.Errorf("all are said to have won: %v", err)
	}
	var sold sale.Sale
	if err := k.postgres.QueryRow(ctx, `select id, stock from sales order by id limit 1`).Scan(&sold.ID, &sold.Stock); err != nil {
		t.Fatal(err)
	}
	if err := k.sold(ctx, sold); err != nil {
		t.Errorf("all won, and it is said: %v", err)
	}
	if err := k.sql(ctx, `insert into rejections (sale, reason, n) select min(id), 'sold_out', 1 from sales`); err != nil {
		t.Fatal(err)
	}
	if err := k.sold(ctx, sold); err == nil {
		t.Error("a bid was rejected while units were free, and nobody says so")
	}
}

// TestRefill: tables that were filled have the indexes that they had.
func TestRefill(t *testing.T) {
	ctx := t.Context()
	r := &Run{house: openTest(t, Options{})}
	defer func() {
		if err := r.leave(); err != nil {
			t.Error(err)
		}
	}()
	k, err := r.keepers(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer k.leave()
	indexes := func(tables string) (all string) {
		if err := k.postgres.QueryRow(ctx, `
			select string_agg(regexp_replace(indexdef, ' INDEX \S+ ON ', ' INDEX ON '), E'\n' order by regexp_replace(indexdef, ' INDEX \S+ ON \S+ ', ''), tablename)
			from pg_indexes
			where schemaname = 'public' and tablename ~ $1`, tables).Scan(&all); err != nil {
			t.Fatal(err)
		}
		return all
	}
	const lasting = `^(?!receipts_of_)`
	before := indexes(lasting)
	from := 0
	for _, to := range []int{1000, 3000} { // whole thousands: a sale has so many receipts
		if err := k.remember(ctx, from, to); err != nil {
			t.Fatal(err)
		}
		from = to
		for _, p := range past {
			var n int
			if err := k.postgres.QueryRow(ctx, `select count(*) from `+p.table).Scan(&n); err != nil || n != to {
				t.Errorf("%s has %d rows of %d, %v", p.table, n, to, err)
			}
		}
	}
	if after := indexes(lasting); after != before {
		t.Errorf("indexes were\n%s\nand are\n%s", before, after)
	}
	first := strings.ReplaceAll(indexes(`^receipts_0$`), "receipts_0", "receipts_of_1000_to_3000")
	if era := indexes(`^receipts_of_1000_to_3000$`); era != first {
		t.Errorf("indexes of the past are\n%s\nand not\n%s", era, first)
	}
	if round, err := k.reads(ctx, 50); err != nil || round.N != 50 {
		t.Errorf("reads: %+v, %v", round, err)
	}
}
