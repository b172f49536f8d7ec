package bench

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"sluice/internal/partition"
	"sluice/internal/process"
)

// waiters is what it takes to have many wait.
var waiters = Scenario{
	Name: "waiters", Title: "10,000 who wait",
	What: "10,000 bare connections in the process of the benchmark come to one API at 2,000 a second and wait: each for the receipt of its own bid, by " +
		"long poll or by its event stream, or all for changes of one sale. Nothing is settled until all of them wait. Memory (resident) and CPU are the " +
		"API's alone, after 15 quiet seconds, CPU over 10 more. Then a consumer is started. Told is from the settlement, by the clock of the Redis that " +
		"made it visible, to the answer in the client's hand; meanwhile the consumer settles as fast as it can.",
	Gives: []string{
		"memory, long poll", "memory, event stream", "memory, event stream of a sale", "told p99, long poll", "told p99, event stream", "told p99, event stream of a sale",
	},
	Run: measureWaiters,
}

const changes = 5 // of a sale that a crowd follows

func measureWaiters(ctx context.Context, r *Run) error {
	stage, err := r.Stage(ctx)
	if err != nil {
		return err
	}
	d, err := stage.Sluice(ctx, r.Scale(10_000, 60))
	if err != nil {
		return err
	}
	if err := d.Open(ctx); err != nil {
		return err
	}
	for _, way := range []struct {
		name, request string
		memory        Target
	}{
		{"long poll", "GET %s HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer %s\r\nPrefer: wait=60\r\n\r\n", Target{Bound: 200, Goal: 100}},
		{"event stream", "GET %s/events HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer %s\r\n\r\n", Target{Bound: 300, Goal: 150}},
	} {
		if err := d.waitForReceipts(ctx, r, way.name, way.request, way.memory); err != nil {
			return fmt.Errorf("%s: %w", way.name, err)
		}
	}
	if err := d.waitForSale(ctx, r, "event stream of a sale", Target{Bound: 300, Goal: 150}); err != nil {
		return fmt.Errorf("event stream of a sale: %w", err)
	}
	return nil
}

// waitForReceipts has everybody wait for his own.
func (d *Sluice) waitForReceipts(ctx context.Context, r *Run, name, request string, memory Target) error {
	lamp, err := d.Auction(ctx, endless)
	if err != nil {
		return err
	}
	if err := d.Run(ctx, process.RoleAPI); err != nil {
		return err
	}
	receipts, err := d.bidAll(ctx, d.Bidding(lamp, 64))
	if err != nil {
		return err
	}
	if err := d.Rest(process.RoleAPI); err != nil { // the one that is measured has never seen a POST
		return err
	}
	if err := d.Run(ctx, process.RoleAPI); err != nil {
		return err
	}
	numbers := make(map[uuid.UUID]int, len(receipts))
	crowd := make([]*waiter, len(receipts))
	for i, path := range receipts {
		receipt, err := uuid.Parse(path[strings.LastIndexByte(path, '/')+1:])
		if err != nil {
			return err
		}
		numbers[receipt] = i
		crowd[i] = &waiter{request: fmt.Appendf(nil, request, path, d.Tokens[i]), word: []byte(`"status":"confirmed"`)}
	}
	api := d.running[process.RoleAPI]
	waiting, err := gather(ctx, api, crowd)
	defer waiting.disperse()
	if err != nil {
		return err
	}
	if err := d.rest(ctx, r, name, api, memory); err != nil {
		return err
	}
	settled := make([]atomic.Int64, len(crowd))
	stop, err := d.watched(ctx, func(c partition.Changes) {
		for _, changed := range c.Receipts {
			if i, ok := numbers[changed.Receipt]; ok {
				settled[i].Store(int64(c.At))
			}
		}
	})
	if err != nil {
		return err
	}
	if err := d.Run(ctx, process.RoleConsumer); err != nil {
		return err
	}
	if err := waiting.wait(); err != nil {
		return err
	}
	if err := until(ctx, openBy, "all is announced", func() (bool, error) {
		for i := range settled {
			if settled[i].Load() == 0 {
				return false, nil
			}
		}
		return true, nil
	}); err != nil {
		return err
	}
	if err := stop(); err != nil {
		return err
	}
	var late []time.Duration
	for i, w := range crowd {
		late = append(late, w.told.Sub(time.UnixMilli(settled[i].Load())))
	}
	r.told(name, late)
	if err := d.Rest(process.RoleConsumer); err != nil {
		return err
	}
	return d.Rest(process.RoleAPI)
}

