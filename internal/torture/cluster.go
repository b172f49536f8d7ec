package torture

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"sluice/internal/embedded"
)

// The cluster.
const (
	masters     = 3
	nodeTimeout = 1500 * time.Millisecond // of silence, until the others take a node for dead
	electBy     = 30 * time.Second        // and its replica has taken over
)

// cluster is a Redis Cluster of masters with a replica each, and the witness beside it.
type cluster struct {
	*embedded.Cluster
	password string
	witness  *witness

	mu   sync.Mutex // one thing at a time: three masters that agree on anything are two
	stop func()     // the witness

	heldMu  sync.Mutex
	outages []outage
	moves   int
}

// outage is an Outage by the clock of this process.
type outage struct {
	partitions  []int
	from, until time.Time
}

// startCluster starts the nodes in the folder. They sync every write, as the one Redis does.
func startCluster(ctx context.Context, folder, password string) (*cluster, error) {
	c := &cluster{password: password}
	var err error
	if c.Cluster, err = embedded.StartCluster(ctx, embedded.ClusterOptions{
		Dir: filepath.Join(folder, "cluster"), Masters: masters, Replicas: 1, Password: password,
		Durable: true, NodeTimeout: nodeTimeout, Args: []string{"--appendfsync", "always"},
	}); err != nil {
		return nil, err
	}
	homes := make([][]int, partitions)
	for p := range homes {
		at, err := c.Master(ctx, slotOf(p))
		if err != nil {
			return nil, errors.Join(err, c.Stop())
		}
		homes[p] = []int{at}
	}
	c.witness = newWitness(masters, homes)
	var nodes []*node
	for i := range c.Nodes() {
		nodes = append(nodes, &node{addr: c.Addr(i), password: password})
	}
	watching, cancel := context.WithCancel(context.Background())
	gone := make(chan struct{})
	go func() { defer close(gone); c.witness.watch(watching, nodes) }()
	c.stop = func() { cancel(); <-gone }
	return c, nil
}

// slotOf is that of all keys of a partition.
func slotOf(partition int) int { return embedded.Slot("{s" + strconv.Itoa(partition) + "}") }

// close stops the nodes in order.
func (c *cluster) close() error {
	c.stop()
	return c.Stop()
}

// kill kills the master of a shard, and starts it again after what is done meanwhile: as
// a replica of the one that has taken over, or as the master, if it was away too shortly.
func (c *cluster) kill(ctx context.Context, shard int, meanwhile func()) error {
	master, _ := c.witness.roles(shard)
	c.Kill(master)
	meanwhile()
	return errors.Join(c.Restart(ctx, master), c.heal(ctx))
}

// killReplica is the same of who has nothing to do.
func (c *cluster) killReplica(ctx context.Context, shard int, meanwhile func()) error {
	_, replica := c.witness.roles(shard)
	c.Kill(replica)
	meanwhile()
	return errors.Join(c.Restart(ctx, replica), c.heal(ctx))
}

// late freezes the replica of a shard, and kills the master while it lags. When the
// replica goes on it has missed something, and nobody is left to tell it.
func (c *cluster) late(ctx context.Context, shard int, meanwhile func()) error {
	return c.lateDuring(ctx, shard, func(kill func()) error {
		meanwhile()
		kill()
		return nil
	})
}

// lateDuring is the same, with the master killed in the midst of something else.
func (c *cluster) lateDuring(ctx context.Context, shard int, during func(kill func()) error) error {
	master, replica := c.witness.roles(shard)
	goOn, err := freeze(c.PID(replica), int(2*electBy.Seconds()))
	if err != nil {
		return fmt.Errorf("stop a replica: %w", err)
	}
	// What the master sent it waits for it with the kernel, also when the master is dead: so
	// the line is cut.
	if err = c.ask(master, "CLIENT KILL TYPE replica"); err == nil {
		err = during(func() { c.Kill(master) })
		time.Sleep(nodeTimeout)
	}
	goOn()
	if err != nil {
		return err
	}
	if c.elected(ctx, shard, master, electBy) != nil { // it is too old to be elected: an operator decides
		err = c.Promote(ctx, replica, "TAKEOVER")
	}
	return errors.Join(err, c.Restart(ctx, master), c.heal(ctx))
}

