// Package torture runs a deployment of real processes, breaks it at random while
// clients ask it for things, heals it, and checks that nobody was wronged.
//
//	servers     a Redis that syncs every write and a Postgres, private, killed and restarted in place
//	cluster     a Redis Cluster instead, and the witness, who measures what its failovers may lose
//	links       the lines from everybody to what they use, slow, cut off or swallowing at times
//	processes   api ×2, consumer ×3, scheduler ×2, each supervised: who is killed is started again
//	faults      the schedule, thrown from the seed before anything begins, and who obeys it
//	roll        a rolling update from another release, and back, and forth again
//	hosts       or else: everybody on hosts of their own, which are cut from each other
//	calm        or else: nothing breaks, processes are exchanged, and who waits must miss nothing
//	market      sellers offer new sales of all kinds every few seconds; some grow
//	traffic     buyers ask, repeat themselves, pay, cancel, refund, and write down all they are told
//	history     what they wrote, and Check, a pure function over it
//	report      the words and figures
//
//	start ─▶ traffic ∥ faults ─▶ heal ─▶ drain ─▶ read everything again ─▶ audit ─▶ stop ─▶ Check
//
// The seed decides the faults and what every buyer means to do. When each thing
// really happens is the machine's business, so a run can be repeated but not replayed.
//
// Everything is on loopback, in a folder of its own, and ends with this process,
// whatever ends it.
package torture

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"sluice/internal/process"
)

// The deployment.
const (
	apis       = 2
	consumers  = 3
	schedulers = 2
	partitions = 16
)

// Bounds of every step.
const (
	startBy  = 2 * time.Minute  // servers, schema, processes, accounts
	healBy   = time.Minute      // after the last fault: until every API answers
	drainBy  = 90 * time.Second // after the last request: until every receipt is at its end
	rereadBy = 2 * time.Minute
	auditBy  = 3 * time.Minute
)

// Options says how long, how, and with what.
type Options struct {
	Length time.Duration // of the traffic
	Seed   uint64
	Buyers int // 0: 64
	// Program runs a worker: it is given the role as one more argument, and its
	// settings in the environment. See process.Worker.
	Program []string
	// From is the same of another release, that the deployment begins with: while things
	// go on it is updated to Program, process by process, taken back, and updated again.
	From     []string
	Progress io.Writer // for a person to watch; nil: nothing
	Terminal bool      // Progress can rewrite its line
	Keep     bool      // the folder is kept also when nothing is wrong

	// Forgetful tortures with a Redis that keeps nothing over its death, and is emptied
	// at random besides. What was queued then may be lost, but not silently. See
	// CheckForgetful.
	Forgetful bool
	// Cluster tortures with a Redis Cluster, three masters and a replica of each, whose
	// nodes die, freeze, take over and exchange slots. What replication had not carried over
	// by then may be lost, and nothing else. See CheckFailover.
	Cluster bool

	// Hosts has everybody work on hosts of their own, in place of what happens otherwise:
	// these are cut from each other, frozen and switched off. See hosts.go.
	Hosts bool

	// Calm breaks nothing: with From, processes are exchanged one by one, and nobody may
	// notice. See calm.go.
	Calm bool

	strict bool    // the known-bad twin of all: what a forgetful Redis or a cluster does is judged as if it kept everything
	faults []fault // of a test; nil: the seed throws them

	hardships []hardship                          // of a test; nil: all kinds
	within    time.Duration                       // of a test: when what a host had must be taken over; 0: takenOverBy
	leaky     bool                                // the known-bad twin of Hosts: no cut cuts anything
	story     func(context.Context, *house) error // of a test: what happens in place of faults; nil: those
	after     func(context.Context, *crowd) error // of a test: looks at more in the end; nil: nothing more
	places    []int                               // of a test: for APIs, consumers, schedulers; nil: as ever
	vacant    int                                 // of these consumers, the last so many come when the story has them come
	rude      bool                                // the known-bad twin of Calm: nobody is asked to stop, and the balancer not told
}

