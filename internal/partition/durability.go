package partition

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/sale"
)

// durabilityEvery is how often the server is asked what it writes down. It is asked
// by its configuration, which an operator may change, and which another server after
// a failover may have otherwise.
const durabilityEvery = 5 * time.Second

// durability knows how safe what Redis has accepted is. A server that does not tell
// is taken for one that keeps it in memory.
type durability struct {
	fsynced atomic.Bool
	stop    context.CancelFunc
	done    sync.WaitGroup
}

// watch asks c at once, and again and again until close.
func (d *durability) watch(c *redis.Client) {
	var ctx context.Context
	ctx, d.stop = context.WithCancel(context.Background())
	d.ask(ctx, c)
	d.done.Go(func() {
		ticker := time.NewTicker(durabilityEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				d.ask(ctx, c)
			case <-ctx.Done():
				return
			}
		}
	})
}

// ask notes whether the server answers only once a write is on disk. One that cannot
// be reached now has told before.
func (d *durability) ask(ctx context.Context, c *redis.Client) {
	kept, err := c.ConfigGet(ctx, "append*").Result()
	if refused := redis.Error(nil); err != nil && !errors.As(err, &refused) {
		return
	}
	d.fsynced.Store(kept["appendonly"] == "yes" && kept["appendfsync"] == "always")
}

// level is how safe an accepted request is until it is settled.
func (d *durability) level() sale.Durability {
	if d.fsynced.Load() {
		return sale.Fsynced
	}
	return sale.InMemory
}

// close ends the asking, if it began. c has been closed before, so that a server that
// hangs holds nobody up.
func (d *durability) close() {
	if d.stop != nil {
		d.stop()
		d.done.Wait()
	}
}
