package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// rivers carries bids as jobs of River, a queue in tables of Postgres. It is the one
// carrier that is as durable as the books.
//
// Turned: bids that come together are inserted together (InsertManyFast, which is
// COPY), so that many share a COMMIT; workers, so that a fetch takes many; the shortest
// cooldown between fetches, a tenth of a second as it comes; a poll, where a
// notification is late. Completed jobs are written together by River itself.
type rivers struct{ carrier }

const (
	riverSchema   = "rivals_river"
	riverWorkers  = 1000
	riverCooldown = time.Millisecond
	riverPoll     = 50 * time.Millisecond
	riverInserts  = 2 // batches under way: one is copied while another one waits for the disk
)

// riverBid is a job.
type riverBid struct{ bid }

func (riverBid) Kind() string { return "bid" }

type riverWorker struct {
	river.WorkerDefaults[riverBid]
	settle settleOne
}

func (w *riverWorker) Work(ctx context.Context, job *river.Job[riverBid]) error {
	return w.settle(ctx, job.Args.bid)
}

// NextRetry is soon: what failed is the database, for a moment.
func (w *riverWorker) NextRetry(*river.Job[riverBid]) time.Time {
	return time.Now().Add(100 * time.Millisecond)
}

// makeRiver makes River's tables anew.
func makeRiver(ctx context.Context, url string) error {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	if _, err := pool.Exec(ctx, `drop schema if exists `+riverSchema+` cascade; create schema `+riverSchema); err != nil {
		return err
	}
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: riverSchema, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return err
}

// Run serves until ctx ends.
func (r *rivers) Run(ctx context.Context) error { return r.run(ctx, beginRiver) }

func beginRiver(ctx context.Context, books *books, settle settleOne) (carry, func(), error) {
	workers := river.NewWorkers()
	river.AddWorker(workers, &riverWorker{settle: settle})
	client, err := river.NewClient(riverpgxv5.New(books.pool), &river.Config{
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: riverWorkers}}, Workers: workers, Schema: riverSchema,
		FetchCooldown: riverCooldown, FetchPollInterval: riverPoll, Logger: slog.New(slog.DiscardHandler),
		SoftStopTimeout: stopGrace,
	})
	if err != nil {
		return nil, nil, err
	}
	// It is told to stop by stop, when nobody can enqueue any more.
	if err := client.Start(context.WithoutCancel(ctx)); err != nil {
		return nil, nil, err
	}
	inserts := doTogether(most, func(ctx context.Context, bids []bid) ([]struct{}, error) {
		jobs := make([]river.InsertManyParams, len(bids))
		for i, b := range bids {
			jobs[i].Args = riverBid{b}
		}
		_, err := client.InsertManyFast(ctx, jobs)
		return make([]struct{}, len(bids)), err
	})
	inserting, end := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	for range riverInserts {
		running.Go(func() { inserts.run(inserting) })
	}
	return func(ctx context.Context, b bid) error {
			_, err := inserts.ask(ctx, b)
			return err
		}, func() {
			end()
			running.Wait()
			stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
			defer cancel()
			if err := client.Stop(stopping); err != nil && !errors.Is(err, pgx.ErrTxClosed) {
				_ = client.StopAndCancel(stopping)
			}
		}, nil
}
