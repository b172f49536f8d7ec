package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"
)

const (
	probePatience = 2 * time.Second // for each thing that /readyz asks
	probeFresh    = time.Second     // an answer of /readyz is good for so long, however many ask
)

// RunOps answers an operator's questions at Config.OpsListen until ctx ends.
func (p *Process) RunOps(ctx context.Context) error {
	l, err := Listen(ctx, p.config.OpsListen)
	if err != nil {
		return fmt.Errorf("%w; choose another address with SLUICE_OPS_LISTEN", err)
	}
	return p.ServeOps(ctx, l)
}

// ServeOps is RunOps on a port that is open. It closes l.
//
//	/healthz  200 while the process lives
//	/readyz   200 when Redis and Postgres answer, the schema is current and the
//	          API is not stopping; else 503 with a JSON list of what is wrong
//	/metrics  the registry, in Prometheus' format
//	/audit    200 and the report of a full audit, whatever its verdict; 503 when it
//	          cannot be run, or is being run for somebody else
//	/loglevel  GET: the log level; PUT changes it, ?for=10m for so long
//	/debug/pprof/  profiles: profile, trace, heap, allocs, goroutine, block, mutex
//	/debug/flight  the last seconds, from the flight recorder
//
// It asks for no token, and a profile shows how the program works and costs it time: so
// it is for operators' networks only.
func (p *Process) ServeOps(ctx context.Context, l net.Listener) error {
	recorder := &flight{log: p.log}
	if p.config.FlightRecorder {
		recorder.start()
		defer recorder.stop()
	}
	level := &loudness{log: p.log, configured: p.config.level()}
	defer level.stop()
	server := &http.Server{
		Handler:           p.opsHandler(probeFresh, level, recorder),
		ReadHeaderTimeout: 5 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx }, // whoever takes a profile gets what there is when we stop
		ErrorLog:          stdlog.New(p.log, "operations port: ", 0),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	p.log.Info().Stringer("listen", l.Addr()).Msg("operations port answers")
	select {
	case err := <-served:
		return fmt.Errorf("serve the operations port: %w", err)
	case <-ctx.Done():
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), probePatience)
	defer cancel()
	if err := server.Shutdown(late); err != nil {
		err = server.Close() // a probe that hangs may not keep the process
		<-served
		return err
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (p *Process) opsHandler(fresh time.Duration, level *loudness, recorder *flight) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, p.log, http.StatusOK, []string{})
	})
	r := &readiness{fresh: fresh, ask: p.wrong}
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, req *http.Request) {
		status, wrong := http.StatusOK, r.get(req.Context())
		if p.stopping.Load() && !slices.Contains(wrong, stopping) { // nobody may learn that a moment later
			wrong = append(slices.Clone(wrong), stopping)
		}
		if len(wrong) > 0 {
			status = http.StatusServiceUnavailable
		}
		answerJSON(w, p.log, status, wrong)
	})
	mux.Handle("GET /audit", &auditing{p})
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.Registry, promhttp.HandlerOpts{Registry: p.Registry}))
	mux.HandleFunc("GET /loglevel", level.get)
	mux.HandleFunc("PUT /loglevel", level.put)
	profiles(mux, p.log)
	mux.HandleFunc("GET /debug/flight", recorder.get)
	return mux
}

// wrong asks everything that readiness stands on, side by side.
func (p *Process) wrong(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	questions := []struct {
		name string
		ask  func(context.Context) error
	}{
		{"redis", p.store.Ping},
		{"postgres", p.ledger.Ping},
		{"schema", func(ctx context.Context) error { return schemaCurrent(ctx, p.config.PostgresURL) }},
	}
	answers := make([]error, len(questions))
	var asking sync.WaitGroup
	for i, q := range questions {
		asking.Go(func() { answers[i] = q.ask(ctx) })
	}
	asking.Wait()
	wrong := []string{}
	for i, err := range answers {
		if err != nil {
			wrong = append(wrong, questions[i].name+": "+err.Error())
		}
	}
	if p.stopping.Load() {
		wrong = append(wrong, stopping)
	}
	return wrong
}

// stopping is what readiness says from the signal on.
const stopping = "api: stopping"

// readiness keeps an answer for a moment, so that probing costs the stores the
// same however many probe.
type readiness struct {
	ask   func(context.Context) []string
	fresh time.Duration

	mu    sync.Mutex
	at    time.Time
	wrong []string
}

func (r *readiness) get(ctx context.Context) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wrong == nil || time.Since(r.at) >= r.fresh {
		// An asker who hangs up must not make the stores look dead to the next one.
		r.wrong = r.ask(context.WithoutCancel(ctx))
		r.at = time.Now()
	}
	return r.wrong
}

// refuseOps answers what is wrong with a request, under a code that stays.
func refuseOps(w http.ResponseWriter, log zerolog.Logger, status int, code string, why error) {
	answerJSON(w, log, status, map[string]any{"status": status, "code": code, "detail": why.Error()})
}

// answerJSON answers what is true for this moment only.
func answerJSON(w http.ResponseWriter, log zerolog.Logger, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		log.Debug().Err(err).Msg("asker hung up")
	}
}
