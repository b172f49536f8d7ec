package process

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	"runtime"
	"strconv"
	"sync"

	"github.com/rs/zerolog"
)

const (
	profileMost   = 60     // seconds of a profile or trace
	lockSeconds   = "10"   // of a profile of locks, unless it says otherwise
	mutexFraction = 10     // one of so many contended locks is recorded
	blockRate     = 10_000 // ns of waiting that are recorded once, on average
)

// profiles adds /debug/pprof/ to mux: net/http/pprof on this port only, whatever that
// package does to http.DefaultServeMux, which nobody serves. Without the command line: it
// may hold a password. Profiles of locks (block, mutex) cost something while they are
// recorded, so they are recorded while somebody asks.
func profiles(mux *http.ServeMux, log zerolog.Logger) {
	handle := func(path string, serve http.HandlerFunc) {
		mux.HandleFunc("GET /debug/pprof/"+path, brief(log, serve))
	}
	handle("{$}", pprof.Index)
	handle("profile", pprof.Profile)
	handle("trace", pprof.Trace)
	handle("symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol) // as `go tool pprof` asks
	for _, name := range []string{"allocs", "goroutine", "heap", "threadcreate"} {
		handle(name, pprof.Handler(name).ServeHTTP)
	}
	block := recorded{set: runtime.SetBlockProfileRate, rate: blockRate}
	handle("block", block.while(pprof.Handler("block")))
	mutex := recorded{set: func(rate int) { runtime.SetMutexProfileFraction(rate) }, rate: mutexFraction}
	handle("mutex", mutex.while(pprof.Handler("mutex")))
}

// brief refuses what would take too long.
func brief(log zerolog.Logger, serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if text := r.URL.Query().Get("seconds"); text != "" {
			if n, err := strconv.ParseFloat(text, 64); err != nil || !(n > 0 && n <= profileMost) {
				refuseOps(w, log, http.StatusBadRequest, "bad_seconds", fmt.Errorf("seconds must be more than 0 and at most %d", profileMost))
				return
			}
		}
		serve(w, r)
	}
}

// recorded is a profile that is recorded only while somebody asks for it.
type recorded struct {
	set  func(rate int) // 0: off
	rate int

	mu     sync.Mutex
	askers int
}

// while answers what is recorded from now on, for the seconds that are asked for.
func (p *recorded) while(profile http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		if query.Get("seconds") == "" {
			query.Set("seconds", lockSeconds)
			query.Del("debug") // which is all since the start, and here that is nothing
			r.URL.RawQuery = query.Encode()
		}
		p.count(1)
		defer p.count(-1)
		profile.ServeHTTP(w, r)
	}
}

func (p *recorded) count(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.askers += n
	rate := 0
	if p.askers > 0 {
		rate = p.rate
	}
	p.set(rate)
}
