// Package process builds a running Sluice out of its parts: it reads the
// configuration (nothing else reads the environment), opens both stores, makes
// every part, and says in which order they run and stop.
//
//	Config.Check ─▶ Open { Postgres, schema, partitions, Redis, the parts }
//	                  │
//	                  ├─▶ RunAPI         SLUICE_LISTEN
//	                  ├─▶ RunConsumer
//	                  ├─▶ RunScheduler
//	                  └─▶ RunOps         SLUICE_OPS_LISTEN: /healthz /readyz /metrics
//
// Which of them run in one process is the command's choice: cmd/api runs the
// first, cmd/consumer the second, `sluice up` all of them. Together obeys the
// order of shutdown: what takes requests stops first, what finishes them next,
// and the stores close when nobody uses them any more.
package process

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/rs/zerolog"

	"sluice/internal/accounts"
	"sluice/internal/admission"
	"sluice/internal/audit"
	"sluice/internal/bookings"
	"sluice/internal/catalog"
	"sluice/internal/coupons"
	"sluice/internal/deadletters"
	"sluice/internal/ledger"
	"sluice/internal/notices"
	"sluice/internal/partition"
	"sluice/internal/receipts"
	"sluice/internal/sessions"
	"sluice/migrations"
)

// Process is every part of Sluice over one pair of stores. Close it when all
// its loops have ended.
type Process struct {
	Admission *admission.Admission
	Receipts  *receipts.Receipts
	Catalog   *catalog.Catalog
	Bookings  *bookings.Bookings
	Coupons   *coupons.Coupons
	Notices   *notices.Notices
	Accounts  *accounts.Accounts // nil without token keys: then RunAPI refuses
	Audit     *audit.Audit
	Dead      *deadletters.Letters
	Registry  *prometheus.Registry // Go, process and build metrics, and those of every loop that runs

	config   Config
	log      zerolog.Logger
	store    *partition.Store
	sessions *sessions.Store // nil without token keys
	ledger   *ledger.Ledger
	stopping atomic.Bool // the API takes no new requests; /readyz says so
}

// Open connects to both stores and builds every part. The schema must be
// current: Open never migrates, so that a rolling update decides when it does.
func Open(ctx context.Context, c Config, log zerolog.Logger) (_ *Process, err error) {
	if err := c.Check(Servers); err != nil {
		return nil, err
	}
	p := &Process{config: c, log: log, Registry: prometheus.NewRegistry()}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	if p.ledger, err = ledger.Open(ctx, ledger.Options{URL: c.PostgresURL, MaxConns: c.PostgresConns}); err != nil {
		return nil, err
	}
	if err := schemaCurrent(ctx, c.PostgresURL); err != nil {
		return nil, err
	}
	if err := p.ledger.EnsurePartitions(ctx, c.Partitions); err != nil {
		return nil, err
	}
	if p.store, err = partition.Open(ctx, partition.Options{URL: c.RedisURL, Partitions: c.Partitions}); err != nil {
		return nil, fmt.Errorf("connect to Redis: %w", err)
	}
	p.Registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewBuildInfoCollector(),
	)
	p.Admission = admission.New(p.store, p.ledger, c.limits(), p.Registry)
	p.Receipts = receipts.New(p.store, p.ledger)
	p.Catalog = catalog.New(p.store, p.ledger)
	p.Bookings = bookings.New(p.store, p.ledger)
	p.Coupons = coupons.New(p.ledger)
	p.Notices = notices.New(p.ledger)
	p.Audit = audit.New(p.store, p.ledger)
	p.Dead = deadletters.New(p.store, c.Backlog)
	if c.JWTKeys == "" {
		return p, nil
	}
	keys, err := parseKeys(c.JWTKeys)
	if err != nil {
		return nil, err
	}
	if p.sessions, err = sessions.Open(ctx, c.RedisURL); err != nil {
		return nil, err
	}
	p.Accounts, err = accounts.New(p.ledger, p.sessions, keys)
	return p, err
}

// Close ends the connections to both stores.
func (p *Process) Close() (err error) {
	if p.sessions != nil {
		err = p.sessions.Close()
	}
	if p.store != nil {
		err = errors.Join(err, p.store.Close())
	}
	if p.ledger != nil {
		p.ledger.Close()
	}
	return err
}

// Token answers a bearer token for an account, for tools that speak for accounts
// of their own making. role is buyer, seller or admin.
func (p *Process) Token(account int64, role string, life time.Duration) (string, error) {
	return p.Accounts.Token(accounts.Who{Account: account, Role: accounts.Role(role)}, life)
}

// Migrate brings the database at url to the newest schema.
func Migrate(ctx context.Context, url string) error { return migrations.Apply(ctx, url) }

// Pending counts the migrations that the database at url lacks.
func Pending(ctx context.Context, url string) (int, error) { return migrations.Pending(ctx, url) }

// schemaCurrent says whether this program and the schema fit.
func schemaCurrent(ctx context.Context, url string) error {
	switch n, err := migrations.Pending(ctx, url); {
	case err != nil:
		return err
	case n > 0:
		return fmt.Errorf("the database lacks %d of this program's migrations: run `sluice migrate` on it first", n)
	}
	return nil
}
