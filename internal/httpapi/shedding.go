package httpapi

import (
	"sync"
	"time"

	"github.com/rs/zerolog"

	"sluice/internal/sale"
)

// shedQuiet is how long nobody is sent away before it is over.
const shedQuiet = 5 * time.Second

// sheds are the codes under which the API refuses what there is no room for now.
var sheds = map[code]bool{
	code(sale.RefusedOverload): true,
	code(sale.RefusedLoading):  true,
	tooManyWaiters:             true,
	unavailable:                true,
}

// shedding tells the log when the API begins to send people away for want of room, and
// when that is over: a line each, however large the crowd.
type shedding struct {
	log   zerolog.Logger
	quiet time.Duration

	mu   sync.Mutex
	kind map[code]*shed
}

// shed is one code under which people are sent away at the moment.
type shed struct {
	refused     int64
	since, last time.Time
	look        *time.Timer
}

func newShedding(log zerolog.Logger) *shedding {
	return &shedding{log: log, quiet: shedQuiet, kind: map[code]*shed{}}
}

// refused notes that one was sent away.
func (s *shedding) refused(c code) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	k := s.kind[c]
	if k == nil {
		k = &shed{since: now}
		s.kind[c] = k
		k.look = time.AfterFunc(s.quiet, func() { s.over(c) })
		s.log.Warn().Str("code", string(c)).Msg("shedding began")
	}
	k.refused++
	k.last = now
}

// over looks whether it is.
func (s *shedding) over(c code) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kind[c]
	if k == nil { // told by stop
		return
	}
	if left := s.quiet - time.Since(k.last); left > 0 {
		k.look.Reset(left)
		return
	}
	s.tell(c, k)
}

func (s *shedding) tell(c code, k *shed) {
	delete(s.kind, c)
	s.log.Info().Str("code", string(c)).Int64("refused", k.refused).Dur("for", k.last.Sub(k.since)).Msg("shedding ended")
}

// stop tells what is still going on: nobody is sent away by an API that has stopped.
func (s *shedding) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c, k := range s.kind {
		k.look.Stop()
		s.tell(c, k)
	}
}
