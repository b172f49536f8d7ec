package httpapi

import (
	"math/rand/v2"
	"sync"
	"time"

	"sluice/internal/sale"
)

// When to ask again.
const (
	pollLeast   = 50 * time.Millisecond
	pollMost    = 30 * time.Second       // what was foreseen longer ago than that is no guide any more
	pollUnknown = 250 * time.Millisecond // when nobody knows how fast it goes
	pollInLine  = 5 * time.Second        // at most, in a waiting line: a hold begins to run as soon as its buyer has it
)

// whenToAsk is when s is worth asking for again: 0 when nothing comes of waiting, else
// soon after it is expected to be decided. Who is told a little too early asks twice, who
// is told much too late is annoyed.
func whenToAsk(s sale.Standing) time.Duration {
	eta := s.ETA()
	switch {
	case s.Status == sale.Waiting && eta > 0:
		return min(max(eta/2, pollUnknown), pollInLine)
	case s.Status == sale.Waiting:
		return min(time.Duration(max(s.Line, 1))*pollUnknown, pollInLine)
	case s.Status != sale.Queued:
		return 0
	case eta == 0:
		return pollUnknown
	}
	return min(max(eta+eta/20, pollLeast), pollMost)
}

// patienceShare is the part of the time for which a request is queued already that its
// buyer is asked to wait again, at least. Requests are settled in batches, and what is
// foreseen for the next ones is wrong by up to a batch: who was told a little too early
// would ask, and ask again, until it is through. So whoever waits long asks seldom, and
// learns it later by a sixth of his wait on average, at most by a third.
const patienceShare = 3

// askAfter is when s is worth asking for again.
func (a *API) askAfter(s sale.Standing) time.Duration {
	wanted := whenToAsk(s)
	if s.Status != sale.Queued {
		return wanted
	}
	return patient(wanted, a.news.Now().Time().Sub(s.At.Time()))
}

// patient is wanted, or more after it has taken so long already.
func patient(wanted, already time.Duration) time.Duration {
	return max(wanted, min(already/patienceShare, pollMost))
}

// polls is the book of appointments: whoever is told when to ask again gets a moment in
// it, and no moment has more than the budget allows. So all polls that one API process
// invites stay under its budget, however many wait, and those who asked together do not
// come back together.
type polls struct {
	mu    sync.Mutex
	most  uint32   // appointments of one slot
	slots []uint32 // a ring: slot n is at n % len
	now   int64    // number of the first slot that is not over
}

const (
	slotLength = 20 * time.Millisecond
	bookLength = 2 * time.Minute // further ahead nobody is told: then the budget is not kept, and pollers are asked to be patient
)

// newPolls answers a book for so many polls per second.
func newPolls(budget float64) *polls {
	return &polls{most: uint32(max(1, budget*slotLength.Seconds())), slots: make([]uint32, bookLength/slotLength)}
}

// book answers how long to wait: about as long as wanted, spread by 5 % to both sides, or
// as much longer as it takes to find a slot that is not full.
func (p *polls) book(wanted time.Duration) time.Duration {
	return p.bookAt(time.Now(), wanted)
}

func (p *polls) bookAt(at time.Time, wanted time.Duration) time.Duration {
	if wanted <= 0 {
		return 0
	}
	wanted = max(time.Duration(float64(wanted)*(0.95+rand.Float64()/10)), pollLeast)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn(at.UnixNano() / int64(slotLength))
	first := at.Add(wanted).UnixNano() / int64(slotLength)
	for slot := first; slot < p.now+int64(len(p.slots)); slot++ {
		if of := &p.slots[slot%int64(len(p.slots))]; *of < p.most {
			*of++
			if slot == first {
				return wanted
			}
			return time.Unix(0, slot*int64(slotLength)).Add(rand.N(slotLength)).Sub(at)
		}
	}
	return bookLength + rand.N(bookLength)
}

// turn forgets the slots before now.
func (p *polls) turn(now int64) {
	if now-p.now >= int64(len(p.slots)) {
		clear(p.slots)
		p.now = now
		return
	}
	for ; p.now < now; p.now++ {
		p.slots[p.now%int64(len(p.slots))] = 0
	}
}
