package process

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"runtime/trace"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// The window of the flight recorder: so long, unless so much happens in it.
const (
	flightAge   = 5 * time.Second
	flightBytes = 3 << 20
)

// flight is the flight recorder: the last seconds of the scheduler of Go, its locks,
// system calls and collections, kept in memory for whoever asks what has just been.
type flight struct {
	log      zerolog.Logger
	recorder *trace.FlightRecorder // nil: it does not run

	mu sync.Mutex // one snapshot at a time
}

// start begins to record. A program has one recorder: a second Process in it, which only
// tests have, goes without.
func (f *flight) start() {
	recorder := trace.NewFlightRecorder(trace.FlightRecorderConfig{MinAge: flightAge, MaxBytes: flightBytes})
	if err := recorder.Start(); err != nil {
		f.log.Warn().Err(err).Msg("no flight recorder")
		return
	}
	f.recorder = recorder
}

func (f *flight) stop() {
	if f.recorder == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.recorder.Stop()
}

var errNoFlight = errors.New("the flight recorder is off: set SLUICE_FLIGHT_RECORDER=true")

// get answers the window, for `go tool trace`. It is taken whole before any of it is
// sent: a slow reader must not stretch it.
func (f *flight) get(w http.ResponseWriter, _ *http.Request) {
	if f.recorder == nil {
		refuseOps(w, f.log, http.StatusNotFound, "flight_off", errNoFlight)
		return
	}
	var window bytes.Buffer
	f.mu.Lock()
	_, err := f.recorder.WriteTo(&window)
	f.mu.Unlock()
	if err != nil {
		refuseOps(w, f.log, http.StatusServiceUnavailable, "flight_failed", fmt.Errorf("take the window of the flight recorder: %w", err))
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="sluice-flight-%s.trace"`, time.Now().UTC().Format("20060102T150405Z")))
	w.Header().Set("Cache-Control", "no-store")
	if _, err := window.WriteTo(w); err != nil {
		f.log.Debug().Err(err).Msg("asker hung up")
	}
}
