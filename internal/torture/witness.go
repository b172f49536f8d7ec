package torture

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// How the witness looks.
const (
	askEvery  = 20 * time.Millisecond // at each node
	askBy     = 500 * time.Millisecond
	marksMost = 4096 // that a master's replica has not reached
)

// witness watches the nodes of a cluster from beside it, and measures what a failover may
// have lost. A shard is a master and the replica that may take over from it, in either
// role. How far a master has come (its offset) is noted with the time at which it was
// asked: when its replica has come as far, it has all that was taken in until that time.
//
//	asked ──▶ the master: offset 700     the replica: offset 700 ──▶ it has everything until then
//	                                     the replica: master, of a later epoch ──▶ a change, which is over when
//	          the master: a replica, or dead ──▶ nobody else takes anything in
type witness struct {
	mu      sync.Mutex
	shards  []*shard
	homes   [][]int     // shards in which each partition is: two, while its slot moves
	arrived []time.Time // by partition: when its slot had moved
	planned int         // the shard whose failover is being planned; −1: none
	changes []Change
}

// shard is what is known of a pair of nodes.
type shard struct {
	nodes  []int
	master int // of nodes
	epoch  int // of the master
	line   string
	marks  []mark    // of the master, oldest first
	safe   time.Time // the replica has all that was taken in until then
	dead   time.Time // since when the master is; zero: it lives
	open   []int     // changes that are not over: an old master may still take something in
}

type mark struct {
	at     time.Time
	offset int64
}

// look is what one node told of itself.
type look struct {
	asked, answered time.Time
	dead            bool // nobody listens at its port
	master          bool
	linked, anew    bool   // of a replica: it hears its master; it is being given everything anew, and may have nothing
	line            string // of offsets: those of two can be compared on the same line only
	offset          int64
	epoch           int
}

// newWitness knows who is whose replica: of n masters, those of the start are the first.
func newWitness(masters int, homes [][]int) *witness {
	w := &witness{homes: homes, arrived: make([]time.Time, len(homes)), planned: -1}
	for i := range masters {
		w.shards = append(w.shards, &shard{nodes: []int{i, i + masters}, master: i})
	}
	return w
}

// watch looks at all nodes until ctx ends.
func (w *witness) watch(ctx context.Context, nodes []*node) {
	var all sync.WaitGroup
	for i, n := range nodes {
		all.Go(func() {
			defer n.close()
			for wait(ctx, askEvery) == nil {
				if seen, ok := n.look(); ok {
					w.hear(i, seen)
				}
			}
		})
	}
	all.Wait()
}

// look asks a node about itself; false when it does not say.
func (n *node) look() (look, bool) {
	l := look{asked: time.Now()}
	texts, err := n.ask(askBy, "INFO replication", "CLUSTER INFO")
	l.answered = time.Now()
	if errors.Is(err, syscall.ECONNREFUSED) {
		l.dead = true
		return l, true
	}
	if err != nil {
		return l, false
	}
	says := map[string]string{}
	for line := range strings.Lines(strings.Join(texts, "\r\n")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		says[name] = value
	}
	l.master, l.line = says["role"] == "master", says["master_replid"]
	l.linked, l.anew = says["master_link_status"] == "up", says["master_sync_in_progress"] == "1"
	offset := says["master_repl_offset"]
	if !l.master {
		offset = says["slave_repl_offset"] // what it has done, not only read
	}
	l.offset, err = strconv.ParseInt(offset, 10, 64)
	epoch, epochErr := strconv.Atoi(says["cluster_my_epoch"])
	l.epoch = epoch
	return l, err == nil && epochErr == nil
}

// hear takes in what a node told.
func (w *witness) hear(node int, l look) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, s := range w.shards {
		if slices.Contains(s.nodes, node) {
			w.hearOf(i, s, node, l)
		}
	}
}

