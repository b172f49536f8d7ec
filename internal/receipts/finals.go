package receipts

import (
	"sync"
	"time"

	"github.com/google/uuid"

	"sluice/internal/partition"
	"sluice/internal/sale"
)

// finals remembers receipts that nothing can follow any more, so that whoever asks again
// costs the stores nothing. A receipt that is expired, cancelled or refunded stays it for
// ever, and so does a rejection under an ID that was made for one attempt. Under a keyed ID
// there may be a new attempt once Redis has forgotten the rejection, which it does after
// partition.RejectedMost others: such a one is trusted for a moment, in which there cannot
// be so many, and only while there have not been half as many.
//
// What may still change is always read, confirmed receipts too: who has seen it change at
// another API process must not be told here what was before.
//
// There are two generations: when the younger is full it becomes the older, and what was
// the older is forgotten. Who is asked for again is taken over.
type finals struct {
	mu           sync.Mutex
	young, older map[uuid.UUID]final
}

type final struct {
	sale.Standing
	until time.Time // the beginning: for ever
}

const (
	finalsMost  = 1 << 14         // receipts of a generation: about 6 MB
	finalsTrust = 5 * time.Second // in which an owner settles no more than half of partition.RejectedMost
)

// get answers a receipt that is remembered.
func (f *finals) get(id uuid.UUID) (sale.Standing, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	known, ok := f.young[id]
	if !ok {
		if known, ok = f.older[id]; ok {
			f.put(id, known)
		}
	}
	if !ok || !known.until.IsZero() && time.Now().After(known.until) {
		return sale.Standing{}, false
	}
	return known.Standing, true
}

// keep remembers s, if it may be, as it was read at that moment.
func (f *finals) keep(s sale.Standing, read time.Time) {
	known := final{Standing: s}
	switch {
	case !s.Status.Final(), s.Reason == sale.Lost: // as lost it counts while Redis and Postgres lack it
		return
	case s.Status == sale.Rejected && sale.Keyed(s.ID):
		if s.Behind >= partition.RejectedMost/2 {
			return
		}
		known.until = read.Add(finalsTrust)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.put(s.ID, known)
}

func (f *finals) put(id uuid.UUID, known final) {
	if f.young == nil || len(f.young) >= finalsMost {
		f.young, f.older = make(map[uuid.UUID]final), f.young
	}
	f.young[id] = known
}
