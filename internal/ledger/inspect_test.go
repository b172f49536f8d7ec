package ledger_test

import (
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/ledger"
	"sluice/internal/sale"
)

// inspected answers a ledger with two partitions and a second way to its tables.
func inspected(t *testing.T) (*ledger.Ledger, *pgx.Conn) {
	t.Helper()
	url := embeddedtest.Postgres(t)
	l, err := ledger.Open(t.Context(), ledger.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(t.Context()) })
	if err := l.EnsurePartitions(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	return l, conn
}

func TestInspectSeesOneMoment(t *testing.T) {
	l, conn := inspected(t)
	err := l.Inspect(t.Context(), func(i *ledger.Inspection) error {
		if _, err := conn.Exec(t.Context(), `update partitions set applied_ms = 7 where id = 1`); err != nil {
			t.Fatal(err)
		}
		mark, err := i.Watermark(t.Context(), 1)
		if mark.Applied != (sale.EntryID{}) {
			t.Errorf("sees %s, which came later", mark.Applied)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestInspectMayTakeLong waits longer between two questions than any session of
// the role may be idle in a transaction.
func TestInspectMayTakeLong(t *testing.T) {
	if testing.Short() {
		t.Skip("takes three seconds")
	}
	t.Parallel()
	l, _ := inspected(t)
	err := l.Inspect(t.Context(), func(i *ledger.Inspection) error {
		time.Sleep(2500 * time.Millisecond)
		_, err := i.Watermark(t.Context(), 1)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestInspectShowsTheLog writes more batches than are in memory at once, and one
// that cannot be read.
func TestInspectShowsTheLog(t *testing.T) {
	l, conn := inspected(t)
	const batches, bad = 40, 25
	empty := sale.Batch{State: sale.State{}}
	for n := batches; n > 0; n-- {
		outcomes := empty.EncodeOutcomes()
		if n == bad {
			outcomes = []byte{99}
		}
		if _, err := conn.Exec(t.Context(), `
			insert into batches (partition, prev_ms, prev_no, last_ms, last_no, seq, epoch, entries, facts, outcomes, effects)
			values ($1, $2, 0, $3, 0, $3, 1, $4, $5, $6, $7)`,
			n%2, n-2, n, empty.EncodeEntries(), empty.EncodeFacts(), outcomes, empty.Effects.Encode()); err != nil {
			t.Fatal(err)
		}
	}
	var seen []int64
	err := l.Inspect(t.Context(), func(i *ledger.Inspection) error {
		return i.Log(t.Context(), 1, func(page []ledger.Logged) error {
			for _, b := range page {
				seen = append(seen, int64(b.Last.At))
				if (b.Unreadable != nil) != (b.Last.At == bad) {
					t.Errorf("batch to %s: unreadable is %v", b.Last, b.Unreadable)
				}
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) != batches/2 || !slices.IsSorted(seen) || seen[0] != 1 {
		t.Errorf("saw %v", seen)
	}
}
