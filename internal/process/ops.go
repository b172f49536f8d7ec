package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
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
func (p *Process) ServeOps(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:           p.opsHandler(probeFresh),
		ReadHeaderTimeout: 5 * time.Second,
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

func (p *Process) opsHandler(fresh time.Duration) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, p.log, http.StatusOK, []string{})
	})
	r := &readiness{fresh: fresh, ask: p.wrong}
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, req *http.Request) {
		status, wrong := http.StatusOK, r.get(req.Context())
		if len(wrong) > 0 {
			status = http.StatusServiceUnavailable
		}
		writeJSON(w, p.log, status, wrong)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.Registry, promhttp.HandlerOpts{Registry: p.Registry}))
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
		wrong = append(wrong, "api: stopping")
	}
	return wrong
}

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

// writeJSON answers a list of complaints; an empty one is good news.
func writeJSON(w http.ResponseWriter, log zerolog.Logger, status int, wrong []string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(wrong); err != nil {
		log.Debug().Err(err).Msg("probe hung up")
	}
}
