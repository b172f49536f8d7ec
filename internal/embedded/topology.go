package embedded

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// lookTime is how long one server may take to say what it sees.
const lookTime = time.Second

// sight is a cluster as one of its servers sees it: CLUSTER NODES.
type sight struct {
	self   string
	others map[string]seen // by ID, itself among them
}

// seen is one server in the eyes of one.
type seen struct {
	master  bool
	of      string // the ID of its master, if it is a replica
	epoch   int64
	well    bool // it is neither dead nor doubted nor unknown
	slots   []span
	leaving bool // a slot is on its way to or from it
}

type span struct{ first, last int }

func (s seen) serves(slot int) bool {
	return slices.ContainsFunc(s.slots, func(s span) bool { return s.first <= slot && slot <= s.last })
}

// look asks one server what it sees.
func (c *Cluster) look(ctx context.Context, i int) (sight, error) {
	if !c.servers[i].there() {
		return sight{}, fmt.Errorf("server %d does not run", i)
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	text, err := c.servers[i].ops.ClusterNodes(ctx).Result()
	if err != nil {
		return sight{}, fmt.Errorf("server %d does not say what it sees: %w", i, err)
	}
	return parseSight(text)
}

// parseSight reads one line for each server:
//
//	ID address flags master ping-sent pong-received epoch link slot…
//
// https://redis.io/docs/latest/commands/cluster-nodes/
func parseSight(text string) (sight, error) {
	s := sight{others: map[string]seen{}}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 8 {
			return s, fmt.Errorf("a line of CLUSTER NODES has %d words: %q", len(words), line)
		}
		flags := strings.Split(words[2], ",")
		has := func(flag string) bool { return slices.Contains(flags, flag) }
		one := seen{master: has("master"), well: !has("fail") && !has("fail?") && !has("handshake") && !has("noaddr")}
		if !one.master {
			one.of = words[3]
		}
		if has("myself") {
			s.self = words[0]
		}
		var err error
		if one.epoch, err = strconv.ParseInt(words[6], 10, 64); err != nil {
			return s, fmt.Errorf("the epoch in a line of CLUSTER NODES: %w", err)
		}
		for _, word := range words[8:] {
			if strings.HasPrefix(word, "[") {
				one.leaving = true
				continue
			}
			first, last, ok := strings.Cut(word, "-")
			if !ok {
				last = first
			}
			var between span
			if between.first, err = strconv.Atoi(first); err == nil {
				between.last, err = strconv.Atoi(last)
			}
			if err != nil {
				return s, fmt.Errorf("the slots in a line of CLUSTER NODES: %w", err)
			}
			one.slots = append(one.slots, between)
		}
		s.others[words[0]] = one
	}
	if s.self == "" {
		return s, errors.New("CLUSTER NODES does not name who answers")
	}
	return s, nil
}

// Master is the number of the server that serves a slot now. While two think they do
// (one has been cut off and does not know yet), it is the one that the cluster chose
// last.
func (c *Cluster) Master(ctx context.Context, slot int) (int, error) {
	sights := make([]sight, len(c.servers))
	var looking sync.WaitGroup
	for i := range c.servers {
		looking.Go(func() { sights[i], _ = c.look(ctx, i) }) // who does not answer does not serve
	}
	looking.Wait()
	master, epoch := -1, int64(-1)
	for i, s := range sights {
		if one := s.others[s.self]; one.master && one.serves(slot) && one.epoch > epoch {
			master, epoch = i, one.epoch
		}
	}
	if master < 0 {
		return 0, fmt.Errorf("nobody serves slot %d", slot)
	}
	return master, nil
}

// Healthy waits until all slots are served, no slot is on the move, every running server
// sees the same, and every running replica follows its master. Servers that were killed
// are not missed as long as others have taken over for them.
func (c *Cluster) Healthy(ctx context.Context) error {
	for {
		wrong := c.fault(ctx)
		if wrong == nil {
			return nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("wait for the cluster to be well: %w: %w", err, wrong)
		}
	}
}

// fault is what keeps the cluster from being well; nil: nothing.
func (c *Cluster) fault(ctx context.Context) error {
	pictures, errs := make([]string, len(c.servers)), make([]error, len(c.servers))
	var looking sync.WaitGroup
	for i, m := range c.servers {
		if m.there() {
			looking.Go(func() { pictures[i], errs[i] = c.picture(ctx, i) })
		}
	}
	looking.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	first := -1
	for i, picture := range pictures {
		switch {
		case picture == "":
		case first < 0:
			first = i
		case picture != pictures[first]:
			return fmt.Errorf("servers %d and %d do not agree", first, i)
		}
	}
	if first < 0 {
		return errors.New("no server runs")
	}
	return nil
}

// picture is the cluster in the eyes of one server in a form that all share when they
// agree, or what that server finds wrong.
func (c *Cluster) picture(ctx context.Context, i int) (string, error) {
	s, err := c.look(ctx, i)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	state, err := c.servers[i].ops.ClusterInfo(ctx).Result()
	if err != nil {
		return "", fmt.Errorf("server %d: %w", i, err)
	}
	if !strings.Contains(state, "cluster_state:ok") {
		return "", fmt.Errorf("server %d says that the cluster is down", i)
	}
	if s.self != c.ids[i] {
		return "", fmt.Errorf("server %d has become another one", i)
	}
	served := 0
	var picture strings.Builder
	for n, id := range c.ids {
		one, known := s.others[id]
		if !c.servers[n].there() {
			if len(one.slots) > 0 {
				return "", fmt.Errorf("nobody serves the slots of server %d", n)
			}
			continue
		}
		if !known || !one.well {
			return "", fmt.Errorf("server %d does not see server %d", i, n)
		}
		if one.leaving {
			return "", fmt.Errorf("a slot of server %d is on its way", n)
		}
		for _, between := range one.slots {
			served += between.last - between.first + 1
		}
		fmt.Fprintln(&picture, id, one.master, one.of, one.slots)
	}
	if served != Slots {
		return "", fmt.Errorf("server %d sees %d of %d slots served", i, served, Slots)
	}
	if s.others[s.self].master {
		return picture.String(), nil
	}
	replication, err := c.servers[i].ops.Info(ctx, "replication").Result()
	if err != nil {
		return "", fmt.Errorf("server %d: %w", i, err)
	}
	if !strings.Contains(replication, "master_link_status:up") {
		return "", fmt.Errorf("replica %d does not follow its master", i)
	}
	return picture.String(), nil
}
