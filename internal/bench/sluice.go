package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"sluice/internal/partition"
	"sluice/internal/process"
	"sluice/internal/sale"
)

const (
	balance     = 1 << 32 // points of a buyer: nobody ever runs short, and a million of them do not overdraw their source
	price       = 10      // of everything that is sold here
	bidBody     = `{"quantity":1,"price":10}`
	openBy      = 30 * time.Second // for partitions to be taken, and sales to open
	settleBy    = 3 * time.Minute  // for a backlog
	tokenLife   = 12 * time.Hour
	accountsAt  = 10_000 // made at once
	partitioned = 16     // as by default
)

// Sluice is one deployed on a stage: a process of each role, or of some.
type Sluice struct {
	*Stage
	Inside *process.Process // makes accounts and sales, and audits
	Keys   string           // as SLUICE_JWT_KEYS
	Tokens []string         // of buyers

	seller   int64
	settings []string
	running  map[string]*Program
}

// Sluice deploys one with so many buyers. No process of it runs yet. settings are
// SLUICE_…=… of all its processes, beside those that the benchmark needs.
func (s *Stage) Sluice(ctx context.Context, buyers int, settings ...string) (*Sluice, error) {
	d := &Sluice{Stage: s, Keys: newKeys(), running: map[string]*Program{}}
	if err := process.Migrate(ctx, s.PostgresURL); err != nil {
		return nil, err
	}
	var err error
	d.Inside, err = process.Open(ctx, process.Config{
		RedisURL: s.RedisURL, PostgresURL: s.PostgresURL, JWTKeys: d.Keys,
		Partitions: partitioned, PostgresConns: 4, Listen: "127.0.0.1:0", OpsListen: "127.0.0.1:0", ShutdownGrace: 10 * time.Second,
		BuyerBurst: 1, Backlog: 1, PollBudget: 1000, Waiters: 1, BatchesKeep: 24 * time.Hour, LogLevel: "warn", LogFormat: "json", Name: "bench",
	}, zerolog.Nop())
	if err != nil {
		return nil, err
	}
	s.closing(d.Inside.Close)
	// Beyond these, everything is as it is by default. One buyer stands for many here, and
	// nobody is to be sent away for what others have queued.
	d.settings = append([]string{
		"SLUICE_REDIS_URL=" + s.RedisURL, "SLUICE_POSTGRES_URL=" + s.PostgresURL, "SLUICE_JWT_KEYS=" + d.Keys,
		"SLUICE_LISTEN=127.0.0.1:0", "SLUICE_OPS_LISTEN=127.0.0.1:0", "SLUICE_BUYER_RATE=0", "SLUICE_BACKLOG=100000000", "SLUICE_LOG_LEVEL=info", "SLUICE_LOG_FORMAT=json",
	}, settings...)
	sellers, err := d.Inside.Accounts.Create(ctx, "seller", 1, 0)
	if err != nil {
		return nil, err
	}
	d.seller = sellers[0]
	for left := buyers; left > 0; left -= accountsAt {
		accounts, err := d.Inside.Accounts.Create(ctx, "buyer", min(left, accountsAt), balance)
		if err != nil {
			return nil, err
		}
		for _, account := range accounts {
			token, err := d.Inside.Token(account, "buyer", tokenLife)
			if err != nil {
				return nil, err
			}
			d.Tokens = append(d.Tokens, token)
		}
	}
	return d, nil
}

// newKeys are token keys, as SLUICE_JWT_KEYS: one, whose secret cannot be taken for base64.
func newKeys() string { return "bench:" + rand.Text() + "." + rand.Text() }

// Run starts processes of these roles, which are named after them.
func (d *Sluice) Run(ctx context.Context, roles ...string) error {
	for _, role := range roles {
		p, err := d.Start(ctx, role, Command{
			Args: append(d.house.Program[:len(d.house.Program):len(d.house.Program)], "worker", role),
			Env:  append(d.settings[:len(d.settings):len(d.settings)], "SLUICE_NAME=bench-"+role), Quiet: role != process.RoleAPI,
		})
		if err != nil {
			return err
		}
		d.running[role] = p
	}
	return nil
}

// Rest stops the process of a role in order.
func (d *Sluice) Rest(role string) error {
	p := d.running[role]
	if p == nil {
		return fmt.Errorf("no %s runs", role)
	}
	delete(d.running, role)
	return d.Leave(p)
}

