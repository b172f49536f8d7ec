package news

import (
	"slices"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// Event is a change of one receipt of an account.
type Event struct {
	Receipt uuid.UUID
	At      sale.Instant // of Redis' clock, when it was announced
}

// What is remembered of the events of all accounts.
const (
	memoryMost = 1 << 17 // events: about 10 MB
	overlap    = 2000    // ms by which the clocks of two servers of Redis may differ, and messages overtake each other
)

// memory is a ring of the last events of all accounts, so that who was away for a moment
// can be told what he has missed, by any process that heard it. Those of one account are
// a chain in it, the latest first.
type memory struct {
	ring  []remembered  // event n is at n % memoryMost
	count int           // of all events that ever came
	last  map[int64]int // by account: number of its latest event, from 1
	whole sale.Instant  // from when on everything is remembered; 0: nobody knows yet
}

type remembered struct {
	account int64
	event   Event
	before  int // number of the account's event before it, 0: none
}

// gap says that something may have been missed. From then on it is not so any more; 0:
// that is not known yet.
func (m *memory) gap(whole sale.Instant) { *m = memory{whole: whole} }

func (m *memory) add(account int64, e Event) {
	if m.whole == 0 {
		return
	}
	if m.last == nil {
		m.last = map[int64]int{}
	}
	r := remembered{account, e, m.last[account]}
	m.count++
	m.last[account] = m.count
	if len(m.ring) < memoryMost {
		m.ring = append(m.ring, r)
		return
	}
	old := &m.ring[(m.count-1)%memoryMost]
	if m.last[old.account] == m.count-memoryMost {
		delete(m.last, old.account)
	}
	m.whole = max(m.whole, old.event.At+1)
	*old = r
}

// since answers the events of an account from then on, a little earlier ones among them,
// each receipt once, the earliest first, and whether these are all.
func (m *memory) since(account int64, then sale.Instant) (events []Event, complete bool) {
	if then == 0 {
		return nil, true
	}
	seen := map[uuid.UUID]bool{}
	for n := m.last[account]; n > 0 && n > m.count-len(m.ring); {
		r := m.ring[(n-1)%memoryMost]
		if r.event.At >= then-overlap && !seen[r.event.Receipt] {
			seen[r.event.Receipt] = true
			events = append(events, r.event)
		}
		n = r.before
	}
	slices.Reverse(events)
	return events, m.whole != 0 && m.whole <= then-overlap
}
