package survey

import (
	"context"
	"sync"
	"time"

	"sluice/internal/ledger"
	"sluice/internal/partition"
)

// fresh is how long a glance is good for, however many operators ask.
const fresh = time.Second

// Glances look when somebody asks, and not otherwise: a process that nobody asks costs
// the servers nothing. They have no metrics, which are the Survey's. Their busiest sales
// are those in which most has moved since they were looked at before; the first time, ever.
type Glances struct {
	fresh time.Duration

	mu     sync.Mutex
	looker looker
	last   *Picture // nil: nobody has asked
	at     time.Time
}

// NewGlances answers those.
func NewGlances(store *partition.Store, ledger *ledger.Ledger) *Glances {
	return &Glances{fresh: fresh, looker: looker{store: store, ledger: ledger}}
}

// Look answers how it all is, and since when that is known. What could not be asked is
// missing in it. It takes no longer than the servers are given, so that whoever asked
// first and has gone spoils it for nobody.
func (g *Glances) Look() (*Picture, time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.last == nil || time.Since(g.at) >= g.fresh {
		g.last, _ = g.looker.see(context.Background()) // who is missing has not answered
		g.at = time.Now()
	}
	return g.last, g.at
}
