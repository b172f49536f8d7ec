package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// asynqs carries bids as tasks of asynq, a queue in lists of Redis.
//
// Turned: concurrency, so that a settlement finds many who wait; the interval of looking
// into an empty queue, a second as it comes, which would be the time to verdict; a retry
// that begins soon; connections for all of them. The task's ID is the receipt's: while
// it is queued a repeat is refused by asynq, and after that by the books. Groups, by
// which asynq can hand over many, wait a second at least.
type asynqs struct{ carrier }

const (
	asynqWorkers = 512
	asynqLook    = 5 * time.Millisecond
)

// Run serves until ctx ends.
func (a *asynqs) Run(ctx context.Context) error { return a.run(ctx, a.begin) }

func (a *asynqs) begin(ctx context.Context, books *books, settle settleOne) (carry, func(), error) {
	options, err := redis.ParseURL(a.Redis)
	if err != nil {
		return nil, nil, err
	}
	to := asynq.RedisClientOpt{
		Addr: options.Addr, Username: options.Username, Password: options.Password, DB: options.DB, TLSConfig: options.TLSConfig, PoolSize: redisConnections,
	}
	queue := "bids-" + books.name
	server := asynq.NewServer(to, asynq.Config{
		Concurrency: asynqWorkers, Queues: map[string]int{queue: 1}, TaskCheckInterval: asynqLook, LogLevel: asynq.ErrorLevel,
		RetryDelayFunc:           func(int, error, *asynq.Task) time.Duration { return 100 * time.Millisecond },
		DelayedTaskCheckInterval: 100 * time.Millisecond, ShutdownTimeout: stopGrace,
	})
	work := asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
		var b bid
		if err := json.Unmarshal(task.Payload(), &b); err != nil {
			return err
		}
		return settle(ctx, b)
	})
	if err := server.Start(work); err != nil {
		return nil, nil, err
	}
	client := asynq.NewClient(to)
	return func(ctx context.Context, b bid) error {
			payload, err := json.Marshal(b)
			if err != nil {
				return err
			}
			_, err = client.EnqueueContext(ctx, asynq.NewTask("bid", payload), asynq.TaskID(b.Receipt.String()), asynq.Queue(queue))
			if errors.Is(err, asynq.ErrTaskIDConflict) {
				return nil // it is on its way
			}
			return err
		}, func() {
			server.Shutdown()
			_ = client.Close()
		}, nil
}
