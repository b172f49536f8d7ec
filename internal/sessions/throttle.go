package sessions

import (
	"context"
	"time"
)

// Limit is how often something may be tried: Times in any window that begins
// with a first attempt and lasts Window.
type Limit struct {
	Times  int64
	Window time.Duration
}

// Allow counts an attempt at what, and answers 0; or, when there were too many,
// counts nothing and answers after how long the next one may be made. what is
// stored as a hash.
func (s *Store) Allow(ctx context.Context, what string, l Limit) (retryAfter time.Duration, err error) {
	answer, err := s.run(ctx, "allow", []string{throttleKey(what)}, l.Times, l.Window.Milliseconds())
	if err != nil {
		return 0, err
	}
	ms, ok := answer.(int64)
	if !ok || ms < 0 {
		return 0, unknown("allow", answer)
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// GiveBack takes one attempt at what back: it turned out not to count.
func (s *Store) GiveBack(ctx context.Context, what string) error {
	answer, err := s.run(ctx, "give_back", []string{throttleKey(what)})
	if err != nil {
		return err
	}
	if _, ok := answer.(int64); !ok {
		return unknown("give_back", answer)
	}
	return nil
}

// Reset takes all attempts at what back.
func (s *Store) Reset(ctx context.Context, what string) error {
	if err := s.redis.Unlink(ctx, throttleKey(what)).Err(); err != nil {
		return fault("reset a throttle", err)
	}
	return nil
}
