// Package process builds a running Sluice out of its parts: it reads the
// configuration (nothing else reads the environment), opens both stores, makes
// every part, and says in which order they run and stop.
//
//	Config.Check ─▶ Open { Postgres, schema, partitions, Redis, the parts }
//	                  │
//	                  ├─▶ RunAPI         SLUICE_LISTEN
//	                  ├─▶ RunConsumer
//	                  ├─▶ RunScheduler
//	                  └─▶ RunOps         SLUICE_OPS_LISTEN: /healthz /readyz /metrics /audit /loglevel /debug
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
	door     *prometheus.Registry // metrics of what only the API does
	stopping atomic.Bool          // the API takes no new requests; /readyz says so
}

// Open connects to both stores and builds every part. The schema must be
// current: Open never migrates, so that a rolling update decides when it does.
func Open(ctx context.Context, c Config, log zerolog.Logger) (_ *Process, err error) {
	if err := c.Check(Servers); err != nil {
		return nil, err
	}
	p := &Process{config: c, log: log, Registry: prometheus.NewRegistry(), door: prometheus.NewRegistry()}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	// Asked first: a session that a pooler opens before the schema is there has none of
	// its limits, and is somebody's for as long as the pooler keeps it.
	if err := schemaCurrent(ctx, c.SchemaURL()); err != nil {
		return nil, err
	}
	if p.ledger, err = ledger.Open(ctx, ledger.Options{
		URL: c.PostgresURL, MaxConns: c.PostgresConns, Pooler: c.PostgresPooler,
		ReplicaURL: c.PostgresReplicaURL, ReplicaLag: c.PostgresReplicaLag,
	}); err != nil {
		return nil, err
	}
	if err := p.ledger.EnsurePartitions(ctx, c.Partitions); err != nil {
		return nil, err
	}
	if p.store, err = partition.Open(ctx, partition.Options{URL: c.RedisURL, Dial: c.RedisDial, Partitions: c.Partitions}); err != nil {
		return nil, fmt.Errorf("connect to Redis: %w", err)
	}
	p.Registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewBuildInfoCollector(),
	)
	p.Registry.MustRegister(pools{p}, buildInfo())
	p.Admission = admission.New(p.store, p.ledger, c.limits(), p.door)
	p.Receipts = receipts.New(p.store, p.ledger, p.door)
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
	if p.sessions, err = sessions.Open(ctx, sessions.Options{URL: c.RedisURL, Dial: c.RedisDial}); err != nil {
		return nil, err
	}
	p.Accounts, err = accounts.New(p.ledger, p.sessions, keys)
	return p, err
}

// closePatience is how long Close waits for a server that does not answer.
const closePatience = time.Second

// Close ends the connections to both stores. Those to a Postgres that does not even
// answer to that within a second are left to end with the process.
func (p *Process) Close() (err error) {
	if p.sessions != nil {
		err = p.sessions.Close()
	}
	if p.store != nil {
		err = errors.Join(err, p.store.Close())
	}
	if p.ledger != nil {
		closed := make(chan struct{})
		go func() {
			p.ledger.Close()
			close(closed)
		}()
		select {
		case <-closed:
		case <-time.After(closePatience):
			err = errors.Join(err, fmt.Errorf("close the connections to Postgres: no answer within %s", closePatience))
		}
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
