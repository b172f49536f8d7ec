package torture

import (
	"context"
	"crypto/rand"
	"slices"
	"testing"
	"time"
)

// TestOrdealsOfNodes: each ordeal does to the nodes what it says, is healed afterwards,
// and the witness has seen it.
func TestOrdealsOfNodes(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), lifetime)
	defer cancel()
	c, err := startCluster(ctx, t.TempDir(), rand.Text())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.close(); err != nil {
			t.Error(err)
		}
	}()
	const shard = 1
	moment := func() { time.Sleep(100 * time.Millisecond) }
	for _, ordeal := range []struct {
		name    string
		strike  func(ctx context.Context, target int, meanwhile func()) error
		target  int
		changes bool // of the master
		planned bool
	}{
		{"a replica dies", c.killReplica, shard, false, false},
		{"a master dies", func(ctx context.Context, shard int, _ func()) error {
			master, _ := c.witness.roles(shard)
			return c.kill(ctx, shard, func() {
				if err := c.elected(ctx, shard, master, electBy); err != nil {
					t.Error(err)
				}
			})
		}, shard, true, false},
		{"its replica lags", c.late, shard, true, false},
		{"a master hands over", c.promote, shard, true, true},
		{"a master freezes", func(ctx context.Context, shard int, _ func()) error {
			master, _ := c.witness.roles(shard)
			return c.pause(ctx, shard, func() {
				if err := c.elected(ctx, shard, master, electBy); err != nil {
					t.Error(err)
				}
			})
		}, shard, true, false},
		{"a slot moves", c.move, 5, false, false},
		{"both die", c.killShard, shard, false, false},
	} {
		quiet := time.Now()
		if err := c.heal(ctx); err != nil { // its replica has all until then
			t.Fatal(err)
		}
		began, before := time.Now(), len(c.witness.found())
		if err := ordeal.strike(ctx, ordeal.target, moment); err != nil {
			t.Fatalf("%s: %v", ordeal.name, err)
		}
		var found []Change
		for _, change := range c.witness.found()[before:] {
			found = append(found, change)
			if change.Planned != ordeal.planned || !slices.Equal(change.Partitions, c.witness.partitionsOf(shard)) ||
				change.FromMS < quiet.UnixMilli() || change.UntilMS > time.Now().UnixMilli() || change.FromMS > change.UntilMS {
				t.Errorf("%s: %+v, since %d", ordeal.name, change, quiet.UnixMilli())
			}
		}
		if ordeal.changes != (len(found) == 1) || len(found) > 1 {
			t.Errorf("%s: %d changes", ordeal.name, len(found))
		}
		t.Logf("%s: %s, %+v", ordeal.name, time.Since(began).Round(time.Millisecond), found)
	}
	var h History
	c.witnessed(&h, time.Now())
	if c.moves != 2 || len(h.Outages) != 1 || !slices.Equal(h.Outages[0].Partitions, c.witness.partitionsOf(shard)) || h.Outages[0].UntilUS <= h.Outages[0].FromUS {
		t.Errorf("%d moves, outages %+v", c.moves, h.Outages)
	}
}
