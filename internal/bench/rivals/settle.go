package main

import (
	"context"
	"maps"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// most is how many bids are settled in one transaction, as in Sluice.
const most = 500

// settle decides bids in their order and writes what comes of them, in one transaction
// of two trips, by sets: the same work that Sluice does for a batch. A bid that is in the
// books already, or twice in the batch, is decided once.
func (b *books) settle(ctx context.Context, bids []bid) ([]outcome, error) {
	s := settlement{
		known: make(map[uuid.UUID]outcome, len(bids)), free: map[int64]int64{}, points: make(map[int64]int64, len(bids)),
	}
	first := &pgx.Batch{}
	first.Queue(`begin`)
	s.queueFacts(first, bids)
	w, err := b.begin(ctx, first, s.readFacts)
	defer w.end(ctx)
	if err != nil {
		return nil, err
	}
	outcomes := make([]outcome, len(bids))
	for i, asked := range bids {
		outcomes[i] = s.decide(asked)
	}
	rest := &pgx.Batch{}
	s.queueWrites(rest)
	return outcomes, w.commit(ctx, rest)
}

// settlement is one transaction's view of the books.
type settlement struct {
	known  map[uuid.UUID]outcome
	free   map[int64]int64 // units, by sale
	points map[int64]int64 // by wallet of a buyer

	fresh []bid     // decided now
	came  []outcome // of each of them
}

// queueFacts locks in one order: sales, then wallets, each by number. There is one row
// of a sale and everybody needs it, so who has it need not fear for the rest.
func (s *settlement) queueFacts(batch *pgx.Batch, bids []bid) {
	sales, buyers, receipts := map[int64]bool{}, map[int64]bool{}, make([]uuid.UUID, len(bids))
	for i, asked := range bids {
		sales[asked.Sale], buyers[asked.Buyer], receipts[i] = true, true, asked.Receipt
	}
	batch.Queue(`
		select id, stock - sold
		from rivals.sales
		where id = any($1)
		order by id
		for no key update`, slices.Sorted(maps.Keys(sales)))
	batch.Queue(`
		select id, balance
		from rivals.wallets
		where id = any($1)
		order by id
		for no key update`, slices.Sorted(maps.Keys(buyers)))
	batch.Queue(`
		select id, status, reason
		from rivals.receipts
		where id = any($1)`, receipts)
}

func (s *settlement) readFacts(results pgx.BatchResults) error {
	var number, amount int64
	for _, into := range []map[int64]int64{s.free, s.points} {
		rows, err := results.Query()
		if err != nil {
			return err
		}
		if _, err := pgx.ForEachRow(rows, []any{&number, &amount}, func() error {
			into[number] = amount
			return nil
		}); err != nil {
			return err
		}
	}
	rows, err := results.Query()
	if err != nil {
		return err
	}
	var id uuid.UUID
	var o outcome
	_, err = pgx.ForEachRow(rows, []any{&id, &o.Status, &o.Reason}, func() error {
		s.known[id] = o
		return nil
	})
	return err
}

func (s *settlement) decide(asked bid) outcome {
	o, known := s.known[asked.Receipt]
	if known {
		return o
	}
	free, sale := s.free[asked.Sale]
	switch {
	case !sale:
		o = outcome{rejected, "unknown_sale"}
	case asked.Quantity > free:
		o = soldOut
	case asked.cost() > s.points[asked.Buyer]:
		o = shortPoints
	default:
		o = sold
		s.free[asked.Sale] -= asked.Quantity
		s.points[asked.Buyer] -= asked.cost()
	}
	s.known[asked.Receipt] = o
	s.fresh, s.came = append(s.fresh, asked), append(s.came, o)
	return o
}

// queueWrites writes what was decided: one statement per table.
func (s *settlement) queueWrites(batch *pgx.Batch) {
	n := len(s.fresh)
	ids, sales, buyers := make([]uuid.UUID, n), make([]int64, n), make([]int64, n)
	quantities, prices := make([]int64, n), make([]int64, n)
	statuses, reasons := make([]string, n), make([]string, n)
	var paid []uuid.UUID
	var debits, credits, amounts []int64
	moved, taken := map[int64]int64{}, map[int64]int64{}
	for i, asked := range s.fresh {
		ids[i], sales[i], buyers[i], quantities[i], prices[i] = asked.Receipt, asked.Sale, asked.Buyer, asked.Quantity, asked.Price
		statuses[i], reasons[i] = s.came[i].Status, s.came[i].Reason
		if s.came[i] != sold {
			continue
		}
		paid, debits = append(paid, asked.Receipt), append(debits, asked.Buyer)
		credits, amounts = append(credits, -asked.Sale), append(amounts, asked.cost())
		moved[asked.Buyer] -= asked.cost()
		moved[-asked.Sale] += asked.cost()
		taken[asked.Sale] += asked.Quantity
	}
	if n > 0 {
		batch.Queue(`
			insert into rivals.receipts (id, sale, buyer, quantity, unit_price, status, reason)
			select * from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[])`,
			ids, sales, buyers, quantities, prices, statuses, reasons)
	}
	if len(paid) == 0 {
		return
	}
	batch.Queue(`
		insert into rivals.entries (receipt, debit, credit, amount)
		select * from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[])`, paid, debits, credits, amounts)
	wallets, changes := columns(moved)
	batch.Queue(`
		update rivals.wallets as w
		set balance = w.balance + c.amount
		from unnest($1::bigint[], $2::bigint[]) as c (id, amount)
		where w.id = c.id`, wallets, changes)
	numbers, units := columns(taken)
	batch.Queue(`
		update rivals.sales as s
		set sold = s.sold + c.units, version = s.version + 1
		from unnest($1::bigint[], $2::bigint[]) as c (id, units)
		where s.id = c.id`, numbers, units)
}

// columns are the keys of m, in order, and what it has for them.
func columns(m map[int64]int64) (keys, values []int64) {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		keys, values = append(keys, key), append(values, m[key])
	}
	return keys, values
}
