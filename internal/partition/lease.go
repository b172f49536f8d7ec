package partition

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// LeaseFor is how long a lease lasts without a renewal, and after how long a
// consumer unheard of counts as dead.
const LeaseFor = 3 * time.Second

// News is what consumers tell each other, so that nobody has to wait for his next
// look. It may be lost.
type News string

const (
	Living News = "living" // somebody came, went, or was found dead: the shares are others
	Freed  News = "freed"  // a lease was given back
)

// sharesChannel is where the news is told.
const sharesChannel = "sluice:shares"

// Hold takes the lease of partition p for the consumer called who, or renews it.
// It answers false while somebody else has it. A lease only keeps two consumers
// from working at once in vain; what makes that safe is the epoch.
func (s *Store) Hold(ctx context.Context, p int, who string) (bool, error) {
	held, _, _, err := s.hold(ctx, leaseKey(p), who)
	return held, err
}

// Renew is Hold by somebody who has the lease. It says whether that had lapsed:
// Redis may have been without him for a while, or without its data.
func (s *Store) Renew(ctx context.Context, p int, who string) (held, lapsed bool, err error) {
	held, lapsed, _, err = s.hold(ctx, leaseKey(p), who)
	return held, lapsed, err
}

// Keep is Renew of many leases in one round trip to each server, of one command each, by
// somebody who has them. It answers which of them he has still, and had all the time; of
// every other one Renew says more, but for those of which nothing can be said, and why. One
// that is somebody else's by now lasts a little longer for it.
func (s *Store) Keep(ctx context.Context, partitions []int, who string) (kept map[int]bool, silent []int, err error) {
	kept = make(map[int]bool, len(partitions))
	for _, a := range byNode(ctx, s.leases, partitions, nodePatience, func(ctx context.Context, c *redis.Client, partitions []int) ([]redis.Cmder, error) {
		answers, err := c.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for _, p := range partitions {
				pipe.GetEx(ctx, leaseKey(p), LeaseFor)
			}
			return nil
		})
		if refused := redis.Error(nil); errors.As(err, &refused) { // of each lease by itself
			err = nil
		}
		return answers, err
	}) {
		for i, p := range a.partitions {
			fault := a.err
			if fault == nil {
				holder, one := a.value[i].(*redis.StringCmd).Result()
				_, moved, ask := redirected(one, a.addr)
				switch {
				case moved, ask, errors.Is(one, redis.Nil): // Renew finds it
					continue
				case one == nil:
					if holder == who {
						kept[p] = true
					}
					continue
				}
				fault = one
			}
			silent = append(silent, p)
			if err == nil {
				err = fmt.Errorf("keep the lease of partition %d: %w", p, fault)
			}
		}
	}
	return kept, silent, err
}

// Spread says whether the partitions are at more than one server, of which one may be away
// while the others are there.
func (s *Store) Spread() bool { return s.topology != nil }

// Take is Hold by somebody who waits for the lease: it answers, too, how long the
// one who has it may keep it without a renewal.
func (s *Store) Take(ctx context.Context, p int, who string) (held bool, left time.Duration, err error) {
	held, _, left, err = s.hold(ctx, leaseKey(p), who)
	return held, left, err
}

// Drop gives the lease back, if it is still his.
func (s *Store) Drop(ctx context.Context, p int, who string) error {
	return s.drop(ctx, leaseKey(p), who, sharesChannel)
}

// HoldLead and DropLead are Hold and Drop for the schedulers' lead.
func (s *Store) HoldLead(ctx context.Context, who string) (bool, error) {
	held, _, _, err := s.hold(ctx, leadKey, who)
	return held, err
}

// KeepLead is HoldLead by who has the lead, for one command.
func (s *Store) KeepLead(ctx context.Context, who string) (bool, error) {
	cmd := redis.NewStringCmd(ctx, "getex", leadKey, "px", LeaseFor.Milliseconds())
	switch err := s.leases.do(ctx, leadKey, cmd); {
	case err != nil && !errors.Is(err, redis.Nil):
		return false, fault("keep the lead", err)
	case err == nil && cmd.Val() == who:
		return true, nil
	}
	return s.HoldLead(ctx, who)
}

// DropLead gives the lead back, if it is still his.
func (s *Store) DropLead(ctx context.Context, who string) error { return s.drop(ctx, leadKey, who, "") }

func (s *Store) hold(ctx context.Context, key, who string) (held, fresh bool, left time.Duration, err error) {
	answer, err := s.run(ctx, s.leases, "hold", []string{key}, who, LeaseFor.Milliseconds())
	if err != nil {
		return false, false, 0, fmt.Errorf("hold %s: %w", key, err)
	}
	switch n, ok := answer.(int64); {
	case ok && (n == 1 || n == 2):
		return true, n == 2, 0, nil
	case ok && n < 0:
		return false, false, time.Duration(-n) * time.Millisecond, nil
	}
	return false, false, 0, unknown("hold", answer)
}

