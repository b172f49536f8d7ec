//go:build knownbad

package settlement

import (
	"context"
	"fmt"
	"sync/atomic"

	"sluice/internal/ledger"
	"sluice/internal/sale"
)

// A consumer of this build is wrong on purpose, in the way that is told of most: it
// makes a batch visible before Postgres has committed it. As long as it lives nobody
// finds out. So, once it has settled some batches in which somebody bought, it stops
// for ever right in between, and says so on standard output: whoever started it kills
// it there. `make k6-known-bad` does, and wants the load test to notice.

// visible is what it says then.
const visible = "visible, not committed"

// harmless is how many batches in which somebody bought it lets through first.
const harmless = 20

var bought atomic.Int64 // batches in which somebody bought, of this process

func (o *owner) commit(ctx context.Context, b *sale.Batch) error {
	return o.ledger.Settle(ledger.Hastily(ctx, func() {
		if err := o.store.Apply(ctx, o.mark.Epoch, *b, o.drain); err != nil {
			return // it will be told of that when it commits
		}
		if somebodyBuys(b) && bought.Add(1) == harmless {
			fmt.Println(visible)
			select {}
		}
	}), b)
}

func somebodyBuys(b *sale.Batch) bool {
	for i, e := range b.Entries {
		if b.Outcomes[i].Status == sale.Confirmed && (e.Verb.Buys() || e.Verb == sale.Pay) {
			return true
		}
	}
	return false
}