// promote has the master of a shard hand over to its replica, in order.
func (c *cluster) promote(ctx context.Context, shard int, meanwhile func()) error {
	master, replica := c.witness.roles(shard)
	c.witness.plan(shard)
	defer c.witness.plan(-1)
	if err := c.Promote(ctx, replica, ""); err != nil {
		return err
	}
	if err := c.elected(ctx, shard, master, electBy); err != nil {
		return err
	}
	meanwhile()
	return c.heal(ctx)
}

// pause freezes the master of a shard. If that is for longer than the others wait, it
// comes back believing that it is the master still.
func (c *cluster) pause(ctx context.Context, shard int, meanwhile func()) error {
	master, _ := c.witness.roles(shard)
	goOn, err := freeze(c.PID(master), int((2 * pauseMost).Seconds()))
	if err != nil {
		return fmt.Errorf("stop a master: %w", err)
	}
	meanwhile()
	goOn()
	return c.heal(ctx)
}

// killShard kills a master and its replica. What it kept is all there when they are back.
func (c *cluster) killShard(ctx context.Context, shard int, meanwhile func()) error {
	master, replica := c.witness.roles(shard)
	c.Kill(replica)
	c.Kill(master)
	time.Sleep(2 * nodeTimeout) // until the others have noticed
	away := outage{partitions: c.witness.partitionsOf(shard), from: time.Now()}
	meanwhile()
	away.until = time.Now()
	c.heldMu.Lock()
	c.outages = append(c.outages, away)
	c.heldMu.Unlock()
	return errors.Join(c.Restart(ctx, master), c.Restart(ctx, replica), c.heal(ctx))
}

// move moves the slot of a partition to another master, key by key, and back after what
// is done meanwhile.
func (c *cluster) move(ctx context.Context, partition int, meanwhile func()) error {
	home := c.witness.home(partition)
	to := (home + 1 + partition%(masters-1)) % masters
	if err := c.moveTo(ctx, partition, to); err != nil {
		return err
	}
	meanwhile()
	return errors.Join(c.moveTo(ctx, partition, home), c.heal(ctx))
}

// portionRest is how long a slot stays as it is between two portions of keys: divided.
const portionRest = 20 * time.Millisecond

func (c *cluster) moveTo(ctx context.Context, partition, shard int) error {
	c.witness.move(partition, shard)
	master, _ := c.witness.roles(shard)
	if err := c.MoveSlot(ctx, slotOf(partition), master, func(int, int) { time.Sleep(portionRest) }); err != nil {
		return err
	}
	c.witness.moved(partition, shard)
	c.heldMu.Lock()
	defer c.heldMu.Unlock()
	c.moves++
	return nil
}

// ask has a node do something, past everybody.
func (c *cluster) ask(i int, command string) error {
	n := node{addr: c.Addr(i), password: c.password}
	defer n.close()
	if _, err := n.ask(electBy, command); err != nil {
		return fmt.Errorf("ask node %d: %w", i, err)
	}
	return nil
}

// elected waits until another node than that is the master of a shard.
func (c *cluster) elected(ctx context.Context, shard, than int, within time.Duration) error {
	for deadline := time.Now().Add(within); ; {
		if master, _ := c.witness.roles(shard); master != than {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("nobody took over from node %d within %s", than, within)
		}
		if err := wait(ctx, askEvery); err != nil {
			return err
		}
	}
}

// heal waits until all nodes agree, and each replica has what its master has.
func (c *cluster) heal(ctx context.Context) error {
	if err := c.Healthy(ctx); err != nil {
		return err
	}
	began := time.Now()
	for shard := range masters {
		for !c.witness.synced(shard, began) {
			if err := wait(ctx, askEvery); err != nil {
				return fmt.Errorf("wait for the replica of shard %d: %w", shard, err)
			}
		}
	}
	return nil
}

// witnessed adds to a history what befell the cluster.
func (c *cluster) witnessed(h *History, began time.Time) {
	h.Changes = c.witness.found()
	c.heldMu.Lock()
	defer c.heldMu.Unlock()
	for _, o := range c.outages {
		h.Outages = append(h.Outages, Outage{Partitions: o.partitions, FromUS: o.from.Sub(began).Microseconds(), UntilUS: o.until.Sub(began).Microseconds()})
	}
}