func (w *witness) hearOf(index int, s *shard, node int, l look) {
	switch {
	case node == s.master:
		switch {
		case !l.dead:
			s.dead = time.Time{}
		case s.dead.IsZero():
			s.dead = l.answered
		}
		if l.master {
			s.epoch = max(s.epoch, l.epoch)
			s.mark(l)
		}
	case l.master && l.epoch > s.epoch:
		w.change(index, s, node, l)
	case l.master: // it does not know yet that another one is
	default:
		w.over(s, l)
		if !l.dead {
			s.reach(l)
		}
	}
}

// mark notes how far the master has come.
func (s *shard) mark(l look) {
	if l.line != s.line {
		s.line, s.marks = l.line, nil
	}
	s.marks = append(s.marks, mark{l.asked, l.offset})
	if len(s.marks) > marksMost { // every other one will do
		kept := s.marks[:0]
		for i, m := range s.marks {
			if i%2 == 1 {
				kept = append(kept, m)
			}
		}
		s.marks = kept
	}
}

// reach notes how far the replica has come.
func (s *shard) reach(l look) {
	if l.anew {
		s.safe = time.Time{}
	}
	if !l.linked || l.anew || l.line != s.line {
		return
	}
	n := 0
	for n < len(s.marks) && s.marks[n].offset <= l.offset {
		n++
	}
	if n > 0 {
		s.safe = s.marks[n-1].at
		s.marks = slices.Delete(s.marks, 0, n)
	}
}

// change notes that a node has taken over.
func (w *witness) change(index int, s *shard, node int, l look) {
	made := Change{Planned: w.planned == index, FromMS: ms(s.safe), UntilMS: never}
	if !s.dead.IsZero() {
		made.UntilMS = ms(s.dead)
	}
	bare := Change{Planned: made.Planned, UntilMS: made.UntilMS} // of what came from another master later than that
	for p, homes := range w.homes {
		switch {
		case !slices.Contains(homes, index):
		case len(homes) > 1 || w.arrived[p].After(s.safe):
			bare.Partitions = append(bare.Partitions, p)
		default:
			made.Partitions = append(made.Partitions, p)
		}
	}
	for _, c := range []Change{made, bare} {
		if len(c.Partitions) == 0 {
			continue
		}
		if c.UntilMS == never {
			s.open = append(s.open, len(w.changes))
		}
		w.changes = append(w.changes, c)
	}
	s.master, s.epoch, s.line, s.marks, s.safe, s.dead = node, l.epoch, "", nil, time.Time{}, time.Time{}
	s.mark(l)
}

// over ends the open changes: the other node of the shard takes nothing in any more.
func (w *witness) over(s *shard, l look) {
	for _, i := range s.open {
		w.changes[i].UntilMS = ms(l.answered)
	}
	s.open = nil
}

// ms is a time by the clock of the streams, which is that of this machine; the zero time
// is before all.
func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// found are the changes so far.
func (w *witness) found() []Change {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.changes)
}

// roles are the nodes of a shard, its master first.
func (w *witness) roles(index int) (master, replica int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.shards[index]
	for _, n := range s.nodes {
		if n != s.master {
			replica = n
		}
	}
	return s.master, replica
}

// synced says whether the replica of a shard has all that was taken in until then, and no
// change is under way.
func (w *witness) synced(index int, until time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.shards[index]
	return s.safe.After(until) && len(s.open) == 0
}

// plan says that the next change of a shard is a planned one; −1: no one's is.
func (w *witness) plan(index int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.planned = index
}

// partitionsOf are those in a shard, whole or in part.
func (w *witness) partitionsOf(index int) (all []int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for p, homes := range w.homes {
		if slices.Contains(homes, index) {
			all = append(all, p)
		}
	}
	return all
}

// home is the shard of a partition.
func (w *witness) home(partition int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.homes[partition][0]
}

// move says that the slot of a partition begins to move to a shard as well; moved, that it
// is all there.
func (w *witness) move(partition, to int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.homes[partition] = append(w.homes[partition], to)
}

func (w *witness) moved(partition, to int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.homes[partition], w.arrived[partition] = []int{to}, time.Now()
}
