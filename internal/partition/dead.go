package partition

import (
	"context"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"sluice/internal/sale"
)

// Death is why an entry was not settled as what it asks.
type Death struct {
	Cause    string
	Attempts int // to settle it; infrastructure faults are not counted
}

// DeadLetter is an entry in the dead-letter stream of a partition. It stays there
// until it is dropped.
type DeadLetter struct {
	ID      sale.EntryID      // of the letter; its time is Redis' own
	Entry   sale.Entry        // as it stood in the stream; without a Verb when it cannot be read
	Payload map[string]string // its fields there
	Death                     // zero when it cannot be read, or when whoever knew the cause died
}

// deadFields are what apply.lua adds to the fields of an entry.
var deadFields = []string{"entry", "cause", "attempts"}

// DeadList answers up to count dead letters of partition p after that one, the
// oldest first.
func (s *Store) DeadList(ctx context.Context, p int, after sale.EntryID, count int64) ([]DeadLetter, error) {
	return s.deadRange(ctx, p, "("+after.String(), "+", count)
}

// Dead answers one dead letter, or sale.ErrUnknown.
func (s *Store) Dead(ctx context.Context, p int, id sale.EntryID) (DeadLetter, error) {
	found, err := s.deadRange(ctx, p, id.String(), id.String(), 1)
	switch {
	case err != nil:
		return DeadLetter{}, err
	case len(found) == 0:
		return DeadLetter{}, sale.ErrUnknown
	}
	return found[0], nil
}

// DropDead forgets a dead letter; sale.ErrUnknown when it is not there.
func (s *Store) DropDead(ctx context.Context, p int, id sale.EntryID) error {
	cmd := redis.NewIntCmd(ctx, "xdel", deadKey(p), id.String())
	switch err := s.requests.do(ctx, deadKey(p), cmd); {
	case err != nil:
		return fault(fmt.Sprintf("drop dead letter %s of partition %d", id, p), err)
	case cmd.Val() == 0:
		return sale.ErrUnknown
	}
	return nil
}

func (s *Store) deadRange(ctx context.Context, p int, from, to string, count int64) ([]DeadLetter, error) {
	cmd := redis.NewXMessageSliceCmd(ctx, "xrange", deadKey(p), from, to, "count", count)
	if err := s.requests.do(ctx, deadKey(p), cmd); err != nil {
		return nil, fault(fmt.Sprintf("read dead letters of partition %d", p), err)
	}
	messages := cmd.Val()
	letters := make([]DeadLetter, len(messages))
	for i, m := range messages {
		var err error
		if letters[i], err = parseDead(m); err != nil {
			return nil, fmt.Errorf("read dead letters of partition %d: %w", p, err)
		}
	}
	return letters, nil
}

// parseDead reads a dead letter, whatever is in it: letters are what could not be
// read before.
func parseDead(m redis.XMessage) (l DeadLetter, err error) {
	if l.ID, err = sale.ParseEntryID(m.ID); err != nil {
		return l, err
	}
	l.Payload = make(map[string]string, len(m.Values))
	for name, value := range m.Values {
		l.Payload[name] = text(value)
	}
	of := map[string]string{}
	for _, name := range deadFields {
		of[name] = l.Payload[name]
		delete(l.Payload, name)
	}
	l.Cause = of["cause"]
	attempts, attemptsErr := strconv.Atoi(of["attempts"])
	if attemptsErr == nil {
		l.Attempts = attempts
	}
	if entry, err := parseEntry(of["entry"], m.Values); err == nil { // one that nobody can have written must not hide the others
		l.Entry = entry
	}
	return l, nil
}