// Check tells what is wrong with o.
func (o Options) Check() error {
	switch {
	case o.Length < 5*time.Second || o.Length > time.Hour:
		return fmt.Errorf("the length must be between 5s and 1h, not %s", o.Length)
	case o.Buyers < 0 || o.Buyers > 1000:
		return fmt.Errorf("buyers must be between 0 and 1000, not %d", o.Buyers)
	case o.Hosts && (o.Forgetful || o.Cluster || o.From != nil):
		return errors.New("hosts are cut off by themselves, without a Redis that forgets, a cluster or another release")
	case o.Calm && (o.From == nil || o.Hosts || o.Forgetful):
		return errors.New("a calm deployment is one that is updated from another release, and nothing else")
	case o.Cluster && o.Forgetful:
		return errors.New("a cluster does not forget: choose one of both")
	case o.Cluster && o.From != nil:
		return errors.New("the release before knows no cluster")
	}
	return nil
}

// house is one run.
type house struct {
	Options
	folder  string
	config  process.Config
	servers *servers
	links   *links
	fleet   *fleet
	hosts   *hosts // nil: all is on this one
	calm    *calm  // nil: it is not
	struck  struck
	began   time.Time    // of the traffic
	found   []Violation  // by our own eyes
	asked   func() []int // partitions of which something was asked lately
}

// Run tortures a deployment. An error says that it could not be done; what came of
// it is the report's business. The folder with everybody's logs and the history is
// kept when something is wrong.
func Run(ctx context.Context, o Options) (report Report, err error) {
	o.Buyers = cmp.Or(o.Buyers, 64)
	if err := o.Check(); err != nil {
		return Report{}, err
	}
	h := &house{Options: o, struck: struck{done: map[string]int{}}}
	if h.folder, err = os.MkdirTemp("", "sluice-torture-*"); err != nil {
		return Report{}, err
	}
	defer func() {
		interrupted := ctx.Err() != nil
		if !o.Keep && (interrupted || err == nil && report.Clean()) {
			err = errors.Join(err, os.RemoveAll(h.folder))
		} else {
			h.say("logs and history are in %s", h.folder)
		}
	}()
	defer func() { err = errors.Join(err, h.close()) }()
	c, err := h.open(ctx)
	if err != nil {
		return Report{}, err
	}
	defer c.close()
	if err := h.torment(ctx, c); err != nil {
		return Report{}, err
	}
	return h.judge(ctx, c)
}

// open starts the servers, the processes and makes everybody's accounts.
func (h *house) open(ctx context.Context) (*crowd, error) {
	ctx, cancel := context.WithTimeout(ctx, startBy)
	defer cancel()
	apis, consumers, schedulers := apis, consumers, schedulers
	switch {
	case h.Hosts:
		apis, consumers, schedulers = hostsMost, hostsMost, hostsMost
	case h.places != nil:
		apis, consumers, schedulers = h.places[0], h.places[1], h.places[2]
	}
	h.say("starting Redis, Postgres and %d processes; the seed is %d", apis+consumers+schedulers, h.Seed)
	var err error
	if h.servers, err = startServers(ctx, h.folder, h.Options); err != nil {
		return nil, err
	}
	if err := process.Migrate(ctx, h.servers.postgresURL); err != nil {
		return nil, err
	}
	h.config = process.Config{
		RedisURL: h.servers.redisURL, PostgresURL: h.servers.postgresURL, JWTKeys: "torture:" + rand.Text() + rand.Text(),
		Partitions: partitions, PostgresConns: 8, Listen: "127.0.0.1:0", OpsListen: "127.0.0.1:0", ShutdownGrace: 5 * time.Second,
		BuyerBurst: 1000, Backlog: 100_000, PollBudget: 10_000, Waiters: 20_000, BatchesKeep: 24 * time.Hour, AuditEvery: 500 * time.Millisecond, LogLevel: "warn", LogFormat: "json", Name: "torture",
	}
	first := h.Program
	if h.From != nil {
		first = h.From
	}
	if h.fleet, err = newFleet(first, h.folder, h.env(), apis, consumers, schedulers); err != nil {
		return nil, err
	}
	connect := h.connect
	switch {
	case h.Hosts:
		connect = h.settle
	case h.Calm:
		connect = h.lineUp
	}
	if err := connect(); err != nil {
		return nil, err
	}
	h.fleet.leaveVacant(h.vacant)
	h.fleet.launch()
	if err := h.fleet.ready(ctx); err != nil {
		return nil, err
	}
	return h.invite(ctx)
}

