package migrations_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"sluice/migrations"

	"github.com/jackc/pgx/v5"
)

// sold makes a house of the release before: a sale and receipts of it, of which some
// are about others.
const sold = `
	insert into partitions (id) values (0);
	insert into accounts (role) values ('seller'), ('buyer');
	insert into sales (
		kind, partition, seller, title, price_policy, start_price, price_drop, price_rate, price_period_ms, per_buyer_limit,
		opens_at, closes_at, payout_at, show_stock, stock, free, sold)
	values ('auction', 0, 1, 'lamp', 'constant', 10, 1, 0, 60000, 2, now(), now() + interval '10 min', now() + interval '1 h', true, 900, 0, 900);
	insert into receipts (id, sale, buyer, verb, quantity, unit_price, status, fingerprint, seq, at)
	select ('00000000-0000-8000-8000-' || lpad(n::text, 12, '0'))::uuid, 1, 2, 'bid', 1, 10, 'refunded', n, n, '2026-01-01Z'
	from generate_series(1, 500) as n;
	insert into receipts (id, sale, buyer, verb, quantity, unit_price, status, target, fingerprint, seq, at)
	select ('00000000-0000-8000-8000-' || lpad((1000 + n)::text, 12, '0'))::uuid, 1, 2, 'refund', 0, 10, 'confirmed',
		('00000000-0000-8000-8000-' || lpad(n::text, 12, '0'))::uuid, n, n, '2026-01-01Z'
	from generate_series(1, 500) as n`

// shape is how receipts are stored: the tables with their ranges and all indexes and
// rules, and what is in them.
const shape = `
	select concat_ws(E'\n',
		(select string_agg(c.relname || ' ' || coalesce(pg_get_expr(c.relpartbound, c.oid), 'whole'), E'\n' order by c.relname)
		from pg_class c
		where c.relkind in ('r', 'p') and c.relname like 'receipts%'),
		(select string_agg(indexdef, E'\n' order by indexdef)
		from pg_indexes
		where tablename like 'receipts%'),
		(select string_agg(conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid), E'\n' order by conrelid::regclass::text, conname)
		from pg_constraint
		where conrelid::regclass::text like 'receipts%'),
		(select string_agg(concat_ws(' ', first, past, month is not null), E'\n' order by first)
		from eras),
		(select concat_ws(' ', sales_id_seq.last_value, max_value) from sales_id_seq, pg_sequences where sequencename = 'sales_id_seq'),
		(select md5(string_agg(receipts::text, E'\n' order by id)) from receipts))`

// statements are those of a migration that is no transaction, as goose takes it apart.
func statements(t testing.TB, file string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	up, _, _ := strings.Cut(string(text), "-- +goose Down")
	var one strings.Builder
	block := false
	for line := range strings.Lines(up) {
		word := strings.TrimSpace(line)
		switch {
		case word == "-- +goose StatementBegin":
			block = true
			continue
		case word == "-- +goose StatementEnd":
			block = false
		case strings.HasPrefix(word, "--"):
			continue
		default:
			one.WriteString(line)
			code, _, _ := strings.Cut(line, " --")
			if block || !strings.HasSuffix(strings.TrimSpace(code), ";") {
				continue
			}
		}
		if s := strings.TrimSpace(one.String()); s != "" {
			all = append(all, s)
		}
		one.Reset()
	}
	return all
}

// TestErasComeWhereverTheyAreCutOff: the way to them may end after each of its steps,
// and is gone again from the beginning; it ends in the same place, with all that was
// there.
func TestErasComeWhereverTheyAreCutOff(t *testing.T) {
	steps := statements(t, "00005_eras_ready.sql")
	if len(steps) < 6 {
		t.Fatalf("the migration has %d steps: %q", len(steps), steps)
	}
	old := func() (string, func(int64)) {
		url := blank(t)
		up, down := stairs(t, url)
		up(4)
		exec(t, url, sold)
		return url, down
	}
	url, down := old()
	apply(t, url)
	want := ask[string](t, url, shape)
	down(4)
	if n := ask[int](t, url, `select count(*) from pg_class where relname like 'receipts%' and relkind in ('r', 'p')`); n != 1 {
		t.Errorf("down leaves %d tables of receipts", n)
	}
	apply(t, url)
	if got := ask[string](t, url, shape); got != want {
		t.Errorf("up, down and up again:\n%s\nnot\n%s", got, want)
	}
	for cut := range len(steps) {
		t.Run(fmt.Sprint("after ", cut+1), func(t *testing.T) {
			url, _ := old()
			conn, err := pgx.Connect(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(t.Context())
			for _, step := range steps[:cut+1] {
				if _, err := conn.Exec(t.Context(), step); err != nil {
					t.Fatalf("%s: %v", step, err)
				}
			}
			apply(t, url)
			if got := ask[string](t, url, shape); got != want {
				t.Errorf("cut off after %q:\n%s\nnot\n%s", steps[cut], got, want)
			}
		})
	}
}

// TestErasWaitForNobodyLong: as long as somebody has the table, the migration steps
// back again and again, and whoever comes meanwhile gets in.
func TestErasWaitForNobodyLong(t *testing.T) {
	url := blank(t)
	up, _ := stairs(t, url)
	up(4)
	exec(t, url, sold)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	began := func() {
		t.Helper()
		if _, err := conn.Exec(t.Context(), `begin; update receipts set seq = seq where seq = 1`); err != nil {
			t.Fatal(err)
		}
	}
	began()
	done := make(chan error, 1)
	go func() { done <- migrations.Apply(t.Context(), url) }()
	waits := `
		select exists (
			select
			from pg_locks l
			join pg_stat_activity a using (pid)
			where not l.granted and l.mode = 'AccessExclusiveLock' and l.relation = 'receipts'::regclass)`
	tries := 0
	for waiting := false; tries < 3; time.Sleep(5 * time.Millisecond) {
		select {
		case err := <-done:
			t.Fatalf("it is done while somebody has the table: %v", err)
		default:
		}
		now := ask[bool](t, url, waits)
		if waiting && !now {
			tries++ // it has stepped back; the next in line is us
			exec(t, url, `insert into receipts (id, sale, buyer, verb, quantity, unit_price, status, fingerprint, seq, at)
				values (gen_random_uuid(), 1, 2, 'bid', 1, 10, 'confirmed', 1, 1, now())`)
		}
		waiting = now
	}
	if _, err := conn.Exec(t.Context(), `commit`); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := ask[int](t, url, `select count(*) from receipts_0`); n != 1003 {
		t.Errorf("%d receipts, not 1003", n)
	}
}

// TestErasBuildNothingUnderTheLock: the table and its indexes are the files they were.
func TestErasBuildNothingUnderTheLock(t *testing.T) {
	url := blank(t)
	up, _ := stairs(t, url)
	up(5)
	const files = `
		select string_agg(relfilenode::text, ' ' order by relfilenode)
		from pg_class
		where oid = '%[1]s'::regclass or oid in (select indexrelid from pg_index where indrelid = '%[1]s'::regclass)`
	before := strings.Fields(ask[string](t, url, fmt.Sprintf(files, "receipts")))
	up(6)
	after := ask[string](t, url, fmt.Sprintf(files, "receipts_0"))
	for _, file := range strings.Fields(after) {
		if !strings.Contains(" "+strings.Join(before, " ")+" ", " "+file+" ") {
			t.Errorf("file %s is new: of %v it has made %s", file, before, after)
		}
	}
	if n := len(strings.Fields(after)); n != 8 {
		t.Errorf("a table and its indexes are %d files, not 8", n)
	}
}