func (s *Store) drop(ctx context.Context, key, who, channel string) error {
	if _, err := s.run(ctx, s.leases, "drop", []string{key}, who, channel, string(Freed)); err != nil {
		return fmt.Errorf("drop %s: %w", key, err)
	}
	return nil
}

// Share says that the consumer called who lives, and answers how many partitions
// are his: all shares together are all partitions, and no two differ by more than
// one. next is when the one unheard of for longest will be dead.
func (s *Store) Share(ctx context.Context, who string) (share int, next time.Duration, err error) {
	living, next, err := s.announce(ctx, who, "here")
	if err != nil {
		return 0, 0, err
	}
	slices.Sort(living)
	rank, found := slices.BinarySearch(living, who)
	if !found {
		return 0, 0, unknown("announce", living)
	}
	share = s.n / len(living)
	if rank < s.n%len(living) { // what cannot be divided goes to the first by name
		share++
	}
	return share, next, nil
}

// Leave takes who from the living at once, so that others need not wait.
func (s *Store) Leave(ctx context.Context, who string) error {
	_, _, err := s.announce(ctx, who, "gone")
	return err
}

func (s *Store) announce(ctx context.Context, who, word string) (living []string, next time.Duration, err error) {
	answer, err := s.run(ctx, s.leases, "announce", []string{livingKey}, who, LeaseFor.Milliseconds(), word, sharesChannel, string(Living))
	if err != nil {
		return nil, 0, fmt.Errorf("announce %s: %w", who, err)
	}
	words, _ := answer.([]any)
	if len(words) == 0 {
		return nil, 0, unknown("announce", answer)
	}
	ms, ok := words[0].(int64)
	for _, name := range words[1:] {
		living = append(living, text(name))
	}
	if !ok || ms < 0 || ms > LeaseFor.Milliseconds() {
		return nil, 0, unknown("announce", answer)
	}
	return living, time.Duration(ms) * time.Millisecond, nil
}

// hearAgain is how long Hear waits for another server of a cluster to listen to.
const hearAgain = 250 * time.Millisecond

// Hear calls heard with all news until ctx ends or the store is closed. It tells
// Living once messages flow, and again after every interruption: whatever was said
// in between is lost. Of a cluster any server tells what was said to another one.
func (s *Store) Hear(ctx context.Context, heard func(News)) {
	if one := s.leases.conns.one; one != nil {
		hear(ctx, one.Client, heard)
		return
	}
	for ctx.Err() == nil {
		c, err := s.anybody(ctx)
		if err == nil {
			var n *node
			if n, err = s.leases.conns.at(c.Options().Addr); err == nil {
				hearOnce(ctx, n.Client, heard)
			}
		}
		if errors.Is(err, redis.ErrClosed) {
			return // the store is
		}
		select {
		case <-ctx.Done():
		case <-time.After(hearAgain):
		}
	}
}

func hear(ctx context.Context, c *redis.Client, heard func(News)) {
	sub := c.Subscribe(ctx, sharesChannel)
	messages := sub.ChannelWithSubscriptions()
	hungUp := context.AfterFunc(ctx, func() { sub.Close() })
	defer func() {
		if hungUp() {
			sub.Close()
		}
	}()
	for m := range messages { // ends when it is closed
		switch m := m.(type) {
		case *redis.Subscription:
			heard(Living)
		case *redis.Message:
			heard(News(m.Payload))
		}
	}
}

// silence is how long a server of a cluster may say nothing before it is asked whether it is
// there.
const silence = 5 * time.Second

// hearOnce is hear until the connection breaks, or the server falls silent: the next one to
// listen to may be another.
func hearOnce(ctx context.Context, c *redis.Client, heard func(News)) {
	sub := c.Subscribe(ctx, sharesChannel)
	defer sub.Close()
	defer context.AfterFunc(ctx, func() { sub.Close() })()
	for asked := false; ; {
		said, err := sub.ReceiveTimeout(ctx, silence)
		if late := (interface{ Timeout() bool })(nil); errors.As(err, &late) && late.Timeout() && !asked {
			asked, err = true, sub.Ping(ctx)
			if err == nil {
				continue
			}
		}
		if err != nil {
			return
		}
		asked = false
		switch m := said.(type) {
		case *redis.Subscription:
			heard(Living)
		case *redis.Message:
			heard(News(m.Payload))
		}
	}
}
