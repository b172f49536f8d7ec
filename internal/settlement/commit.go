//go:build !knownbad

package settlement

import (
	"context"

	"sluice/internal/sale"
)

// commit decides a batch and makes it durable; step makes it visible afterwards. The
// build tag knownbad has another one, for a consumer that is wrong on purpose.
func (o *owner) commit(ctx context.Context, b *sale.Batch) error { return o.ledger.Settle(ctx, b) }