// API is where it answers.
func (d *Sluice) API() string {
	if p := d.running[process.RoleAPI]; p != nil {
		return p.Address
	}
	return ""
}

// Auction offers so much at a price that does not fall, for an hour, and returns when it
// is open. That needs a consumer which has opened the partitions.
func (d *Sluice) Auction(ctx context.Context, stock int64) (int64, error) {
	now := sale.At(time.Now()) + 20
	s, _, err := d.Inside.Catalog.Create(ctx, sale.Sale{
		Kind: sale.Auction, Seller: d.seller, Title: "bench", Stock: stock, Limit: stock, ShowStock: true, RefundWindow: time.Hour,
		Price:   sale.Price{Policy: sale.Constant, Start: price, Drop: 1, Period: time.Hour},
		OpensAt: now, ClosesAt: now.Add(time.Hour),
	}, "")
	if err != nil {
		return 0, err
	}
	return s.ID, until(ctx, openBy, "the sale opens", func() (bool, error) {
		_, at, err := d.Inside.Catalog.Sale(ctx, s.ID)
		if refused := new(sale.Refusal); errors.As(err, &refused) && refused.Code == sale.RefusedLoading || errors.Is(err, partition.ErrLoading) {
			return false, nil
		}
		return at > s.OpensAt, err
	})
}

// Open has a consumer open all partitions, and rest; then nobody is needed to queue
// requests.
func (d *Sluice) Open(ctx context.Context) error {
	if err := d.Run(ctx, process.RoleConsumer); err != nil {
		return err
	}
	store, err := partition.Open(ctx, partition.Options{URL: d.RedisURL, Partitions: partitioned})
	if err != nil {
		return err
	}
	err = until(ctx, openBy, "all partitions are open", func() (bool, error) {
		pulses, _, err := store.Pulses(ctx)
		shut := slices.ContainsFunc(slices.Collect(maps.Values(pulses)), func(p partition.Pulse) bool { return strings.HasPrefix(p.Data, " ") })
		return len(pulses) == partitioned && !shut, err
	})
	return errors.Join(err, store.Close(), d.Rest(process.RoleConsumer))
}

// Bids is where one bids for a sale.
func Bids(sale int64) string { return fmt.Sprintf("/v1/sales/%d/bids", sale) }

// Bidding is the load of bids that are all accepted.
func (d *Sluice) Bidding(sale int64, connections int) Load {
	return Load{
		Address: d.API(), Journey: Post, Connections: connections, Path: Bids(sale), Tokens: d.Tokens, Body: bidBody,
		Key: strings.ToLower(rand.Text()[:8]) + "-", Expect: []int{http.StatusAccepted},
	}
}

// Sold is how many units of a sale are sold for everybody to see.
func (d *Sluice) Sold(ctx context.Context, sale int64) (int64, error) {
	stand, _, err := d.Inside.Catalog.Sale(ctx, sale)
	if err != nil {
		return 0, err
	}
	return stand.Sold, nil
}

// Settled waits until so many units of a sale are sold.
func (d *Sluice) Settled(ctx context.Context, sale, want int64) error {
	return until(ctx, settleBy, fmt.Sprintf("%d units are sold", want), func() (bool, error) {
		sold, err := d.Sold(ctx, sale)
		if err == nil && sold > want {
			err = fmt.Errorf("%d units are sold, and only %d were asked for", sold, want)
		}
		return sold == want, err
	})
}

// Audited is an error unless an audit finds everything in order. Partitions that do not
// hold still are given some time.
func (d *Sluice) Audited(ctx context.Context) error {
	return until(ctx, settleBy, "all partitions hold still for an audit", func() (bool, error) {
		found, err := d.Inside.Audit.Run(ctx)
		switch {
		case err != nil:
			return false, fmt.Errorf("audit: %w", err)
		case found.Verdict == "busy" || found.Unfinished > 0:
			return false, nil
		case found.Verdict != "ok" || found.Oversold+found.Inversions != 0:
			return false, fmt.Errorf("the audit is %s: %+v", found.Verdict, found)
		}
		return true, nil
	})
}

// until waits for something that nobody announces.
func until(ctx context.Context, patience time.Duration, what string, met func() (bool, error)) error {
	for deadline := time.Now().Add(patience); ; {
		ok, err := met()
		if ok || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("in vain, after %s: %s", patience, what)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
