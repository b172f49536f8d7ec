package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"sluice/internal/httpapi"
	"sluice/internal/settlement"
	"sluice/internal/upkeep"
)

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

// Run is all of Sluice in one process until ctx ends. The order of the loops is
// the order of shutdown: the API stops accepting and finishes what it has, then
// the consumer settles its batches and hands its partitions over, then the
// scheduler gives its lead away. The operations port answers to the end.
func (p *Process) Run(ctx context.Context, api, ops net.Listener) error {
	return Together(ctx,
		func(ctx context.Context) error { return p.ServeAPI(ctx, api) },
		p.RunConsumer,
		p.RunScheduler,
		func(ctx context.Context) error { return p.ServeOps(ctx, ops) },
	)
}

// RunAPI answers HTTP at Config.Listen until ctx ends.
func (p *Process) RunAPI(ctx context.Context) error {
	l, err := Listen(ctx, p.config.Listen)
	if err != nil {
		return fmt.Errorf("%w; choose another address with SLUICE_LISTEN", err)
	}
	return p.ServeAPI(ctx, l)
}

// ServeAPI answers HTTP on l until ctx ends. Then it takes no more connections,
// and requests that are under way get Config.ShutdownGrace to finish. Once per
// Process: it registers its metrics. It closes l.
func (p *Process) ServeAPI(ctx context.Context, l net.Listener) error {
	if p.Accounts == nil {
		return errors.Join(errors.New("the API needs SLUICE_JWT_KEYS, to know who is asking"), l.Close())
	}
	api := httpapi.New(httpapi.Options{
		Admission: p.Admission, Receipts: p.Receipts, Catalog: p.Catalog,
		Bookings: p.Bookings, Coupons: p.Coupons, Notices: p.Notices, Accounts: p.Accounts,
		Log: p.log, Registry: p.Registry,
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
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.config.ShutdownGrace)
	defer cancel()
	if err := api.Shutdown(late); err != nil {
		return fmt.Errorf("finish the API's requests within %s: %w", p.config.ShutdownGrace, err)
	}
	p.log.Info().Msg("API stopped")
	return <-served
}

// RunConsumer owns a share of the partitions until ctx ends. Once per Process.
func (p *Process) RunConsumer(ctx context.Context) error {
	err := settlement.New(p.config.Name, p.store, p.ledger, p.log, p.Registry).Run(ctx)
	p.log.Info().Msg("consumer stopped")
	return err
}

// RunScheduler does the duties until ctx ends. Once per Process.
func (p *Process) RunScheduler(ctx context.Context) error {
	err := upkeep.New(p.config.Name, p.store, p.ledger, p.config.BatchesKeep, p.log, p.Registry).Run(ctx)
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
