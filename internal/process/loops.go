package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"sluice/internal/audit"
	"sluice/internal/httpapi"
	"sluice/internal/news"
	"sluice/internal/settlement"
	"sluice/internal/survey"
	"sluice/internal/upkeep"
	"sluice/web"
)

// opsPatience is how long a stop waits for an operator's last question, which may
// hang on the same server that everything else hangs on.
const opsPatience = 500 * time.Millisecond

// surveyPatience is how long a stop waits for a survey, or a round of the audit, whose
// server hangs.
const surveyPatience = 200 * time.Millisecond

// closeSpare is for what takes no time on a machine that has any.
const closeSpare = 500 * time.Millisecond

// Together runs every loop until the first one returns or ctx ends. Then it stops
// them one after another, in the order given: each is asked, and waited for,
// before the next is asked. It returns the first error; that ctx ended is none.
func Together(ctx context.Context, loops ...func(context.Context) error) error {
	type running struct {
		stop context.CancelFunc
		done chan struct{}
	}
	ends := make(chan error, len(loops))
	anyEnded, note := context.WithCancel(ctx)
	defer note()
	all := make([]running, len(loops))
	for i, loop := range loops {
		// Not a child of ctx: it would end all of them at once.
		own, stop := context.WithCancel(context.WithoutCancel(ctx))
		all[i] = running{stop, make(chan struct{})}
		go func() {
			defer close(all[i].done)
			ends <- loop(own)
			note()
		}()
	}
	<-anyEnded.Done()
	for _, r := range all {
		r.stop()
		<-r.done
	}
	close(ends)
	for err := range ends { // in the order in which they ended
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return nil
}

// atMost is loop, left behind when it has not ended so long after it was asked to. It
// is for a loop whose end nobody depends on.
func atMost(patience time.Duration, loop func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		ended := make(chan error, 1)
		go func() { ended <- loop(ctx) }()
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
		}
		select {
		case err := <-ended:
			return err
		case <-time.After(patience):
			return nil
		}
	}
}

// Run is all of Sluice in one process until ctx ends. The order of the loops is
// the order of shutdown: the API stops accepting and finishes what it has, then
// the consumer settles its batches and hands its partitions over, then the
// scheduler gives its lead away. The operations port answers to the end. All of it
// takes at most Config.ShutdownGrace.
func (p *Process) Run(ctx context.Context, api, ops net.Listener) error {
	return bounded(ctx, p.config.ShutdownGrace, p.log, func() error {
		return Together(ctx,
			func(ctx context.Context) error { return p.ServeAPI(ctx, api) },
			p.RunConsumer,
			p.RunScheduler,
			atMost(opsPatience, func(ctx context.Context) error { return p.ServeOps(ctx, ops) }),
		)
	})
}

// RunAPI answers HTTP at Config.Listen until ctx ends.
func (p *Process) RunAPI(ctx context.Context) error {
	l, err := Listen(ctx, p.config.Listen)
	if err != nil {
		return fmt.Errorf("%w; choose another address with SLUICE_LISTEN", err)
	}
	return p.ServeAPI(ctx, l)
}

// requestGrace is how long requests under way may take at shutdown: the grace but for
// what the rest of a process may need, the operations port and the connections.
func (c Config) requestGrace() time.Duration {
	return c.ShutdownGrace - min(opsPatience+closePatience+closeSpare, c.ShutdownGrace/2)
}

// ServeAPI answers HTTP on l until ctx ends. Then readiness says so, it takes no more
// connections, and requests that are under way get most of Config.ShutdownGrace to
// finish. Once per Process: it registers its metrics. It closes l.
func (p *Process) ServeAPI(ctx context.Context, l net.Listener) error {
	if p.Accounts == nil {
		return errors.Join(errors.New("the API needs SLUICE_JWT_KEYS, to know who is asking"), l.Close())
	}
	p.Registry.MustRegister(p.door)
	heard := news.New(p.store, p.log, p.Registry)
	hearing, deaf := context.WithCancel(context.WithoutCancel(ctx))
	var ears sync.WaitGroup
	ears.Go(func() { _ = heard.Run(hearing) }) // it ends with its context only
	defer ears.Wait()
	defer deaf()
	api := httpapi.New(httpapi.Options{
		Admission: p.Admission, Receipts: p.Receipts, Catalog: p.Catalog,
		Bookings: p.Bookings, Coupons: p.Coupons, Notices: p.Notices, Accounts: p.Accounts, News: heard,
		Glances: survey.NewGlances(p.store, p.ledger), Letters: p.Dead, Audit: p.Audit, Version: Version(),
		Log: p.log, Registry: p.Registry, PollBudget: p.config.PollBudget, Waiters: p.config.Waiters,
		Edge: p.config.edge(), NoTopUps: p.config.Production, Front: p.front(),
	})
	served := make(chan error, 1)
	go func() { served <- api.Serve(l) }()
	p.log.Info().Stringer("listen", l.Addr()).Msg("API answers")
	select {
	case err := <-served:
		return fmt.Errorf("serve the API: %w", err)
	case <-ctx.Done():
	}
	p.stopping.Store(true)
	grace, asked := p.config.requestGrace(), time.Now()
	p.log.Info().Stringer("grace", grace).Msg("API takes no more requests")
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := api.Shutdown(late); err != nil {
		return fmt.Errorf("finish the API's requests within %s: %w", grace, err)
	}
	p.log.Info().Dur("took", time.Since(asked)).Msg("API stopped: every request under way is answered")
	return <-served
}

// front makes the pages, if there are any.
func (p *Process) front() func(http.RoundTripper) http.Handler {
	if p.config.Web != "on" {
		return nil
	}
	return func(api http.RoundTripper) http.Handler {
		return web.New(web.Options{API: api, Log: p.log, Grafana: p.config.GrafanaURL})
	}
}

// RunConsumer owns a share of the partitions until ctx ends. Once per Process.
func (p *Process) RunConsumer(ctx context.Context) error {
	err := settlement.New(p.config.Name, p.store, p.ledger, p.log, p.Registry).Run(ctx)
	p.log.Info().Msg("consumer stopped")
	return err
}

// RunScheduler does the duties, looks over it all and, while it leads, audits the live
// sales, until ctx ends. Once per Process.
func (p *Process) RunScheduler(ctx context.Context) error {
	duties := upkeep.New(p.config.Name, p.store, p.ledger, p.config.BatchesKeep, p.config.ReceiptsKeep, p.log, p.Registry)
	around := survey.New(p.store, p.ledger, p.config.Backlog, p.log, p.Registry)
	patrol := audit.NewPatrol(p.store, p.ledger, p.config.AuditEvery, duties.Leads, p.log, p.Registry)
	err := Together(ctx, duties.Run, atMost(surveyPatience, around.Run), atMost(surveyPatience, patrol.Run))
	p.log.Info().Msg("scheduler stopped")
	return err
}

// ErrPortBusy is wrapped by Listen when somebody listens there already.
var ErrPortBusy = errors.New("somebody else listens there")

// Listen opens a TCP port.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listen on %s: %w", address, ErrPortBusy)
	case err != nil:
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return l, nil
}
