package main

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// lua keeps the stock in Redis, where a script takes from it, and writes the bid to
// Postgres before it answers: the usual flash sale. Who is too late never meets
// Postgres.
//
// All is written in one trip, the hot rows last: they are locked for as long as COMMIT
// takes, and for nothing else. When Postgres refuses, the units are given back. When it
// does not answer, nobody knows, and they stay taken: the same key finds out.
type lua struct{ baseline }

//go:embed take.lua
var takeText string

//go:embed give.lua
var giveText string

var take, give = redis.NewScript(takeText), redis.NewScript(giveText)

// redisConnections is one for each of many callers: none of them should wait for it.
const redisConnections = 256

// openRedis answers a client with so many connections at most.
func openRedis(url string, connections int) (*redis.Client, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, err
	}
	options.PoolSize = connections
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return redis.NewClient(options), nil
}

// Run serves until ctx ends.
func (l *lua) Run(ctx context.Context) error {
	client, err := openRedis(l.Redis, redisConnections)
	if err != nil {
		return err
	}
	defer client.Close()
	return l.run(ctx, func(b *books) (sell, error) {
		return b.sellFromRedis(client), b.stockRedis(ctx, client)
	})
}

func (b *books) stockKey(sale int64) string {
	return "rivals:" + b.name + ":stock:" + strconv.FormatInt(sale, 10)
}

func (b *books) takenKey(receipt uuid.UUID) string {
	return "rivals:" + b.name + ":taken:" + receipt.String()
}

// stockRedis puts the stock of every sale into Redis.
func (b *books) stockRedis(ctx context.Context, client *redis.Client) error {
	rows, err := b.pool.Query(ctx, `select id, stock - sold from rivals.sales`)
	if err != nil {
		return err
	}
	var sale, free int64
	_, err = pgx.ForEachRow(rows, []any{&sale, &free}, func() error {
		return client.Set(ctx, b.stockKey(sale), free, 0).Err()
	})
	return err
}

func (b *books) sellFromRedis(client *redis.Client) sell {
	return func(ctx context.Context, asked bid) (outcome, error) {
		keys := []string{b.stockKey(asked.Sale), b.takenKey(asked.Receipt)}
		word, err := take.Run(ctx, client, keys, asked.Quantity).Text()
		if err != nil {
			return outcome{}, err
		}
		switch word {
		case "sold_out":
			return soldOut, nil
		case "taken", "again": // of the latter it is not known whether it was written
		default:
			return outcome{}, fmt.Errorf("take.lua answers %q", word)
		}
		o, err := b.write(ctx, asked)
		if err == nil && o.Status == rejected {
			err = give.Run(ctx, client, keys, asked.Quantity).Err()
		}
		return o, err
	}
}