// connect lays the links of all workers.
func (h *house) connect() error {
	h.links = newLinks()
	for _, w := range h.fleet.workers {
		redisURL := h.config.RedisURL
		var err error
		if c := h.servers.cluster; c != nil {
			w.args, err = h.links.lead(w.name, c, &w.links)
		} else {
			redisURL, err = h.links.detour(w.name+"-redis", redisURL, &w.links)
		}
		if err != nil {
			return err
		}
		postgresURL, err := h.links.detour(w.name+"-postgres", h.config.PostgresURL, &w.links)
		if err != nil {
			return err
		}
		w.env = []string{"SLUICE_REDIS_URL=" + redisURL, "SLUICE_POSTGRES_URL=" + postgresURL}
		if w.role == process.RoleAPI {
			front, err := h.links.lay(w.name, w.listen, &w.links)
			if err != nil {
				return err
			}
			w.address = front.address
		}
	}
	return nil
}

// forgiving says whether what is lost with Redis' data is no fault, or not always.
func (h *house) forgiving() bool { return (h.Forgetful || h.Cluster) && !h.strict }

// env is what all workers are told.
func (h *house) env() (env []string) {
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "SLUICE_") {
			env = append(env, variable)
		}
	}
	return append(env,
		"SLUICE_JWT_KEYS="+h.config.JWTKeys,
		fmt.Sprintf("SLUICE_PARTITIONS=%d", h.config.Partitions), fmt.Sprintf("SLUICE_POSTGRES_CONNS=%d", h.config.PostgresConns),
		"SLUICE_OPS_LISTEN="+h.config.OpsListen, "SLUICE_BUYER_RATE=0", "SLUICE_SHUTDOWN_GRACE="+h.config.ShutdownGrace.String(),
		"SLUICE_LOG_LEVEL="+h.config.LogLevel, "SLUICE_LOG_FORMAT="+h.config.LogFormat)
}

// inside opens a process of our own, for what no API offers: accounts in bulk, and
// the audit.
func (h *house) inside(ctx context.Context, work func(*process.Process) error) error {
	p, err := process.Open(ctx, h.config, zerolog.Nop())
	if err != nil {
		return err
	}
	return errors.Join(work(p), p.Close())
}

// torment lets everybody ask while things break, heals, and waits until all is
// decided. Its only errors are that ctx ended and that something did not come back.
func (h *house) torment(ctx context.Context, c *crowd) error {
	h.began = time.Now()
	c.began, h.asked = h.began, c.lately
	done := make(chan struct{})
	watched := make(chan struct{})
	go func() { defer close(watched); c.watch(done, h) }()
	defer func() { close(done); <-watched }()

	// The buyers' patience ends some time after the last fault.
	work, giveUp := context.WithDeadline(ctx, h.began.Add(h.Length+pauseMost+healBy+drainBy))
	defer giveUp()
	faults := h.faults
	if faults == nil && !h.Hosts && !h.Calm {
		faults = plan(h.Seed, h.Length, h.kinds())
		if h.Cluster {
			faults = append(faults, ordeals(h.Seed, h.Length)...)
		}
	}
	strike := func() error { return h.strike(ctx, faults) }
	switch {
	case h.Hosts:
		strike = func() error { return h.afflict(ctx) }
	case h.story != nil:
		strike = func() error { return h.story(ctx, h) }
	}
	struck := make(chan error, 1)
	go func() {
		err := strike()
		if err != nil {
			giveUp() // what does not come back cannot be waited for
		}
		struck <- err
	}()
	rolled := make(chan error, 1)
	go func() { rolled <- h.roll(ctx) }()
	c.play(work, h.began.Add(h.Length))
	if err := errors.Join(<-struck, <-rolled, ctx.Err()); err != nil {
		return err
	}
	heal, cancel := context.WithTimeout(ctx, healBy)
	defer cancel()
	return h.fleet.ready(heal)
}

