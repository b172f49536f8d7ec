package partition

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"sluice/internal/sale"
)

// Changes are what one batch has changed, as its owner announces it.
type Changes struct {
	Partition int
	At        sale.Instant // of this Redis' clock: later ones of a partition never have an earlier one
	Seq       int64        // number of the batch's last entry
	Drain     float64      // entries settled per second
	Sales     []int64      // whose units, line or phase are others now
	Receipts  []Changed
}

// Changed is a receipt that stands otherwise now, whose it is, and its record.
type Changed struct {
	Receipt uuid.UUID
	Buyer   int64 // account; 0: the scheduler
	Record  string
}

// Standing is the receipt as that batch has left it.
func (c Changed) Standing() (sale.Receipt, error) { return parseRecord(c.Receipt, c.Record) }

// An announcement is the ms of Redis' clock, a blank, and
//
//	1  seq  drain  number of sales, each  number of receipts, each: 16 bytes, buyer, length of the record, record
//
// in unsigned varints, the first of which is the version. What it has behind that a
// later release has added.
const announcementVersion = 1

func announcement(c Changes) []byte {
	b := make([]byte, 0, 32+10*len(c.Sales)+150*len(c.Receipts))
	for _, n := range []uint64{announcementVersion, uint64(c.Seq), uint64(max(c.Drain, 0)), uint64(len(c.Sales))} {
		b = binary.AppendUvarint(b, n)
	}
	for _, id := range c.Sales {
		b = binary.AppendUvarint(b, uint64(id))
	}
	b = binary.AppendUvarint(b, uint64(len(c.Receipts)))
	for _, r := range c.Receipts {
		b = binary.AppendUvarint(append(b, r.Receipt[:]...), uint64(r.Buyer))
		b = append(binary.AppendUvarint(b, uint64(len(r.Record))), r.Record...)
	}
	return b
}

// parseAnnouncement reads one; an error when it is of another version, or none at all.
func parseAnnouncement(raw string) (c Changes, err error) {
	clock, form, _ := strings.Cut(raw, " ")
	at, err := strconv.ParseInt(clock, 10, 64)
	rest, ok := form, err == nil && at > 0
	next := func() uint64 {
		n, size := binary.Uvarint([]byte(rest[:min(len(rest), binary.MaxVarintLen64)]))
		if size <= 0 || n > 1<<62 {
			ok, rest = false, ""
			return 0
		}
		rest = rest[size:]
		return n
	}
	c.At = sale.Instant(at)
	ok = next() == announcementVersion && ok
	c.Seq, c.Drain = int64(next()), float64(next())
	for n := next(); ok && n > 0; n-- {
		c.Sales = append(c.Sales, int64(next()))
	}
	for n := next(); ok && n > 0; n-- {
		var r Changed
		if len(rest) < len(r.Receipt) {
			ok = false
			break
		}
		rest = rest[copy(r.Receipt[:], rest):]
		r.Buyer = int64(next())
		size := next()
		if size > uint64(len(rest)) {
			ok = false
			break
		}
		r.Record, rest = rest[:size], rest[size:]
		c.Receipts = append(c.Receipts, r)
	}
	if !ok {
		return Changes{}, fmt.Errorf("%w: an announcement of %d bytes", ErrBroken, len(raw))
	}
	return c, nil
}

// Watch calls changed with the changes of every batch that is applied to any partition,
// until ctx ends (which is no error) or the connection breaks. flow is called once messages
// of some partitions flow: whoever waits for a receipt registers first and reads second.
// Messages may be lost, and one that cannot be read, of another release, is as good as lost:
// the receipt itself is the truth.
//
// In a cluster each server tells of its own partitions. A connection to one that breaks ends
// nothing: flow is called with the reason, and again when it is mended.
func (s *Store) Watch(ctx context.Context, flow func(partitions []int, broken error), changed func(Changes)) error {
	if s.sharded {
		s.watchServers(ctx, flow, changed)
		return nil
	}
	c, err := s.anybody(ctx)
	if err != nil {
		return quiet(ctx, err)
	}
	if s.topology == nil {
		c = s.readers.conns.one.Client
	}
	names := make([]string, s.n, s.n+1)
	for p := range names {
		names[p] = channel(p)
	}
	if !s.brief.always {
		names = append(names, briefChannel)
	}
	sub := c.Subscribe(ctx, names...)
	return s.listen(ctx, sub, len(names), func() { flow(s.all(), nil) }, changed)
}

// listen tells what is said to a subscription to so many channels, which it closes.
func (s *Store) listen(ctx context.Context, sub *redis.PubSub, channels int, ready func(), changed func(Changes)) error {
	defer sub.Close()
	defer context.AfterFunc(ctx, func() { _ = sub.Close() })() // a read in hand does not hear of ctx
	for heard := 0; ; {
		said, err := sub.Receive(ctx)
		if err != nil {
			return quiet(ctx, err)
		}
		switch said := said.(type) {
		case *redis.Subscription:
			if strings.HasSuffix(said.Kind, "unsubscribe") { // its slot is another server's by now
				return quiet(ctx, errElsewhere)
			}
			if heard++; heard == channels {
				ready()
			}
		case *redis.Message:
			p, ours := s.partitionOf(said.Channel)
			if !ours {
				continue
			}
			c, err := parseAnnouncement(said.Payload)
			if err != nil {
				continue
			}
			c.Partition = p
			changed(c)
		}
	}
}

