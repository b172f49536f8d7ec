package ledger

import (
	"encoding/hex"
	"os"
	"slices"
	"strings"
	"testing"

	"sluice/internal/sale"
)

// TestOldBatchesAreRead: rows of the log that an earlier version has written are
// still read, and its decisions stand.
func TestOldBatchesAreRead(t *testing.T) {
	b := open(t)
	file, err := os.ReadFile("testdata/batches_v1.txt")
	b.must(err)
	var forms [][]byte
	for line := range strings.Lines(string(file)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			form, err := hex.DecodeString(line)
			b.must(err)
			forms = append(forms, form)
		}
	}
	for n := int64(1); len(forms) > 0; n++ {
		_, err := b.pool.Exec(b.ctx, `
			insert into batches (partition, prev_ms, prev_no, last_ms, last_no, seq, epoch, entries, facts, outcomes, effects)
			values (0, $1 - 1, 0, $1, 0, 0, 1, $2, $3, $4, $5)`, n, forms[0], forms[1], forms[2], forms[3])
		b.must(err)
		forms = forms[4:]
	}
	batches, err := b.BatchesAfter(b.ctx, 0, sale.EntryID{}, 10)
	b.must(err)
	var words []string
	for _, batch := range batches {
		replayed := sale.Decide(batch.State, batch.Facts, batch.Entries)
		for i, e := range batch.Entries {
			o := batch.Outcomes[i]
			words = append(words, e.Verb.String()+" "+strings.TrimSpace(o.Status.String()+" "+o.Reason.String()))
			if o != replayed.Outcomes[i] {
				t.Errorf("%s was %+v, is decided %+v", e.Verb, o, replayed.Outcomes[i])
			}
		}
		if !slices.Equal(batch.Effects.Transfers, replayed.Effects.Transfers) {
			t.Errorf("paid %+v, decided %+v", batch.Effects.Transfers, replayed.Effects.Transfers)
		}
	}
	want := []string{"bid confirmed", "bid rejected price_changed", "change confirmed", "bid confirmed", "refund confirmed", "payout confirmed"}
	if !slices.Equal(words, want) {
		t.Errorf("read %q", words)
	}
	if last := batches[len(batches)-1].Receipts(); len(last) != 3 || last[2].Status != sale.Refunded || last[2].Cost() != 81 {
		t.Errorf("the last one changed %+v", last)
	}
}