// judge reads everything once more, audits, stops the processes and checks.
func (h *house) judge(ctx context.Context, c *crowd) (Report, error) {
	reread, cancel := context.WithTimeout(ctx, rereadBy)
	defer cancel()
	if h.forgiving() {
		if err := c.recall(reread); err != nil {
			return Report{}, fmt.Errorf("ask again for what was lost: %w", err)
		}
	}
	if err := errors.Join(c.reread(reread), c.lookAtQuiet(reread)); err != nil {
		return Report{}, err
	}
	if h.after != nil {
		if err := h.after(reread, c); err != nil {
			return Report{}, err
		}
	}
	if c.waiting != nil {
		if err := c.lookAtClosed(reread); err != nil {
			return Report{}, err
		}
		c.waiting.end(reread, &c.record.History, toldBy)
	}
	h.fleet.stop(process.RoleAPI)
	h.fleet.stop(process.RoleScheduler)
	found, err := h.audit(ctx)
	if err != nil {
		return Report{}, err
	}
	h.fleet.stop(process.RoleConsumer)
	if h.Cluster {
		h.servers.cluster.witnessed(&c.record.History, h.began)
	}
	report := h.report(c, found)
	if !report.Clean() || h.Keep {
		text, err := json.Marshal(c.record.History)
		if err == nil {
			err = os.WriteFile(filepath.Join(h.folder, "history.json"), text, 0o600)
		}
		if err == nil {
			err = Picture(c.record.History, h.folder)
		}
		if err != nil {
			return Report{}, fmt.Errorf("keep the history: %w", err)
		}
	}
	return report, nil
}

// audit audits until nothing is queued and every partition holds still.
func (h *house) audit(ctx context.Context) (found proof, err error) {
	ctx, cancel := context.WithTimeout(ctx, auditBy)
	defer cancel()
	err = h.inside(ctx, func(p *process.Process) error {
		for deadline := time.Now().Add(healBy); ; {
			told, err := p.Audit.Run(ctx)
			if err != nil {
				return fmt.Errorf("audit: %w", err)
			}
			found = proof{
				Verdict: string(told.Verdict), Oversold: told.Oversold, Unfinished: told.Unfinished, Inversions: told.Inversions,
				Breaches: told.Breaches, Sales: told.Sales, Receipts: told.Receipts, Entries: told.Entries, Batches: told.Batches,
				Requests: told.Requests, TookMS: told.TookMS,
			}
			for _, f := range told.Broken {
				found.Broken = append(found.Broken, fmt.Sprintf("%s: partition %d, sale %d: %s", f.Rule, f.Partition, f.Sale, f.Detail))
			}
			if found.Verdict != "busy" && found.Unfinished == 0 || time.Now().After(deadline) {
				return nil
			}
			if err := wait(ctx, 500*time.Millisecond); err != nil {
				return err
			}
		}
	})
	return found, err
}

// close ends what is left, the processes before the servers that they use.
func (h *house) close() error {
	if h.fleet != nil {
		h.fleet.stop(process.RoleAPI, process.RoleScheduler, process.RoleConsumer)
	}
	if h.links != nil {
		h.links.close()
	}
	var err error
	if h.hosts != nil {
		err = h.hosts.close()
	}
	if h.calm != nil {
		err = errors.Join(err, h.calm.close())
	}
	if h.servers != nil {
		err = errors.Join(err, h.servers.close())
	}
	return err
}

func (h *house) say(format string, args ...any) {
	if h.Progress != nil {
		fmt.Fprintf(h.Progress, format+"\n", args...)
	}
}

// wait sleeps for d, or until ctx ends, which is an error.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