// partitionOf answers whose announcements a channel is for.
func (s *Store) partitionOf(name string) (p int, ours bool) {
	number, ok := strings.CutPrefix(name, "{s")
	number, ok2 := strings.CutSuffix(number, "}:changed")
	p, err := strconv.Atoi(number)
	return p, ok && ok2 && err == nil && p >= 0 && p < s.n
}

// all are the partitions.
func (s *Store) all() []int {
	all := make([]int, s.n)
	for p := range all {
		all[p] = p
	}
	return all
}

// watchEvery is how often it is looked whether every server is listened to, and to what.
const watchEvery = 250 * time.Millisecond

// watchServers listens to every server of a cluster until ctx ends: each has a connection of
// its own, and its own trouble.
func (s *Store) watchServers(ctx context.Context, flow func(partitions []int, broken error), changed func(Changes)) {
	type ear struct {
		addr       string
		partitions []int
		deafen     context.CancelFunc
	}
	ears, ended := map[string]*ear{}, make(chan *ear)
	listen := func(addr string, partitions []int) {
		hearing, deafen := context.WithCancel(ctx)
		e := &ear{addr, partitions, deafen}
		ears[addr] = e
		go func() {
			err := s.watchServer(hearing, addr, partitions, func() { flow(partitions, nil) }, changed)
			if err == nil {
				err = errElsewhere // it was told to end
			}
			deafen()
			if ctx.Err() == nil { // else that is no news
				flow(partitions, err)
			}
			ended <- e
		}()
	}
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for ctx.Err() == nil {
		of := map[string][]int{}
		for _, p := range s.all() {
			addr := s.topology.master(keySlot(slot(p)))
			of[addr] = append(of[addr], p)
		}
		for addr, e := range ears {
			if !slices.Equal(e.partitions, of[addr]) {
				e.deafen()
			}
		}
		for addr, partitions := range of {
			if addr != "" && ears[addr] == nil {
				listen(addr, partitions)
			}
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		case e := <-ended: // the next look comes with the ticker: a server that is away is not asked without a pause
			delete(ears, e.addr)
			s.topology.hint()
			select {
			case <-ctx.Done():
			case <-ticker.C:
			}
		}
	}
	for len(ears) > 0 { // each ends with ctx
		e := <-ended
		delete(ears, e.addr)
	}
}

// watchServer listens to one server. One command may subscribe to channels of one slot only,
// so there are as many as partitions.
func (s *Store) watchServer(ctx context.Context, addr string, partitions []int, ready func(), changed func(Changes)) error {
	n, err := s.readers.conns.at(addr)
	if err != nil {
		return quiet(ctx, err)
	}
	sub := n.SSubscribe(ctx)
	for _, p := range partitions {
		if err := sub.SSubscribe(ctx, channel(p)); err != nil {
			_ = sub.Close()
			return quiet(ctx, err)
		}
	}
	return s.listen(ctx, sub, len(partitions), ready, changed)
}

// quiet is err, unless it is because ctx has ended.
func quiet(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("watch the partitions: %w", err)
}

// Pulse is how far a partition has come.
type Pulse struct {
	Seq, Settled int64   // numbers of the requests admitted and settled last
	Drain        float64 // requests settled per second
	Data         string  // another one when Redis holds other data than it would have by settling on
}

// Queued is how many requests are in the queue.
func (p Pulse) Queued() int64 { return max(p.Seq-p.Settled, 0) }

// Pulses answers those of all partitions whose server answers, and what the clock of one of
// these says: an error when none does.
func (s *Store) Pulses(ctx context.Context) (pulses map[int]Pulse, clock time.Time, err error) {
	pulses = make(map[int]Pulse, s.n)
	for _, a := range byNode(ctx, s.readers, s.all(), nodePatience, func(ctx context.Context, c *redis.Client, partitions []int) ([]redis.Cmder, error) {
		return c.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for _, p := range partitions {
				pipe.HMGet(ctx, slot(p), "seq", "applied_seq", "drain", "generation", "run", "lost")
			}
			pipe.Time(ctx)
			return nil
		})
	}) {
		if refused := redis.Error(nil); a.err != nil && (s.topology == nil || !errors.As(a.err, &refused)) {
			err = a.err
			continue
		}
		for i, p := range a.partitions {
			words, fault := a.value[i].(*redis.SliceCmd).Result()
			if fault != nil { // its slot is on its way
				err = fault
				continue
			}
			if len(words) != 6 {
				return nil, time.Time{}, unknown("HMGET", words)
			}
			pulses[p] = Pulse{Seq: number(words[0]), Settled: number(words[1]), Drain: float64(number(words[2])),
				Data: text(words[3]) + " " + text(words[4]) + " " + text(words[5])}
		}
		clock = a.value[len(a.partitions)].(*redis.TimeCmd).Val()
	}
	if len(pulses) == 0 {
		return nil, time.Time{}, fmt.Errorf("feel the pulse of the partitions: %w", err)
	}
	return pulses, clock, nil
}
