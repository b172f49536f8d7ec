package news

import (
	"testing"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// TestMemory: a ring that is full forgets the oldest, says so, and keeps the chains of all
// others whole.
func TestMemory(t *testing.T) {
	var m memory
	m.add(1, Event{uuid.New(), 10})
	if events, complete := m.since(1, 5); len(events) != 0 || complete {
		t.Errorf("before anything is known: %v, %t", events, complete)
	}
	const accounts, rounds = 1000, 3 * memoryMost / 1000
	m.gap(1)
	last := map[int64][]uuid.UUID{}
	var at sale.Instant = 10_000
	for range rounds {
		for account := range int64(accounts) {
			e := Event{uuid.New(), at}
			m.add(account, e)
			last[account] = append(last[account], e.Receipt)
			at++
		}
	}
	if len(m.ring) != memoryMost || len(m.last) != accounts {
		t.Fatalf("%d events of %d accounts are kept", len(m.ring), len(m.last))
	}
	then := at - 20*accounts
	for account := range int64(accounts) {
		events, complete := m.since(account, then)
		want := last[account][len(last[account])-len(events):]
		for i := range events {
			if events[i].Receipt != want[i] {
				t.Fatalf("account %d: event %d is %s, not %s", account, i, events[i].Receipt, want[i])
			}
		}
		if !complete || len(events) < 20 || len(events) > 23 { // with the overlap
			t.Fatalf("account %d: %d events, complete %t", account, len(events), complete)
		}
	}
	if _, complete := m.since(1, at-memoryMost-1); complete {
		t.Error("what is forgotten is said to be whole")
	}
	for range memoryMost {
		m.add(accounts, Event{uuid.New(), at})
	}
	if events, _ := m.since(1, 1); len(events) != 0 || len(m.last) != 1 {
		t.Errorf("%d events of one whose events have gone, %d accounts", len(events), len(m.last))
	}

	// The same receipt again is told once.
	m.gap(1)
	twice := uuid.New()
	m.add(7, Event{twice, 5000})
	m.add(7, Event{twice, 5001})
	if events, complete := m.since(7, 4000); len(events) != 1 || events[0].At != 5001 || !complete {
		t.Errorf("%v, %t", events, complete)
	}
}
