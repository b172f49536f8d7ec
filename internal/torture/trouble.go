package torture

import (
	"sync/atomic"
	"time"
)

// aftermath is how long after the end of a trouble a process may give up and blame it.
const aftermath = 5 * time.Second

// trouble is whether something that processes need is broken by us at the moment:
// one for the servers, which all need, and one for the links of each worker.
type trouble struct {
	now  atomic.Int64 // how many things are broken
	last atomic.Int64 // when one of them was mended, in Unix nanoseconds
}

// during does something by which one is broken, and mended again.
func (t *trouble) during(do func() error) error {
	t.now.Add(1)
	defer func() {
		t.last.Store(time.Now().UnixNano())
		t.now.Add(-1)
	}()
	return do()
}

// fresh says whether anything is broken, or was a moment ago.
func (t *trouble) fresh() bool {
	return t.now.Load() > 0 || time.Since(time.Unix(0, t.last.Load())) < aftermath
}
