package partition

import (
	"context"
	"fmt"
	"time"
)

// LeaseFor is how long a lease lasts without a renewal, and after how long a
// consumer unheard of counts as dead.
const LeaseFor = 3 * time.Second

// Hold takes the lease of partition p for the consumer called who, or renews it.
// It answers false while somebody else has it. A lease only keeps two consumers
// from working at once in vain; what makes that safe is the epoch.
func (s *Store) Hold(ctx context.Context, p int, who string) (bool, error) {
	return s.hold(ctx, leaseKey(p), who)
}

// Drop gives the lease back, if it is still his.
func (s *Store) Drop(ctx context.Context, p int, who string) error {
	return s.drop(ctx, leaseKey(p), who)
}

// HoldLead and DropLead are Hold and Drop for the schedulers' lead.
func (s *Store) HoldLead(ctx context.Context, who string) (bool, error) {
	return s.hold(ctx, leadKey, who)
}

// DropLead gives the lead back, if it is still his.
func (s *Store) DropLead(ctx context.Context, who string) error { return s.drop(ctx, leadKey, who) }

func (s *Store) hold(ctx context.Context, key, who string) (bool, error) {
	answer, err := s.run(ctx, s.leases, "hold", []string{key}, who, LeaseFor.Milliseconds())
	if err != nil {
		return false, fmt.Errorf("hold %s: %w", key, err)
	}
	return answer == int64(1), nil
}

func (s *Store) drop(ctx context.Context, key, who string) error {
	if _, err := s.run(ctx, s.leases, "drop", []string{key}, who); err != nil {
		return fmt.Errorf("drop %s: %w", key, err)
	}
	return nil
}

// Announce says that the consumer called who lives, and answers how many do.
func (s *Store) Announce(ctx context.Context, who string) (living int, err error) {
	return s.announce(ctx, who, "here")
}

// Leave takes who from the living at once, so that others need not wait.
func (s *Store) Leave(ctx context.Context, who string) error {
	_, err := s.announce(ctx, who, "gone")
	return err
}

func (s *Store) announce(ctx context.Context, who, word string) (int, error) {
	answer, err := s.run(ctx, s.leases, "announce", []string{livingKey}, who, LeaseFor.Milliseconds(), word)
	if err != nil {
		return 0, fmt.Errorf("announce %s: %w", who, err)
	}
	names, ok := answer.([]any)
	if !ok {
		return 0, unknown("announce", answer)
	}
	return len(names), nil
}
