package embedded

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// portion is how many keys move at once, as redis-cli has it.
const portion = 10

// moveTime is how long one portion may take: a key may be a whole stream.
const moveTime = 30 * time.Second

// Promote makes a replica the master of its slots and returns when it is. How is what
// CLUSTER FAILOVER is told: nothing, when its master shall hand over in order, losing
// nothing; "FORCE" when that does not answer; "TAKEOVER" to ask not even the other masters.
func (c *Cluster) Promote(ctx context.Context, i int, how string) error {
	args := []any{"cluster", "failover"}
	if how != "" {
		args = append(args, how)
	}
	for {
		if err := c.servers[i].ops.Do(ctx, args...).Err(); err != nil {
			return fmt.Errorf("promote server %d: %w", i, err)
		}
		// A replica that is not elected in time gives up, after 5 s.
		for deadline := time.Now().Add(6 * time.Second); time.Now().Before(deadline); {
			if s, err := c.look(ctx, i); err == nil && s.others[s.self].master {
				return nil
			}
			if err := pause(ctx, 10*time.Millisecond); err != nil {
				return fmt.Errorf("promote server %d: %w", i, err)
			}
		}
	}
}

// MoveSlot hands a slot with all its keys to another master, portion by portion, while
// clients go on: until the end the old master serves the keys that it still has and
// sends those who ask for others to the new one (ASK). Pause, if given, is called before
// each portion and before the slot changes hands, with the count of the keys that have
// moved and of all. After an error the slot stays as it is, half moved; to call it again
// goes on.
func (c *Cluster) MoveSlot(ctx context.Context, slot, to int, pause func(done, all int)) error {
	from, err := c.Master(ctx, slot)
	if err != nil {
		return fmt.Errorf("move slot %d: %w", slot, err)
	}
	if from == to {
		return nil
	}
	if err := c.moveSlot(ctx, slot, from, to, pause); err != nil {
		return fmt.Errorf("move slot %d from server %d to %d: %w", slot, from, to, err)
	}
	return nil
}

func (c *Cluster) moveSlot(ctx context.Context, slot, from, to int, pause func(done, all int)) error {
	if pause == nil {
		pause = func(int, int) {}
	}
	source, target := c.servers[from].ops, c.servers[to].ops
	// In this order: the old master must not send anybody to a new one that refuses.
	if err := target.Do(ctx, "cluster", "setslot", slot, "importing", c.ids[from]).Err(); err != nil {
		return err
	}
	if err := source.Do(ctx, "cluster", "setslot", slot, "migrating", c.ids[to]).Err(); err != nil {
		return err
	}
	for done := 0; ; {
		left, err := source.ClusterCountKeysInSlot(ctx, slot).Result()
		if err != nil {
			return err
		}
		pause(done, done+int(left))
		keys, err := source.ClusterGetKeysInSlot(ctx, slot, portion).Result()
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			break
		}
		args := []any{"migrate", "127.0.0.1", strconv.Itoa(c.servers[to].options.Port), "", 0, moveTime.Milliseconds()}
		if c.password != "" {
			args = append(args, "auth", c.password)
		}
		args = append(args, "keys")
		for _, key := range keys {
			args = append(args, key)
		}
		if err := source.Do(ctx, args...).Err(); err != nil {
			return err
		}
		done += len(keys)
	}
	return c.assign(ctx, slot, from, to)
}

// assign tells the masters who serves a slot now: the new one first, so that nobody is
// sent to one that does not know, then the old one, then the others, who would hear of
// it anyway.
func (c *Cluster) assign(ctx context.Context, slot, from, to int) error {
	tell := func(i int) error {
		return c.servers[i].ops.Do(ctx, "cluster", "setslot", slot, "node", c.ids[to]).Err()
	}
	if err := tell(to); err != nil {
		return err
	}
	// A master that gave its last slot away has heard of it already and is a replica.
	if s, err := c.look(ctx, from); err != nil {
		return err
	} else if s.others[s.self].master {
		if err := tell(from); err != nil {
			return err
		}
	}
	for i := range c.servers {
		if s, err := c.look(ctx, i); err == nil && i != to && i != from && s.others[s.self].master {
			_ = tell(i)
		}
	}
	return nil
}