// waitForSale has everybody follow one sale.
func (d *Sluice) waitForSale(ctx context.Context, r *Run, name string, memory Target) error {
	lamp, err := d.Auction(ctx, endless)
	if err != nil {
		return err
	}
	if err := d.Run(ctx, process.RoleAPI); err != nil {
		return err
	}
	api := d.running[process.RoleAPI]
	crowd := make([]*waiter, len(d.Tokens))
	for i := range crowd {
		crowd[i] = &waiter{request: fmt.Appendf(nil, "GET /v1/sales/%d/events HTTP/1.1\r\nHost: api\r\n\r\n", lamp), counts: true}
	}
	waiting, err := gather(ctx, api, crowd)
	defer waiting.disperse()
	if err != nil {
		return err
	}
	if err := d.rest(ctx, r, name, api, memory); err != nil {
		return err
	}
	var at atomic.Int64
	stop, err := d.watched(ctx, func(c partition.Changes) {
		if slices.Contains(c.Sales, lamp) {
			at.Store(int64(c.At))
		}
	})
	if err != nil {
		return err
	}
	if err := d.Run(ctx, process.RoleConsumer); err != nil {
		return err
	}
	var late []time.Duration
	for range r.Scale(changes, 1) {
		at.Store(0)
		seen := make([]int64, len(crowd))
		for i, w := range crowd {
			seen[i] = w.events.Load()
		}
		bid := d.Bidding(lamp, 1)
		bid.Count, bid.Expect = 1, []int{http.StatusAccepted}
		if _, _, err := d.Load(ctx, bid); err != nil {
			return err
		}
		if err := until(ctx, openBy, "everybody has heard of a bid", func() (bool, error) {
			for i, w := range crowd {
				if w.events.Load() == seen[i] {
					return false, nil
				}
			}
			return at.Load() != 0, nil
		}); err != nil {
			return err
		}
		for _, w := range crowd {
			late = append(late, time.UnixMicro(w.last.Load()).Sub(time.UnixMilli(at.Load())))
		}
		if err := pause(ctx, min(time.Second, r.Length(1))); err != nil { // so that each is a change after a rest
			return err
		}
	}
	if err := stop(); err != nil {
		return err
	}
	r.told(name, late)
	if err := d.Rest(process.RoleConsumer); err != nil {
		return err
	}
	return d.Rest(process.RoleAPI)
}

// rest tells what the API needs while nothing happens.
func (d *Sluice) rest(ctx context.Context, r *Run, name string, api *Program, memory Target) error {
	if err := pause(ctx, r.Length(15)); err != nil { // after the last has come: idle workers are gone
		return err
	}
	before := d.CPU()[api.Name]
	length := r.Length(10)
	if err := pause(ctx, length); err != nil {
		return err
	}
	used := d.CPU()[api.Name] - before
	resident, err := api.metric(ctx, "process_resident_memory_bytes")
	if err != nil {
		return err
	}
	r.Figure("memory, "+name, "MB", resident/1e6, memory)
	if peak, ok := peakOf(api.cmd.Process.Pid); ok {
		r.Figure("memory at worst, "+name, "MB", float64(peak)/1e6, Target{})
		r.Figure("CPU while nothing happens, "+name, "% of a core", 100*used.Seconds()/length.Seconds(), Target{})
	}
	return nil
}

// told tells how late a crowd was told.
func (r *Run) told(name string, late []time.Duration) {
	slices.Sort(late)
	at := func(part float64) float64 {
		return float64(late[min(int(part*float64(len(late))), len(late)-1)].Microseconds()) / 1000
	}
	r.Figure("told p50, "+name, "ms", at(0.5), Target{})
	r.Figure("told p99, "+name, "ms", at(0.99), Target{Bound: 200, Goal: 200, AtMost: true})
	r.Figure("told last, "+name, "ms", at(1), Target{})
}

// watched hears of what is settled until stop is called: when each was, by Redis' clock.
func (d *Sluice) watched(ctx context.Context, changed func(partition.Changes)) (stop func() error, err error) {
	store, err := partition.Open(ctx, partition.Options{URL: d.RedisURL, Partitions: partitioned})
	if err != nil {
		return nil, err
	}
	d.closing(store.Close)
	ctx, cancel := context.WithCancel(ctx)
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- store.Watch(ctx, func([]int, error) { close(ready) }, changed) }()
	select {
	case <-ready:
	case err := <-ended:
		cancel()
		return nil, fmt.Errorf("nobody watches: %w", err)
	}
	d.closing(func() error { cancel(); return nil })
	return func() error {
		cancel()
		return <-ended
	}, nil
}

// pause waits, or until ctx ends, which is an error.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
