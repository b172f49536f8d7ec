package main

import (
	"context"
	_ "embed"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// redlock takes a lock in Redis for the whole sale, reads the stock, and writes.
//
// Whoever does not get the lock asks again after a short random wait, since nobody tells
// him when it is free. In one process those who want it line up first, and one of them
// asks: 128 who all asked took six milliseconds of the machine for each bid. The lock has
// a time to live, so that it outlasts no dead holder, and a token, so that nobody frees
// another one's.
type redlock struct{ baseline }

const (
	lockLife     = 5 * time.Second
	lockWait     = time.Millisecond // at most, before the second try; then twice that, and so on
	lockWaitMost = 8 * time.Millisecond
	lockPatience = 10 * time.Second // then it is given up, with 503
)

// unlock frees a lock that is still ours.
//
//go:embed unlock.lua
var unlockText string

var unlock = redis.NewScript(unlockText)

// Run serves until ctx ends.
func (r *redlock) Run(ctx context.Context) error {
	client, err := openRedis(r.Redis, redisConnections)
	if err != nil {
		return err
	}
	defer client.Close()
	return r.run(ctx, func(b *books) (sell, error) { return b.sellUnder(client), nil })
}

func (b *books) sellUnder(client *redis.Client) sell {
	var lines sync.Map // by sale: who of this process is next
	return func(ctx context.Context, asked bid) (outcome, error) {
		line, _ := lines.LoadOrStore(asked.Sale, &sync.Mutex{})
		line.(*sync.Mutex).Lock()
		defer line.(*sync.Mutex).Unlock()
		key, token := "rivals:lock:"+strconv.FormatInt(asked.Sale, 10), uuid.NewString()
		if err := lock(ctx, client, key, token); err != nil {
			return outcome{}, err
		}
		defer unlock.Run(ctx, client, []string{key}, token) // or else it ends with its life
		gone, stock, _, err := b.readSale(ctx, asked)
		switch {
		case err != nil:
			return outcome{}, err
		case gone+asked.Quantity > stock:
			return soldOut, nil
		}
		return b.write(ctx, asked)
	}
}

// write writes a won bid in one trip: without BEGIN, a batch is one transaction of its
// own.
func (b *books) write(ctx context.Context, asked bid) (outcome, error) {
	batch := &pgx.Batch{}
	queueReceipt(batch, asked)
	queueSold(batch, asked)
	queueEscrow(batch, asked)
	return judged(b.pool.SendBatch(ctx, batch).Close())
}

// lock returns when the lock is the token's.
func lock(ctx context.Context, client *redis.Client, key, token string) error {
	began := time.Now()
	for wait := lockWait; ; wait = min(2*wait, lockWaitMost) {
		got, err := client.SetNX(ctx, key, token, lockLife).Result()
		switch {
		case got || err != nil:
			return err
		case time.Since(began) > lockPatience:
			return &refusal{fiber.StatusServiceUnavailable, "busy"}
		}
		time.Sleep(rand.N(wait))
	}
}
